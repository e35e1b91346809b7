//! Parsing of requests: RESP arrays of bulk strings, and inline commands
//! (redis.io/docs/reference/protocol-spec).
//!
//! The parser holds no bytes. It is given everything received from the start of the current frame on, and
//! answers with the places of the arguments in it. When a frame is not complete it remembers how far it came
//! ([`Parser`] is that memory), so that a frame arriving in many pieces is scanned once.
//!
//! Invariants: all stored positions are relative to the frame's first byte and lie within the bytes already
//! seen; memory grows with bytes received, never with lengths merely claimed.

use std::ops::Range;

use crate::base::quote;

/// The longest inline request, and the longest line that states a length, in bytes (Redis' `PROTO_INLINE_MAX_SIZE`).
const LINE_MAX_BYTES: usize = 64 * 1024;
/// What a client that has not authenticated may send: arguments per request, bytes per argument.
const UNAUTHENTICATED_MAX: (i64, i64) = (10, 16 * 1024);

/// Arguments that a parser keeps memory for between frames.
const KEPT_ARGS: usize = 64;

/// Limits on one request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `proto-max-bulk-len` in bytes.
    pub bulk_max_bytes: usize,
    /// Whether the client still has to authenticate.
    pub unauthenticated: bool,
}

/// A request that breaks the protocol. The connection is closed after the reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ERR Protocol error: {0}")]
pub struct ProtocolError(pub String);

/// What a call to [`Parser::parse`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A complete request; its arguments are in [`Parser::args`]. The frame is so many bytes long.
    Request {
        /// Bytes of the frame.
        frame_len: usize,
    },
    /// Nothing to run (an empty line, an empty array). Skip so many bytes.
    Nothing {
        /// Bytes to skip.
        frame_len: usize,
    },
    /// More bytes are needed; calling again with fewer than `at_least` bytes is of no use.
    Incomplete {
        /// Length from the start of the frame that the next attempt needs.
        at_least: usize,
    },
}

/// Arguments of several requests, one after the other; on the stack for usual pipelines.
pub type ManyArgs<'a> = smallvec::SmallVec<[&'a [u8]; 64]>;

/// Parses a frame that is an array and complete: appends its arguments to `args` and returns the frame's length. `None`
/// leaves `args` as it was; [`Parser`] then tells whether bytes are missing or the frame is something else.
#[inline]
pub fn whole_array<'a>(input: &'a [u8], limits: &Limits, args: &mut ManyArgs<'a>) -> Option<usize> {
    let (count, mut at) = short_number(input, b'*', 0)?;
    if count == 0 || limits.unauthenticated {
        return None;
    }
    let before = args.len();
    for _ in 0..count {
        let arg = short_number(input, b'$', at).and_then(|(len, start)| {
            let end = start + len;
            // The two bytes after an argument are not looked at, here as in Redis.
            (len <= limits.bulk_max_bytes && input.len() >= end + 2).then(|| (&input[start..end], end + 2))
        });
        let Some((arg, next)) = arg else {
            args.truncate(before);
            return None;
        };
        args.push(arg);
        at = next;
    }
    Some(at)
}

/// The number of up to nine digits on a complete line that begins with `marker` at `from`, and where the next line begins.
#[inline]
fn short_number(input: &[u8], marker: u8, from: usize) -> Option<(usize, usize)> {
    let line = input.get(from..)?;
    if *line.first()? != marker {
        return None;
    }
    let mut value = 0;
    for (at, &byte) in line.iter().enumerate().skip(1).take(10) {
        match byte {
            b'0'..=b'9' if at == 1 || value != 0 => value = value * 10 + usize::from(byte - b'0'),
            b'\r' if at > 1 && line.len() > at + 1 => return Some((value, from + at + 2)),
            _ => return None,
        }
    }
    None
}

/// Progress within one frame.
#[derive(Debug, Default)]
pub struct Parser {
    /// Arguments found so far.
    args: Vec<Range<usize>>,
    /// Arguments of an inline request that had quotes or escapes, and so are no part of the input.
    unquoted: Vec<Vec<u8>>,
    /// Where to go on.
    position: usize,
    /// Arguments still to come; meaningful once `in_array`.
    remaining: i64,
    in_array: bool,
}

