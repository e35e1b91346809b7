//! Function libraries in the logs. They belong to no shard; core 0's log has them.
//!
//! Libraries change on any core, under a lock of their own, so the order in which the cores tell of it need not be that of the
//! changes. Hence nobody tells what has changed: core 0 compares the libraries with those of the last time.

use std::sync::Arc;

use crate::core::state::CoreState;
use crate::route::message::{Answer, Message};
use crate::runtime::io::CoreId;
use crate::script::Libraries;
use crate::shard::{Effects, Reach, Slot};

impl CoreState {
    /// Libraries have changed: logs them, and answers when that is safe if it is to be `durable`.
    pub(in crate::core) fn on_libraries(&mut self, from: CoreId, number: u64, durable: bool) {
        self.log_libraries();
        let until = if durable && self.core.index() == 0 { self.log_end() } else { 0 };
        self.send_when_safe(until, from, Message::Answer { number, answer: Answer::Done });
    }

    /// What is in the base or in the log already.
    pub(super) fn know_libraries(&mut self, logged: Arc<Libraries>) {
        self.journal.libraries = logged;
    }

    /// Logs what has become of the libraries since the last time.
    pub(super) fn log_libraries(&mut self) {
        if self.core.index() != 0 || !self.journal.is_on() || self.loading.is_some() {
            return;
        }
        let now = self.shared.scripts.libraries();
        let before = std::mem::replace(&mut self.journal.libraries, Arc::clone(&now));
        let mut effects = Effects::default();
        effects.collect(true);
        let reach = Reach::Slot(Slot::of(b""));
        let mut leave = |args: &[&[u8]]| effects.leave(0, reach, args);
        let mut gone = before.all().filter(|library| now.get(library.name()).is_none());
        let is_known =
            |name: &[u8], library| before.get(name).is_some_and(|other| Arc::ptr_eq(other, library));
        let mut new = now.all().filter(|library| !is_known(library.name(), library));
        match (gone.next(), gone.next(), new.next(), new.next()) {
            (None, _, None, _) => {}
            (None, _, Some(library), None) => leave(&[b"FUNCTION", b"LOAD", b"REPLACE", library.text()]),
            (Some(library), None, None, _) => leave(&[b"FUNCTION", b"DELETE", library.name()]),
            _ => leave(&[b"FUNCTION", b"RESTORE", &self.shared.scripts.dump_libraries(), b"FLUSH"]),
        }
        if !effects.is_empty() {
            self.log_effects();
            self.log_part(&effects, None);
        }
    }
}
