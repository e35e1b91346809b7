//! The rules of the source tree that a compiler does not check: where `unsafe` and `io_uring` may stand, which
//! way dependencies point, how files begin and how long they may get.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The files that may hold `unsafe`.
const UNSAFE_FILES: &[&str] = &[
    "runtime/ring.rs",
    "runtime/buffer.rs",
    "runtime/alloc.rs",
    "runtime/cpu.rs",
    "shard/item.rs",
    "shard/table.rs",
    "shard/values/scored.rs",
    "shard/prefetch.rs",
    "script/lib/raise.rs",
    "script/fiber.rs",
    "script/state.rs",
];
/// The files that may name the `io_uring` crate.
const RING_FILES: &[&str] = &["runtime/ring.rs", "runtime/buffer.rs"];
/// Lines of a file, tests included.
const MAX_LINES: usize = 900;
/// Within how many lines `#![allow(unsafe_code)]` must stand.
const ALLOW_WITHIN: usize = 40;

/// Which top-level module may name which others, from the lowest to the highest: a row names rows above it only. An entry
/// such as `protocol::Error` allows just that item. A module that is missing here fails the test: whoever adds one
/// decides where it stands. `lib.rs` and `bin/` may name everything. ARCHITECTURE.md, "Layers", tells the reasons.
const MAY_USE: &[(&str, &[&str])] = &[
    // Knows bytes and numbers.
    ("base", &[]),
    // Knows cores, bytes and time; no RESP, key or command.
    ("runtime", &["base"]),
    // Who listens to which channels; no client, no message.
    ("pubsub", &["runtime", "base"]),
    // Who caches which keys; no client, no message.
    ("tracking", &["runtime", "base"]),
    // Knows RESP; no socket.
    ("protocol", &["base"]),
    // Parameters are refused with the errors that clients see.
    ("config", &["protocol", "base"]),
    // Values. What a client got wrong in an argument for one of them is an error with Redis' text.
    ("types", &["protocol::Error", "base"]),
    ("shard", &["types", "base"]),
    // Logs in memory and on disk: what commands have done, without knowing any.
    ("aof", &["shard", "config::AppendFsync", "runtime", "protocol", "base"]),
    // Values in the form of files and dumps.
    ("rdb", &["shard", "types", "base"]),
    // Handlers on keys: arguments, one shard, a reply.
    ("execute", &["rdb", "shard", "types", "protocol", "base"]),
    // What a command is; which ones there are is read from the table (see UPWARD).
    ("command", &["protocol", "base"]),
    // The only place that names handlers.
    ("command_table", &["command", "execute", "protocol", "base"]),
    // Scripts and what they run in; commands are only looked up, what drives scripts runs them.
    ("script", &["command", "rdb", "config", "protocol", "base"]),
    // Counters and logs, and the text of INFO.
    ("observe", &["command", "config", "runtime", "base"]),
    // The messages between cores carry entries, sockets, counters and parts of logs.
    (
        "route",
        &["command", "observe", "aof::frame", "shard", "protocol", "pubsub", "tracking", "runtime", "base"],
    ),
    ("txn", &["route", "command", "shard", "protocol", "runtime"]),
    // Sessions and buffers of clients.
    ("net", &["command", "protocol", "pubsub", "tracking", "runtime", "base"]),
    // Jobs on files, done by a thread of their own; what is written is bytes to it.
    ("storage", &["aof::store", "rdb", "runtime"]),
    // What all cores know of snapshots.
    ("snapshots", &["storage", "route", "runtime"]),
    // What all cores share.
    (
        "shared",
        &[
            "snapshots",
            "storage",
            "rdb",
            "net",
            "script",
            "route",
            "observe",
            "aof",
            "shard",
            "config",
            "runtime",
        ],
    ),
    // Handlers on sessions and the server: a client, its core's state, questions to other cores.
    (
        "admin",
        &[
            "shared",
            "snapshots",
            "storage",
            "net",
            "route",
            "script",
            "observe",
            "command",
            "execute",
            "shard",
            "config",
            "protocol",
            "pubsub",
            "tracking",
            "runtime",
            "base",
        ],
    ),
    (
        "core",
        &[
            "admin",
            "shared",
            "snapshots",
            "storage",
            "aof",
            "rdb",
            "net",
            "txn",
            "route",
            "script",
            "observe",
            "command_table",
            "command",
            "execute",
            "shard",
            "config",
            "protocol",
            "pubsub",
            "tracking",
            "runtime",
            "base",
        ],
    ),
    (
        "server",
        &[
            "core", "shared", "storage", "aof", "rdb", "net", "route", "command", "observe", "shard",
            "config", "runtime", "base",
        ],
    ),
];
/// Dependencies against that order, each for a reason: the table of commands is data that names functions, and what
/// runs commands both reads it and is named by it.
const UPWARD: &[(&str, &str)] = &[
    // Commands are looked up in the table.
    ("command", "command_table"),
    // The table names the handlers on sessions.
    ("command_table", "admin"),
    // Those handlers change what a core knows, but they do no I/O and cannot see the turn.
    ("admin", "core::state"),
];