impl Parser {
    /// Forgets the current frame. Memory that only a long one needs is not kept for the next.
    #[inline]
    pub fn reset(&mut self) {
        self.args.clear();
        self.args.shrink_to(KEPT_ARGS);
        self.unquoted.clear();
        self.unquoted.shrink_to(KEPT_ARGS);
        self.position = 0;
        self.in_array = false;
    }

    /// Whether nothing of the present frame has been parsed.
    #[inline]
    pub fn is_at_start(&self) -> bool {
        !self.in_array && self.position == 0
    }

    /// Number of arguments of the request just parsed.
    #[inline]
    pub fn argc(&self) -> usize {
        if self.unquoted.is_empty() { self.args.len() } else { self.unquoted.len() }
    }

    /// The arguments of the request just parsed; `frame` begins with the frame's first byte.
    #[inline]
    pub fn args<'a>(&'a self, frame: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let quoted = self.unquoted.iter().map(Vec::as_slice);
        quoted.chain(self.args.iter().map(move |range| &frame[range.clone()]))
    }

    /// Heap bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.args.capacity() * size_of::<Range<usize>>()
            + self.unquoted.capacity() * size_of::<Vec<u8>>()
            + self.unquoted.iter().map(Vec::capacity).sum::<usize>()
    }

    /// Parses on. `input` begins with the frame's first byte and holds everything received since.
    ///
    /// # Errors
    /// [`ProtocolError`] with Redis' text; the stream cannot be resynchronized after it.
    #[inline]
    pub fn parse(&mut self, input: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        if !self.in_array {
            match input.first() {
                None => return Ok(Parsed::Incomplete { at_least: 1 }),
                Some(b'*') => {}
                Some(_) => return self.parse_inline(input),
            }
            let Some((count, next)) = line_number(input, 1, "too big mbulk count string")? else {
                return Ok(Parsed::Incomplete { at_least: input.len() + 1 });
            };
            let count = count
                .filter(|&n| n <= i64::from(i32::MAX))
                .ok_or_else(|| ProtocolError("invalid multibulk length".into()))?;
            if limits.unauthenticated && count > UNAUTHENTICATED_MAX.0 {
                return Err(ProtocolError("unauthenticated multibulk length".into()));
            }
            if count <= 0 {
                return Ok(Parsed::Nothing { frame_len: next });
            }
            self.remaining = count;
            self.position = next;
            self.in_array = true;
        }
        while self.remaining > 0 {
            match input.get(self.position) {
                None => return Ok(Parsed::Incomplete { at_least: self.position + 1 }),
                Some(b'$') => {}
                Some(&other) => return Err(expected_dollar(other)),
            }
            let Some((len, start)) = line_number(input, self.position + 1, "too big bulk count string")?
            else {
                return Ok(Parsed::Incomplete { at_least: input.len() + 1 });
            };
            let len = len
                .filter(|&n| n >= 0 && n as u64 <= limits.bulk_max_bytes as u64)
                .ok_or_else(|| ProtocolError("invalid bulk length".into()))?;
            if limits.unauthenticated && len > UNAUTHENTICATED_MAX.1 {
                return Err(ProtocolError("unauthenticated bulk length".into()));
            }
            let end = start + len as usize;
            if input.len() < end + 2 {
                return Ok(Parsed::Incomplete { at_least: end + 2 });
            }
            self.args.push(start..end);
            self.position = end + 2;
            self.remaining -= 1;
        }
        Ok(Parsed::Request { frame_len: self.position })
    }

    fn parse_inline(&mut self, input: &[u8]) -> Result<Parsed, ProtocolError> {
        // `position` remembers how far the search for the line's end has come.
        let Some(newline) = memchr::memchr(b'\n', &input[self.position..]).map(|at| self.position + at)
        else {
            if input.len() > LINE_MAX_BYTES {
                return Err(ProtocolError("too big inline request".into()));
            }
            self.position = input.len();
            return Ok(Parsed::Incomplete { at_least: input.len() + 1 });
        };
        let frame_len = newline + 1;
        let line = input[..newline].strip_suffix(b"\r").unwrap_or(&input[..newline]);
        self.unquoted =
            quote::split_args(line).map_err(|_| ProtocolError("unbalanced quotes in request".into()))?;
        Ok(if self.unquoted.is_empty() {
            Parsed::Nothing { frame_len }
        } else {
            Parsed::Request { frame_len }
        })
    }
}

