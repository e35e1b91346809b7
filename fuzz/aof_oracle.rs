//! What must hold for any bytes in an append-only folder, whatever time is asked for: an error, or a plan whose cuts leave files
//! of which the same is loaded and nothing is cut; and for any manifest: an error, or a manifest that is printed and read to the same. Shared by
//! the fuzz targets and the tests on their corpora.

use std::collections::BTreeMap;
use std::ffi::OsString;

use corelane::aof::frame::{self, HEADER_LEN, Opening, Segment, Txn, Verdict};
use corelane::aof::manifest::{Entry, Manifest};
use corelane::aof::recover::{Content, Error, Plan, Reseal, Rules, plan_with};

type Files = BTreeMap<OsString, Vec<u8>>;

/// Checks one case, `[rules] [files] [contents]`: increments of equal length, of which those that the bits of `files` say get
/// a first line, and frames around what they hold, so that there is more than checksums to get past. Returns whether they
/// can be loaded.
pub(crate) fn check_folder(case: &[u8]) -> bool {
    let [rules, made, contents @ ..] = case else { return false };
    let count = 1 + usize::from(rules >> 4) % 4;
    let mut files = Files::new();
    let mut manifest = Manifest::default();
    for (nth, content) in contents.chunks(contents.len().div_ceil(count).max(1)).enumerate() {
        let entry = Entry { name: format!("a.{nth}").into(), seq: nth as i64 + 1 };
        let file = if made >> nth & 1 == 1 { make(nth as u16, content) } else { content.to_vec() };
        files.insert(entry.name.clone(), file);
        manifest.increments.push(entry);
    }
    let mut how = Rules::new(rules & 1 == 1);
    if rules & 2 == 2 {
        how = how.keeping_the_undamaged();
    }
    if rules & 4 == 4 {
        how = how.until(8);
    }
    let Ok(plan) = plan(&files, &manifest, how) else { return false };
    for cut in &plan.cuts {
        let file = files.get_mut(&cut.entry.name).expect("a file of the folder");
        assert!(cut.at < cut.size && cut.size <= file.len() as u64, "{cut:?}");
        file.truncate(cut.at as usize);
        if let Some(Reseal { at, header }) = cut.reseal {
            file[at as usize..][..HEADER_LEN].copy_from_slice(&header);
        }
    }
    walk(&files, &plan);
    let again =
        plan_with(&manifest, how, |entry| Ok(&files[&entry.name][..])).expect("what is left can be loaded");
    assert_eq!(again, Plan { pieces: plan.pieces, cuts: Vec::new(), later: false });
    true
}

fn plan(files: &Files, manifest: &Manifest, rules: Rules) -> Result<Plan, Error> {
    plan_with(manifest, rules, |entry| Ok(&files[&entry.name][..]))
}

/// A segment from instructions of three bytes: what, how much, which. The last one may damage what is there.
fn make(nth: u16, script: &[u8]) -> Vec<u8> {
    let segment = Segment { run: u128::from(nth / 3), shard: nth % 3 % 2, shards: 2 };
    let (mut file, mut lsn) = (Vec::new(), 0);
    segment.encode_with_start(0, &mut file);
    for step in script.as_chunks::<3>().0 {
        let [what, amount, which] = step.map(usize::from);
        match what % 8 {
            0..3 => {
                let mut payload = b"*1\r\n$4\r\nPING\r\n".repeat(amount % 4);
                let time = format!("#TS:{}\r\n", which % 16);
                let safe = if what % 8 == 2 { lsn } else { 0 };
                if amount & 4 == 4 {
                    payload.splice(0..0, time.bytes());
                }
                if what & 8 == 8 {
                    payload.extend_from_slice(time.as_bytes());
                    let mut room = [0; HEADER_LEN];
                    frame::seal(&mut room, &payload, lsn, safe, segment.seed());
                    file.extend_from_slice(&room);
                    file.extend_from_slice(&payload);
                } else {
                    let (number, participants) = (which as u64, vec![0, 1]);
                    let txn = Txn { coordinator: 0, number, participants };
                    frame::seal_txn(&mut file, &payload, lsn, safe, &txn, segment.seed());
                }
                lsn += payload.len() as u64;
            }
            3 => {
                let start = file.len();
                file.resize(start + 2 + amount, 0);
                assert!(frame::pad(&mut file[start..]));
            }
            4 => file.resize(file.len() + amount * 16, 0),
            5 => file.extend_from_slice(step),
            6 => file.truncate(file.len().saturating_sub(amount)),
            _ => {
                let at = (amount * 256 + which) % file.len().max(1);
                file.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
            }
        }
    }
    file
}

/// Pieces of logs hold frames and padding, and nothing else.
fn walk(files: &Files, plan: &Plan) {
    for piece in &plan.pieces {
        let Content::Log(segment) = piece.content else { continue };
        let mut rest = &files[&piece.entry.name][..piece.bytes.end as usize];
        let Opening::Segment(found, first_line) = Segment::decode(rest) else {
            panic!("no first line: {piece:?}")
        };
        assert_eq!(found, segment);
        rest = &rest[first_line..];
        while !rest.is_empty() {
            let len = match frame::decode(rest, segment.seed()) {
                Verdict::Frame { frame_len, .. } => frame_len,
                Verdict::Padding(len) => len,
                other => panic!("{other:?} in {piece:?}"),
            };
            rest = &rest[len..];
        }
    }
}

/// Checks one manifest. Returns whether it is one.
pub(crate) fn check_manifest(text: &[u8]) -> bool {
    let Ok(mut manifest) = Manifest::parse(text) else { return false };
    if manifest.all().next().is_none() {
        return true;
    }
    // Lines are joined by printing: very long names do not fit a line.
    let printed = manifest.print();
    if printed.split(|&byte| byte == b'\n').all(|line| line.len() < 1024) {
        assert_eq!(Manifest::parse(&printed).expect("what is printed can be read"), manifest);
    }
    let names: Vec<OsString> = manifest.all().map(|(_, entry)| entry.name.clone()).collect();
    if manifest.increments.last().is_none_or(|last| last.seq < i64::MAX) {
        assert!(!names.contains(&manifest.add_increment("a.aof".as_ref()).name));
    }
    true
}
