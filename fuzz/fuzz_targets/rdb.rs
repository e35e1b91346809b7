//! Any bytes as an RDB file. What must hold is in `rdb_oracle.rs`, which `tests/corpus.rs` shares.

#![no_main]

#[path = "../rdb_oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    oracle::check_rdb(data);
});
