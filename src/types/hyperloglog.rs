//! HyperLogLog: how many different elements were added, estimated to 0.81% from 16384 registers
//! (redis.io/docs/latest/develop/data-types/probabilistic/hyperloglogs).
//!
//! A sketch is a string, and the bytes are those of Redis, so that a client can copy it with `GET` and `SET`:
//!
//! ```text
//! "HYLL"      magic
//! 1 byte      encoding: 0 dense, 1 sparse
//! 3 bytes     unused
//! 8 bytes     cached estimate, little-endian; its highest bit says that it is out of date
//! registers   dense: 6 bits each, from the lowest bit of the first byte up, 12288 bytes
//!             sparse: runs of equal registers
//! ```
//!
//! A sparse run is `00llllll` (l + 1 registers are zero), `01llllll llllllll` (the same with 14 bits) or `1vvvvvll`
//! (l + 1 registers are v + 1). A sketch starts sparse and becomes dense for good when a register exceeds 32 or when
//! it would outgrow `hll-sparse-max-bytes`.
//!
//! Clients can write anything into a string. [`View::of`] and [`Sketch::of`] check what is cheap to check; that the
//! runs of a sparse sketch cover all registers comes out when they are read, as [`INVALID`].

use crate::protocol::Error;

/// Number of registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// The reply about a sketch that contradicts itself.
pub const INVALID: Error = Error::text("INVALIDOBJ Corrupted HLL object detected");

const NOT_A_SKETCH: Error = Error::text("WRONGTYPE Key is not a valid HyperLogLog string value.");

/// Bits of an element's hash that choose its register.
const INDEX_BITS: u32 = 14;
/// The other bits, of which the trailing zeros are counted.
const COUNTED_BITS: u32 = u64::BITS - INDEX_BITS;
const REGISTER_BITS: u32 = 6;
const REGISTER_MASK: u32 = (1 << REGISTER_BITS) - 1;
/// Four registers of a dense sketch share three bytes.
const GROUP_BYTES: usize = 3;
const GROUP: usize = 4;

const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const CACHE_AT: usize = 8;
const STALE_AT: usize = 15;
const STALE: u8 = 0x80;
const HEADER: usize = 16;
const DENSE_BYTES: usize = HEADER + REGISTERS / GROUP * GROUP_BYTES;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;

/// Highest register and longest run of one sparse `1vvvvvll`.
const VALUE_MAX: u8 = 32;
const VALUE_RUN_MAX: usize = 4;
/// Longest run of zeros in one byte.
const ZERO_RUN_MAX: usize = 64;
/// How many runs are looked at for neighbours that can be joined after a change.
const JOINED_RUNS: usize = 5;

/// How registers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits each.
    Dense,
    /// Runs of equal ones.
    Sparse,
}

impl Encoding {
    /// Name as `PFDEBUG ENCODING` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        }
    }
}

/// The registers of a union, one byte each.
#[derive(Debug, Clone)]
pub struct Registers(Box<[u8]>);

impl Default for Registers {
    fn default() -> Registers {
        Registers(vec![0; REGISTERS].into())
    }
}

impl Registers {
    /// Raises every register to that of a sketch.
    pub fn merge(&mut self, sketch: View<'_>) -> Result<(), Error> {
        match sketch.encoding() {
            Encoding::Dense => {
                for (max, value) in self.0.iter_mut().zip(dense_registers(sketch.body())) {
                    *max = value.max(*max);
                }
                Ok(())
            }
            Encoding::Sparse => covered(runs(sketch.body()), |at, run| {
                for max in &mut self.0[at..at + run.len] {
                    *max = run.value.max(*max);
                }
            }),
        }
    }

    /// The estimate of how many different elements the union has.
    pub fn count(&self) -> u64 {
        let mut histogram = [0; Histogram::LEN];
        for &value in &self.0 {
            histogram[usize::from(value)] += 1;
        }
        Histogram(histogram).estimate()
    }

    /// The registers that are not zero, with their places.
    pub fn non_zero(&self) -> impl Iterator<Item = (usize, u8)> {
        self.0.iter().copied().enumerate().filter(|(_, value)| *value != 0)
    }
}

