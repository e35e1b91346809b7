//! Effects of reading in groups and of claiming: who has got what, when, and how far the group has come.

use super::Exec;
use crate::execute::effects::Words;
use crate::shard::Key;
use crate::types::stream::Id;

/// IDs that one effect names at most.
const AT_ONCE: usize = 1024;

/// A group, as effects name it.
#[derive(Clone, Copy)]
pub(super) struct GroupEffects<'a> {
    /// The key of the stream.
    pub(super) key: Key<'a>,
    /// The group's name.
    pub(super) group: &'a [u8],
}

impl GroupEffects<'_> {
    /// A consumer has joined.
    pub(super) fn joined(self, cx: &mut Exec<'_>, consumer: &[u8]) {
        cx.effect(&self.key, &[b"XGROUP", b"CREATECONSUMER", self.key.bytes, self.group, consumer]);
    }

    /// The group has come to an entry, which is so many entries from the beginning.
    pub(super) fn moved(self, cx: &mut Exec<'_>, last_id: Id, entries_read: Option<i64>) {
        if !cx.wants_effects() {
            return;
        }
        let mut read = itoa::Buffer::new();
        let read = read.format(entries_read.unwrap_or(-1)).as_bytes();
        let args =
            [&b"XGROUP"[..], b"SETID", self.key.bytes, self.group, &last_id.text(), b"ENTRIESREAD", read];
        cx.effect(&self.key, &args);
    }

    /// A consumer has got entries, each for so many times, at one time; the group has come to `last_id`.
    pub(super) fn got(
        self,
        cx: &mut Exec<'_>,
        consumer: &[u8],
        delivered_ms: i64,
        last_id: Id,
        entries: &[(Id, u64)],
    ) {
        if !cx.wants_effects() {
            return;
        }
        let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
        let time = time.format(delivered_ms).as_bytes();
        let last_id = last_id.text();
        for run in entries.chunk_by(|a, b| a.1 == b.1).flat_map(|run| run.chunks(AT_ONCE)) {
            let ids: Vec<_> = run.iter().map(|(id, _)| id.text()).collect();
            let mut args = Words::with_capacity(13 + ids.len());
            args.extend([&b"XCLAIM"[..], self.key.bytes, self.group, consumer, b"0"]);
            args.extend(ids.iter().map(|id| &id[..]));
            let deliveries = count.format(run[0].1).as_bytes();
            args.extend([&b"TIME"[..], time, b"RETRYCOUNT", deliveries]);
            args.extend([&b"FORCE"[..], b"JUSTID", b"LASTID", &last_id]);
            cx.effect(&self.key, &args);
        }
    }
}
