//! A store with a damaged or cut segment, or a damaged database, opens or says why, answers or
//! says why, and never panics; undamaged, it gives everything back.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tocsin::ecs::document::NewDocument;
use tocsin::ecs::flat::FlatDoc;
use tocsin::store::{Store, StoreOptions, TimeBounds};

fuzz_target!(|damage: (bool, u16, Vec<u8>, bool)| {
    let (database, at, bytes, cut) = damage;
    let dir = tempfile::TempDir::new().expect("a folder");
    let options = || StoreOptions { background: false, ..StoreOptions::default() };
    {
        let store = Store::open(dir.path(), options()).expect("a new store opens");
        let docs = (0..30)
            .map(|n| {
                let source = serde_json::json!({
                    "@timestamp": format!("2026-11-20T00:{n:02}:00Z"), "user": { "name": ["a", format!("u{n}")] },
                });
                NewDocument {
                    index: Arc::from("fuzz"),
                    id: format!("id-{n}"),
                    flat: FlatDoc::from_value(&source),
                    source: source.to_string(),
                    original: None,
                }
            })
            .collect();
        store.append(docs).expect("appends");
        if !database {
            store.seal().expect("seals");
        }
    }
    let file = if database {
        dir.path().join("events/events.sqlite")
    } else {
        let folder = dir.path().join("events/segments/fuzz");
        std::fs::read_dir(folder).expect("segments").next().expect("one").expect("readable").path()
    };
    let mut stored = std::fs::read(&file).expect("readable");
    let at = usize::from(at) % stored.len();
    if cut {
        stored.truncate(at);
    }
    for (slot, byte) in stored.iter_mut().skip(at).zip(&bytes) {
        *slot ^= byte;
    }
    std::fs::write(&file, &stored).expect("writable");
    let Ok(store) = Store::open(dir.path(), options()) else { return };
    let _ = store.check(|_, _| {});
    let Ok(snapshot) = store.snapshot() else { return };
    let mut events = 0;
    for batch in snapshot.batches(&snapshot.indices(), TimeBounds::default()) {
        let _ = batch.columns(&batch.paths());
        let rows: Vec<u32> = (0..batch.rows().min(64) as u32).collect();
        events += batch.documents(&rows).map_or(0, |documents| documents.len());
    }
    assert!(cut || bytes.iter().any(|byte| *byte != 0) || events == 30);
});
