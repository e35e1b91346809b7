//! Lists against vectors.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { fill: -2, plain_from: 0 };

fn bytes(element: Str<'_>) -> Vec<u8> {
    element.with_bytes(<[u8]>::to_vec)
}

fn contents(list: &List) -> Vec<Vec<u8>> {
    list.iter().map(bytes).collect()
}

fn numbers(range: Range<usize>) -> Vec<Vec<u8>> {
    range.map(|number| number.to_string().into_bytes()).collect()
}

fn filled(range: Range<usize>, limits: Limits) -> List {
    let mut list = List::default();
    for number in numbers(range) {
        list.push(End::Back, &[&number], limits);
    }
    list
}

/// Numbers of elements of the nodes.
fn shape(list: &List) -> Vec<usize> {
    list.parts()
        .map(|part| match part {
            Part::Packed(bytes) => Listpack::from_bytes(bytes.to_vec()).expect("well-formed").len(),
            Part::Plain(_) => 1,
        })
        .collect()
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (0..6u8).prop_map(|n| n.to_string().into_bytes()),
        4 => prop::collection::vec(97..100u8, 0..4),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => (60..70usize).prop_map(|len| vec![b'x'; len]),
        1 => (4000..9000usize).prop_map(|len| vec![b'y'; len]),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Front), Just(End::Back)]
}

