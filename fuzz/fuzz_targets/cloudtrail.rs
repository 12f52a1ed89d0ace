//! No record makes the normaliser panic; the document it makes is JSON, and its leaves are those of
//! its source.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tocsin::ingest::normalize::cloudtrail::{INDEX, Normalizer};
use tocsin::ingest::tape::Tape;

fuzz_target!(|text: &str| {
    let mut tape = Tape::new();
    let Ok((start, end)) = tape.parse(text.as_bytes()) else { return };
    let record = &text[start..end];
    if tape.parse(record.as_bytes()).is_err() {
        return;
    }
    let mut normalizer = Normalizer::new(Arc::from(INDEX));
    if let Ok(document) = normalizer.normalize(tape.root(record), record, "2026-01-01T00:00:00.000Z") {
        let source: serde_json::Value = serde_json::from_str(&document.source).expect("the source is JSON");
        assert!(source.is_object());
        assert!(!document.id.is_empty());
        assert!(!document.flat.is_empty());
    }
});
