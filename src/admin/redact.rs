//! Arguments that must not be shown: passwords are replaced before a request reaches `MONITOR` or the slow log.

use crate::command::lookup::Command;
use crate::config::get_set;
use crate::route::message::Args;

const REDACTED: &[u8] = b"(redacted)";

/// The arguments of a request with its secrets replaced.
pub fn redacted<'a>(command: &Command, args: &[&'a [u8]]) -> Args<'a> {
    let mut shown = Args::from_slice(args);
    match command.full_name {
        "auth" => shown[1..].fill(REDACTED),
        "hello" => redact_login(&mut shown[1..]),
        "config|set" => shown[2..]
            .chunks_exact_mut(2)
            .filter(|pair| get_set::is_sensitive(pair[0]))
            .for_each(|pair| pair[1] = REDACTED),
        _ => {}
    }
    shown
}

/// Replaces user and password behind `AUTH` in the options of `HELLO`.
fn redact_login(options: &mut [&[u8]]) {
    let mut at = 1;
    while let Some(word) = options.get(at) {
        if word.eq_ignore_ascii_case(b"auth") && at + 2 < options.len() {
            options[at + 1..at + 3].fill(REDACTED);
            at += 3;
        } else if word.eq_ignore_ascii_case(b"setname") {
            at += 2;
        } else {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::lookup;

    fn shown(request: &str) -> String {
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let command = lookup::shared().find(&args).unwrap();
        String::from_utf8(redacted(command, &args).join(&b' ')).unwrap()
    }

    #[test]
    fn secrets_are_replaced_and_nothing_else() {
        assert_eq!(shown("auth p"), "auth (redacted)");
        assert_eq!(shown("AUTH u p"), "AUTH (redacted) (redacted)");
        assert_eq!(shown("hello 3 setname auth AUTH u p"), "hello 3 setname auth AUTH (redacted) (redacted)");
        assert_eq!(shown("hello 3 auth u"), "hello 3 auth u");
        assert_eq!(shown("hello"), "hello");
        assert_eq!(
            shown("config set maxclients 5 requirepass p"),
            "config set maxclients 5 requirepass (redacted)"
        );
        assert_eq!(shown("set auth p"), "set auth p");
    }
}