/// A sketch to read.
#[derive(Debug, Clone, Copy)]
pub struct View<'a>(&'a [u8]);

impl<'a> View<'a> {
    /// Takes a string for a sketch.
    pub fn of(bytes: &'a [u8]) -> Result<View<'a>, Error> {
        let valid = bytes.len() >= HEADER
            && bytes.starts_with(MAGIC)
            && match bytes[ENCODING_AT] {
                DENSE => bytes.len() == DENSE_BYTES,
                encoding => encoding == SPARSE,
            };
        if valid { Ok(View(bytes)) } else { Err(NOT_A_SKETCH) }
    }

    /// How its registers are stored.
    pub fn encoding(self) -> Encoding {
        if self.0[ENCODING_AT] == DENSE { Encoding::Dense } else { Encoding::Sparse }
    }

    /// The estimate that was stored last, unless registers have changed since.
    pub fn cached(self) -> Option<u64> {
        let cache = self.0[CACHE_AT..HEADER].try_into().expect("the header has eight bytes for it");
        (self.0[STALE_AT] & STALE == 0).then(|| u64::from_le_bytes(cache))
    }

    /// The estimate of how many different elements were added.
    pub fn count(self) -> Result<u64, Error> {
        let mut histogram = [0; Histogram::LEN];
        match self.encoding() {
            Encoding::Dense => {
                dense_registers(self.body()).for_each(|value| histogram[usize::from(value)] += 1);
            }
            Encoding::Sparse => {
                let mut covered = 0;
                for run in runs(self.body()) {
                    histogram[usize::from(run.value)] += run.len;
                    covered += run.len;
                }
                if covered != REGISTERS {
                    return Err(INVALID);
                }
            }
        }
        Ok(Histogram(histogram).estimate())
    }

    /// All registers in their order, of a dense sketch.
    pub fn dense_registers(self) -> impl Iterator<Item = u8> {
        dense_registers(self.body())
    }

    /// The runs of a sparse sketch as text: `z:64` and `Z:1000` for zeros, `v:3,1` for one register of value 3.
    pub fn describe_runs(self) -> String {
        let describe = |run: Run| match (run.value, run.bytes) {
            (0, 1) => format!("z:{}", run.len),
            (0, _) => format!("Z:{}", run.len),
            (value, _) => format!("v:{value},{}", run.len),
        };
        runs(self.body()).map(describe).collect::<Vec<_>>().join(" ")
    }

    fn body(self) -> &'a [u8] {
        &self.0[HEADER..]
    }
}

/// A sketch to change.
#[derive(Debug)]
pub struct Sketch<'a> {
    bytes: &'a mut Vec<u8>,
    sparse_max_bytes: usize,
}

impl<'a> Sketch<'a> {
    /// The bytes of an empty sketch.
    pub fn empty() -> Vec<u8> {
        let mut bytes = [MAGIC, &[SPARSE]].concat();
        bytes.resize(HEADER, 0);
        push_zeros(&mut bytes, REGISTERS);
        bytes
    }

    /// Takes a string for a sketch, which becomes dense when it would outgrow `sparse_max_bytes`.
    pub fn of(bytes: &'a mut Vec<u8>, sparse_max_bytes: usize) -> Result<Sketch<'a>, Error> {
        View::of(bytes)?;
        Ok(Sketch { bytes, sparse_max_bytes })
    }

    /// To read.
    pub fn view(&self) -> View<'_> {
        View(self.bytes)
    }

    /// Adds an element. Says whether a register changed.
    pub fn add(&mut self, element: &[u8]) -> Result<bool, Error> {
        let (index, value) = place(element);
        self.raise(index, value)
    }

    /// Raises a register to `value`. Says whether it changed. The cached estimate of a dense sketch stays.
    pub fn raise(&mut self, index: usize, value: u8) -> Result<bool, Error> {
        match self.view().encoding() {
            Encoding::Dense => Ok(raise_dense(&mut self.bytes[HEADER..], index, value)),
            Encoding::Sparse => self.raise_sparse(index, value),
        }
    }

