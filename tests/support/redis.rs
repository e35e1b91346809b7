//! Stock `redis-server`, the reference that replies are compared with.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::server::Server;

/// Names another reference server than the `redis-server` in PATH.
pub const REFERENCE: &str = "CORELANE_DIFF_REFERENCE";

/// Starts the reference server, in memory only, with `args` added to its command line. A missing
/// program fails the test: a comparison that silently compares nothing is worse than none.
pub fn start<T: AsRef<OsStr>>(args: &[T]) -> Server {
    let program = program();
    let in_memory = ["--save", "", "--appendonly", "no"].map(OsString::from);
    let all: Vec<OsString> =
        in_memory.into_iter().chain(args.iter().map(|arg| arg.as_ref().to_owned())).collect();
    Server::launch(&program, &all)
}

fn program() -> OsString {
    if let Some(program) = env::var_os(REFERENCE) {
        return program;
    }
    let found = env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| is_program(&folder.join("redis-server"))));
    assert!(
        found,
        "redis-server is not installed: this test compares with it. On Debian and Ubuntu it is in the package \
         redis-server (apt-get install redis-server); {REFERENCE} can name another one."
    );
    "redis-server".into()
}

fn is_program(path: &Path) -> bool {
    path.is_file()
}
