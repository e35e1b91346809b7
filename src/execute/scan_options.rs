//! What `SCAN`, `HSCAN`, `SSCAN` and `ZSCAN` have in common: their cursor, their options and the form of their answer,
//! an array of the next cursor and of the elements (redis.io/docs/latest/commands/scan).

use crate::base::{glob, number};
use crate::execute::arguments::integer;
use crate::protocol::Error;
use crate::protocol::resp::Reply;

/// Elements that are visited if not told otherwise.
const DEFAULT_COUNT: usize = 10;

/// What is gone over, for each has options of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    /// The keyspace: it takes `TYPE`.
    Keys,
    /// The fields of a hash: they take `NOVALUES`.
    Fields,
    /// The members of a set or sorted set.
    Members,
}

/// The options.
pub struct ScanOptions<'a> {
    /// About how many elements to visit, from 1 on (`COUNT`).
    pub count: usize,
    /// Which elements are wanted (`MATCH`).
    pub pattern: Pattern<'a>,
    /// The type of the keys that are wanted (`TYPE`), which need not exist.
    pub type_name: Option<&'a [u8]>,
    /// Whether values are left out (`NOVALUES`).
    pub no_values: bool,
}

impl<'a> ScanOptions<'a> {
    /// Reads the arguments behind the cursor.
    pub fn parse(args: &[&'a [u8]], scanned: Scanned) -> Result<ScanOptions<'a>, Error> {
        let (count, pattern) = (DEFAULT_COUNT, Pattern(None));
        let mut options = ScanOptions { count, pattern, type_name: None, no_values: false };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            if name.eq_ignore_ascii_case(b"novalues") {
                if scanned != Scanned::Fields {
                    return Err(Error::text("ERR NOVALUES option can only be used in HSCAN"));
                }
                options.no_values = true;
                continue;
            }
            match (name.to_ascii_lowercase().as_slice(), args.next()) {
                (b"count", Some(count)) => {
                    let count = integer(count)?;
                    options.count = usize::try_from(count).ok().filter(|&n| n > 0).ok_or(Error::Syntax)?;
                }
                (b"match", Some(pattern)) => options.pattern = Pattern::new(pattern),
                (b"type", Some(name)) if scanned == Scanned::Keys => options.type_name = Some(name),
                _ => return Err(Error::Syntax),
            }
        }
        Ok(options)
    }
}

/// Which keys, fields or members are wanted.
pub struct Pattern<'a>(Option<&'a [u8]>);

impl<'a> Pattern<'a> {
    /// Those that match a glob-style pattern.
    pub fn new(pattern: &'a [u8]) -> Pattern<'a> {
        Pattern((pattern != b"*").then_some(pattern))
    }

    /// Whether it is one of them.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.0.is_none_or(|pattern| glob::matches(pattern, bytes, false))
    }
}

/// The number in a cursor argument.
pub fn parse_cursor(arg: &[u8]) -> Result<u64, Error> {
    number::parse_u64(arg).ok_or(Error::text("ERR invalid cursor"))
}

/// Completes the answer: the elements are those written since `start`, `count` of them (a field and its value are two).
pub fn finish(reply: &mut Reply<'_>, start: usize, cursor: u64, count: usize) {
    reply.prepend(start, |reply| {
        reply.array(2);
        reply.bulk(itoa::Buffer::new().format(cursor));
        reply.array(count);
    });
}

/// The answer for a key that is not there.
pub fn empty(reply: &mut Reply<'_>) {
    let start = reply.position();
    finish(reply, start, 0, 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::resp::Resp;

    fn parse<'a>(line: &'a str, scanned: Scanned) -> Result<ScanOptions<'a>, Error> {
        ScanOptions::parse(&line.split_whitespace().map(str::as_bytes).collect::<Vec<_>>(), scanned)
    }

    #[test]
    fn the_last_of_equal_options_counts() {
        let options = parse("count 3 MATCH a* Count 5 match b*", Scanned::Members).unwrap();
        assert_eq!((options.count, options.no_values, options.type_name), (5, false, None));
        assert!(options.pattern.matches(b"bc") && !options.pattern.matches(b"ac"));
        assert_eq!(parse("", Scanned::Keys).unwrap().count, DEFAULT_COUNT);
    }

    #[test]
    fn some_options_belong_to_one_command() {
        assert!(parse("novalues count 1", Scanned::Fields).unwrap().no_values);
        assert_eq!(parse("TYPE hash", Scanned::Keys).unwrap().type_name, Some(&b"hash"[..]));
        let refused = |line, scanned| parse(line, scanned).err().map(|error| error.to_string());
        let syntax = Some(Error::Syntax.to_string());
        assert_eq!(refused("type hash", Scanned::Fields), syntax);
        assert_eq!(refused("count 0", Scanned::Keys), syntax);
        assert_eq!(refused("match", Scanned::Keys), syntax);
        assert_eq!(refused("count x", Scanned::Keys), Some(Error::NotInteger.to_string()));
        let only = Some("ERR NOVALUES option can only be used in HSCAN".to_owned());
        assert_eq!(refused("novalues", Scanned::Members), only);
    }

    #[test]
    fn an_answer_is_completed_behind_its_elements() {
        let mut out = b"before".to_vec();
        let mut reply = Reply::new(&mut out, Resp::V2);
        let start = reply.position();
        reply.bulk("a");
        finish(&mut reply, start, u64::MAX, 1);
        empty(&mut reply);
        let expected = "before*2\r\n$20\r\n18446744073709551615\r\n*1\r\n$1\r\na\r\n*2\r\n$1\r\n0\r\n*0\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert!(parse_cursor(b"x").is_err());
    }
}
