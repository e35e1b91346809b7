//! `corelane-check`: looks for damage in RDB files and append-only files, cuts it off if asked to, and tells what a data
//! set consists of.
//!
//! Under the names `redis-check-aof` and `redis-check-rdb` it takes their arguments, and it prints the lines that they print
//! under any name. It exits with 1 if something is not valid. Whatever is changed is copied first.

mod aof;
mod input;
mod rdb;
mod stats;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser};

/// Why the program ends with an error: the last line that it prints.
struct Failure(String);

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure(text)
    }
}

#[derive(Debug, Parser)]
#[command(name = "corelane-check", version, about = "Checks RDB files and append-only files")]
enum Command {
    /// Check an append-only folder (its manifest), or a single append-only file.
    Aof(AofArgs),
    /// Check an RDB file.
    Rdb {
        /// The RDB file.
        file: PathBuf,
    },
    /// What a data set consists of: types, biggest keys, expiry, memory by prefix.
    Stats(StatsArgs),
}

#[derive(Debug, Args)]
struct AofArgs {
    /// Cut off what is damaged or unfinished. Each file is copied to `<file>.bak-<n>` before.
    #[arg(long, conflicts_with = "truncate_to_timestamp")]
    fix: bool,
    /// Cut off everything later than this time (seconds since 1970; needs `aof-timestamp-enabled`). Each file is copied before.
    #[arg(long, value_name = "TIMESTAMP")]
    truncate_to_timestamp: Option<i64>,
    /// Do not ask before files are changed.
    #[arg(long)]
    yes: bool,
    /// The folder, its manifest, or an append-only file.
    file: PathBuf,
}

#[derive(Debug, Args)]
struct StatsArgs {
    /// How many keys and prefixes to list.
    #[arg(long, default_value_t = 10)]
    top: usize,
    /// What ends a prefix.
    #[arg(long, default_value_t = ':')]
    delimiter: char,
    /// An RDB file, or an append-only folder or manifest, whose base is read.
    file: PathBuf,
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let called = args.first().and_then(|name| Path::new(name).file_name()?.to_str()).unwrap_or_default();
    let (command, usage) = match called {
        "redis-check-aof" => ("aof", "[--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>"),
        "redis-check-rdb" => ("rdb", "<rdb-file-name>"),
        _ => return run(Command::parse_from(args)),
    };
    if let Some("-v" | "--version") = args.get(1).and_then(|arg| arg.to_str()) {
        println!("{called} {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let args = [OsString::from(called), command.into()].into_iter().chain(args.iter().skip(1).cloned());
    match Command::try_parse_from(args) {
        Ok(command) => run(command),
        Err(_) => {
            println!("Usage: {called} {usage}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::Aof(args) => aof::check(&args),
        Command::Rdb { file } => rdb::check(&file),
        Command::Stats(args) => stats::print(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            println!("{text}");
            ExitCode::FAILURE
        }
    }
}