#[test]
fn the_sources_keep_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 5, "found only {files:?}");
    let mut complaints = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a readable source file");
        let path = file.strip_prefix(&root).expect("a file under src").to_string_lossy().replace('\\', "/");
        complaints
            .extend(check(&path, &text).into_iter().map(|complaint| format!("src/{path}: {complaint}")));
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_layers_stand_one_on_the_other() {
    let place = |path: &str| {
        let module = top(path);
        MAY_USE.iter().position(|(name, _)| *name == module).unwrap_or_else(|| panic!("no row for {module}"))
    };
    for (module, uses) in MAY_USE {
        for used in *uses {
            assert!(place(used) < place(module), "{module} may use {used}, which stands above it");
        }
    }
    for (module, used) in UPWARD {
        assert!(place(used) > place(module), "{module} may use {used} anyway");
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a folder entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Everything wrong with the file at `path` (relative to `src`).
fn check(path: &str, text: &str) -> Vec<String> {
    let code = code_only(text);
    let mut complaints = Vec::new();
    check_form(text, &mut complaints);
    check_unsafe(path, text, &code, &mut complaints);
    if !RING_FILES.contains(&path) && !words(&code, "io_uring").is_empty() {
        complaints.push("names io_uring; only runtime/ring.rs and runtime/buffer.rs may".into());
    }
    check_dependencies(path, &code, &mut complaints);
    complaints
}

fn check_form(text: &str, complaints: &mut Vec<String>) {
    if !text.starts_with("//!") {
        complaints.push("does not begin with //! (what it holds, how, and its invariants)".into());
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        complaints.push(format!("has {lines} lines; at most {MAX_LINES} are allowed"));
    }
    for marker in ["TODO", "FIXME", "todo!", "unimplemented!"] {
        for (at, _) in text.match_indices(marker) {
            // "TODO" inside a longer word is no marker.
            let before = text[..at].chars().next_back();
            if !before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                complaints.push(format!("line {}: {marker}", line_of(text, at)));
            }
        }
    }
}

fn check_unsafe(path: &str, text: &str, code: &str, complaints: &mut Vec<String>) {
    let uses = words(code, "unsafe");
    if uses.is_empty() {
        return;
    }
    if !UNSAFE_FILES.contains(&path) {
        complaints.push(format!("line {}: unsafe, but the file is not in the list", line_of(code, uses[0])));
    }
    if !text.lines().take(ALLOW_WITHIN).any(|line| line.trim() == "#![allow(unsafe_code)]") {
        complaints.push("holds unsafe but does not open with #![allow(unsafe_code)]".into());
    }
    let lines: Vec<&str> = text.lines().collect();
    for at in uses {
        let next = code[at + "unsafe".len()..].trim_start();
        let line = line_of(code, at);
        if (next.starts_with('{') || next.starts_with("impl")) && !is_justified(&lines[..line - 1]) {
            complaints.push(format!("line {line}: unsafe without a `// SAFETY:` comment right above"));
        }
    }
}

/// Whether `above` ends with comment lines (attributes may follow them) that hold a `// SAFETY:` line.
fn is_justified(above: &[&str]) -> bool {
    let mut lines = above.iter().rev().map(|line| line.trim()).skip_while(|line| line.starts_with("#["));
    lines.by_ref().take_while(|line| line.starts_with("//")).any(|line| line.starts_with("// SAFETY:"))
}

fn check_dependencies(path: &str, code: &str, complaints: &mut Vec<String>) {
    let Some((module, depth)) = place(path) else { return };
    let Some((_, downward)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
        complaints.push(format!("module {module} has no row in MAY_USE of tests/tidy.rs"));
        return;
    };
    let upward = UPWARD.iter().filter(|(name, _)| *name == module).map(|(_, path)| *path);
    let allowed: Vec<&str> = downward.iter().copied().chain(upward).collect();
    // Unit tests may use what they like.
    let code = code.split("#[cfg(test)]\nmod tests").next().expect("split gives at least one part");
    let code = code.replace(&"super::".repeat(depth), "crate::");
    for used in crate_paths(&code) {
        if used == module || !MAY_USE.iter().any(|(name, _)| *name == used) {
            continue;
        }
        match allowed.iter().find(|path| top(path) == used) {
            None => complaints.push(format!("{module} must not use {used}")),
            Some(path) if *path != used && !keeps_to(&code, path) => {
                complaints.push(format!("{module} may use {path} only, not all of {used}"));
            }
            Some(_) => {}
        }
    }
}

/// The first name of a path.
fn top(path: &str) -> &str {
    path.split("::").next().expect("split gives at least one part")
}

/// Whether the code uses nothing of a module but `path`, and says so without a group in braces.
fn keeps_to(code: &str, path: &str) -> bool {
    let module = format!("crate::{}", top(path));
    let path = format!("crate::{path}");
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let starts = |text: &str, name: &str| {
        text.strip_prefix(name).is_some_and(|rest| !rest.chars().next().is_some_and(is_part))
    };
    let mut uses = code
        .match_indices(&module)
        .map(|(at, _)| &code[at..])
        .filter(|text| starts(text, &module))
        .peekable();
    uses.peek().is_some() && uses.all(|text| starts(text, &path))
}

/// The top-level module of a file and how many `super::` lead from the file to the crate's root.
/// `None` for `lib.rs`, `main.rs` and programs.
fn place(path: &str) -> Option<(&str, usize)> {
    let mut parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    if parts.last() == Some(&"mod") {
        parts.pop();
    }
    let module = *parts.first()?;
    (!["lib", "main", "bin"].contains(&module)).then_some((module, parts.len()))
}

/// The names that follow `crate::`, groups in braces included.
fn crate_paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group)),
            None => found.extend(head(rest)),
        }
    }
    found
}

