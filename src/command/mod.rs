//! What is known about commands before one runs: their declarations, lookup by name, where their keys are.

pub mod help;
pub mod introspect;
pub mod keys;
pub mod lookup;
pub mod spec;
pub mod syntax;
