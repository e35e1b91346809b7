//! What is written: blocks handed out, and what their ends and those of syncs say about which of the log is on stable storage.

use super::{Failure, Log, Order, RETRY_INTERVAL_NS, SyncUnderWay, Took, WRITE_MAX_BYTES, Write};
use crate::aof::frame;
use crate::config::AppendFsync;
use crate::runtime::blocks::{BLOCK_BYTES, Blocks};
use crate::runtime::io::{FileId, WriteMode};

impl Log {
    /// Hands out everything that was appended, to be written.
    pub(super) fn hand_out(&mut self, mode: WriteMode, now_ns: u64, orders: &mut Vec<Order>) {
        self.seal();
        if self.frames.is_empty() {
            return;
        }
        let first_awaited = mode == WriteMode::Prompt && !self.is_awaited();
        let segment = &mut self.segment;
        let last = self.writes.iter().rfind(|write| write.file == segment.file);
        let is_idle = last.is_none_or(|write| write.done);
        let block = BLOCK_BYTES as u64;
        let mut offset = segment.end / block * block;
        if !is_idle && !segment.end.is_multiple_of(block) {
            offset += block;
            segment.tail.clear();
        }
        if (segment.tail.len() + self.frames.len()) % BLOCK_BYTES == BLOCK_BYTES - 1 {
            // Padding takes two bytes at least.
            self.frames.extend_from_slice(b"#\n");
        }
        let unpadded = segment.tail.len() + self.frames.len();
        segment.end = offset + unpadded as u64;
        let mut padding = [0; BLOCK_BYTES];
        let padding = &mut padding[..unpadded.next_multiple_of(BLOCK_BYTES) - unpadded];
        let padded = frame::pad(padding);
        debug_assert!(padded);
        for blocks in in_blocks([&segment.tail, &self.frames, padding]) {
            let len = blocks.len() as u64;
            segment.tail.clear();
            let last = &blocks.bytes()[blocks.len() - BLOCK_BYTES..];
            segment.tail.extend_from_slice(&last[..unpadded % BLOCK_BYTES]);
            let (id, file) = (self.next_write, segment.file);
            self.next_write = self.next_write.wrapping_add(1);
            orders.push(Order::Write { id, file, offset, blocks, mode });
            self.writes.push_back(Write {
                id,
                file,
                offset,
                started_ns: now_ns,
                end: self.handed,
                mode,
                done: false,
            });
            offset += len;
        }
        self.frames.clear();
        self.frames.shrink_to(WRITE_MAX_BYTES);
        self.handed = self.end;
        if let Some(last) = self.writes.back_mut() {
            last.end = self.end;
        }
        if first_awaited {
            self.awaited = self.end;
        }
        if mode != WriteMode::Stable {
            (self.plain_end, self.last_plain_ns) = (self.end, now_ns);
            if !self.unsynced.contains(&segment.file) {
                self.unsynced.push(segment.file);
            }
        }
    }

    /// A write is over, and gives its blocks back.
    pub fn on_wrote(&mut self, id: u32, blocks: Blocks, result: Result<(), i32>, now_ns: u64) {
        let Some(write) = self.writes.iter_mut().find(|write| write.id == id) else { return };
        if let Err(error) = result {
            // The kernel tells of what it has lost once: this may have been the report on plain writes before.
            let loses_plain =
                write.mode == WriteMode::Stable && error == libc::EIO && self.plain_end > self.stable;
            match loses_plain {
                _ if self.is_lossy() => {}
                true => (self.failure, self.switched) = (Some(Failure::Sync(error)), false),
                false => self.failure = Some(Failure::Write(error)),
            }
            self.failed.push((id, blocks));
            self.retry_ns = now_ns + RETRY_INTERVAL_NS;
            return;
        }
        write.done = true;
        self.durations.push(Took {
            ns: now_ns.saturating_sub(write.started_ns),
            stable: write.mode == WriteMode::Stable,
        });
        while self.writes.front().is_some_and(|write| write.done) {
            let write = self.writes.pop_front().expect("there is one");
            self.written = write.end;
            if write.mode == WriteMode::Stable {
                self.count_stable();
            }
        }
        if self.failed.is_empty() && matches!(self.failure, Some(Failure::Write(_))) {
            self.failure = None;
        }
    }

