//! RDB files: every record and every value is read, and the checksum compared.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use corelane::aof::recover::{Source, WINDOW_BYTES};
use corelane::rdb::scan::{Entry, Problem, Record, Scanner};
use corelane::rdb::{Reader, Rules, decode};
use corelane::shard::{Hasher, Item, Settings};

use crate::Failure;
use crate::input::Input;

/// The first version with a checksum.
const CHECKSUM_SINCE: u16 = 5;
/// Types of hashes whose fields may expire.
const HASHES_WITH_EXPIRY: std::ops::RangeInclusive<u8> = 22..=25;

/// The file is not valid, and that has been told.
pub(crate) struct Invalid;

#[derive(Default)]
struct Counts {
    keys: u64,
    expires: u64,
    already_expired: u64,
    subexpires: u64,
}

impl Counts {
    fn add(&mut self, entry: &Entry<'_>, now_ms: i64) {
        self.keys += 1;
        self.expires += u64::from(entry.about.expire_at_ms.is_some());
        self.already_expired += u64::from(entry.about.expire_at_ms.is_some_and(|at| at < now_ms));
        self.subexpires += u64::from(HASHES_WITH_EXPIRY.contains(&entry.kind));
    }

    fn print(&self) {
        println!("[info] {} keys read", self.keys);
        println!("[info] {} expires", self.expires);
        println!("[info] {} already expired", self.already_expired);
        println!("[info] {} subexpires", self.subexpires);
    }
}

/// Checks a whole file.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    let input = Input::open(path)?;
    match check_beginning(path, &input)? {
        Ok(_) => Ok(()),
        Err(Invalid) => Err(Failure(format!("RDB file {} is not valid", path.display()))),
    }
}

/// Checks what a file begins with. Returns where that ends: an append-only file may go on with commands.
pub(crate) fn check_beginning(path: &Path, input: &Input) -> Result<Result<u64, Invalid>, Failure> {
    println!("[offset 0] Checking RDB file {}", path.display());
    let now_ms = now_ms();
    let mut counts = Counts::default();
    let result = read(path, input, |record, offset| match record {
        Record::Aux { name, value } => {
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            println!("[offset {offset}] AUX FIELD {name} = '{value}'");
        }
        Record::Select(db) => println!("[offset {offset}] Selecting DB ID {db}"),
        Record::Entry(entry) => counts.add(entry, now_ms),
        _ => {}
    })?;
    match result {
        Ok(end) => {
            println!("[offset {}] {}", end.offset, end.checksum);
            println!("[offset {}] \\o/ RDB looks OK! \\o/", end.offset);
            counts.print();
            Ok(Ok(end.offset))
        }
        Err(wrong) => {
            println!("--- RDB ERROR DETECTED ---");
            println!("[offset {}] {}", wrong.offset, wrong.text);
            if let Some(key) = wrong.key {
                println!("[additional info] Reading key '{}'", String::from_utf8_lossy(&key));
            }
            counts.print();
            Ok(Err(Invalid))
        }
    }
}

/// The end of a file that is valid.
pub(crate) struct End {
    /// Where it is.
    pub(crate) offset: u64,
    /// What is to be said about the checksum.
    checksum: &'static str,
}

/// What is wrong with a file.
pub(crate) struct Wrong {
    /// Where.
    pub(crate) offset: u64,
    /// What.
    pub(crate) text: String,
    /// The key whose value it is.
    key: Option<Vec<u8>>,
}

/// Hands all records to `visit`, with the offset behind them; values are decoded before.
pub(crate) fn read(
    path: &Path,
    input: &Input,
    mut visit: impl FnMut(&Record<'_>, u64),
) -> Result<Result<End, Wrong>, Failure> {
    let mut scanner = Scanner::new(true);
    let (mut window, mut version) = (Vec::new(), 0);
    loop {
        let (known, start) = (window.len(), scanner.offset());
        window.resize(known + WINDOW_BYTES, 0);
        let len = input
            .read_at(&mut window[known..], start + known as u64)
            .map_err(|error| Failure(format!("Cannot read file {}: {error}", path.display())))?;
        window.truncate(known + len);
        let damage = loop {
            let from = scanner.offset();
            match scanner.next(&window) {
                Ok(None) => break None,
                Ok(Some(Record::End)) => {
                    let offset = scanner.offset();
                    return Ok(Ok(End { offset, checksum: checksum(input, version, offset) }));
                }
                Ok(Some(record)) => {
                    if let Record::Version(of_file) = record {
                        version = of_file;
                    }
                    if let Record::Entry(entry) = &record
                        && let Some(text) = fault(entry)
                    {
                        let (offset, key) = (from + entry.value_at as u64, Some(entry.key.to_vec()));
                        return Ok(Err(Wrong { offset, text, key }));
                    }
                    visit(&record, scanner.offset());
                }
                Err(damage) => break Some(damage),
            }
        };
        let damage = damage.or_else(|| if len == 0 { scanner.finish(&window).err() } else { None });
        if let Some(damage) = damage {
            let text = match &damage.problem {
                Problem::Checksum { .. } => "RDB CRC error".into(),
                Problem::Opcode(kind) => format!("Invalid object type: {kind}"),
                other => other.to_string(),
            };
            return Ok(Err(Wrong { offset: damage.offset, text, key: None }));
        }
        let read = scanner.leave(&window);
        window.drain(..read);
    }
}

/// What is wrong with a value, if anything is.
fn fault(entry: &Entry<'_>) -> Option<String> {
    let mut reader = Reader::new(entry.value);
    match decode(entry.kind, &mut reader, &rules()) {
        Ok(_) if reader.rest().is_empty() => None,
        Ok(_) => Some("The value is longer than it says".into()),
        // Redis leaves such keys out.
        Err(corelane::rdb::Error::Empty) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// The key as it would be in memory.
pub(crate) fn item(entry: &Entry<'_>) -> Option<Item> {
    let object = decode(entry.kind, &mut Reader::new(entry.value), &rules()).ok()?;
    Some(object.into_item(&entry.key, entry.about.expire_at_ms))
}

fn rules() -> Rules {
    Rules { settings: Settings::default(), hasher: Hasher::from_seed(1) }
}

fn checksum(input: &Input, version: u16, end: u64) -> &'static str {
    let mut sum = [0; 8];
    let is_read = input.read_at(&mut sum, end.saturating_sub(8)).is_ok_and(|len| len == 8);
    match version < CHECKSUM_SINCE || (is_read && sum == [0; 8]) {
        true => "RDB file was saved with checksum disabled: no check performed.",
        false => "Checksum OK",
    }
}

/// The present time, Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}
