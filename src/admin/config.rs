//! `CONFIG` (redis.io/docs/latest/commands/config). What a parameter is and takes stands in [`crate::config`]; here are
//! the effects of a change beyond the new value itself.

use crate::admin::{Cx, Flow};
use crate::config::Config;
use crate::config::get_set::{self, Caller};
use crate::config::rewrite::Extent;
use crate::core::state::CoreState;
use crate::protocol::Error;
use crate::route::message::Query;
use crate::runtime::cpu;
use crate::shared::lock;

/// Parameters that can be set to the value they have, as tools do that copy a configuration, but not to another one; and
/// why, in Redis's words if it has some.
const MADE_AT_THE_START: [(&str, &str); 4] = [
    ("port", "Unable to listen on this port."),
    ("bind", "Failed to bind to specified addresses."),
    ("shards", "Shards are made at the start."),
    ("core-list", "Cores are chosen at the start."),
];

/// `CONFIG GET parameter [parameter ...]`
///
/// # Errors
/// None.
pub fn config_get(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let found = cx.core.config.get(&cx.args[2..]);
    cx.reply.map(found.len());
    for (name, value) in found {
        cx.reply.bulk(name);
        cx.reply.bulk(value);
    }
    Ok(Flow::Done)
}

/// `CONFIG SET parameter value [parameter value ...]`. The reply comes when the change is in force on all cores.
///
/// # Errors
/// Redis's, and then nothing is changed.
pub fn config_set(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let caller = Caller { local: cx.client().is_local, loading: cx.core.loading.is_some() };
    let core = &*cx.core;
    core.shared.config.update(|current| {
        let (config, changed) = current.set(&cx.args[2..], caller)?;
        apply(core, &config, &changed)?;
        Ok::<_, Error>(config)
    })?;
    cx.core.refresh_config();
    Ok(Flow::Ask(Query::ApplyConfig, |cx, _| {
        let concerns_log = cx.args[2..].chunks(2).any(|pair| pair[0].eq_ignore_ascii_case(b"appendonly"));
        if concerns_log && cx.core.config.appendonly && !cx.core.is_logged() {
            // Whoever looks right now sees it begin. If it cannot, it is tried again in intervals.
            let rewrite = cx.core.ask_for_rewrite(cx.in_program);
            if rewrite.is_ok_and(|rewrite| rewrite.is_scheduled()) {
                let when = if cx.in_program {
                    "during a transaction"
                } else {
                    "but there is already another background operation"
                };
                cx.core.shared.log.notice(format_args!(
                    "AOF was enabled {when}. An AOF background was scheduled to start when possible."
                ));
            }
        }
        cx.reply.ok();
        Ok(())
    }))
}

/// Does what makes changed parameters true. What can fail comes before what cannot be taken back.
fn apply(core: &CoreState, config: &Config, changed: &[&'static str]) -> Result<(), Error> {
    let is_changed = |name: &str| changed.contains(&name);
    if let Some((name, reason)) = MADE_AT_THE_START.iter().find(|(name, _)| is_changed(name)) {
        let reason = format!("{reason} It can change by a restart only.");
        return Err(get_set::set_failed(name, &reason));
    }
    if is_changed("maxclients") {
        let limit = cpu::raise_open_files_limit(config.open_files_needed());
        let possible = config.maxclients_within(limit);
        if possible < config.maxclients {
            return Err(get_set::set_failed(
                "maxclients",
                &format!(
                    "The operating system is not able to handle the specified number of clients, try with {possible}"
                ),
            ));
        }
    }
    if is_changed("dir") {
        std::env::set_current_dir(&config.dir)
            .map_err(|error| get_set::set_failed("dir", &error.to_string()))?;
    }
    if is_changed("loglevel") {
        core.shared.log.set_level(config.loglevel);
    }
    if is_changed("appendonly") && !config.appendonly {
        core.give_up_rewrite();
    }
    if is_changed("aof-disable-auto-gc") && !config.aof_disable_auto_gc {
        core.remove_history();
    }
    if is_changed("slowlog-max-len") {
        lock(&core.shared.slowlog).truncate(config.slowlog_max_len as usize);
    }
    Ok(())
}

/// `CONFIG RESETSTAT`
///
/// # Errors
/// None.
pub fn config_resetstat(_: &mut Cx<'_>) -> Result<Flow, Error> {
    Ok(Flow::Ask(Query::ResetStats, |cx, _| {
        cx.reply.ok();
        Ok(())
    }))
}

/// `CONFIG REWRITE`
///
/// # Errors
/// If there is no file, or it cannot be written.
pub fn config_rewrite(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let log = &cx.core.shared.log;
    cx.core
        .config
        .rewrite(Extent::Differences)
        .inspect_err(|error| log.warning(format_args!("CONFIG REWRITE failed: {error}")))?;
    log.notice(format_args!("CONFIG REWRITE executed with success."));
    cx.reply.ok();
    Ok(Flow::Done)
}
