//! Publishing keyspace events. They are collected while a command runs, or while keys expire, and published right after it,
//! by the core on which it ran.

use crate::base::event_classes::EventClasses;
use crate::core::state::CoreState;
use crate::shard::Event;

impl CoreState {
    /// Publishes what has happened to keys of this shard, and to entries on the workbench. Called after each command.
    #[inline]
    pub(super) fn publish_events(&mut self) {
        if self.shard.events.is_pending() | self.workbench.events.is_pending() {
            self.publish_pending_events();
        }
    }

    #[cold]
    fn publish_pending_events(&mut self) {
        for shard in [false, true] {
            let events = if shard { &mut self.shard.events } else { &mut self.workbench.events };
            for event in events.take() {
                self.publish_event(&event);
            }
        }
    }

    /// Publishes an event.
    pub(super) fn publish_event(&mut self, Event { db, name, key }: &Event) {
        let kinds = self.config.notify_keyspace_events;
        if kinds.contains(EventClasses::KEYSPACE) {
            let mut channel = format!("__keyspace@{db}__:").into_bytes();
            channel.extend_from_slice(key);
            self.publish(&channel, name.as_bytes(), false);
        }
        if kinds.contains(EventClasses::KEYEVENT) {
            self.publish(format!("__keyevent@{db}__:{name}").as_bytes(), key, false);
        }
    }
}
