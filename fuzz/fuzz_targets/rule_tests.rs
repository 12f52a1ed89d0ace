//! Any text read as a test file gives cases or findings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tocsin::rule::testfile;

fuzz_target!(|text: &str| {
    let file = testfile::parse(text);
    assert!(!(file.cases.is_empty() && file.diagnostics.is_empty()));
});
