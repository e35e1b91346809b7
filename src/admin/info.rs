//! `INFO`: asks all cores for their counters and measures the process.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::admin::{Cx, Flow};
use crate::core::state::CoreState;
use crate::observe::info::{self, CurrentSnapshot, Facts, Logs, Scripts, Snapshots};
use crate::observe::memory::Memory;
use crate::observe::stats::Stats;
use crate::protocol::Error;
use crate::route::message::{Answer, Query};
use crate::runtime::system;
use crate::shared::lock;
use crate::snapshots::SnapshotPurpose;

/// `INFO [section ...]`
///
/// # Errors
/// None.
pub fn info(_: &mut Cx<'_>) -> Result<Flow, Error> {
    Ok(Flow::Ask(Query::Stats, |cx, answers| {
        let stats = sum(answers);
        let shared = &cx.core.shared;
        let replication_id = lock(&shared.replication_id).clone();
        let facts = Facts {
            config: &cx.core.config,
            stats: &stats,
            lookup: cx.core.lookup,
            memory: measure_memory(cx.core, &stats),
            now_us: cx.core.now_us,
            started_us: shared.started_us,
            run_id: &shared.run_id,
            replication_id: &replication_id,
            executable: &shared.executable,
            loading: shared.loading(),
            snapshots: snapshots(cx.core),
            logs: logs(cx.core),
            scripts: {
                let figures = shared.scripts.figures();
                Scripts {
                    cached: figures.scripts,
                    evicted: figures.evicted,
                    cached_bytes: figures.scripts_bytes,
                    libraries: figures.libraries,
                    functions: figures.functions,
                    libraries_bytes: figures.libraries_bytes,
                }
            },
        };
        let text = info::render(&facts, &info::select(&cx.args[1..]));
        cx.reply.verbatim("txt", text);
        Ok(())
    }))
}

fn snapshots(core: &CoreState) -> Snapshots {
    let (figures, current) = (core.shared.snapshots.figures(), core.shared.snapshots.current());
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    Snapshots {
        current: current.map(|run| CurrentSnapshot {
            is_dump: run.plan.purpose == SnapshotPurpose::Dump,
            started_s: run.started_us / 1_000_000,
            keys: count(&run.keys),
            keys_total: count(&run.keys_total),
            old_bytes: count(&run.old_bytes),
        }),
        last_save_s: figures.last_save_s,
        failing: figures.failing,
        last_duration_s: figures.last_duration_s,
        saves: figures.saves,
        saved_changes: figures.saved_changes,
        last_old_bytes: figures.last_old_bytes,
    }
}

fn logs(core: &CoreState) -> Logs {
    let append_only = &core.shared.append_only;
    let figures = append_only.figures();
    Logs {
        rewriting_for_s: figures.rewriting_since_s.map(|since_s| core.now_us / 1_000_000 - since_s),
        scheduled: figures.scheduled,
        last_rewrite_s: figures.last_rewrite_s,
        rewrite_failed: figures.rewrite_failed,
        rewrites: figures.rewrites,
        failures_in_a_row: figures.failures_in_a_row,
        failing: append_only.error().is_some(),
        last_old_bytes: figures.last_old_bytes,
        complete_bytes: figures.complete_bytes,
        base_bytes: figures.base_bytes,
    }
}

/// The counters of all cores together.
pub(super) fn sum(answers: Vec<Answer>) -> Stats {
    let mut sum: Option<Box<Stats>> = None;
    for answer in answers {
        let Answer::Stats(stats) = answer else { continue };
        match &mut sum {
            Some(sum) => sum.absorb(&stats),
            None => sum = Some(stats),
        }
    }
    sum.map(|stats| *stats).unwrap_or_default()
}

/// Where memory goes now.
pub(super) fn measure_memory(core: &CoreState, stats: &Stats) -> Memory {
    let (used, peak) = core.shared.note_memory();
    Memory {
        used: used as u64,
        peak: peak as u64,
        startup: core.shared.startup_bytes.load(Ordering::Relaxed) as u64,
        resident: system::resident_bytes(),
        system: system::total_memory_bytes(),
        ..Memory::default()
    }
    .with_stats(stats)
}
