//! The manifest of an append-only folder: which files hold the data, in which order (Redis 7's multi-part AOF,
//! redis.io/docs/management/persistence, "Log rewriting").
//!
//! A manifest is text with a line per file, `file <name> seq <number> type <b|h|i>`: at most one *base* with all data at a
//! moment, *increments* with what has happened since, in ascending order of their numbers, and *history*: files that are
//! not needed any more and will be removed. It is only ever replaced as a whole, by renaming, so that after a crash
//! either the old or the new one is there. What is wrong with a manifest is told in Redis' words.
//!
//! Invariant: the names in a manifest are plain names, never paths, and a new name is not one that it holds already.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::base::quote;

/// The longest line, with its line break.
const LINE_MAX: usize = 1024;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All data at a moment.
    Base,
    /// Replaced by a later base.
    History,
    /// Commands since the base, or since the increment before.
    Increment,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file's name within the folder.
    pub name: OsString,
    /// Its number among those of its kind.
    pub seq: i64,
}

/// How a base is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `aof-use-rdb-preamble yes`.
    Rdb,
    /// As commands.
    Aof,
}

/// What a folder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// All data at a moment; without one the data begins empty.
    pub base: Option<Entry>,
    /// Ascending by number.
    pub increments: Vec<Entry>,
    /// The latest to become history comes first.
    pub history: Vec<Entry>,
}

/// A text that is no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadManifest {
    /// What is wrong, in Redis' words.
    pub reason: &'static str,
    /// The number of the line and the line, if it is one line that is wrong.
    pub line: Option<(usize, Vec<u8>)>,
}

impl BadManifest {
    /// What Redis logs about it.
    pub fn log_lines(&self) -> Vec<String> {
        let mut lines = vec!["\n*** FATAL AOF MANIFEST FILE ERROR ***\n".to_owned()];
        if let Some((number, line)) = &self.line {
            lines.push(format!("Reading the manifest file, at line {number}\n"));
            lines.push(format!(">>> '{}'\n", String::from_utf8_lossy(line)));
        }
        lines.push(format!("{}\n", self.reason));
        lines
    }
}

/// How the names of files end.
const RDB_BASE: &str = ".base.rdb";
const AOF_BASE: &str = ".base.aof";
const INCREMENT: &str = ".incr.aof";
const SUFFIXES: [&str; 3] = [RDB_BASE, AOF_BASE, INCREMENT];

