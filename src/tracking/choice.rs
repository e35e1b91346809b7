//! What a client has asked for by `CLIENT TRACKING` and `CLIENT CACHING`.
//!
//! `CLIENT CACHING` counts for one command, or for one transaction. Commands run whenever their keys are free, so the end of
//! that is marked when a command is taken up, and takes effect when the next one is.

use std::collections::BTreeSet;

use super::Name;
use crate::runtime::io::{ConnId, CoreId};

/// Which keys a client is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Those that it has read.
    #[default]
    Reads,
    /// Those that it has read right after `CLIENT CACHING YES`.
    OptIn,
    /// Those that it has read, but not right after `CLIENT CACHING NO`.
    OptOut,
    /// All that begin with one of its prefixes.
    Broadcast,
}

/// Whether `CLIENT CACHING` is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Caching {
    /// No.
    #[default]
    No,
    /// The next command is the one that it was given for.
    Given,
    /// That command was taken up, and is the last that was.
    Used,
}

/// The client that gets what is meant for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirect {
    /// Its id.
    pub client: u64,
    /// Its core.
    pub core: CoreId,
    /// Its connection there.
    pub conn: ConnId,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Which keys.
    pub mode: Mode,
    /// Not those that it modifies itself.
    pub no_loop: bool,
    /// Who is told instead.
    pub redirect: Option<Redirect>,
    /// That client was found to be gone.
    pub broken: bool,
    /// `CLIENT CACHING`.
    pub caching: Caching,
    /// In broadcasting mode, at least one.
    pub prefixes: BTreeSet<Name>,
    /// Those of them that the present command adds, while other cores get to know of them.
    pub joining: Vec<Name>,
}

impl Choice {
    /// Whether the keys that the present command reads are to be remembered.
    pub fn remembers(&self) -> bool {
        match self.mode {
            Mode::Reads => true,
            Mode::OptIn => self.caching != Caching::No,
            Mode::OptOut => self.caching == Caching::No,
            Mode::Broadcast => false,
        }
    }

    /// A command is taken up; `keeps` if it is none that uses `CLIENT CACHING` up.
    pub fn begin_command(&mut self, keeps: bool) {
        if self.caching == Caching::Used {
            self.caching = Caching::No;
        }
        if !keeps {
            self.use_caching();
        }
    }

    /// Nothing after the present command is meant by `CLIENT CACHING`.
    pub fn use_caching(&mut self) {
        if self.caching == Caching::Given {
            self.caching = Caching::Used;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caching_counts_for_one_command() {
        for (mode, usual) in [(Mode::OptIn, false), (Mode::OptOut, true)] {
            let mut choice = Choice { mode, ..Choice::default() };
            choice.begin_command(false);
            assert_eq!(choice.remembers(), usual);
            choice.caching = Caching::Given;
            choice.begin_command(true);
            choice.begin_command(false);
            assert_eq!(choice.remembers(), !usual);
            choice.begin_command(true);
            assert_eq!((choice.remembers(), choice.caching), (usual, Caching::No));
        }
        let broadcast = Choice { mode: Mode::Broadcast, caching: Caching::Given, ..Choice::default() };
        assert!(!broadcast.remembers() && Choice::default().remembers());
    }
}
