//! Files and logs loaded into the cores of a simulated server.

use std::ops::Deref;
use std::path::PathBuf;

use super::*;
use crate::base::crc::SLOTS;
use crate::base::temp_folder::TempFolder;
use crate::config::Config;
use crate::core::Core;
use crate::net::client::{BAD_FORMAT, Scope};
use crate::observe::log::Log as LogFile;
use crate::rdb::file;
use crate::route::ShardMap;
use crate::route::message::Batch;
use crate::runtime::sim::{Faults, SimIo, SimMailbox, Step as Stride, World};
use crate::shard::{Db, Hasher, Slot, Str};
use crate::shared::Shared;
use crate::shared::load::LogPart;

const DATABASES: u32 = 2;
const NOW_MS: i64 = 1_000_000;

/// The cores of a server that have loaded something.
struct Loaded {
    cores: Vec<Core<SimIo, SimMailbox<Batch>>>,
    load: Arc<Load>,
}

/// Loads what `plan` names into a new server.
fn load(plan: LoadPlan, shards: u16) -> Loaded {
    let mut config = Config::default();
    (config.databases, config.latency_tracking) = (DATABASES, false);
    let map = ShardMap::new(shards);
    let mut world: World<Batch> = World::new(map.shards(), 1, Faults::none());
    let shared = Arc::new(Shared::new(map, config, LogFile::silent(), "0".repeat(40), 0));
    let mode = LoadMode { flush: false, replace: false };
    let setup = Setup { map, verify: true, now_ms: NOW_MS };
    let load = Load::begin(plan, mode, setup).unwrap();
    shared.set_load(Arc::clone(&load));
    let hasher = Hasher::from_seed(1);
    let core = |core| {
        let mut state = CoreState::new(core, Arc::clone(&shared), &hasher, 1, Box::new(world.clock()));
        // What was loaded with an expiry that is over stays for the look at it.
        state.upkeep_paused = true;
        Core::new(state, world.io(core), world.mailbox(core))
    };
    let mut cores: Vec<_> = map.all().map(core).collect();
    while load.failure().is_none() && cores.iter().any(|core| core.state.loading.is_some()) {
        if let Stride::Turn(core) = world.step() {
            let more = cores[core.index()].turn();
            world.turned(core, more);
        }
    }
    Loaded { cores, load }
}

impl Loaded {
    /// The string at a key of a database, and how often it is somewhere.
    fn get(&self, db: usize, name: &str) -> Option<String> {
        let mut found = self.cores.iter().filter_map(|core| {
            let shard = &core.state.shard;
            let item = shard.dbs[db].get(&shard.key(name.as_bytes()))?;
            assert!(core.state.is_own_key(name.as_bytes()), "{name} is on the wrong shard");
            Some(item.str().with_bytes(|bytes| String::from_utf8_lossy(bytes).into_owned()))
        });
        let first = found.next();
        assert_eq!(found.next(), None, "{name} is there twice");
        first
    }

    fn keys(&self) -> usize {
        self.cores.iter().flat_map(|core| core.state.shard.dbs.iter()).map(|db| db.len()).sum()
    }

    /// Why it failed.
    fn failure(&self) -> String {
        self.load.failure().expect("it has to fail")[0].clone()
    }
}

