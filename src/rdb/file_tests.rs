//! Whole files: what is written is read back in any chunks, damage is noticed wherever it is.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::file::{self, Sum, Usage};
use super::scan::{Damage, Entry, Problem, Record, Scanner};
use super::*;
use crate::shard::{Hasher, Item, Settings, Str};

fn rules() -> Rules {
    Rules { settings: Settings::default(), hasher: Hasher::from_seed(3) }
}

/// A type byte and a value for every type that Redis has ever written: what the fuzzer begins with.
fn values() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/restore");
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names.iter().map(|name| fs::read(name).unwrap()[1..].to_vec()).collect()
}

/// A file with an entry of every type in each of these databases, as older servers may have written it.
fn sample(databases: &[usize]) -> Vec<u8> {
    let about =
        file::About { redis_version: "7.4.0", created_s: 1, used_memory_bytes: 1 << 20, is_aof_base: false };
    let (mut body, _) = file::preamble(&about, [&b"#!lua name=a\n"[..]], true);
    for &db in databases {
        file::select_db(&mut body, db, 30, 1);
        for (number, value) in values().iter().enumerate() {
            if number == 7 {
                Writer::new(&mut body, false).raw(b"\xfc\x01\0\0\0\0\x01\0\0\xf8\x43\x10\xf9\x07");
            }
            body.push(value[0]);
            Writer::new(&mut body, false).blob(format!("key:{db}:{number}").as_bytes());
            body.extend(&value[1..]);
        }
    }
    sealed(&body, VERSION)
}

fn sealed(body: &[u8], version: u16) -> Vec<u8> {
    let sum = Sum::of(body, version);
    [&file::head(sum.version())[..], body, &file::tail(&sum, true)].concat()
}

/// Reads a file in chunks of these lengths, again and again. Returns each record as text.
fn read(bytes: &[u8], lengths: &[usize]) -> Result<Vec<String>, Damage> {
    let mut scanner = Scanner::new(true);
    let mut records = Vec::new();
    let mut window = Vec::new();
    let (mut rest, mut lengths) = (bytes, lengths.iter().cycle());
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(*lengths.next().unwrap()));
        window.extend_from_slice(chunk);
        loop {
            let from = scanner.offset();
            let Some(record) = scanner.next(&window)? else { break };
            if let Record::Entry(entry) = &record {
                let at = from as usize;
                assert!(bytes[at + entry.value_at..].starts_with(entry.value));
                assert_eq!(at + entry.value_at + entry.value.len(), scanner.offset() as usize);
                decodes(entry, entry.value, from)?;
                let Ok(Record::Entry(again)) = Record::read(&bytes[at..]) else {
                    panic!("it is no key again")
                };
                assert_eq!((&again.key, again.kind, again.about), (&entry.key, entry.kind, entry.about));
                decodes(&again, entry.value, from)?;
            }
            records.push(format!("{record:?}"));
        }
        let read = scanner.leave(&window);
        window.drain(..read);
        rest = after;
    }
    scanner.finish(&window)?;
    Ok(records)
}

/// Decodes the value of an entry, which stands there in the file and is `value` and perhaps more bytes.
fn decodes(entry: &Entry<'_>, value: &[u8], from: u64) -> Result<(), Damage> {
    let mut reader = Reader::new(entry.value);
    let damage = |error: Error| Damage { offset: from + entry.value_at as u64, problem: error.into() };
    drop(decode(entry.kind, &mut reader, &rules()).map_err(damage)?.into_item(&entry.key, None));
    let used = entry.value.len() - reader.rest().len();
    assert_eq!(used, value.len(), "passing over {} takes another length", entry.kind);
    Ok(())
}

#[test]
fn a_file_is_the_same_in_any_chunks() {
    let sample = sample(&[0, 3, 0]);
    let whole = read(&sample, &[sample.len()]).unwrap();
    assert_eq!(whole.len(), 1 + 5 + 1 + 3 * (2 + values().len()) + 1);
    assert!(whole[12 + 4].contains("expire_at_ms: Some(1099511627777)"), "{}", whole[16]);
    assert!(whole[16].contains("idle_seconds: Some(784), frequency: Some(7)"), "{}", whole[16]);
    for lengths in [&[1][..], &[2, 3], &[7], &[64], &[100, 1, 1, 1000]] {
        assert_eq!(read(&sample, lengths).unwrap(), whole, "{lengths:?}");
    }
}

#[test]
fn a_file_that_ends_early_says_where() {
    let sample = sample(&[3]);
    for len in 1..sample.len() {
        let damage = read(&sample[..len], &[100]).unwrap_err();
        assert_eq!(damage, Damage { offset: len as u64, problem: Problem::EndsEarly });
    }
}

#[test]
fn every_bit_counts() {
    let sample = sample(&[3]);
    for at in 0..sample.len() {
        let mut damaged = sample.clone();
        damaged[at] ^= 1 << (at % 8);
        let damage = read(&damaged, &[4096]).expect_err("the checksum at least is wrong");
        assert!(damage.offset <= sample.len() as u64);
    }
}

