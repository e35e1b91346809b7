//! `HELP` of container commands, in Redis's form, made from the rows of the table: for each subcommand its
//! grammar on one line and its summary, indented, on the next.

use crate::command::lookup::{self, quoted};
use crate::command::spec::Spec;
use crate::command::syntax::{self, Arg, Kind};
use crate::protocol::Error;
use crate::protocol::resp::Reply;

/// Writes the reply of `<container> HELP`. `args` is the request.
///
/// # Errors
/// If the container is none, which a request that was resolved cannot have.
pub fn help(args: &[&[u8]], reply: &mut Reply) -> Result<(), Error> {
    let lookup = lookup::shared();
    let container = args.first().and_then(|name| lookup.lookup(name)).map(|id| lookup.get(id));
    let container = container.ok_or_else(|| subcommand_error(args))?;

    let mut lines = vec![format!(
        "{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        container.full_name.to_ascii_uppercase()
    )];
    let mut describe = |usage: String, summary: &str| lines.extend([usage, format!("    {summary}")]);
    if container.spec().takes(1) {
        describe("(no subcommand)".to_owned(), container.spec().summary);
    }
    for Spec { name, keys, syntax, summary, .. } in
        container.entry.subcommands.iter().map(|entry| &entry.spec)
    {
        if *name != "help" {
            describe(usage(name, &syntax::parse(syntax, keys.len())), summary);
        }
    }
    for (syntax, summary) in container.entry.unlisted {
        let (name, arguments) = syntax.split_once(' ').unwrap_or((syntax, ""));
        describe(usage(name, &syntax::parse(arguments, 0)), summary);
    }
    describe("HELP".to_owned(), "Print this help.");

    reply.array(lines.len());
    lines.iter().for_each(|line| reply.status(line));
    Ok(())
}

/// The error of a container that tells its subcommands apart by itself, for a subcommand that it does not
/// know or that has the wrong number of arguments.
pub fn subcommand_error(args: &[&[u8]]) -> Error {
    let word = |index| args.get(index).copied().unwrap_or_default();
    let container = String::from_utf8_lossy(word(0)).to_uppercase();
    let subcommand = quoted(word(1), 128);
    format!("ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try {container} HELP.")
        .into()
}

/// `NAME <value> [KEYWORD <value>] (A|B)`.
fn usage(name: &str, args: &[Arg]) -> String {
    let mut text = name.to_ascii_uppercase();
    for arg in args {
        text.push(' ');
        text.push_str(&form(arg));
    }
    text
}

fn form(arg: &Arg) -> String {
    let value = match arg.kind {
        Kind::PureToken => String::new(),
        Kind::OneOf => join(&arg.args, "|"),
        Kind::Block => join(&arg.args, " "),
        _ => format!("<{}>", arg.display),
    };
    let grouped = arg.kind == Kind::OneOf && (!arg.optional || arg.token.is_some());
    let value = if grouped { format!("({value})") } else { value };
    let mut text = match arg.token {
        Some(token) if value.is_empty() => token.to_owned(),
        Some(token) => format!("{token} {value}"),
        None => value.clone(),
    };
    if arg.multiple {
        let again = if arg.multiple_token || arg.token.is_none() { text.clone() } else { value };
        text = format!("{text} [{again} ...]");
    }
    if arg.optional { format!("[{text}]") } else { text }
}

fn join(args: &[Arg], separator: &str) -> String {
    args.iter().map(form).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::resp::Resp;

    fn lines(container: &str) -> Vec<String> {
        let mut out = Vec::new();
        help(&[container.as_bytes(), b"help"], &mut Reply::new(&mut out, Resp::V2)).unwrap();
        String::from_utf8(out).unwrap().split("\r\n").skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn help_has_the_form_of_redis() {
        let lines = lines("object");
        assert_eq!(lines[0], "+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
        assert_eq!(lines[1], "+ENCODING <key>");
        assert!(lines[2].starts_with("+    "));
        assert_eq!(lines[lines.len() - 3..], ["+HELP", "+    Print this help.", ""]);
    }

    #[test]
    fn every_container_has_help() {
        for command in lookup::shared().containers_and_commands() {
            if command.is_container() || !command.entry.unlisted.is_empty() {
                let described =
                    command.entry.subcommands.iter().filter(|sub| sub.spec.name != "help").count()
                        + command.entry.unlisted.len();
                assert!(lines(command.full_name).len() >= 2 * described + 4, "{}", command.full_name);
            }
        }
        assert_eq!(lines("command")[1], "+(no subcommand)");
    }

    #[test]
    fn grammars_are_abridged() {
        let usage = |syntax| usage("x", &syntax::parse(syntax, 0));
        assert_eq!(usage("timeout mode: [WRITE | ALL]@6.2.0"), "X <timeout> [WRITE|ALL]");
        assert_eq!(usage("action: <ON | OFF | SKIP>"), "X (ON|OFF|SKIP)");
        assert_eq!(usage("[event [event ...]]"), "X [<event> [<event> ...]]");
        assert_eq!(
            usage("parameter value data: [parameter value ...]"),
            "X <parameter> <value> [<parameter> <value> ...]"
        );
        assert_eq!(usage("[ID client-id [client-id ...]]"), "X [ID <client-id> [<client-id> ...]]");
        assert_eq!(usage("[kind: TYPE <A | B>]"), "X [TYPE (A|B)]");
    }

    #[test]
    fn unknown_subcommands() {
        assert_eq!(
            subcommand_error(&[b"debug", b"foo"]).to_string(),
            "ERR unknown subcommand or wrong number of arguments for 'foo'. Try DEBUG HELP."
        );
    }
}
