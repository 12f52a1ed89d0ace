//! Merging, retention, checking, exporting, mappings.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tempfile::TempDir;
use tocsin::base::clock::ManualClock;
use tocsin::ecs::mapping::Mapping;
use tocsin::ecs::types::FieldType;
use tocsin::store::{Store, StoreOptions, TimeBounds};

use crate::store::{all_batches, assert_columns, documents, event, new_document, quiet};

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// Events of several days in many small, overlapping segments.
fn scattered(store: &Store, days: u32, parts: u32) {
    for part in 0..parts {
        let mut bulk = store.bulk();
        for n in 0..days * 20 {
            let time = format!("2026-11-{:02}T{:02}:{:02}:00Z", 1 + n / 20, (n * 7 + part) % 24, part % 60);
            bulk.push(&event(part * 10_000 + n, &time)).unwrap();
        }
        bulk.finish().unwrap();
    }
}

#[test]
fn merging_keeps_every_event_and_every_column() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    scattered(&store, 2, 5);
    // Shapes that only some segments have: other values, a list, a time that is kept as text, none.
    let mut bulk = store.bulk();
    for (n, source) in [
        json!({"@timestamp": "2026-11-01T05:00:00.123456Z", "user": {"name": ["a", "b"]}, "x": 1}),
        json!({"@timestamp": "2026-11-01T06:00:00Z", "event": {"ingested": 5}, "tags": "one"}),
        json!({"@timestamp": "2026-11-01T06:00:00Z"}),
    ]
    .iter()
    .enumerate()
    {
        bulk.push(&new_document("logs-test-default", &format!("odd-{n}"), source, None)).unwrap();
    }
    bulk.finish().unwrap();

    let before = documents(&store);
    let segments = all_batches(&store.snapshot().unwrap()).len();
    let pinned = store.snapshot().unwrap();
    assert_eq!(segments, 11);
    let done = store.compact().unwrap();
    assert_eq!((done.merged, done.into, done.events), (11, 2, 203));
    assert_eq!(documents(&store), before);
    assert_eq!(all_batches(&store.snapshot().unwrap()).len(), 2);
    let sources = before
        .iter()
        .map(|(id, document)| {
            let mut source = (*document.source).clone();
            if let Some(event) = source.get_mut("event").and_then(|event| event.as_object_mut()) {
                event.remove("original");
            }
            (id.clone(), source)
        })
        .collect();
    assert_columns(&store, &sources);
    assert_eq!(store.compact().unwrap().merged, 0, "one segment a day is not merged again");

    // A reader that began before still has its files.
    let rows: usize =
        all_batches(&pinned).iter().map(|batch| batch.columns(&batch.paths()).unwrap().rows).sum();
    assert_eq!(rows, before.len());
    // Duplicates are known after merging too.
    assert_eq!(store.append(vec![event(10_003, "2026-11-01T22:01:00Z")]).unwrap().duplicates, 1);
    assert!(store.check(|_, _| {}).unwrap().problems.is_empty());
}

#[test]
fn files_of_merged_segments_go_when_the_grace_time_is_over() {
    let dir = TempDir::new().unwrap();
    let clock = Arc::new(ManualClock::new(at("2026-11-20T00:00:00Z")));
    let options = || StoreOptions { clock: Arc::clone(&clock) as _, ..quiet() };
    let store = Store::open(dir.path(), options()).unwrap();
    scattered(&store, 1, 4);
    let count = |folder: &str| {
        let folder = dir.path().join("events").join(folder).join("logs-test-default");
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    };
    let files = || count("segments");
    assert_eq!(files(), 4);
    store.compact().unwrap();
    assert_eq!((files(), count("retired")), (1, 4), "merged ones wait for readers of older versions");
    assert_eq!(store.stats().unwrap().waiting, 4);
    clock.set(at("2026-11-20T00:30:00Z"));
    drop(Store::open(dir.path(), options()).unwrap());
    assert_eq!((files(), count("retired")), (1, 0));
    assert_eq!(documents(&store).len(), 80);
}

