//! Lua scripts and functions (redis.io/docs/latest/develop/interact/programmability): what they are, the sandbox that they
//! run in, and how they run.
//!
//! A script knows no client, shard or core. It runs on a stack of its own as a [`Run`], which its driver resumes: the run
//! says [`Step::Command`] when the script calls a command, and goes on with the reply that the driver brings. Commands are
//! checked by the driver too; what it refuses it answers with an error reply.
//!
//! | File | Holds |
//! |---|---|
//! | `program` | Scripts and functions, their flags, whether they may run |
//! | `shared` | What all cores share: the cache of scripts, the libraries |
//! | `engine` | What a core has: VMs, and copies of what is shared |
//! | `vm` | One Lua VM: compiling, calling, the reply |
//! | `fiber`, `task` | The stack of a run, and what the run and its driver tell each other |
//! | `state` | Lua's C interface |
//! | `sandbox`, `base`, `api` | What scripts see: globals, Lua's functions, `redis` |
//! | `convert` | Replies as Lua values and back |
//! | `lib` | `cjson`, `cmsgpack`, `bit`, `struct` |
//!
//! Functions that Lua calls are written with [`state`], which names the invariants that they keep.

mod api;
mod base;
mod convert;
mod engine;
mod fiber;
pub mod lib;
pub mod program;
mod sandbox;
pub mod shared;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod vm;

use std::rc::Rc;

use crate::config::LogLevel;

pub use engine::{Engine, Input, Refusal, Run, Step};
pub use program::{Flags, Function, Permissions, Program, Script, Situation, check, split_keys};
pub use shared::{Figures, Libraries, Policy, Scripts};

/// Where `redis.log` writes.
pub type Logger = Rc<dyn Fn(LogLevel, &str)>;

/// The error that ends a script which `SCRIPT KILL` or `FUNCTION KILL` has killed.
pub const KILLED: &str = "Script killed by user with SCRIPT KILL...";
