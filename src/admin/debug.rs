//! `DEBUG`: what tests of Redis and its clients use of it. Subcommands about the data set ask every core for its part;
//! they take no part in the ordering of commands, so that they are exact only while nothing else writes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::admin::{Cx, Flow, SnapshotCommand, Then};
use crate::base::number::{parse_f64, parse_i64, parse_memory};
use crate::command::help::{help, subcommand_error};
use crate::config::rewrite::Extent;
use crate::core::state::CoreState;
use crate::execute::digest::{DIGEST_BYTES, Digest};
use crate::execute::{self, Exec, keys};
use crate::protocol::Error;
use crate::protocol::resp::{Reply, Resp};
use crate::route::message::{Answer, OwnedArgs, Query};
use crate::shard::{Item, Slot, Str};
use crate::shared::load::{LoadMode, LoadPlan};
use crate::shared::lock;

/// `DEBUG subcommand [arg ...]`
///
/// # Errors
/// Redis's for unknown subcommands and wrong arguments.
pub fn debug(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let args = cx.args;
    match (args[1].to_ascii_lowercase().as_slice(), args.len()) {
        (b"help", 2) => help(args, &mut cx.reply)?,
        (
            b"sleep"
            | b"set-active-expire"
            | b"pause-cron"
            | b"aof-flush-sleep"
            | b"aof-fail-syncs"
            | b"aof-hold-writes"
            | b"set-skip-checksum-validation",
            3,
        ) => return on_all(cx, ok),
        (b"set-disable-deny-scripts", 3) => {
            cx.core.shared.scripts_may_all.store(switch(args[2]), Ordering::Relaxed);
            cx.reply.ok();
        }
        (b"populate", 3..=5) => {
            positive(args[2])?;
            args.get(4).map(|size| positive(size)).transpose()?;
            return on_all(cx, ok);
        }
        (b"object" | b"sdslen" | b"listpack" | b"quicklist", 3)
        | (b"quicklist", 4)
        | (b"htstats-key", 3..) => return on_all(cx, answer_of_owner),
        (b"digest", 2) => return on_all(cx, whole_digest),
        (b"digest-value", 2..) => return on_all(cx, value_digests),
        (b"htstats", 3..) => {
            let db = parse_i64(args[2]).ok_or(Error::NotInteger)?;
            if !(0..i64::from(cx.core.config.databases)).contains(&db) {
                return Err(Error::text("ERR Out of range database"));
            }
            return on_all(cx, text_of_all);
        }
        (b"protocol", 3) => protocol(cx)?,
        (b"error", 3) => return Err(String::from_utf8_lossy(args[2]).into_owned().into()),
        (b"log", 3) => {
            cx.core.shared.log.warning(format_args!("DEBUG LOG: {}", String::from_utf8_lossy(args[2])));
            cx.reply.ok();
        }
        (b"config-rewrite-force-all", 2) => {
            cx.core.config.rewrite(Extent::Everything)?;
            cx.reply.ok();
        }
        (b"change-repl-id", 2) => {
            let rng = &mut cx.core.shard.rng;
            let id: String = (0..5).map(|_| format!("{:08x}", rng.next_u64() as u32)).collect();
            *lock(&cx.core.shared.replication_id) = id;
            cx.reply.ok();
        }
        (b"quicklist-packed-threshold", 3) => {
            packed_threshold(args[2])?;
            return on_all(cx, ok);
        }
        (b"replybuffer", 4) => {
            let (name, value) = (args[2].to_ascii_lowercase(), args[3].to_ascii_lowercase());
            match (name.as_slice(), value.as_slice()) {
                (b"resizing", _) | (b"peak-reset-time", b"never" | b"reset") => {}
                (b"peak-reset-time", time) => drop(parse_i64(time).ok_or(Error::NotInteger)?),
                _ => return Err(subcommand_error(args)),
            }
            cx.reply.ok();
        }
        // It would wait for the end of the program, which waits for it.
        (b"reload" | b"loadaof", _) if cx.in_program => return Err(LOADS_ALONE),
        (b"reload", _) => return reload(cx),
        (b"loadaof", 2) => {
            cx.core.prepare_load_of_logs().map_err(|error| Error::from(format!("ERR {error}")))?;
            return Ok(Flow::Ask(Query::Load, |cx, _| {
                cx.core.shared.log.notice(format_args!("Append Only File loaded by DEBUG LOADAOF"));
                cx.reply.ok();
                Ok(())
            }));
        }
        _ => return Err(subcommand_error(args)),
    }
    Ok(Flow::Done)
}

const LOADS_ALONE: Error =
    Error::text("ERR DEBUG RELOAD and DEBUG LOADAOF can't run in the middle of a transaction");