/// The first names of the paths in a `use` group, given what follows its opening brace.
fn group_heads(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = Vec::new();
    let mut begins = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && !c.is_whitespace() => {
                heads.extend(head(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    heads
}

fn head(path: &str) -> Option<String> {
    let name: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// Where `word` stands in `code` as a word of its own.
fn words(code: &str, word: &str) -> Vec<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let stands_alone = |at: &usize| {
        !code[..*at].chars().next_back().is_some_and(is_part)
            && !code[at + word.len()..].chars().next().is_some_and(is_part)
    };
    code.match_indices(word).map(|(at, _)| at).filter(stands_alone).collect()
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The text with comments and the contents of literals blanked out. Line breaks stay where they are.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest, '"'),
            '\'' => character(rest),
            'r' if !code.ends_with(|c: char| c.is_alphanumeric() && c != 'b' || c == '_') => raw_string(rest),
            _ => 0,
        };
        if length == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    code
}

/// The length of the block comment (they nest) at the beginning of `text`.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the literal at the beginning of `text`, up to the closing `quote` that is not escaped.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the character literal at the beginning of `text`, 0 if it is a lifetime.
fn character(text: &str) -> usize {
    let mut following = text.chars().skip(1);
    match (following.next(), following.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(text, '\''),
        _ => 0,
    }
}

/// The length of the raw string at the beginning of `text`, 0 if it is none.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    let Some(body) = text[1 + hashes..].strip_prefix('"') else { return 0 };
    let end = format!("\"{}", "#".repeat(hashes));
    body.find(&end).map_or(text.len(), |at| text.len() - body.len() + at + end.len())
}

