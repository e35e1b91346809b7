//! The subcommands of `CLIENT` that concern the connection that calls
//! (redis.io/docs/latest/commands/client).

use crate::admin::{Cx, Flow, clients};
use crate::command::help;
use crate::net::client::ReplyMode;
use crate::protocol::Error;

/// `CLIENT ID`.
///
/// # Errors
/// None.
pub fn id(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let id = cx.client().id;
    cx.reply.int(id as i64);
    Ok(Flow::Done)
}

/// `CLIENT GETNAME`.
///
/// # Errors
/// None.
pub fn get_name(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    // Not by `cx.client()`: the reply is written while the name is borrowed.
    match cx.core.clients.get(cx.conn).map(|client| &client.session.name) {
        Some(name) if !name.is_empty() => cx.reply.bulk(name),
        _ => cx.reply.null(),
    }
    Ok(Flow::Done)
}

/// `CLIENT SETNAME name`.
///
/// # Errors
/// Characters that would break the format of `CLIENT LIST`.
pub fn set_name(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    cx.client().session.name = clients::checked_name(cx.args[2])?.to_vec();
    cx.reply.ok();
    Ok(Flow::Done)
}

/// `CLIENT SETINFO LIB-NAME|LIB-VER value`.
///
/// # Errors
/// Another attribute, or characters that would break the format of `CLIENT LIST`.
pub fn set_info(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let (attribute, value) = (cx.args[2], cx.args[3]);
    let shown = || String::from_utf8_lossy(attribute);
    let session = &mut cx.client().session;
    let field = if attribute.eq_ignore_ascii_case(b"lib-name") {
        &mut session.lib_name
    } else if attribute.eq_ignore_ascii_case(b"lib-ver") {
        &mut session.lib_ver
    } else {
        return Err(format!("ERR Unrecognized option '{}'", shown()).into());
    };
    if !clients::is_plain(value) {
        let text = format!("ERR {} cannot contain spaces, newlines or special characters.", shown());
        return Err(text.into());
    }
    *field = value.to_vec();
    cx.reply.ok();
    Ok(Flow::Done)
}

/// `CLIENT REPLY ON|OFF|SKIP`.
///
/// # Errors
/// Another mode.
pub fn reply(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let word = cx.args[2];
    let mode = &mut cx.client().session.reply_mode;
    if word.eq_ignore_ascii_case(b"on") {
        *mode = ReplyMode::On;
        cx.reply.ok();
    } else if word.eq_ignore_ascii_case(b"off") {
        *mode = ReplyMode::Off;
    } else if !word.eq_ignore_ascii_case(b"skip") {
        return Err(Error::Syntax);
    } else if *mode != ReplyMode::Off {
        *mode = ReplyMode::SkipNext;
    }
    Ok(Flow::Done)
}

/// `CLIENT DURABILITY ALWAYS|RELAXED|DEFAULT`: whether replies wait until what they tell is on stable storage, whatever
/// `appendfsync` says. Of Corelane's own.
///
/// # Errors
/// Another mode.
pub fn durability(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let modes = [("always", Some(true)), ("relaxed", Some(false)), ("default", None)];
    let mode = modes.iter().find(|(word, _)| cx.args[2].eq_ignore_ascii_case(word.as_bytes()));
    cx.client().session.durable = mode.ok_or(Error::Syntax)?.1;
    cx.reply.ok();
    Ok(Flow::Done)
}

/// `CLIENT NO-EVICT ON|OFF`.
///
/// # Errors
/// Another word.
pub fn no_evict(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    cx.client().session.no_evict = on_or_off(cx.args[2])?;
    cx.reply.ok();
    Ok(Flow::Done)
}

/// `CLIENT NO-TOUCH ON|OFF`.
///
/// # Errors
/// Another word.
pub fn no_touch(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    cx.client().session.no_touch = on_or_off(cx.args[2])?;
    cx.reply.ok();
    Ok(Flow::Done)
}

fn on_or_off(word: &[u8]) -> Result<bool, Error> {
    if word.eq_ignore_ascii_case(b"on") {
        Ok(true)
    } else if word.eq_ignore_ascii_case(b"off") {
        Ok(false)
    } else {
        Err(Error::Syntax)
    }
}

/// `CLIENT HELP`.
///
/// # Errors
/// None.
pub fn help(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    help::help(cx.args, &mut cx.reply)?;
    Ok(Flow::Done)
}
