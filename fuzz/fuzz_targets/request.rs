//! Any bytes in any splits into the request parser. What must hold is in `oracle.rs`, which `tests/corpus.rs` shares.

#![no_main]

#[path = "../oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracle::check_request(data));