/// Why a folder's manifest could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("Fatal error: can't open the AOF manifest file {} for reading: {error}", .path.display())]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// What the file system says.
        error: io::Error,
    },
    /// It is none.
    #[error(transparent)]
    Bad(#[from] BadManifest),
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`BadManifest`] under Redis' rules.
    pub fn parse(text: &[u8]) -> Result<Manifest, BadManifest> {
        let mut manifest = Manifest::default();
        let mut rest = text;
        let mut number = 0;
        while !rest.is_empty() {
            let line;
            (line, rest) = next_line(rest);
            number += 1;
            if line[0] != b'#' {
                manifest.add_line(line, number)?;
            }
        }
        match number {
            0 => Err(BadManifest { reason: "Found an empty AOF manifest", line: None }),
            _ => Ok(manifest),
        }
    }

    fn add_line(&mut self, line: &[u8], number: usize) -> Result<(), BadManifest> {
        // To C, a line ends at its first zero byte.
        let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
        let Some(line) = line.strip_suffix(b"\n") else {
            return Err(BadManifest { reason: "The AOF manifest file contains too long line", line: None });
        };
        let is_blank = |byte: &u8| b" \t\r\n".contains(byte);
        let start = line.iter().take_while(|byte| is_blank(byte)).count();
        let line = &line[start..];
        let line = &line[..line.len() - line.iter().rev().take_while(|byte| is_blank(byte)).count()];
        let (kind, entry) = parse_line(line)
            .and_then(|(kind, entry)| self.check_order(kind, &entry).map(|()| (kind, entry)))
            .map_err(|reason| BadManifest { reason, line: Some((number, line.to_vec())) })?;
        match kind {
            Kind::Base => self.base = Some(entry),
            Kind::History => self.history.push(entry),
            Kind::Increment => self.increments.push(entry),
        }
        Ok(())
    }

    fn check_order(&self, kind: Kind, entry: &Entry) -> Result<(), &'static str> {
        let last = self.increments.last().map_or(0, |last| last.seq);
        match kind {
            Kind::Base if self.base.is_some() => Err("Found duplicate base file information"),
            Kind::Increment if entry.seq <= last => Err("Found a non-monotonic sequence number"),
            _ => Ok(()),
        }
    }

    /// The text: base, history, increments; a comment if there are none, since Redis takes a file without a line for damaged.
    pub fn print(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.all().next().is_none() {
            out.extend_from_slice(b"#\n");
        }
        for (kind, entry) in self.all() {
            out.extend_from_slice(b"file ");
            let name = entry.name.as_bytes();
            // A quote would be read as the beginning of a quoted name, and nothing as no name.
            match quote::needs_repr(name) || name.contains(&b'\'') || name.is_empty() {
                true => quote::repr(&mut out, name),
                false => out.extend_from_slice(name),
            }
            let kind = match kind {
                Kind::Base => 'b',
                Kind::History => 'h',
                Kind::Increment => 'i',
            };
            out.extend_from_slice(format!(" seq {} type {kind}\n", entry.seq).as_bytes());
        }
        out
    }

    /// All files, in the order in which they are printed.
    pub fn all(&self) -> impl Iterator<Item = (Kind, &Entry)> {
        let base = self.base.iter().map(|entry| (Kind::Base, entry));
        let history = self.history.iter().map(|entry| (Kind::History, entry));
        base.chain(history).chain(self.increments.iter().map(|entry| (Kind::Increment, entry)))
    }

    /// The files with data, in the order in which they are loaded.
    pub fn data(&self) -> impl Iterator<Item = &Entry> {
        self.base.iter().chain(&self.increments)
    }

    /// Whether there is no data.
    pub fn is_empty(&self) -> bool {
        self.data().next().is_none()
    }

    /// Adds an increment behind all others; `filename` is the parameter `appendfilename`.
    pub fn add_increment(&mut self, filename: &OsStr) -> Entry {
        let last = self.increments.last().map_or(0, |last| last.seq);
        let entry = self.unused(last, filename, INCREMENT);
        self.increments.push(entry.clone());
        entry
    }

    /// Puts a new base in the place of the present one and of all increments that it covers, by number; they become history.
    pub fn replace_base(
        &mut self,
        filename: &OsStr,
        format: Format,
        is_covered: impl Fn(i64) -> bool,
    ) -> Entry {
        let last = self.base.as_ref().map_or(0, |base| base.seq);
        let suffix = match format {
            Format::Rdb => RDB_BASE,
            Format::Aof => AOF_BASE,
        };
        let entry = self.unused(last, filename, suffix);
        let (past, kept) = self.increments.drain(..).partition(|entry| is_covered(entry.seq));
        self.increments = kept;
        let past: Vec<Entry> = past;
        let former = std::mem::take(&mut self.history);
        self.history = past.into_iter().chain(self.base.replace(entry.clone())).chain(former).collect();
        entry
    }

    /// The first name behind the number `last` that no file has.
    fn unused(&self, last: i64, filename: &OsStr, suffix: &str) -> Entry {
        let mut seq = last;
        loop {
            seq += 1;
            let mut name = filename.to_owned();
            name.push(format!(".{seq}{suffix}"));
            if self.all().all(|(_, entry)| entry.name != name) {
                return Entry { name, seq };
            }
        }
    }
}

/// What `fgets` with a buffer for [`LINE_MAX`] bytes reads, and what follows it.
fn next_line(text: &[u8]) -> (&[u8], &[u8]) {
    let longest = &text[..text.len().min(LINE_MAX)];
    let len = memchr::memchr(b'\n', longest).map_or(longest.len(), |end| end + 1);
    text.split_at(len)
}

