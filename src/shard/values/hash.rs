//! A hash: fields with values, of which each may have an expiry of its own.
//!
//! It has one of three forms and changes from the first towards the last only, by the rules of Redis 7.4:
//!
//! - `listpack`: field and value by turns, while there are few and short ones;
//! - `listpackex`: the same with a third element, the expiry in Unix milliseconds or 0, as soon as a field was to get one.
//!   Fields with an expiry stand first, the earliest foremost; fields without one follow;
//! - `hashtable`: [`Fields`], whose items hold the expiries, and an index of them: the pairs of expiry and hash of the field,
//!   in that order. It has exactly one for each field that expires (one for all whose pairs are equal).
//!
//! Fields stay after their time is over until someone removes them: the commands of `hashes` do when they meet one, and
//! active expiry does (`crate::shard::field_expiry`). For that a database knows which of its hashes are *watched*; the mark is
//! kept here, but means nothing to the hash.

use std::collections::BTreeSet;

use super::fields::Fields;
use super::{Typed, typed};
use crate::base::rng::Rng;
use crate::shard::item::{Encoding, Item};
use crate::shard::{Budget, Hasher, Settings};
use crate::types::listpack::At;
use crate::types::{Listpack, Str};

/// Greatest size of a listpack in bytes.
const LISTPACK_BYTES_MAX: usize = 1 << 30;
/// What stands for no expiry in a listpack.
const NO_EXPIRY: i64 = 0;

/// When a hash becomes a hash table, and what that is hashed with.
#[derive(Debug, Clone)]
pub struct Growth {
    /// Most fields of a listpack (`hash-max-listpack-entries`).
    pub max_entries: usize,
    /// Longest field or value in a listpack, in bytes (`hash-max-listpack-value`).
    pub max_value_bytes: usize,
    /// The hash function.
    pub hasher: Hasher,
}

impl Growth {
    /// By these settings.
    pub fn new(settings: &Settings, hasher: &Hasher) -> Growth {
        Growth {
            max_entries: settings.hash_max_listpack_entries,
            max_value_bytes: settings.hash_max_listpack_value,
            hasher: hasher.clone(),
        }
    }
}

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name.
    pub field: Str<'a>,
    /// Its value.
    pub value: Str<'a>,
    /// When it expires, Unix milliseconds.
    pub expire_at_ms: Option<i64>,
}

impl<'a> Entry<'a> {
    fn of(item: &'a Item) -> Entry<'a> {
        Entry { field: Str::Bytes(item.key()), value: item.str(), expire_at_ms: item.expire_at_ms() }
    }

    /// Whether its time is over: it lives in the millisecond it names.
    #[inline]
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expire_at_ms.is_some_and(|at| at < now_ms)
    }
}

/// A hash. See the module.
#[derive(Debug, Clone)]
pub struct Hash(Form);

