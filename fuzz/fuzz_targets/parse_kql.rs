//! KQL is read, lowered and compiled, or refused with a place inside the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tocsin::query::compile::elastic;
use tocsin::query::lang::kql::{Options, lower, parse};

fuzz_target!(|text: &str| {
    match parse(text, &Options::default()) {
        Err(error) => assert!(error.offset() <= text.len(), "{error}"),
        Ok(expr) => {
            if let Err(found) = lower(&expr, text) {
                assert_eq!(found.code, "KQL006");
            }
            assert!(elastic::query(&expr, None, &elastic::Options::default()).is_ok());
        }
    }
});
