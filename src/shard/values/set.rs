//! A set: distinct strings without an order.
//!
//! Representation: as long as all members are integers and not too many, a sorted array ([`Intset`]); as long as they
//! are few and short, a [`Listpack`]; else a table of items whose keys are the members and whose values are empty.
//! Conversion goes in this direction only, by the limits of [`SetRules`], which are those of Redis.
//!
//! Invariants: an array of integers is never longer than its limit when an insertion has returned; a listpack holds
//! each member once, numbers as numbers. A set inside of the keyspace is not empty.

use std::collections::HashSet;

use smallvec::SmallVec;

use super::{Fields, Typed, typed};
use crate::base::rng::{Rng, Selection};
use crate::shard::{Budget, Encoding, Hasher, Item, Settings};
use crate::types::{Intset, Listpack, Str};

/// Most members of an array of integers whatever the configuration says: the number of them has 32 bits.
const INTSET_MAX_ENTRIES: usize = 1 << 30;
/// Most bytes of a listpack: its length field has 32 bits.
const LISTPACK_MAX_BYTES: usize = 1 << 30;
/// If more than so many times the members that stay are popped, those that stay are moved, not those that go.
const MOVE_RATIO: usize = 5;
/// If the set has fewer than so many times the members that are drawn, all are passed in turn, not looked up at random.
const PASS_RATIO: usize = 3;

/// What decides on a set's encoding, and what its table is hashed with.
#[derive(Debug, Clone)]
pub struct SetRules {
    /// Most members of an array of integers (`set-max-intset-entries`).
    pub intset_entries: usize,
    /// Most members of a listpack (`set-max-listpack-entries`).
    pub listpack_entries: usize,
    /// Longest member in a listpack, in bytes (`set-max-listpack-value`).
    pub listpack_value: usize,
    /// The hash function.
    pub hasher: Hasher,
}

impl SetRules {
    /// The rules that a shard's settings make.
    pub fn new(settings: &Settings, hasher: &Hasher) -> SetRules {
        SetRules {
            intset_entries: settings.set_max_intset_entries.min(INTSET_MAX_ENTRIES),
            listpack_entries: settings.set_max_listpack_entries,
            listpack_value: settings.set_max_listpack_value,
            hasher: hasher.clone(),
        }
    }
}

/// A set. See the module.
#[derive(Debug, Clone)]
pub enum Set {
    /// Integers.
    Intset(Intset),
    /// Few and short members.
    Listpack(Listpack),
    /// Any.
    Table(Box<Fields>),
}

impl Default for Set {
    /// An empty array of integers, which becomes whatever its members ask for.
    fn default() -> Set {
        Set::Intset(Intset::new())
    }
}

impl Set {
    /// An empty set for `count` members of which this is the first.
    pub fn for_members(first: &[u8], count: usize, rules: &SetRules) -> Set {
        if count <= rules.intset_entries && number(Str::Bytes(first)).is_some() {
            Set::default()
        } else if count <= rules.listpack_entries {
            Set::Listpack(Listpack::new())
        } else {
            Set::Table(Box::new(Fields::new(&rules.hasher)))
        }
    }

    /// Prepares for `count` members that are about to be inserted, some of which may be there already.
    pub fn prepare(&mut self, count: usize, rules: &SetRules) {
        let most = match self {
            Set::Intset(_) => rules.intset_entries,
            Set::Listpack(_) => rules.listpack_entries,
            Set::Table(_) => usize::MAX,
        };
        if count > most {
            self.become_table(rules);
        }
    }

    /// Adds a member; `false` if it was there. Bytes may spell a number.
    pub fn insert(&mut self, member: Str<'_>, rules: &SetRules) -> bool {
        match self {
            Set::Table(table) => member.with_bytes(|member| insert_into(table, member)),
            Set::Listpack(_) => member.with_bytes(|member| self.insert_listed(member, rules)),
            Set::Intset(ints) => match number(member) {
                Some(number) => {
                    let added = ints.insert(number);
                    if added && ints.len() > rules.intset_entries {
                        self.become_table(rules);
                    }
                    added
                }
                None => member.with_bytes(|member| self.insert_first_text(member, rules)),
            },
        }
    }

