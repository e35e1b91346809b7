//! Reading `redis.conf`: lines of a name and words, `include` with globs, and the few directives that are no
//! parameters. What the command line adds is read as further lines of the same text, as Redis does it.

use std::fmt;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::table::{self, Flags, Mode, Parameter};
use super::types::Reason;
use super::value::plain_message;
use super::{Config, REDIS_VERSION};
use crate::base::glob;
use crate::base::quote::split_args;

/// How deep files may include each other.
const MAX_INCLUDE_DEPTH: usize = 16;
/// How many files may be included in all.
const MAX_INCLUDED_FILES: usize = 1024;

/// Names that Redis once knew and still passes over, with one value.
const OBSOLETE: [&[u8]; 3] =
    [b"list-max-ziplist-entries", b"list-max-ziplist-value", b"lua-replicate-commands"];

/// Where a configuration comes from; later sources win.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// A file.
    pub file: Option<PathBuf>,
    /// Then the standard input.
    pub stdin: bool,
    /// Then these lines, made of the command line.
    pub options: Vec<u8>,
}

/// A configuration that was read.
#[derive(Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// What to log at the start: settings without effect.
    pub warnings: Vec<String>,
}

/// Why a configuration cannot be used. `Display` is the text that Redis prints before it exits with status 1.
#[derive(Debug, PartialEq, Eq)]
pub enum LoadError {
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The message of the system.
        reason: String,
    },
    /// A line cannot be used.
    Line {
        /// Its number, from 1, in its file.
        number: usize,
        /// The line without blanks around it.
        line: String,
        /// What is wrong with it.
        reason: Reason,
    },
    /// Every line is right, but not all of them together.
    Whole(Reason),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fatal = format!("\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***\n");
        match self {
            LoadError::Unreadable { path, reason } => {
                write!(f, "Fatal error, can't open config file '{}': {reason}", path.display())
            }
            LoadError::Line { number, line, reason } => {
                write!(f, "{fatal}Reading the configuration file, at line {number}\n>>> '{line}'\n{reason}")
            }
            LoadError::Whole(reason) => write!(f, "{fatal}{reason}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Reads a configuration, starting from the defaults. `stdin` is read only if `sources` say so.
pub fn load(sources: &Sources, stdin: &mut dyn Read) -> Result<Loaded, LoadError> {
    let mut loader = Loader::default();
    let mut text = Vec::new();
    if let Some(path) = &sources.file {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        text = read(&path)?;
        loader.config.config_file = Some(path);
    }
    if sources.stdin {
        let unreadable = |error| LoadError::Unreadable { path: "-".into(), reason: plain_message(&error) };
        stdin.read_to_end(&mut text).map_err(unreadable)?;
    }
    text.push(b'\n');
    text.extend(&sources.options);
    loader.read_text(&text, 0)?;
    loader.finish()
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path)
        .map_err(|error| LoadError::Unreadable { path: path.to_owned(), reason: plain_message(&error) })
}

/// The words of a line, the name in lower case; none for blank lines and comments.
pub(super) fn split_line(line: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
    let line = line.trim_ascii();
    if line.starts_with(b"#") {
        return Ok(Vec::new());
    }
    let mut args = split_args(line).map_err(|_| "Unbalanced quotes in configuration line")?;
    if let Some(name) = args.first_mut() {
        name.make_ascii_lowercase();
    }
    Ok(args)
}

/// Sets a parameter from the words after its name.
pub(super) fn set_from_line(
    config: &mut Config,
    parameter: &Parameter,
    values: &[Vec<u8>],
    mode: Mode,
) -> Result<(), Reason> {
    match values {
        // All words in one pair of quotes are taken apart, so that `--save "60 1"` works.
        [only] if parameter.flags.contains(Flags::MULTI) && !only.is_empty() => {
            let values = split_args(only).map_err(|_| "Unbalanced quotes in configuration line")?;
            parameter.set(config, &values, mode)
        }
        _ => parameter.set(config, values, mode),
    }
}

/// The state of reading one configuration.
#[derive(Default)]
struct Loader {
    config: Config,
    /// Parameters that were set, once each.
    seen: Vec<&'static Parameter>,
    included_files: usize,
}

/// Trouble with a line: its own, or that of a file it includes.
enum Trouble {
    Here(Reason),
    Included(LoadError),
}

impl From<Reason> for Trouble {
    fn from(reason: Reason) -> Trouble {
        Trouble::Here(reason)
    }
}

impl Loader {
    fn read_text(&mut self, text: &[u8], depth: usize) -> Result<(), LoadError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            self.read_line(line, depth).map_err(|trouble| match trouble {
                Trouble::Included(error) => error,
                Trouble::Here(reason) => LoadError::Line {
                    number: index + 1,
                    line: String::from_utf8_lossy(line.trim_ascii()).into_owned(),
                    reason,
                },
            })?;
        }
        Ok(())
    }

    fn read_line(&mut self, line: &[u8], depth: usize) -> Result<(), Trouble> {
        let args = split_line(line)?;
        let Some((name, values)) = args.split_first() else { return Ok(()) };
        if let Some(parameter) = table::find(name) {
            let first = !self.seen.iter().any(|seen| seen.name == parameter.name);
            let mode = if first { Mode::Replace } else { Mode::Append };
            set_from_line(&mut self.config, parameter, values, mode)?;
            if first {
                self.seen.push(parameter);
            }
            return Ok(());
        }
        match (name.as_slice(), values) {
            (b"include", [pattern]) => self.include(pattern, depth)?,
            (b"rename-command", [from, to]) => self.config.renamed_commands.push((from.clone(), to.clone())),
            (b"user", [_, ..]) => self.config.acl_users.push(values.to_vec()),
            (b"loadmodule", [_, ..]) => return Err(Reason::from("Corelane does not load modules").into()),
            (b"sentinel", _) => {
                return Err(Reason::from("sentinel directive while not in sentinel mode").into());
            }
            (name, [_]) if OBSOLETE.contains(&name) => {}
            _ => return Err(Reason::from("Bad directive or wrong number of arguments").into()),
        }
        Ok(())
    }

    /// Reads the files that match, in the order of their names. A plain name has to exist, a pattern may match
    /// none.
    fn include(&mut self, pattern: &[u8], depth: usize) -> Result<(), Trouble> {
        if depth == MAX_INCLUDE_DEPTH {
            return Err(Reason::from("Files include each other too deeply").into());
        }
        for path in expand(&self.config.dir, pattern) {
            self.included_files += 1;
            if self.included_files > MAX_INCLUDED_FILES {
                return Err(Reason::from("Too many included files").into());
            }
            let text = read(&path).map_err(Trouble::Included)?;
            self.read_text(&text, depth + 1).map_err(Trouble::Included)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Loaded, LoadError> {
        self.config.settle();
        let config = self.config;
        if !config.logfile.as_os_str().is_empty() {
            let opened =
                std::fs::OpenOptions::new().append(true).create(true).open(config.dir.join(&config.logfile));
            opened.map_err(|error| {
                LoadError::Whole(format!("Can't open the log file: {}", plain_message(&error)).into())
            })?;
        }
        let idle = self.seen.iter().filter(|row| !row.has_effect() && !row.is_default(&config));
        let idle = idle.map(|row| row.name);
        // A user that cannot log in: whoever wrote that must learn of it.
        let users = (!config.acl_users.is_empty()).then_some("user");
        let warnings = idle
            .chain(users)
            .map(|name| format!("The configuration parameter '{name}' has no effect in Corelane"))
            .collect();
        Ok(Loaded { warnings, config })
    }
}

/// The paths that a pattern stands for, seen from `base`; each part of the path may be a glob.
fn expand(base: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let is_glob = |part: &[u8]| part.iter().any(|byte| b"*?[".contains(byte));
    let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()));
    if !is_glob(pattern) {
        return vec![base.join(path(pattern))];
    }
    let mut found = vec![if pattern.starts_with(b"/") { PathBuf::from("/") } else { base.to_owned() }];
    for part in pattern.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        found = match is_glob(part) {
            true => found.iter().flat_map(|folder| matching_entries(folder, part)).collect(),
            false => {
                found.iter().map(|folder| folder.join(path(part))).filter(|path| path.exists()).collect()
            }
        };
    }
    found
}