/// `DEBUG RELOAD [NOSAVE] [NOFLUSH] [MERGE]`
fn reload(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    const UNKNOWN: Error =
        Error::text("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
    let mut mode = LoadMode { flush: true, replace: false };
    let mut saves = true;
    for option in &cx.args[2..] {
        match option.to_ascii_lowercase().as_slice() {
            b"merge" => mode.replace = true,
            b"noflush" => mode.flush = false,
            b"nosave" => saves = false,
            _ => return Err(UNKNOWN),
        }
    }
    if saves {
        return Ok(Flow::Snapshot(SnapshotCommand::Reload(mode)));
    }
    let (query, then) = load_snapshot(cx.core, mode)?;
    Ok(Flow::Ask(query, then))
}

/// Has the last snapshot loaded: the question to all cores that does so, and what is replied then.
///
/// # Errors
/// If there is none.
pub fn load_snapshot(core: &mut CoreState, mode: LoadMode) -> Result<(Query, Then), Error> {
    const FAILED: Error = Error::text("ERR Error trying to load the RDB dump, check server logs.");
    let plan = LoadPlan::of_snapshot(core.config.dir.join(&core.config.dbfilename));
    core.prepare_load(plan, mode).map_err(|error| {
        core.shared.log.warning(format_args!("Fatal error loading the DB: {error}"));
        FAILED
    })?;
    Ok((Query::Load, |cx, _| {
        if cx.core.shared.load().is_some_and(|load| load.is_refused()) {
            return Err(FAILED);
        }
        cx.core.shared.log.warning(format_args!("DB reloaded by DEBUG RELOAD"));
        cx.reply.ok();
        Ok(())
    }))
}

fn on_all(cx: &mut Cx<'_>, then: Then) -> Result<Flow, Error> {
    let db = cx.client().session.db;
    Ok(Flow::Ask(Query::Debug { db, args: OwnedArgs::new(cx.args) }, then))
}

fn positive(arg: &[u8]) -> Result<usize, Error> {
    let number = parse_i64(arg).and_then(|number| usize::try_from(number).ok());
    number.ok_or(Error::text("ERR value is out of range, must be positive"))
}

/// A number as C's `atoi` reads a switch: what is none is 0.
fn switch(arg: &[u8]) -> bool {
    parse_i64(arg).is_some_and(|number| number != 0)
}

/// From how many bytes on an element of a quicklist has a node by itself.
fn packed_threshold(arg: &[u8]) -> Result<usize, Error> {
    const MAX: u64 = (1 << 32) - (1 << 20);
    parse_memory(arg)
        .filter(|bytes| *bytes <= MAX)
        .map(|bytes| bytes as usize)
        .ok_or(Error::text("ERR argument must be a memory value bigger than 1 and smaller than 4gb"))
}

/// A core's part of a `DEBUG` command.
///
/// # Errors
/// Those of the subcommand; they count on the core that owns the key.
pub(super) fn on_core(core: &mut CoreState, db: usize, args: &[&[u8]]) -> Result<Vec<u8>, Error> {
    match args[1].to_ascii_lowercase().as_slice() {
        b"sleep" => {
            let seconds = parse_f64(args[2]).unwrap_or(0.0);
            core.clock.sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default());
            core.set_clock();
        }
        b"set-active-expire" => core.shard.active_expiry = switch(args[2]),
        b"aof-flush-sleep" => {
            let micros = parse_i64(args[2]).and_then(|micros| u64::try_from(micros).ok());
            core.journal.sleep_before_writes = Duration::from_micros(micros.unwrap_or(0));
        }
        b"aof-fail-syncs" => {
            let count = parse_i64(args[2]).and_then(|count| u32::try_from(count).ok());
            core.journal.failing_syncs_for_test = count.unwrap_or(0);
        }
        b"aof-hold-writes" => core.journal.holds_writes_for_test = switch(args[2]),
        b"set-skip-checksum-validation" => {
            for shard in [&mut core.shard, &mut core.workbench] {
                shard.settings.ignores_checksums = switch(args[2]);
            }
        }
        b"pause-cron" => core.upkeep_paused = switch(args[2]),
        b"quicklist-packed-threshold" => {
            let threshold = packed_threshold(args[2])?;
            for shard in [&mut core.shard, &mut core.workbench] {
                shard.settings.list_packed_threshold = threshold;
            }
        }
        b"populate" => populate(core, db, args),
        b"object" => return run(core, db, args, keys::debug_object),
        b"sdslen" => return run(core, db, args, keys::debug_sdslen),
        b"listpack" => return run(core, db, args, keys::debug_listpack),
        b"quicklist" => return run(core, db, args, keys::debug_quicklist),
        b"htstats-key" => return run(core, db, args, keys::debug_table),
        b"digest" => return Ok(digests_of_dbs(core)),
        b"digest-value" => {
            let digest = |key: &&[u8]| {
                let mut digest = Digest::ZERO;
                if let Some(item) = core.shard.dbs[db].get(&core.shard.key(key)) {
                    digest.mix_value(item);
                }
                digest.0
            };
            return Ok(args[2..].iter().flat_map(digest).collect());
        }
        b"htstats" => return Ok(table_stats(core, args).into_bytes()),
        _ => unreachable!("only these subcommands ask the cores"),
    }
    Ok(Vec::new())
}

fn run(core: &mut CoreState, db: usize, args: &[&[u8]], handler: execute::Handler) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    handler(&mut Exec::new(args, &mut core.shard, db, Reply::new(&mut out, Resp::V2), None))?;
    Ok(out)
}

