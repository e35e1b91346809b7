//! Clients of one core: what a session has chosen, what a connection has under way. No I/O and no keys.

pub mod client;
pub mod clients;
pub mod hold;
pub mod listener;
pub mod multi;
pub mod reply_row;
