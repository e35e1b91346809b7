//! Servers that log to a simulated disk, crash at a random moment, and are recovered from what is left.
//!
//! A [`Folder`] is what outlives a crash: files and the manifest. A [`Life`] is one run of the server from recovery to crash. As
//! the storage thread does it, a segment has its first line on stable storage before the manifest names it.

mod groups;
mod histories;
mod pace;

use std::collections::BTreeMap;
use std::ffi::OsStr;

use corelane::aof::frame::{Opening, Segment};
use corelane::aof::manifest::Manifest;
use corelane::aof::recover::{Content, Piece, Plan, Rules, plan_with};
use corelane::config::{AofSyncMethod, AppendFsync};
use corelane::net::client::{Replay, Scope};
use corelane::runtime::io::{CoreId, FileId, Handle};
use corelane::runtime::sim::{Faults, Files};

use crate::cluster::Cluster;
use crate::random::number;
use crate::support::rng::Rng;

/// How a server of a run logs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logging {
    pub(crate) sync: AppendFsync,
    pub(crate) method: AofSyncMethod,
    pub(crate) writes_in_flight: u32,
    pub(crate) sync_interval_ms: u32,
    pub(crate) unsynced_max_bytes: u64,
    /// Small, so that many are needed.
    pub(crate) segment_bytes: u64,
}

impl Logging {
    /// Another mixture for every seed.
    pub(crate) fn drawn(rng: &mut Rng, sync: AppendFsync) -> Logging {
        Logging {
            sync,
            method: [AofSyncMethod::Dsync, AofSyncMethod::Fdatasync][rng.below(2)],
            writes_in_flight: [1, 2, 4, 8][rng.below(4)],
            sync_interval_ms: [1, 10, 100, 1000][rng.below(4)],
            unsynced_max_bytes: [0, 0, 100, 5000][rng.below(4)],
            segment_bytes: [512, 2048, 8192, 80 << 10][rng.below(4)],
        }
    }
}

/// What outlives a crash.
#[derive(Default)]
pub(crate) struct Folder {
    manifest: Manifest,
    files: Files,
    runs: u128,
}

impl Folder {
    fn plan(&self) -> Result<Plan, String> {
        let open = |entry: &corelane::aof::manifest::Entry| Ok(&self.files[&(entry.seq as u64)][..]);
        plan_with(&self.manifest, Rules::new(true), open).map_err(|error| format!("recovery: {error}"))
    }

    /// Finds out what is left and cuts off the rest, perhaps with a crash in between.
    fn recover(&mut self, rng: &mut Rng) -> Result<Plan, String> {
        let mut plan = self.plan()?;
        if rng.chance(30) {
            let done = rng.below(plan.cuts.len() + 1);
            self.cut(&plan, done);
            let again = self.plan()?;
            if !self.data(&again).eq(self.data(&plan)) {
                return Err(format!("{done} of the cuts of {plan:?} change the plan to {again:?}"));
            }
            plan = again;
        }
        if number("CORELANE_SIM_SEED").is_some() {
            plan.cuts.iter().flat_map(|cut| &cut.log).for_each(|line| eprintln!("{line}"));
        }
        self.cut(&plan, plan.cuts.len());
        Ok(plan)
    }

    /// Pieces that are more than the first line of a segment.
    fn data<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = &'a Piece> {
        let has_frames = |piece: &&Piece| match Segment::decode(&self.files[&(piece.entry.seq as u64)]) {
            Opening::Segment(_, len) => piece.bytes.end > len as u64,
            _ => true,
        };
        plan.pieces.iter().filter(has_frames)
    }

    fn cut(&mut self, plan: &Plan, count: usize) {
        for cut in &plan.cuts[..count] {
            let file = self.files.get_mut(&(cut.entry.seq as u64)).expect("it was opened");
            file.truncate(cut.at as usize);
        }
    }

    /// A name for another segment.
    fn add(&mut self) -> u32 {
        let entry = self.manifest.add_increment(OsStr::new("appendonly.aof"));
        entry.seq as u32
    }
}

/// A segment that is being made for a core.
struct Making {
    core: CoreId,
    due_step: u64,
}

/// One run of the server.
pub(crate) struct Life {
    pub(crate) cluster: Cluster,
    folder: Folder,
    rng: Rng,
    logging: Logging,
    run: u128,
    making: Vec<Making>,
    /// Segments that were gone on to.
    pub(crate) switches: usize,
}

