//! Replies of commands as Lua values, and Lua values as replies (redis.io/docs/latest/develop/interact/programmability/lua-api,
//! "Data type conversion").
//!
//! What RESP3 has and Lua lacks is a table with one field that names the type: `ok`, `err`, `map`, `set`, `double`,
//! `big_number`, `verbatim_string`. Nothing here runs code of the script: metamethods are not looked at.

use super::sandbox::Slot;
use super::state::{Kind, Outcome, Raise, State};
use crate::base::number::{format_f64, parse_f64};
use crate::protocol::resp::{Reply, Resp};

/// Pushes the Lua value of one complete reply, as the server encodes them.
pub(super) fn push_reply(s: State, reply: &[u8]) -> Outcome {
    push_next(s, &mut { reply })?;
    Ok(1)
}

fn push_next(s: State, rest: &mut &[u8]) -> Result<(), Raise> {
    if !s.check_stack(6) {
        return push_stack_limit(s);
    }
    let line = take_line(rest);
    let (marker, text) = line.split_first().unwrap_or((&b'_', b""));
    match marker {
        b'$' => match length(text) {
            Some(len) => s.push_bytes(take_bulk(rest, len)),
            None => s.push_bool(false),
        },
        b':' => s.push_number(integer(text) as f64),
        b'+' => push_field(s, b"ok", text),
        b'-' => {
            push_error(s, line);
            push_ignore_mark(s);
        }
        b'*' => match length(text) {
            Some(len) => push_array(s, rest, len)?,
            None => s.push_bool(false),
        },
        b'%' => push_map(s, rest, length(text).unwrap_or(0))?,
        b'~' => push_set(s, rest, length(text).unwrap_or(0))?,
        b'#' => s.push_bool(text == b"t"),
        b',' => {
            s.new_table(0, 1);
            s.push_number(parse_double(text));
            s.raw_set_field(-2, b"double");
        }
        b'(' => push_field(s, b"big_number", text),
        b'=' => push_verbatim(s, take_bulk(rest, length(text).unwrap_or(0))),
        b'|' => {
            // Attributes are not shown to scripts.
            for _ in 0..2 * length(text).unwrap_or(0) {
                push_next(s, rest)?;
                s.pop(1);
            }
            push_next(s, rest)?;
        }
        _ => s.push_nil(),
    }
    Ok(())
}

fn push_array(s: State, rest: &mut &[u8], len: usize) -> Result<(), Raise> {
    s.new_table(len, 0);
    for index in 1..=len {
        push_next(s, rest)?;
        s.raw_set_index(-2, index as i32);
    }
    Ok(())
}

fn push_map(s: State, rest: &mut &[u8], len: usize) -> Result<(), Raise> {
    s.new_table(0, 1);
    s.new_table(0, len);
    for _ in 0..len {
        push_next(s, rest)?;
        push_next(s, rest)?;
        s.raw_set(-3);
    }
    s.raw_set_field(-2, b"map");
    Ok(())
}

fn push_set(s: State, rest: &mut &[u8], len: usize) -> Result<(), Raise> {
    s.new_table(0, 1);
    s.new_table(0, len);
    for _ in 0..len {
        push_next(s, rest)?;
        s.push_bool(true);
        s.raw_set(-3);
    }
    s.raw_set_field(-2, b"set");
    Ok(())
}

fn push_verbatim(s: State, content: &[u8]) {
    let (format, text) = content.split_at_checked(4).unwrap_or((b"txt:", content));
    s.new_table(0, 1);
    s.new_table(0, 2);
    s.push_bytes(text);
    s.raw_set_field(-2, b"string");
    s.push_bytes(&format[..3]);
    s.raw_set_field(-2, b"format");
    s.raw_set_field(-2, b"verbatim_string");
}

/// Pushes `{name = text}`.
fn push_field(s: State, name: &[u8], text: &[u8]) {
    s.new_table(0, 1);
    s.push_bytes(text);
    s.raw_set_field(-2, name);
}

fn push_stack_limit(s: State) -> Result<(), Raise> {
    push_error(s, b"reached lua stack limit");
    Err(Raise)
}

/// Pushes the table of an error: `-CODE text`, or a text alone, which gets the code `ERR`.
pub(super) fn push_error(s: State, text: &[u8]) {
    s.new_table(0, 1);
    let (code, message) = match text.strip_prefix(b"-") {
        Some(text) => match memchr::memchr(b' ', text) {
            Some(end) => (&text[..end], &text[end + 1..]),
            None => (&b"ERR"[..], text),
        },
        None => (&b"ERR"[..], text),
    };
    s.push_bytes(code);
    s.push_bytes(b" ");
    s.push_bytes(trim(message));
    s.concat(3);
    s.raw_set_field(-2, b"err");
}

/// Marks the error on top as one that has been counted: the command that failed did so.
pub(super) fn push_ignore_mark(s: State) {
    s.push_bool(true);
    s.raw_set_field(-2, b"ignore_error_stats_update");
}

fn trim(mut text: &[u8]) -> &[u8] {
    let is_break = |b: &u8| matches!(b, b'\r' | b'\n');
    while let Some((_, rest)) = text.split_first().filter(|(first, _)| is_break(first)) {
        text = rest;
    }
    while let Some((_, rest)) = text.split_last().filter(|(last, _)| is_break(last)) {
        text = rest;
    }
    text
}

fn take_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
    let line = &rest[..end];
    *rest = rest.get(end + 2..).unwrap_or_default();
    line
}

fn take_bulk<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let bulk = rest.get(..len).unwrap_or_default();
    *rest = rest.get(len + 2..).unwrap_or_default();
    bulk
}

