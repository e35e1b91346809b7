//! What must hold for any bytes given to `RESTORE`, its footer apart: an error, or a value that can be walked, agrees with
//! itself and comes back when it is dumped and restored. Shared by the fuzz target and the tests on its corpus.

use corelane::rdb::{Rules, payload};
use corelane::shard::values::{Typed, Value};
use corelane::shard::{Hasher, Item, Settings, Str};
use corelane::types::stream::{Id, Stream};

type Element = Vec<Vec<u8>>;

/// Checks one case, `[limits] [type] [value]`: small limits if `limits` is odd. Panics if a rule is broken. Returns whether
/// it is a value.
pub(crate) fn check_restore(case: &[u8]) -> bool {
    let Some((&limits, body)) = case.split_first() else { return false };
    let rules = Rules { settings: settings(limits % 2 == 1), hasher: Hasher::from_seed(1) };
    let Ok(object) = payload::restore(body, &rules) else { return false };
    let item = object.into_item(b"key", None);
    let elements = walk(&item);
    assert!(!elements.is_empty() || matches!(item.value(), Some(Value::Stream(_))), "an empty value");
    let copy = payload::dump(&item, limits & 2 == 0);
    let copied = payload::opened(&copy).expect("a payload has a valid footer");
    let copied = payload::restore(copied, &rules).expect("a value can be read back").into_item(b"key", None);
    assert_eq!(walk(&copied), elements, "it comes back as another value");
    assert_eq!(copied.encoding(), item.encoding());
    true
}

fn settings(small: bool) -> Settings {
    let settings = Settings::default();
    if !small {
        return settings;
    }
    Settings {
        hash_max_listpack_entries: 2,
        set_max_intset_entries: 2,
        set_max_listpack_entries: 2,
        zset_max_listpack_entries: 2,
        list_max_listpack_size: 2,
        ..settings
    }
}

/// All elements, in an order that does not depend on the hash function; each has what belongs to it.
fn walk(item: &Item) -> Vec<Element> {
    let mut elements = match item.value() {
        None => vec![vec![bytes(item.str())]],
        Some(Value::List(list)) => return list.iter().map(|element| vec![bytes(element)]).collect(),
        Some(Value::Set(set)) => {
            assert!(set.iter().all(|member| set.contains(member)), "a member is not found");
            set.iter().map(|member| vec![bytes(member)]).collect()
        }
        Some(Value::Zset(zset)) => {
            let members: Vec<_> = zset.iter(0..zset.len()).collect();
            assert!(members.is_sorted_by(|(_, low), (_, high)| low <= high), "not in order");
            members
                .into_iter()
                .map(|(member, score)| {
                    let member = bytes(member);
                    assert_eq!(zset.score(&member), Some(score), "a member is not found");
                    vec![member, score.to_string().into_bytes()]
                })
                .collect()
        }
        Some(Value::Hash(hash)) => {
            let mut fields = Vec::new();
            hash.for_each(|entry| {
                let field = bytes(entry.field);
                assert_eq!(hash.get(&field), Some(entry), "a field is not found");
                let expiry = entry.expire_at_ms.map_or(0, |at| at);
                assert!(expiry == 0 || hash.next_expiry().is_some_and(|first| first <= expiry));
                fields.push(vec![field, bytes(entry.value), expiry.to_string().into_bytes()]);
            });
            fields
        }
        Some(Value::Stream(stream)) => return stream_elements(stream),
    };
    let len = item.value().map_or(1, Value::len);
    assert_eq!(elements.len(), len, "it has not as many elements as it says");
    elements.sort();
    assert!(elements.windows(2).all(|pair| pair[0][0] != pair[1][0]), "an element twice");
    elements
}

/// The facts about a stream, its entries and its groups.
fn stream_elements(stream: &Stream) -> Vec<Element> {
    let entries: Vec<_> = stream.log().range(Id::MIN..=Id::MAX).collect();
    assert!(entries.is_sorted_by(|a, b| a.id < b.id), "not in order");
    assert_eq!(entries.len() as u64, stream.counters().len, "it has not as many entries as it says");
    let mut elements = vec![vec![format!("{:?}", stream.counters()).into_bytes()]];
    for entry in entries {
        let found = stream.log().get(entry.id).expect("an entry is found by its ID");
        assert_eq!(found.id, entry.id);
        let mut element = vec![format!("{:?}", entry.id).into_bytes()];
        for (field, value) in entry.fields {
            element.extend([bytes(field), bytes(value)]);
        }
        elements.push(element);
    }
    for (name, group) in stream.groups() {
        let about = format!("{:?} {:?} {:?}", group.last_id, group.entries_read, group.pending());
        let mut element = vec![name.to_vec(), about.into_bytes()];
        let pending: usize = group.consumers().values().map(|consumer| consumer.pending().len()).sum();
        assert_eq!(
            pending,
            group.pending().len(),
            "an entry is pending for another number of consumers than one"
        );
        for (name, consumer) in group.consumers() {
            assert!(consumer.pending().iter().all(|id| group.pending().contains_key(id)));
            element.extend([name.to_vec(), format!("{consumer:?}").into_bytes()]);
        }
        elements.push(element);
    }
    elements
}

fn bytes(element: Str<'_>) -> Vec<u8> {
    element.with_bytes(<[u8]>::to_vec)
}
