//! The walk of a snapshot: all items of a shard's databases as they were at one instant, the *cut*, written while commands
//! go on.
//!
//! The walk goes through the databases in order, through each in the order of its tables (slot, hash). Its position divides
//! the keys: those before it are written, those behind are not. Before anything is done to a key behind it, whatever the key
//! has is written, and the key joins the set of `early` ones, which the walk passes over later; so does a key that is new.
//! Hence each key of the cut is written exactly once, as it was, and no other.
//!
//! [`super::Databases::of_mut`] is where this happens: whoever changes an item gets it there. What is on loan to another shard was
//! written before it left; databases that are lent as a whole take their walk along, which rests meanwhile.
//!
//! Databases go by the numbers that they had at the cut, which `SWAPDB` leaves behind. One that is emptied is kept *aside*
//! with its old contents until the walk has passed it; all keys that it gets afterwards are new.
//!
//! Invariants: `numbers` is a permutation; a key of `early` is behind the position; a database is aside at most once.

use std::collections::VecDeque;

use ahash::AHashSet;

use super::{Budget, Cursor, Db, DbKey, Item, Key};

/// Size of a part of the output, in bytes.
pub const PART_BYTES: usize = 256 * 1024;
/// Old forms of items that may wait for being taken, with the set of early keys, in bytes, when another one comes; a walk that is
/// so far behind fails. One item alone may be larger.
pub const BEHIND_MAX_BYTES: usize = 64 << 20;

/// Bytes of an entry in the set of early keys besides the key, roughly.
const EARLY_BYTES: usize = 48;

/// Writes an item behind what is there. Returns the version of the format that it takes.
pub type Encode = Box<dyn FnMut(&mut Vec<u8>, Place, &Item) -> u16 + Send>;

/// A part of the output, which begins and ends at the border of an item.
#[derive(Debug, Default)]
pub struct Part {
    /// The items.
    pub bytes: Vec<u8>,
    /// The version of the format that the newest of them takes.
    pub version: u16,
}

/// Where an item stands in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its database, by the number at the cut.
    pub db: usize,
    /// The item before it in the same part is of another database, or there is none.
    pub opens: bool,
}

/// See the module.
pub struct Walk {
    encode: Encode,
    /// By present number: the number at the cut.
    numbers: Vec<usize>,
    /// Databases that were emptied since the cut, by their numbers there, until they are walked.
    aside: Vec<Option<Db>>,
    /// By number at the cut: all keys are written or aside.
    settled: Vec<bool>,
    /// The database that is walked, by its number at the cut.
    at: usize,
    cursor: Cursor,
    early: AHashSet<DbKey>,
    early_bytes: usize,
    /// The part that is being written, and the database of its last item.
    open: Part,
    open_db: Option<usize>,
    ready: VecDeque<Part>,
    ready_bytes: usize,
    old_bytes: u64,
    keys: u64,
    overflown: bool,
    #[cfg(test)]
    pub(super) forgets: bool,
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Walk({} {:?}, {} early)", self.at, self.cursor, self.early.len())
    }
}

impl Walk {
    /// A walk through so many databases that begins now.
    pub(super) fn new(databases: usize, encode: Encode) -> Walk {
        Walk {
            encode,
            numbers: (0..databases).collect(),
            aside: (0..databases).map(|_| None).collect(),
            settled: vec![false; databases],
            at: 0,
            cursor: Cursor::START,
            early: AHashSet::new(),
            early_bytes: 0,
            open: Part::default(),
            open_db: None,
            ready: VecDeque::new(),
            ready_bytes: 0,
            old_bytes: 0,
            keys: 0,
            overflown: false,
            #[cfg(test)]
            forgets: false,
        }
    }

    /// Whether everything is written; the last parts may still have to be taken.
    pub fn is_over(&self) -> bool {
        self.at == self.numbers.len()
    }

    /// Whether it has fallen behind by [`BEHIND_MAX_BYTES`]: it can only be given up.
    pub fn is_overflown(&self) -> bool {
        self.overflown
    }

    /// Bytes of items that were written early, because they were about to change.
    pub fn old_bytes(&self) -> u64 {
        self.old_bytes
    }