#[derive(Debug, Clone)]
enum Step {
    Push(End, Vec<Vec<u8>>),
    Pop(End),
    Rotate(End, End),
    Insert(usize, bool, Vec<u8>),
    Set(usize, Vec<u8>),
    RemoveRange(usize, usize),
    RemoveEqual(Vec<u8>, End, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..40usize;
    prop_oneof![
        6 => (end(), prop::collection::vec(element(), 1..4)).prop_map(|(end, all)| Step::Push(end, all)),
        2 => end().prop_map(Step::Pop),
        1 => (end(), end()).prop_map(|(from, to)| Step::Rotate(from, to)),
        3 => (index.clone(), any::<bool>(), element()).prop_map(|(at, behind, e)| Step::Insert(at, behind, e)),
        2 => (index.clone(), element()).prop_map(|(at, e)| Step::Set(at, e)),
        1 => (index.clone(), 0..9usize).prop_map(|(at, count)| Step::RemoveRange(at, count)),
        1 => (element(), end(), 1..4usize).prop_map(|(e, from, most)| Step::RemoveEqual(e, from, most)),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let fill = prop::sample::select(vec![-5, -2, -1, 0, 1, 2, 4, 5, 128]);
    let plain_from = prop::sample::select(vec![0, 0, 1, 3, 64]);
    (fill, plain_from).prop_map(|(fill, plain_from)| Limits { fill, plain_from })
}

/// Runs a step on both; they must agree on its result.
fn run(list: &mut List, model: &mut VecDeque<Vec<u8>>, step: Step, limits: Limits) {
    match step {
        Step::Push(end, all) => {
            list.push(end, &all.iter().map(Vec::as_slice).collect::<Vec<_>>(), limits);
            for element in all {
                match end {
                    End::Front => model.push_front(element),
                    End::Back => model.push_back(element),
                }
            }
        }
        Step::Pop(end) => {
            let wanted = if end == End::Front { model.pop_front() } else { model.pop_back() };
            assert_eq!(list.pop(end, limits, bytes), wanted);
        }
        Step::Rotate(from, to) => {
            let wanted = if from == End::Front { model.pop_front() } else { model.pop_back() };
            assert_eq!(list.rotate(from, to, limits, <[u8]>::to_vec), wanted);
            match to {
                End::Front => wanted.into_iter().for_each(|element| model.push_front(element)),
                End::Back => wanted.into_iter().for_each(|element| model.push_back(element)),
            }
        }
        Step::Insert(at, behind, element) => {
            let pivot = model.get(at).cloned().unwrap_or(b"none".to_vec());
            let found = model.iter().position(|element| *element == pivot);
            assert_eq!(list.insert(&pivot, behind, &element, limits), found.is_some());
            if let Some(found) = found {
                model.insert(found + usize::from(behind), element);
            }
        }
        Step::Set(at, element) => {
            let place = model.get_mut(at);
            assert_eq!(list.set(at, &element, limits), place.is_some());
            if let Some(place) = place {
                *place = element;
            }
        }
        Step::RemoveRange(at, count) => {
            let from = at.min(model.len());
            let range = from..(from + count).min(model.len());
            list.remove_range(range.clone(), limits);
            model.drain(range);
        }
        Step::RemoveEqual(element, from, most) => {
            let equal: Vec<usize> = (0..model.len()).filter(|&at| model[at] == element).collect();
            let count = equal.len().min(most);
            assert_eq!(list.remove_equal(&element, from, most, limits), count);
            let removed = if from == End::Front { &equal[..count] } else { &equal[equal.len() - count..] };
            removed.iter().rev().for_each(|&at| drop(model.remove(at)));
        }
    }
}

proptest! {
    #[test]
    fn behaves_like_a_vector(limits in limits(), steps in prop::collection::vec(step(), 0..60)) {
        let (mut list, mut model) = (List::default(), VecDeque::new());
        for step in steps {
            run(&mut list, &mut model, step, limits);
            prop_assert_eq!(list.len(), model.len());
            let nodes = shape(&list);
            prop_assert_eq!(nodes.iter().sum::<usize>(), model.len());
            prop_assert!(list.is_listpack() || !nodes.contains(&0), "{:?}", nodes);
            if limits.fill > 1 && !list.is_listpack() {
                prop_assert!(nodes.iter().all(|&count| count <= limits.fill as usize), "{:?}", nodes);
            }
        }
        let wanted: Vec<_> = model.into_iter().collect();
        prop_assert_eq!(&contents(&list), &wanted);
        let mut back: Vec<_> = list.iter_back().map(bytes).collect();
        back.reverse();
        prop_assert_eq!(&back, &wanted);
        for (index, element) in wanted.iter().enumerate() {
            prop_assert_eq!(list.get(index).map(bytes), Some(element.clone()));
            let ahead: Vec<_> = list.range(index..index + 3).map(bytes).collect();
            prop_assert_eq!(&ahead[..], &wanted[index..(index + 3).min(wanted.len())]);
            let back: Vec<_> = list.range_back(index / 2..index + 1).map(bytes).collect();
            let ahead: Vec<_> = wanted[index / 2..=index].iter().rev().cloned().collect();
            prop_assert_eq!(back, ahead);
        }
        prop_assert_eq!(list.get(wanted.len()).map(bytes), None);
        let parts: Vec<_> = list.parts().map(owned).collect();
        prop_assert_eq!(contents(&List::from_parts(parts, limits)), wanted.clone());
        prop_assert_eq!(contents(&list.clone()), wanted);
    }
}

fn owned(part: Part<'_>) -> OwnedPart {
    match part {
        Part::Packed(bytes) => OwnedPart::Packed(Listpack::from_bytes(bytes.to_vec()).expect("well-formed")),
        Part::Plain(bytes) => OwnedPart::Plain(bytes.to_vec()),
    }
}

#[test]
fn limits_count_elements_or_bytes() {
    let bytes = |fill| Limits { fill, plain_from: 0 }.bounds().0;
    assert_eq!([-1, -2, -3, -4, -5, -9].map(bytes), [4096, 8192, 16384, 32768, 65536, 65536]);
    let limits = |fill| Limits { fill, plain_from: 0 };
    assert!(limits(0).exceeded(10, 2) && !limits(0).exceeded(10, 1));
    assert!(limits(5).exceeded(10, 6) && !limits(5).exceeded(8192, 5) && limits(5).exceeded(8193, 5));
    assert!(limits(-1).exceeded(4097, 1) && !limits(-1).exceeded(4096, 2000));
    assert!(limits(-1).is_large(4097) && !limits(-1).is_large(4096) && limits(128).is_large(8193));
}

#[test]
fn grows_into_nodes_and_back() {
    let limits = Limits { fill: 4, plain_from: 0 };
    let mut list = filled(0..4, limits);
    assert!(list.is_listpack());
    list.push(End::Back, &[b"4"], limits);
    assert!(!list.is_listpack());
    assert_eq!(shape(&list), [4, 1]);
    list.push(End::Front, &[b"a", b"b"], limits);
    assert_eq!(shape(&list), [2, 4, 1]);
    // One node is left, but it is more than half full.
    list.remove_range(0..2, limits);
    list.pop(End::Back, limits, |_| ());
    assert_eq!((shape(&list), list.is_listpack()), (vec![4], false));
    list.pop(End::Back, limits, |_| ());
    assert!(!list.is_listpack());
    list.pop(End::Front, limits, |_| ());
    assert_eq!((contents(&list), list.is_listpack()), (numbers(1..3), true));
    // A rotation leaves the form as it is, although there are few enough in between.
    let mut list = filled(0..5, limits);
    list.remove_range(0..2, limits);
    list.pop(End::Back, limits, |_| ());
    assert!(list.is_listpack());
    let mut list = filled(0..6, limits);
    list.remove_range(0..3, limits);
    assert_eq!((shape(&list), list.is_listpack()), (vec![1, 2], false));
}

#[test]
fn insertions_split_and_join_nodes_as_redis_does() {
    let limits = Limits { fill: 4, plain_from: 0 };
    let mut list = filled(0..12, limits);
    assert_eq!(shape(&list), [4, 4, 4]);
    // In the midst of a full node: the part with the new element stays by itself, for its neighbours are full.
    list.insert(b"5", true, b"x", limits);
    assert_eq!(shape(&list), [4, 2, 3, 4]);
    // At the edge of a full node whose neighbour has room.
    list.insert(b"8", false, b"y", limits);
    assert_eq!(shape(&list), [4, 2, 4, 4]);
    list.insert(b"3", true, b"z", limits);
    assert_eq!(shape(&list), [4, 3, 4, 4]);
    // At the edge of a full node between full ones.
    list.insert(b"8", false, b"w", limits);
    assert_eq!(shape(&list), [4, 3, 4, 1, 4]);
    // Splitting joins what fits around it.
    list.remove_equal(b"4", End::Front, 1, limits);
    assert_eq!(shape(&list), [4, 2, 4, 1, 4]);
    list.insert(b"9", false, b"v", limits);
    assert_eq!(shape(&list), [4, 2, 4, 3, 3]);
}

#[test]
fn large_elements_have_nodes_by_themselves() {
    let large = vec![b'x'; 8193];
    let mut list = filled(0..5, LIMITS);
    assert!(list.set(2, &large, LIMITS));
    assert_eq!(shape(&list), [2, 1, 2]);
    assert!(matches!(list.parts().nth(1), Some(Part::Plain(bytes)) if bytes == large));
    list.insert(b"4", false, &large, LIMITS);
    assert_eq!(shape(&list), [2, 1, 1, 1, 1]);
    assert_eq!(list.remove_equal(&large, End::Back, 1, LIMITS), 1);
    assert_eq!(shape(&list), [2, 1, 1, 1]);
    // A small element goes to the node behind the large one.
    assert!(list.set(2, b"2", LIMITS));
    assert_eq!((shape(&list), contents(&list)), (vec![2, 2, 1], numbers(0..5)));
}

#[test]
fn room_at_the_ends_is_given_back() {
    let mut list = filled(0..50_000, LIMITS);
    let held: usize =
        list.parts().map(|part| if let Part::Packed(bytes) = part { bytes.len() } else { 0 }).sum();
    assert!(list.heap_bytes() < held + held / 10, "{} for {held}", list.heap_bytes());
    while list.len() > 3 {
        list.pop(End::Front, LIMITS, |_| ());
    }
    assert!(list.is_listpack());
    assert_eq!(list.heap_bytes(), Listpack::EMPTY_LEN + 3 * 5);
}

#[test]
fn frees_node_by_node() {
    let mut list = filled(0..10_000, LIMITS);
    let (nodes, mut steps) = (list.parts().count(), 0);
    while list.drop_node().is_some() {
        steps += 1;
    }
    assert_eq!((nodes, list.len()), (steps, 0));
    assert!(nodes > 3);
    let mut list = filled(0..10_000, LIMITS);
    let removed = list.remove_range(10..9_990, LIMITS).expect("nodes to free");
    assert!(removed.len() > 5_000 && removed.len() <= 9_980);
    assert_eq!(list.len(), 20);
}
