//! The form of a *segment*: an increment of the append-only folder that holds a part of one shard's log.
//!
//! A segment is text for the most part, and everything that is no command stands in lines that begin with `#` and are at
//! most [`LINE_MAX`] bytes long, which Redis takes for annotations and skips. So Redis reads a segment like its own files.
//!
//! ```text
//! #corelane-log version=1 run=<32 hex> shard=<n> shards=<m> crc=<8 hex>\n
//! #F <len 8 hex> <lsn 16 hex> <safe 16 hex> <crc 8 hex>[ T<coordinator>.<number> <participants>]\n<payload>
//! #   \n                                   padding, between frames
//! ```
//!
//! A *frame* is one header line and a payload of RESP commands that was logged as a whole. Its checksum (CRC-32C) covers
//! the payload, then the header line without the checksum itself, then the checksum of the segment's first line (the
//! [`Seed`]): a frame that was copied from elsewhere, as a part of some value for instance, is no frame of this segment.
//! Participants of a transaction are ranges such as `0-3,7`, or `x` and a bitmap in hex where they would be long.
//!
//! Invariants: whatever is sealed here is decoded to the same; a frame of which any bit has changed is not decoded.

use crc_fast::{CrcAlgorithm, Digest};

/// Bytes of the header line of a frame without a transaction, the line break included.
pub const HEADER_LEN: usize = 55;
/// The longest line that Redis skips as a whole, in bytes with the line break (its `AOF_ANNOTATION_LINE_MAX_LEN`).
pub const LINE_MAX: usize = 1023;
/// How many shards a log can tell apart.
pub const SHARDS_MAX: u16 = 1024;

/// The longest text of ranges of participants; above it the bitmap is never longer.
const RANGES_MAX: usize = SHARDS_MAX as usize / 4 + 1;

/// How a segment begins.
pub(super) const MAGIC: &[u8] = b"#corelane-log ";
/// How a frame begins.
pub(super) const FRAME: &[u8] = b"#F ";
/// Where the checksum stands in a header line.
const CRC_AT: usize = HEADER_LEN - 9;

/// Whose log a segment holds: its first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Segment {
    /// The run of the server, which no other run has: 128 bits that nobody can guess.
    pub run: u128,
    /// Which shard.
    pub shard: u16,
    /// Of how many.
    pub shards: u16,
}

/// What the checksums of a segment's frames start from, known to the segment only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u32);

/// What a file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// A segment, whose first line is so many bytes long.
    Segment(Segment, usize),
    /// A segment, as it seems, with a first line that is damaged or of another version.
    Unreadable,
    /// Something else: a file of Redis, or nothing.
    Other,
}

impl Segment {
    /// Appends the first line.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.text().as_bytes());
        let crc = crc32c(&out[start..]);
        out.extend_from_slice(format!(" crc={crc:08x}\n").as_bytes());
    }

    /// Appends the first line and a frame without payload that tells where the log goes on. If this is on stable storage
    /// before the manifest names the first segment of a run, whatever is missing behind it can be noticed.
    pub fn encode_with_start(&self, lsn: u64, out: &mut Vec<u8>) {
        self.encode(out);
        let mut room = [0; HEADER_LEN];
        seal(&mut room, &[], lsn, lsn, self.seed());
        out.extend_from_slice(&room);
    }

    /// What the checksums of this segment's frames start from.
    pub fn seed(&self) -> Seed {
        Seed(crc32c(self.text().as_bytes()))
    }

    fn text(&self) -> String {
        let Segment { run, shard, shards } = self;
        format!("#corelane-log version=1 run={run:032x} shard={shard} shards={shards}")
    }

    /// Reads the first line of a file that begins with `input` ([`LINE_MAX`] bytes suffice).
    pub fn decode(input: &[u8]) -> Opening {
        if !input.starts_with(MAGIC) {
            // No command and no annotation of Redis has this in its first line.
            let first = line(input).unwrap_or_default();
            let is_ours = memchr::memmem::find(first, b"version=1 run=").is_some();
            return if is_ours { Opening::Unreadable } else { Opening::Other };
        }
        let parsed = line(input).and_then(|line| {
            let segment = Segment::parse(std::str::from_utf8(line).ok()?)?;
            // Only what is written here is read: other spellings of the same numbers are damage.
            let mut canonical = Vec::with_capacity(line.len());
            segment.encode(&mut canonical);
            (canonical == line).then_some(Opening::Segment(segment, line.len()))
        });
        parsed.unwrap_or(Opening::Unreadable)
    }

    fn parse(line: &str) -> Option<Segment> {
        let mut fields = line.trim_end().split(' ').skip(2);
        let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
        let run = u128::from_str_radix(field("run")?, 16).ok()?;
        let segment =
            Segment { run, shard: field("shard")?.parse().ok()?, shards: field("shards")?.parse().ok()? };
        (segment.shard < segment.shards && segment.shards <= SHARDS_MAX).then_some(segment)
    }
}