    /// Says that the cached estimate is out of date.
    pub fn invalidate_cache(&mut self) {
        self.bytes[STALE_AT] |= STALE;
    }

    /// Stores the estimate.
    pub fn set_cache(&mut self, count: u64) {
        self.bytes[CACHE_AT..HEADER].copy_from_slice(&count.to_le_bytes());
    }

    /// Makes it dense. Says whether it was sparse.
    pub fn make_dense(&mut self) -> Result<bool, Error> {
        if self.view().encoding() == Encoding::Dense {
            return Ok(false);
        }
        let mut dense = self.bytes[..HEADER].to_vec();
        dense[ENCODING_AT] = DENSE;
        dense.resize(DENSE_BYTES, 0);
        covered(runs(self.view().body()), |at, run| {
            for index in at..at + run.len {
                raise_dense(&mut dense[HEADER..], index, run.value);
            }
        })?;
        *self.bytes = dense;
        Ok(true)
    }

    fn raise_sparse(&mut self, index: usize, value: u8) -> Result<bool, Error> {
        if value > VALUE_MAX {
            return self.raise_as_dense(index, value);
        }
        let Found { at, before, first, run } = self.find(index)?;
        if run.value >= value {
            return Ok(false);
        }
        let mut split = Vec::with_capacity(JOINED_RUNS);
        push_run(&mut split, run.value, index - first);
        push_run(&mut split, value, 1);
        push_run(&mut split, run.value, first + run.len - index - 1);
        let grows = split.len() > run.bytes;
        if grows && self.bytes.len() + split.len() - run.bytes > self.sparse_max_bytes {
            return self.raise_as_dense(index, value);
        }
        self.bytes.splice(at..at + run.bytes, split);
        self.join_runs(before.unwrap_or(HEADER));
        self.invalidate_cache();
        Ok(true)
    }

    fn raise_as_dense(&mut self, index: usize, value: u8) -> Result<bool, Error> {
        self.make_dense()?;
        self.raise(index, value)
    }

    /// The run that holds a register.
    fn find(&self, index: usize) -> Result<Found, Error> {
        let (mut at, mut first, mut before) = (HEADER, 0, None);
        for run in runs(self.view().body()) {
            if index < first + run.len {
                // The second byte of a long run may be cut off.
                let whole = at + run.bytes <= self.bytes.len();
                return if whole { Ok(Found { at, before, first, run }) } else { Err(INVALID) };
            }
            before = Some(at);
            at += run.bytes;
            first += run.len;
        }
        Err(INVALID)
    }

    /// Joins neighbours of the same value where one run can hold both, among a few runs.
    fn join_runs(&mut self, mut at: usize) {
        for _ in 0..JOINED_RUNS {
            let Some(run) = runs(&self.bytes[at.min(self.bytes.len())..]).next() else { return };
            let next = runs(&self.bytes[(at + run.bytes).min(self.bytes.len())..]).next();
            let joined = next.filter(|next| {
                run.value != 0 && next.value == run.value && run.len + next.len <= VALUE_RUN_MAX
            });
            match joined {
                Some(next) => {
                    self.bytes.remove(at);
                    self.bytes[at] = value_run(run.value, run.len + next.len);
                }
                None => at += run.bytes,
            }
        }
    }
}

/// A run, where it stands, where the run before it stands, and its first register.
struct Found {
    at: usize,
    before: Option<usize>,
    first: usize,
    run: Run,
}

/// Equal registers side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    value: u8,
    len: usize,
    /// Bytes that it takes.
    bytes: usize,
}

/// The runs of a sparse sketch.
fn runs(mut body: &[u8]) -> impl Iterator<Item = Run> {
    std::iter::from_fn(move || {
        let first = *body.first()?;
        let low = usize::from(first & 0x3f);
        let run = match first >> 6 {
            0 => Run { value: 0, len: low + 1, bytes: 1 },
            1 => {
                let second = body.get(1).copied().unwrap_or(0);
                Run { value: 0, len: (low << 8 | usize::from(second)) + 1, bytes: 2 }
            }
            _ => Run { value: (first >> 2 & 0x1f) + 1, len: usize::from(first & 3) + 1, bytes: 1 },
        };
        body = body.get(run.bytes..).unwrap_or(&[]);
        Some(run)
    })
}

