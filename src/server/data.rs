//! What the server begins with: a snapshot, or the append-only folder, which is made whole first. The cores do the loading.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use crate::aof::manifest::{Format, Manifest};
use crate::aof::recover::{self, Rules};
use crate::aof::store::Store;
use crate::config::{Config, REDIS_VERSION};
use crate::core::journal::files::load_plan;
use crate::core::journal::segments::{folder_of, make_segments};
use crate::rdb::file::{About, head, preamble, tail};
use crate::shared::load::{Load, LoadMode, LoadPlan, Setup};
use crate::shared::{Shared, lock};
use crate::storage::plain;

/// Finds what there is, and begins to load it. With `appendonly yes` the segments are made in which the cores begin to log.
pub(super) fn begin(shared: &Shared, now_ms: i64) -> Result<(), String> {
    let (config, _) = shared.config.current();
    let plan = match config.appendonly {
        true => begin_with_logs(shared, &config, now_ms)?,
        false => {
            let snapshot = config.dir.join(&config.dbfilename);
            let is_there = snapshot.try_exists().map_err(|error| fatal(&plain(&error)))?;
            is_there.then(|| LoadPlan::of_snapshot(snapshot))
        }
    };
    if let Some(plan) = plan {
        let mode = LoadMode { flush: false, replace: false };
        let setup = Setup { map: shared.map, verify: config.rdbchecksum, now_ms };
        let load = Load::begin(plan, mode, setup).map_err(|error| fatal(&plain(&error)))?;
        shared.set_load(load);
    }
    Ok(())
}

fn fatal(reason: &str) -> String {
    format!("Fatal error loading the DB: {reason}. Exiting.")
}

fn begin_with_logs(shared: &Shared, config: &Arc<Config>, now_ms: i64) -> Result<Option<LoadPlan>, String> {
    let folder = folder_of(config);
    let mut manifest = folder.load().map_err(|error| fatal(&error.to_string()))?;
    if let Some(file) = folder.orphan().map_err(|error| fatal(&plain(&error)))? {
        return Err(fatal(&format!(
            "the AOF manifest file {} doesn't exist, but {} does. Restore the manifest, or move the AOF files away",
            folder.manifest().display(),
            file.display()
        )));
    }
    if folder.upgrade(&mut manifest).map_err(|error| fatal(&plain(&error)))? {
        shared.log.notice(format_args!("{}", folder.upgrade_log_line()));
    }
    let plan = recover::plan(&folder, &manifest, Rules::new(config.aof_load_truncated))
        .map_err(|error| fatal(&error.to_string()))?;
    for line in plan.cuts.iter().flat_map(|cut| &cut.log) {
        shared.log.warning(format_args!("{line}"));
    }
    recover::apply(&folder, &plan).map_err(|error| fatal(&plain(&error)))?;
    if manifest.is_empty() {
        folder.create().map_err(|error| fatal(&plain(&error)))?;
        // A base without a manifest would look as if that had been lost.
        folder.store(&manifest).map_err(|error| fatal(&plain(&error)))?;
        let base = manifest.replace_base(folder.filename(), Format::Rdb, |_| false);
        write_empty_base(&folder.file(&base), config, now_ms).map_err(|error| fatal(&plain(&error)))?;
        folder.store(&manifest).map_err(|error| fatal(&plain(&error)))?;
        shared.log.notice(format_args!("Creating AOF base file {} on server start", base.name.display()));
    }
    let load = load_plan(&folder, &plan, shared.map.shards());
    begin_store(shared, config, manifest).map_err(|error| fatal(&plain(&error)))?;
    Ok((load != LoadPlan::default()).then_some(load))
}

/// Has the cores log into new segments.
fn begin_store(shared: &Shared, config: &Arc<Config>, manifest: Manifest) -> std::io::Result<()> {
    let store = Store::new(folder_of(config), manifest)?;
    let (base, complete) = store.bytes();
    *lock(&shared.append_only.store) = Some(store);
    shared.append_only.note(|figures| figures.base_bytes = base + complete);
    let logs: Vec<_> = shared.logs().collect();
    make_segments(&shared.append_only, config, &logs, true)
}

/// A folder whose logs begin with nothing has a base all the same, as tools expect.
fn write_empty_base(path: &Path, config: &Config, now_ms: i64) -> std::io::Result<()> {
    let about = About {
        redis_version: REDIS_VERSION,
        created_s: now_ms / 1000,
        used_memory_bytes: 0,
        is_aof_base: true,
    };
    let (facts, sum) = preamble(&about, [], false);
    let mut file = fs::File::create(path)?;
    for part in [&head(sum.version())[..], &facts, &tail(&sum, config.rdbchecksum)] {
        file.write_all(part)?;
    }
    file.sync_all()
}