#[test]
fn retention_drops_whole_segments_by_age_and_by_size() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    scattered(&store, 10, 1);
    let stats = store.stats().unwrap();
    assert_eq!((stats.events, stats.indices[0].segments), (200, 10));
    let now = at("2026-11-10T12:00:00Z");
    assert_eq!(store.retain(Some(Duration::from_hours(24 * 30)), None, now).unwrap().segments, 0);
    let done = store.retain(Some(Duration::from_hours(24 * 3)), None, now).unwrap();
    assert_eq!((done.segments, done.events), (6, 120));
    assert!(
        documents(&store)
            .values()
            .all(|document| { document.source["@timestamp"].as_str().unwrap() >= "2026-11-07T00:00:00Z" })
    );
    let left = store.stats().unwrap().bytes;
    let done = store.retain(None, Some(left / 10 * 6), now).unwrap();
    assert_eq!(done.segments, 2, "the oldest go first");
    assert!(store.stats().unwrap().bytes <= left / 10 * 6);
    assert_eq!(documents(&store).len(), 40);
}

#[test]
fn damage_is_reported_with_its_file_and_the_rest_stays_readable() {
    let dir = TempDir::new().unwrap();
    {
        let store = Store::open(dir.path(), quiet()).unwrap();
        scattered(&store, 3, 1);
        store.append(vec![event(77_777, "2026-11-05T00:00:00Z")]).unwrap();
        assert_eq!(store.check(|_, _| {}).unwrap().problems, []);
    }
    let folder = dir.path().join("events/segments/logs-test-default");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let mut bytes = std::fs::read(&files[0]).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle..middle + 400].fill(0xAA);
    std::fs::write(&files[0], &bytes).unwrap();
    std::fs::write(&files[1], b"not parquet").unwrap();
    std::fs::write(folder.join(".left.parquet.tmp"), b"half").unwrap();

    let store = Store::open(dir.path(), quiet()).unwrap();
    assert!(!folder.join(".left.parquet.tmp").exists(), "what a crash left is deleted at the next start");
    let found = store.check(|_, _| {}).unwrap();
    let damaged: Vec<_> = found.problems.iter().map(|problem| problem.path.clone()).collect();
    assert_eq!(damaged, &files[..2]);
    let snapshot = store.snapshot().unwrap();
    let mut readable = 0;
    for batch in all_batches(&snapshot) {
        let rows: Vec<u32> = (0..u32::try_from(batch.rows()).unwrap()).collect();
        match batch.documents(&rows).and_then(|_| batch.columns(&batch.paths())) {
            Ok(_) => readable += batch.rows(),
            Err(error) => {
                assert!(damaged.iter().any(|path| error.to_string().contains(&*path.to_string_lossy())));
            }
        }
    }
    assert_eq!(readable, 21, "one segment and the hot row");
}

#[test]
fn exports_hold_what_was_stored() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    scattered(&store, 2, 2);
    store.append(vec![event(77_777, "2026-11-02T00:00:00Z")]).unwrap();
    let snapshot = store.snapshot().unwrap();
    let mut lines = Vec::new();
    let bounds = TimeBounds::default();
    assert_eq!(snapshot.export_ndjson(&snapshot.indices(), bounds, &mut lines).unwrap(), 81);
    let text = String::from_utf8(lines).unwrap();
    let stored = documents(&store);
    for line in text.lines() {
        let hit: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(hit["_source"], *stored[hit["_id"].as_str().unwrap()].source);
    }
    let out = dir.path().join("out");
    let (events, files) = snapshot.export_parquet(&snapshot.indices(), bounds, &out).unwrap();
    assert_eq!((events, files.len()), (81, 1));
    assert!(files[0].is_file());
    let bounds =
        TimeBounds { timestamp: Some((0, at("2026-11-01T23:59:59Z").timestamp_millis())), ingested: None };
    assert_eq!(snapshot.export_ndjson(&snapshot.indices(), bounds, &mut Vec::new()).unwrap(), 40);
}

