//! No bytes make decoding or cutting into records panic, hang or run out of memory; what is handed
//! over is JSON.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use tocsin::ingest::decode::Decoder;
use tocsin::ingest::formats::records::{Place, RecordSink, Records};
use tocsin::ingest::tape::Value;

struct Check;

impl RecordSink for Check {
    fn record(&mut self, value: Value<'_>, text: &str, _: Place) -> bool {
        assert!(value.index() == 0);
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{text}");
        true
    }
    fn reject(&mut self, _: Place, _: String) -> bool {
        true
    }
}

fuzz_target!(|data: &[u8]| {
    // Two megabytes are enough to pass every boundary of the buffers.
    if let Ok(decoder) = Decoder::with_cap(Box::new(Cursor::new(data.to_vec())), 1 << 21) {
        Records::new(decoder).read(&mut Check);
    }
});