/// A file that is there as long as the value.
struct Written(PathBuf, #[expect(dead_code, reason = "it removes the file")] TempFolder);

impl Deref for Written {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

/// A file of this content.
fn write(content: &[u8]) -> Written {
    let folder = TempFolder::empty();
    Written(folder.write("file", content), folder)
}

fn resp(commands: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        bytes.extend(format!("*{}\r\n", words.len()).bytes());
        words.iter().for_each(|word| bytes.extend(format!("${}\r\n{word}\r\n", word.len()).bytes()));
    }
    bytes
}

/// An RDB file with so many keys in each of two databases; each third has an expiry that is over.
fn snapshot(keys: usize) -> Vec<u8> {
    let mut body = Vec::new();
    // The first database in two parts, as if two shards had written it.
    for (db, parity) in [(0, Some(0)), (1, None), (0, Some(1))] {
        file::select_db(&mut body, db, keys as u64, 0);
        for number in (0..keys).filter(|number| parity.is_none_or(|parity| number % 2 == parity)) {
            let at = (number % 3 == 0).then_some(5);
            let item = Item::new(format!("key:{number}").as_bytes(), Str::Int(number as i64), at);
            file::entry(&mut body, &item, file::Usage::Untold, true);
        }
    }
    let sum = file::Sum::of(&body, 9);
    [&file::head(9)[..], &body, &file::tail(&sum, true)].concat()
}

fn log(core: Option<u16>, path: &Path) -> LogPart {
    let scope = if core.is_some() { Scope::OwnShard } else { Scope::Everything };
    LogPart { core: core.map(CoreId), scope, path: path.to_owned(), range: 0..u64::MAX }
}

fn logs(logs: Vec<LogPart>) -> LoadPlan {
    LoadPlan { base: None, logs }
}

#[test]
fn every_core_takes_its_keys() {
    // More than a chunk.
    let mut keys = 0;
    let path = write(&{
        let mut body = Vec::new();
        file::select_db(&mut body, 1, 0, 0);
        while body.len() < 3 << 20 {
            let item =
                Item::new(format!("key:{keys}").as_bytes(), Str::Bytes(&vec![b'v'; keys % 5000]), None);
            file::entry(&mut body, &item, file::Usage::Untold, false);
            keys += 1;
        }
        let sum = file::Sum::of(&body, 9);
        [&file::head(9)[..], &body, &file::tail(&sum, true)].concat()
    });
    for shards in [1, 3] {
        let loaded = load(LoadPlan::of_snapshot(path.to_path_buf()), shards);
        assert_eq!(loaded.load.failure(), None);
        assert_eq!(loaded.keys(), keys);
        assert_eq!(loaded.get(1, "key:7"), Some("vvvvvvv".into()));
        assert!(
            loaded.cores.iter().all(|core| core.state.shard.dbs[1].len() > keys / 4 / usize::from(shards))
        );
        let figures = loaded.load.figures();
        assert_eq!((figures.active, figures.keys_loaded), (false, keys as u64));
        assert_eq!(figures.loaded_bytes, figures.total_bytes);
        assert!(!loaded.cores[0].state.shard.loading);
    }
}

#[test]
fn a_file_that_announces_too_many_keys_takes_no_more_memory_than_its_length_allows() {
    let mut body = Vec::new();
    for _ in 0..100 {
        for db in 0..DATABASES as usize {
            file::select_db(&mut body, db, u64::MAX, 0);
        }
    }
    for number in 0..20_000 {
        let item = Item::new(format!("key:{number}").as_bytes(), Str::Int(number), None);
        file::entry(&mut body, &item, file::Usage::Untold, true);
    }
    let sum = file::Sum::of(&body, 9);
    let path = write(&[&file::head(9)[..], &body, &file::tail(&sum, true)].concat());
    let loaded = load(LoadPlan::of_snapshot(path.to_path_buf()), 2);
    assert_eq!((loaded.load.failure(), loaded.keys()), (None, 20_000));
    let tables: usize =
        loaded.cores.iter().flat_map(|core| core.state.shard.dbs.iter()).map(Db::table_bytes).sum();
    let arrays = 2 * DATABASES as usize * SLOTS * size_of::<[u64; 2]>();
    assert!(tables < arrays + 8 * body.len(), "{tables} bytes of tables for {} bytes", body.len());
}

#[test]
fn what_has_expired_is_left_out_unless_logs_follow() {
    let path = write(&snapshot(30));
    for (kind, left) in [(Kind::Snapshot, 0), (Kind::Base, 20)] {
        let loaded = load(LoadPlan { base: Some((kind, path.to_path_buf())), logs: Vec::new() }, 2);
        assert_eq!(loaded.load.failure(), None);
        assert_eq!(loaded.keys(), 40 + left, "{kind:?}");
        assert_eq!(loaded.load.figures().keys_expired, 20 - left as u64);
    }
}

#[test]
fn logs_are_replayed_in_order() {
    let one = write(&resp(&["SET a 1", "SELECT 1", "SET a 2", "RPUSH l x", "INCR a"]));
    let two = write(&resp(&["INCR a", "MSET a 5 b 6 c 7", "RENAME b d", "SELECT 1", "DEL l"]));
    for shards in [1, 2, 5] {
        let loaded = load(logs(vec![log(None, &one), log(None, &two)]), shards);
        assert_eq!(loaded.load.failure(), None);
        assert_eq!(
            [(0, "a"), (0, "b"), (0, "c"), (0, "d"), (1, "a")].map(|(db, key)| loaded.get(db, key)),
            [Some("5".into()), None, Some("7".into()), Some("6".into()), Some("3".into())]
        );
        assert_eq!(loaded.keys(), 4);
        for core in &loaded.cores {
            assert_eq!((core.state.stats.commands_processed, core.state.stats.changes), (0, 0));
            assert!(core.state.clients.is_empty(), "the client is gone");
        }
        assert_eq!(loaded.load.figures().loaded_bytes, loaded.load.figures().total_bytes);
    }
}

#[test]
fn a_core_replays_its_own_log_on_its_own_shard() {
    let map = ShardMap::new(2);
    let key_of = |shard: u16, nth: usize| {
        let owned = |key: &String| map.owner(Slot::of(key.as_bytes())) == CoreId(shard);
        (0..).map(|number| format!("k{number}")).filter(owned).nth(nth).unwrap()
    };
    let [here, there] = [0, 1].map(|shard| key_of(shard, 0));
    let fill =
        |key: &str| write(&resp(&[&format!("SET {key} old"), "FLUSHALL", &format!("APPEND {key} new")]));
    let (zero, one) = (fill(&here), fill(&there));
    let more = write(&resp(&[&format!("APPEND {here} er")]));
    let parts = vec![log(Some(0), &zero), log(Some(1), &one), log(Some(0), &more)];
    let loaded = load(logs(parts), 2);
    assert_eq!(loaded.load.failure(), None);
    assert_eq!([&here, &there].map(|key| loaded.get(0, key)), [Some("newer".into()), Some("new".into())]);
}

#[test]
fn a_log_may_stand_behind_an_rdb_file() {
    let both = [&snapshot(12)[..], &resp(&["DEL key:1", "SET key:2 x", "SET new y"])].concat();
    let path = write(&both);
    for shards in [1, 2] {
        let loaded = load(LoadPlan::of_single_log(path.to_path_buf()).unwrap(), shards);
        assert_eq!(loaded.load.failure(), None);
        assert_eq!(
            ["key:1", "key:2", "key:5", "new"].map(|key| loaded.get(0, key)),
            [None, Some("x".into()), Some("5".into()), Some("y".into())]
        );
        assert_eq!(loaded.keys(), 24);
    }
}

#[test]
fn large_commands_and_notes_come_through_in_pieces() {
    let value = "v".repeat(3 << 20);
    let mut bytes = b"#corelane-log version=1\n".to_vec();
    bytes.extend(resp(&[&format!("SET big {value}")]));
    bytes.extend(format!("#F{}\n#TS:1\r\n", " ".repeat(1000)).bytes());
    (0..20_000).for_each(|_| bytes.extend(resp(&["INCR n"])));
    bytes.extend(b"#\n");
    let path = write(&bytes);
    for core in [None, Some(0)] {
        let loaded = load(logs(vec![log(core, &path)]), 1);
        assert_eq!(loaded.load.failure(), None);
        assert_eq!(loaded.get(0, "big").unwrap().len(), value.len());
        assert_eq!(loaded.get(0, "n"), Some("20000".into()));
    }
}

#[test]
fn a_transaction_in_a_log_is_one() {
    let path = write(&resp(&["MULTI", "SET a 1", "SET b 2", "EXEC", "SET c 3"]));
    for shards in [1, 4] {
        let loaded = load(logs(vec![log(None, &path)]), shards);
        assert_eq!(loaded.load.failure(), None);
        assert_eq!(["a", "b", "c"].map(|key| loaded.get(0, key).unwrap()), ["1", "2", "3"]);
    }
}

#[test]
fn commands_of_a_log_that_are_refused_are_counted() {
    let mut commands = vec!["SET a x", "MULTI", "INCR a", "EXEC"];
    commands.extend(["INCR a", "RPUSH a y", "SET b 1"].repeat(5));
    let path = write(&resp(&commands));
    for shards in [1, 4] {
        let loaded = load(logs(vec![log(None, &path)]), shards);
        assert_eq!(loaded.load.failure(), None);
        assert_eq!(["a", "b"].map(|key| loaded.get(0, key).unwrap()), ["x", "1"]);
        assert_eq!(loaded.load.commands_refused.load(Ordering::Relaxed), 11);
    }
}

#[test]
fn damage_in_a_log_is_told_with_its_place() {
    let start = resp(&["SET a 1", "SET b 2"]);
    let at = start.len();
    let unknown = |name: &str| format!("Unknown command '{name}' reading the append only file");
    let early = "Unexpected end of file reading the append only file";
    let cases: [(&[u8], String); 9] = [
        (b"*1\r\n$4\r\nnone\r\n", unknown("none")),
        (b"*2\r\n$3\r\nset\r\n$1\r\na\r\n", unknown("set")),
        (b"SET a 1\r\n", BAD_FORMAT.into()),
        (b"\0\0\0\0", BAD_FORMAT.into()),
        (b"*1\r\n:4\r\n", BAD_FORMAT.into()),
        (b"*1\r\n$x\r\n", BAD_FORMAT.into()),
        (b"*3\r\n$3\r\nset\r\n$1\r\nc\r\n$1\r", early.into()),
        (b"#TS", early.into()),
        (b"*1\r\n$4\r\nQUIT\r\n", BAD_FORMAT.into()),
    ];
    for (bytes, problem) in cases {
        let path = write(&[&start[..], bytes].concat());
        for shards in [1, 2] {
            let loaded = load(logs(vec![log(None, &path)]), shards);
            let failure = loaded.failure();
            assert!(failure.starts_with(&problem), "{failure}");
            let is_at_start = bytes.ends_with(b"QUIT\r\n") || failure.ends_with(&format!(" at offset {at})"));
            assert!(is_at_start && failure.contains(&path.display().to_string()), "{failure}");
        }
    }
    let long = write(&[b"#".repeat(1100), b"\n".to_vec()].concat());
    assert!(load(logs(vec![log(None, &long)]), 1).failure().starts_with(BAD_FORMAT));
    let open = write(&resp(&["MULTI", "SET a 1"]));
    assert!(load(logs(vec![log(None, &open)]), 1).failure().starts_with(early));
}

#[test]
fn damage_in_a_snapshot_is_told_with_its_place() {
    let whole = snapshot(30);
    let path = write(&whole[..700]);
    let loaded = load(LoadPlan::of_snapshot(path.to_path_buf()), 2);
    assert_eq!(
        loaded.load.failure().unwrap(),
        [
            format!("{}: Unexpected EOF reading RDB file (at offset 700)", path.display()),
            "Short read or OOM loading DB. Unrecoverable error, aborting now.".into(),
            "Terminating server after rdb file reading failure.".into(),
        ]
    );
    let mut body = Vec::new();
    file::select_db(&mut body, 0, 2, 0);
    for _ in 0..2 {
        let item = Item::new(b"twice", Str::Int(1), None);
        file::entry(&mut body, &item, file::Usage::Untold, true);
    }
    let twice = [&file::head(9)[..], &body, &file::tail(&file::Sum::of(&body, 9), true)].concat();
    let failure = load(LoadPlan::of_snapshot(write(&twice).to_path_buf()), 1).failure();
    assert!(failure.contains("RDB has duplicated key 'twice' in DB 0"), "{failure}");
    let failure = load(LoadPlan::of_snapshot(write(b"REDIS0009\xfe\x02").to_path_buf()), 1).failure();
    assert!(failure.contains("configured to handle more than 2 databases"), "{failure}");
    let failure =
        load(LoadPlan::of_snapshot(write(b"REDIS0009\x01\x01k\x01\xc7").to_path_buf()), 1).failure();
    assert!(failure.contains("an unknown form of a string (at offset 13)"), "{failure}");
}
