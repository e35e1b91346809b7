//! What is known about commands before one runs: their declarations, lookup by name, where their keys are.

pub mod spec;
