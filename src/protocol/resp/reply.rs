//! Encoding of replies into a byte buffer, in the form that the client's protocol version asks for.
//!
//! A [`Reply`] only appends. Aggregates are written header first: whoever calls [`Reply::array`] with
//! `n` writes exactly `n` elements after it. Types that RESP2 lacks degrade as Redis degrades them
//! (maps to flat arrays, doubles to bulk strings, booleans to 0 and 1).

use crate::protocol::Error;

/// The protocol version a client has chosen by `HELLO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resp {
    /// RESP2, the default of a new connection.
    #[default]
    V2,
    /// RESP3.
    V3,
}

/// Most bytes that a bulk string takes besides its content.
const BULK_FRAME: usize = 25;

/// Appends one command's reply to a buffer.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    resp: Resp,
}

impl<'a> Reply<'a> {
    /// A writer that appends to `out` in the given protocol version.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, resp: Resp) -> Reply<'a> {
        Reply { out, resp }
    }

    /// The protocol version being written.
    #[inline]
    pub fn resp(&self) -> Resp {
        self.resp
    }

    /// Changes the version from here on (`HELLO` answers in the version it has just switched to).
    pub fn set_resp(&mut self, resp: Resp) {
        self.resp = resp;
    }

    /// Bytes in the buffer so far, replies of earlier commands included.
    #[inline]
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// Drops everything written since `position`: used when a half-written reply turns into an error.
    pub fn rewind(&mut self, position: usize) {
        self.out.truncate(position);
    }

    #[inline]
    fn header(&mut self, marker: u8, n: i64) {
        // Small counts are nearly all of the traffic and need no division.
        if (0..10).contains(&n) {
            self.out.extend_from_slice(&[marker, b'0' + n as u8, b'\r', b'\n']);
            return;
        }
        if (10..100).contains(&n) {
            let (tens, ones) = (n as u8 / 10, n as u8 % 10);
            self.out.extend_from_slice(&[marker, b'0' + tens, b'0' + ones, b'\r', b'\n']);
            return;
        }
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(n).as_bytes();
        self.out.reserve(digits.len() + 3);
        self.out.push(marker);
        self.out.extend_from_slice(digits);
        self.out.extend_from_slice(b"\r\n");
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string. `text` holds no CR or LF.
    pub fn status(&mut self, text: &str) {
        debug_assert!(!text.bytes().any(|b| b == b'\r' || b == b'\n'));
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// An error reply. CR and LF inside the text become spaces, so that it cannot break the framing.
    pub fn error(&mut self, error: &Error) {
        self.error_text(&error.to_string());
    }

    /// An error reply from a text that includes its code.
    pub fn error_text(&mut self, text: &str) {
        self.out.push(b'-');
        self.out.extend(text.bytes().map(|b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        self.out.extend_from_slice(b"\r\n");
    }

    /// A signed integer.
    #[inline]
    pub fn int(&mut self, n: i64) {
        self.header(b':', n);
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.out.reserve(bytes.len() + BULK_FRAME);
        self.header(b'$', bytes.len() as i64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A bulk string that holds a decimal integer.
    pub fn bulk_int(&mut self, n: i64) {
        self.bulk(itoa::Buffer::new().format(n));
    }

    /// The null of a missing value: `$-1` in RESP2, `_` in RESP3.
    #[inline]
    pub fn null(&mut self) {
        match self.resp {
            Resp::V2 => self.out.extend_from_slice(b"$-1\r\n"),
            Resp::V3 => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// The null of a missing array: `*-1` in RESP2, `_` in RESP3.
    pub fn null_array(&mut self) {
        match self.resp {
            Resp::V2 => self.out.extend_from_slice(b"*-1\r\n"),
            Resp::V3 => self.out.extend_from_slice(b"_\r\n"),
        }
    }

    /// The head of an array of `n` elements.
    #[inline]
    pub fn array(&mut self, n: usize) {
        self.header(b'*', n as i64);
    }

    /// Writes what stands before everything written since `position`: for aggregates whose length is known
    /// only at their end.
    pub fn prepend(&mut self, position: usize, head: impl FnOnce(&mut Reply<'a>)) {
        let end = self.out.len();
        head(self);
        let head_len = self.out.len() - end;
        self.out[position..].rotate_right(head_len);
    }

    /// The head of a map of `n` pairs: `2n` array elements in RESP2.
    pub fn map(&mut self, n: usize) {
        match self.resp {
            Resp::V2 => self.header(b'*', 2 * n as i64),
            Resp::V3 => self.header(b'%', n as i64),
        }
    }

    /// The head of a set of `n` elements.
    pub fn set(&mut self, n: usize) {
        match self.resp {
            Resp::V2 => self.header(b'*', n as i64),
            Resp::V3 => self.header(b'~', n as i64),
        }
    }

    /// The head of a push message of `n` elements (out-of-band data in RESP3, an array in RESP2).
    pub fn push(&mut self, n: usize) {
        match self.resp {
            Resp::V2 => self.header(b'*', n as i64),
            Resp::V3 => self.header(b'>', n as i64),
        }
    }

    /// A boolean: `:1`/`:0` in RESP2, `#t`/`#f` in RESP3.
    pub fn bool(&mut self, value: bool) {
        match self.resp {
            Resp::V2 => self.int(i64::from(value)),
            Resp::V3 => self.out.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" }),
        }
    }

    /// A double already formatted the way Redis prints it.
    pub fn double_text(&mut self, text: &str) {
        match self.resp {
            Resp::V2 => self.bulk(text),
            Resp::V3 => {
                self.out.push(b',');
                self.out.extend_from_slice(text.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A verbatim string with a three-letter format (`txt`, `mkd`); a bulk string in RESP2.
    pub fn verbatim(&mut self, format: &str, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        debug_assert_eq!(format.len(), 3);
        match self.resp {
            Resp::V2 => self.bulk(text),
            Resp::V3 => {
                self.header(b'=', text.len() as i64 + 4);
                self.out.extend_from_slice(format.as_bytes());
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A big number (`DEBUG PROTOCOL bignum`); a bulk string in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        match self.resp {
            Resp::V2 => self.bulk(digits),
            Resp::V3 => {
                self.out.push(b'(');
                self.out.extend_from_slice(digits.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// The head of an attribute of `n` pairs. Callers write it for RESP3 only.
    pub fn attribute(&mut self, n: usize) {
        debug_assert_eq!(self.resp, Resp::V3);
        self.header(b'|', n as i64);
    }

    /// Bytes that are a complete reply already: one that another core encoded.
    #[inline]
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }
}