#[test]
fn the_version_is_the_lowest_that_holds_everything() {
    let mut pieces = Vec::new();
    let mut total = Sum::default();
    for value in values() {
        let mut reader = Reader::new(&value[1..]);
        let item = decode(value[0], &mut reader, &rules()).unwrap().into_item(b"key", None);
        let mut piece = Vec::new();
        let version = file::entry(&mut piece, &item, Usage::Untold, true);
        assert_eq!(version, version_of(type_of(&item)));
        let sum = Sum::of(&piece, version);
        pieces.push(piece);
        total.append(&sum);
        let body = pieces.concat();
        let file = [&file::head(total.version())[..], &body, &file::tail(&total, true)].concat();
        assert_eq!(file, sealed(&body, total.version()), "sums are combined");
        assert_eq!(read(&file, &[file.len()]).unwrap().len(), pieces.len() + 2);
    }
    assert_eq!((Sum::default().version(), total.version()), (9, VERSION));
    assert_eq!(&file::head(9), b"REDIS0009");
}

#[test]
fn what_belongs_to_a_key_is_written() {
    let item = Item::new(b"k", Str::Int(1), Some(5));
    let written = |usage| {
        let mut out = Vec::new();
        file::entry(&mut out, &item, usage, false);
        out
    };
    assert_eq!(written(Usage::Untold), b"\xfc\x05\0\0\0\0\0\0\0\0\x01k\xc0\x01");
    assert_eq!(written(Usage::Idle(300))[9..12], *b"\xf8\x41\x2c");
    assert_eq!(written(Usage::Frequency(255))[9..11], *b"\xf9\xff");
}

#[test]
fn no_checksum_is_none_to_check() {
    let mut body = Vec::new();
    file::entry(&mut body, &Item::new(b"k", Str::Int(1), None), Usage::Untold, false);
    let sum = Sum::of(&body, 9);
    let mut file = [&file::head(9)[..], &body, &file::tail(&sum, false)].concat();
    assert!(read(&file, &[100]).is_ok());
    let last = file.len() - 1;
    file[last] = 1;
    let damage = read(&file, &[100]).unwrap_err();
    assert!(matches!(damage.problem, Problem::Checksum { found: 0x0100_0000_0000_0000, .. }));
    assert_eq!(damage.offset, last as u64 - 7);
}

#[test]
fn what_no_such_server_reads_is_refused() {
    let cases: [(&[u8], u64, &str); 10] = [
        (b"REDIX0009", 0, "Wrong signature trying to load DB from file"),
        (b"REDIS0013", 5, "Can't handle RDB format version 13"),
        (b"REDIS0000", 5, "Can't handle RDB format version 0"),
        (b"REDIS00x9", 5, "Can't handle RDB format version 0"),
        (b"REDIS0009\x08", 9, "Unknown RDB type or opcode 8"),
        (b"REDIS0006\xfa", 9, "Unknown RDB type or opcode 250"),
        (b"REDIS0010\xf6\0", 9, "Pre-release function format not supported."),
        (
            b"REDIS0009\xf7\x81\xff\xff\xff\xff\xff\xff\xff\xff",
            9,
            "The RDB file contains module data I can't load: no matching module type '_________'",
        ),
        (
            b"REDIS0009\x07\x01k\x81\0\0\0\0\0\0\0\0",
            9,
            "The RDB file contains module data I can't load: no matching module type 'AAAAAAAAA'",
        ),
        (b"REDIS0009\x01\x01k\x02\x01a\xc5", 15, "an unknown form of a string"),
    ];
    for (file, offset, problem) in cases {
        let damage = read(file, &[3]).unwrap_err();
        assert_eq!((damage.offset, damage.problem.to_string().as_str()), (offset, problem));
    }
}

#[test]
fn files_before_checksums_end_with_their_last_byte() {
    let file = b"REDIS0002\xfe\x05\xfd\x01\0\0\0\x00\x01k\x01v\xff";
    let mut scanner = Scanner::new(true);
    let tail = [&file[..], b"*1\r\n"].concat();
    let mut records = Vec::new();
    while let Some(record) = scanner.next(&tail).unwrap() {
        records.push(format!("{record:?}"));
    }
    assert_eq!(records.len(), 4);
    assert!(records[2].contains("expire_at_ms: Some(1000)"), "{records:?}");
    assert_eq!((scanner.consumed(), scanner.offset()), (file.len(), file.len() as u64));
    assert_eq!((scanner.leave(&tail), scanner.offset()), (file.len(), file.len() as u64));
    scanner.finish(b"*1\r\n").unwrap();
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_an_end(mut bytes: Vec<u8>, length in 1usize..50) {
        bytes.splice(0..0, *b"REDIS0012");
        prop_assert_eq!(read(&bytes, &[length]), read(&bytes, &[bytes.len()]));
    }
}