    /// Adds a member to a listpack.
    fn insert_listed(&mut self, member: &[u8], rules: &SetRules) -> bool {
        let Set::Listpack(list) = self else { unreachable!("called for a listpack") };
        if find(list, member).is_some() {
            return false;
        }
        let fits = list.len() < rules.listpack_entries
            && member.len() <= rules.listpack_value
            && list.byte_len() + member.len() <= LISTPACK_MAX_BYTES;
        if fits {
            list.push_back(Str::classify(member));
        } else {
            insert_into(self.become_table(rules), member);
        }
        true
    }

    /// Adds a member that is no number to a set of numbers.
    fn insert_first_text(&mut self, member: &[u8], rules: &SetRules) -> bool {
        let Set::Intset(ints) = self else { unreachable!("called for a set of numbers") };
        // The longest number is the smallest or the largest.
        let ends = ints.iter().next().into_iter().chain(ints.iter().next_back());
        let longest = ends.map(|end| Str::Int(end).len()).max().unwrap_or(0);
        if ints.len() < rules.listpack_entries && member.len().max(longest) <= rules.listpack_value {
            let members: Vec<_> = ints.iter().map(Str::Int).chain([Str::Bytes(member)]).collect();
            let mut list = Listpack::new();
            list.extend(&members);
            *self = Set::Listpack(list);
        } else {
            insert_into(self.become_table(rules), member);
        }
        true
    }

    fn become_table(&mut self, rules: &SetRules) -> &mut Fields {
        if !matches!(self, Set::Table(_)) {
            let mut table = Fields::new(&rules.hasher);
            for member in self.iter() {
                member.with_bytes(|member| insert_into(&mut table, member));
            }
            *self = Set::Table(Box::new(table));
        }
        let Set::Table(table) = self else { unreachable!("it was just made one") };
        table
    }

    /// Turns a set of nothing but numbers into an array, unless they are too many for one.
    ///
    /// # Panics
    /// If a member is no number.
    pub fn become_intset(&mut self, rules: &SetRules) {
        if !matches!(self, Set::Intset(_)) && self.len() <= rules.intset_entries {
            let numbers = self.iter().map(|member| number(member).expect("all members are numbers"));
            *self = Set::Intset(numbers.collect());
        }
    }

    /// Removes a member; `false` if it was not there. Bytes may spell a number.
    pub fn remove(&mut self, member: Str<'_>) -> bool {
        match self {
            Set::Intset(ints) => number(member).is_some_and(|number| ints.remove(number)),
            Set::Listpack(list) => match member.with_bytes(|member| find(list, member)) {
                Some(at) => {
                    list.remove(at, 1);
                    true
                }
                None => false,
            },
            Set::Table(table) => member.with_bytes(|member| table.remove(member).is_some()),
        }
    }

    /// Whether it is a member. Bytes may spell a number.
    #[inline]
    pub fn contains(&self, member: Str<'_>) -> bool {
        match self {
            Set::Intset(ints) => number(member).is_some_and(|number| ints.contains(number)),
            Set::Listpack(list) => member.with_bytes(|member| find(list, member)).is_some(),
            Set::Table(table) => member.with_bytes(|member| table.contains(member)),
        }
    }

    /// The members: numbers as numbers unless they come from a table.
    pub fn iter(&self) -> Box<dyn Iterator<Item = Str<'_>> + '_> {
        match self {
            Set::Intset(ints) => Box::new(ints.iter().map(Str::Int)),
            Set::Listpack(list) => Box::new(list.iter()),
            Set::Table(table) => Box::new(table.iter().map(member_of)),
        }
    }

    /// Visits members from `cursor` on, 0 being the beginning, and returns the cursor to go on with, 0 at the end. A
    /// member that is there all the time is visited at least once. What is no table is visited in one call.
    pub fn scan(&self, cursor: u64, budget: &mut Budget, visit: &mut impl FnMut(Str<'_>)) -> u64 {
        match self {
            Set::Table(table) => table.scan(cursor, budget, &mut |item| visit(member_of(item))),
            compact => {
                compact.iter().for_each(visit);
                0
            }
        }
    }

    /// A random member.
    pub fn random(&self, rng: &mut Rng) -> Option<Str<'_>> {
        if self.is_empty() {
            return None;
        }
        match self {
            Set::Intset(ints) => Some(Str::Int(ints.get(rng.below(ints.len())))),
            Set::Listpack(list) => list.seek(rng.below(list.len()) as isize).map(|at| list.get(at)),
            Set::Table(table) => table.random(rng).map(member_of),
        }
    }

