//! Commands about the session of the connection that calls: authentication, protocol version, database
//! (redis.io/docs/latest/commands, group "connection").

use crate::admin::{Cx, Flow, clients, monitor, pubsub, tracking};
use crate::base::number;
use crate::config::REDIS_VERSION;
use crate::core::state::CoreState;
use crate::net::client::{ReplyMode, Session};
use crate::protocol::Error;
use crate::protocol::resp::Resp;

/// The only user there is: `requirepass` sets its password.
pub const DEFAULT_USER: &[u8] = b"default";

const WRONG_PASSWORD: Error = Error::text("WRONGPASS invalid username-password pair or user is disabled.");
const NO_PASSWORD: Error = Error::text(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration \
     is correct?",
);
const HELLO_BEFORE_AUTH: Error = Error::text(
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
     <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
);

/// `AUTH [user] password`.
///
/// # Errors
/// A wrong user or password, or a password where none is set.
pub fn auth(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    match *cx.args {
        [_, _] if !cx.core.hot.password => return Err(NO_PASSWORD),
        [_, password] => log_in(cx, DEFAULT_USER, password)?,
        [_, user, password] => log_in(cx, user, password)?,
        _ => return Err(Error::Syntax),
    }
    cx.reply.ok();
    Ok(Flow::Done)
}

fn log_in(cx: &mut Cx<'_>, user: &[u8], password: &[u8]) -> Result<(), Error> {
    let wanted = &cx.core.config.requirepass;
    if user != DEFAULT_USER || (cx.core.hot.password && !same_secret(wanted, password)) {
        return Err(WRONG_PASSWORD);
    }
    cx.client().session.authenticated = true;
    Ok(())
}

/// Compares in a time that does not depend on where the two differ.
fn same_secret(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && std::hint::black_box(difference) == 0
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`.
///
/// # Errors
/// An unknown version or option, an invalid name, a wrong password, or none where one is required.
pub fn hello(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let version = cx.args.get(1).map(|version| protocol_version(version)).transpose()?;
    let (mut login, mut name) = (None, None);
    let mut rest = cx.args.get(2..).unwrap_or_default();
    loop {
        rest = match *rest {
            [] => break,
            [word, user, password, ref after @ ..] if word.eq_ignore_ascii_case(b"auth") => {
                login = Some((user, password));
                after
            }
            [word, text, ref after @ ..] if word.eq_ignore_ascii_case(b"setname") => {
                name = Some(clients::checked_name(text)?);
                after
            }
            [word, ..] => {
                let word = String::from_utf8_lossy(word);
                return Err(format!("ERR Syntax error in HELLO option '{word}'").into());
            }
        };
    }
    if let Some((user, password)) = login {
        log_in(cx, user, password)?;
    }
    let session = &mut cx.client().session;
    if !session.authenticated {
        return Err(HELLO_BEFORE_AUTH);
    }
    session.name = name.map_or_else(|| std::mem::take(&mut session.name), <[u8]>::to_vec);
    session.resp = version.unwrap_or(session.resp);
    greet(cx);
    Ok(Flow::Done)
}

fn protocol_version(text: &[u8]) -> Result<Resp, Error> {
    match number::parse_i64(text) {
        Some(2) => Ok(Resp::V2),
        Some(3) => Ok(Resp::V3),
        Some(_) => Err(Error::text("NOPROTO unsupported protocol version")),
        None => Err(Error::text("ERR Protocol version is not an integer or out of range")),
    }
}

/// The reply of `HELLO`, in the version that it has chosen.
fn greet(cx: &mut Cx<'_>) {
    let client = cx.client();
    let (id, resp) = (client.id, client.session.resp);
    let reply = &mut cx.reply;
    reply.set_resp(resp);
    reply.map(7);
    reply.bulk("server");
    reply.bulk("redis");
    reply.bulk("version");
    reply.bulk(REDIS_VERSION);
    reply.bulk("proto");
    reply.int(if resp == Resp::V3 { 3 } else { 2 });
    reply.bulk("id");
    reply.int(id as i64);
    reply.bulk("mode");
    reply.bulk("standalone");
    reply.bulk("role");
    reply.bulk("master");
    reply.bulk("modules");
    reply.array(0);
}

/// `PING [message]`.
///
/// # Errors
/// More than one message.
pub fn ping(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let listens = cx.client().only_listens();
    match *cx.args {
        [_, ref message @ ..] if listens && message.len() <= 1 => {
            // In the form of a message.
            cx.reply.array(2);
            cx.reply.bulk("pong");
            cx.reply.bulk(message.first().unwrap_or(&&b""[..]));
        }
        [_] => cx.reply.status("PONG"),
        [_, message] => cx.reply.bulk(message),
        _ => return Err(Error::Arity(cx.command.full_name.into())),
    }
    Ok(Flow::Done)
}

/// `ECHO message`.
///
/// # Errors
/// None.
pub fn echo(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    cx.reply.bulk(cx.args[1]);
    Ok(Flow::Done)
}

/// `QUIT`.
///
/// # Errors
/// None.
pub fn quit(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    cx.client().close_after_reply = true;
    cx.reply.ok();
    Ok(Flow::Done)
}

/// `RESET`: the session as it was when the connection was new, except for what the client library told about itself.
///
/// # Errors
/// None.
pub fn reset(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    cx.core.unwatch(cx.conn);
    tracking::end(cx.core, cx.conn);
    let fresh = new_session(cx.core);
    let session = &mut cx.client().session;
    let old = std::mem::replace(session, fresh);
    (session.lib_name, session.lib_ver) = (old.lib_name, old.lib_ver);
    if old.reply_mode == ReplyMode::Skip {
        session.reply_mode = ReplyMode::Skip;
    }
    if old.monitor {
        monitor::announce(cx.core);
    }
    cx.reply.set_resp(Resp::V2);
    cx.reply.status("RESET");
    let ended = cx.core.pubsub.unsubscribe_all(cx.conn);
    Ok(pubsub::settle(cx, ended))
}

/// The session of a new connection.
pub fn new_session(core: &CoreState) -> Session {
    Session { authenticated: !core.hot.password, ..Session::default() }
}

/// `SELECT index`.
///
/// # Errors
/// No number, or not that of a database.
pub fn select(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let index = number::parse_i64(cx.args[1]).ok_or(Error::NotInteger)?;
    let index = i32::try_from(index).map_err(|_| {
        Error::from(format!("ERR value is out of range, value must between {} and {}", i32::MIN, i32::MAX))
    })?;
    let index = u16::try_from(index).ok().filter(|&index| u32::from(index) < cx.core.config.databases);
    cx.client().session.db = index.ok_or(Error::DbIndex)?;
    cx.reply.ok();
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_equal_only_in_full() {
        assert!(same_secret(b"", b"") && same_secret(b"secret", b"secret"));
        for other in [&b"secreT"[..], b"secre", b"secrets", b""] {
            assert!(!same_secret(b"secret", other));
        }
    }

    #[test]
    fn there_are_two_protocol_versions() {
        assert_eq!(protocol_version(b"2"), Ok(Resp::V2));
        assert_eq!(protocol_version(b"3"), Ok(Resp::V3));
        assert!(protocol_version(b"4").unwrap_err().to_string().starts_with("NOPROTO"));
        assert!(protocol_version(b"x").unwrap_err().to_string().contains("not an integer"));
    }
}
