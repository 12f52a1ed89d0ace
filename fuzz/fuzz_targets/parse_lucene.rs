//! A query string is read, lowered and printed, or refused with a place inside the text; what is
//! printed reads back as what it was printed from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tocsin::query::compile::elastic::filter_query;
use tocsin::query::lang::lucene::{Options, lower, parse};

fuzz_target!(|text: &str| {
    match parse(text) {
        Err(error) => assert!(error.offset() <= text.len(), "{error}"),
        Ok(expression) => {
            match lower(&expression, text, &Options::default()) {
                Ok(filter) => drop(filter_query(&filter)),
                Err(found) => assert_eq!(found.code, "LUC005"),
            }
            let printed = expression.to_string();
            match parse(&printed) {
                Ok(again) => assert_eq!(again, expression, "{text:?} printed as {printed:?}"),
                // Escapes may take a text over the limits.
                Err(error) => assert!(printed.len() > text.len(), "{text:?} as {printed:?}: {error}"),
            }
        }
    }
});