/// How a hash is stored.
#[derive(Debug, Clone, Copy)]
pub enum Stored<'a> {
    /// Fields and values by turns.
    Pairs(&'a Listpack),
    /// Fields, values and expiries by turns.
    Triples(&'a Listpack),
    /// A hash table.
    Table,
}

#[derive(Debug, Clone)]
enum Form {
    Pairs(Listpack),
    Triples { pack: Listpack, watched: bool },
    Table(Box<Table>),
}

#[derive(Debug, Clone)]
struct Table {
    fields: Fields,
    expiries: BTreeSet<(i64, u64)>,
    watched: bool,
}

impl Default for Hash {
    fn default() -> Hash {
        Hash(Form::Pairs(Listpack::new()))
    }
}

impl Hash {
    /// Of fields and values by turns, with numbers as numbers; `None` if a field occurs twice or lacks its value.
    pub fn from_pairs(pack: Listpack) -> Option<Hash> {
        (pack.len().is_multiple_of(2) && pack.is_unique(2)).then(|| Hash(Form::Pairs(pack)))
    }

    /// Of fields, values and expiries by turns, with numbers as numbers; `None` if a field occurs twice or lacks one of the
    /// others, or if an expiry is not at least 0 and at most `max_ms`. The fields may have any order.
    pub fn from_triples(pack: Listpack, max_ms: i64) -> Option<Hash> {
        let elements: Vec<Str<'_>> = pack.iter().collect();
        let (triples, []) = elements.as_chunks::<3>() else { return None };
        let in_range =
            |triple: &[Str<'_>; 3]| matches!(triple[2], Str::Int(at) if (0..=max_ms).contains(&at));
        let order = |triple: &[Str<'_>; 3]| expiry(triple[2]).unwrap_or(i64::MAX);
        if !triples.iter().all(in_range) || !triples.is_sorted_by_key(order) || !pack.is_unique(3) {
            return None;
        }
        Some(Hash(Form::Triples { pack, watched: false }))
    }

    /// The hash table of a large one.
    #[inline]
    pub fn fields(&self) -> Option<&Fields> {
        match &self.0 {
            Form::Table(table) => Some(&table.fields),
            Form::Pairs(_) | Form::Triples { .. } => None,
        }
    }

    /// How it is stored.
    pub fn stored(&self) -> Stored<'_> {
        match &self.0 {
            Form::Pairs(pack) => Stored::Pairs(pack),
            Form::Triples { pack, .. } => Stored::Triples(pack),
            Form::Table(_) => Stored::Table,
        }
    }

    /// The listpack and the number of its elements that a field takes.
    fn pack(&self) -> Option<(&Listpack, usize)> {
        match &self.0 {
            Form::Pairs(pack) => Some((pack, 2)),
            Form::Triples { pack, .. } => Some((pack, 3)),
            Form::Table(_) => None,
        }
    }

    /// A field, whether or not its time is over.
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Entry<'_>> {
        match &self.0 {
            Form::Pairs(pack) => Some(pair(pack, find(pack, field, 2)?)),
            Form::Triples { pack, .. } => Some(triple(pack, find(pack, field, 3)?)),
            Form::Table(table) => table.fields.get(field).map(Entry::of),
        }
    }

    /// Becomes a hash table if so many pairs of field and value, equal ones counted again, are too many for a listpack.
    pub fn prepare(&mut self, pairs: usize, growth: &Growth) {
        if pairs > growth.max_entries {
            self.become_table(growth);
        }
    }

    /// Sets a field, which loses its expiry. Returns whether it is new.
    #[inline]
    pub fn set(&mut self, field: &[u8], value: Str<'_>, growth: &Growth) -> bool {
        self.put(field, value, false, growth)
    }

    /// Sets a field, which keeps its expiry. Returns whether it is new.
    pub fn update(&mut self, field: &[u8], value: Str<'_>, growth: &Growth) -> bool {
        self.put(field, value, true, growth)
    }

    #[inline]
    fn put(&mut self, field: &[u8], value: Str<'_>, keep_expiry: bool, growth: &Growth) -> bool {
        if let Some((pack, _)) = self.pack() {
            let len = value.len();
            if field.len().max(len) > growth.max_value_bytes
                || pack.byte_len() + field.len() + len > LISTPACK_BYTES_MAX
            {
                self.become_table(growth);
            }
        }
        let new = match &mut self.0 {
            Form::Pairs(pack) => put_pair(pack, field, value),
            Form::Triples { pack, .. } => put_triple(pack, field, value, keep_expiry),
            Form::Table(table) => return table.put(field, value, keep_expiry),
        };
        if self.len() > growth.max_entries {
            self.become_table(growth);
        }
        new
    }

    /// Removes a field. Returns whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let (pack, stride) = match &mut self.0 {
            Form::Pairs(pack) => (pack, 2),
            Form::Triples { pack, .. } => (pack, 3),
            Form::Table(table) => return table.remove(field),
        };
        let found = find(pack, field, stride);
        if let Some(at) = found {
            pack.remove(at, stride);
        }
        found.is_some()
    }

    /// From now on it can hold expiries.
    pub fn allow_expiry(&mut self) {
        if let Form::Pairs(pack) = &self.0 {
            let elements: Vec<Str<'_>> = pack.iter().collect();
            let triples: Vec<Str<'_>> =
                elements.chunks_exact(2).flat_map(|pair| [pair[0], pair[1], Str::Int(NO_EXPIRY)]).collect();
            let mut pack = Listpack::new();
            pack.extend(&triples);
            self.0 = Form::Triples { pack, watched: false };
        }
    }

    /// Sets or removes the expiry (Unix milliseconds, above 0) of a field that is there.
    pub fn set_expiry(&mut self, field: &[u8], expire_at_ms: Option<i64>) {
        self.allow_expiry();
        match &mut self.0 {
            Form::Pairs(_) => unreachable!("it became another form"),
            Form::Triples { pack, .. } => {
                if let Some(at) = find(pack, field, 3) {
                    let value = triple(pack, at).value.with_bytes(<[u8]>::to_vec);
                    pack.remove(at, 3);
                    insert_triple(pack, field, Str::classify(&value), expire_at_ms.unwrap_or(NO_EXPIRY));
                }
            }
            Form::Table(table) => table.set_expiry(field, expire_at_ms),
        }
    }

    /// When the first field expires, Unix milliseconds; it may be over.
    pub fn next_expiry(&self) -> Option<i64> {
        match &self.0 {
            Form::Pairs(_) => None,
            Form::Triples { pack, .. } => triple(pack, pack.first()?).expire_at_ms,
            Form::Table(table) => table.expiries.first().map(|(at, _)| *at),
        }
    }

    /// Whether there is a field whose time is over.
    #[inline]
    pub fn has_expired(&self, now_ms: i64) -> bool {
        self.next_expiry().is_some_and(|at| at < now_ms)
    }

    /// Number of fields whose time is not over.
    pub fn live_len(&self, now_ms: i64) -> usize {
        let expired = match &self.0 {
            _ if !self.has_expired(now_ms) => 0,
            Form::Table(table) => table.expiries.range(..(now_ms, 0)).count(),
            Form::Pairs(_) | Form::Triples { .. } => {
                let mut expired = 0;
                self.for_each(|entry| expired += usize::from(entry.is_expired(now_ms)));
                expired
            }
        };
        self.len() - expired
    }

    /// Removes fields whose time is over, until none is left or the budget is spent. Shows each, and returns how many it
    /// removed.
    pub fn expire(&mut self, now_ms: i64, budget: &mut Budget, removed: &mut dyn FnMut(Str<'_>)) -> usize {
        match &mut self.0 {
            Form::Pairs(_) => 0,
            Form::Triples { pack, .. } => {
                let mut count = 0;
                let mut at = pack.first();
                while let Some(field) = at.filter(|_| !budget.is_spent()) {
                    let entry = triple(pack, field);
                    if !entry.is_expired(now_ms) {
                        break;
                    }
                    removed(entry.field);
                    budget.spend(1);
                    count += 1;
                    at = skip(pack, field, 3);
                }
                if let Some(first) = pack.first().filter(|_| count > 0) {
                    pack.remove(first, 3 * count);
                }
                count
            }
            Form::Table(table) => table.expire(now_ms, budget, removed),
        }
    }

    /// Visits all fields, also those whose time is over.
    pub fn for_each<'a>(&'a self, mut visit: impl FnMut(Entry<'a>)) {
        let (pack, stride) = match &self.0 {
            Form::Table(table) => return table.fields.iter().for_each(|item| visit(Entry::of(item))),
            Form::Pairs(pack) => (pack, 2),
            Form::Triples { pack, .. } => (pack, 3),
        };
        let mut elements = pack.iter();
        while let (Some(field), Some(value)) = (elements.next(), elements.next()) {
            let expire_at_ms = if stride == 3 { elements.next().and_then(expiry) } else { None };
            visit(Entry { field, value, expire_at_ms });
        }
    }

    /// Visits fields from a cursor on until the budget is spent; 0 is the start and the end. A listpack is visited as a
    /// whole.
    pub fn scan(&self, cursor: u64, budget: &mut Budget, mut visit: impl FnMut(Entry<'_>)) -> u64 {
        if let Form::Table(table) = &self.0 {
            return table.fields.scan(cursor, budget, &mut |item| visit(Entry::of(item)));
        }
        self.for_each(visit);
        0
    }

    /// A field drawn at random; `None` only if there is none.
    pub fn random(&self, rng: &mut Rng) -> Option<Entry<'_>> {
        if self.len() == 0 {
            return None;
        }
        let index = |stride, rng: &mut Rng| (stride * rng.below(self.len())) as isize;
        match &self.0 {
            Form::Pairs(pack) => pack.seek(index(2, rng)).map(|at| pair(pack, at)),
            Form::Triples { pack, .. } => pack.seek(index(3, rng)).map(|at| triple(pack, at)),
            Form::Table(table) => table.fields.random(rng).map(Entry::of),
        }
    }

    /// Whether its database counts it as one whose fields expire.
    pub(in crate::shard) fn is_watched(&self) -> bool {
        match &self.0 {
            Form::Pairs(_) => false,
            Form::Triples { watched, .. } => *watched,
            Form::Table(table) => table.watched,
        }
    }

    /// For its database, which counts it from now on if it has fields that expire: when the first does.
    pub(in crate::shard) fn watch(&mut self) -> Option<i64> {
        let next = self.next_expiry();
        match &mut self.0 {
            Form::Pairs(_) => {}
            Form::Triples { watched, .. } => *watched = next.is_some(),
            Form::Table(table) => table.watched = next.is_some(),
        }
        next
    }

    #[cold]
    fn become_table(&mut self, growth: &Growth) {
        if matches!(self.0, Form::Table(_)) {
            return;
        }
        let (mut fields, mut expiries) = (Fields::new(&growth.hasher), BTreeSet::new());
        self.for_each(|entry| {
            entry.field.with_bytes(|field| {
                if let Some(at) = entry.expire_at_ms {
                    expiries.insert((at, growth.hasher.hash(field)));
                }
                fields.insert(Item::new(field, entry.value, entry.expire_at_ms));
            });
        });
        self.0 = Form::Table(Box::new(Table { fields, expiries, watched: self.is_watched() }));
    }
}

