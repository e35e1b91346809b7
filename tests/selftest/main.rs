//! Tests of the test support itself, above all of the history checker: it must accept what a correct server
//! does and catch every kind of violation that the design rules out. They have a binary of their
//! own so that the other tests, which all include the support code, do not run them again.

mod commands;
mod history;
mod model;
mod resp;
mod workload;

#[path = "../support/mod.rs"]
mod support;
