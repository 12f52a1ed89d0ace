//! Query DSL and Kibana's filter objects become filters or are refused; what is sent for a filter
//! reads back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tocsin::query::compile::elastic::filter_query;
use tocsin::query::lang::dsl;
use tocsin::rule::filters;

fuzz_target!(|text: &str| {
    if let Ok(filter) = dsl::parse_text(text) {
        let sent = filter_query(&filter);
        // A query that reaches the limit of nesting may be sent with a level more.
        if let Err(error) = dsl::parse(&sent) {
            assert!(error.to_string().contains("nested more than"), "{text} sent as {sent}: {error}");
        }
    }
    if let Ok(object) = serde_json::from_str(text) {
        drop(filters::filter(&object));
    }
});