/// Calls `visit` for each run that is not zero, with its first register. Fails if the runs are not of all registers; values
/// behind the last one are ignored, as in Redis.
fn covered(runs: impl Iterator<Item = Run>, mut visit: impl FnMut(usize, Run)) -> Result<(), Error> {
    let mut at = 0;
    for run in runs {
        if run.value != 0 {
            if at + run.len > REGISTERS {
                break;
            }
            visit(at, run);
        }
        at += run.len;
    }
    if at == REGISTERS { Ok(()) } else { Err(INVALID) }
}

/// Appends a run of registers; none at all if it is empty.
fn push_run(out: &mut Vec<u8>, value: u8, len: usize) {
    match (value, len) {
        (_, 0) => {}
        (0, len) => push_zeros(out, len),
        (value, len) => out.push(value_run(value, len)),
    }
}

fn push_zeros(out: &mut Vec<u8>, len: usize) {
    let stored = (len - 1) as u16;
    if len <= ZERO_RUN_MAX {
        out.push(stored as u8);
    } else {
        out.extend((stored | 0x4000).to_be_bytes());
    }
}

fn value_run(value: u8, len: usize) -> u8 {
    0x80 | (value - 1) << 2 | (len - 1) as u8
}

fn group(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
}

fn dense_registers(body: &[u8]) -> impl Iterator<Item = u8> {
    let registers =
        |group: u32| [0, 1, 2, 3].map(|place| (group >> (place * REGISTER_BITS) & REGISTER_MASK) as u8);
    body.chunks_exact(GROUP_BYTES).flat_map(move |bytes| registers(group(bytes)))
}

fn raise_dense(body: &mut [u8], index: usize, value: u8) -> bool {
    let bytes = &mut body[index / GROUP * GROUP_BYTES..][..GROUP_BYTES];
    let shift = (index % GROUP) as u32 * REGISTER_BITS;
    let before = group(bytes);
    let raises = u32::from(value) > before >> shift & REGISTER_MASK;
    if raises {
        let after = before & !(REGISTER_MASK << shift) | u32::from(value) << shift;
        bytes.copy_from_slice(&after.to_le_bytes()[..GROUP_BYTES]);
    }
    raises
}

/// An element's register and the value that it raises it to.
fn place(element: &[u8]) -> (usize, u8) {
    const SEED: u64 = 0xadc8_3b19;
    let hash = murmur_hash_64a(element, SEED);
    let counted = hash >> INDEX_BITS | 1 << COUNTED_BITS;
    ((hash & (REGISTERS as u64 - 1)) as usize, counted.trailing_zeros() as u8 + 1)
}

/// MurmurHash2, the 64-bit version for 64-bit machines, reading little-endian words.
fn murmur_hash_64a(bytes: &[u8], seed: u64) -> u64 {
    const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    for word in words {
        let mut mixed = u64::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        mixed = (mixed ^ mixed >> SHIFT).wrapping_mul(MULTIPLIER);
        hash = (hash ^ mixed).wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> SHIFT).wrapping_mul(MULTIPLIER);
    hash ^ hash >> SHIFT
}

/// How many registers have each value.
struct Histogram([usize; Histogram::LEN]);

impl Histogram {
    const LEN: usize = 1 << REGISTER_BITS;

