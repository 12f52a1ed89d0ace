//! Lucene's regular expressions become ones that compile within bounds, or are refused with a place.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tocsin::query::plan::regexp::translate;

fuzz_target!(|text: &str| {
    match translate(text) {
        Err(error) => assert!(error.span.end <= text.len() && text.is_char_boundary(error.span.start)),
        Ok(translated) => {
            let built = regex::RegexBuilder::new(&translated.pattern).size_limit(1 << 20).build();
            assert!(matches!(built, Ok(_) | Err(regex::Error::CompiledTooBig(_))), "{text:?}");
        }
    }
});
