//! What a data set consists of. Memory is what each key takes in a server with the default configuration. As many prefixes
//! are told apart as fit a bound; keys with others are counted together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::path::PathBuf;

use corelane::aof::manifest;
use corelane::rdb::scan::{Entry, Record};
use corelane::shard::Item;

use crate::input::{self, Input};
use crate::{Failure, StatsArgs, rdb};

/// How many prefixes are told apart.
const PREFIXES_MAX: usize = 100_000;

/// Upper bounds of the time to live, in seconds, and their names.
const TTL_BOUNDS: [(i64, &str); 6] = [
    (0, "expired"),
    (60, "below 1 minute"),
    (3600, "below 1 hour"),
    (86_400, "below 1 day"),
    (604_800, "below 1 week"),
    (i64::MAX, "1 week and more"),
];

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    keys: u64,
    bytes: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64) {
        self.keys += 1;
        self.bytes += bytes;
    }
}

#[derive(Default)]
struct Stats {
    total: Sum,
    types: BTreeMap<&'static str, Sum>,
    /// The biggest keys so far: the smallest of them first.
    biggest: BinaryHeap<Reverse<(u64, u64, Vec<u8>)>>,
    ttl: [u64; TTL_BOUNDS.len()],
    prefixes: HashMap<Vec<u8>, Sum>,
    other_prefixes: Sum,
}

impl Stats {
    fn add(&mut self, db: u64, entry: &Entry<'_>, args: &StatsArgs, now_ms: i64) {
        let Some(item) = rdb::item(entry) else { return };
        let bytes = (item.memory_usage_bytes() + size_of::<Item>()) as u64;
        self.total.add(bytes);
        self.types.entry(item.kind().name()).or_default().add(bytes);
        self.biggest.push(Reverse((bytes, db, entry.key.to_vec())));
        if self.biggest.len() > args.top {
            self.biggest.pop();
        }
        if let Some(at_ms) = entry.about.expire_at_ms {
            let left = (at_ms - now_ms).div_euclid(1000);
            let bound = TTL_BOUNDS.iter().position(|(bound, _)| left < *bound);
            self.ttl[bound.unwrap_or(TTL_BOUNDS.len() - 1)] += 1;
        }
        let mut delimiter = [0; 4];
        let delimiter = args.delimiter.encode_utf8(&mut delimiter).as_bytes();
        let end = entry.key.windows(delimiter.len()).position(|part| part == delimiter);
        let prefix = end.map_or(&[][..], |end| &entry.key[..end + delimiter.len()]);
        let has_room = self.prefixes.len() < PREFIXES_MAX;
        match self.prefixes.get_mut(prefix) {
            Some(sum) => sum.add(bytes),
            None if has_room => {
                self.prefixes.entry(prefix.to_vec()).or_default().add(bytes);
            }
            None => self.other_prefixes.add(bytes),
        }
    }

    fn print(self, args: &StatsArgs) {
        println!("{} keys, {} bytes", self.total.keys, self.total.bytes);
        println!("\nTypes");
        for (name, sum) in &self.types {
            row(name, *sum);
        }
        println!("\nBiggest keys");
        let mut biggest = self.biggest.into_vec();
        biggest.sort();
        for Reverse((bytes, db, key)) in biggest {
            println!("{bytes:>16} bytes  db {db}  {}", key.escape_ascii());
        }
        println!("\nTime to live");
        let expiring: u64 = self.ttl.iter().sum();
        println!("{:>16} keys   none", self.total.keys - expiring);
        for ((_, name), keys) in TTL_BOUNDS.iter().zip(self.ttl) {
            println!("{keys:>16} keys   {name}");
        }
        println!("\nMemory by prefix");
        let mut prefixes: Vec<_> = self.prefixes.into_iter().collect();
        prefixes.sort_by_key(|(prefix, sum)| (Reverse(sum.bytes), prefix.clone()));
        let mut others = self.other_prefixes;
        for (nth, (prefix, sum)) in prefixes.into_iter().enumerate() {
            if nth < args.top {
                let name = prefix.escape_ascii().to_string();
                row(if name.is_empty() { "(none)" } else { &name }, sum);
            } else {
                others = Sum { keys: others.keys + sum.keys, bytes: others.bytes + sum.bytes };
            }
        }
        if others.keys > 0 {
            row("(others)", others);
        }
    }
}

fn row(name: &str, sum: Sum) {
    println!("{:>16} bytes {:>12} keys   {name}", sum.bytes, sum.keys);
}

/// Reads a data set and prints what it consists of.
pub(crate) fn print(args: &StatsArgs) -> Result<(), Failure> {
    let path = base(args)?;
    let input = Input::open(&path)?;
    let (mut stats, now_ms) = (Stats::default(), rdb::now_ms());
    let mut present = 0;
    let result = rdb::read(&path, &input, |record, _| match record {
        Record::Select(db) => present = *db,
        Record::Entry(entry) => stats.add(present, entry, args, now_ms),
        _ => {}
    })?;
    drop(input);
    stats.print(args);
    result.map(drop).map_err(|wrong| Failure(format!("[offset {}] {}", wrong.offset, wrong.text)))
}

fn base(args: &StatsArgs) -> Result<PathBuf, Failure> {
    let Some(path) = input::manifest(&args.file)? else { return Ok(args.file.clone()) };
    let manifest = manifest::load(&path).map_err(|error| Failure(error.to_string()))?;
    let base = manifest.base.ok_or_else(|| Failure("The manifest names no base file".into()))?;
    Ok(path.with_file_name(base.name))
}