fn parse_line(line: &[u8]) -> Result<(Kind, Entry), &'static str> {
    const INVALID: &str = "Invalid AOF manifest file format";
    let args = quote::split_args(line).map_err(|_| INVALID)?;
    // More pairs than these are for versions to come.
    if args.len() < 6 || args.len() % 2 != 0 {
        return Err(INVALID);
    }
    let (mut name, mut seq, mut kind) = (None, 0, None);
    for pair in args.chunks_exact(2) {
        let value = &pair[1];
        if pair[0].eq_ignore_ascii_case(b"file") {
            if value.iter().any(|byte| b"/\\".contains(byte)) {
                return Err("File can't be a path, just a filename");
            }
            name = Some(OsString::from_vec(value.clone()));
        } else if pair[0].eq_ignore_ascii_case(b"seq") {
            seq = leading_number(value);
        } else if pair[0].eq_ignore_ascii_case(b"type") {
            kind = value.first().copied();
        }
    }
    let (Some(name), Some(kind), true) = (name, kind, seq != 0) else { return Err(INVALID) };
    let kind = match kind {
        b'b' => Kind::Base,
        b'h' => Kind::History,
        b'i' => Kind::Increment,
        _ => return Err("Unknown AOF file type"),
    };
    Ok((kind, Entry { name, seq }))
}

/// What C's `atoll` makes of a text: the number that it begins with, 0 if there is none.
fn leading_number(text: &[u8]) -> i64 {
    let start = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match &text[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    digits.iter().take_while(|byte| byte.is_ascii_digit()).fold(0i64, |number, digit| {
        let digit = i64::from(digit - b'0');
        let number = number.saturating_mul(10);
        if negative { number.saturating_sub(digit) } else { number.saturating_add(digit) }
    })
}

/// Where the append-only files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// `dir`.
    dir: PathBuf,
    /// `appenddirname` within it.
    path: PathBuf,
    /// `appendfilename`.
    filename: OsString,
}

impl Folder {
    /// The folder `appenddirname` in `dir`, with files named after `appendfilename`.
    pub fn new(dir: &Path, appenddirname: &OsStr, appendfilename: &OsStr) -> Folder {
        Folder { dir: dir.to_owned(), path: dir.join(appenddirname), filename: appendfilename.to_owned() }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What files are named after.
    pub fn filename(&self) -> &OsStr {
        &self.filename
    }

    /// The path of a file in it.
    pub fn file(&self, entry: &Entry) -> PathBuf {
        self.path.join(&entry.name)
    }

    /// The path of the manifest.
    pub fn manifest(&self) -> PathBuf {
        let mut name = self.filename.clone();
        name.push(".manifest");
        self.path.join(name)
    }

    /// Reads the manifest. Where there is none it is empty.
    ///
    /// # Errors
    /// [`LoadError`] with Redis' text.
    pub fn load(&self) -> Result<Manifest, LoadError> {
        let path = self.manifest();
        if !path.is_file() {
            return Ok(Manifest::default());
        }
        load(&path)
    }

    /// Replaces the manifest. When this returns, it will be found after a crash, and so will every file whose data is
    /// on stable storage.
    ///
    /// # Errors
    /// What the file system says; the manifest is then the old one or the new one.
    pub fn store(&self, manifest: &Manifest) -> io::Result<()> {
        let path = self.manifest();
        let mut name = OsString::from("temp-");
        name.push(path.file_name().unwrap_or_default());
        let temporary = self.path.join(name);
        let mut file = File::create(&temporary)?;
        file.write_all(&manifest.print())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        sync_folder(&self.path)
    }

    /// Creates the folder if it is not there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(&self) -> io::Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        let created = fs::create_dir(&self.path).and_then(|()| sync_folder(&self.dir));
        created.map_err(|error| {
            let path = self.path.display();
            io::Error::new(error.kind(), format!("Can't open or create append-only dir {path}: {error}"))
        })
    }

    /// A file with data that no manifest names, because there is none: it was lost.
    ///
    /// # Errors
    /// What the file system says.
    pub fn orphan(&self) -> io::Result<Option<OsString>> {
        if !self.path.is_dir() || self.manifest().exists() {
            return Ok(None);
        }
        for file in fs::read_dir(&self.path)? {
            let file = file?;
            if self.is_data(&file.file_name()) && file.metadata()?.len() > 0 {
                return Ok(Some(file.file_name()));
            }
        }
        Ok(None)
    }

