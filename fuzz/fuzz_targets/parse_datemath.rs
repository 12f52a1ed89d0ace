//! Date math and intervals answer for every text, without a panic.

#![no_main]

use chrono::DateTime;
use libfuzzer_sys::fuzz_target;
use tocsin::base::datemath::{interval, span_of};

fuzz_target!(|text: &str| {
    let Some(now) = DateTime::from_timestamp_millis(1_793_540_852_123) else { return };
    match span_of(text, now) {
        Ok((from, to)) => assert!(from <= to, "{text}: {from} .. {to}"),
        Err(found) => {
            assert!(found.span.is_some_and(|span| span.start <= span.end && span.end <= text.len()))
        }
    }
    if let Ok(length) = interval(text) {
        assert!(length > 0, "{text}");
    }
});
