//! Any bytes as append-only files. What must hold is in `aof_oracle.rs`, which `tests/corpus.rs` shares.

#![no_main]

#[path = "../aof_oracle.rs"]
#[allow(dead_code, reason = "it has a part for manifests")]
mod oracle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    oracle::check_folder(data);
});
