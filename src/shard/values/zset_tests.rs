//! Sorted sets of both forms against a plain list.

use super::*;
use crate::base::rng::Rng;
use proptest::prelude::*;

type Model = Vec<(f64, Vec<u8>)>;

fn rules(entries: usize, value: usize) -> ZsetRules {
    let settings = Settings {
        zset_max_listpack_entries: entries,
        zset_max_listpack_value: value,
        ..Settings::default()
    };
    ZsetRules { settings, hasher: Hasher::from_seed(5) }
}

fn owned((member, score): (Str<'_>, f64)) -> (f64, Vec<u8>) {
    (score, member.with_bytes(<[u8]>::to_vec))
}

fn all(zset: &Zset) -> Model {
    zset.iter(0..zset.len()).map(owned).collect()
}

fn place(model: &Model, score: f64, member: &[u8]) -> usize {
    model.partition_point(|(s, m)| *s < score || (*s == score && m.as_slice() < member))
}

fn compare(zset: &Zset, model: &Model) {
    assert_eq!(zset.len(), model.len());
    assert_eq!(&all(zset), model);
    assert!(zset.iter(0..zset.len()).rev().map(owned).eq(model.iter().rev().cloned()));
    for (rank, (score, member)) in model.iter().enumerate() {
        assert_eq!(zset.rank(member), Some((rank, *score)));
        assert_eq!(zset.score(member), Some(*score));
    }
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0u16..300).prop_map(|n| n.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..3),
        (0usize..70).prop_map(|len| vec![b'x'; len]),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-3i8..3).prop_map(f64::from),
        (-30i8..30).prop_map(|n| f64::from(n) / 8.0),
        prop::sample::select(vec![f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e19, 5e18, 0.1, -0.0]),
    ]
}

#[test]
fn it_becomes_large_beyond_the_limits_and_stays_so() {
    let rules = rules(2, 4);
    let mut zset = Zset::for_members(1, 1, &rules);
    zset.set(b"a", 1.0, &rules);
    zset.set(b"b", 1.5, &rules);
    assert_eq!(zset.encoding(), Encoding::Listpack);
    zset.set(b"c", f64::INFINITY, &rules);
    assert_eq!(zset.encoding(), Encoding::Skiplist);
    zset.remove(b"a");
    zset.remove(b"c");
    assert_eq!(zset.encoding(), Encoding::Skiplist);
    assert_eq!(all(&zset), [(1.5, b"b".to_vec())]);

    let mut zset = Zset::for_members(1, 4, &rules);
    zset.set(b"abcd", 1.0, &rules);
    assert_eq!(zset.encoding(), Encoding::Listpack);
    zset.set(b"abcde", 1.0, &rules);
    assert_eq!(zset.encoding(), Encoding::Skiplist);

    assert_eq!(Zset::for_members(3, 1, &rules).encoding(), Encoding::Skiplist);
    assert_eq!(Zset::for_members(1, 5, &rules).encoding(), Encoding::Skiplist);
    let mut zset = Zset::for_members(2, 1, &rules);
    zset.expect_members(3, &rules);
    assert_eq!(zset.encoding(), Encoding::Skiplist);
}

#[test]
fn a_listpack_holds_what_redis_stores() {
    let rules = rules(128, 64);
    let mut zset = Zset::for_members(1, 1, &rules);
    for (member, score) in [(&b"7"[..], 0.5), (b"a", -0.0), (b"b", 1e19), (b"c", 3.0)] {
        zset.set(member, score, &rules);
    }
    let Form::Small(list) = &zset.0 else { panic!("it is small") };
    let elements: Vec<Str<'_>> = list.iter().collect();
    let expected = [
        Str::Bytes(b"a"),
        Str::Int(0),
        Str::Int(7),
        Str::Bytes(b"0.5"),
        Str::Bytes(b"c"),
        Str::Int(3),
        Str::Bytes(b"b"),
        Str::Bytes(b"1e+19"),
    ];
    assert_eq!(elements, expected);
}

#[test]
fn a_large_one_is_freed_in_steps() {
    let rules = rules(0, 0);
    let mut zset = Zset::for_members(1, 1, &rules);
    for n in 0..1000 {
        zset.set(n.to_string().as_bytes(), f64::from(n % 7), &rules);
    }
    assert!(zset.heap_bytes() > 50_000);
    let mut steps = 1;
    while !zset.drop_some(&mut Budget::items(50)) {
        steps += 1;
    }
    assert!(steps >= 20, "{steps}");
    assert_eq!(zset.len(), 0);
}

proptest! {
    #[test]
    fn it_is_what_a_sorted_list_is(
        large in any::<bool>(),
        limit in 1usize..200,
        steps in prop::collection::vec((0u8..8, member(), score(), 0usize..40), 0..250),
    ) {
        let rules = if large { rules(0, 0) } else { rules(limit, 64) };
        let (mut zset, mut model) = (Zset::for_members(1, 0, &rules), Model::new());
        for (step, member, score, count) in steps {
            let known = model.iter().position(|(_, other)| *other == member);
            match step {
                0 => {
                    let removed = known.map(|at| model.remove(at).0);
                    prop_assert_eq!(zset.remove(&member), removed);
                }
                1 => {
                    let start = zset.count_before(|s, _| s < score);
                    prop_assert_eq!(start, model.partition_point(|(s, _)| *s < score));
                    let end = model.len().min(start + count / 8);
                    model.drain(start..end);
                    zset.remove_ranks(start..end);
                }
                _ => {
                    let old = zset.set(&member, score, &rules);
                    prop_assert_eq!(old, known.map(|at| model[at].0));
                    if old != Some(score) {
                        known.map(|at| model.remove(at));
                        model.insert(place(&model, score, &member), (score, member));
                    }
                }
            }
        }
        compare(&zset, &model);
        let copy = zset.clone();
        drop(zset);
        compare(&copy, &model);
        let mut seen = Vec::new();
        let mut cursor = 0;
        loop {
            cursor = copy.scan(cursor, &mut Budget::items(10), &mut |member, _| seen.push(member.with_bytes(<[u8]>::to_vec)));
            if cursor == 0 {
                break;
            }
        }
        seen.sort();
        seen.dedup();
        let mut members: Vec<Vec<u8>> = model.iter().map(|(_, member)| member.clone()).collect();
        members.sort();
        prop_assert_eq!(seen, members);
        let sorted: Vec<(Str<'_>, f64)> = model.iter().map(|(score, member)| (Str::Bytes(member), *score)).collect();
        let again = Zset::from_sorted(&sorted, &rules);
        compare(&again, &model);
        if !model.is_empty() {
            let (member, score) = again.random(&mut Rng::new(limit as u64));
            prop_assert!(model.contains(&owned((member, score))));
        }
    }
}
