//! `HRANDFIELD`.

use crate::execute::arguments::integer;
use std::collections::HashSet;

use super::bulk;
use crate::base::rng::Rng;
use crate::execute::Exec;
use crate::protocol::Error;
use crate::protocol::resp::{Reply, Resp};
use crate::shard::Budget;
use crate::shard::values::Typed;
use crate::shard::values::hash::{Entry, Hash};

/// If at most one in so many fields is asked for, drawing until all are different is the cheapest.
const FEW: usize = 3;

/// `HRANDFIELD key [count [WITHVALUES]]`. All fields whose time is over are removed first.
pub fn hrandfield(cx: &mut Exec<'_>) -> Result<(), Error> {
    let request = Request::parse(&cx.args[2..])?;
    let (key, now_ms) = (cx.key(1), cx.shard.expiry_clock_ms());
    if cx.shard.read::<Hash>(cx.db, &key)?.is_some_and(|hash| hash.has_expired(now_ms)) {
        cx.shard.expire_fields(cx.db, &key, &mut Budget::items(usize::MAX));
    }
    let mut rng = cx.shard.rng.clone();
    match (request, cx.shard.peek_as::<Hash>(cx.db, &key)?) {
        (None, Some(hash)) => bulk(&mut cx.reply, draw(hash, &mut rng).field),
        (None, None) => cx.reply.null(),
        (Some(request), Some(hash)) => request.answer(hash, &mut cx.reply, &mut rng),
        (Some(_), None) => cx.reply.array(0),
    }
    cx.shard.rng = rng;
    Ok(())
}

/// How many fields are wanted, and how.
#[derive(Clone, Copy)]
struct Request {
    count: usize,
    /// Whether a field may come several times.
    repeats: bool,
    with_values: bool,
}

impl Request {
    /// `None` asks for one field by itself.
    fn parse(args: &[&[u8]]) -> Result<Option<Request>, Error> {
        const RANGE: &str =
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
        let Some((count, options)) = args.split_first() else { return Ok(None) };
        let count = integer(count)?;
        if count == i64::MIN {
            return Err(Error::text(RANGE));
        }
        let with_values = match options {
            [] => false,
            [option] if option.eq_ignore_ascii_case(b"withvalues") => true,
            _ => return Err(Error::Syntax),
        };
        if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
            return Err(Error::text("ERR value is out of range"));
        }
        Ok(Some(Request { count: count.unsigned_abs() as usize, repeats: count < 0, with_values }))
    }

    fn answer(self, hash: &Hash, reply: &mut Reply<'_>, rng: &mut Rng) {
        let len = hash.len();
        let count = if self.repeats { self.count } else { self.count.min(len) };
        let flat = self.with_values && reply.resp() == Resp::V2;
        reply.array(if flat { 2 * count } else { count });
        if self.repeats || count == 1 {
            (0..count).for_each(|_| self.write(reply, draw(hash, rng)));
        } else if count * FEW <= len {
            let mut drawn = HashSet::with_capacity(count);
            while drawn.len() < count {
                let entry = draw(hash, rng);
                if drawn.insert(entry.field) {
                    self.write(reply, entry);
                }
            }
        } else {
            // Each field is taken with the odds that leave all choices equally likely.
            let (mut wanted, mut left) = (count, len);
            hash.for_each(|entry| {
                if rng.below(left) < wanted {
                    self.write(reply, entry);
                    wanted -= 1;
                }
                left -= 1;
            });
        }
    }

    fn write(self, reply: &mut Reply<'_>, entry: Entry<'_>) {
        if self.with_values && reply.resp() == Resp::V3 {
            reply.array(2);
        }
        bulk(reply, entry.field);
        if self.with_values {
            bulk(reply, entry.value);
        }
    }
}

fn draw<'a>(hash: &'a Hash, rng: &mut Rng) -> Entry<'a> {
    hash.random(rng).expect("a hash has a field at least")
}
