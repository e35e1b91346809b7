//! Tests of [`super`]: random changes against a plain map, with hashes chosen to collide and to split.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::base::rng::Rng;
use crate::shard::key::Slot;

fn key<'a>(bytes: &'a [u8], hasher: &Hasher) -> Key<'a> {
    Key { bytes, slot: Slot::of(b""), hash: hasher.hash(bytes) }
}

fn put(table: &mut Table, bytes: &[u8], hash: u64, hasher: &Hasher) -> bool {
    let key = Key { bytes, slot: Slot::of(b""), hash };
    let Position::Vacant(vacant) = table.position(&key) else { return false };
    table.insert(hash, vacant, Item::string(bytes, b"v", None), hasher);
    true
}

fn cut(table: &mut Table, bytes: &[u8], hash: u64) -> Option<Item> {
    let key = Key { bytes, slot: Slot::of(b""), hash };
    let Position::Found(place) = table.position(&key) else { return None };
    Some(table.remove(hash, place))
}

/// Checks every invariant that the module names, and returns the number of nodes.
fn check(table: &Table) -> usize {
    if let Some(children) = table.children() {
        assert!(table.len() >= MERGE_BELOW, "a small node is merged");
        assert_eq!(table.len(), children.iter().map(Table::len).sum::<usize>());
        return 1 + children.iter().map(check).sum::<usize>();
    }
    let places = table.places();
    assert_eq!(table.len(), places.iter().flatten().count());
    assert!(table.len() > 0 || places.is_empty(), "an empty table has no places");
    let tags: Vec<u16> = places.iter().flatten().map(Item::tag).collect();
    assert!(tags.is_sorted());
    for (at, place) in places.iter().enumerate() {
        if let Some(item) = place {
            let home = table.home(item.tag());
            assert!(home <= at && places[home..at].iter().all(Option::is_some), "no gap after home");
        }
    }
    0
}

fn scan_all(table: &Table, hasher: &Hasher) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    assert_eq!(
        table.scan(0, &mut Budget::items(usize::MAX), hasher, &mut |item| keys.push(item.key().to_vec())),
        None
    );
    keys
}

#[derive(Debug, Clone)]
enum Op {
    Insert(u16),
    Remove(u16),
    /// Removes all keys from the first number on, which shrinks and merges.
    Purge(u16),
}

fn ops(len: usize) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        12 => (0u16..1500).prop_map(Op::Insert),
        4 => (0u16..1500).prop_map(Op::Remove),
        1 => (0u16..1500).prop_map(Op::Purge),
    ];
    proptest::collection::vec(op, 0..len)
}

const CASES: u32 = if cfg!(miri) { 2 } else { 128 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn behaves_like_a_map(ops in ops(if cfg!(miri) { 150 } else { 3000 })) {
        let hasher = Hasher::from_seed(1);
        let mut table = Table::EMPTY;
        let mut model = HashMap::new();
        for op in ops {
            match op {
                Op::Insert(n) => {
                    let name = n.to_string().into_bytes();
                    let fresh = put(&mut table, &name, hasher.hash(&name), &hasher);
                    prop_assert_eq!(fresh, model.insert(n, ()).is_none());
                }
                Op::Remove(n) => {
                    let name = n.to_string().into_bytes();
                    let item = cut(&mut table, &name, hasher.hash(&name));
                    prop_assert_eq!(item.is_some(), model.remove(&n).is_some());
                    prop_assert!(item.is_none_or(|item| item.key() == name));
                }
                Op::Purge(from) => {
                    for n in from..1500 {
                        let name = n.to_string().into_bytes();
                        prop_assert_eq!(cut(&mut table, &name, hasher.hash(&name)).is_some(), model.remove(&n).is_some());
                    }
                }
            }
            prop_assert_eq!(table.len(), model.len());
        }
        check(&table);
        for n in 0..1500 {
            let name = n.to_string().into_bytes();
            let found = matches!(table.position(&key(&name, &hasher)), Position::Found(_));
            prop_assert_eq!(found, model.contains_key(&n));
        }
    }

    /// What is there from the first step of a scan to its last is seen exactly once, whatever else happens.
    #[test]
    fn a_scan_sees_what_stays_exactly_once(
        steps in proptest::collection::vec((ops(if cfg!(miri) { 30 } else { 200 }), 1usize..60), 1..if cfg!(miri) { 5 } else { 60 }),
        start in 0u16..600,
    ) {
        let hasher = Hasher::from_seed(2);
        let name = |n: u16| n.to_string().into_bytes();
        let mut table = Table::EMPTY;
        let mut there: BTreeMap<u16, bool> = BTreeMap::new();
        for n in 0..start {
            put(&mut table, &name(n), hasher.hash(&name(n)), &hasher);
            there.insert(n, true);
        }
        let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut from = Some(0);
        for (ops, budget) in steps {
            let Some(position) = from else { break };
            let mut visited = 0;
            from = table.scan(position, &mut Budget::items(budget), &hasher, &mut |item| {
                visited += 1;
                *seen.entry(item.key().to_vec()).or_default() += 1;
            });
            prop_assert!(visited >= budget || from.is_none());
            prop_assert!(from.is_none_or(|next| next & 0xffff == 0 && next > position));
            for op in ops {
                // Removed and inserted keys no longer were there throughout.
                match op {
                    Op::Insert(n) => {
                        if put(&mut table, &name(n), hasher.hash(&name(n)), &hasher) {
                            there.entry(n).or_insert(false);
                        }
                    }
                    Op::Remove(n) => {
                        cut(&mut table, &name(n), hasher.hash(&name(n)));
                        there.insert(n, false);
                    }
                    Op::Purge(first) => {
                        for n in first..1500 {
                            cut(&mut table, &name(n), hasher.hash(&name(n)));
                            there.insert(n, false);
                        }
                    }
                }
            }
        }
        while let Some(position) = from {
            from = table.scan(position, &mut Budget::items(7), &hasher, &mut |item| {
                *seen.entry(item.key().to_vec()).or_default() += 1;
            });
        }
        for (n, stayed) in there {
            if stayed {
                prop_assert_eq!(seen.get(&name(n)), Some(&1), "key {}", n);
            }
        }
    }

    #[test]
    fn a_sweep_in_steps_takes_what_is_doomed(count in 0u32..400, modulus in 1u64..5, budget in 1usize..50) {
        let hasher = Hasher::from_seed(3);
        let mut table = Table::EMPTY;
        for n in 0..count {
            let name = n.to_string().into_bytes();
            put(&mut table, &name, hasher.hash(&name), &hasher);
        }
        let doomed = |item: &Item| hasher.hash(item.key()).is_multiple_of(modulus);
        let (mut from, mut removed) = (Some(0), 0);
        while let Some(position) = from {
            from = table.sweep(position, &mut Budget::items(budget), &mut |item| doomed(item), &mut |_| removed += 1);
            check(&table);
        }
        prop_assert_eq!(table.len() + removed, count as usize);
        prop_assert_eq!(removed, (0..count).filter(|n| hasher.hash(n.to_string().as_bytes()).is_multiple_of(modulus)).count());
    }
}