#[cold]
fn expected_dollar(found: u8) -> ProtocolError {
    ProtocolError(format!("expected '$', got '{}'", char::from(found)))
}

/// The number on the line that begins at `from`, and where the next line begins. `Ok(None)`: the line is not
/// complete. The inner `None` is a line that holds no canonical number.
#[inline]
#[allow(clippy::type_complexity)] // a one-use shape; a named type would not say more
fn line_number(
    input: &[u8],
    from: usize,
    too_long: &str,
) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
    // One- to three-digit lengths are nearly all of the traffic: read digits until CR.
    let mut value: i64 = 0;
    for (digits, &byte) in input[from..].iter().take(18).enumerate() {
        match byte {
            b'0'..=b'9' if digits == 0 || value != 0 => value = value * 10 + i64::from(byte - b'0'),
            b'\r' if digits > 0 => {
                return Ok((input.len() > from + digits + 1).then_some((Some(value), from + digits + 2)));
            }
            _ => return odd_line_number(input, from, too_long),
        }
    }
    odd_line_number(input, from, too_long)
}

/// [`line_number`] for lines that are incomplete, negative, very long or no number.
#[cold]
#[allow(clippy::type_complexity)] // the same shape as that of the function before
fn odd_line_number(
    input: &[u8],
    from: usize,
    too_long: &str,
) -> Result<Option<(Option<i64>, usize)>, ProtocolError> {
    let Some(cr) = memchr::memchr(b'\r', &input[from..]).map(|at| from + at) else {
        return if input.len() - from > LINE_MAX_BYTES {
            Err(ProtocolError(too_long.into()))
        } else {
            Ok(None)
        };
    };
    if input.len() < cr + 2 {
        return Ok(None);
    }
    Ok(Some((crate::base::number::parse_i64(&input[from..cr]), cr + 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bulk_max_bytes: 512 << 20, unauthenticated: false };

    /// Feeds `input` in pieces of `step` bytes the way a connection does and collects all requests.
    fn requests(input: &[u8], step: usize, limits: Limits) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
        let mut parser = Parser::default();
        let (mut start, mut seen, mut found) = (0, 0, Vec::new());
        while seen < input.len() {
            seen = (seen + step).min(input.len());
            loop {
                let frame = &input[start..seen];
                match parser.parse(frame, &limits)? {
                    Parsed::Incomplete { at_least } => {
                        assert!(at_least > frame.len());
                        break;
                    }
                    Parsed::Nothing { frame_len } => start += frame_len,
                    Parsed::Request { frame_len } => {
                        found.push(parser.args(frame).map(<[u8]>::to_vec).collect());
                        start += frame_len;
                    }
                }
                parser.reset();
            }
        }
        Ok(found)
    }

    fn error(input: &[u8]) -> String {
        requests(input, input.len(), LIMITS).unwrap_err().to_string()
    }

    #[test]
    fn requests_do_not_depend_on_how_the_bytes_arrive() {
        let input = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\nPING\r\n\r\n*0\r\n*-1\r\nset a \"b c\\x41\"\n*1\r\n$4\r\nQUIT\r\n";
        let whole = requests(input, input.len(), LIMITS).unwrap();
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[0], [b"SET".to_vec(), b"k".to_vec(), b"".to_vec()]);
        assert_eq!(whole[2], [b"set".to_vec(), b"a".to_vec(), b"b cA".to_vec()]);
        for step in 1..input.len() {
            assert_eq!(requests(input, step, LIMITS).unwrap(), whole, "in steps of {step}");
        }
    }

    #[test]
    fn protocol_errors_have_the_texts_of_redis() {
        assert_eq!(error(b"*x\r\n"), "ERR Protocol error: invalid multibulk length");
        assert_eq!(error(b"*2147483648\r\n"), "ERR Protocol error: invalid multibulk length");
        assert_eq!(error(b"*1\r\n:1\r\n"), "ERR Protocol error: expected '$', got ':'");
        assert_eq!(error(b"*1\r\n$-1\r\n"), "ERR Protocol error: invalid bulk length");
        assert_eq!(error(b"*1\r\n$01\r\n"), "ERR Protocol error: invalid bulk length");
        assert_eq!(error(b"*1\r\n$536870913\r\n"), "ERR Protocol error: invalid bulk length");
        assert_eq!(error(b"get \"a\r\n"), "ERR Protocol error: unbalanced quotes in request");
        let endless = vec![b'1'; LINE_MAX_BYTES + 3];
        assert_eq!(error(&[b"*", &endless[..]].concat()), "ERR Protocol error: too big mbulk count string");
        assert_eq!(
            error(&[b"*1\r\n$", &endless[..]].concat()),
            "ERR Protocol error: too big bulk count string"
        );
        assert_eq!(error(&endless), "ERR Protocol error: too big inline request");
    }

    #[test]
    fn clients_that_have_not_authenticated_get_small_limits() {
        let limits = Limits { unauthenticated: true, ..LIMITS };
        let text = |input: &[u8]| requests(input, input.len(), limits).unwrap_err().to_string();
        assert_eq!(text(b"*11\r\n"), "ERR Protocol error: unauthenticated multibulk length");
        assert_eq!(text(b"*1\r\n$16385\r\n"), "ERR Protocol error: unauthenticated bulk length");
    }

    proptest::proptest! {
        /// Whatever [`whole_array`] accepts, [`Parser`] parses to the same; what it rejects is not a complete array.
        #[test]
        fn whole_arrays_parse_alike(
            args in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20), 0..5),
            cut in 0usize..80,
            flip in proptest::option::of((0usize..60, proptest::prelude::any::<u8>())),
        ) {
            let mut frame = format!("*{}\r\n", args.len()).into_bytes();
            for arg in &args {
                frame.extend(format!("${}\r\n", arg.len()).bytes().chain(arg.iter().copied()).chain(*b"\r\n"));
            }
            frame.truncate(cut.max(1));
            if let Some((at, byte)) = flip && at < frame.len() {
                frame[at] = byte;
            }
            let mut parser = Parser::default();
            let slow = parser.parse(&frame, &LIMITS);
            let mut fast = ManyArgs::new();
            match whole_array(&frame, &LIMITS, &mut fast) {
                Some(frame_len) => {
                    proptest::prop_assert_eq!(slow, Ok(Parsed::Request { frame_len }));
                    proptest::prop_assert_eq!(parser.args(&frame).collect::<ManyArgs<'_>>(), fast);
                }
                None => {
                    let is_array = matches!(slow, Ok(Parsed::Request { .. })) && frame[0] == b'*';
                    proptest::prop_assert!(!is_array, "refused a complete array");
                    proptest::prop_assert!(fast.is_empty());
                }
            }
        }
    }

    #[test]
    fn a_long_request_leaves_little_memory_behind() {
        let mut parser = Parser::default();
        for frame in [[&b"*50000\r\n"[..], &b"$0\r\n\r\n".repeat(50_000)].concat(), b"a ".repeat(30_000)] {
            let frame = [&frame[..], b"\r\n"].concat();
            assert!(matches!(parser.parse(&frame, &LIMITS), Ok(Parsed::Request { .. })));
            assert!(parser.memory_bytes() > 500_000);
            parser.reset();
            assert!(parser.memory_bytes() < 4096);
        }
    }

    #[test]
    fn claimed_lengths_reserve_no_memory() {
        let mut parser = Parser::default();
        parser.parse(b"*2147483647\r\n$500000000\r\n", &LIMITS).unwrap();
        assert!(parser.memory_bytes() < 1024);
    }
}
