//! One key with its value, in one allocation.
//!
//! ```text
//! byte 0      type (high 4 bits) and representation (low 4 bits)
//! byte 1      flags: bits 0-2 number of words before the key, EXPIRY, WIDE
//! byte 2      length of the key (0 if WIDE)
//! bytes 3-5   access clock (LRU or LFU), little-endian
//! bytes 6-7   length of the inline value
//! [8 bytes]   when it expires, Unix milliseconds                     if EXPIRY
//! [words]     payload of fixed size: an i64 (INT), a Vec<u8> (HEAP), a Value (COLLECTION)
//! [4 bytes]   length of the key                                      if WIDE
//! key
//! value       if INLINE
//! ```
//!
//! What is of fixed size stands before the key, so that it is aligned. Blocks have the sizes of [`size_class`], computed from the header, at alignment 8.
//!
//! An [`Item`] is the owning pointer to such a block. User-space addresses have 48 bits; the upper 16 bits of
//! the pointer are a *tag* that belongs to the table which holds the item ([`super::table`]). It means nothing
//! here, but survives every change of the item.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::mem;
use std::ptr::{self, NonNull};

use super::size_class;
use super::values::Value;
use crate::types::Str;

/// Longest value that is stored next to its key; a longer one gets an allocation of its own.
pub const INLINE_MAX: usize = 4096;

/// Longest value that is reported as `embstr`.
const EMBEDDED_MAX: usize = 44;

const ADDRESS: usize = (1 << TAG_SHIFT) - 1;
const TAG_SHIFT: u32 = 48;

const WORDS: u8 = 0b111;
const EXPIRY: u8 = 1 << 3;
const WIDE: u8 = 1 << 4;

const INT: u8 = 0;
const INLINE: u8 = 1;
const HEAP: u8 = 2;
const COLLECTION: u8 = 3;

const HEADER: usize = size_of::<Header>();
const WORD: usize = 8;
const VEC_WORDS: usize = size_of::<Vec<u8>>() / WORD;
const VALUE_WORDS: usize = size_of::<Value>() / WORD;
const _: () =
    assert!(VALUE_WORDS <= 4 && align_of::<Value>() <= WORD, "a collection is a few words with its key");

#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    kind: u8,
    flags: u8,
    key_len: u8,
    lru: [u8; 3],
    inline_len: u16,
}

/// Type of a value. The numbers are those of Redis's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Bytes or a number.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    Zset,
    /// A hash.
    Hash,
    /// A stream.
    Stream = 6,
}

impl Kind {
    /// Name as `TYPE` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Zset => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
        }
    }
}

/// How a value is stored, in Redis's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// A 64-bit integer.
    Int,
    /// A short string next to its key.
    Embstr,
    /// A longer string, or one that was modified in place.
    Raw,
    /// A collection in one listpack.
    Listpack,
    /// A hash in one listpack whose fields may expire.
    ListpackEx,
    /// A list of listpacks.
    Quicklist,
    /// A sorted array of integers.
    Intset,
    /// A hash table.
    Hashtable,
    /// A hash table and an order: Redis's name for it, whatever the order is kept in.
    Skiplist,
    /// A stream.
    Stream,
}

impl Encoding {
    /// Name as `OBJECT ENCODING` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Int => "int",
            Encoding::Embstr => "embstr",
            Encoding::Raw => "raw",
            Encoding::Listpack => "listpack",
            Encoding::ListpackEx => "listpackex",
            Encoding::Quicklist => "quicklist",
            Encoding::Intset => "intset",
            Encoding::Hashtable => "hashtable",
            Encoding::Skiplist => "skiplist",
            Encoding::Stream => "stream",
        }
    }
}

/// What an item holds besides its key, on the way into an allocation.
enum Payload<'a> {
    Int(i64),
    Inline(&'a [u8]),
    Heap(Vec<u8>),
    Collection(Value),
}

