//! The embedded event store, through its public API.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use tocsin::ecs::columns::{Column, ColumnsBuilder};
use tocsin::ecs::document::{Document, NewDocument};
use tocsin::ecs::flat::FlatDoc;
use tocsin::store::batch::Batch;
use tocsin::store::{Pruning, Snapshot, Store, StoreOptions, TimeBounds};

const INDEX: &str = "logs-test-default";

pub(crate) fn quiet() -> StoreOptions {
    StoreOptions { background: false, ..StoreOptions::default() }
}

pub(crate) fn new_document(index: &str, id: &str, source: &Value, original: Option<&str>) -> NewDocument {
    NewDocument {
        index: Arc::from(index),
        id: id.to_owned(),
        source: source.to_string(),
        original: original.map(str::to_owned),
        flat: FlatDoc::from_value(source),
    }
}

pub(crate) fn event(id: u32, at: &str) -> NewDocument {
    let source = json!({
        "@timestamp": at,
        "event": { "action": format!("Action{}", id % 7), "ingested": "2026-11-20T13:00:00Z" },
        "tags": ["a", format!("t{}", id % 3)],
        "user": { "name": format!("user-{id}") },
    });
    new_document(INDEX, &format!("id-{id}"), &source, Some(&format!("original of {id}")))
}

fn minute(minute: u32) -> String {
    format!("2026-11-20T{:02}:{:02}:00.000Z", minute / 60 % 24, minute % 60)
}

pub(crate) fn all_batches(snapshot: &Snapshot) -> Vec<Arc<dyn Batch>> {
    snapshot.batches(&snapshot.indices(), TimeBounds::default())
}

/// Everything stored, by id.
pub(crate) fn documents(store: &Store) -> BTreeMap<String, Document> {
    let snapshot = store.snapshot().unwrap();
    let mut out = BTreeMap::new();
    for batch in all_batches(&snapshot) {
        let rows: Vec<u32> = (0..u32::try_from(batch.rows()).unwrap()).collect();
        let ids = batch.ids(&rows).unwrap();
        for (document, id) in batch.documents(&rows).unwrap().into_iter().zip(ids) {
            assert_eq!(document.id, id);
            let before = out.insert(id.to_string(), document);
            assert!(before.is_none(), "{id} is stored twice");
        }
    }
    out
}

#[test]
fn appended_events_are_visible_at_once_and_stay_after_sealing_and_reopening() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let appended = store.append((0..10).map(|n| event(n, &minute(n))).collect()).unwrap();
    assert_eq!((appended.indexed, appended.duplicates), (10, 0));
    assert_eq!(documents(&store).len(), 10);

    let again = store.append((5..15).map(|n| event(n, &minute(n))).collect()).unwrap();
    assert_eq!((again.indexed, again.duplicates), (5, 5));
    assert_eq!(store.seal().unwrap(), 15);
    assert_eq!(store.seal().unwrap(), 0);
    let sealed = documents(&store);
    assert_eq!(sealed.len(), 15);
    assert_eq!(sealed["id-3"].source["event"]["original"], "original of 3");
    assert_eq!(sealed["id-3"].source["user"]["name"], "user-3");

    // Sealed events are known as well, to appends and to bulk writers.
    let again = store.append((10..20).map(|n| event(n, &minute(n))).collect()).unwrap();
    assert_eq!((again.indexed, again.duplicates), (5, 5));
    let mut bulk = store.bulk();
    bulk.push_many((0..25).map(|n| event(n, &minute(n))).collect()).unwrap();
    bulk.push(&event(24, &minute(24))).unwrap();
    let bulk = bulk.finish().unwrap();
    assert_eq!((bulk.indexed, bulk.duplicates), (5, 21));

    let other = Store::open(dir.path(), quiet()).unwrap();
    assert_eq!(documents(&other), documents(&store));
    assert_eq!(documents(&other).len(), 25);
}

#[test]
fn batches_are_sorted_by_time_and_pruned_by_it() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let day =
        |day: u32, n: u32| event(day * 100 + n, &format!("2026-11-{day:02}T{:02}:30:00Z", (n * 7) % 24));
    let mut bulk = store.bulk();
    for d in 10..20 {
        for n in 0..20 {
            bulk.push(&day(d, n)).unwrap();
        }
    }
    assert_eq!(bulk.finish().unwrap().indexed, 200);
    let snapshot = store.snapshot().unwrap();
    let indices = snapshot.resolve(&["logs-*".to_owned()], chrono::DateTime::UNIX_EPOCH);
    assert_eq!(indices, [Arc::from(INDEX)]);
    let all = snapshot.batches(&indices, TimeBounds::default());
    assert_eq!(all.len(), 10, "one segment a day");
    for batch in &all {
        let times = batch.timestamps().unwrap();
        assert!(times.is_sorted());
        assert_eq!(batch.timestamp_bounds(), (times[0], times[times.len() - 1]));
        assert_eq!(batch.ingested().unwrap().len(), 20);
    }
    let (from, to) = all[4].timestamp_bounds();
    let bounds = TimeBounds { timestamp: Some((from, to)), ingested: None };
    assert_eq!(snapshot.batches(&indices, bounds).len(), 1);
    let bounds = TimeBounds { timestamp: None, ingested: Some((0, 1)) };
    assert!(snapshot.batches(&indices, bounds).is_empty(), "all have event.ingested, none then");
}

