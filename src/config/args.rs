//! The server's command line, in redis-server's grammar:
//! `corelane [file] [-] [--name value ...]`, where `-` (first or last) is the standard input.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::REDIS_VERSION;
use super::file::Sources;
use super::value::quoted;
use crate::base::quote::split_args;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Run the server.
    Serve(Sources),
    /// Print [`version_line`].
    Version,
    /// Print [`HELP`] and exit with status 1, as redis-server does.
    Help,
    /// Look at the machine ([`super::system_check`]).
    CheckSystem,
    /// Print the message and exit with status 1.
    Refused(&'static str),
}

/// The answer to `--help`.
pub const HELP: &str = "\
Usage: corelane [/path/to/redis.conf] [options] [-]
       corelane -                    (configuration from the standard input)
       corelane -v or --version
       corelane -h or --help
       corelane --check-system

Examples:
       corelane                      (defaults)
       echo 'maxmemory 128mb' | corelane -
       corelane /etc/redis/6379.conf
       corelane --port 7777 --shards 4
       corelane /etc/redis/6379.conf --loglevel verbose -";

/// The answer to `--version`: redis-server's line, which tools take apart, with Corelane's version at the end.
pub fn version_line() -> String {
    let corelane = env!("CARGO_PKG_VERSION");
    format!(
        "Redis server v={REDIS_VERSION} sha=00000000:0 malloc=mimalloc bits=64 build=0 corelane={corelane}"
    )
}

/// Reads the arguments after the program's name.
pub fn parse(args: &[OsString]) -> Invocation {
    let Some(first) = args.first() else { return Invocation::Serve(Sources::default()) };
    match first.as_bytes() {
        b"-v" | b"--version" => return Invocation::Version,
        b"-h" | b"--help" => return Invocation::Help,
        b"--check-system" => return Invocation::CheckSystem,
        b"--test-memory" => {
            return Invocation::Refused("Corelane does not test memory, use memtest86 or memtester.");
        }
        _ => {}
    }
    let mut sources = Sources::default();
    let mut rest = args;
    if !first.as_bytes().starts_with(b"-") {
        sources.file = Some(PathBuf::from(first));
        rest = &args[1..];
    }
    let mut options = Options::default();
    for (index, arg) in rest.iter().enumerate() {
        let is_first_of_all = rest.len() == args.len() && index == 0;
        match arg.as_bytes() {
            b"-" if is_first_of_all || index + 1 == rest.len() => sources.stdin = true,
            bytes => options.add(bytes, rest.get(index + 1).map(OsString::as_os_str)),
        }
    }
    sources.options = options.lines;
    Invocation::Serve(sources)
}

/// The lines of configuration that the options make.
#[derive(Default)]
struct Options {
    lines: Vec<u8>,
    /// The last option has no value yet, so what follows is one even if it begins with `--`.
    wants_value: bool,
}

impl Options {
    fn add(&mut self, arg: &[u8], next: Option<&OsStr>) {
        match arg.strip_prefix(b"--") {
            Some(option) if !self.wants_value => self.add_name(option, next),
            _ => {
                self.lines.extend(quoted(arg));
                self.lines.push(b' ');
                self.wants_value = false;
            }
        }
    }

    fn add_name(&mut self, option: &[u8], next: Option<&OsStr>) {
        if !self.lines.is_empty() {
            self.lines.push(b'\n');
        }
        self.lines.extend(option);
        self.lines.push(b' ');
        // `--port 6380` in one argument has its value.
        let has_value = split_args(option).is_ok_and(|words| words.len() > 1);
        // `--save` with nothing behind it is what scripts make of an empty list: no save points.
        let next_is_option = next.is_none_or(|next| next.as_bytes().starts_with(b"--"));
        let empty_save = option.eq_ignore_ascii_case(b"save") && next_is_option;
        if empty_save {
            self.lines.extend(b"\"\"");
        }
        self.wants_value = !has_value && !empty_save;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(args: &[&str]) -> (Option<PathBuf>, bool, String) {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        match parse(&args) {
            Invocation::Serve(sources) => {
                (sources.file, sources.stdin, String::from_utf8(sources.options).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_become_lines() {
        for (args, lines) in [
            (vec!["--port", "7000"], "port \"7000\" "),
            (vec!["--port 7000", "--hz", "5"], "port 7000 \nhz \"5\" "),
            (
                vec!["--save", "60", "1", "--save", "--port", "1"],
                "save \"60\" \"1\" \nsave \"\"\nport \"1\" ",
            ),
            (vec!["--port", "1", "--save"], "port \"1\" \nsave \"\""),
            (vec!["--requirepass", "--secret", "--port", "1"], "requirepass \"--secret\" \nport \"1\" "),
            (vec!["--bind", "127.0.0.1", "-::1"], "bind \"127.0.0.1\" \"-::1\" "),
        ] {
            assert_eq!(serve(&args).2, lines, "{args:?}");
        }
    }

    #[test]
    fn file_and_standard_input() {
        assert_eq!(serve(&[]), (None, false, String::new()));
        assert_eq!(serve(&["-"]), (None, true, String::new()));
        assert_eq!(serve(&["a.conf", "-"]), (Some("a.conf".into()), true, String::new()));
        assert_eq!(
            serve(&["a.conf", "--hz", "5", "-"]),
            (Some("a.conf".into()), true, "hz \"5\" ".to_owned())
        );
        assert_eq!(serve(&["a.conf", "--logfile", "-", "--hz", "5"]).2, "logfile \"-\" \nhz \"5\" ");
    }

    #[test]
    fn words_for_people() {
        let asks = |arg: &str| parse(&[OsString::from(arg)]);
        assert_eq!(asks("-v"), Invocation::Version);
        assert_eq!(asks("--help"), Invocation::Help);
        assert_eq!(asks("--check-system"), Invocation::CheckSystem);
        assert!(matches!(asks("--test-memory"), Invocation::Refused(_)));
        assert!(
            version_line().starts_with("Redis server v=7.4.1 sha=00000000:0 malloc=mimalloc bits=64 build=")
        );
    }
}
