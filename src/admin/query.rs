//! What one core answers when another asks.

use crate::admin::{clients, pause};
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
        Query::KillClients { filter, caller } => Answer::Count(clients::end_matching(core, &filter, caller)),
        Query::Pause { until_ms, writes_only } => {
            pause::begin(core, Pause { until_ms, writes_only });
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
            core.monitored = core.monitors.iter().any(|&count| count > 0);
            Answer::Done
        }
    }
}
