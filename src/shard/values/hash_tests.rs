//! A hash against a plain model, and its forms and limits.

use std::collections::BTreeMap;

use super::*;
use crate::base::rng::Rng;
use proptest::prelude::*;

/// Small limits, so that all forms occur.
fn growth() -> Growth {
    Growth { max_entries: 12, max_value_bytes: 20, hasher: Hasher::from_seed(5) }
}

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn contents(hash: &Hash) -> Model {
    let mut contents = Model::new();
    hash.for_each(|entry| {
        let bytes = |text: Str<'_>| text.with_bytes(<[u8]>::to_vec);
        let old = contents.insert(bytes(entry.field), (bytes(entry.value), entry.expire_at_ms));
        assert!(old.is_none(), "a field twice");
    });
    contents
}

#[derive(Debug, Clone)]
enum Step {
    Set(u8, Vec<u8>),
    Update(u8, Vec<u8>),
    Remove(u8),
    Expiry(u8, Option<i64>),
    Expire(i64, usize),
    Clone,
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![
        4 => "[0-9]{1,4}".prop_map(String::into_bytes),
        4 => prop::collection::vec(any::<u8>(), 0..20),
        1 => prop::collection::vec(any::<u8>(), 18..24),
    ];
    let field = 0u8..24;
    prop_oneof![
        4 => (field.clone(), value.clone()).prop_map(|(field, value)| Step::Set(field, value)),
        1 => (field.clone(), value).prop_map(|(field, value)| Step::Update(field, value)),
        2 => field.clone().prop_map(Step::Remove),
        3 => (field, prop::option::weighted(0.8, 1i64..50)).prop_map(|(field, at)| Step::Expiry(field, at)),
        1 => (0i64..60, 0usize..5).prop_map(|(now, budget)| Step::Expire(now, budget)),
        1 => Just(Step::Clone),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_map(fields in 4u8..24, steps in prop::collection::vec(step(), 0..120)) {
        let (growth, mut hash, mut model) = (growth(), Hash::default(), Model::new());
        // Odd ones are numbers, which listpacks store differently.
        let name = |field: u8| if field % 2 == 1 { field.to_string() } else { format!("field {field}") }.into_bytes();
        let mut order = [Encoding::Listpack, Encoding::ListpackEx, Encoding::Hashtable].iter();
        let mut encoding = order.next().unwrap();
        for step in steps {
            match step {
                Step::Set(field, value) => {
                    let name = name(field % fields);
                    let new = model.insert(name.clone(), (value.clone(), None)).is_none();
                    prop_assert_eq!(hash.set(&name, Str::classify(&value), &growth), new);
                }
                Step::Update(field, value) => {
                    let name = name(field % fields);
                    let at = model.get(&name).and_then(|(_, at)| *at);
                    let new = model.insert(name.clone(), (value.clone(), at)).is_none();
                    prop_assert_eq!(hash.update(&name, Str::classify(&value), &growth), new);
                }
                Step::Remove(field) => {
                    let name = name(field % fields);
                    prop_assert_eq!(hash.remove(&name), model.remove(&name).is_some());
                }
                Step::Expiry(field, at) => {
                    let name = name(field % fields);
                    hash.set_expiry(&name, at);
                    if let Some(entry) = model.get_mut(&name) {
                        entry.1 = at;
                    }
                }
                Step::Expire(now_ms, items) => {
                    let due: Vec<_> = model.iter().filter(|(_, (_, at))| at.is_some_and(|at| at < now_ms)).collect();
                    prop_assert_eq!(hash.live_len(now_ms), model.len() - due.len());
                    let expected = due.len().min(items);
                    prop_assert_eq!(hash.expire(now_ms, &mut Budget::items(items), &mut |_| {}), expected);
                    let left = contents(&hash);
                    let all_there = left.iter().all(|(name, entry)| model.get(name) == Some(entry));
                    prop_assert!(all_there && left.len() == model.len() - expected);
                    prop_assert_eq!(hash.has_expired(now_ms), due.len() > items);
                    model = left;
                }
                Step::Clone => hash = hash.clone(),
            }
            prop_assert_eq!(&contents(&hash), &model);
            prop_assert_eq!(hash.len(), model.len());
            prop_assert_eq!(hash.next_expiry(), model.values().filter_map(|(_, at)| *at).min());
            for (name, (value, expire_at_ms)) in &model {
                let entry = hash.get(name).unwrap();
                let (value, expire_at_ms) = (Str::classify(value), *expire_at_ms);
                prop_assert_eq!(entry, Entry { value, expire_at_ms, ..entry });
            }
            while *encoding != hash.encoding() {
                encoding = order.next().expect("no way back");
            }
            if let Some((pack, _)) = hash.pack() {
                let short = |bytes: &[u8]| bytes.len() <= growth.max_value_bytes;
                prop_assert!(model.len() <= growth.max_entries && model.values().all(|(value, _)| short(value)));
                prop_assert!(Listpack::from_bytes(pack.as_bytes().to_vec()).is_some());
            }
        }
        prop_assert!(hash.get(b"no such field").is_none());
        while !hash.drop_some(&mut Budget::items(3)) {}
    }

    #[test]
    fn scans_visit_every_field(fields in 1usize..300, count in 1usize..40) {
        let (growth, mut hash, mut rng) = (growth(), Hash::default(), Rng::new(1));
        prop_assert!(hash.random(&mut rng).is_none());
        for field in 0..fields {
            hash.set(field.to_string().as_bytes(), Str::Int(field as i64), &growth);
        }
        let mut seen = std::collections::BTreeSet::new();
        let mut cursor = 0;
        loop {
            cursor = hash.scan(cursor, &mut Budget::items(count), |entry| {
                assert!(entry.field.with_bytes(|field| entry.value.with_bytes(|value| field == value)));
                seen.insert(entry.value.with_bytes(<[u8]>::to_vec));
            });
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(seen.len(), fields);
        let drawn = hash.random(&mut rng).unwrap();
        prop_assert!(drawn.field.with_bytes(|field| seen.contains(field)));
    }
}

#[test]
fn it_becomes_a_table_by_number_or_size() {
    let growth = growth();
    let encoding = |pairs: usize, value: &[u8]| {
        let mut hash = Hash::default();
        hash.prepare(pairs, &growth);
        hash.set(b"field", Str::classify(value), &growth);
        hash.encoding()
    };
    assert_eq!(encoding(12, &[b'x'; 20]), Encoding::Listpack);
    assert_eq!(encoding(12, &[b'x'; 21]), Encoding::Hashtable);
    assert_eq!(encoding(13, b""), Encoding::Hashtable);
    let mut hash = Hash::default();
    hash.set(&[b'x'; 21], Str::Int(1), &growth);
    assert_eq!(hash.encoding(), Encoding::Hashtable);
}

#[test]
fn fields_with_an_expiry_stand_first() {
    let (growth, mut hash) = (growth(), Hash::default());
    for field in [b"a", b"b", b"c", b"d"] {
        hash.set(field, Str::Int(1), &growth);
    }
    for (field, at) in [(b"c", 30), (b"a", 10), (b"d", 20), (b"c", 10)] {
        hash.set_expiry(field, Some(at));
    }
    let order = |hash: &Hash| {
        let mut order = Vec::new();
        hash.for_each(|entry| order.push((entry.field.with_bytes(|field| field[0]), entry.expire_at_ms)));
        order
    };
    let expected = [(b'c', Some(10)), (b'a', Some(10)), (b'd', Some(20)), (b'b', None)];
    assert_eq!(order(&hash), expected);
    hash.set(b"c", Str::Int(2), &growth);
    hash.update(b"a", Str::Int(2), &growth);
    assert_eq!(order(&hash), [(b'a', Some(10)), (b'd', Some(20)), (b'b', None), (b'c', None)]);
}

#[test]
fn it_is_small() {
    assert!(size_of::<Hash>() <= 24);
}
