//! What handlers leave as effects; see [`crate::shard::effects`].
//!
//! A command is its own effect if running its arguments again does the same, and its key is the first of them; nothing is
//! to be done for that. Others leave effects here, in the forms in which Redis writes such commands to its own log
//! (redis.io/docs/latest/operate/oss_and_stack/management/persistence). Where keys are combined the result is written as a
//! whole, since its sources may be in another shard's log.

use smallvec::SmallVec;

use super::Exec;
use crate::rdb::payload;
use crate::shard::{Key, Reach, Shard};

/// Arguments of an effect.
pub(super) type Words<'a> = SmallVec<[&'a [u8]; 16]>;

impl Exec<'_> {
    /// Whether effects are collected: if not, they need not be put together.
    #[inline]
    pub fn wants_effects(&self) -> bool {
        self.shard.effects.is_on()
    }

    /// Leaves an effect in the place of the command's own arguments.
    #[inline]
    pub fn effect(&mut self, key: &Key<'_>, args: &[&[u8]]) {
        self.has_own_effects = true;
        self.shard.effects.leave(self.db, Reach::Slot(key.slot), args);
    }

    /// Leaves the command's own arguments as an effect, which belongs to this key.
    pub fn arguments_effect(&mut self, key: &Key<'_>) {
        self.effect(key, self.args);
    }

    /// Leaves the command's own arguments as an effect on whole databases.
    pub fn everywhere_effect(&mut self) {
        self.has_own_effects = true;
        self.shard.effects.leave(self.db, Reach::Everywhere, self.args);
    }

    /// Leaves the removal of a key as an effect.
    pub fn deletion_effect(&mut self, key: &Key<'_>) {
        self.effect(key, &[b"DEL", key.bytes]);
    }

    /// Leaves all that a key holds now as an effect.
    pub fn value_effect(&mut self, db: usize, key: &Key<'_>) {
        self.has_own_effects = true;
        if self.wants_effects() {
            leave_value(self.shard, db, key);
        }
    }
}

/// `SET` for a string, `RESTORE` for whatever else.
fn leave_value(shard: &mut Shard, db: usize, key: &Key<'_>) {
    let Shard { dbs, effects, .. } = shard;
    let Some(item) = dbs.of(db, key).get(key) else { return };
    let reach = Reach::Slot(key.slot);
    let mut digits = itoa::Buffer::new();
    let at = item.expire_at_ms().map(|at| digits.format(at).as_bytes());
    if item.value().is_some() {
        let value = payload::dump(item, false);
        let args = [b"RESTORE", key.bytes, at.unwrap_or(b"0"), &value, b"REPLACE", b"ABSTTL"];
        return effects.leave(db, reach, &args);
    }
    item.str().with_bytes(|value| match at {
        Some(at) => effects.leave(db, reach, &[b"SET", key.bytes, value, b"PXAT", at]),
        None => effects.leave(db, reach, &[b"SET", key.bytes, value]),
    });
}