    /// What is written is stable if no plain write is among it that was not synced.
    pub(super) fn count_stable(&mut self) {
        if self.plain_end <= self.stable && !self.is_lossy() {
            self.stable = self.stable.max(self.written);
        }
    }

    pub(super) fn sync_if_due(&mut self, now_ns: u64, orders: &mut Vec<Order>) {
        let awaited = if self.broken { self.plain_end } else { self.awaited };
        let waits = self.demanded > self.stable && self.plain_end > self.stable && self.written >= awaited;
        let many = self.settings.unsynced_max_bytes;
        let full = many > 0 && self.written - self.stable.min(self.written) > many;
        let in_time = self.settings.sync == AppendFsync::EverySecond
            && now_ns >= self.last_sync_ns + self.settings.sync_interval_ns;
        if self.written <= self.stable || !(waits || full || in_time) || self.is_lossy() {
            return;
        }
        if self.sync.is_some() {
            self.delayed_syncs += u64::from(in_time && !std::mem::replace(&mut self.delayed, true));
            return;
        }
        // What is being written right now is for the next one.
        let files = std::mem::take(&mut self.unsynced);
        for write in self.writes.iter().filter(|write| write.mode != WriteMode::Stable) {
            if !self.unsynced.contains(&write.file) {
                self.unsynced.push(write.file);
            }
        }
        if files.is_empty() {
            // What no sync has covered is in a base.
            self.stable = self.written;
            return;
        }
        orders.extend(files.iter().map(|&file| Order::Sync(file)));
        self.sync = Some(SyncUnderWay { target: self.written, files, started_ns: now_ns });
        (self.last_sync_ns, self.delayed) = (now_ns, false);
    }

    /// A sync is over.
    pub fn on_synced(&mut self, file: FileId, result: Result<(), i32>, now_ns: u64) {
        if let Err(error) = result {
            (self.failure, self.switched) = (Some(Failure::Sync(error)), false);
            return;
        }
        if self.is_lossy() {
            // Not all files that belong together are stable.
            return;
        }
        let Some(sync) = &mut self.sync else { return };
        sync.files.retain(|other| *other != file);
        if sync.files.is_empty() {
            self.durations.push(Took { ns: now_ns.saturating_sub(sync.started_ns), stable: true });
            self.stable = self.stable.max(sync.target);
            self.sync = None;
            self.count_stable();
        }
    }

    /// Gives up former segments where nothing is under way.
    pub(super) fn retire(&mut self, orders: &mut Vec<Order>) {
        let Log { former, writes, unsynced, sync, .. } = self;
        former.retain(|(file, end)| {
            let busy = writes.iter().any(|write| write.file == *file)
                || unsynced.contains(file)
                || sync.as_ref().is_some_and(|sync| sync.files.contains(file));
            if !busy {
                orders.push(Order::Retire(*file, *end));
            }
            busy
        });
    }
}

/// Whole blocks that hold these parts, which are whole blocks together, in writes of [`WRITE_MAX_BYTES`] at most.
fn in_blocks(parts: [&[u8]; 3]) -> Vec<Blocks> {
    let mut left: usize = parts.iter().map(|part| part.len()).sum();
    let mut writes = Vec::with_capacity(left.div_ceil(WRITE_MAX_BYTES));
    for mut part in parts {
        while !part.is_empty() {
            if writes.last().is_none_or(|blocks: &Blocks| blocks.room_left() == 0) {
                writes.push(Blocks::with_room(left.min(WRITE_MAX_BYTES)));
            }
            let blocks = writes.last_mut().expect("there is one with room");
            let (now, later) = part.split_at(part.len().min(blocks.room_left()));
            blocks.extend(now);
            part = later;
            left -= now.len();
        }
    }
    writes
}
