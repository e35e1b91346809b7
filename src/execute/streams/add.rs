//! Adding and removing entries: `XADD`, `XTRIM`, `XDEL`, and `XSETID`, which sets what is known about those that are gone.

use super::{INVALID_ID, is, reply_id, strict_id, strict_ids};
use crate::execute::arguments::integer;
use crate::execute::effects::Words;
use crate::execute::{Class, Exec};
use crate::protocol::Error;
use crate::shard::Settings;
use crate::shard::values::Stream;
use crate::types::stream::{Counters, Id, IdArg, Keep, NewId, NodeLimits, Trim};

/// `XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id field value [field value ...]`.
pub fn xadd(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (id_at, options) =
        if cx.args[2] == b"*" { (2, Options::default()) } else { Options::parse(cx, true)? };
    let pairs = cx.args.get(id_at + 1..).unwrap_or_default();
    if pairs.len() < 2 || !pairs.len().is_multiple_of(2) {
        return Err(Error::Arity("xadd".into()));
    }
    let new = options.id.unwrap_or(NewId::Auto);
    if new == NewId::Exactly(Id::MIN) {
        return Err(Error::text("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let trim = options.trim(&cx.shard.settings);
    let (key, now_ms, limits) = (cx.key(1), cx.shard.now_ms as u64, limits(&cx.shard.settings));
    let stream = if options.no_mkstream {
        let Some(stream) = cx.shard.write::<Stream>(cx.db, &key)? else {
            cx.reply.null();
            return Ok(());
        };
        stream
    } else {
        cx.shard.write_or_insert(cx.db, &key, Stream::default)?
    };
    let log = stream.log_mut();
    if log.counters().last_id == Id::MAX {
        return Err(Error::text(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let Some(id) = log.next_id(new, now_ms) else {
        return Err(Error::text(
            "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        ));
    };
    if log.append(id, pairs, limits).is_err() {
        return Err(Error::text("ERR Elements are too large to be stored"));
    }
    let trimmed = trim.is_some_and(|trim| log.trim(trim) > 0);
    let counters = *log.counters();
    if cx.wants_effects() {
        let trimming = trim.map(|trim| Trimming::of(trim, &counters));
        let id = id.text();
        let mut args = Words::from_slice(&[b"XADD", key.bytes]);
        args.extend(trimming.iter().flat_map(Trimming::words));
        args.push(&id);
        args.extend_from_slice(pairs);
        cx.effect(&key, &args);
    }
    cx.wrote(Class::STREAM, "xadd", &key);
    if trimmed {
        cx.event(Class::STREAM, "xtrim", &key);
    }
    cx.changes += 1;
    reply_id(&mut cx.reply, id);
    Ok(())
}

/// `XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count]`.
pub fn xtrim(cx: &mut Exec<'_>) -> Result<(), Error> {
    let (_, options) = Options::parse(cx, false)?;
    let trim = options.trim(&cx.shard.settings);
    let key = cx.key(1);
    let stream = cx.shard.write::<Stream>(cx.db, &key)?;
    let (Some(stream), Some(trim)) = (stream, trim) else {
        cx.reply.int(0);
        return Ok(());
    };
    let removed = stream.log_mut().trim(trim);
    if removed > 0 {
        let trimming = Trimming::of(trim, stream.counters());
        cx.effect(&key, &[&[&b"XTRIM"[..], key.bytes], &trimming.words()[..]].concat());
        cx.wrote(Class::STREAM, "xtrim", &key);
    }
    cx.changes += removed;
    cx.reply.int(removed as i64);
    Ok(())
}

/// `XDEL key id [id ...]`.
pub fn xdel(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let removed = match cx.shard.write::<Stream>(cx.db, &key)? {
        Some(stream) => stream.log_mut().remove(&strict_ids(&cx.args[2..])?),
        None => 0,
    };
    if removed > 0 {
        cx.wrote(Class::STREAM, "xdel", &key);
    }
    cx.changes += removed as u64;
    cx.reply.int(removed as i64);
    Ok(())
}

/// `XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]`.
pub fn xsetid(cx: &mut Exec<'_>) -> Result<(), Error> {
    let last_id = strict_id(cx.args[2])?;
    let (mut entries_added, mut max_deleted_id) = (None, Id::MIN);
    let mut rest = cx.args[3..].iter();
    while let Some(option) = rest.next() {
        let value = rest.next().ok_or(Error::Syntax)?;
        if is(option, "entriesadded") {
            let added = integer(value)?;
            if added < 0 {
                return Err(Error::text("ERR entries_added must be positive"));
            }
            entries_added = Some(added as u64);
        } else if is(option, "maxdeletedid") {
            max_deleted_id = strict_id(value)?;
            if last_id < max_deleted_id {
                return Err(Error::text(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(Error::Syntax);
        }
    }
    let key = cx.key(1);
    let stream = cx.shard.write::<Stream>(cx.db, &key)?.ok_or(Error::NoSuchKey)?;
    let mut counters = *stream.counters();
    if last_id < counters.max_deleted_id {
        return Err(Error::text(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if stream.log().last_live().is_some_and(|last| last_id < last) {
        return Err(Error::text("ERR The ID specified in XSETID is smaller than the target stream top item"));
    }
    if entries_added.is_some_and(|added| added < counters.len) {
        return Err(Error::text(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    counters.last_id = last_id;
    counters.entries_added = entries_added.unwrap_or(counters.entries_added);
    if max_deleted_id != Id::MIN {
        counters.max_deleted_id = max_deleted_id;
    }
    stream.set_counters(counters);
    cx.event(Class::STREAM, "xsetid", &key);
    cx.changes += 1;
    cx.reply.ok();
    Ok(())
}

/// A trim that needs no limit and leaves exactly what another has left.
struct Trimming {
    keyword: &'static [u8],
    threshold: Vec<u8>,
}

impl Trimming {
    /// For a trim that has left a stream with these counters.
    fn of(trim: Trim, after: &Counters) -> Trimming {
        let keep = match trim.keep {
            keep if !trim.approximate => keep,
            Keep::From(_) if after.len > 0 => Keep::From(after.first_id),
            _ => Keep::Last(after.len),
        };
        match keep {
            Keep::Last(len) => Trimming { keyword: b"MAXLEN", threshold: len.to_string().into_bytes() },
            Keep::From(id) => Trimming { keyword: b"MINID", threshold: id.text().to_vec() },
        }
    }

    fn words(&self) -> [&[u8]; 3] {
        [self.keyword, b"=", &self.threshold]
    }
}

fn limits(settings: &Settings) -> NodeLimits {
    NodeLimits { max_bytes: settings.stream_node_max_bytes, max_entries: settings.stream_node_max_entries }
}

/// What stands between the key and the fields of `XADD`, and behind the key of `XTRIM`.
#[derive(Debug, Default)]
struct Options {
    /// `None` for `*`.
    id: Option<NewId>,
    no_mkstream: bool,
    keep: Option<Keep>,
    approximate: bool,
    limit: Option<i64>,
}

impl Options {
    /// Reads the options from the third argument on. Returns where they end: at the ID, for `XADD`.
    fn parse(cx: &Exec<'_>, adds: bool) -> Result<(usize, Options), Error> {
        let mut options = Options::default();
        let mut at = 2;
        while let Some(&option) = cx.args.get(at) {
            let more = cx.args.len() - 1 - at;
            if adds && option == b"*" {
                break;
            } else if is(option, "maxlen") && more > 0 {
                at = options.threshold(cx.args, at, |text| match integer(text)? {
                    max @ 0.. => Ok(Keep::Last(max as u64)),
                    _ => Err(Error::text("ERR The MAXLEN argument must be >= 0.")),
                })?;
            } else if is(option, "minid") && more > 0 {
                at = options.threshold(cx.args, at, |text| Ok(Keep::From(strict_id(text)?)))?;
            } else if is(option, "limit") && more > 0 {
                let limit = integer(cx.args[at + 1])?;
                if limit < 0 {
                    return Err(Error::text("ERR The LIMIT argument must be >= 0."));
                }
                options.limit = Some(limit);
                at += 1;
            } else if adds && is(option, "nomkstream") {
                options.no_mkstream = true;
            } else if adds {
                options.id = Some(match IdArg::parse(option) {
                    Some(IdArg::Whole(id)) => NewId::Exactly(id),
                    Some(IdArg::Millis(ms)) => NewId::Exactly(Id::new(ms, 0)),
                    Some(IdArg::AnySeq(ms)) => NewId::InMillis(ms),
                    _ => return Err(INVALID_ID),
                });
                break;
            } else {
                return Err(Error::Syntax);
            }
            at += 1;
        }
        options.check(adds)?;
        Ok((at, options))
    }

    /// Reads `[= | ~] threshold` behind the keyword at `at`. Returns the place of the threshold.
    fn threshold(
        &mut self,
        args: &[&[u8]],
        at: usize,
        read: impl FnOnce(&[u8]) -> Result<Keep, Error>,
    ) -> Result<usize, Error> {
        if self.keep.is_some() {
            return Err(Error::text(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let operator = args.len() > at + 2 && matches!(args[at + 1], b"~" | b"=");
        self.approximate = operator && args[at + 1] == b"~";
        let at = at + 1 + usize::from(operator);
        self.keep = Some(read(args[at])?);
        Ok(at)
    }

    fn check(&self, adds: bool) -> Result<(), Error> {
        if self.keep.is_none() && self.limit.is_some_and(|limit| limit != 0) {
            return Err(Error::text(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if self.keep.is_none() && !adds {
            return Err(Error::text("ERR syntax error, XTRIM must be called with a trimming strategy"));
        }
        if self.limit.is_some() && !self.approximate {
            return Err(Error::text("ERR syntax error, LIMIT cannot be used without the special ~ option"));
        }
        Ok(())
    }

    /// How the stream is to be trimmed.
    fn trim(&self, settings: &Settings) -> Option<Trim> {
        /// Nodes that an approximate trim without a limit removes at most, and entries if nodes hold any number.
        const NODES: usize = 100;
        const ENTRIES: u64 = 10_000;
        const MOST_ENTRIES: u64 = 1_000_000;
        let keep = self.keep?;
        let limit = match (self.limit, settings.stream_node_max_entries) {
            (Some(limit), _) => limit as u64,
            (None, _) if !self.approximate => 0,
            (None, 0) => ENTRIES,
            (None, entries) => (NODES.saturating_mul(entries) as u64).min(MOST_ENTRIES),
        };
        Some(Trim { keep, approximate: self.approximate, limit })
    }
}
