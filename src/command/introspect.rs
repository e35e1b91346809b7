//! `COMMAND` and its subcommands (redis.io/docs/latest/commands/command): replies made from the table.
//!
//! Every function takes the whole request, name included, and its arity has been checked. Commands are
//! listed in the order of the table; Redis promises none.

use crate::base::glob;
use crate::command::keys;
use crate::command::lookup::{self, Command};
use crate::command::spec::{
    BeginSearch, Categories, FindKeys, Flags, Group, KeyFlags, KeyPos, KeySpec, Spec,
};
use crate::command::syntax::{self, Arg, Kind};
use crate::protocol::Error;
use crate::protocol::resp::Reply;

const FLAG_NAMES: [(Flags, &str); 19] = [
    (Flags::WRITE, "write"),
    (Flags::READONLY, "readonly"),
    (Flags::DENYOOM, "denyoom"),
    (Flags::ADMIN, "admin"),
    (Flags::PUBSUB, "pubsub"),
    (Flags::NOSCRIPT, "noscript"),
    (Flags::BLOCKING, "blocking"),
    (Flags::LOADING, "loading"),
    (Flags::STALE, "stale"),
    (Flags::SKIP_MONITOR, "skip_monitor"),
    (Flags::SKIP_SLOWLOG, "skip_slowlog"),
    (Flags::ASKING, "asking"),
    (Flags::FAST, "fast"),
    (Flags::NO_AUTH, "no_auth"),
    (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (Flags::NO_ASYNC_LOADING, "no_async_loading"),
    (Flags::NO_MULTI, "no_multi"),
    (Flags::MOVABLE_KEYS, "movablekeys"),
    (Flags::ALLOW_BUSY, "allow_busy"),
];

const KEY_FLAG_NAMES: [(KeyFlags, &str); 11] = [
    (KeyFlags::RO, "RO"),
    (KeyFlags::RW, "RW"),
    (KeyFlags::OW, "OW"),
    (KeyFlags::RM, "RM"),
    (KeyFlags::ACCESS, "access"),
    (KeyFlags::UPDATE, "update"),
    (KeyFlags::INSERT, "insert"),
    (KeyFlags::DELETE, "delete"),
    (KeyFlags::NOT_KEY, "not_key"),
    (KeyFlags::INCOMPLETE, "incomplete"),
    (KeyFlags::VARIABLE_FLAGS, "variable_flags"),
];

/// ACL categories with their names, in the order in which Redis lists them.
pub const CATEGORY_NAMES: [(Categories, &str); 21] = [
    (Categories::KEYSPACE, "keyspace"),
    (Categories::READ, "read"),
    (Categories::WRITE, "write"),
    (Categories::SET, "set"),
    (Categories::SORTEDSET, "sortedset"),
    (Categories::LIST, "list"),
    (Categories::HASH, "hash"),
    (Categories::STRING, "string"),
    (Categories::BITMAP, "bitmap"),
    (Categories::HYPERLOGLOG, "hyperloglog"),
    (Categories::GEO, "geo"),
    (Categories::STREAM, "stream"),
    (Categories::PUBSUB, "pubsub"),
    (Categories::ADMIN, "admin"),
    (Categories::FAST, "fast"),
    (Categories::SLOW, "slow"),
    (Categories::BLOCKING, "blocking"),
    (Categories::DANGEROUS, "dangerous"),
    (Categories::CONNECTION, "connection"),
    (Categories::TRANSACTION, "transaction"),
    (Categories::SCRIPTING, "scripting"),
];

/// `COMMAND`: [`info`] of everything.
///
/// # Errors
/// None.
pub fn command(_args: &[&[u8]], reply: &mut Reply) -> Result<(), Error> {
    let lookup = lookup::shared();
    reply.array(lookup.containers_and_commands().count());
    lookup.containers_and_commands().for_each(|command| write_info(command, reply));
    Ok(())
}

/// `COMMAND COUNT`.
///
/// # Errors
/// None.
pub fn count(_args: &[&[u8]], reply: &mut Reply) -> Result<(), Error> {
    reply.int(lookup::shared().containers_and_commands().count() as i64);
    Ok(())
}

/// `COMMAND INFO [name ...]`: null for a name that is none.
///
/// # Errors
/// None.
pub fn info(args: &[&[u8]], reply: &mut Reply) -> Result<(), Error> {
    let names = &args[2..];
    if names.is_empty() {
        return command(args, reply);
    }
    reply.array(names.len());
    for name in names {
        match lookup::shared().find_full_name(name) {
            Some(command) => write_info(command, reply),
            None => reply.null(),
        }
    }
    Ok(())
}

/// `COMMAND DOCS [name ...]`: names that are none are left out.
///
/// # Errors
/// None.
pub fn docs(args: &[&[u8]], reply: &mut Reply) -> Result<(), Error> {
    let lookup = lookup::shared();
    let named: Vec<_> = args[2..].iter().filter_map(|name| lookup.find_full_name(name)).collect();
    let commands = if args.len() == 2 { lookup.containers_and_commands().collect() } else { named };
    write_docs_of(&commands, reply);
    Ok(())
}

/// `COMMAND LIST [FILTERBY <MODULE name | ACLCAT category | PATTERN pattern>]`, subcommands included.
///
/// # Errors
/// A syntax error for anything else.
pub fn list(args: &[&[u8]], reply: &mut Reply) -> Result<(), Error> {
    let filter: Box<dyn Fn(&Command) -> bool> = match &args[2..] {
        [] => Box::new(|_| true),
        [filter_by, kind, wanted] if filter_by.eq_ignore_ascii_case(b"filterby") => {
            match kind.to_ascii_lowercase().as_slice() {
                // There are no modules, so no command belongs to one.
                b"module" => Box::new(|_| false),
                b"aclcat" => {
                    let category = category_named(wanted);
                    Box::new(move |command| command.categories.intersects(category))
                }
                b"pattern" => Box::new(|command| glob::matches(wanted, command.full_name.as_bytes(), true)),
                _ => return Err(Error::Syntax),
            }
        }
        _ => return Err(Error::Syntax),
    };
    let names: Vec<_> = lookup::shared().all().iter().filter(|command| filter(command)).collect();
    reply.array(names.len());
    names.iter().for_each(|command| reply.bulk(command.full_name));
    Ok(())
}

/// `COMMAND GETKEYS command [arg ...]`.
///
/// # Errors
/// Redis's for no command, a command without keys, and arguments that do not fit.
pub fn get_keys(args: &[&[u8]], reply: &mut Reply) -> Result<(), Error> {
    let request = &args[2..];
    let found = keys_of_request(request)?;
    reply.array(found.len());
    found.iter().for_each(|key| reply.bulk(request[key.index]));
    Ok(())
}

/// `COMMAND GETKEYSANDFLAGS command [arg ...]`.
///
/// # Errors
/// As [`get_keys`].
pub fn get_keys_and_flags(args: &[&[u8]], reply: &mut Reply) -> Result<(), Error> {
    let request = &args[2..];
    let found = keys_of_request(request)?;
    reply.array(found.len());
    for key in &found {
        reply.array(2);
        reply.bulk(request[key.index]);
        write_key_flags(key.flags, reply);
    }
    Ok(())
}

fn keys_of_request(request: &[&[u8]]) -> Result<smallvec::SmallVec<[KeyPos; 4]>, Error> {
    let command = lookup::shared().find(request).ok_or(Error::text("ERR Invalid command specified"))?;
    let spec = command.spec();
    if !keys::has_keys(spec) {
        return Err(Error::text("ERR The command has no key arguments"));
    }
    if !spec.takes(request.len()) {
        return Err(Error::text("ERR Invalid number of arguments specified for command"));
    }
    let found = keys::keys_of(spec, request)?;
    if found.is_empty() && !spec.flags.contains(Flags::NO_MANDATORY_KEYS) {
        return Err(Error::text("ERR Invalid arguments specified for command"));
    }
    Ok(found)
}

/// The category of that name, or none.
fn category_named(name: &[u8]) -> Categories {
    let named = |(_, candidate): &&(_, &str)| candidate.as_bytes().eq_ignore_ascii_case(name);
    CATEGORY_NAMES.iter().find(named).map_or(Categories::empty(), |(category, _)| *category)
}

fn write_info(command: &Command, reply: &mut Reply) {
    let spec = command.spec();
    reply.array(10);
    reply.bulk(command.full_name);
    reply.int(i64::from(spec.arity));
    write_names(&FLAG_NAMES, |flag| command.flags.contains(flag), "", reply);
    let (first, last, step) =
        command.key_range.map_or((0, 0, 0), |range| (range.first, range.last, range.step));
    reply.int(first as i64);
    reply.int(last as i64);
    reply.int(step as i64);
    write_names(&CATEGORY_NAMES, |category| command.categories.contains(category), "@", reply);
    write_tips(spec, reply);
    reply.set(spec.keys.len());
    spec.keys.iter().for_each(|key| write_key_spec(key, reply));
    let subcommands = lookup::shared().subcommands(command);
    // Redis answers with an empty set where there are none, and with an array otherwise.
    if subcommands.is_empty() {
        reply.set(0)
    } else {
        reply.array(subcommands.len())
    }
    subcommands.iter().for_each(|subcommand| write_info(subcommand, reply));
}

/// A set of the names whose flag is set.
fn write_names<F: Copy>(names: &[(F, &str)], is_set: impl Fn(F) -> bool, prefix: &str, reply: &mut Reply) {
    reply.set(names.iter().filter(|(flag, _)| is_set(*flag)).count());
    for (_, name) in names.iter().filter(|(flag, _)| is_set(*flag)) {
        reply.status(&format!("{prefix}{name}"));
    }
}

fn write_key_flags(flags: KeyFlags, reply: &mut Reply) {
    write_names(&KEY_FLAG_NAMES, |flag| flags.contains(flag), "", reply);
}

fn write_tips(spec: &Spec, reply: &mut Reply) {
    reply.set(spec.tips.len());
    spec.tips.iter().for_each(|tip| reply.bulk(tip));
}

fn write_key_spec(key: &KeySpec, reply: &mut Reply) {
    reply.map(3 + usize::from(!key.notes.is_empty()));
    if !key.notes.is_empty() {
        reply.bulk("notes");
        reply.bulk(key.notes);
    }
    reply.bulk("flags");
    write_key_flags(key.flags, reply);
    reply.bulk("begin_search");
    match key.begin {
        BeginSearch::Index(index) => write_search("index", &[("index", index as i64)], reply),
        BeginSearch::Keyword { keyword, from } => {
            write_search_head("keyword", 2, reply);
            reply.bulk("keyword");
            reply.bulk(keyword);
            reply.bulk("startfrom");
            reply.int(from as i64);
        }
        BeginSearch::Unknown => write_search("unknown", &[], reply),
    }
    reply.bulk("find_keys");
    match key.find {
        FindKeys::Range { last, step, limit } => write_search(
            "range",
            &[("lastkey", last as i64), ("keystep", step as i64), ("limit", limit as i64)],
            reply,
        ),
        FindKeys::KeyNum { count, first, step } => write_search(
            "keynum",
            &[("keynumidx", count as i64), ("firstkey", first as i64), ("keystep", step as i64)],
            reply,
        ),
        FindKeys::Unknown => write_search("unknown", &[], reply),
    }
}

fn write_search(kind: &str, fields: &[(&str, i64)], reply: &mut Reply) {
    write_search_head(kind, fields.len(), reply);
    for (name, value) in fields {
        reply.bulk(name);
        reply.int(*value);
    }
}

fn write_search_head(kind: &str, fields: usize, reply: &mut Reply) {
    reply.map(2);
    reply.bulk("type");
    reply.bulk(kind);
    reply.bulk("spec");
    reply.map(fields);
}

fn write_docs_of(commands: &[&Command], reply: &mut Reply) {
    reply.map(commands.len());
    for command in commands {
        reply.bulk(command.full_name);
        write_docs(command, reply);
    }
}

fn write_docs(command: &Command, reply: &mut Reply) {
    let spec = command.spec();
    let arguments = syntax::parse(spec.syntax, spec.keys.len());
    let system = spec.flags.contains(Flags::SYSTEM);
    let texts = [
        ("summary", spec.summary),
        ("since", spec.since),
        ("group", group_name(spec.group)),
        ("complexity", spec.complexity),
    ];
    let texts = texts.iter().filter(|(_, text)| !text.is_empty());
    reply.map(
        texts.clone().count()
            + usize::from(system || spec.deprecated.is_some())
            + 2 * usize::from(spec.deprecated.is_some())
            + usize::from(!spec.history.is_empty())
            + usize::from(!arguments.is_empty())
            + usize::from(command.is_container()),
    );
    for (name, text) in texts {
        reply.bulk(name);
        reply.bulk(text);
    }
    if system || spec.deprecated.is_some() {
        reply.bulk("doc_flags");
        let flags = [(spec.deprecated.is_some(), "deprecated"), (system, "syscmd")];
        write_names(&flags, |is_set| is_set, "", reply);
    }
    if let Some(deprecated) = spec.deprecated {
        reply.bulk("deprecated_since");
        reply.bulk(deprecated.since);
        reply.bulk("replaced_by");
        reply.bulk(deprecated.replaced_by);
    }
    if !spec.history.is_empty() {
        reply.bulk("history");
        reply.set(spec.history.len());
        for (version, change) in spec.history {
            reply.array(2);
            reply.bulk(version);
            reply.bulk(change);
        }
    }
    if !arguments.is_empty() {
        reply.bulk("arguments");
        write_arguments(&arguments, reply);
    }
    if command.is_container() {
        reply.bulk("subcommands");
        write_docs_of(&lookup::shared().subcommands(command).iter().collect::<Vec<_>>(), reply);
    }
}

fn write_arguments(arguments: &[Arg], reply: &mut Reply) {
    reply.array(arguments.len());
    for arg in arguments {
        let group = matches!(arg.kind, Kind::OneOf | Kind::Block);
        let flags =
            [(arg.optional, "optional"), (arg.multiple, "multiple"), (arg.multiple_token, "multiple_token")];
        let flagged = flags.iter().any(|(is_set, _)| *is_set);
        let texts = [("token", arg.token), ("since", arg.since), ("deprecated_since", arg.deprecated_since)];
        let texts = texts.iter().filter_map(|(name, text)| text.map(|text| (name, text)));
        // Every argument has a name, a type, and either members or a display text.
        reply.map(3 + usize::from(arg.key_spec.is_some()) + texts.clone().count() + usize::from(flagged));
        reply.bulk("name");
        reply.bulk(&arg.name);
        reply.bulk("type");
        reply.bulk(arg.kind.name());
        if !group {
            reply.bulk("display_text");
            reply.bulk(&arg.display);
        }
        if let Some(index) = arg.key_spec {
            reply.bulk("key_spec_index");
            reply.int(index as i64);
        }
        for (name, text) in texts {
            reply.bulk(name);
            reply.bulk(text);
        }
        if flagged {
            reply.bulk("flags");
            write_names(&flags, |is_set| is_set, "", reply);
        }
        if group {
            reply.bulk("arguments");
            write_arguments(&arg.args, reply);
        }
    }
}

/// The group's name in `COMMAND DOCS`.
pub fn group_name(group: Group) -> &'static str {
    match group {
        Group::Generic => "generic",
        Group::String => "string",
        Group::Bitmap => "bitmap",
        Group::List => "list",
        Group::Set => "set",
        Group::SortedSet => "sorted-set",
        Group::Hash => "hash",
        Group::Stream => "stream",
        Group::HyperLogLog => "hyperloglog",
        Group::Geo => "geo",
        Group::PubSub => "pubsub",
        Group::Transactions => "transactions",
        Group::Scripting => "scripting",
        Group::Connection => "connection",
        Group::Server => "server",
        Group::Cluster => "cluster",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::resp::Resp;

    type Handler = fn(&[&[u8]], &mut Reply) -> Result<(), Error>;

    fn run(handler: Handler, request: &str, resp: Resp) -> Result<String, String> {
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let mut out = Vec::new();
        handler(&args, &mut Reply::new(&mut out, resp)).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap().replace("\r\n", " "))
    }

    /// Reads one value and answers with what follows it.
    fn skip(reply: &str) -> &str {
        let (line, mut rest) = reply.split_once("\r\n").unwrap();
        let (marker, size) = line.split_at(1);
        let number = || size.parse::<usize>().unwrap();
        match marker {
            "$" if size != "-1" => &rest[number() + 2..],
            "*" | "~" | "%" => {
                (0..number() * if marker == "%" { 2 } else { 1 }).for_each(|_| rest = skip(rest));
                rest
            }
            _ => rest,
        }
    }

    #[test]
    fn replies_are_framed() {
        for resp in [Resp::V2, Resp::V3] {
            for (handler, args) in [
                (command as Handler, &[&b"command"[..]][..]),
                (info, &[b"command", b"info"]),
                (info, &[b"command", b"info", b"nosuch", b"client|kill"]),
                (docs, &[b"command", b"docs"]),
                (list, &[b"command", b"list"]),
            ] {
                let mut out = Vec::new();
                handler(args, &mut Reply::new(&mut out, resp)).unwrap();
                assert_eq!(skip(std::str::from_utf8(&out).unwrap()), "", "{args:?} {resp:?}");
            }
        }
    }

    #[test]
    fn info_of_get() {
        assert_eq!(
            run(info, "command info GET", Resp::V3).unwrap(),
            "*1 *10 $3 get :2 ~2 +readonly +fast :1 :1 :1 ~3 +@read +@string +@fast ~0 ~1 %3 $5 flags ~2 +RO \
             +access $12 begin_search %2 $4 type $5 index $4 spec %1 $5 index :1 \
             $9 find_keys %2 $4 type $5 range $4 spec %3 $7 lastkey :0 $7 keystep :1 $5 limit :0 ~0 "
        );
        assert_eq!(run(info, "command info nosuch get|set", Resp::V2).unwrap(), "*2 $-1 $-1 ");
    }

    #[test]
    fn docs_of_select() {
        let summary = lookup::shared().find_full_name(b"select").unwrap().spec().summary;
        assert_eq!(
            run(docs, "command docs nosuch select", Resp::V3).unwrap(),
            format!(
                "%1 $6 select %5 $7 summary ${} {summary} $5 since $5 1.0.0 $5 group $10 connection \
                 $10 complexity $4 O(1) $9 arguments *1 %3 $4 name $5 index $4 type $7 integer \
                 $12 display_text $5 index ",
                summary.len()
            )
        );
    }

    #[test]
    fn lists_are_filtered() {
        let list = |request: &str| run(list, request, Resp::V2);
        assert_eq!(list("command list filterby pattern GETB*").unwrap(), "*1 $6 getbit ");
        assert_eq!(
            list("command list filterby pattern *|Kill").unwrap(),
            "*3 $13 function|kill $11 script|kill $11 client|kill "
        );
        assert!(list("command list FILTERBY aclcat Bitmap").unwrap().contains("bitop"));
        assert_eq!(list("command list filterby aclcat nosuch").unwrap(), "*0 ");
        assert_eq!(list("command list filterby module json").unwrap(), "*0 ");
        for wrong in ["filterby", "filterby pattern", "filterby x y", "pattern x y", "filterby pattern a b"] {
            assert_eq!(list(&format!("command list {wrong}")).unwrap_err(), "ERR syntax error");
        }
    }

    #[test]
    fn keys_of_requests() {
        let keys = |request: &str| run(get_keys, request, Resp::V2);
        assert_eq!(keys("command getkeys mset a 1 b 2").unwrap(), "*2 $1 a $1 b ");
        assert_eq!(keys("command getkeys memory usage k").unwrap(), "*1 $1 k ");
        assert_eq!(keys("command getkeys nosuch k").unwrap_err(), "ERR Invalid command specified");
        assert_eq!(keys("command getkeys ping").unwrap_err(), "ERR The command has no key arguments");
        assert_eq!(
            keys("command getkeys get").unwrap_err(),
            "ERR Invalid number of arguments specified for command"
        );
        assert_eq!(
            run(get_keys_and_flags, "command getkeysandflags set k v get", Resp::V3).unwrap(),
            "*1 *2 $1 k ~3 +RW +access +update "
        );
    }
}