impl Typed for Hash {
    typed!(Hash);

    fn encoding(&self) -> Encoding {
        match &self.0 {
            Form::Pairs(_) => Encoding::Listpack,
            Form::Triples { .. } => Encoding::ListpackEx,
            Form::Table(_) => Encoding::Hashtable,
        }
    }

    /// Number of fields, with those whose time is over and which were not removed yet.
    #[inline]
    fn len(&self) -> usize {
        match &self.0 {
            Form::Pairs(pack) => pack.len() / 2,
            Form::Triples { pack, .. } => pack.len() / 3,
            Form::Table(table) => table.fields.len(),
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Pairs(pack) | Form::Triples { pack, .. } => pack.byte_len(),
            Form::Table(table) => {
                size_of::<Table>()
                    + table.fields.heap_bytes()
                    + table.expiries.len() * size_of::<(i64, u64)>()
            }
        }
    }

    fn drop_some(&mut self, budget: &mut Budget) -> bool {
        let Form::Table(table) = &mut self.0 else { return true };
        while !budget.is_spent() && table.expiries.pop_first().is_some() {
            budget.spend(1);
        }
        table.fields.drop_some(budget) && table.expiries.is_empty()
    }
}

impl Table {
    #[inline]
    fn put(&mut self, field: &[u8], value: Str<'_>, keep_expiry: bool) -> bool {
        let Some(item) = self.fields.get_mut(field) else {
            return self.fields.insert_new(field, || Item::new(field, value, None));
        };
        item.set_str(value);
        if let Some(at) = item.expire_at_ms()
            && !keep_expiry
        {
            item.set_expire_at_ms(None);
            self.expiries.remove(&(at, self.fields.hash(field)));
        }
        false
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        let Some(item) = self.fields.remove(field) else { return false };
        if let Some(at) = item.expire_at_ms() {
            self.expiries.remove(&(at, self.fields.hash(field)));
        }
        true
    }