/// Counts events in a window, once the store has pruned; the caller judges each row.
fn count_within(store: &Store, from: i64, to: i64) -> usize {
    let snapshot = store.snapshot().unwrap();
    let bounds = TimeBounds { timestamp: Some((from, to)), ingested: None };
    let batches = snapshot.batches(&snapshot.indices(), bounds);
    batches.iter().flat_map(|b| b.timestamps().unwrap().to_vec()).filter(|t| from <= *t && *t <= to).count()
}

#[test]
fn pruning_changes_the_cost_and_never_the_result() {
    let dir = TempDir::new().unwrap();
    {
        let store = Store::open(dir.path(), quiet()).unwrap();
        for start in [0, 400, 800] {
            let mut bulk = store.bulk();
            bulk.push_many((start..start + 400).map(|n| event(n, &minute(n))).collect()).unwrap();
            bulk.finish().unwrap();
        }
        store.append((1200..1300).map(|n| event(n, &minute(n))).collect()).unwrap();
    }
    let open = |pruning| Store::open(dir.path(), StoreOptions { pruning, ..quiet() }).unwrap();
    let (on, off, broken) = (open(Pruning::On), open(Pruning::Off), open(Pruning::Broken));
    let start = 1_795_132_800_000_i64;
    let mut differs = false;
    for (from, to) in [(0, 100), (350, 450), (390, 1250), (0, 1300), (1290, 2000), (5000, 6000)] {
        let (from, to) = (start + from * 60_000, start + to * 60_000);
        assert_eq!(count_within(&on, from, to), count_within(&off, from, to));
        differs |= count_within(&broken, from, to) != count_within(&off, from, to);
    }
    assert_eq!(count_within(&on, start, start + 99 * 60_000), 100);
    assert!(differs, "a store that prunes wrongly must be noticed by this test");
}

/// Documents of many shapes.
fn sources() -> impl Strategy<Value = Vec<Value>> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(Value::Null),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]{1,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    let time = prop_oneof![
        4 => (0_u32..4000).prop_map(|n| Some(Value::from(format!("2026-11-{:02}T{:02}:{:02}:00.000Z", 1 + n / 1440, n / 60 % 24, n % 60)))),
        1 => Just(Some(json!("2026-11-01T10:00:00.123456+02:00"))),
        1 => Just(Some(json!(1_795_132_800_123_i64))),
        1 => Just(None),
    ];
    let document = (prop::collection::btree_map("[a-d]{1,2}", value, 0..6), time.clone(), time).prop_map(
        |(fields, timestamp, ingested)| {
            let mut source: serde_json::Map<String, Value> = fields.into_iter().collect();
            if let Some(at) = timestamp {
                source.insert("@timestamp".to_owned(), at);
            }
            if let Some(at) = ingested {
                source.insert("event".to_owned(), json!({ "ingested": at }));
            }
            Value::Object(source)
        },
    );
    prop::collection::vec(document, 1..30)
}

/// A column as texts by row.
fn texts(column: &Column, rows: usize) -> Vec<Vec<String>> {
    (0..rows).map(|row| column.row(row).iter().map(|code| column.value(*code).to_owned()).collect()).collect()
}

/// All columns of all batches equal those built directly from the documents.
pub(crate) fn assert_columns(store: &Store, sources: &BTreeMap<String, Value>) {
    let snapshot = store.snapshot().unwrap();
    for batch in all_batches(&snapshot) {
        let rows: Vec<u32> = (0..u32::try_from(batch.rows()).unwrap()).collect();
        let mut builder = ColumnsBuilder::default();
        for id in batch.ids(&rows).unwrap() {
            builder.next_row();
            for leaf in FlatDoc::from_value(&sources[&*id]).iter() {
                builder.push(leaf.path, leaf.value);
            }
        }
        let expected = builder.finish();
        let paths = batch.paths();
        for path in expected.paths.iter() {
            assert!(paths.contains(path), "{path} is not among the batch's paths");
        }
        let found = batch.columns(&paths).unwrap();
        for path in paths.iter() {
            let values = found.columns.get(path).map(|column| texts(column, rows.len())).unwrap_or_default();
            match expected.columns.get(path) {
                Some(column) => assert_eq!(values, texts(column, rows.len()), "{path}"),
                None => assert!(values.iter().all(Vec::is_empty), "{path}"),
            }
        }
        if let Some(column) = found.columns.values().find(|column| column.dictionary.len() > 1) {
            let mut distinct = column.dictionary.clone();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), column.dictionary.len(), "each value is there once");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_stored_comes_back_the_same(sources in sources(), hot in any::<bool>()) {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path(), quiet()).unwrap();
        let by_id: BTreeMap<String, Value> =
            sources.iter().enumerate().map(|(n, source)| (format!("id-{n}"), source.clone())).collect();
        let docs: Vec<NewDocument> =
            by_id.iter().map(|(id, source)| new_document(INDEX, id, source, None)).collect();
        if hot {
            store.append(docs.clone()).unwrap();
            assert_columns(&store, &by_id);
            prop_assert_eq!(documents(&store).len(), by_id.len());
            store.seal().unwrap();
        } else {
            let mut bulk = store.bulk();
            bulk.push_many(docs.clone()).unwrap();
            bulk.finish().unwrap();
        }
        assert_columns(&store, &by_id);
        let found = documents(&store);
        for (id, source) in &by_id {
            prop_assert_eq!(&*found[id].source, source);
        }
        prop_assert_eq!(store.append(docs).unwrap().duplicates, by_id.len() as u64);
    }
}
