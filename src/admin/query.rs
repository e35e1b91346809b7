//! What one core answers when another asks.

use crate::admin::{clients, debug, pause};
use crate::core::state::{CoreState, Pause};
use crate::route::message::{Answer, Query};
use crate::runtime::alloc;
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
        Query::Unblock { client, error } => Answer::Count(usize::from(core.unblock(client, error))),
        Query::Pause { until_ms, writes_only } => {
            pause::begin(core, Pause { until_ms, writes_only });
            Answer::Done
        }
        Query::Unpause => {
            core.end_pause();
            Answer::Done
        }
        Query::Stats => Answer::Stats(Box::new(core.stats_now())),
        Query::KillScripts { functions } => Answer::Killed(core.kill_scripts(functions)),
        Query::RunningScript => Answer::Running(core.running_script().map(Box::new)),
        Query::ResetStats => {
            core.shared.scripts.reset_figures();
            core.scripting.reset();
            core.stats.reset();
            core.rates = Default::default();
            core.shard.stats = Default::default();
            core.workbench.stats = Default::default();
            Answer::Done
        }
        Query::ApplyConfig => {
            core.refresh_config();
            Answer::Done
        }
        Query::Purge => {
            alloc::purge();
            Answer::Done
        }
        Query::Debug { db, args } => Answer::Debug(debug::on_core(core, usize::from(db), &args.slices())),
        Query::LogLibraries { .. } | Query::Logged { .. } => {
            unreachable!("it may have to wait: `CoreState::on_ask` answers it")
        }
        Query::Load => unreachable!("it takes its time: `CoreState::on_ask` answers it"),
        Query::Watch { .. } => unreachable!("it may have to wait: `CoreState::on_ask` answers it"),
        Query::Subscriptions(changes) => {
            // This core's own are in its table already.
            if from != core.core {
                core.pubsub.note(from, &changes);
            }
            Answer::Done
        }
        Query::Track { prefixes, redirect } => {
            if from != core.core {
                core.tracking.prefixes.note(from, &prefixes);
                core.listen();
            }
            let found = core.clients.iter().find(|client| Some(client.id) == redirect && !client.refused);
            Answer::Found(found.map(|client| client.conn))
        }
        Query::Monitors(count) => {
            core.monitors[from.index()] = count;
            core.monitored = core.monitors.iter().any(|&count| count > 0);
            Answer::Done
        }
    }
}