/// Each rule must be able to fail.
mod rules {
    use super::*;

    fn complaints(path: &str, text: &str) -> String {
        check(path, &format!("//! A file.\n{text}")).join("\n")
    }

    #[test]
    fn a_good_file_passes() {
        let text = "use crate::types::{self, Value};\nuse super::slot;\n// unsafe, io_uring: words only\n\
            const TEXT: &str = \"unsafe { io_uring::x }\";\nfn quote<'a>(c: char) -> bool { c == '\"' }\n";
        assert_eq!(complaints("shard/dict.rs", text), "");
        let text = "#![allow(unsafe_code)]\nfn f() {\n    // SAFETY: the table\n    // is not empty.\n    unsafe { g() }\n}\n";
        assert_eq!(complaints("shard/table.rs", text), "");
        assert_eq!(complaints("runtime/ring.rs", "use io_uring::IoUring;\n"), "");
        assert_eq!(complaints("bin/corelane.rs", "use corelane::server;\n"), "");
    }

    #[test]
    fn unsafe_needs_its_file_its_attribute_and_its_reason() {
        let block = "fn f() {\n    unsafe { g() }\n}\n";
        assert!(complaints("net/session.rs", block).contains("not in the list"));
        assert!(complaints("shard/table.rs", block).contains("does not open with"));
        let allowed = format!("#![allow(unsafe_code)]\n{block}");
        assert_eq!(
            complaints("shard/table.rs", &allowed),
            "line 4: unsafe without a `// SAFETY:` comment right above"
        );
        assert!(
            complaints("shard/table.rs", "unsafe impl Send for X {}\n").contains("line 2: unsafe without")
        );
        let distant = allowed.replace("    unsafe", "    // SAFETY: fine.\n    let x = 1;\n    unsafe");
        assert!(complaints("shard/table.rs", &distant).contains("line 6: unsafe without"));
    }

    #[test]
    fn io_uring_stays_in_the_runtime() {
        assert!(complaints("net/listener.rs", "use io_uring::opcode;\n").contains("names io_uring"));
    }

    #[test]
    fn dependencies_point_one_way() {
        assert_eq!(complaints("base/glob.rs", "use crate::protocol::Error;\n"), "base must not use protocol");
        assert_eq!(
            complaints("shard/dict.rs", "fn f(x: crate::command::spec::Spec) {}\n"),
            "shard must not use command"
        );
        assert_eq!(
            complaints(
                "execute/string.rs",
                "use crate::{\n    shard::{Shard, Key},\n    net::Session,\n};\n"
            ),
            "execute must not use net"
        );
        assert_eq!(
            complaints("runtime/io.rs", "use super::super::protocol::resp;\n"),
            "runtime must not use protocol"
        );
        assert_eq!(complaints("runtime/mod.rs", "use super::shard;\n"), "runtime must not use shard");
        assert_eq!(complaints("net/mod.rs", "use crate::core::Core;\n"), "net must not use core");
        assert!(complaints("novel/mod.rs", "").contains("no row in MAY_USE"));
        assert_eq!(complaints("admin/info.rs", "use crate::core::state::{CoreState, Pause};\n"), "");
        assert_eq!(
            complaints("admin/info.rs", "use crate::core::state;\nuse crate::core::Core;\n"),
            "admin may use core::state only, not all of core"
        );
        assert!(
            complaints("types/lcs.rs", "use crate::{protocol::Errors};\n").contains("protocol::Error only")
        );
        let in_tests = "#[cfg(test)]\nmod tests {\n    use crate::protocol::Error;\n}\n";
        assert_eq!(complaints("base/glob.rs", in_tests), "");
    }

    #[test]
    fn files_are_finished_short_and_introduced() {
        for marker in ["// TODO: more", "// FIXME", "fn f() { todo!() }", "fn f() { unimplemented!() }"] {
            assert!(complaints("base/glob.rs", marker).starts_with("line 2: "), "{marker}");
        }
        assert!(complaints("base/glob.rs", &"\n".repeat(MAX_LINES)).contains("lines; at most"));
        assert!(check("base/glob.rs", "fn f() {}\n")[0].contains("does not begin with //!"));
    }
}
