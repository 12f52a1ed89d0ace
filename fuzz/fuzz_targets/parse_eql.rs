//! EQL is read and lowered, or refused with a place inside the text; what reads prints back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tocsin::query::lang::eql::{Lowering, lower, parse};

fuzz_target!(|text: &str| {
    let inside = |found: &tocsin::base::diagnostic::Diagnostic| {
        assert!(found.code.starts_with("EQL"), "{found}");
        assert!(found.span.is_none_or(|span| span.start <= span.end && span.end <= text.len()), "{found}");
    };
    match parse(text) {
        Err(found) => inside(&found),
        Ok(query) => {
            if let Err(found) = lower(&query, text, &Lowering::default()) {
                inside(&found);
            }
            let printed = query.to_string();
            match parse(&printed) {
                Ok(again) => assert_eq!(again, query, "{text:?} printed as {printed:?}"),
                // Adding brackets may take a text over the limits.
                Err(error) => assert!(printed.len() > text.len(), "{text:?} printed as {printed:?}: {error}"),
            }
        }
    }
});