/// Entries of a folder that match, sorted; hidden ones only if the pattern begins with a dot.
fn matching_entries(folder: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<Vec<u8>> = entries.flatten().map(|entry| entry.file_name().into_vec()).collect();
    names.retain(|name| {
        glob::matches(pattern, name, false) && (pattern.starts_with(b".") || !name.starts_with(b"."))
    });
    names.sort();
    names.into_iter().map(|name| folder.join(PathBuf::from(std::ffi::OsString::from_vec(name)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::temp_folder::TempFolder;

    fn load_text(text: &str) -> Result<Loaded, LoadError> {
        load(&Sources { stdin: true, ..Sources::default() }, &mut text.as_bytes())
    }

    /// A folder with files in it.
    struct Folder(TempFolder);

    impl Folder {
        fn new(files: &[(&str, &str)]) -> Folder {
            let folder = TempFolder::empty();
            for (file, text) in files {
                folder.write(file, text.replace("DIR", folder.to_str().unwrap()));
            }
            Folder(folder)
        }

        fn load(&self, file: &str) -> Result<Loaded, LoadError> {
            load(&Sources { file: Some(self.0.join(file)), ..Sources::default() }, &mut std::io::empty())
        }
    }

    #[test]
    fn lines_of_all_kinds() {
        let text = "# c\n\n  PORT 7000\r\nrequirepass \"a \\x41\"\nbind \"127.0.0.1 ::1\"\nsave 60 1\nsave 5 2 6 3\n\
                    rename-command FLUSHALL \"\"\nuser bob on +@all\nlua-replicate-commands yes\n\
                    client-output-buffer-limit replica 1mb 0 0\nclient-output-buffer-limit pubsub 1kb 0 0\nhz 1000\n";
        let config = load_text(text).unwrap().config;
        assert_eq!((config.port, config.requirepass.as_slice(), config.hz), (7000, b"a A".as_slice(), 500));
        assert_eq!(config.bind, ["127.0.0.1", "::1"]);
        assert_eq!(config.save.iter().map(|point| point.seconds).collect::<Vec<_>>(), [60, 5, 6]);
        assert_eq!(config.renamed_commands, [(b"FLUSHALL".to_vec(), Vec::new())]);
        assert_eq!(config.acl_users, [[b"bob".to_vec(), b"on".to_vec(), b"+@all".to_vec()]]);
        let limits = config.client_output_buffer_limits;
        assert_eq!((limits.replica.hard_bytes, limits.pubsub.hard_bytes), (1 << 20, 1024));
    }

    #[test]
    fn an_empty_save_line_clears_what_came_before() {
        assert!(load_text("save 60 1\nsave \"\"").unwrap().config.save.is_empty());
        assert_eq!(load_text("save \"\"\nsave 60 1").unwrap().config.save.len(), 1);
    }

    #[test]
    fn errors_read_as_those_of_redis() {
        let error = load_text("port 1\n  hz   x \n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "\n*** FATAL CONFIG FILE ERROR (Redis 7.4.1) ***\nReading the configuration file, at line 2\n\
             >>> 'hz   x'\nargument couldn't be parsed into an integer"
        );
        for (line, expected) in [
            ("nothing 1", "Bad directive or wrong number of arguments"),
            ("port", "wrong number of arguments"),
            ("port 1 2", "wrong number of arguments"),
            ("port \"1", "Unbalanced quotes in configuration line"),
            ("include a b", "Bad directive or wrong number of arguments"),
            ("sentinel monitor", "sentinel directive while not in sentinel mode"),
        ] {
            match load_text(line).unwrap_err() {
                LoadError::Line { reason, .. } => assert_eq!(reason, expected, "{line}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn later_sources_win() {
        let folder = Folder::new(&[("a.conf", "port 1\nhz 1\ntimeout 1\n")]);
        let sources =
            Sources { file: Some(folder.0.join("a.conf")), stdin: true, options: b"timeout \"3\" ".to_vec() };
        let config = load(&sources, &mut b"hz 2\ntimeout 2".as_slice()).unwrap().config;
        assert_eq!((config.port, config.hz, config.timeout_seconds), (1, 2, 3));
        assert_eq!(config.config_file, sources.file);
    }

    #[test]
    fn includes() {
        let files = [
            ("main.conf", "include DIR/conf.d/*.conf\ninclude DIR/none-*.conf\nhz 7\n"),
            ("conf.d/b.conf", "port 2\nhz 2"),
            ("conf.d/a.conf", "port 1\nsave 1 1"),
            ("conf.d/.hidden.conf", "port 3"),
            ("relative.conf", "dir DIR\ninclude conf.d/a.conf\n"),
            ("loop.conf", "port 4\ninclude DIR/loop.conf\n"),
            ("missing.conf", "include DIR/none.conf\n"),
            ("bad.conf", "\ninclude DIR/worse.conf\n"),
            ("worse.conf", "\n\nport x\n"),
        ];
        let folder = Folder::new(&files);
        let config = folder.load("main.conf").unwrap().config;
        assert_eq!((config.port, config.hz, config.save.len()), (2, 7, 1));
        assert_eq!(folder.load("relative.conf").unwrap().config.port, 1);
        assert!(
            folder
                .load("loop.conf")
                .unwrap_err()
                .to_string()
                .ends_with("Files include each other too deeply")
        );
        assert!(matches!(folder.load("missing.conf"), Err(LoadError::Unreadable { .. })));
        assert!(matches!(folder.load("bad.conf"), Err(LoadError::Line { number: 3, .. })));
    }

    #[test]
    fn warns_of_what_has_no_effect() {
        let warnings = load_text("user a on\nrdbcompression yes\nreplicaof a 1\nport 1\nmasterauth secret\n")
            .unwrap()
            .warnings;
        let expected = ["replicaof", "masterauth", "user"]
            .map(|name| format!("The configuration parameter '{name}' has no effect in Corelane"));
        assert_eq!(warnings, expected);
    }

    #[test]
    fn log_file_has_to_be_writable() {
        let error = load_text("logfile /nowhere/x.log").unwrap_err().to_string();
        assert!(error.ends_with("***\nCan't open the log file: No such file or directory"), "{error}");
    }
}