#[test]
fn mappings_are_learned_kept_and_overlaid() {
    let dir = TempDir::new().unwrap();
    let index = "logs-custom-default";
    {
        let store = Store::open(dir.path(), quiet()).unwrap();
        let user =
            Mapping::from_elasticsearch(&json!({"properties": {"custom.flat": {"type": "flattened"}}}))
                .unwrap();
        store.put_mapping(index, &user).unwrap();
        let source =
            json!({"@timestamp": "2026-11-01T00:00:00Z", "custom": {"count": 3, "flat": {"a": {"b": "c"}}}});
        store.append(vec![new_document(index, "1", &source, None)]).unwrap();
        let source = json!({"@timestamp": "2026-11-01T00:00:00Z", "other": {"text": "x"}});
        let mut bulk = store.bulk();
        bulk.push(&new_document(index, "2", &source, None)).unwrap();
        bulk.finish().unwrap();
    }
    let store = Store::open(dir.path(), quiet()).unwrap();
    let check = |store: &Store| {
        let snapshot = store.snapshot().unwrap();
        let mapping = snapshot.mapping(&snapshot.indices());
        assert_eq!(mapping.resolve("custom.count").unwrap().kind, FieldType::Long);
        assert_eq!(mapping.resolve("other.text").unwrap().kind, FieldType::Keyword);
        assert_eq!(mapping.resolve("custom.flat.a.b").unwrap().key.as_deref(), Some("a.b"));
        assert_eq!(mapping.resolve("source.ip").unwrap().kind, FieldType::Ip);
        let flat: Vec<_> = all_batches(&snapshot)
            .iter()
            .filter(|batch| batch.paths().iter().any(|path| &**path == "custom.flat"))
            .flat_map(|batch| {
                batch.columns(&[Arc::from("custom.flat")]).unwrap().columns["custom.flat"].dictionary.clone()
            })
            .collect();
        assert_eq!(flat, [Box::from("a.b\0c")]);
    };
    check(&store);
    store.seal().unwrap();
    check(&store);
    store.compact().unwrap();
    check(&store);
}

#[test]
fn more_fields_than_columns_stay_searchable() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let mut sources = std::collections::BTreeMap::new();
    let mut bulk = store.bulk();
    for n in 0..60 {
        let mut fields = serde_json::Map::new();
        fields.insert("@timestamp".to_owned(), json!(format!("2026-11-01T00:{n:02}:00Z")));
        for field in 0..20 {
            fields.insert(format!("f{}", n * 20 + field), json!([n, "x"]));
        }
        let source = serde_json::Value::Object(fields);
        bulk.push(&new_document("wide", &format!("id-{n}"), &source, None)).unwrap();
        sources.insert(format!("id-{n}"), source);
    }
    bulk.finish().unwrap();
    assert_columns(&store, &sources);
    let wide =
        new_document("wide", "late", &json!({"@timestamp": "2026-11-01T12:00:00Z", "f1100": "y"}), None);
    sources.insert("late".to_owned(), serde_json::from_str(&wide.source).unwrap());
    store.append(vec![wide]).unwrap();
    store.compact().unwrap();
    assert_eq!(all_batches(&store.snapshot().unwrap()).len(), 1);
    assert_columns(&store, &sources);
}

#[test]
fn a_folder_of_a_newer_version_is_refused() {
    let dir = TempDir::new().unwrap();
    drop(Store::open(dir.path(), quiet()).unwrap());
    let database = rusqlite::Connection::open(dir.path().join("events/events.sqlite")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let error = Store::open(dir.path(), quiet()).unwrap_err().to_string();
    assert!(error.contains(&*dir.path().to_string_lossy()) && error.contains("99"), "{error}");
}