    /// Whether this is the name of a base or an increment.
    fn is_data(&self, name: &OsStr) -> bool {
        let rest = name.as_bytes().strip_prefix(self.filename.as_bytes());
        rest.is_some_and(|rest| SUFFIXES.iter().any(|suffix| rest.ends_with(suffix.as_bytes())))
    }

    /// Moves the single file of Redis 6 and before into the folder, as its base, unless the folder has data of its own. A
    /// crash in the middle does no harm: the next call goes on. Returns whether there was something to move.
    ///
    /// # Errors
    /// What the file system says.
    pub fn upgrade(&self, manifest: &mut Manifest) -> io::Result<bool> {
        let old = self.dir.join(&self.filename);
        let moved = self.path.join(&self.filename);
        let only_announced = match manifest {
            Manifest { base: Some(base), increments, .. } if increments.is_empty() => {
                base.name == self.filename && !moved.is_file()
            }
            _ => manifest.is_empty(),
        };
        let has_data = self.path.is_dir() && !only_announced;
        if has_data || !old.is_file() {
            return Ok(false);
        }
        self.create()?;
        manifest.base = Some(Entry { name: self.filename.clone(), seq: 1 });
        self.store(manifest)?;
        fs::rename(&old, &moved)?;
        sync_folder(&self.path)?;
        sync_folder(&self.dir)?;
        Ok(true)
    }

    /// What to log when [`Folder::upgrade`] has moved something.
    pub fn upgrade_log_line(&self) -> String {
        format!(
            "Successfully migrated an old-style AOF file ({}) into the AOF directory ({}).",
            self.filename.display(),
            self.path.file_name().unwrap_or_default().display(),
        )
    }

    /// Forgets the history, then removes its files: a crash in between leaves files that nobody needs, never a manifest
    /// that names files which are gone. Returns their names, for the log.
    ///
    /// # Errors
    /// What the file system says about the manifest; that a file is gone already is no error.
    pub fn remove_history(&self, manifest: &mut Manifest) -> io::Result<Vec<OsString>> {
        if manifest.history.is_empty() {
            return Ok(Vec::new());
        }
        let history = std::mem::take(&mut manifest.history);
        self.store(manifest)?;
        for entry in &history {
            match fs::remove_file(self.file(entry)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(history.into_iter().map(|entry| entry.name).collect())
    }
}

/// Reads the manifest at `path`.
///
/// # Errors
/// [`LoadError`] with Redis' text.
pub fn load(path: &Path) -> Result<Manifest, LoadError> {
    let text = fs::read(path).map_err(|error| LoadError::Unreadable { path: path.to_owned(), error })?;
    Ok(Manifest::parse(&text)?)
}

/// Makes what was created, renamed or removed in a folder outlast a crash.
///
/// # Errors
/// What the file system says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    if FOLDER_SYNCS_FAIL.get() {
        return Err(io::Error::from_raw_os_error(libc::EIO));
    }
    File::open(path)?.sync_all()
}

