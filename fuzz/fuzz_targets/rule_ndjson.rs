//! Any text read as an export gives rules, objects or findings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tocsin::rule::load::ndjson;

fuzz_target!(|text: &str| {
    let loaded = ndjson::read(text, |_| String::from("0"));
    assert!(loaded.rules.len() <= loaded.heads.len());
});
