//! `TIME`, `SHUTDOWN` and `LOLWUT`.

use std::sync::atomic::Ordering;

use crate::admin::{Cx, Flow, SnapshotCommand};
use crate::base::number::parse_i64;
use crate::config::REDIS_VERSION;
use crate::protocol::Error;

/// `TIME`: Unix seconds and the microseconds within the present one.
///
/// # Errors
/// None.
pub fn time(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let now_us = cx.core.now_us;
    cx.reply.array(2);
    cx.reply.bulk_int(now_us / 1_000_000);
    cx.reply.bulk_int(now_us % 1_000_000);
    Ok(Flow::Done)
}

/// What `SHUTDOWN` was told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Options {
    nosave: bool,
    save: bool,
    now: bool,
    force: bool,
    abort: bool,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Options, Error> {
        let mut options = Options::default();
        for arg in args {
            let option = match arg.to_ascii_lowercase().as_slice() {
                b"nosave" => &mut options.nosave,
                b"save" => &mut options.save,
                b"now" => &mut options.now,
                b"force" => &mut options.force,
                b"abort" => &mut options.abort,
                _ => return Err(Error::Syntax),
            };
            *option = true;
        }
        let alone = Options { abort: true, ..Options::default() };
        if (options.abort && options != alone) || (options.save && options.nosave) {
            return Err(Error::Syntax);
        }
        Ok(options)
    }
}

/// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]`. There are no replicas to wait for, so what can be aborted is only a
/// signal that nobody has followed yet.
/// With save points or `SAVE` a last snapshot is taken; the server goes on if that fails, unless forced.
///
/// # Errors
/// For options that exclude each other, and if there is nothing to abort.
pub fn shutdown(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let options = Options::parse(&cx.args[1..])?;
    let shared = &cx.core.shared;
    if options.abort && shared.aborts_stop() {
        shared.log.notice(format_args!("Shutdown manually aborted."));
        cx.reply.ok();
        return Ok(Flow::Done);
    }
    if options.abort {
        return Err(Error::text("ERR No shutdown in progress."));
    }
    shared.log.notice(format_args!("User requested shutdown..."));
    // What is loaded by half is not saved.
    let may_save = !options.nosave && cx.core.loading.is_none();
    if may_save && (options.save || !cx.core.config.save.is_empty()) {
        return Ok(Flow::Snapshot(SnapshotCommand::Shutdown { force: options.force }));
    }
    shared.stopping.store(true, Ordering::Relaxed);
    Ok(Flow::Done)
}

/// `LOLWUT [VERSION version]`: a road seen from above with one lane per
/// core. Whatever version is asked for, there is one picture.
///
/// # Errors
/// If the version is no number.
pub fn lolwut(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    if let [_, option, version, ..] = cx.args
        && option.eq_ignore_ascii_case(b"version")
        && parse_i64(version).is_none()
    {
        return Err(Error::NotInteger);
    }
    let mut rng = cx.core.shard.rng.clone();
    let picture = road(cx.core.map.shards(), |bound| rng.below(bound));
    cx.core.shard.rng = rng;
    cx.reply.verbatim("txt", format!("{picture}\nRedis ver. {REDIS_VERSION}\n"));
    Ok(Flow::Done)
}

/// Columns of the picture.
const COLUMNS: usize = 66;
/// Lanes at most.
const LANES: usize = 16;

fn road(lanes: usize, mut random: impl FnMut(usize) -> usize) -> String {
    let edge = "=".repeat(COLUMNS);
    let mut lines = vec![edge.clone()];
    for lane in 0..lanes.clamp(1, LANES) {
        if lane > 0 {
            lines.push("-  ".repeat(COLUMNS / 3));
        }
        let mut line = String::new();
        while line.len() < COLUMNS {
            let car = ["o[##]o>", "<=#=]", "}(oo)-", "[::::|>"][random(4)];
            line.push_str(&" ".repeat(2 + random(18)));
            line.push_str(car);
        }
        line.truncate(COLUMNS);
        lines.push(line);
    }
    lines.push(edge);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shutdown_options_exclude_each_other() {
        let parse = |text: &str| Options::parse(&text.split(' ').map(str::as_bytes).collect::<Vec<_>>());
        assert_eq!(
            parse("NoSave NOW force"),
            Ok(Options { nosave: true, now: true, force: true, ..Options::default() })
        );
        assert!(parse("abort").unwrap().abort);
        for wrong in ["save nosave", "abort now", "later", ""] {
            assert_eq!(parse(wrong), Err(Error::Syntax), "{wrong}");
        }
    }

    #[test]
    fn a_road_has_a_lane_per_core_and_straight_edges() {
        let mut next = 0;
        let picture = road(3, |bound| {
            next += 7;
            next % bound
        });
        let lines: Vec<&str> = picture.lines().collect();
        assert_eq!(lines.len(), 7);
        assert!(lines.iter().all(|line| line.len() == COLUMNS), "{picture}");
    }
}