    /// Visits `count` different members, every choice of them being as likely as any other; all if there are no more.
    pub fn sample(&self, count: usize, rng: &mut Rng, mut visit: impl FnMut(Str<'_>)) {
        let len = self.len();
        // Every look into a listpack is a walk.
        if matches!(self, Set::Listpack(_)) || count.saturating_mul(PASS_RATIO) > len {
            let mut selection = Selection::new(count, len);
            self.iter().filter(|_| selection.takes(rng)).for_each(visit);
            return;
        }
        let mut seen = HashSet::with_capacity(count);
        while seen.len() < count {
            let Some(member) = self.random(rng) else { return };
            if seen.insert(member) {
                visit(member);
            }
        }
    }

    /// Removes a random member and returns what `visit` makes of it.
    pub fn pop<R>(&mut self, rng: &mut Rng, visit: impl FnOnce(Str<'_>) -> R) -> Option<R> {
        if self.is_empty() {
            return None;
        }
        match self {
            Set::Intset(ints) => {
                let index = rng.below(ints.len());
                let result = visit(Str::Int(ints.get(index)));
                ints.remove_at(index);
                Some(result)
            }
            Set::Listpack(list) => {
                let at = list.seek(rng.below(list.len()) as isize)?;
                let result = visit(list.get(at));
                list.remove(at, 1);
                Some(result)
            }
            Set::Table(table) => {
                let member: SmallVec<[u8; 64]> = SmallVec::from_slice(table.random(rng)?.key());
                table.remove(&member);
                Some(visit(Str::Bytes(&member)))
            }
        }
    }

    /// Removes `count` random members, which are fewer than there are, and visits them.
    pub fn pop_many(
        &mut self,
        count: usize,
        rng: &mut Rng,
        rules: &SetRules,
        mut visit: impl FnMut(Str<'_>),
    ) {
        let stay = self.len().checked_sub(count).expect("fewer than there are");
        if !matches!(self, Set::Table(_)) {
            self.pop_in_passing(count, rng, visit);
        } else if stay.saturating_mul(MOVE_RATIO) > count {
            for _ in 0..count {
                self.pop(rng, &mut visit);
            }
        } else {
            let mut rest = Set::Listpack(Listpack::new());
            for _ in 0..stay {
                self.pop(rng, |member| rest.insert(member, rules));
            }
            std::mem::replace(self, rest).iter().for_each(visit);
        }
    }

    /// Splits what is no table into members that go and members that stay.
    fn pop_in_passing(&mut self, count: usize, rng: &mut Rng, mut visit: impl FnMut(Str<'_>)) {
        let mut selection = Selection::new(count, self.len());
        let mut stay = Vec::with_capacity(self.len() - count);
        for member in self.iter() {
            if selection.takes(rng) {
                visit(member);
            } else {
                stay.push(member);
            }
        }
        *self = if matches!(self, Set::Intset(_)) {
            Set::Intset(stay.into_iter().filter_map(number).collect())
        } else {
            let mut list = Listpack::new();
            list.extend(&stay);
            Set::Listpack(list)
        };
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Set::Intset(ints) => ints.len(),
            Set::Listpack(list) => list.len(),
            Set::Table(table) => table.len(),
        }
    }

    /// Whether there are no members.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Typed for Set {
    typed!(Set);

    fn encoding(&self) -> Encoding {
        match self {
            Set::Intset(_) => Encoding::Intset,
            Set::Listpack(_) => Encoding::Listpack,
            Set::Table(_) => Encoding::Hashtable,
        }
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Set::Intset(ints) => ints.as_bytes().len(),
            Set::Listpack(list) => list.byte_len(),
            Set::Table(table) => size_of::<Fields>() + table.heap_bytes(),
        }
    }

    fn drop_some(&mut self, budget: &mut Budget) -> bool {
        match self {
            Set::Table(table) => table.drop_some(budget),
            _ => true,
        }
    }
}

/// The number that a member is or spells.
#[inline]
fn number(member: Str<'_>) -> Option<i64> {
    match member {
        Str::Int(number) => Some(number),
        Str::Bytes(bytes) => match Str::classify(bytes) {
            Str::Int(number) => Some(number),
            Str::Bytes(_) => None,
        },
    }
}

fn member_of(item: &Item) -> Str<'_> {
    Str::Bytes(item.key())
}

fn find(list: &Listpack, member: &[u8]) -> Option<usize> {
    list.find(member, list.first()?, 0)
}

#[inline]
fn insert_into(table: &mut Fields, member: &[u8]) -> bool {
    table.insert_new(member, || Item::string(member, b"", None))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::rng::Rng;
    use proptest::prelude::*;

    fn rules() -> SetRules {
        let hasher = Hasher::from_seed(1);
        SetRules { intset_entries: 6, listpack_entries: 4, listpack_value: 5, hasher }
    }

    fn of(members: &[&str]) -> Set {
        let mut set = Set::for_members(members[0].as_bytes(), members.len(), &rules());
        for member in members {
            set.insert(Str::Bytes(member.as_bytes()), &rules());
        }
        set
    }

    fn members(set: &Set) -> Vec<String> {
        set.iter()
            .map(|member| member.with_bytes(|bytes| String::from_utf8(bytes.to_vec()).unwrap()))
            .collect()
    }

    fn sorted(set: &Set) -> BTreeSet<String> {
        members(set).into_iter().collect()
    }

    #[test]
    fn a_new_set_is_encoded_by_its_first_member_and_their_number() {
        for (first, count, encoding) in [
            ("1", 6, Encoding::Intset),
            ("1", 7, Encoding::Hashtable),
            ("a", 4, Encoding::Listpack),
            ("a", 5, Encoding::Hashtable),
            ("01", 1, Encoding::Listpack),
        ] {
            let set = Set::for_members(first.as_bytes(), count, &rules());
            assert_eq!(set.encoding(), encoding, "{first}, {count}");
        }
    }

    #[test]
    fn conversion_happens_at_the_limits() {
        for (start, added, encoding) in [
            (&["1", "2", "3"][..], "x", Encoding::Listpack),
            (&["1", "2", "3", "4"], "x", Encoding::Hashtable),
            (&["1", "2"], "longer", Encoding::Hashtable),
            (&["1", "-99999"], "x", Encoding::Hashtable),
            (&["1", "2", "3", "4", "5", "6"], "7", Encoding::Hashtable),
            (&["1", "2", "3", "4", "5", "6"], "6", Encoding::Intset),
            (&["a", "b", "c"], "12345", Encoding::Listpack),
            (&["a", "b", "c"], "123456", Encoding::Hashtable),
            (&["a", "b", "c", "1"], "d", Encoding::Hashtable),
            (&["a", "b", "c", "1"], "1", Encoding::Listpack),
        ] {
            let mut set = of(start);
            set.insert(Str::Bytes(added.as_bytes()), &rules());
            assert_eq!(set.encoding(), encoding, "{start:?} and {added}");
            let expected: BTreeSet<String> = start.iter().chain([&added]).map(|m| m.to_string()).collect();
            assert_eq!(sorted(&set), expected);
        }
    }

    #[test]
    fn many_new_members_convert_in_advance() {
        for (start, count, encoding) in [
            ("1", 6, Encoding::Intset),
            ("1", 7, Encoding::Hashtable),
            ("a", 4, Encoding::Listpack),
            ("a", 5, Encoding::Hashtable),
        ] {
            let mut set = of(&[start]);
            set.prepare(count, &rules());
            assert_eq!((set.encoding(), members(&set)), (encoding, vec![start.to_string()]));
        }
    }

    #[test]
    fn numbers_in_other_encodings_become_an_array_again() {
        let mut set = of(&["x", "1", "2", "-3"]);
        set.insert(Str::Int(4), &rules());
        assert!(set.remove(Str::Bytes(b"x")));
        assert_eq!(set.encoding(), Encoding::Hashtable);
        set.become_intset(&rules());
        assert_eq!(
            (set.encoding(), members(&set)),
            (Encoding::Intset, vec!["-3".into(), "1".into(), "2".into(), "4".into()])
        );
        let too_many = SetRules { intset_entries: 3, ..rules() };
        let mut list = of(&["x", "1", "2", "3"]);
        list.become_intset(&SetRules { intset_entries: 3, ..rules() });
        assert_eq!(list.encoding(), Encoding::Listpack, "{too_many:?}");
    }

    #[test]
    fn popping_nearly_all_members_of_a_table_leaves_a_small_encoding() {
        let mut set = Set::default();
        let wanted: BTreeSet<String> = (0..100).map(|n| format!("m{n}")).collect();
        wanted.iter().for_each(|m| {
            set.insert(Str::Bytes(m.as_bytes()), &rules());
        });
        let mut gone = BTreeSet::new();
        let mut rng = Rng::new(3);
        set.pop_many(97, &mut rng, &rules(), |member| {
            assert!(gone.insert(member.with_bytes(|m| String::from_utf8(m.to_vec()).unwrap())));
        });
        assert_eq!((set.encoding(), set.len(), gone.len()), (Encoding::Listpack, 3, 97));
        gone.extend(members(&set));
        assert_eq!(gone, wanted);
    }

    #[test]
    fn every_member_is_drawn_about_equally_often() {
        let big: Vec<String> = (0..30).map(|n| format!("member{n}")).collect();
        let big: Vec<&str> = big.iter().map(String::as_str).collect();
        let mut rng = Rng::new(5);
        for set in [of(&["1", "2", "3", "4"]), of(&["a", "b", "c", "1"]), of(&big)] {
            for count in [1, set.len() / 2, set.len()] {
                let mut seen = std::collections::BTreeMap::<String, usize>::new();
                let rounds = 4000;
                for _ in 0..rounds {
                    let mut drawn = BTreeSet::new();
                    set.sample(count, &mut rng, |m| {
                        assert!(drawn.insert(m.with_bytes(|m| String::from_utf8(m.to_vec()).unwrap())));
                    });
                    assert_eq!(drawn.len(), count);
                    drawn.into_iter().for_each(|m| *seen.entry(m).or_default() += 1);
                }
                let expected = rounds * count / set.len();
                assert_eq!(seen.len(), set.len());
                assert!(seen.values().all(|&n| n > expected / 2 && n < expected * 2), "{count}: {seen:?}");
            }
        }
    }

    #[test]
    fn a_set_fits_into_a_value() {
        assert!(size_of::<Set>() <= 24);
    }

    fn member() -> impl Strategy<Value = String> {
        prop_oneof![
            (-4i32..4).prop_map(|n| n.to_string()),
            "[ab01]{0,2}",
            "[a-c]{5,7}",
            Just("-99999".into())
        ]
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(String),
        Remove(String),
        Prepare(usize),
        Pop,
        PopMany(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => member().prop_map(Step::Insert),
            3 => member().prop_map(Step::Remove),
            1 => (0usize..8).prop_map(Step::Prepare),
            1 => Just(Step::Pop),
            1 => (0usize..8).prop_map(Step::PopMany),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(steps in prop::collection::vec(step(), 1..60), seed: u64) {
            let (mut set, mut model, rules) = (Set::default(), BTreeSet::<String>::new(), rules());
            let mut rng = Rng::new(seed);
            let mut gone: Vec<String> = Vec::new();
            let text = |m: Str<'_>| m.with_bytes(|m| String::from_utf8(m.to_vec()).unwrap());
            for step in steps {
                match step {
                    Step::Insert(m) => {
                        prop_assert_eq!(set.insert(Str::Bytes(m.as_bytes()), &rules), model.insert(m));
                    }
                    Step::Remove(m) => {
                        prop_assert_eq!(set.remove(Str::classify(m.as_bytes())), model.remove(&m));
                    }
                    Step::Prepare(count) => set.prepare(count, &rules),
                    Step::Pop => gone.extend(set.pop(&mut rng, text)),
                    Step::PopMany(count) if count < set.len() => {
                        set.pop_many(count, &mut rng, &rules, |m| gone.push(text(m)));
                    }
                    Step::PopMany(_) => {}
                }
                for m in gone.drain(..) {
                    prop_assert!(model.remove(&m), "{} was popped", m);
                }
                prop_assert_eq!(&sorted(&set), &model);
                prop_assert_eq!(set.len(), model.len());
                for m in ["1", "-4", "a", "", "abcabc"] {
                    prop_assert_eq!(set.contains(Str::Bytes(m.as_bytes())), model.contains(m));
                }
                prop_assert_eq!(set.random(&mut rng).map(|m| model.contains(&text(m))), (!model.is_empty()).then_some(true));
                let mut scanned = BTreeSet::new();
                let mut cursor = 0;
                loop {
                    cursor = set.scan(cursor, &mut Budget::items(2), &mut |m| {
                        scanned.insert(text(m));
                    });
                    if cursor == 0 {
                        break;
                    }
                }
                prop_assert_eq!(&scanned, &model);
            }
        }
    }
}
