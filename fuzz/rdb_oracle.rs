//! What must hold for any bytes taken for an RDB file: whatever its chunks, the same records and the same place of damage; each
//! key reads the same with more bytes behind it; and what could be read is the same again when it is written and read. Shared
//! by the fuzz target and the tests on its corpus.

use corelane::rdb::file::{self, Sum, Usage};
use corelane::rdb::scan::{Damage, Record, Scanner};
use corelane::rdb::{Reader, Rules, decode};
use corelane::shard::{Hasher, Item, Settings};

/// What was read: records as text, the items of keys, and the damage if there is any.
struct Found {
    records: Vec<String>,
    items: Vec<(u64, Item)>,
    damage: Option<Damage>,
}

/// Checks one case, `[length of chunks] [bytes behind a key] file`. The checksum is not looked at, or nearly no damage would come
/// through. Panics if a rule is broken. Returns whether the file is read to its end.
pub(crate) fn check_rdb(case: &[u8]) -> bool {
    let [length, behind, file @ ..] = case else { return false };
    let whole = read(file, file.len().max(1), 0);
    let pieces = read(file, usize::from(*length) + 1, *behind);
    assert_eq!(whole.records, pieces.records, "chunks make a difference");
    assert_eq!(whole.damage, pieces.damage, "chunks make a difference");
    assert!(whole.damage.as_ref().is_none_or(|damage| damage.offset <= file.len() as u64));
    let mut body = Vec::new();
    let mut version = 0;
    for (db, item) in &whole.items {
        file::select_db(&mut body, *db as usize, 1, 1);
        version = version.max(file::entry(&mut body, item, Usage::Untold, true));
    }
    let sum = Sum::of(&body, version);
    let copy = [&file::head(sum.version())[..], &body, &file::tail(&sum, true)].concat();
    let copy = read(&copy, copy.len(), 0);
    assert_eq!(copy.damage, None, "what was written cannot be read");
    let keys = |found: &Found| -> Vec<_> {
        found.items.iter().map(|(db, item)| (*db, item.key().to_vec(), item.encoding())).collect()
    };
    assert_eq!(keys(&copy), keys(&whole), "it comes back as something else");
    whole.damage.is_none()
}

/// Reads a file in chunks. What follows a key, when its value is decoded, are `behind` more bytes.
fn read(file: &[u8], length: usize, behind: u8) -> Found {
    let rules = Rules { settings: Settings::default(), hasher: Hasher::from_seed(1) };
    let mut scanner = Scanner::new(false);
    let mut found = Found { records: Vec::new(), items: Vec::new(), damage: None };
    let (mut window, mut db) = (Vec::new(), 0);
    for chunk in file.chunks(length) {
        window.extend_from_slice(chunk);
        loop {
            let at = scanner.consumed();
            match scanner.next(&window) {
                Ok(Some(Record::Entry(entry))) => {
                    found.records.push(format!("{entry:?}"));
                    let mut longer = window[at..scanner.consumed()].to_vec();
                    longer.resize(longer.len() + usize::from(behind), behind);
                    let Ok(Record::Entry(again)) = Record::read(&longer) else {
                        panic!("it is a key no more")
                    };
                    let mut value = Reader::new(again.value);
                    if let Ok(object) = decode(again.kind, &mut value, &rules) {
                        assert_eq!(value.rest().len(), behind.into(), "passing over it takes another length");
                        // -1 stands for no expiry.
                        let at = again.about.expire_at_ms.filter(|&at| at != -1);
                        found.items.push((db, object.into_item(&again.key, at)));
                    }
                }
                Ok(Some(record)) => {
                    if let Record::Select(selected) = record {
                        db = selected;
                    }
                    found.records.push(format!("{record:?}"));
                }
                Ok(None) => break,
                Err(damage) => {
                    found.damage = Some(damage);
                    return found;
                }
            }
        }
        let read = scanner.leave(&window);
        window.drain(..read);
    }
    found.damage = scanner.finish(&window).err();
    found
}
