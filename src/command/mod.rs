//! What is known about commands before one runs: their declarations, lookup by name, where their keys are.

pub mod keys;
pub mod lookup;
pub mod spec;
pub mod syntax;
