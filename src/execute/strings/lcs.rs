//! `LCS`, the longest common subsequence; [`crate::types::lcs`] finds it.

use super::value;
use crate::execute::Exec;
use crate::execute::arguments::integer;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::shard::Str;
use crate::types::lcs::{check_size, length, matches, subsequence};

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]`.
pub fn lcs(cx: &mut Exec<'_>) -> Result<(), Error> {
    let keys = [cx.key(1), cx.key(2)];
    for key in &keys {
        cx.shard.lookup_read(cx.db, key);
    }
    let [a, b] = keys.map(|key| cx.shard.peek(cx.db, &key).map_or(Ok(Str::Bytes(b"")), value));
    let (Ok(a), Ok(b)) = (a, b) else {
        return Err(Error::text("ERR The specified keys must contain string values"));
    };
    let options = Options::parse(&cx.args[3..])?;
    let (mut a_digits, mut b_digits) = Default::default();
    let (a, b) = (a.to_bytes(&mut a_digits), b.to_bytes(&mut b_digits));
    check_size(a, b, cx.shard.settings.string_max_bytes as u64)?;
    if options.indexes {
        reply_indexes(&mut cx.reply, a, b, &options);
    } else if options.length {
        cx.reply.int(length(a, b) as i64);
    } else {
        cx.reply.bulk(subsequence(a, &matches(a, b)));
    }
    Ok(())
}

/// The places of all runs that are long enough, last first, and the length of the whole subsequence.
fn reply_indexes(reply: &mut Reply<'_>, a: &[u8], b: &[u8], options: &Options) {
    let mut runs = matches(a, b);
    let len: usize = runs.iter().map(|run| run.len()).sum();
    runs.retain(|run| run.len() as i64 >= options.min_match_len);
    reply.map(2);
    reply.bulk("matches");
    reply.array(runs.len());
    for run in &runs {
        reply.array(if options.with_match_len { 3 } else { 2 });
        for place in [&run.a, &run.b] {
            reply.array(2);
            reply.int(*place.start() as i64);
            reply.int(*place.end() as i64);
        }
        if options.with_match_len {
            reply.int(run.len() as i64);
        }
    }
    reply.bulk("len");
    reply.int(len as i64);
}

#[derive(Debug, Default)]
struct Options {
    length: bool,
    indexes: bool,
    min_match_len: i64,
    with_match_len: bool,
}

impl Options {
    fn parse(options: &[&[u8]]) -> Result<Options, Error> {
        let mut parsed = Options::default();
        let mut rest = options.iter();
        while let Some(option) = rest.next() {
            match option.to_ascii_lowercase().as_slice() {
                b"idx" => parsed.indexes = true,
                b"len" => parsed.length = true,
                b"withmatchlen" => parsed.with_match_len = true,
                b"minmatchlen" => parsed.min_match_len = integer(rest.next().ok_or(Error::Syntax)?)?,
                _ => return Err(Error::Syntax),
            }
        }
        if parsed.length && parsed.indexes {
            return Err(Error::text("ERR If you want both the length and indexes, please just use IDX."));
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use crate::execute::strings::testing::Bench;
    use crate::protocol::resp::Resp;

    #[test]
    fn forms_of_the_answer() {
        let mut bench = Bench::new();
        bench.expect(&[
            ("mset a ohmytext b mynewtext n 12345", "+OK"),
            ("lcs a b", "$6 mytext"),
            ("lcs a b LEN", ":6"),
            ("lcs a b withmatchlen", "$6 mytext"),
            ("lcs a b idx", "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6"),
            ("lcs a b idx minmatchlen 4", "*4 $7 matches *1 *2 *2 :4 :7 *2 :5 :8 $3 len :6"),
            ("lcs a b minmatchlen -3 idx minmatchlen 9", "*4 $7 matches *0 $3 len :6"),
            ("lcs a b idx withmatchlen minmatchlen 4", "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6"),
            ("lcs a none", "$0"),
            ("lcs none none len", ":0"),
            ("lcs none none idx", "*4 $7 matches *0 $3 len :0"),
            ("lcs n n", "$5 12345"),
        ]);
        bench.resp = Resp::V3;
        bench.expect(&[("lcs n n idx", "%2 $7 matches *1 *2 *2 :0 :4 *2 :0 :4 $3 len :5")]);
    }

    #[test]
    fn what_is_refused() {
        let mut bench = Bench::new();
        bench.shard.settings.string_max_bytes = 100;
        bench.expect(&[
            ("mset a 12345 b 123456", "+OK"),
            ("lcs a a minmatchlen", "-ERR syntax error"),
            ("lcs a a bogus", "-ERR syntax error"),
            ("lcs a a minmatchlen x", "-ERR value is not an integer or out of range"),
            ("lcs a a idx len", "-ERR If you want both the length and indexes, please just use IDX."),
            ("lcs a b", "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"),
        ]);
    }
}
