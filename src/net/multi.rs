//! Commands that wait for `EXEC` (redis.io/docs/latest/develop/interact/transactions).
//!
//! Representation: the bytes of all arguments of all commands one after the other, with where each argument ends, and for
//! each command which arguments are its own. So a queue of small commands needs three allocations at most, and the memory of
//! one that has run serves the next.

use smallvec::SmallVec;

use crate::command::lookup::CommandId;

/// Bytes of an emptied queue that are kept for the next one.
const SPARE_BYTES_MAX: usize = 16 * 1024;

/// What `MULTI` has begun. See the module.
#[derive(Debug, Default)]
pub struct Multi {
    bytes: Vec<u8>,
    /// Ends of arguments in `bytes`.
    ends: Vec<usize>,
    commands: Vec<(CommandId, usize)>,
    /// A command was refused: `EXEC` will not run anything.
    pub broken: bool,
}

impl Multi {
    /// Adds a command.
    pub fn push(&mut self, command: CommandId, args: &[&[u8]]) {
        for arg in args {
            self.bytes.extend_from_slice(arg);
            self.ends.push(self.bytes.len());
        }
        self.commands.push((command, self.ends.len()));
    }

    /// Number of commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The command with this number and its arguments.
    pub fn get(&self, at: usize) -> Option<(CommandId, SmallVec<[&[u8]; 8]>)> {
        let &(command, last) = self.commands.get(at)?;
        let first = if at == 0 { 0 } else { self.commands[at - 1].1 };
        let mut start = if first == 0 { 0 } else { self.ends[first - 1] };
        let args = self.ends[first..last].iter().map(|&end| {
            let arg = &self.bytes[start..end];
            start = end;
            arg
        });
        Some((command, args.collect()))
    }

    /// All commands in their order.
    pub fn iter(&self) -> impl Iterator<Item = (CommandId, SmallVec<[&[u8]; 8]>)> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// Heap bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.commands.capacity() * size_of::<(CommandId, usize)>()
    }

    /// Empties it; its memory is kept if that is little.
    pub fn clear(&mut self) {
        if self.memory_bytes() > SPARE_BYTES_MAX {
            *self = Multi::default();
        }
        self.bytes.clear();
        self.ends.clear();
        self.commands.clear();
        self.broken = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn commands_come_back_as_they_went_in(
            commands in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 1..5), 0..8)
        ) {
            let mut multi = Multi::default();
            for _ in 0..2 {
                for (number, args) in commands.iter().enumerate() {
                    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                    multi.push(CommandId(number as u16), &args);
                }
                prop_assert_eq!(multi.len(), commands.len());
                for (number, args) in commands.iter().enumerate() {
                    let (command, found) = multi.get(number).unwrap();
                    prop_assert_eq!(command, CommandId(number as u16));
                    prop_assert_eq!(&found.iter().map(|arg| arg.to_vec()).collect::<Vec<_>>(), args);
                }
                prop_assert!(multi.get(commands.len()).is_none());
                multi.clear();
                prop_assert!(multi.is_empty() && multi.iter().next().is_none());
            }
        }
    }

    #[test]
    fn little_memory_is_kept() {
        let mut multi = Multi::default();
        multi.push(CommandId(0), &[&[b'x'; 100_000]]);
        multi.clear();
        assert_eq!(multi.memory_bytes(), 0);
        multi.push(CommandId(0), &[b"x"]);
        let bytes = multi.memory_bytes();
        multi.clear();
        assert_eq!(multi.memory_bytes(), bytes);
    }
}