    /// Items written so far.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// The oldest part of the output that is complete, after the last item also one that is shorter.
    pub fn take_part(&mut self) -> Option<Part> {
        if self.ready.is_empty() {
            if !self.is_over() || self.open.bytes.is_empty() {
                return None;
            }
            self.close_part();
        }
        let part = self.ready.pop_front()?;
        self.ready_bytes -= part.bytes.len();
        Some(part)
    }

    /// Puts a part back that could not be passed on.
    pub fn put_back(&mut self, part: Part) {
        self.ready_bytes += part.bytes.len();
        self.ready.push_front(part);
    }

    fn close_part(&mut self) {
        self.ready_bytes += self.open.bytes.len();
        self.ready.push_back(std::mem::take(&mut self.open));
        self.open_db = None;
    }

    fn write(&mut self, db: usize, item: &Item) {
        let place = Place { db, opens: self.open_db != Some(db) };
        let version = (self.encode)(&mut self.open.bytes, place, item);
        self.open.version = self.open.version.max(version);
        self.open_db = Some(db);
        self.keys += 1;
        if self.open.bytes.len() >= PART_BYTES {
            self.close_part();
        }
    }

    fn is_behind(&self, db: usize, key: &Key<'_>) -> bool {
        !self.settled[db] && (db, Cursor::of(key)) >= (self.at, self.cursor)
    }

    /// Something is about to be done to a key in the database that now has this number.
    pub(super) fn before_change(&mut self, number: usize, db: &Db, key: &Key<'_>) {
        self.keep(number, key, || db.get(key));
    }

    /// An item was just taken out of the database that now has this number.
    pub(super) fn after_removal(&mut self, number: usize, item: &Item, key: &Key<'_>) {
        self.keep(number, key, || Some(item));
    }

