//! Any JSON read as an Elasticsearch mapping gives a mapping and findings; what the store would keep
//! of it can be read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tocsin::ecs::mapping::Mapping;

fuzz_target!(|text: &str| {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return };
    let mapping = Mapping::read(&value, &mut Vec::new());
    assert!(Mapping::from_json(&mapping.to_json()).is_ok());
});
