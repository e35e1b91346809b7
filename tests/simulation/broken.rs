//! Servers that are broken on purpose: the simulation must notice.

use std::panic::{AssertUnwindSafe, catch_unwind};

use corelane::runtime::sim::Faults;

use crate::cluster::Cluster;
use crate::random::{Verdict, run};

/// Seeds within which a broken server must have been noticed.
const SEEDS: u64 = 300;

/// The first seed whose run is rejected, with the reason.
fn first_rejected(
    shards: u16,
    faults: impl Fn(u64) -> Faults,
    break_server: impl Fn(&mut Cluster),
) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| match run(shards, seed, faults(seed), &break_server).verdict() {
        Verdict::Rejected(why) => Some((seed, why)),
        _ => None,
    })
}

#[test]
fn transactions_that_overlook_each_other_are_noticed() {
    for shards in [2, 3, 8] {
        let overlook = |cluster: &mut Cluster| {
            cluster.cores.iter_mut().for_each(|core| core.state.locks.break_for_test());
        };
        let found = first_rejected(shards, Faults::drawn, overlook);
        let (_, why) = found.unwrap_or_else(|| panic!("{shards} shards: nothing noticed"));
        assert!(why.contains("no order of these operations"), "{why}");
    }
}

#[test]
fn transactions_that_overlook_changes_of_what_they_watch_are_noticed() {
    for shards in [2, 3, 8] {
        let overlook = |cluster: &mut Cluster| {
            cluster.cores.iter_mut().for_each(|core| core.state.watches.break_for_test());
        };
        let found = first_rejected(shards, Faults::drawn, overlook);
        let (_, why) = found.unwrap_or_else(|| panic!("{shards} shards: nothing noticed"));
        assert!(why.contains("no order of these operations"), "{why}");
        assert!(why.contains("CAS"), "{why}");
    }
}

#[test]
fn batches_that_overtake_each_other_are_noticed() {
    let overtaking = |seed| Faults { overtaking: true, ..Faults::drawn(seed) };
    let noticed = catch_unwind(AssertUnwindSafe(|| first_rejected(2, overtaking, |_| ())));
    assert!(!matches!(noticed, Ok(None)), "neither a panic nor a wrong reply");
}

#[test]
fn a_lost_batch_leaves_a_client_waiting() {
    let lossy = |seed| Faults { lost_batches: 200, breaks: 0, ..Faults::drawn(seed) };
    let (_, why) = first_rejected(2, lossy, |_| ()).expect("a lost batch is noticed");
    assert!(why.contains("wait for ever"), "{why}");
}
