//! The slow log: the latest executions that took longer than `slowlog-log-slower-than`
//! (redis.io/docs/latest/commands/slowlog).

use std::collections::VecDeque;

/// Arguments kept per entry, and bytes kept per argument.
const ARGS_MAX: usize = 32;
const ARG_BYTES_MAX: usize = 128;

/// One slow execution.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Unique over the process' life.
    pub id: u64,
    /// When it ended, Unix seconds.
    pub at_s: i64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The arguments, shortened.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub peer: String,
    /// The client's name.
    pub name: Vec<u8>,
}

/// The entries, latest first.
#[derive(Debug, Default)]
pub struct SlowLog {
    entries: VecDeque<Entry>,
    next_id: u64,
}

impl SlowLog {
    /// Keeps an execution and drops what exceeds `max_len`. With a `max_len` of 0 there is no log, and no id is used.
    pub fn push(
        &mut self,
        at_s: i64,
        duration_us: u64,
        args: &[&[u8]],
        peer: String,
        name: Vec<u8>,
        max_len: usize,
    ) {
        if max_len == 0 {
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.entries.push_front(Entry { id, at_s, duration_us, args: shorten(args), peer, name });
        self.entries.truncate(max_len);
    }

    /// The entries, latest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Drops all entries; ids go on.
    pub fn reset(&mut self) {
        self.entries.clear();
    }

    /// Drops what exceeds `max_len`.
    pub fn truncate(&mut self, max_len: usize) {
        self.entries.truncate(max_len);
    }
}

/// Arguments with what is too much replaced by a remark on how much it was.
fn shorten(args: &[&[u8]]) -> Vec<Vec<u8>> {
    let kept = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
    let mut short: Vec<Vec<u8>> = args[..kept]
        .iter()
        .map(|arg| match arg.get(..ARG_BYTES_MAX) {
            Some(head) if arg.len() > ARG_BYTES_MAX => {
                [head, format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX).as_bytes()].concat()
            }
            _ => arg.to_vec(),
        })
        .collect();
    if kept < args.len() {
        short.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_calls_are_kept_short() {
        let mut log = SlowLog::default();
        let long = [b'x'; 200];
        let args: Vec<&[u8]> = std::iter::repeat_n(&long[..], 40).collect();
        log.push(1, 2, &args, String::new(), Vec::new(), 10);
        let entry = log.entries().next().unwrap();
        assert_eq!(entry.args.len(), 32);
        assert!(entry.args[0].ends_with(b"x... (72 more bytes)"));
        assert_eq!(entry.args[31], b"... (9 more arguments)");
    }

    #[test]
    fn the_latest_entries_stay() {
        let mut log = SlowLog::default();
        (0..5).for_each(|n| log.push(n, 0, &[], String::new(), Vec::new(), 3));
        assert_eq!(log.entries().map(|entry| entry.id).collect::<Vec<_>>(), [4, 3, 2]);
        log.reset();
        log.push(9, 0, &[], String::new(), Vec::new(), 3);
        assert_eq!(log.entries().next().unwrap().id, 5);
        log.push(10, 0, &[], String::new(), Vec::new(), 0);
        log.push(11, 0, &[], String::new(), Vec::new(), 3);
        assert_eq!(log.entries().map(|entry| entry.id).collect::<Vec<_>>(), [6, 5]);
    }
}
