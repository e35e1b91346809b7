//! Going over the keyspace: `KEYS`, `SCAN` and `RANDOMKEY`.

use super::int;
use crate::base::{glob, number};
use crate::execute::Exec;
use crate::protocol::Error;
use crate::shard::key::Slot;
use crate::shard::{Budget, Cursor, Item};

/// Keys that `SCAN` visits if not told otherwise.
const DEFAULT_COUNT: usize = 10;
/// Cursors have so many bits; whatever else a client sends is cut to them.
const CURSOR_BITS: u32 = 62;

/// `KEYS pattern`
pub fn keys(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (pattern, now_ms) = (Pattern::new(cx.args[1]), cx.shard.now_ms);
    let start = cx.reply.position();
    let reply = &mut cx.reply;
    let mut count = 0;
    cx.shard.dbs[cx.db].for_each(|item| {
        if pattern.matches(item.key()) && !item.is_expired(now_ms) {
            reply.bulk(item.key());
            count += 1;
        }
    });
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
    let options = Options::parse(&cx.args[2..])?;
    let (now_ms, start) = (cx.shard.now_ms, cx.reply.position());
    let reply = &mut cx.reply;
    let mut count = 0;
    let mut overdue = Vec::new();
    let next = cx.shard.dbs[cx.db].scan(cursor, Budget::items(options.count), |item| {
        if !options.pattern.matches(item.key()) {
        } else if item.is_expired(now_ms) {
            overdue.push(item.key().to_vec());
        } else if options.takes_type(item) {
            reply.bulk(item.key());
            count += 1;
        }
    });
    let next = if next == Cursor::START { after_shard(cx.shard.slots.end) } else { next };
    cx.reply.prepend(start, |reply| {
        reply.array(2);
        reply.bulk_int(next.number() as i64);
        reply.array(count);
    });
    for key in overdue {
        let key = cx.shard.key(&key);
        cx.shard.lookup_write(cx.db, &key);
    }
    Ok(())
}

/// Where a scan goes on behind the last slot of a shard.
fn after_shard(end: u16) -> Cursor {
    Slot::new(end).map_or(Cursor::START, Cursor::slot_start)
}

/// The cursor in the argument of `SCAN`. Its slot says which shard the command is for.
pub fn scan_cursor(arg: &[u8]) -> Result<Cursor, Error> {
    let number = number::parse_u64(arg).ok_or(Error::text("ERR invalid cursor"))?;
    Ok(Cursor::new(number & ((1 << CURSOR_BITS) - 1)).expect("the number was cut"))
}

/// Which keys are wanted.
struct Pattern<'a>(Option<&'a [u8]>);

impl<'a> Pattern<'a> {
    fn new(pattern: &'a [u8]) -> Pattern<'a> {
        Pattern((pattern != b"*").then_some(pattern))
    }

    fn matches(&self, key: &[u8]) -> bool {
        self.0.is_none_or(|pattern| glob::matches(pattern, key, false))
    }
}

/// The options of `SCAN`.
struct Options<'a> {
    count: usize,
    pattern: Pattern<'a>,
    type_name: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(args: &[&'a [u8]]) -> Result<Options<'a>, Error> {
        let mut options = Options { count: DEFAULT_COUNT, pattern: Pattern(None), type_name: None };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            if name.eq_ignore_ascii_case(b"novalues") {
                return Err(Error::text("ERR NOVALUES option can only be used in HSCAN"));
            }
            match (name.to_ascii_lowercase().as_slice(), args.next()) {
                (b"count", Some(count)) => {
                    let count = int(count)?;
                    options.count = usize::try_from(count).ok().filter(|&n| n > 0).ok_or(Error::Syntax)?;
                }
                (b"match", Some(pattern)) => options.pattern = Pattern::new(pattern),
                (b"type", Some(name)) => options.type_name = Some(name),
                _ => return Err(Error::Syntax),
            }
        }
        Ok(options)
    }

    /// A type that does not exist is the type of no key.
    fn takes_type(&self, item: &Item) -> bool {
        self.type_name.is_none_or(|name| name.eq_ignore_ascii_case(item.kind().name().as_bytes()))
    }
}
