//! Putting the partial replies of several shards together.

use crate::command::spec::Merge;
use crate::protocol::resp::Reply;

/// One participant's encoded reply.
#[derive(Debug)]
pub struct Partial {
    /// The encoded reply.
    pub reply: Vec<u8>,
    /// Keys in the participant's database, the weight of its candidate in a draw.
    pub keys: u64,
    /// Places of its keys among all keys of the command.
    pub places: Vec<usize>,
}

/// Writes what the client gets. `draw` picks a number below its argument (at least 1).
pub fn merge(how: Merge, partials: &[Partial], reply: &mut Reply<'_>, draw: impl FnOnce(u64) -> u64) {
    if let Some(failed) = partials.iter().find(|partial| partial.reply.first() == Some(&b'-')) {
        return reply.raw(&failed.reply);
    }
    match how {
        Merge::Same => reply.raw(&partials[0].reply),
        Merge::Sum => reply.int(partials.iter().map(|partial| header(&partial.reply).0).sum()),
        Merge::Concat => {
            let arrays: Vec<_> = partials.iter().map(|partial| header(&partial.reply)).collect();
            reply.array(arrays.iter().map(|(count, _)| *count as usize).sum());
            for (_, elements) in arrays {
                reply.raw(elements);
            }
        }
        Merge::ByKey => {
            let mut elements = vec![&b""[..]; partials.iter().map(|partial| partial.places.len()).sum()];
            for partial in partials {
                let mut rest = header(&partial.reply).1;
                for &place in &partial.places {
                    (elements[place], rest) = split_element(rest);
                }
            }
            reply.array(elements.len());
            for element in elements {
                reply.raw(element);
            }
        }
        Merge::Draw => {
            let total: u64 = partials.iter().map(|partial| partial.keys).sum();
            let mut ticket = draw(total.max(1));
            let drawn = partials.iter().find(|partial| {
                let hit = ticket < partial.keys;
                ticket = ticket.saturating_sub(partial.keys);
                hit
            });
            reply.raw(&drawn.unwrap_or(&partials[0]).reply);
        }
    }
}

/// The number on an encoded reply's first line, and what follows that line. Null counts as -1.
fn header(encoded: &[u8]) -> (i64, &[u8]) {
    let end = memchr::memchr(b'\r', encoded).expect("an encoded reply has a line");
    let number = std::str::from_utf8(&encoded[1..end]).ok().and_then(|text| text.parse().ok()).unwrap_or(-1);
    (number, &encoded[end + 2..])
}

/// Splits off the first element, a bulk string, an integer or a null.
fn split_element(encoded: &[u8]) -> (&[u8], &[u8]) {
    let (len, after) = header(encoded);
    let line = encoded.len() - after.len();
    let body = if encoded[0] == b'$' && len >= 0 { len as usize + 2 } else { 0 };
    encoded.split_at(line + body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::resp::Resp;

    fn merged(how: Merge, partials: &[(&str, u64, &[usize])], draw: u64) -> String {
        let partials: Vec<_> = partials
            .iter()
            .map(|(reply, keys, places)| Partial {
                reply: reply.as_bytes().to_vec(),
                keys: *keys,
                places: places.to_vec(),
            })
            .collect();
        let mut out = Vec::new();
        merge(how, &partials, &mut Reply::new(&mut out, Resp::V2), |_| draw);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn partial_replies_become_one() {
        assert_eq!(merged(Merge::Sum, &[(":2\r\n", 0, &[]), (":40\r\n", 0, &[])], 0), ":42\r\n");
        assert_eq!(
            merged(
                Merge::ByKey,
                &[("*2\r\n$1\r\na\r\n$-1\r\n", 0, &[0, 2]), ("*1\r\n$2\r\n\r\n\r\n", 0, &[1])],
                0
            ),
            "*3\r\n$1\r\na\r\n$2\r\n\r\n\r\n$-1\r\n"
        );
        assert_eq!(
            merged(Merge::Concat, &[("*1\r\n$1\r\na\r\n", 0, &[]), ("*0\r\n", 0, &[])], 0),
            "*1\r\n$1\r\na\r\n"
        );
        assert_eq!(merged(Merge::Same, &[("+OK\r\n", 0, &[]), ("-ERR x\r\n", 0, &[])], 0), "-ERR x\r\n");
        let draw = [("$-1\r\n", 0, &[][..]), ("$1\r\na\r\n", 3, &[]), ("$1\r\nb\r\n", 1, &[])];
        assert_eq!(merged(Merge::Draw, &draw, 2), "$1\r\na\r\n");
        assert_eq!(merged(Merge::Draw, &draw, 3), "$1\r\nb\r\n");
        assert_eq!(merged(Merge::Draw, &[("_\r\n", 0, &[]), ("_\r\n", 0, &[])], 0), "_\r\n");
    }
}
