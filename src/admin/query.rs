//! What one core answers when another asks.

use crate::admin::clients;
use crate::core::state::{CoreState, Pause};
use crate::route::message::{Answer, Query};
use crate::runtime::io::CoreId;

/// Answers a question of `from`, or follows its order.
pub fn answer(core: &mut CoreState, from: CoreId, query: Query) -> Answer {
    match query {
        Query::ListClients(filter) => Answer::Lines(
            core.clients
                .iter()
                .filter(|client| clients::matches(&filter, client, core.now_ms()))
                .map(|client| (client.id, clients::line(client, core.now_ms(), core.lookup)))
                .collect(),
        ),
        Query::KillClients(filter) => Answer::Count(clients::kill(core, &filter)),
        Query::Pause { until_ms, writes_only } => {
            // The longer and the stricter of two pauses is in force.
            let before = core.pause.unwrap_or(Pause { until_ms, writes_only });
            let until_ms = before.until_ms.max(until_ms);
            core.pause = Some(Pause { until_ms, writes_only: before.writes_only && writes_only });
            Answer::Done
        }
        Query::Unpause => {
            core.end_pause();
            Answer::Done
        }
        Query::Stats => Answer::Stats(Box::new(core.stats_now())),
        Query::ResetStats => {
            core.stats.reset();
            core.shard.stats = Default::default();
            core.workbench.stats = Default::default();
            Answer::Done
        }
        Query::SetActiveExpiry(on) => {
            core.shard.active_expiry = on;
            Answer::Done
        }
        Query::Monitors(count) => {
            core.monitors[from.index()] = count;
            Answer::Done
        }
        Query::Unblock { .. } => Answer::Count(0),
    }
}
