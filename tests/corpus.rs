//! Replays the fuzzer's corpus, so that what was once found stays found without a fuzzer or a nightly compiler.

use std::fs;
use std::path::Path;

#[path = "../fuzz/oracle.rs"]
mod oracle;

#[test]
fn the_request_parser_passes_its_corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/request");
    let mut cases = 0;
    for entry in fs::read_dir(folder).expect("a folder of cases") {
        let path = entry.expect("a folder entry").path();
        println!("{}", path.display()); // shown if the case fails
        let case = fs::read(&path).expect("a readable case");
        oracle::check_request(&case);
        // The same stream under other limits.
        for limits in 0..4 {
            oracle::check_request(&[&[limits], &case[1..]].concat());
        }
        cases += 1;
    }
    assert!(cases >= 20, "only {cases} cases");
}
