//! Effects: what commands have done to the data set, as commands that do the same again, for logs and replicas.
//!
//! An effect is *deterministic* (times are absolute, random choices and generated IDs are written out) and concerns *one
//! slot*, so that the log of the shard that owns the slot tells all that has happened there. A command on keys of several
//! slots leaves one effect for each key, unless all of them belong to one shard (see [`Effects::each_key`]). What concerns
//! whole databases belongs to every shard.
//!
//! Handlers leave effects in the order in which they change keys. One that leaves none, but counts changes, has its own
//! arguments as its effect. Whoever ran the handler takes the effects, and passes them to the log as one unit.
//!
//! Representation: the commands as RESP, one after the other, and for each its database, its slot, and where it ends; and the
//! slots of whatever other keys the commands name. While
//! nobody consumes effects, which is the default, one look at a flag is all that is done.

use super::Slot;

/// Where an effect belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To the shard with this slot.
    Slot(Slot),
    /// To every shard: it concerns whole databases.
    Everywhere,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    db: u16,
    reach: Reach,
    /// Where it ends in `bytes`.
    end: usize,
}

/// One effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect<'a> {
    /// Index of the database.
    pub db: u16,
    /// Where it belongs.
    pub reach: Reach,
    /// The command, as RESP.
    pub command: &'a [u8],
}

/// See the module.
#[derive(Debug, Default)]
pub struct Effects {
    on: bool,
    each_key: bool,
    bytes: Vec<u8>,
    marks: Vec<Mark>,
    /// Slots of further keys that the commands name.
    further: Vec<Slot>,
}

impl Effects {
    /// Sets whether effects are collected.
    pub fn collect(&mut self, on: bool) {
        self.on = on;
    }

    /// Whether they are.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Sets whether keys of several shards are here (on a workbench, in a united shard).
    pub fn set_each_key(&mut self, each_key: bool) {
        self.each_key = each_key;
    }

    /// Whether an effect may name one key only, because the keys here belong to several shards.
    #[inline]
    pub fn each_key(&self) -> bool {
        self.each_key
    }

    /// How many effects there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Leaves an effect if effects are collected.
    #[inline]
    pub fn leave(&mut self, db: usize, reach: Reach, args: &[&[u8]]) {
        if self.on {
            self.write(db, reach, args);
        }
    }

    fn write(&mut self, db: usize, reach: Reach, args: &[&[u8]]) {
        self.write_header(b'*', args.len());
        for arg in args {
            self.write_header(b'$', arg.len());
            self.bytes.extend_from_slice(arg);
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.marks.push(Mark { db: db as u16, reach, end: self.bytes.len() });
    }

    /// Nearly all numbers have one digit or two: these are written as one piece of known length, because this is done for each
    /// argument of each change.
    #[inline]
    fn write_header(&mut self, sign: u8, number: usize) {
        match number {
            0..10 => self.bytes.extend_from_slice(&[sign, b'0' + number as u8, b'\r', b'\n']),
            10..100 => {
                let (tens, ones) = ((number / 10) as u8, (number % 10) as u8);
                self.bytes.extend_from_slice(&[sign, b'0' + tens, b'0' + ones, b'\r', b'\n']);
            }
            _ => {
                self.bytes.push(sign);
                self.bytes.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
                self.bytes.extend_from_slice(b"\r\n");
            }
        }
    }

    /// An effect names this key, too, which is not the one that tells where the effect belongs.
    #[inline]
    pub fn names_further(&mut self, slot: Slot) {
        if self.on {
            self.further.push(slot);
        }
    }

    /// Slots of further keys that the effects name.
    pub fn further(&self) -> &[Slot] {
        &self.further
    }

    /// The effects, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Effect<'_>> {
        let mut start = 0;
        self.marks.iter().map(move |mark| {
            let command = &self.bytes[start..mark.end];
            start = mark.end;
            Effect { db: mark.db, reach: mark.reach, command }
        })
    }

    /// Moves all effects of another collection behind those that are here.
    pub fn append(&mut self, other: &mut Effects) {
        let before = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        self.further.append(&mut other.further);
        self.marks.extend(other.marks.drain(..).map(|mark| Mark { end: before + mark.end, ..mark }));
    }

    /// Adds an effect that was left elsewhere.
    pub fn push(&mut self, effect: Effect<'_>) {
        self.bytes.extend_from_slice(effect.command);
        self.marks.push(Mark { db: effect.db, reach: effect.reach, end: self.bytes.len() });
    }

    /// Takes all effects out. What takes them collects none.
    pub fn take(&mut self) -> Effects {
        Effects {
            bytes: std::mem::take(&mut self.bytes),
            marks: std::mem::take(&mut self.marks),
            further: std::mem::take(&mut self.further),
            ..Effects::default()
        }
    }

    /// Forgets all effects.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(1 << 20);
        self.marks.clear();
        self.further.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_are_commands_in_order() {
        let mut effects = Effects::default();
        effects.leave(0, Reach::Everywhere, &[b"FLUSHALL"]);
        assert!(effects.is_empty(), "nobody wants them");
        effects.collect(true);
        let slot = Reach::Slot(Slot::of(b"k"));
        effects.leave(1, slot, &[b"SET", b"k", b""]);
        let mut more = Effects::default();
        more.collect(true);
        more.leave(0, Reach::Everywhere, &[b"FLUSHALL"]);
        effects.append(&mut more);
        assert!(more.is_empty());
        let all: Vec<_> = effects.iter().collect();
        assert_eq!(
            all[0],
            Effect { db: 1, reach: slot, command: b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n" }
        );
        assert_eq!(all[1].command, b"*1\r\n$8\r\nFLUSHALL\r\n");
        assert_eq!(all.len(), 2);
        effects.clear();
        assert_eq!(effects.iter().count(), 0);
    }
}
