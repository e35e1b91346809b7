//! Refusals of single values that their kind alone would take.

use crate::config::types::Reason;

fn ensure(holds: bool, otherwise: &'static str) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

pub(super) fn defragmentation(wanted: bool) -> Result<(), Reason> {
    ensure(
        !wanted,
        "Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified Jemalloc \
         like the one shipped by default with the Redis source distribution",
    )
}

pub(super) fn daemonize(wanted: bool) -> Result<(), Reason> {
    ensure(
        !wanted,
        "Corelane stays in the foreground, set 'daemonize no' and let systemd or a shell put it in the background",
    )
}

/// Taking an ACL file and not enforcing it would open the server.
pub(super) fn acl_file(path: &[u8]) -> Result<(), Reason> {
    ensure(path.is_empty(), "Corelane does not read ACL files yet, remove 'aclfile'")
}

pub(super) fn db_filename(name: &[u8]) -> Result<(), Reason> {
    ensure(is_base_name(name), "dbfilename can't be a path, just a filename")
}

pub(super) fn aof_filename(name: &[u8]) -> Result<(), Reason> {
    ensure(!name.is_empty(), "appendfilename can't be empty")?;
    ensure(is_base_name(name), "appendfilename can't be a path, just a filename")
}

pub(super) fn aof_dirname(name: &[u8]) -> Result<(), Reason> {
    ensure(!name.is_empty(), "appenddirname can't be empty")?;
    ensure(is_base_name(name), "appenddirname can't be a path, just a dirname")
}

pub(super) fn aof_dir(path: &[u8]) -> Result<(), Reason> {
    ensure(path.is_empty() || path.starts_with(b"/"), "aof-dir must be empty or an absolute path")
}

fn is_base_name(name: &[u8]) -> bool {
    !name.iter().any(|byte| matches!(byte, b'/' | b'\\'))
}

pub(super) fn hostname(name: &[u8]) -> Result<(), Reason> {
    ensure(name.len() < 256, "Hostnames must be less than 256 characters")?;
    ensure(
        name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')),
        "Hostnames may only contain alphanumeric characters, hyphens or dots",
    )
}

pub(super) fn node_name(name: &[u8]) -> Result<(), Reason> {
    const FORBIDDEN: &[u8] = b"!#$%&()*+:;<>?@[]^{|}~";
    ensure(
        !name.iter().any(|byte| FORBIDDEN.contains(byte)),
        "Announced human node name contained invalid character",
    )
}

/// Variables of the process title must be known, and something must be left of it if those that may be empty
/// are. `{{` is a brace.
pub(super) fn title_template(template: &[u8]) -> Result<(), Reason> {
    let shows = shows_something(&String::from_utf8_lossy(template));
    ensure(shows == Some(true), "template format is invalid or contains unknown variables")
}

/// Whether a title is more than blanks; `None` if it is malformed.
fn shows_something(mut template: &str) -> Option<bool> {
    let mut shows = false;
    while let Some((before, after)) = template.split_once('{') {
        shows |= !before.trim().is_empty();
        template = match after.strip_prefix('{') {
            Some(rest) => {
                shows = true;
                rest
            }
            None => {
                let (variable, rest) = after.split_once('}')?;
                shows |= match variable {
                    "listen-addr" | "server-mode" | "port" | "tls-port" => true,
                    "title" | "unixsocket" | "config-file" => false,
                    _ => return None,
                };
                rest
            }
        };
    }
    Some(shows || !template.trim().is_empty())
}