impl<'a> Payload<'a> {
    #[inline]
    fn of(value: Str<'a>) -> Payload<'a> {
        match value {
            Str::Int(number) => Payload::Int(number),
            Str::Bytes(bytes) if bytes.len() <= INLINE_MAX => Payload::Inline(bytes),
            Str::Bytes(bytes) => Payload::Heap(bytes.to_vec()),
        }
    }

    #[inline]
    fn kind(&self) -> u8 {
        let (kind, representation) = match self {
            Payload::Int(_) => (Kind::String, INT),
            Payload::Inline(_) => (Kind::String, INLINE),
            Payload::Heap(_) => (Kind::String, HEAP),
            Payload::Collection(value) => (value.kind(), COLLECTION),
        };
        (kind as u8) << 4 | representation
    }

    #[inline]
    fn words(&self) -> usize {
        match self {
            Payload::Int(_) => 1,
            Payload::Inline(_) => 0,
            Payload::Heap(_) => VEC_WORDS,
            Payload::Collection(_) => VALUE_WORDS,
        }
    }

    #[inline]
    fn inline_len(&self) -> usize {
        match self {
            Payload::Inline(bytes) => bytes.len(),
            Payload::Int(_) | Payload::Heap(_) | Payload::Collection(_) => 0,
        }
    }
}

/// Everything that decides where things stand in a block.
#[derive(Clone, Copy)]
struct Shape {
    has_expiry: bool,
    payload_words: usize,
    key_len: usize,
    inline_len: usize,
}

impl Shape {
    #[inline]
    const fn is_wide(self) -> bool {
        self.key_len > u8::MAX as usize
    }

    #[inline]
    const fn words(self) -> usize {
        self.has_expiry as usize + self.payload_words
    }

    #[inline]
    const fn key_offset(self) -> usize {
        HEADER + WORD * self.words() + if self.is_wide() { size_of::<u32>() } else { 0 }
    }

    #[inline]
    const fn block_words(self) -> usize {
        size_class::words((self.key_offset() + self.key_len + self.inline_len).div_ceil(WORD))
    }

    fn layout(self) -> Layout {
        Layout::from_size_align(self.block_words() * WORD, WORD).expect("lengths of existing slices add up")
    }

    #[inline]
    fn header(self, kind: u8, lru: [u8; 3]) -> Header {
        let wide = self.is_wide();
        Header {
            kind,
            flags: self.words() as u8
                | if self.has_expiry { EXPIRY } else { 0 }
                | if wide { WIDE } else { 0 },
            key_len: if wide { 0 } else { self.key_len as u8 },
            lru,
            inline_len: self.inline_len as u16,
        }
    }
}

/// A key with its value, expiry and access clock. See the module for its form.
#[repr(transparent)]
pub struct Item {
    tagged: NonNull<u8>,
}

// SAFETY: an item owns its block and what the block refers to, bytes or a `Value`, which is `Send` (asserted below);
// nothing in it is tied to a thread.
unsafe impl Send for Item {}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Value>();
};

impl Item {
    /// A string. Canonical decimal integers are kept as numbers. `expire_at_ms` is in Unix milliseconds.
    pub fn string(key: &[u8], value: &[u8], expire_at_ms: Option<i64>) -> Item {
        Item::new(key, Str::classify(value), expire_at_ms)
    }

    /// A string that is the decimal form of a number.
    pub fn int(key: &[u8], value: i64, expire_at_ms: Option<i64>) -> Item {
        Item::new(key, Str::Int(value), expire_at_ms)
    }

    /// A string with a buffer of its own, which is taken as it is.
    pub fn heap(key: &[u8], value: Vec<u8>, expire_at_ms: Option<i64>) -> Item {
        Item::assemble(key, Payload::Heap(value), expire_at_ms, [0; 3])
    }

    /// A string that is stored as it is classified.
    pub fn new(key: &[u8], value: Str<'_>, expire_at_ms: Option<i64>) -> Item {
        Item::assemble(key, Payload::of(value), expire_at_ms, [0; 3])
    }

    /// A collection.
    pub fn collection(key: &[u8], value: Value, expire_at_ms: Option<i64>) -> Item {
        Item::assemble(key, Payload::Collection(value), expire_at_ms, [0; 3])
    }