impl Life {
    /// Recovers what is in the folder and begins to log. The world is calm until it is [stirred](Life::stir).
    pub(crate) fn begin(
        mut folder: Folder,
        shards: u16,
        seed: u64,
        faults: &Faults,
        logging: Logging,
    ) -> Result<Life, String> {
        let mut rng = Rng::new(seed ^ 0xd15c);
        let plan = folder.recover(&mut rng)?;
        let files = std::mem::take(&mut folder.files);
        let contents = files.clone();
        let mut cluster = Cluster::with_files(shards, seed, faults.clone(), files, |config| {
            config.appendonly = true;
            config.appendfsync = logging.sync;
            config.aof_sync_method = logging.method;
            config.aof_writes_in_flight = logging.writes_in_flight;
            config.aof_sync_interval_ms = logging.sync_interval_ms;
            config.aof_unsynced_max_bytes = logging.unsynced_max_bytes;
        });
        load(&mut cluster, &plan, &contents)?;
        folder.runs += 1;
        let run = folder.runs;
        let mut life = Life { cluster, folder, rng, logging, run, making: Vec::new(), switches: 0 };
        for core in 0..shards {
            let (file, handle) = life.make_segment(CoreId(core), true);
            let identity = life.identity(CoreId(core));
            life.cluster.cores[usize::from(core)].state.begin_log(
                identity,
                file,
                handle,
                logging.segment_bytes,
            );
        }
        Ok(life)
    }

    fn identity(&self, core: CoreId) -> Segment {
        Segment { run: self.run, shard: core.0, shards: self.cluster.cores.len() as u16 }
    }

    /// A segment as the server makes them, on stable storage; the first one of a log says that it is that.
    fn make_segment(&mut self, core: CoreId, first: bool) -> (FileId, Handle) {
        let (identity, mut content) = (self.identity(core), Vec::new());
        match first {
            true => identity.encode_with_start(0, &mut content),
            false => identity.encode(&mut content),
        }
        content.resize(self.logging.segment_bytes as usize, 0);
        let seq = self.folder.add();
        self.cluster.world.create_file(seq.into(), content);
        (FileId(seq), Handle::Simulated(seq.into()))
    }

    /// Begins with faults.
    pub(crate) fn stir(&mut self, faults: Faults) {
        self.cluster.world.stir(faults);
    }

    /// Lets one thing happen, and makes segments that are wanted, sooner or later.
    pub(crate) fn step(&mut self) {
        self.cluster.step();
        for at in 0..self.cluster.cores.len() {
            let core = CoreId(at as u16);
            let wants = self.cluster.cores[at].state.journal.wants_segment;
            if wants && self.making.iter().all(|making| making.core != core) {
                let delay = [1, 20, 400][self.rng.below(3)];
                let due_step = self.cluster.world.steps() + self.rng.below(delay) as u64;
                self.making.push(Making { core, due_step });
            }
        }
        let steps = self.cluster.world.steps();
        let due: Vec<CoreId> =
            self.making.extract_if(.., |making| making.due_step <= steps).map(|making| making.core).collect();
        for core in due {
            let (file, handle) = self.make_segment(core, false);
            self.cluster.cores[core.index()].state.on_segment(file, handle, self.logging.segment_bytes);
            self.cluster.world.turned(core, true);
            self.switches += 1;
        }
    }

    /// Everything stops. What the server has sent still arrives, and `hear` can take it in.
    pub(crate) fn crash(mut self, hear: impl FnOnce(&mut Cluster)) -> Folder {
        self.cluster.world.deliver_sent();
        hear(&mut self.cluster);
        let Cluster { world, .. } = self.cluster;
        Folder { files: world.crash(), ..self.folder }
    }
}

/// Replays what is left of logs, each on its own core.
fn load(cluster: &mut Cluster, plan: &Plan, files: &Files) -> Result<(), String> {
    for group in plan.groups() {
        let mut of_shard: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
        for piece in group {
            let Content::Log(segment) = piece.content else { return Err(format!("{piece:?} is no log")) };
            let range = piece.bytes.start as usize..piece.bytes.end as usize;
            let bytes = &files[&(piece.entry.seq as u64)][range];
            of_shard.entry(segment.shard).or_default().extend_from_slice(bytes);
        }
        for (shard, bytes) in of_shard {
            if number("CORELANE_SIM_SEED").is_some() {
                eprintln!("shard {shard} replays {}", bytes.escape_ascii());
            }
            let user = cluster.user(shard);
            cluster.rest();
            let clients = &mut cluster.cores[usize::from(shard)].state.clients;
            let client = clients.iter_mut().next().expect("it is the only one");
            client.replay = Some(Box::new(Replay { scope: Scope::OwnShard, damage: None }));
            let conn = client.conn;
            cluster.world.send(user.link, &bytes);
            cluster.rest();
            let client = cluster.cores[usize::from(shard)].state.clients.get_mut(conn);
            let client = client.ok_or("the client that replays a log is gone")?;
            if let Some(damage) = client.replay.take().and_then(|replay| replay.damage) {
                return Err(format!("shard {shard}: {damage}"));
            }
            let replies = client.row.take_ready();
            if let Some(at) = replies.windows(3).position(|bytes| bytes == b"\r\n-") {
                let error =
                    String::from_utf8_lossy(&replies[at + 2..replies.len().min(at + 100)]).into_owned();
                return Err(format!("shard {shard}: replay is answered {error}"));
            }
            cluster.world.close(user.link);
            cluster.rest();
        }
    }
    Ok(())
}