/// `DEBUG POPULATE count [prefix [size]]`: creates this core's part of the keys, as far as they are not there.
fn populate(core: &mut CoreState, db: usize, args: &[&[u8]]) {
    let count = positive(args[2]).unwrap_or(0);
    let prefix = args.get(3).copied().unwrap_or(b"key");
    let size = args.get(4).and_then(|size| positive(size).ok()).unwrap_or(0);
    for number in 0..count {
        let name = [prefix, format!(":{number}").as_bytes()].concat();
        let key = core.shard.key(&name);
        if core.map.owner(key.slot) != core.core || core.shard.lookup_write(db, &key).is_some() {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        if size > 0 {
            value.resize(size, 0);
        }
        core.shard.insert(db, &key, Item::new(&name, Str::classify(&value), None));
        core.stats.changes += 1;
    }
}

fn table_stats(core: &CoreState, args: &[&[u8]]) -> String {
    let db = args.get(2).and_then(|db| parse_i64(db)).unwrap_or(0) as usize;
    let db = &core.shard.dbs[db];
    format!(
        "[Dictionary HT]\nShard {} stats (one table per slot):\n number of elements: {}\n elements with expiry: {}\n \
         table bytes: {}\n",
        core.core,
        db.len(),
        db.volatile_len(),
        db.table_bytes()
    )
}

/// For each database, the exclusive or of the digests of this core's keys.
fn digests_of_dbs(core: &CoreState) -> Vec<u8> {
    let mut digests = Vec::new();
    for db in core.shard.dbs.iter() {
        let mut all = Digest::ZERO;
        db.for_each(|item| {
            let mut digest = Digest::ZERO;
            digest.mix(item.key());
            digest.mix_value(item);
            all.add(&digest.0);
        });
        digests.extend_from_slice(&all.0);
    }
    digests
}

fn found(answer: Answer) -> Result<Vec<u8>, Error> {
    match answer {
        Answer::Debug(found) => found,
        _ => unreachable!("a debug query has a debug answer"),
    }
}

fn ok(cx: &mut Cx<'_>, _: Vec<Answer>) -> Result<(), Error> {
    cx.reply.ok();
    Ok(())
}

fn answer_of_owner(cx: &mut Cx<'_>, mut answers: Vec<Answer>) -> Result<(), Error> {
    let owner = cx.core.map.owner(Slot::of(cx.args[2]));
    cx.reply.raw(&found(answers.swap_remove(owner.index()))?);
    Ok(())
}

fn text_of_all(cx: &mut Cx<'_>, answers: Vec<Answer>) -> Result<(), Error> {
    let texts = answers.into_iter().map(found).collect::<Result<Vec<_>, _>>()?;
    cx.reply.verbatim("txt", texts.concat());
    Ok(())
}

/// The exclusive or of what the cores have found; a key is on one of them, and the others answer zeros.
fn combined(answers: Vec<Answer>) -> Result<Vec<Digest>, Error> {
    let mut sums: Vec<Digest> = Vec::new();
    for answer in answers {
        let digests = found(answer)?;
        sums.resize(digests.len() / DIGEST_BYTES, Digest::ZERO);
        sums.iter_mut().zip(digests.chunks(DIGEST_BYTES)).for_each(|(sum, digest)| sum.xor(digest));
    }
    Ok(sums)
}

fn whole_digest(cx: &mut Cx<'_>, answers: Vec<Answer>) -> Result<(), Error> {
    let mut digest = Digest::ZERO;
    for (db, keys) in combined(answers)?.iter().enumerate().filter(|(_, keys)| **keys != Digest::ZERO) {
        digest.mix(&(db as u32).to_be_bytes());
        digest.xor(&keys.0);
    }
    cx.reply.status(&digest.text());
    Ok(())
}

fn value_digests(cx: &mut Cx<'_>, answers: Vec<Answer>) -> Result<(), Error> {
    let digests = combined(answers)?;
    cx.reply.array(digests.len());
    digests.iter().for_each(|digest| cx.reply.status(&digest.text()));
    Ok(())
}

/// `DEBUG PROTOCOL type`: a sample of a reply type.
fn protocol(cx: &mut Cx<'_>) -> Result<(), Error> {
    let reply = &mut cx.reply;
    match cx.args[2].to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk("Hello World"),
        b"integer" => reply.int(12345),
        b"double" => reply.double_text("3.141"),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.int(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.int(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.int(number);
                reply.bool(number == 1);
            }
        }
        b"attrib" => {
            if reply.resp() == Resp::V3 {
                reply.attribute(1);
                reply.bulk("key-popularity");
                reply.array(2);
                reply.bulk("key:123");
                reply.int(90);
            }
            reply.bulk("Some real reply following the attribute");
        }
        b"push" => {
            if reply.resp() == Resp::V2 {
                return Err(Error::text("ERR RESP2 is not supported by this command"));
            }
            reply.push(2);
            reply.bulk("server-cpu-usage");
            reply.int(42);
            reply.bulk("Some real reply following the push reply");
        }
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        b"verbatim" => reply.verbatim("txt", "This is a verbatim\nstring"),
        _ => {
            return Err(Error::text(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}