    fn assemble(key: &[u8], payload: Payload<'_>, expire_at_ms: Option<i64>, lru: [u8; 3]) -> Item {
        let shape = Shape {
            has_expiry: expire_at_ms.is_some(),
            payload_words: payload.words(),
            key_len: key.len(),
            inline_len: payload.inline_len(),
        };
        let mut item = Item::allocate(shape, payload.kind(), lru);
        // SAFETY: the block was just made for this shape, and nothing was stored in it.
        unsafe {
            item.write_key(key);
            item.write_expiry(expire_at_ms);
            item.write_payload(payload);
        }
        item
    }

    /// A block for this shape with its header; everything after the header is left unwritten.
    #[inline]
    fn allocate(shape: Shape, kind: u8, lru: [u8; 3]) -> Item {
        assert!(shape.key_len <= u32::MAX as usize, "a key has at most 4 GiB");
        let layout = shape.layout();
        // SAFETY: the layout has at least the size of the header.
        let block = unsafe { alloc(layout) };
        let Some(tagged) = NonNull::new(block) else { handle_alloc_error(layout) };
        assert!(tagged.addr().get() <= ADDRESS, "user-space addresses have 48 bits");
        // SAFETY: the block is large enough for and aligned to a header.
        unsafe { tagged.cast::<Header>().write(shape.header(kind, lru)) };
        Item { tagged }
    }

    /// # Safety
    /// The block has the shape that its header says, and `key` the length of that shape.
    #[inline]
    unsafe fn write_key(&mut self, key: &[u8]) {
        let words = usize::from(self.header().flags & WORDS);
        // SAFETY: the header says that there is room for the length, if wide, and the key.
        unsafe {
            let mut at = self.base().add(HEADER + WORD * words);
            if self.header().flags & WIDE != 0 {
                at.cast::<u32>().write(key.len() as u32);
                at = at.add(size_of::<u32>());
            }
            ptr::copy_nonoverlapping(key.as_ptr(), at, key.len());
        }
    }

    /// # Safety
    /// The header says that there is an expiry if there is one.
    #[inline]
    unsafe fn write_expiry(&mut self, expire_at_ms: Option<i64>) {
        if let Some(at) = expire_at_ms {
            // SAFETY: EXPIRY is set, so the word after the header is the expiry.
            unsafe { self.base().add(HEADER).cast::<i64>().write(at) };
        }
    }

    /// # Safety
    /// Representation, words and inline length in the header are those of `payload`, the length of the key is
    /// in place, and nothing that needs to be dropped is overwritten.
    #[inline]
    unsafe fn write_payload(&mut self, payload: Payload<'_>) {
        // SAFETY: the shape in the header has room for the payload, before the key or after it.
        unsafe {
            match payload {
                Payload::Int(number) => self.payload_at().cast::<i64>().write(number),
                Payload::Heap(vec) => self.payload_at().cast::<Vec<u8>>().write(vec),
                Payload::Collection(value) => self.payload_at().cast::<Value>().write(value),
                Payload::Inline(bytes) => {
                    let (offset, len) = self.key_place();
                    ptr::copy_nonoverlapping(bytes.as_ptr(), self.base().add(offset + len), bytes.len());
                }
            }
        }
    }

    #[inline]
    fn base(&self) -> *mut u8 {
        self.tagged.as_ptr().map_addr(|address| address & ADDRESS)
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: every item points to a block that begins with an initialized header.
        unsafe { &*self.base().cast::<Header>() }
    }

    #[inline]
    fn header_mut(&mut self) -> &mut Header {
        // SAFETY: as in `header`, and the block is owned by this item alone.
        unsafe { &mut *self.base().cast::<Header>() }
    }

    /// Where the fixed payload begins.
    #[inline]
    fn payload_at(&self) -> *mut u8 {
        let offset = if self.has_expiry() { HEADER + WORD } else { HEADER };
        // SAFETY: every block has room for the words that its header counts.
        unsafe { self.base().add(offset) }
    }

    /// Offset and length of the key.
    #[inline]
    fn key_place(&self) -> (usize, usize) {
        let header = self.header();
        let offset = HEADER + WORD * usize::from(header.flags & WORDS);
        if header.flags & WIDE == 0 {
            return (offset, usize::from(header.key_len));
        }
        // SAFETY: WIDE says that the length stands there, at an aligned place.
        let len = unsafe { self.base().add(offset).cast::<u32>().read() };
        (offset + size_of::<u32>(), len as usize)
    }

