//! The elements of the format, written: lengths, strings, times and scores.
//!
//! A length takes 1, 2, 5 or 9 bytes; its highest two bits tell which: `00` and 6 bits, `01` and 14 bits, `0x80` and 32
//! bits, `0x81` and 64 bits, all big-endian. With `11` the other six bits are the form of a string that is not stored
//! as length and bytes: an integer of 8, 16 or 32 bits (0 to 2), or compressed by LZF (3).

use std::cell::RefCell;

use crate::base::lzf::Compressor;
use crate::types::Str;

pub(super) const SPECIAL: u8 = 0b11 << 6;
pub(super) const INT8: u8 = 0;
pub(super) const INT16: u8 = 1;
pub(super) const INT32: u8 = 2;
pub(super) const LZF: u8 = 3;
pub(super) const LENGTH_14: u8 = 0b01 << 6;
pub(super) const LENGTH_32: u8 = 0x80;
pub(super) const LENGTH_64: u8 = 0x81;

/// Strings up to this length are not compressed.
const INCOMPRESSIBLE: usize = 20;
/// Fewer bytes saved are not worth the work of decompressing.
const SAVED_MIN: usize = 4;

/// Where what is written goes, piece by piece: into memory, to a file, or nowhere but into a sum. It is for the output to
/// keep what went wrong with it.
pub trait Output {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Output for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl<O: Output> Output for &mut O {
    fn put(&mut self, bytes: &[u8]) {
        (**self).put(bytes);
    }
}

/// Counts what is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count(pub usize);

impl Output for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

thread_local! {
    /// Its table is large, and need not be cleared from one string to the next.
    static COMPRESSOR: RefCell<Compressor> = RefCell::default();
}

/// Writes to an output.
#[derive(Debug, Clone, Default)]
pub struct Writer<O> {
    out: O,
    /// Strings are compressed if that saves something.
    compress: bool,
}

impl<O: Output> Writer<O> {
    /// Writes to `out`, strings compressed if that is wanted and makes them shorter.
    pub fn new(out: O, compress: bool) -> Writer<O> {
        Writer { out, compress }
    }

    /// The output.
    pub fn output(&mut self) -> &mut O {
        &mut self.out
    }

    /// Gives the output back.
    pub fn into_output(self) -> O {
        self.out
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.put(bytes);
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.raw(&[byte]);
    }

    /// A length, a count or another number.
    pub fn length(&mut self, length: u64) {
        match length {
            0..0x40 => self.byte(length as u8),
            0x40..0x4000 => self.raw(&(length as u16 | u16::from(LENGTH_14) << 8).to_be_bytes()),
            0x4000..=0xffff_ffff => {
                self.byte(LENGTH_32);
                self.raw(&(length as u32).to_be_bytes());
            }
            _ => {
                self.byte(LENGTH_64);
                self.raw(&length.to_be_bytes());
            }
        }
    }

    /// A string in its shortest form.
    pub fn string(&mut self, string: Str<'_>) {
        match string {
            Str::Int(number) => self.number(number),
            Str::Bytes(bytes) => match Str::classify(bytes) {
                Str::Int(number) => self.number(number),
                Str::Bytes(bytes) => self.text(bytes),
            },
        }
    }

    /// A string of these bytes.
    pub fn blob(&mut self, bytes: &[u8]) {
        self.string(Str::Bytes(bytes));
    }

    /// A string that is the digits of a number.
    fn number(&mut self, number: i64) {
        let bytes = number.to_le_bytes();
        let (form, len) = match number {
            -0x80..=0x7f => (INT8, 1),
            -0x8000..=0x7fff => (INT16, 2),
            -0x8000_0000..=0x7fff_ffff => (INT32, 4),
            _ => return self.text(itoa::Buffer::new().format(number).as_bytes()),
        };
        self.byte(SPECIAL | form);
        self.raw(&bytes[..len]);
    }

    fn text(&mut self, bytes: &[u8]) {
        if bytes.len() <= INCOMPRESSIBLE || !self.compressed(bytes) {
            self.length(bytes.len() as u64);
            self.raw(bytes);
        }
    }

    /// Writes a string in compressed form, if that saves something.
    fn compressed(&mut self, bytes: &[u8]) -> bool {
        if !self.compress {
            return false;
        }
        let mut compressed = Vec::new();
        let most = bytes.len() - SAVED_MIN;
        let saves =
            COMPRESSOR.with_borrow_mut(|compressor| compressor.compress(bytes, most, &mut compressed));
        if saves {
            self.byte(SPECIAL | LZF);
            self.length(compressed.len() as u64);
            self.length(bytes.len() as u64);
            self.raw(&compressed);
        }
        saves
    }

    /// A time in Unix milliseconds.
    pub fn millis(&mut self, ms: i64) {
        self.raw(&ms.to_le_bytes());
    }

    /// A double as its bits.
    pub fn double(&mut self, double: f64) {
        self.raw(&double.to_le_bytes());
    }
}