/// Equal hashes lead down to the deepest leaf, where they share a tag; all of it works, only slower.
#[test]
fn equal_hashes_are_told_apart_by_the_key() {
    let hasher = Hasher::from_seed(4);
    for tag in [0u16, 0x8000, 0xffff] {
        // Fewer than a leaf splits at: the keys' real hashes are not those under which they are inserted.
        let hash = u64::from(tag) << TAG_SHIFT;
        let names: Vec<Vec<u8>> = (0..SPLIT_AT as u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let mut table = Table::EMPTY;
        for name in &names {
            assert!(put(&mut table, name, hash, &hasher));
            check(&table);
        }
        assert!(names.iter().all(|name| !put(&mut table, name, hash, &hasher)));
        for (left, name) in names.iter().enumerate().rev() {
            assert!(cut(&mut table, name, hash).is_some_and(|item| item.key() == name));
            assert_eq!(table.len(), left);
            check(&table);
        }
    }
}

#[test]
fn big_tables_are_nodes_and_small_ones_are_leaves_again() {
    let hasher = Hasher::from_seed(5);
    let names: Vec<Vec<u8>> = (0..40 * SPLIT_AT as u32).map(|n| n.to_be_bytes().to_vec()).collect();
    let mut table = Table::EMPTY;
    for name in &names {
        put(&mut table, name, hasher.hash(name), &hasher);
    }
    assert!(check(&table) > FANOUT, "two levels of nodes");
    assert_eq!(scan_all(&table, &hasher).len(), names.len());
    let hashes: Vec<u64> = scan_all(&table, &hasher).iter().map(|name| hasher.hash(name) >> 40).collect();
    assert!(hashes.is_sorted(), "order of hashes, as far as tags tell");
    for name in &names[10..] {
        assert!(cut(&mut table, name, hasher.hash(name)).is_some());
    }
    assert_eq!((check(&table), table.len()), (0, 10));
    assert!(table.capacity() <= 3 * 10);
}

#[test]
fn dropping_in_steps_comes_to_an_end() {
    let hasher = Hasher::from_seed(6);
    let mut table = Table::EMPTY;
    for n in 0..1000u32 {
        let name = n.to_be_bytes();
        put(&mut table, &name, hasher.hash(&name), &hasher);
    }
    for left in (0..1000).rev().step_by(10) {
        let empty = table.drop_some(&mut Budget::items(10));
        assert_eq!((table.len(), empty), (left - left % 10, left < 10));
    }
    assert_eq!(table.memory_usage_bytes(), 0);
}

#[test]
fn every_item_may_be_drawn() {
    let hasher = Hasher::from_seed(7);
    let mut rng = Rng::new(7);
    for count in [1, 5, 40, 300u32] {
        let mut table = Table::EMPTY;
        assert!(table.random(&mut rng).is_none());
        for n in 0..count {
            let name = n.to_be_bytes();
            put(&mut table, &name, hasher.hash(&name), &hasher);
        }
        let draws = 60 * count as usize;
        let mut drawn: HashMap<Vec<u8>, usize> = HashMap::new();
        for _ in 0..draws {
            *drawn.entry(table.random(&mut rng).unwrap().key().to_vec()).or_default() += 1;
        }
        assert_eq!(drawn.len(), count as usize);
        assert!(drawn.values().all(|&n| n < 200), "{drawn:?}");
    }
}

#[test]
fn a_leaf_keeps_up_with_its_neighbours_but_not_if_it_is_nearly_empty() {
    let hasher = Hasher::from_seed(8);
    let mut table = Table::EMPTY;
    for n in 0..20u32 {
        let name = n.to_be_bytes();
        put(&mut table, &name, hasher.hash(&name), &hasher);
    }
    let before = table.capacity();
    table.keep_up(500);
    assert_eq!(table.capacity(), before);
    table.keep_up(40);
    assert_eq!((table.capacity(), table.len()), (common_capacity(40), 20));
    table.keep_up(10);
    assert_eq!(table.capacity(), common_capacity(40), "it never shrinks by that");
    check(&table);
}