    fn keep<'a>(&mut self, number: usize, key: &Key<'_>, old: impl FnOnce() -> Option<&'a Item>) {
        let db = self.numbers[number];
        if self.overflown || !self.is_behind(db, key) {
            return;
        }
        let name: DbKey = (db as u16, key.bytes.into());
        if self.early.contains(&name) {
            return;
        }
        #[cfg(test)]
        if self.forgets {
            return;
        }
        if self.ready_bytes + self.early_bytes > BEHIND_MAX_BYTES {
            // Nobody will want it any more.
            self.overflown = true;
            (self.ready, self.open, self.early) = Default::default();
            self.aside.iter_mut().for_each(|db| *db = None);
            return;
        }
        self.early_bytes += EARLY_BYTES + key.bytes.len();
        self.early.insert(name);
        if let Some(item) = old() {
            let before = self.ready_bytes + self.open.bytes.len();
            self.write(db, item);
            self.old_bytes += (self.ready_bytes + self.open.bytes.len() - before) as u64;
        }
    }

    /// What is still aside.
    pub(super) fn into_aside(self) -> Vec<Db> {
        self.aside.into_iter().flatten().collect()
    }

    /// Two databases are about to change places.
    pub(super) fn exchange(&mut self, a: usize, b: usize) {
        self.numbers.swap(a, b);
    }

    /// The database that now has this number is about to be emptied. Returns whether its tables are still needed; then they
    /// are to be handed over by [`Walk::put_aside`].
    pub(super) fn wants(&self, number: usize) -> bool {
        !self.overflown && !self.settled[self.numbers[number]]
    }

    /// Takes over what a database has had.
    pub(super) fn put_aside(&mut self, number: usize, old: Db) {
        let db = self.numbers[number];
        self.settled[db] = true;
        self.aside[db] = Some(old);
    }

    /// Walks on through `dbs` until the budget is spent or everything is written. Returns databases that were aside and are
    /// not needed any more.
    pub(super) fn step(&mut self, dbs: &[Db], budget: &mut Budget) -> Vec<Db> {
        let mut done = Vec::new();
        while !budget.is_spent() && !self.is_over() && !self.overflown {
            let db = self.at;
            let aside = self.aside[db].take();
            let number = self.numbers.iter().position(|&number| number == db).expect("a permutation");
            let from = self.cursor;
            let mut early = std::mem::take(&mut self.early);
            let mut visited = 0;
            let next = aside.as_ref().unwrap_or(&dbs[number]).scan(from, budget.clone(), |item| {
                visited += 1;
                let name = || (db as u16, Box::from(item.key()));
                if !early.is_empty() && early.remove(&name()) {
                    self.early_bytes -= EARLY_BYTES + item.key().len();
                } else {
                    self.write(db, item);
                }
            });
            self.early = early;
            self.cursor = next;
            // An empty database costs something, too.
            budget.spend(visited + 1);
            if next == Cursor::START {
                self.settled[db] = true;
                self.at += 1;
                done.extend(aside);
            } else {
                self.aside[db] = aside;
            }
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::crc::SLOTS;
    use crate::shard::values::{Set, SetRules};
    use crate::shard::{ExpireProgress, ExpiryPolicy, Hasher, Shard, Slot, Str};
    use proptest::prelude::*;

    const DATABASES: usize = 3;
    const HALF: u16 = SLOTS as u16 / 2;

    /// Items as lines of text: database, key, value (or how many members it has) and expiry.
    type State = BTreeMap<Name, Shown>;
    type Name = (usize, Vec<u8>);
    type Shown = (Vec<u8>, Option<i64>);

    #[derive(Debug, Clone)]
    enum Op {
        Set(usize, u16, u8, Option<i64>),
        Append(usize, u16),
        AddMember(usize, u16, u8),
        Delete(usize, u16),
        Move(usize, usize, u16),
        Rename(usize, u16, u16),
        ExpireAt(usize, u16, i64),
        Read(usize, u16),
        Pass(i64, usize),
        /// Borrowed, perhaps changed, and given back.
        Borrow(u16, Vec<Op>),
        /// All databases are lent, and changed there.
        Whole(Vec<Op>),
        Swap(usize, usize),
        Flush(usize),
        FlushAll,
        Step(usize),
    }

    fn simple() -> impl Strategy<Value = Op> {
        let (db, n) = (|| 0..DATABASES, || 0u16..150);
        prop_oneof![
            4 => (db(), n(), any::<u8>(), prop::option::of(1000i64..3000)).prop_map(|(db, n, v, at)| Op::Set(db, n, v, at)),
            2 => (db(), n()).prop_map(|(db, n)| Op::Append(db, n)),
            3 => (db(), n(), any::<u8>()).prop_map(|(db, n, m)| Op::AddMember(db, n, m)),
            2 => (db(), n()).prop_map(|(db, n)| Op::Delete(db, n)),
            1 => (db(), db(), n()).prop_map(|(a, b, n)| Op::Move(a, b, n)),
            1 => (db(), n(), n()).prop_map(|(db, a, b)| Op::Rename(db, a, b)),
            1 => (db(), n(), 1000i64..3000).prop_map(|(db, n, at)| Op::ExpireAt(db, n, at)),
            1 => (db(), n()).prop_map(|(db, n)| Op::Read(db, n)),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            20 => simple(),
            3 => (1i64..300, 1usize..40).prop_map(|(ms, budget)| Op::Pass(ms, budget)),
            3 => (0u16..150, prop::collection::vec(simple(), 0..3)).prop_map(|(n, ops)| Op::Borrow(n, ops)),
            1 => prop::collection::vec(prop_oneof![9 => simple(), 1 => whole()], 0..6).prop_map(Op::Whole),
            2 => whole(),
            8 => (1usize..30).prop_map(Op::Step),
        ]
    }

    fn whole() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0..DATABASES, 0..DATABASES).prop_map(|(a, b)| Op::Swap(a, b)),
            2 => (0..DATABASES).prop_map(Op::Flush),
            1 => Just(Op::FlushAll),
        ]
    }

    /// Most keys are in two slots, whose tables split; those of slots above the half belong to nobody.
    fn name(n: u16) -> Vec<u8> {
        (0..)
            .map(|tag| format!("{{{}:{tag}}}{n}", if n.is_multiple_of(5) { n } else { n % 2 }).into_bytes())
            .find(|name| Slot::of(name).number() < HALF)
            .expect("every other slot is below the half")
    }

    fn shard(slots: std::ops::Range<u16>) -> Shard {
        let mut shard = Shard::new(DATABASES, Hasher::from_seed(1), 1);
        (shard.slots, shard.now_ms) = (slots, 1000);
        shard.settings.set_max_listpack_entries = 4;
        shard
    }

    fn run(shard: &mut Shard, op: &Op) {
        match op {
            Op::Set(db, n, value, at) => {
                let name = name(*n);
                let policy = at.map_or(ExpiryPolicy::Clear, ExpiryPolicy::At);
                shard.set_string(
                    *db,
                    &shard.key(&name),
                    Str::Bytes(&vec![b'v'; usize::from(*value)]),
                    policy,
                );
            }
            Op::Append(db, n) => {
                let name = name(*n);
                let key = shard.key(&name);
                if let Some(item) = shard.lookup_write(*db, &key).filter(|item| item.value().is_none()) {
                    item.string_mut().push(b'+');
                }
            }
            Op::AddMember(db, n, member) => {
                let name = name(*n);
                let (key, rules) = (shard.key(&name), SetRules::new(&shard.settings, shard.hasher()));
                if let Ok(set) = shard.write_or_insert(*db, &key, Set::default) {
                    set.insert(Str::Bytes(format!("m{member}").as_bytes()), &rules);
                }
            }
            Op::Delete(db, n) => {
                let name = name(*n);
                shard.delete(*db, &shard.key(&name));
            }
            Op::Move(from, to, n) => {
                let name = name(*n);
                let key = shard.key(&name);
                if from != to
                    && shard.peek(*to, &key).is_none()
                    && let Some(item) = shard.remove(*from, &key)
                {
                    shard.insert(*to, &key, item);
                }
            }
            Op::Rename(db, from, to) => {
                let (from, to) = (name(*from), name(*to));
                if from != to
                    && let Some(item) = shard.remove(*db, &shard.key(&from))
                {
                    shard.insert(*db, &shard.key(&to), item.renamed(&to));
                }
            }
            Op::ExpireAt(db, n, at) => {
                let name = name(*n);
                let key = shard.key(&name);
                shard.dbs.of_mut(*db, &key).set_expiry(&key, Some(*at));
            }
            Op::Read(db, n) => {
                let name = name(*n);
                shard.lookup_read(*db, &shard.key(&name));
            }
            Op::Pass(ms, budget) => {
                shard.now_ms += ms;
                let _: ExpireProgress = shard.expire_some(&mut Budget::items(*budget));
            }
            Op::Swap(a, b) => shard.swap_dbs(*a, *b),
            Op::Flush(db) => drop(shard.flush(*db)),
            Op::FlushAll => drop(shard.flush_all()),
            Op::Borrow(n, ops) => {
                let mut other = self::shard(HALF..SLOTS as u16);
                other.now_ms = shard.now_ms;
                let (name, mut loan) = (name(*n), Vec::new());
                shard.lend(&shard.key(&name), &mut loan);
                other.receive(std::mem::take(&mut loan));
                ops.iter().for_each(|op| {
                    let on_it = match op.clone() {
                        Op::Set(db, _, v, at) => Op::Set(db, *n, v, at),
                        Op::Append(db, _) => Op::Append(db, *n),
                        Op::AddMember(db, _, m) => Op::AddMember(db, *n, m),
                        Op::Delete(db, _) => Op::Delete(db, *n),
                        Op::Move(a, b, _) => Op::Move(a, b, *n),
                        other => other,
                    };
                    if !matches!(on_it, Op::Rename(..) | Op::ExpireAt(..)) {
                        run(&mut other, &on_it);
                    }
                });
                other.lend(&other.key(&name), &mut loan);
                shard.receive(loan);
            }
            Op::Whole(ops) => {
                let mut other = self::shard(HALF..SLOTS as u16);
                other.now_ms = shard.now_ms;
                other.dbs.attach(vec![shard.lend_all()]);
                ops.iter().for_each(|op| run(&mut other, op));
                shard.dbs.take_back(other.dbs.detach().pop().expect("one was attached"));
            }
            Op::Step(budget) => shard.step_snapshot(&mut Budget::items(*budget)),
        }
    }

    fn shown(item: &Item) -> Shown {
        let value = item.value().map(|value| value.len().to_string().into_bytes());
        (value.unwrap_or_else(|| item.str().with_bytes(<[u8]>::to_vec)), item.expire_at_ms())
    }

    fn state(shard: &Shard) -> State {
        let mut state = State::new();
        for db in 0..DATABASES {
            shard.dbs[db].for_each(|item| drop(state.insert((db, item.key().to_vec()), shown(item))));
        }
        state
    }

    /// Cuts, runs `ops` with the walk between them, and returns what was to be written, and what was.
    fn snapshot(shard: &mut Shard, ops: &[Op], forgets: bool) -> (State, Vec<(Name, Shown)>) {
        thread_local! { static WRITTEN: RefCell<Vec<(Name, Shown)>> = RefCell::default(); }
        WRITTEN.take();
        let cut = state(shard);
        shard.begin_snapshot(Box::new(|out, place, item| {
            out.push(0);
            WRITTEN.with_borrow_mut(|written| written.push(((place.db, item.key().to_vec()), shown(item))));
            9
        }));
        shard.dbs.walk().expect("it was begun").forgets = forgets;
        ops.iter().for_each(|op| run(shard, op));
        while !shard.dbs.walk().expect("it was begun").is_over() {
            shard.step_snapshot(&mut Budget::items(10));
        }
        let walk = shard.dbs.walk().expect("it was begun");
        let (keys, pieces) = (
            walk.keys(),
            std::iter::from_fn(|| walk.take_part()).map(|part| part.bytes.len()).sum::<usize>(),
        );
        let written = WRITTEN.take();
        assert_eq!((keys as usize, pieces), (written.len(), written.len()));
        shard.end_snapshot();
        (cut, written)
    }

    fn prepared(before: &[Op]) -> Shard {
        let mut shard = shard(0..HALF);
        before.iter().for_each(|op| run(&mut shard, op));
        shard
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn what_is_written_is_the_state_at_the_cut(
            before in prop::collection::vec(op(), 0..400),
            ops in prop::collection::vec(op(), 0..150),
        ) {
            let mut shard = prepared(&before);
            let live = {
                let mut twin = prepared(&before);
                ops.iter().for_each(|op| run(&mut twin, op));
                state(&twin)
            };
            let (cut, written) = snapshot(&mut shard, &ops, false);
            let count = written.len();
            prop_assert_eq!(written.into_iter().collect::<State>(), cut.clone());
            prop_assert_eq!(count, cut.len(), "each once");
            prop_assert_eq!(state(&shard), live, "the snapshot changes nothing");
        }
    }

    #[test]
    fn a_walk_that_forgets_old_forms_is_caught() {
        let before: Vec<Op> = (0..150).map(|n| Op::Set(0, n, 1, None)).collect();
        for change in [
            Op::Set(0, 7, 2, None),
            Op::Append(0, 7),
            Op::Delete(0, 7),
            Op::Set(1, 7, 1, None),
            Op::Rename(0, 7, 200),
        ] {
            let ops = [Op::Step(1), change.clone()];
            let right = |forgets| {
                let (cut, written) = snapshot(&mut prepared(&before), &ops, forgets);
                written.len() == cut.len() && written.into_iter().collect::<State>() == cut
            };
            assert!(right(false) && !right(true), "{change:?}");
        }
    }

    /// A shard with so many strings of this length, and a walk that has not taken a step.
    fn walked(strings: u16, len: usize) -> (Shard, Vec<Vec<u8>>) {
        let mut shard = prepared(&[]);
        let names: Vec<Vec<u8>> = (0..strings).map(name).collect();
        for name in &names {
            shard.set_string(0, &shard.key(name), Str::Bytes(&vec![b'v'; len]), ExpiryPolicy::Clear);
        }
        shard.begin_snapshot(Box::new(|out, _, item| {
            item.str().with_bytes(|bytes| out.extend_from_slice(bytes));
            9
        }));
        (shard, names)
    }

    #[test]
    fn one_that_falls_behind_is_given_up() {
        let (mut shard, names) = walked(80, 1 << 20);
        for (n, name) in names.iter().enumerate() {
            assert_eq!(shard.dbs.walk().unwrap().is_overflown(), n > 64);
            shard.delete(0, &shard.key(name));
        }
        assert!(shard.dbs.walk().unwrap().take_part().is_none());
    }

    #[test]
    fn items_that_are_larger_than_may_wait_are_written_one_after_the_other() {
        let (mut shard, names) = walked(3, BEHIND_MAX_BYTES + 1);
        for name in &names[..2] {
            shard.delete(0, &shard.key(name));
            let part = shard.dbs.walk().unwrap().take_part().expect("the old form");
            assert_eq!(part.bytes.len(), BEHIND_MAX_BYTES + 1);
        }
        shard.step_snapshot(&mut Budget::items(10_000_000));
        let walk = shard.dbs.walk().unwrap();
        assert!(walk.is_over() && !walk.is_overflown());
        assert_eq!(walk.keys(), 3);
    }
}