/// The transaction over several shards that a frame is one shard's part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txn {
    /// The core that coordinated it.
    pub coordinator: u16,
    /// Its number, unique for the coordinator and the run.
    pub number: u64,
    /// The shards that each have a frame of it, in ascending order.
    pub participants: Vec<u16>,
}

/// What a header line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the payload.
    pub len: u32,
    /// The shard's log number at which the payload begins: bytes of payload that the run had logged before it.
    pub lsn: u64,
    /// The log number up to which the log was on stable storage when the frame was sealed.
    pub safe: u64,
    /// Set if the frame is a part of a transaction.
    pub txn: Option<Txn>,
    crc: u32,
}

/// What stands at a place of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// A whole frame.
    Frame {
        /// Its header.
        header: Header,
        /// Its commands; the frame ends where they end.
        payload: &'a [u8],
        /// Bytes of the whole frame.
        frame_len: usize,
    },
    /// A line of padding of so many bytes.
    Padding(usize),
    /// Nothing but zeroes up to the end of the input, if there is any.
    End,
    /// Neither.
    Torn(Torn),
}

/// Why something is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Torn {
    /// Neither a header line nor padding.
    #[error("no frame begins here")]
    Line,
    /// Zeroes, but there is something behind them.
    #[error("zeroes in place of a frame")]
    Zeroes,
    /// The payload goes on behind the end.
    #[error("the frame ends early")]
    Short,
    /// Some of its bytes have changed, or have never been written.
    #[error("the frame's checksum is wrong")]
    Checksum,
    /// The frame is whole, but something is missing before it.
    #[error("frames are missing")]
    Gap,
}

/// Fills the room in front of a payload with its header line.
///
/// # Panics
/// If the payload is longer than 4 GiB - 1.
pub fn seal(room: &mut [u8; HEADER_LEN], payload: &[u8], lsn: u64, safe: u64, seed: Seed) {
    seal_pieces(room, payload_len(payload), Checksum::of(payload), lsn, safe, seed);
}

/// The same for a payload of `len` bytes that came in pieces.
pub fn seal_pieces(
    room: &mut [u8; HEADER_LEN],
    len: u32,
    payload: Checksum,
    lsn: u64,
    safe: u64,
    seed: Seed,
) {
    write_fields(room, len, lsn, safe);
    room[HEADER_LEN - 1] = b'\n';
    let crc = payload.finish(room, seed);
    hex(&mut room[CRC_AT..CRC_AT + 8], crc.into());
}

/// Appends a frame that is a part of a transaction.
///
/// # Panics
/// If the payload is longer than 4 GiB - 1, or the participants are not ascending numbers below [`SHARDS_MAX`].
pub fn seal_txn(out: &mut Vec<u8>, payload: &[u8], lsn: u64, safe: u64, txn: &Txn, seed: Seed) {
    let start = out.len();
    out.resize(start + HEADER_LEN - 1, 0);
    write_fields(&mut out[start..], payload_len(payload), lsn, safe);
    out.extend_from_slice(format!(" T{}.{} ", txn.coordinator, txn.number).as_bytes());
    write_participants(out, &txn.participants);
    out.push(b'\n');
    let crc = Checksum::of(payload).finish(&out[start..], seed);
    hex(&mut out[start + CRC_AT..start + CRC_AT + 8], crc.into());
    out.extend_from_slice(payload);
}

fn payload_len(payload: &[u8]) -> u32 {
    payload.len().try_into().expect("a payload below 4 GiB")
}

/// The part of a header line in front of the checksum.
fn write_fields(line: &mut [u8], len: u32, lsn: u64, safe: u64) {
    line[..CRC_AT].fill(b' ');
    line[..2].copy_from_slice(&FRAME[..2]);
    hex(&mut line[3..11], len.into());
    hex(&mut line[12..28], lsn);
    hex(&mut line[29..45], safe);
}

/// The checksum of a frame of which the payload comes in pieces.
pub struct Checksum(Digest);