    fn set_expiry(&mut self, field: &[u8], expire_at_ms: Option<i64>) {
        let hash = self.fields.hash(field);
        let Some(item) = self.fields.get_mut(field) else { return };
        if let Some(at) = item.expire_at_ms() {
            self.expiries.remove(&(at, hash));
        }
        item.set_expire_at_ms(expire_at_ms);
        if let Some(at) = expire_at_ms {
            self.expiries.insert((at, hash));
        }
    }

    fn expire(&mut self, now_ms: i64, budget: &mut Budget, removed: &mut dyn FnMut(Str<'_>)) -> usize {
        let mut count = 0;
        while let Some(&(at, hash)) = self.expiries.first()
            && at < now_ms
            && !budget.is_spent()
        {
            self.expiries.pop_first();
            let mut names = Vec::with_capacity(1);
            self.fields.visit_hash(hash, &mut |item| {
                if item.expire_at_ms() == Some(at) {
                    names.push(item.key().to_vec());
                }
            });
            for name in &names {
                removed(Str::Bytes(name));
                self.fields.remove(name);
            }
            budget.spend(names.len());
            count += names.len();
        }
        count
    }
}

/// Where a field stands in a listpack.
#[inline]
fn find(pack: &Listpack, field: &[u8], stride: usize) -> Option<At> {
    pack.find(field, pack.first()?, stride - 1)
}

/// The element that stands so many further on.
fn skip(pack: &Listpack, at: At, count: usize) -> Option<At> {
    (0..count).try_fold(at, |at, _| pack.next(at))
}

/// The field that begins at a place of a listpack.
#[inline]
fn pair(pack: &Listpack, at: At) -> Entry<'_> {
    let value = pack.next(at).expect("a value follows each field");
    Entry { field: pack.get(at), value: pack.get(value), expire_at_ms: None }
}