    /// The estimator of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", algorithm 6.
    fn estimate(&self) -> u64 {
        const ALPHA: f64 = 0.721_347_520_444_481_7; // 1 / (2 ln 2)
        const M: f64 = REGISTERS as f64;
        let highest = COUNTED_BITS as usize + 1;
        let mut z = M * tau((M - self.0[highest] as f64) / M);
        for value in (1..highest).rev() {
            z = (z + self.0[value] as f64) * 0.5;
        }
        z += M * sigma(self.0[0] as f64 / M);
        (ALPHA * M * M / z).round() as u64
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// Checks the arithmetic of registers and the error of estimates on random data; `Err` says what is wrong (`PFSELFTEST`).
/// It is a tenth of Redis' test, which takes seconds.
pub fn self_test(seed: u64, sparse_max_bytes: usize) -> Result<(), Error> {
    registers_keep_apart(seed)?;
    estimates_are_close(seed, sparse_max_bytes)
}

fn registers_keep_apart(seed: u64) -> Result<(), Error> {
    let value = |index: usize| murmur_hash_64a(&index.to_le_bytes(), seed) as u8 & REGISTER_MASK as u8;
    let mut body = vec![0; DENSE_BYTES - HEADER];
    for index in 0..REGISTERS {
        raise_dense(&mut body, index, value(index));
    }
    match dense_registers(&body).enumerate().find(|(index, found)| *found != value(*index)) {
        Some((index, found)) => {
            Err(format!("TESTFAILED Register {index} should be {} but is {found}", value(index)).into())
        }
        None => Ok(()),
    }
}

fn estimates_are_close(seed: u64, sparse_max_bytes: usize) -> Result<(), Error> {
    const ELEMENTS: u64 = 1_000_000;
    let (mut dense, mut sparse) = (Sketch::empty(), Sketch::empty());
    let mut dense = Sketch::of(&mut dense, 0)?;
    let mut sparse = Sketch::of(&mut sparse, sparse_max_bytes)?;
    dense.make_dense()?;
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        let element = (number ^ seed).to_le_bytes();
        dense.add(&element)?;
        sparse.add(&element)?;
        if number != checkpoint {
            continue;
        }
        checkpoint *= 10;
        if number < sparse_max_bytes as u64 / 2 && sparse.view().encoding() != Encoding::Sparse {
            return Err(Error::text("ERR TESTFAILED sparse encoding not used"));
        }
        let count = dense.view().count()?;
        if sparse.view().count()? != count {
            return Err(Error::text("ERR TESTFAILED dense/sparse disagree"));
        }
        let standard_error = 1.04 / (REGISTERS as f64).sqrt();
        let tolerated = (standard_error * 6.0 * number as f64).ceil() as u64;
        let error = number.abs_diff(count);
        if error > tolerated {
            let text = format!("ERR TESTFAILED Too big error. card:{number} abserr:{error}");
            return Err(text.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPARSE_MAX: usize = 3000;

    fn added(elements: &[&str], sparse_max_bytes: usize) -> Vec<u8> {
        let mut bytes = Sketch::empty();
        let mut sketch = Sketch::of(&mut bytes, sparse_max_bytes).unwrap();
        for element in elements {
            sketch.add(element.as_bytes()).unwrap();
        }
        bytes
    }

    fn registers(bytes: &[u8]) -> Vec<u8> {
        let mut registers = Registers::default();
        registers.merge(View::of(bytes).unwrap()).unwrap();
        registers.0.into()
    }

    #[test]
    fn the_bytes_are_those_of_redis() {
        let head = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(Sketch::empty(), [&head[..], b"\0\x7f\xff"].concat());
        // What GET returns after PFADD key a b c.
        let abc = b"\x80`\xf3\x80P\xb1\x84K\xfb\x80BZ";
        assert_eq!(added(&["a", "b", "c"], SPARSE_MAX), [&head[..], abc].concat());
    }

    #[test]
    fn strings_that_are_no_sketches() {
        let empty = Sketch::empty();
        let mut bad_encoding = empty.clone();
        bad_encoding[ENCODING_AT] = 2;
        let mut short_dense = empty.clone();
        short_dense[ENCODING_AT] = DENSE;
        for bytes in [&b""[..], b"HYLL", &[b"X", &empty[1..]].concat(), &bad_encoding, &short_dense] {
            assert_eq!(View::of(bytes).unwrap_err(), NOT_A_SKETCH, "{bytes:?}");
        }
    }

    #[test]
    fn runs_that_are_not_of_all_registers() {
        let empty = Sketch::empty();
        for (body, add_fails) in [
            (&b""[..], true),
            (b"\x7f\xfe", false),
            (b"\x7f\xff\x00", false),
            (b"\x7f", true),
            (b"\0\x80", true),
        ] {
            let mut bytes = [&empty[..HEADER], body].concat();
            let view = View::of(&bytes).unwrap();
            assert_eq!(view.count().unwrap_err(), INVALID, "{body:?}");
            assert_eq!(Registers::default().merge(view).unwrap_err(), INVALID, "{body:?}");
            let mut sketch = Sketch::of(&mut bytes, SPARSE_MAX).unwrap();
            assert_eq!(sketch.make_dense().unwrap_err(), INVALID);
            let (index, _) = place(b"some element");
            assert!(index > 2);
            assert_eq!(sketch.add(b"some element").is_err(), add_fails, "{body:?}");
        }
    }

    #[test]
    fn it_becomes_dense() {
        let elements: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
        let elements: Vec<&str> = elements.iter().map(String::as_str).collect();
        let (sparse, dense) = (added(&elements[..500], SPARSE_MAX), added(&elements[..500], 100));
        assert_eq!(View(&sparse).encoding(), Encoding::Sparse);
        assert_eq!((View(&dense).encoding(), dense.len()), (Encoding::Dense, DENSE_BYTES));
        assert_eq!(registers(&sparse), registers(&dense));
        assert_eq!(View(&sparse).count(), View(&dense).count());
        assert_eq!(View(&added(&elements, SPARSE_MAX)).encoding(), Encoding::Dense);
    }

    #[test]
    fn the_cache() {
        let mut bytes = Sketch::empty();
        let mut sketch = Sketch::of(&mut bytes, SPARSE_MAX).unwrap();
        assert_eq!(sketch.view().cached(), Some(0));
        assert!(sketch.add(b"a").unwrap());
        assert_eq!(sketch.view().cached(), None);
        sketch.set_cache(1);
        assert!(!sketch.add(b"a").unwrap());
        assert_eq!(sketch.view().cached(), Some(1));
        sketch.invalidate_cache();
        assert_eq!(sketch.view().cached(), None);
    }

    #[test]
    fn the_self_test_passes() {
        assert_eq!(self_test(1, SPARSE_MAX), Ok(()));
    }

    proptest! {
        #[test]
        fn registers_are_those_of_a_plain_array(
            raised in prop::collection::vec((0..400usize, 1..52u8), 0..300),
            spread in 1..40usize,
            sparse_max_bytes in prop::sample::select(vec![20, 60, 200, SPARSE_MAX]),
        ) {
            let mut model = vec![0; REGISTERS];
            let mut bytes = Sketch::empty();
            let mut sketch = Sketch::of(&mut bytes, sparse_max_bytes).unwrap();
            for (index, value) in raised {
                let index = index * spread % REGISTERS;
                // High values make it dense at once, which would leave little to test.
                let value = if value > 50 { value } else { value % 8 + 1 };
                prop_assert_eq!(sketch.raise(index, value).unwrap(), value > model[index]);
                model[index] = value.max(model[index]);
            }
            let len = bytes.len();
            prop_assert!(len <= sparse_max_bytes || len == DENSE_BYTES);
            prop_assert_eq!(registers(&bytes), model);
            let count = View(&bytes).count().unwrap();
            let mut union = Registers::default();
            union.merge(View(&bytes)).unwrap();
            prop_assert_eq!(union.count(), count);
            let mut sketch = Sketch::of(&mut bytes, sparse_max_bytes).unwrap();
            sketch.make_dense().unwrap();
            prop_assert_eq!(sketch.view().count().unwrap(), count);
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..40), index in 0..REGISTERS) {
            let mut bytes = [&Sketch::empty()[..HEADER], &body].concat();
            let view = View(&bytes);
            let counted = view.count().is_ok();
            prop_assert!(!counted || Registers::default().merge(view).is_ok());
            let mut sketch = Sketch::of(&mut bytes, SPARSE_MAX).unwrap();
            let _ = sketch.raise(index, 7);
            prop_assert!(!counted || sketch.view().count().is_ok());
        }
    }
}
