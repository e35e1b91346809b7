//! Going over the keyspace: `KEYS`, `SCAN` and `RANDOMKEY`.

use crate::execute::Exec;
use crate::execute::scan_options::{self, Pattern, ScanOptions, Scanned};
use crate::protocol::Error;
use crate::shard::key::Slot;
use crate::shard::{Budget, Cursor, Item};

/// Cursors have so many bits; whatever else a client sends is cut to them.
const CURSOR_BITS: u32 = 62;

/// `KEYS pattern`
pub fn keys(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (pattern, now_ms) = (Pattern::new(cx.args[1]), cx.shard.expiry_clock_ms());
    let start = cx.reply.position();
    let reply = &mut cx.reply;
    let mut count = 0;
    let mut visit = |item: &Item| {
        if pattern.matches(item.key()) && !item.is_expired(now_ms) {
            reply.bulk(item.key());
            count += 1;
        }
    };
    cx.shard.dbs.parts(cx.db).for_each(|part| part.for_each(&mut visit));
    reply.prepend(start, |reply| reply.array(count));
    Ok(())
}

/// `RANDOMKEY`
pub fn randomkey(cx: &mut Exec<'_>) -> Result<(), Error> {
    match cx.shard.random(cx.db) {
        Some(item) => cx.reply.bulk(item.key()),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`. At the end of the shard's slots the cursor is the
/// start of the next shard's.
pub fn scan(cx: &mut Exec<'_>) -> Result<(), Error> {
    let cursor = scan_cursor(cx.args[1])?;
    let options = ScanOptions::parse(&cx.args[2..], Scanned::Keys)?;
    let (now_ms, start) = (cx.shard.expiry_clock_ms(), cx.reply.position());
    let reply = &mut cx.reply;
    let mut count = 0;
    let mut overdue = Vec::new();
    let (part, end) = cx.shard.part(cx.db, cursor.slot());
    let next = part.scan(cursor, Budget::items(options.count), |item| {
        if !options.pattern.matches(item.key()) {
        } else if item.is_expired(now_ms) {
            overdue.push(item.key().to_vec());
        } else if takes_type(&options, item) {
            reply.bulk(item.key());
            count += 1;
        }
    });
    let next = if next == Cursor::START { after_part(end) } else { next };
    scan_options::finish(&mut cx.reply, start, next.number(), count);
    for key in overdue {
        let key = cx.shard.key(&key);
        cx.shard.lookup_write(cx.db, &key);
    }
    Ok(())
}

/// Where a scan goes on behind the last slot of a shard, or of a part of the keyspace that is here.
fn after_part(end: u16) -> Cursor {
    Slot::new(end).map_or(Cursor::START, Cursor::slot_start)
}

/// The cursor in the argument of `SCAN`. Its slot says which shard the command is for.
pub fn scan_cursor(arg: &[u8]) -> Result<Cursor, Error> {
    let number = scan_options::parse_cursor(arg)?;
    Ok(Cursor::new(number & ((1 << CURSOR_BITS) - 1)).expect("the number was cut"))
}

/// A type that does not exist is the type of no key.
fn takes_type(options: &ScanOptions<'_>, item: &Item) -> bool {
    options.type_name.is_none_or(|name| name.eq_ignore_ascii_case(item.kind().name().as_bytes()))
}
