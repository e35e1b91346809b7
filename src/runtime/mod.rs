//! Cores, bytes and time. Nothing here knows of RESP, keys or commands.
//!
//! [`io`] holds the traits that everything above is written against; [`ring`], [`mailbox`] and [`cpu`] implement
//! them on Linux, [`sim`] implements them for seeded simulation.

pub mod alloc;
pub mod blocks;
pub mod buffer;
pub mod cpu;
pub mod io;
pub mod mailbox;
pub mod ring;
pub mod sim;
pub mod system;
pub mod waker;