impl Default for Checksum {
    fn default() -> Self {
        Checksum(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }
}

impl Checksum {
    fn of(payload: &[u8]) -> Checksum {
        let mut checksum = Checksum::default();
        checksum.update(payload);
        checksum
    }

    /// Takes in the next bytes of the payload.
    pub fn update(&mut self, payload: &[u8]) {
        self.0.update(payload);
    }

    /// The checksum, now that the payload is complete; `line` is the header line with its line break.
    pub fn finish(mut self, line: &[u8], seed: Seed) -> u32 {
        self.0.update(&line[..CRC_AT]);
        self.0.update(&line[CRC_AT + 8..]);
        self.0.update(&seed.0.to_be_bytes());
        self.0.finalize() as u32
    }
}

impl Header {
    /// Reads a header line, its line break included. Whether it is genuine, only the checksum can tell.
    pub fn parse(line: &[u8]) -> Option<Header> {
        let fixed = line.get(..HEADER_LEN - 1)?;
        let blanks = [2, 11, 28, 45].into_iter().all(|at| fixed[at] == b' ');
        if !line.starts_with(FRAME) || !blanks || line.last() != Some(&b'\n') {
            return None;
        }
        let txn = match line.get(HEADER_LEN - 1..line.len() - 1)? {
            [] => None,
            rest => Some(Txn::parse(std::str::from_utf8(rest).ok()?)?),
        };
        Some(Header {
            len: unhex(&fixed[3..11])? as u32,
            lsn: unhex(&fixed[12..28])?,
            safe: unhex(&fixed[29..45])?,
            txn,
            crc: unhex(&fixed[CRC_AT..])? as u32,
        })
    }

    /// Whether the checksum is this one.
    pub fn matches(&self, checksum: u32) -> bool {
        self.crc == checksum
    }

    /// The log number behind the payload.
    pub fn end(&self) -> u64 {
        self.lsn.saturating_add(self.len.into())
    }
}

impl Txn {
    fn parse(text: &str) -> Option<Txn> {
        let (name, participants) = text.strip_prefix(" T")?.split_once(' ')?;
        let (coordinator, number) = name.split_once('.')?;
        Some(Txn {
            coordinator: coordinator.parse().ok()?,
            number: number.parse().ok()?,
            participants: parse_participants(participants)?,
        })
    }
}

/// What stands at the beginning of `input`, which goes on to the end of the segment.
pub fn decode(input: &[u8], seed: Seed) -> Verdict<'_> {
    if input.first().is_none_or(|&byte| byte == 0) {
        let only_zeroes = input.iter().all(|&byte| byte == 0);
        return if only_zeroes { Verdict::End } else { Verdict::Torn(Torn::Zeroes) };
    }
    let Some(line) = line(input) else { return Verdict::Torn(Torn::Line) };
    if is_padding(line) {
        return Verdict::Padding(line.len());
    }
    let Some(header) = Header::parse(line) else { return Verdict::Torn(Torn::Line) };
    let frame_len = line.len() + header.len as usize;
    let Some(payload) = input.get(line.len()..frame_len) else { return Verdict::Torn(Torn::Short) };
    if !header.matches(Checksum::of(payload).finish(line, seed)) {
        return Verdict::Torn(Torn::Checksum);
    }
    Verdict::Frame { header, payload, frame_len }
}

/// The first line, with its line break; `None` if it is none or a longer one than Redis would skip.
pub(super) fn line(input: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b'\n', &input[..input.len().min(LINE_MAX)])?;
    Some(&input[..=end])
}

/// Whether a line, with its line break, is padding.
pub(super) fn is_padding(line: &[u8]) -> bool {
    matches!(line, [b'#', blanks @ .., b'\n'] if blanks.iter().all(|&byte| byte == b' '))
}

/// Fills `room` with padding. `false`: there is room for one byte only, and the shortest line has two.
#[must_use]
pub fn pad(room: &mut [u8]) -> bool {
    if room.len() == 1 {
        return false;
    }
    room.fill(b' ');
    let mut rest = room;
    while !rest.is_empty() {
        // Never a single byte over.
        let len = if rest.len() == LINE_MAX + 1 { LINE_MAX - 1 } else { rest.len().min(LINE_MAX) };
        let (line, behind) = rest.split_at_mut(len);
        line[0] = b'#';
        line[len - 1] = b'\n';
        rest = behind;
    }
    true
}