/// The field that begins at a place of a listpack with expiries.
#[inline]
fn triple(pack: &Listpack, at: At) -> Entry<'_> {
    let last = skip(pack, at, 2).expect("value and expiry follow each field");
    Entry { expire_at_ms: expiry(pack.get(last)), ..pair(pack, at) }
}

fn expiry(element: Str<'_>) -> Option<i64> {
    match element {
        Str::Int(at) if at != NO_EXPIRY => Some(at),
        _ => None,
    }
}

#[inline]
fn put_pair(pack: &mut Listpack, field: &[u8], value: Str<'_>) -> bool {
    let found = find(pack, field, 2).and_then(|at| pack.next(at));
    match found {
        Some(at) => pack.replace(at, value),
        None => pack.extend(&[Str::classify(field), value]),
    }
    found.is_none()
}

fn put_triple(pack: &mut Listpack, field: &[u8], value: Str<'_>, keep_expiry: bool) -> bool {
    let Some(at) = find(pack, field, 3) else {
        insert_triple(pack, field, value, NO_EXPIRY);
        return true;
    };
    if keep_expiry || triple(pack, at).expire_at_ms.is_none() {
        let at = pack.next(at).expect("a value follows each field");
        pack.replace(at, value);
    } else {
        pack.remove(at, 3);
        insert_triple(pack, field, value, NO_EXPIRY);
    }
    false
}

/// Inserts a field before the first that does not expire earlier.
fn insert_triple(pack: &mut Listpack, field: &[u8], value: Str<'_>, at_ms: i64) {
    let mut later = if at_ms == NO_EXPIRY { None } else { pack.first() };
    while let Some(at) = later {
        if triple(pack, at).expire_at_ms.is_none_or(|other| other >= at_ms) {
            break;
        }
        later = skip(pack, at, 3);
    }
    let at = later.unwrap_or(pack.end());
    pack.insert(at, &[Str::classify(field), value, Str::Int(at_ms)]);
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
