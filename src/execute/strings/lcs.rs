//! `LCS`, the longest common subsequence; [`crate::types::lcs`] finds it.

use super::{integer, value};
use crate::execute::Exec;
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