    fn shape(&self) -> Shape {
        let header = self.header();
        let has_expiry = self.has_expiry();
        Shape {
            has_expiry,
            payload_words: usize::from(header.flags & WORDS) - usize::from(has_expiry),
            key_len: self.key_place().1,
            inline_len: usize::from(header.inline_len),
        }
    }

    #[inline]
    fn representation(&self) -> u8 {
        self.header().kind & 0xf
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let (offset, len) = self.key_place();
        // SAFETY: `key_place` says where the initialized key stands in the block.
        unsafe { std::slice::from_raw_parts(self.base().add(offset), len) }
    }

    /// Whether this is the item of `key`.
    #[inline]
    pub fn key_is(&self, key: &[u8]) -> bool {
        same_bytes(self.key(), key)
    }

    /// Type of the value.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self.header().kind >> 4 {
            0 => Kind::String,
            1 => Kind::List,
            2 => Kind::Set,
            3 => Kind::Zset,
            4 => Kind::Hash,
            _ => Kind::Stream,
        }
    }

    /// The collection; `None` for a string.
    #[inline]
    pub fn value(&self) -> Option<&Value> {
        // SAFETY: COLLECTION says that the payload is a value.
        (self.representation() == COLLECTION).then(|| unsafe { &*self.payload_at().cast::<Value>() })
    }

    /// The collection, to change it. It must stay of its kind, which the header says, too.
    #[inline]
    pub(super) fn value_mut(&mut self) -> Option<&mut Value> {
        // SAFETY: as in `value`, and the item is borrowed mutably.
        (self.representation() == COLLECTION).then(|| unsafe { &mut *self.payload_at().cast::<Value>() })
    }

    /// How the value is stored.
    pub fn encoding(&self) -> Encoding {
        if let Some(value) = self.value() {
            return value.encoding();
        }
        match self.representation() {
            INT => Encoding::Int,
            INLINE if usize::from(self.header().inline_len) <= EMBEDDED_MAX => Encoding::Embstr,
            _ => Encoding::Raw,
        }
    }

    /// The value of a string; a collection has none, whoever asks has to look at the kind first.
    #[inline]
    pub fn str(&self) -> Str<'_> {
        // SAFETY: the representation says what is stored where.
        unsafe {
            match self.representation() {
                INLINE => {
                    let (offset, len) = self.key_place();
                    let value = self.base().add(offset + len);
                    Str::Bytes(std::slice::from_raw_parts(value, usize::from(self.header().inline_len)))
                }
                INT => Str::Int(self.payload_at().cast::<i64>().read()),
                HEAP => Str::Bytes((*self.payload_at().cast::<Vec<u8>>()).as_slice()),
                _ => panic!("the kind of an item is looked at before its string"),
            }
        }
    }

    /// Whether it expires at all.
    #[inline]
    pub fn has_expiry(&self) -> bool {
        self.header().flags & EXPIRY != 0
    }

    /// When it expires, in Unix milliseconds.
    #[inline]
    pub fn expire_at_ms(&self) -> Option<i64> {
        // SAFETY: EXPIRY says that the word after the header is the expiry.
        self.has_expiry().then(|| unsafe { self.base().add(HEADER).cast::<i64>().read() })
    }

    /// Whether its time is over at `now_ms`. As in Redis a key still lives in the very millisecond it names.
    #[inline]
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.expire_at_ms().is_some_and(|at| now_ms > at)
    }

    /// The access clock: 24 bits, seconds for LRU policies, minutes and a counter for LFU.
    #[inline]
    pub fn lru(&self) -> u32 {
        let [a, b, c] = self.header().lru;
        u32::from_le_bytes([a, b, c, 0])
    }

    /// Sets the access clock, of which 24 bits are kept. An unchanged one is not written, to keep the cache
    /// line clean.
    #[inline]
    pub fn set_lru(&mut self, clock: u32) {
        if self.lru() != clock & 0xff_ffff {
            self.header_mut().lru = clock_bytes(clock);
        }
    }

    /// Bytes allocated for key, value and header.
    pub fn memory_usage_bytes(&self) -> usize {
        let heap = match self.representation() {
            // SAFETY: HEAP says that the payload is a vector.
            HEAP => unsafe { (*self.payload_at().cast::<Vec<u8>>()).capacity() },
            COLLECTION => self.value().map_or(0, Value::heap_bytes),
            _ => 0,
        };
        self.shape().layout().size() + heap
    }

    /// Replaces value, expiry and access clock; `key` must be the item's own. The block is kept if it has the
    /// right size.
    #[inline]
    pub(super) fn overwrite(&mut self, key: &[u8], value: Str<'_>, expire_at_ms: Option<i64>, lru: u32) {
        let payload = Payload::of(value);
        let shape = Shape {
            has_expiry: expire_at_ms.is_some(),
            payload_words: payload.words(),
            key_len: key.len(),
            inline_len: payload.inline_len(),
        };
        if shape.block_words() != self.shape().block_words() {
            self.replace(Item::assemble(key, payload, expire_at_ms, clock_bytes(lru)));
            return;
        }
        self.drop_payload();
        *self.header_mut() = shape.header(payload.kind(), clock_bytes(lru));
        // SAFETY: the block is of the size of the new shape, which the header now says, and the old payload was
        // dropped; `key` cannot be part of the block, which is borrowed mutably.
        unsafe {
            self.write_key(key);
            self.write_expiry(expire_at_ms);
            self.write_payload(payload);
        }
    }

    /// Replaces the value; key, expiry and access clock stay.
    pub fn set_str(&mut self, value: Str<'_>) {
        let (payload, shape) = (Payload::of(value), self.shape());
        let new = Shape { payload_words: payload.words(), inline_len: payload.inline_len(), ..shape };
        if new.words() != shape.words() || new.block_words() != shape.block_words() {
            self.replace(Item::assemble(self.key(), payload, self.expire_at_ms(), self.header().lru));
            return;
        }
        self.drop_payload();
        let lru = self.header().lru;
        *self.header_mut() = new.header(payload.kind(), lru);
        // SAFETY: the number of words and the size of the block are unchanged, so the key stands where it did;
        // the old payload was dropped.
        unsafe { self.write_payload(payload) };
    }

    /// The value as a buffer that can be changed and grows amortized; it is converted to one if need be.
    pub fn string_mut(&mut self) -> &mut Vec<u8> {
        if self.representation() != HEAP {
            let vec = self.str().with_bytes(<[u8]>::to_vec);
            self.replace(Item::assemble(
                self.key(),
                Payload::Heap(vec),
                self.expire_at_ms(),
                self.header().lru,
            ));
        }
        // SAFETY: the payload is a vector, and this item is borrowed mutably as long as the vector is.
        unsafe { &mut *self.payload_at().cast::<Vec<u8>>() }
    }

    /// Sets or removes the expiry. The table that holds the item keeps counts of it, hence not for everybody.
    pub(super) fn set_expire_at_ms(&mut self, expire_at_ms: Option<i64>) {
        if self.has_expiry() == expire_at_ms.is_some() {
            // SAFETY: there is an expiry before if there is one after.
            unsafe { self.write_expiry(expire_at_ms) };
        } else {
            let moved = self.transplant(None, expire_at_ms);
            self.replace_moved(moved);
        }
    }

    /// The same value under another key; expiry and access clock stay.
    pub fn renamed(mut self, key: &[u8]) -> Item {
        let moved = self.transplant(Some(key), self.expire_at_ms());
        self.replace_moved(moved);
        self
    }

    /// A copy of the value under another key; expiry and access clock are copied, too.
    pub fn clone_as(&self, key: &[u8]) -> Item {
        let payload = match self.value() {
            Some(value) => Payload::Collection(value.clone()),
            None => match self.str() {
                Str::Bytes(bytes) if self.representation() == HEAP => Payload::Heap(bytes.to_vec()),
                value => Payload::of(value),
            },
        };
        Item::assemble(key, payload, self.expire_at_ms(), self.header().lru)
    }

    /// A block with other surroundings and, bit by bit, the same payload. Now two blocks claim it: the caller
    /// must at once give up the old one by `replace_moved`.
    fn transplant(&self, key: Option<&[u8]>, expire_at_ms: Option<i64>) -> mem::ManuallyDrop<Item> {
        let key = key.unwrap_or(self.key());
        let old = self.shape();
        let new = Shape { has_expiry: expire_at_ms.is_some(), key_len: key.len(), ..old };
        let mut item = mem::ManuallyDrop::new(Item::allocate(new, self.header().kind, self.header().lru));
        // SAFETY: the new block has the new shape; both have the same payload words and inline length, which
        // are copied between different blocks.
        unsafe {
            item.write_key(key);
            item.write_expiry(expire_at_ms);
            ptr::copy_nonoverlapping(self.payload_at(), item.payload_at(), WORD * old.payload_words);
            let (from, to) = (old.key_offset() + old.key_len, new.key_offset() + new.key_len);
            ptr::copy_nonoverlapping(self.base().add(from), item.base().add(to), old.inline_len);
        }
        item
    }

    /// Takes the place of the block that `moved` was transplanted from.
    fn replace_moved(&mut self, moved: mem::ManuallyDrop<Item>) {
        let mut new = mem::ManuallyDrop::into_inner(moved);
        new.set_tag(self.tag());
        let old = mem::ManuallyDrop::new(mem::replace(self, new));
        // SAFETY: the payload lives on in the new block; `old` is not used again.
        unsafe { old.free_block() };
    }

    fn replace(&mut self, mut new: Item) {
        new.set_tag(self.tag());
        *self = new;
    }

    #[inline]
    fn drop_payload(&mut self) {
        match self.representation() {
            // SAFETY: HEAP says that the payload is a vector; the callers overwrite or free it.
            HEAP => unsafe { ptr::drop_in_place(self.payload_at().cast::<Vec<u8>>()) },
            // SAFETY: COLLECTION says that the payload is a value; the callers overwrite or free it.
            COLLECTION => unsafe { ptr::drop_in_place(self.payload_at().cast::<Value>()) },
            _ => {}
        }
    }

    /// # Safety
    /// The item must not be used or dropped afterwards.
    unsafe fn free_block(&self) {
        // SAFETY: the block was allocated with the layout of its shape, which the header still says.
        unsafe { dealloc(self.base(), self.shape().layout()) };
    }

    /// The 16 bits that the table keeps in the pointer.
    #[inline]
    pub(super) fn tag(&self) -> u16 {
        (self.tagged.addr().get() >> TAG_SHIFT) as u16
    }

    /// Sets the 16 bits that the table keeps in the pointer.
    #[inline]
    pub(super) fn set_tag(&mut self, tag: u16) {
        let tagged =
            self.tagged.as_ptr().map_addr(|address| address & ADDRESS | usize::from(tag) << TAG_SHIFT);
        // SAFETY: the address bits of an item are never all zero.
        self.tagged = unsafe { NonNull::new_unchecked(tagged) };
    }

    /// Asks the processor to load the beginning of the block: two lines, for a short key and its value.
    #[inline]
    pub(super) fn prefetch(&self) {
        super::table::prefetch(self.base());
        super::table::prefetch(self.base().wrapping_add(64));
    }
}

impl Drop for Item {
    #[inline]
    fn drop(&mut self) {
        self.drop_payload();
        // SAFETY: an item that is being dropped is not used again.
        unsafe { self.free_block() };
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("key", &String::from_utf8_lossy(self.key()))
            .field("value", &self.str())
            .field("expire_at_ms", &self.expire_at_ms())
            .finish()
    }
}

#[inline]
fn clock_bytes(clock: u32) -> [u8; 3] {
    let [a, b, c, _] = clock.to_le_bytes();
    [a, b, c]
}

/// Equality, word by word: for the length of usual keys that beats a call of `memcmp`.
#[inline]
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (Some(a_end), Some(b_end)) = (a.last_chunk::<WORD>(), b.last_chunk::<WORD>()) else {
        return a == b;
    };
    let (a_words, b_words) = (a.as_chunks::<WORD>().0, b.as_chunks::<WORD>().0);
    let same = |(a, b): (&[u8; WORD], &[u8; WORD])| u64::from_ne_bytes(*a) == u64::from_ne_bytes(*b);
    same((a_end, b_end)) && a_words.iter().zip(b_words).all(same)
}

#[cfg(test)]
#[path = "item_tests.rs"]
mod tests;
