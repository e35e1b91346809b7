//! Replays the fuzzers' corpora, so that what was once found stays found without a fuzzer or a nightly compiler.

mod support;

use std::fs;
use std::path::Path;

use support::rng::Rng;

#[path = "../fuzz/aof_oracle.rs"]
mod aof_oracle;
#[path = "../fuzz/oracle.rs"]
mod oracle;
#[path = "../fuzz/rdb_oracle.rs"]
mod rdb_oracle;
#[path = "../fuzz/restore_oracle.rs"]
mod restore_oracle;

/// The names and contents of a corpus, in the order of the names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(folder).expect("a folder of cases");
    let mut cases: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("a folder entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).expect("a readable case"))
        })
        .collect();
    cases.sort();
    cases
}

#[test]
fn the_request_parser_passes_its_corpus() {
    let cases = corpus("request");
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    for (name, case) in cases {
        println!("{name}"); // shown if the case fails
        oracle::check_request(&case);
        // The same stream under other limits.
        for limits in 0..4 {
            oracle::check_request(&[&[limits], &case[1..]].concat());
        }
    }
}

#[test]
fn every_type_of_value_is_restored() {
    let cases = corpus("restore");
    let mut types: Vec<u8> = cases.iter().map(|(_, case)| case[1]).collect();
    types.sort_unstable();
    types.dedup();
    let all = (0..=25).filter(|kind| ![6, 7, 8].contains(kind));
    assert!(types.into_iter().eq(all), "a type has no case");
    for (name, case) in cases {
        for limits in 0..4 {
            let restored = restore_oracle::check_restore(&[&[limits], &case[1..]].concat());
            assert!(restored, "{name} is refused");
        }
    }
}

#[test]
fn whole_files_are_read_in_any_chunks() {
    let cases = corpus("rdb");
    assert!(cases.len() > 25, "only {} cases", cases.len());
    for (name, case) in cases {
        for (length, behind) in [(0, 0), (1, 1), (30, 2), (255, 255)] {
            let read = rdb_oracle::check_rdb(&[&[length, behind], &case[2..]].concat());
            assert!(read, "{name} is refused");
        }
    }
}

#[test]
fn damaged_files_are_refused_or_sound() {
    const VARIANTS: usize = 1000;
    let mut rng = Rng::new(8);
    for (name, case) in corpus("rdb") {
        let mut refused = 0;
        for _ in 0..VARIANTS {
            let damaged = damage(&case, &mut rng);
            println!("{name}: {damaged:?}"); // shown if the case fails
            refused += usize::from(!rdb_oracle::check_rdb(&damaged));
        }
        assert!(refused > 0, "{name}: no damage was noticed");
    }
}

#[test]
fn folders_of_append_only_files_are_recovered_or_refused() {
    const VARIANTS: usize = 300;
    let cases = corpus("aof");
    let mut rng = Rng::new(8);
    let (mut loaded, mut refused) = (0, 0);
    for (name, case) in &cases {
        println!("{name}");
        aof_oracle::check_folder(case);
        for _ in 0..VARIANTS {
            let mut damaged = damage(case, &mut rng);
            // As it is, or for a time.
            damaged[0] = case[0] & !4 | [0, 4][rng.below(2)];
            println!("{name}: {damaged:?}");
            *(if aof_oracle::check_folder(&damaged) { &mut loaded } else { &mut refused }) += 1;
        }
    }
    assert!(loaded > 100 && refused > 100, "{loaded} were loaded, {refused} refused");
}

#[test]
fn manifests_are_read_or_refused() {
    let cases = corpus("manifest");
    assert!(cases.len() >= 10, "only {} cases", cases.len());
    let mut rng = Rng::new(9);
    let read = cases.iter().filter(|(name, case)| {
        println!("{name}");
        for _ in 0..if case.is_empty() { 0 } else { 300 } {
            let mut damaged = damage(case, &mut rng);
            damaged[0] = case[0];
            println!("{name}: {damaged:?}");
            aof_oracle::check_manifest(&damaged);
        }
        aof_oracle::check_manifest(case)
    });
    assert_eq!(read.count(), 5, "all, comment, huge-seq, name-is-empty, quoted");
}

/// Bytes changed, cut off and repeated at random. The seed is fixed: what fails here fails everywhere.
#[test]
fn damaged_values_are_refused_or_sound() {
    const VARIANTS: usize = 3000;
    let mut rng = Rng::new(7);
    for (name, case) in corpus("restore") {
        let mut refused = 0;
        for _ in 0..VARIANTS {
            let damaged = damage(&case, &mut rng);
            println!("{name}: {damaged:?}"); // shown if the case fails
            refused += usize::from(!restore_oracle::check_restore(&damaged));
        }
        assert!(refused > 0, "{name}: no damage was noticed");
    }
}

/// Bytes that mean something in the format.
const EDGES: [u8; 12] = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xc0, 0xc3, 0xf0, 0xfe, 0xff];

fn damage(case: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut damaged = case.to_vec();
    for _ in 0..1 + rng.below(3) {
        let at = rng.below(damaged.len());
        match rng.below(10) {
            0 => damaged.truncate(at.max(2)),
            1 => {
                let end = at + rng.below(damaged.len() - at);
                let piece = damaged[at..end].to_vec();
                damaged.splice(at..at, piece);
            }
            2 => damaged[at] = EDGES[rng.below(EDGES.len())],
            3..6 => damaged[at] = damaged[at].wrapping_add(1),
            _ => damaged[at] ^= 1 << rng.below(8),
        }
    }
    damaged[0] = rng.below(4) as u8;
    damaged
}
