//! What must hold for any bytes given to the request parser, shared by the fuzz target and by the test that replays the
//! corpus.
//!
//! A case is `[limits] [n] [n lengths of pieces] [stream]`: the low bit of `limits` makes the client one that has not
//! authenticated, the next one sets a small `proto-max-bulk-len`. Pieces are used by turns until the stream ends.

use corelane::protocol::resp::{Limits, ManyArgs, Parsed, Parser, ProtocolError, whole_array};

/// Longest stream that is looked at, in bytes. A line of more than 64 KiB may be refused or not, depending on how much of
/// it has come when it is looked at, as in Redis.
const STREAM_MAX_BYTES: usize = 60_000;
/// A small `proto-max-bulk-len`, in bytes.
const SMALL_BULK_BYTES: usize = 24;
/// What the parser may hold for each byte of the frame, and besides: an inline argument of one byte, with its space, costs
/// a vector of its own in a vector that doubles, and room for usual frames is kept between frames.
const HELD_PER_BYTE: usize = 32;
const HELD_BESIDES: usize = 4096;

/// All requests of a stream, and the error that ends it, if one does.
type Outcome = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// Checks one case; panics if a rule is broken.
pub(crate) fn check_request(case: &[u8]) {
    let Some((&limits, rest)) = case.split_first() else { return };
    let Some((&count, rest)) = rest.split_first() else { return };
    let (pieces, stream) = rest.split_at(rest.len().min(usize::from(count)));
    let stream = &stream[..stream.len().min(STREAM_MAX_BYTES)];
    let limits = Limits {
        bulk_max_bytes: if limits & 2 == 0 { 512 << 20 } else { SMALL_BULK_BYTES },
        unauthenticated: limits & 1 != 0,
    };
    let whole = outcome(stream, &[], &limits);
    assert_eq!(outcome(stream, &[1], &limits), whole, "byte by byte");
    assert_eq!(outcome(stream, pieces, &limits), whole, "in pieces of {pieces:?}");
}

/// Feeds a stream in pieces of these lengths (all at once if there are none) the way a connection does.
fn outcome(stream: &[u8], pieces: &[u8], limits: &Limits) -> Outcome {
    let mut parser = Parser::default();
    let mut lengths = pieces.iter().map(|&length| usize::from(length).max(1)).cycle();
    let (mut start, mut seen, mut at_least, mut requests) = (0, 0, 0, Vec::new());
    while seen < stream.len() {
        seen = (seen + lengths.next().unwrap_or(stream.len())).min(stream.len());
        while seen - start >= at_least.max(1) {
            let frame = &stream[start..seen];
            if parser.is_at_start() {
                check_fast_path(frame, limits);
            }
            let parsed = parser.parse(frame, limits);
            assert!(parser.memory_bytes() <= HELD_PER_BYTE * frame.len() + HELD_BESIDES, "holds too much");
            match parsed {
                Err(error) => return (requests, Some(error)),
                Ok(Parsed::Incomplete { at_least: missing }) => {
                    assert!(missing > frame.len(), "asks for what is there");
                    at_least = missing;
                }
                Ok(Parsed::Nothing { frame_len }) => {
                    assert!((1..=frame.len()).contains(&frame_len));
                    (start, at_least) = (start + frame_len, 0);
                    parser.reset();
                }
                Ok(Parsed::Request { frame_len }) => {
                    assert!((1..=frame.len()).contains(&frame_len));
                    let args: Vec<_> = parser.args(frame).map(<[u8]>::to_vec).collect();
                    assert!(!args.is_empty() && args.len() == parser.argc());
                    requests.push(args);
                    (start, at_least) = (start + frame_len, 0);
                    parser.reset();
                }
            }
        }
    }
    (requests, None)
}

/// What [`whole_array`] accepts, [`Parser`] takes for the same; what it leaves is no complete array.
fn check_fast_path(frame: &[u8], limits: &Limits) {
    let mut args = ManyArgs::new();
    let mut parser = Parser::default();
    let slow = parser.parse(frame, limits);
    match whole_array(frame, limits, &mut args) {
        Some(frame_len) => {
            assert_eq!(slow, Ok(Parsed::Request { frame_len }));
            assert!(parser.args(frame).eq(args.iter().copied()));
        }
        None => {
            let is_array = frame.first() == Some(&b'*') && matches!(slow, Ok(Parsed::Request { .. }));
            assert!(!is_array || limits.unauthenticated, "left a complete array");
            assert!(args.is_empty());
        }
    }
}
