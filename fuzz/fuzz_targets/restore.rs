//! Any bytes as the value that `RESTORE` takes. What must hold is in `restore_oracle.rs`, which `tests/corpus.rs` shares.

#![no_main]

#[path = "../restore_oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    oracle::check_restore(data);
});