fn write_participants(out: &mut Vec<u8>, participants: &[u16]) {
    let ascending = participants.is_sorted_by(|a, b| a < b);
    let last = *participants.last().expect("a transaction has participants");
    assert!(ascending && last < SHARDS_MAX, "participants out of order or range");
    let start = out.len();
    for range in participants.chunk_by(|a, b| a + 1 == *b) {
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(range[0].to_string().as_bytes());
        if let [_, .., last] = range {
            out.extend_from_slice(format!("-{last}").as_bytes());
        }
    }
    if out.len() - start > RANGES_MAX {
        out.truncate(start);
        write_bitmap(out, participants, usize::from(last / 4) + 1);
    }
}

/// The participants as bits: the first digit stands for shards 0 to 3, its lowest bit for shard 0.
fn write_bitmap(out: &mut Vec<u8>, participants: &[u16], digits: usize) {
    let mut bits = vec![0u8; digits];
    for participant in participants {
        bits[usize::from(participant / 4)] |= 1 << (participant % 4);
    }
    out.push(b'x');
    out.extend(bits.into_iter().map(|digit| HEX[usize::from(digit)]));
}

fn parse_participants(text: &str) -> Option<Vec<u16>> {
    let mut participants = Vec::new();
    if let Some(bits) = text.strip_prefix('x') {
        for (at, digit) in bits.bytes().enumerate() {
            let bits = unhex(&[digit])?;
            let first = at as u16 * 4;
            participants.extend((0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| first + bit));
        }
    } else {
        for range in text.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
            let above = participants.last().is_none_or(|&before| before < first);
            if !above || last < first || last >= SHARDS_MAX {
                return None;
            }
            participants.extend(first..=last);
        }
    }
    participants.last().is_some_and(|&last| last < SHARDS_MAX).then_some(participants)
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// `value` in lower-case hex that fills `out`.
fn hex(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = HEX[(value & 15) as usize];
        value >>= 4;
    }
}

