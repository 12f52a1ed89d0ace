//! What is printed reads back as what it was printed from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tocsin::query::lang::kql::{Options, parse};

fuzz_target!(|text: &str| {
    let options = Options::default();
    let Ok(expr) = parse(text, &options) else { return };
    let printed = expr.to_string();
    match parse(&printed, &options) {
        Ok(again) => assert_eq!(again, expr, "{text:?} printed as {printed:?}"),
        // Spelling out value lists and adding brackets may take a text over the limits.
        Err(error) => assert!(printed.len() > text.len(), "{text:?} printed as {printed:?}: {error}"),
    }
});