fn integer(text: &[u8]) -> i64 {
    crate::base::number::parse_i64(text).unwrap_or(0)
}

fn length(text: &[u8]) -> Option<usize> {
    usize::try_from(integer(text)).ok()
}

fn parse_double(text: &[u8]) -> f64 {
    parse_f64(text).unwrap_or(f64::NAN)
}

/// Writes the value at the top of the stack as a reply and pops it. `script` is the protocol that the script has chosen; it
/// only decides how booleans are sent.
pub(super) fn write_reply(s: State, script: Resp, reply: &mut Reply<'_>) {
    if !s.check_stack(6) {
        reply.error_text("ERR reached lua stack limit");
        s.pop(1);
        return;
    }
    match s.kind(-1) {
        Kind::String => reply.bulk(s.bytes(-1).unwrap_or_default()),
        Kind::Boolean => match (script, s.truth(-1)) {
            (Resp::V2, true) => reply.int(1),
            (Resp::V2, false) => reply.null(),
            (Resp::V3, value) => reply.bool(value),
        },
        Kind::Number => reply.int(to_integer(s.number(-1).unwrap_or(0.0))),
        Kind::Table => write_table(s, script, reply),
        _ => reply.null(),
    }
    s.pop(1);
}

/// A double as C converts it to an integer: towards zero, and to the smallest integer if it does not fit.
fn to_integer(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) { number as i64 } else { i64::MIN }
}

/// Writes the table at the top of the stack and leaves it there.
fn write_table(s: State, script: Resp, reply: &mut Reply<'_>) {
    let table = s.top();
    if push_field_of(s, table, Slot::Err, Kind::String) {
        write_error(reply, &[s.bytes(-1).unwrap_or_default()]);
    } else if push_field_of(s, table, Slot::Ok, Kind::String) {
        write_line(reply, b'+', c_string(s.bytes(-1).unwrap_or_default()));
    } else if push_field_of(s, table, Slot::Double, Kind::Number) {
        reply.double_text(&format_f64(s.number(-1).unwrap_or(0.0)));
    } else if push_field_of(s, table, Slot::BigNumber, Kind::String) {
        write_big_number(reply, s.bytes(-1).unwrap_or_default());
    } else if push_field_of(s, table, Slot::VerbatimString, Kind::Table) && write_verbatim(s, reply) {
        // It is written.
    } else if push_field_of(s, table, Slot::Map, Kind::Table) {
        reply.map(count_pairs(s));
        s.push_nil();
        while s.next(-2) {
            s.push_value(-2);
            write_reply(s, script, reply);
            write_reply(s, script, reply);
        }
    } else if push_field_of(s, table, Slot::Set, Kind::Table) {
        reply.set(count_pairs(s));
        s.push_nil();
        while s.next(-2) {
            s.pop(1);
            s.push_value(-1);
            write_reply(s, script, reply);
        }
    } else {
        write_array(s, script, reply);
    }
    s.set_top(table);
}

/// Leaves nothing above the table but its field, if that is of the type.
fn push_field_of(s: State, table: i32, name: Slot, kind: Kind) -> bool {
    s.set_top(table);
    name.push(s);
    s.raw_get(table);
    if s.kind(-1) != kind {
        s.pop(1);
        return false;
    }
    true
}

/// What C takes for the string: up to the first zero.
fn c_string(bytes: &[u8]) -> &[u8] {
    memchr::memchr(0, bytes).map_or(bytes, |end| &bytes[..end])
}

fn write_array(s: State, script: Resp, reply: &mut Reply<'_>) {
    let mut len = 0;
    loop {
        s.raw_get_index(-1, len + 1);
        let ends = s.kind(-1) == Kind::Nil;
        s.pop(1);
        if ends {
            break;
        }
        len += 1;
    }
    reply.array(len as usize);
    for index in 1..=len {
        s.raw_get_index(-1, index);
        write_reply(s, script, reply);
    }
}

/// The number of entries of the table on top.
fn count_pairs(s: State) -> usize {
    let mut count = 0;
    s.push_nil();
    while s.next(-2) {
        s.pop(1);
        count += 1;
    }
    count
}

/// Writes the verbatim string that the table on top describes; false if it describes none.
fn write_verbatim(s: State, reply: &mut Reply<'_>) -> bool {
    let table = s.top();
    for name in [Slot::Format, Slot::String] {
        name.push(s);
        s.raw_get(table);
    }
    if (s.kind(-2), s.kind(-1)) != (Kind::String, Kind::String) {
        return false;
    }
    let format = s.bytes(-2).unwrap_or_default();
    // Three characters: a longer format is cut, a shorter one filled up.
    let format: String = (0..3).map(|at| format.get(at).map_or(' ', |&b| char::from(b & 0x7f))).collect();
    reply.verbatim(&format, s.bytes(-1).unwrap_or_default());
    true
}

fn write_big_number(reply: &mut Reply<'_>, digits: &[u8]) {
    match reply.resp() {
        Resp::V2 => reply.bulk(digits.iter().copied().map(without_break).collect::<Vec<u8>>()),
        Resp::V3 => write_line(reply, b'(', digits),
    }
}

/// Writes an error reply of several pieces of text, each up to its first zero.
pub(super) fn write_error(reply: &mut Reply<'_>, pieces: &[&[u8]]) {
    let text: Vec<u8> = pieces.iter().flat_map(|piece| c_string(piece)).copied().collect();
    write_line(reply, b'-', trim(&text));
}

fn write_line(reply: &mut Reply<'_>, marker: u8, text: &[u8]) {
    let line: Vec<u8> =
        std::iter::once(marker).chain(text.iter().copied().map(without_break)).chain(*b"\r\n").collect();
    reply.raw(&line);
}

fn without_break(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }
}