fn unhex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEGMENT: Segment = Segment { run: 0x1234_5678_9abc, shard: 2, shards: 16 };

    fn sealed(payload: &[u8], lsn: u64, safe: u64, txn: Option<&Txn>) -> Vec<u8> {
        let mut out = Vec::new();
        match txn {
            Some(txn) => seal_txn(&mut out, payload, lsn, safe, txn, SEGMENT.seed()),
            None => {
                let mut room = [0; HEADER_LEN];
                seal(&mut room, payload, lsn, safe, SEGMENT.seed());
                out = [&room[..], payload].concat();
            }
        }
        out
    }

    #[test]
    fn the_form_is_what_the_description_says() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the check value of CRC-32C");
        let mut line = Vec::new();
        SEGMENT.encode(&mut line);
        let text = String::from_utf8(line).unwrap();
        assert_eq!(
            text,
            "#corelane-log version=1 run=00000000000000000000123456789abc shard=2 shards=16 crc=0f8926eb\n"
        );
        let frame = sealed(b"*1\r\n$4\r\nPING\r\n", 255, 16, None);
        let text = String::from_utf8(frame).unwrap();
        assert_eq!(text, "#F 0000000e 00000000000000ff 0000000000000010 f4db84c1\n*1\r\n$4\r\nPING\r\n");
        let txn = Txn { coordinator: 3, number: 70, participants: vec![0, 1, 2, 3, 7] };
        let frame = sealed(b"", 1, 0, Some(&txn));
        assert!(frame.ends_with(b" T3.70 0-3,7\n"));
    }

    #[test]
    fn the_longest_line_is_one_that_redis_skips() {
        let participants = (0..SHARDS_MAX).filter(|shard| shard % 2 == 1).collect();
        let txn = Txn { coordinator: SHARDS_MAX - 1, number: u64::MAX, participants };
        let frame = sealed(b"", u64::MAX, u64::MAX, Some(&txn));
        assert!(frame.len() <= LINE_MAX, "{} bytes", frame.len());
        let Verdict::Frame { header, .. } = decode(&frame, SEGMENT.seed()) else { panic!("not decoded") };
        assert_eq!(header.txn, Some(txn));
    }

    #[test]
    fn participants_are_in_order_and_range() {
        for text in ["", "x", "x0", "3-1", "1,1", "1-3,2", "1024", "a", "1-", "xg", "0-99999", "1,,2"] {
            assert_eq!(parse_participants(text), None, "{text}");
        }
        assert_eq!(parse_participants(&format!("x{}1", "0".repeat(256))), None);
    }

    #[test]
    fn padding_fills_any_room_of_two_bytes_and_more() {
        for len in (0..5000).filter(|&len| len != 1) {
            let mut room = vec![7; len];
            assert!(pad(&mut room));
            let mut rest = &room[..];
            while !rest.is_empty() {
                let Verdict::Padding(line) = decode(rest, SEGMENT.seed()) else { panic!("{len} bytes") };
                rest = &rest[line..];
            }
        }
        assert!(!pad(&mut [0]));
    }

    #[test]
    fn a_header_may_end_early() {
        let mut line = [0; HEADER_LEN];
        seal(&mut line, &[], 0, 0, Seed(0));
        for len in 0..HEADER_LEN {
            let cut = [&line[..len], b"\n"].concat();
            assert_eq!(Header::parse(&cut).is_some(), cut == line, "{len}");
        }
    }

    #[test]
    fn zeroes_are_the_end() {
        let seed = SEGMENT.seed();
        assert_eq!(decode(b"", seed), Verdict::End);
        assert_eq!(decode(&[0; 100], seed), Verdict::End);
        assert_eq!(decode(&[&[0; 100][..], b"#"].concat(), seed), Verdict::Torn(Torn::Zeroes));
    }

    #[test]
    fn frames_of_other_segments_are_none() {
        let frame = sealed(b"payload", 1, 1, None);
        for other in
            [Segment { run: 1, ..SEGMENT }, Segment { shard: 1, ..SEGMENT }, Segment { shards: 9, ..SEGMENT }]
        {
            assert_eq!(decode(&frame, other.seed()), Verdict::Torn(Torn::Checksum));
        }
    }

    #[test]
    fn first_lines_tell_files_apart() {
        let mut line = Vec::new();
        SEGMENT.encode(&mut line);
        assert_eq!(Segment::decode(&[&line[..], b"more"].concat()), Opening::Segment(SEGMENT, line.len()));
        assert_eq!(Segment::decode(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"), Opening::Other);
        assert_eq!(Segment::decode(b""), Opening::Other);
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut damaged = line.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(Segment::decode(&damaged), Opening::Unreadable);
            }
        }
        for cut in MAGIC.len()..line.len() {
            assert_eq!(Segment::decode(&line[..cut]), Opening::Unreadable);
        }
    }

    fn any_txn() -> impl Strategy<Value = Option<Txn>> {
        let participants = prop::collection::btree_set(0..SHARDS_MAX, 1..40);
        prop::option::of((any::<u16>(), any::<u64>(), participants).prop_map(
            |(coordinator, number, some)| Txn {
                coordinator,
                number,
                participants: some.into_iter().collect(),
            },
        ))
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_decoded(
            payload in prop::collection::vec(any::<u8>(), 0..200),
            (lsn, safe) in any::<(u64, u64)>(),
            txn in any_txn(),
            behind in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let frame = sealed(&payload, lsn, safe, txn.as_ref());
            let input = [&frame[..], &behind].concat();
            let Verdict::Frame { header, payload: decoded, frame_len } = decode(&input, SEGMENT.seed()) else {
                panic!("not decoded")
            };
            prop_assert_eq!(frame_len, frame.len());
            prop_assert_eq!(decoded, payload);
            prop_assert_eq!((header.lsn, header.safe, header.txn), (lsn, safe, txn));
        }

        #[test]
        fn no_change_of_a_byte_goes_unnoticed(
            payload in prop::collection::vec(any::<u8>(), 0..200),
            (lsn, safe) in any::<(u64, u64)>(),
            txn in any_txn(),
            at in any::<prop::sample::Index>(),
            change in 1u8..,
        ) {
            let mut frame = sealed(&payload, lsn, safe, txn.as_ref());
            let at = at.index(frame.len());
            frame[at] ^= change;
            prop_assert!(matches!(decode(&frame, SEGMENT.seed()), Verdict::Torn(_)));
            frame[at] ^= change;
            frame.truncate(at);
            prop_assert!(matches!(decode(&frame, SEGMENT.seed()), Verdict::Torn(_) | Verdict::End));
        }

        #[test]
        fn any_bytes_are_judged(input in prop::collection::vec(any::<u8>(), 0..300)) {
            decode(&input, SEGMENT.seed());
            decode(&[FRAME, &input].concat(), SEGMENT.seed());
            Segment::decode(&[MAGIC, &input].concat());
        }
    }
}
