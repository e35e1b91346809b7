//! `LPOS`.

use super::{count, signed_count};
use crate::execute::Exec;
use crate::protocol::Error;
use crate::shard::Str;
use crate::types::List;

/// The options of `LPOS`.
struct Options {
    /// The first match that counts.
    rank: u64,
    /// Search from the tail.
    back: bool,
    /// Answer with an array of so many matches, 0 for all of them.
    count: Option<usize>,
    /// Elements to look at.
    most: usize,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Options, Error> {
        let mut options = Options { rank: 1, back: false, count: None, most: usize::MAX };
        for pair in args.chunks(2) {
            let &[name, value] = pair else { return Err(Error::Syntax) };
            match name {
                _ if name.eq_ignore_ascii_case(b"rank") => {
                    let rank = signed_count(value)?;
                    if rank == 0 {
                        return Err(Error::text(
                            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                             or use negative to start from the end of the list",
                        ));
                    }
                    (options.rank, options.back) = (rank.unsigned_abs(), rank < 0);
                }
                _ if name.eq_ignore_ascii_case(b"count") => {
                    options.count = Some(count(value, 0, "ERR COUNT can't be negative")?);
                }
                _ if name.eq_ignore_ascii_case(b"maxlen") => {
                    let most = count(value, 0, "ERR MAXLEN can't be negative")?;
                    options.most = if most == 0 { usize::MAX } else { most };
                }
                _ => return Err(Error::Syntax),
            }
        }
        Ok(options)
    }

    /// The indexes of the elements that equal `wanted`, in the order of the search.
    fn matches<'a>(
        &self,
        list: impl Iterator<Item = Str<'a>>,
        wanted: Str<'a>,
    ) -> impl Iterator<Item = usize> {
        let equal = list.take(self.most).enumerate().filter(move |(_, element)| *element == wanted);
        equal.map(|(at, _)| at).skip(self.rank as usize - 1)
    }
}

/// `LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]`
pub fn lpos(cx: &mut Exec<'_>) -> Result<(), Error> {
    let options = Options::parse(&cx.args[3..])?;
    let (key, wanted) = (cx.key(1), Str::classify(cx.args[2]));
    let most = match options.count {
        None => 1,
        Some(0) => usize::MAX,
        Some(count) => count,
    };
    let found: Vec<usize> = match cx.shard.read::<List>(cx.db, &key)? {
        None => Vec::new(),
        Some(list) if options.back => {
            let last = list.len() - 1;
            options.matches(list.iter_back(), wanted).take(most).map(|at| last - at).collect()
        }
        Some(list) => options.matches(list.iter(), wanted).take(most).collect(),
    };
    match (options.count, found.first()) {
        (Some(_), _) => {
            cx.reply.array(found.len());
            found.iter().for_each(|&at| cx.reply.int(at as i64));
        }
        (None, Some(&at)) => cx.reply.int(at as i64),
        (None, None) => cx.reply.null(),
    }
    Ok(())
}
