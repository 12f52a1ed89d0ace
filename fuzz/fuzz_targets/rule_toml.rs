//! Any text read as a rule in TOML gives a rule or findings, all of them inside the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tocsin::rule::load::toml;

fuzz_target!(|text: &str| {
    let loaded = toml::read(text, "0");
    for found in &loaded.diagnostics {
        assert!(found.span.is_none_or(|span| span.start <= span.end && span.end <= text.len() + 1));
    }
    assert!(loaded.rules.len() <= 1);
});
