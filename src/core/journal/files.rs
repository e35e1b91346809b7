//! What an append-only folder holds, as a plan of loading: which core replays which part of which file.

use std::io;

use super::segments::folder_of;
use crate::aof::manifest::Folder;
use crate::aof::recover::{self, Content, Plan, Rules};
use crate::config::Config;
use crate::net::client::Scope;
use crate::runtime::io::CoreId;
use crate::shared::load::{Kind, LoadPlan, LogPart};

/// Which of `shards` cores loads what. Logs of as many shards are replayed by the core of each, others by the first.
pub fn load_plan(folder: &Folder, plan: &Plan, shards: usize) -> LoadPlan {
    let mut load = LoadPlan::default();
    for piece in &plan.pieces {
        let path = folder.file(&piece.entry);
        let (core, scope) = match piece.content {
            Content::Rdb => {
                let is_whole = path.extension().is_some_and(|extension| extension == "rdb");
                load.base = Some((if is_whole { Kind::Base } else { Kind::Preamble }, path));
                continue;
            }
            Content::Plain => (None, Scope::Everything),
            Content::Log(log) if usize::from(log.shards) == shards => {
                (Some(CoreId(log.shard)), Scope::OwnShard)
            }
            Content::Log(_) => (None, Scope::FormerShard),
        };
        load.logs.push(LogPart { core, scope, path, range: piece.bytes.clone() });
    }
    load
}

/// The same for what is on disk now; nothing there is changed.
pub(in crate::core) fn plan_of_folder(config: &Config, shards: usize) -> io::Result<LoadPlan> {
    let folder = folder_of(config);
    let manifest = folder.load().map_err(io::Error::other)?;
    let plan =
        recover::plan(&folder, &manifest, Rules::new(config.aof_load_truncated)).map_err(io::Error::other)?;
    Ok(load_plan(&folder, &plan, shards))
}