#[cfg(test)]
thread_local! {
    /// Folders are not brought to stable storage on this thread.
    pub static FOLDER_SYNCS_FAIL: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::temp_folder::TempFolder;
    use proptest::prelude::*;

    fn entry(name: &str, seq: i64) -> Entry {
        Entry { name: name.into(), seq }
    }

    fn reason(text: &str) -> &'static str {
        Manifest::parse(text.as_bytes()).expect_err(text).reason
    }

    #[test]
    fn lines_are_read_as_redis_reads_them() {
        let text = "# comment\nfile b.1 seq 1 type b\n FILE i.2\t seq 2x type increment more 1\r\n\
            file \"h 1\" seq +1 type h\nfile i.2 seq 2 seq 5 type i\n";
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.base, Some(entry("b.1", 1)));
        assert_eq!(manifest.increments, [entry("i.2", 2), entry("i.2", 5)]);
        assert_eq!(manifest.history, [entry("h 1", 1)]);
        assert_eq!(Manifest::parse(b"#").unwrap(), Manifest::default());
    }

    #[test]
    fn what_is_wrong_is_told_in_the_words_of_redis() {
        let invalid = "Invalid AOF manifest file format";
        assert_eq!(reason(""), "Found an empty AOF manifest");
        for line in [
            "\n",
            "!!!\n",
            "file a seq 1\n",
            "file a seq 0 type i\n",
            "file a seq x type i\n",
            "file a\n",
            "file a seq 1 type \"\"\n",
            "file \"a seq 1 type i\n",
            "file a seq 1 type i x\n",
            "a a b b c c\n",
        ] {
            assert_eq!(reason(line), invalid, "{line:?}");
        }
        assert_eq!(reason("file a seq 1 type x\n"), "Unknown AOF file type");
        assert_eq!(reason("file ../a seq 1 type i\n"), "File can't be a path, just a filename");
        assert_eq!(reason("file a\\\\b seq 1 type i\n"), "File can't be a path, just a filename");
        assert_eq!(
            reason("file a seq 1 type b\nfile b seq 2 type b\n"),
            "Found duplicate base file information"
        );
        for second in [1, 2, -3] {
            let text = format!("file a seq 2 type i\nfile b seq {second} type i\n");
            assert_eq!(reason(&text), "Found a non-monotonic sequence number");
        }
        let too_long = "The AOF manifest file contains too long line";
        assert_eq!(reason("file a seq 1 type i"), too_long);
        assert_eq!(reason("file a\0 seq 1 type i\n"), too_long);
        let longest = format!("{:1023}\n", "file a seq 1 type i");
        assert!(Manifest::parse(longest.as_bytes()).is_ok());
        assert_eq!(reason(&format!(" {longest}")), too_long);
        // What is left of a comment that is too long is a line.
        assert_eq!(reason(&format!("#{longest}")), invalid);
    }

    #[test]
    fn the_log_names_the_line() {
        let error = Manifest::parse(b"file a seq 1 type i\n file a seq 1 type i \n").unwrap_err();
        assert_eq!(
            error.log_lines().concat(),
            "\n*** FATAL AOF MANIFEST FILE ERROR ***\n\
            Reading the manifest file, at line 2\n>>> 'file a seq 1 type i'\nFound a non-monotonic sequence number\n"
        );
    }

    #[test]
    fn a_new_base_makes_history_of_what_it_covers() {
        let name = OsStr::new("appendonly.aof");
        let mut manifest = Manifest::default();
        assert_eq!(
            manifest.replace_base(name, Format::Rdb, |_| false),
            entry("appendonly.aof.1.base.rdb", 1)
        );
        for seq in 1..=4 {
            assert_eq!(manifest.add_increment(name), entry(&format!("appendonly.aof.{seq}.incr.aof"), seq));
        }
        manifest.replace_base(name, Format::Aof, |seq| seq <= 2);
        manifest.replace_base(name, Format::Rdb, |seq| seq <= 3);
        let text = String::from_utf8(manifest.print()).unwrap();
        assert_eq!(
            text,
            "file appendonly.aof.3.base.rdb seq 3 type b\nfile appendonly.aof.3.incr.aof seq 3 type h\n\
            file appendonly.aof.2.base.aof seq 2 type h\nfile appendonly.aof.1.incr.aof seq 1 type h\n\
            file appendonly.aof.2.incr.aof seq 2 type h\nfile appendonly.aof.1.base.rdb seq 1 type h\n\
            file appendonly.aof.4.incr.aof seq 4 type i\n"
        );
        manifest.increments.clear();
        assert_eq!(manifest.add_increment(name).seq, 4, "names of history are not used again");
    }

    fn folder(dir: &Path) -> Folder {
        Folder::new(dir, OsStr::new("appendonlydir"), OsStr::new("a.aof"))
    }

    #[test]
    fn data_without_a_manifest_is_noticed() {
        let dir = TempFolder::empty();
        let folder = folder(&dir);
        assert_eq!(folder.orphan().unwrap(), None);
        folder.create().unwrap();
        for (name, text) in
            [("a.aof.1.incr.aof", ""), ("b.aof.1.incr.aof", "x"), ("a.aof.1.incr.aof.old", "x")]
        {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(folder.orphan().unwrap(), None, "it holds nothing, or is of another log, or of none");
        for name in ["a.aof.3.base.rdb", "a.aof.3.base.aof", "a.aof.7.incr.aof"] {
            fs::write(folder.path().join(name), "x").unwrap();
            assert_eq!(folder.orphan().unwrap(), Some(name.into()));
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("a.aof.3.base.rdb"), "x").unwrap();
        folder.store(&Manifest::default()).unwrap();
        assert_eq!(folder.orphan().unwrap(), None, "it was never named");
    }

    #[test]
    fn a_manifest_is_replaced_as_a_whole() {
        let dir = TempFolder::empty();
        let folder = folder(&dir);
        assert_eq!(folder.load().unwrap(), Manifest::default());
        folder.create().unwrap();
        assert_eq!(folder.load().unwrap(), Manifest::default());
        folder.store(&Manifest::default()).unwrap();
        assert_eq!(folder.load().unwrap(), Manifest::default());
        let mut manifest = Manifest::default();
        for _ in 0..3 {
            let increment = manifest.add_increment(folder.filename());
            fs::write(folder.file(&increment), "").unwrap();
            folder.store(&manifest).unwrap();
            assert_eq!(folder.load().unwrap(), manifest);
        }
        manifest.replace_base(folder.filename(), Format::Rdb, |seq| seq <= 2);
        fs::remove_file(folder.path().join("a.aof.1.incr.aof")).unwrap();
        let removed = folder.remove_history(&mut manifest).unwrap();
        assert_eq!(removed, ["a.aof.1.incr.aof", "a.aof.2.incr.aof"]);
        assert_eq!(folder.load().unwrap(), manifest);
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a.aof.3.incr.aof", "a.aof.manifest"]);
        fs::write(folder.manifest(), "?").unwrap();
        assert!(matches!(folder.load(), Err(LoadError::Bad(_))));
    }

    #[test]
    fn the_file_of_old_versions_is_moved_once() {
        let dir = TempFolder::empty();
        let folder = folder(&dir);
        let old = folder.dir.join("a.aof");
        let mut manifest = Manifest::default();
        assert!(!folder.upgrade(&mut manifest).unwrap(), "nothing to move");
        fs::write(&old, "data").unwrap();
        assert!(folder.upgrade(&mut manifest).unwrap());
        assert_eq!(folder.load().unwrap().print(), b"file a.aof seq 1 type b\n");
        assert_eq!(fs::read(folder.path().join("a.aof")).unwrap(), b"data");
        // Interrupted before the file was moved.
        fs::rename(folder.path().join("a.aof"), &old).unwrap();
        assert!(folder.upgrade(&mut folder.load().unwrap()).unwrap());
        // A file of that name next to a folder with data is not touched.
        fs::write(&old, "other").unwrap();
        assert!(!folder.upgrade(&mut folder.load().unwrap()).unwrap());
        let mut manifest = Manifest::default();
        manifest.add_increment(folder.filename());
        assert!(!folder.upgrade(&mut manifest).unwrap());
        assert_eq!(fs::read(&old).unwrap(), b"other");
        assert!(folder.upgrade_log_line().ends_with("file (a.aof) into the AOF directory (appendonlydir)."));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(
            names in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 1..8),
            (base, split) in any::<(bool, prop::sample::Index)>(),
        ) {
            let named = |name: &Vec<u8>| name.iter().map(|byte| if b"/\\".contains(byte) { b'.' } else { *byte }).collect();
            let mut entries: Vec<Entry> = names.iter().zip(1..)
                .map(|(name, seq)| Entry { name: OsString::from_vec(named(name)), seq })
                .collect();
            let base = base.then(|| entries.remove(0));
            let history = entries.split_off(split.index(entries.len() + 1));
            let manifest = Manifest { base, increments: entries, history };
            prop_assert_eq!(Manifest::parse(&manifest.print()), Ok(manifest));
        }

        #[test]
        fn any_bytes_are_judged(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Manifest::parse(&text);
        }
    }
}
