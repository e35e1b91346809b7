//! What several integration tests share: servers and clients over sockets, generators of commands,
//! and the checker of recorded histories.
//!
//! Each test binary compiles this module for itself and uses a part of it.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses another part of the support code")]

pub mod bundles;
pub mod client;
pub mod commands;
pub mod history;
pub mod model;
pub mod redis;
pub mod resp;
pub mod rng;
pub mod server;
pub mod workload;

/// A request as a list of arguments, the form in which the support code passes commands around.
pub type Request = Vec<Vec<u8>>;

/// A request from words: `request(&["SET", "k", "v"])`.
pub fn request<T: AsRef<[u8]>>(words: &[T]) -> Request {
    words.iter().map(|word| word.as_ref().to_vec()).collect()
}

/// A request as a person would type it, with everything that is not printable escaped.
pub fn shown(request: &[Vec<u8>]) -> String {
    let words: Vec<String> = request
        .iter()
        .map(|word| {
            let plain = !word.is_empty() && word.iter().all(|b| b.is_ascii_graphic() && *b != b'"');
            if plain { word.escape_ascii().to_string() } else { format!("\"{}\"", word.escape_ascii()) }
        })
        .collect();
    words.join(" ")
}
