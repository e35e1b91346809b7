//! What is appended: effects in frames, and the parts of transactions, which wait to be settled.

use super::Log;
use crate::aof::frame::{self, Txn};
use crate::config::AppendFsync;
use crate::shard::Effect;

/// A part of a transaction that may be cut off.
#[derive(Debug)]
pub(super) struct Part {
    /// Log numbers of its frame.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) txn: Txn,
    pub(super) settled: bool,
}

impl Part {
    fn is_of(&self, coordinator: u16, number: u64) -> bool {
        (self.txn.coordinator, self.txn.number) == (coordinator, number)
    }
}

impl Log {
    /// What is appended now happens at this time, Unix seconds, which is written down in front of it unless it has been.
    pub fn note_time(&mut self, now_s: i64) {
        if now_s > self.timed_s {
            self.timed_s = now_s;
            self.time_s = Some(now_s);
        }
    }

    /// Begins with this time, Unix seconds, even if nothing follows: so a segment tells by itself what the files before it
    /// can hold, and what not.
    pub fn begin_at(&mut self, now_s: i64) {
        self.timed_s = 0;
        self.note_time(now_s);
        self.append(std::iter::empty(), None);
    }

    /// Appends what a command has done here, or one shard's part of a transaction. It is never cut in two. Returns the log number
    /// behind it.
    pub fn append<'a>(&mut self, effects: impl Iterator<Item = Effect<'a>>, txn: Option<&Txn>) -> u64 {
        match txn {
            None => {
                self.open_frame();
                self.collect(effects);
            }
            Some(txn) => self.append_part(effects, txn),
        }
        if self.settings.sync == AppendFsync::Always {
            self.demanded = self.end;
        }
        self.end
    }

    pub(super) fn collect<'a>(&mut self, effects: impl Iterator<Item = Effect<'a>>) {
        let before = self.frames.len();
        if let Some(time_s) = self.time_s.take() {
            self.frames.extend_from_slice(format!("#TS:{time_s}\r\n").as_bytes());
        }
        for effect in effects {
            if self.selected.replace(effect.db) != Some(effect.db) {
                let db = effect.db.to_string();
                self.frames
                    .extend_from_slice(format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{db}\r\n", db.len()).as_bytes());
            }
            self.frames.extend_from_slice(effect.command);
        }
        self.end += (self.frames.len() - before) as u64;
    }

    /// Begins a frame unless one is open, in the next segment if this one is full.
    pub(super) fn open_frame(&mut self) {
        if self.open.is_some() {
            return;
        }
        if self.frames.is_empty() && self.segment.end > self.segment.size / 8 * 7 {
            self.take_next();
        }
        self.open = Some(self.frames.len());
        self.frames.resize(self.frames.len() + frame::HEADER_LEN, 0);
    }

    /// Goes on to the next segment if it is there.
    pub(super) fn take_next(&mut self) -> bool {
        let Some(next) = self.next.take() else { return false };
        let former = std::mem::replace(&mut self.segment, next);
        self.former.push((former.file, former.end));
        self.selected = None;
        true
    }

    /// Completes the frame that is open.
    pub(super) fn seal(&mut self) {
        let Some(open) = self.open.take() else { return };
        let (header, payload) = self.frames[open..].split_at_mut(frame::HEADER_LEN);
        let lsn = self.end - payload.len() as u64;
        if payload.is_empty() {
            self.frames.truncate(open);
        } else {
            let room = header.try_into().expect("so much room was left");
            frame::seal(room, payload, lsn, self.stable, self.seed);
        }
    }

    /// One shard's part of a transaction has a frame of its own.
    pub(super) fn append_part<'a>(&mut self, effects: impl Iterator<Item = Effect<'a>>, txn: &Txn) {
        self.seal();
        self.open_frame();
        let open = self.open.take().expect("it was just opened");
        let start = self.end;
        self.collect(effects);
        if self.end == start {
            // What changes nothing here still has to have a place in the log.
            self.frames.extend_from_slice(b"#\n");
            self.end += 2;
        }
        let payload = self.frames.split_off(open + frame::HEADER_LEN);
        self.frames.truncate(open);
        frame::seal_txn(&mut self.frames, &payload, start, self.stable, txn, self.seed);
        if let Some(at) = self.hastened.iter().position(|of| *of == (txn.coordinator, txn.number)) {
            self.hastened.swap_remove(at);
            self.demand(self.end);
        }
        self.parts.push_back(Part { start, end: self.end, txn: txn.clone(), settled: false });
    }

    /// Somebody waits for a transaction that is not settled; a part of it is here, or will be.
    pub fn hasten(&mut self, coordinator: u16, number: u64) {
        match self.parts.iter().find(|part| part.is_of(coordinator, number)) {
            Some(part) => self.demand(part.end),
            None => self.hastened.push((coordinator, number)),
        }
    }

    /// A transaction that has a stable part here can be lost no more.
    pub fn on_settled(&mut self, coordinator: u16, number: u64) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.is_of(coordinator, number)) {
            part.settled = true;
        }
        while self.parts.front().is_some_and(|part| part.settled) {
            self.parts.pop_front();
            self.told = self.told.saturating_sub(1);
            self.asked = self.asked.saturating_sub(1);
        }
    }

    /// Parts of transactions that have become stable since the last call, in order.
    pub fn stable_parts(&mut self) -> Vec<Txn> {
        let stable = self.stable;
        let news = self.parts.range(self.told..).take_while(|part| part.end <= stable);
        let news: Vec<Txn> = news.map(|part| part.txn.clone()).collect();
        self.told += news.len();
        news
    }

    /// Transactions that somebody has begun to wait for since the last call, and that other shards do not know to be waited
    /// for: their coordinators and numbers.
    pub fn wanted_parts(&mut self) -> Vec<(u16, u64)> {
        if self.settings.sync == AppendFsync::Always {
            return Vec::new();
        }
        let demanded = self.demanded;
        let news = self.parts.range(self.asked..self.told).take_while(|part| part.start < demanded);
        let news: Vec<_> = news.map(|part| (part.txn.coordinator, part.txn.number)).collect();
        self.asked += news.len();
        news
    }
}
