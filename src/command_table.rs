//! THE table: every command with its declaration. `COMMAND`, lookup, arity errors, ACL
//! categories, key extraction and routing over shards are derived from it; nothing else names a command.

use crate::command::spec::Spec;

/// One row: a command, its handler's place in the code and its subcommands.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The declaration.
    pub spec: Spec,
    /// Subcommands, empty for an ordinary command.
    pub subcommands: &'static [Entry],
}

/// All commands.
pub static TABLE: &[Entry] = &[];
