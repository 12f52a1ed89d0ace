//! One semantics, several executors: on random filters over random documents the reference
//! evaluator, the kernel over columns, the kernel event by event, and the backends agree.

mod generate;

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use tocsin::backend::local::LocalBackend;
use tocsin::backend::memory::{MemoryBackend, MemoryBatch};
use tocsin::backend::{SearchOptions, SearchRequest, SortKey, TimeField};
use tocsin::base::window::Window;
use tocsin::ecs::document::{Document, NewDocument};
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::ecs::value::date;
use tocsin::query::eval::Matcher;
use tocsin::query::kernel::{EventScratch, Kernel};
use tocsin::query::lang::kql;
use tocsin::query::plan::Filter;
use tocsin::store::batch::Batch;
use tocsin::store::{Pruning, Store, StoreOptions};

use generate::{document, filter, instant, mapping};

fn documents(values: Vec<Value>) -> Vec<Document> {
    values
        .into_iter()
        .enumerate()
        .map(|(number, value)| Document::new("logs-a", format!("id{number:03}"), value))
        .collect()
}

/// What the reference says of each filter and document.
fn reference(filters: &[Filter], documents: &[Document]) -> Vec<Vec<bool>> {
    let mapping = mapping();
    filters
        .iter()
        .map(|filter| {
            let matcher = Matcher::compile(filter, &mapping, instant(0));
            documents.iter().map(|d| matcher.matches(&d.flat(), Some(&d.source))).collect()
        })
        .collect()
}

fn request(filter: &Filter) -> SearchRequest {
    SearchRequest {
        indices: Arc::from(["logs-*".to_owned()]),
        filter: Arc::new(filter.clone()),
        now: instant(0),
        window: None,
        time: TimeField::timestamp(),
        event_clock: false,
        size: 1_000,
        after: None,
        descending: false,
    }
}

const NOTHING_REMEMBERED: SearchOptions =
    SearchOptions { match_cache: 0, document_cache: 0, aggregate_cache: 0, prune: Pruning::Off };

/// The property below notices a backend that leaves out what it should not.
#[test]
fn pruning_that_leaves_out_too_much_is_noticed() {
    let mapping = mapping();
    let documents: Vec<Document> =
        (0..6).map(|n| Document::new("logs-a", format!("{n}"), json!({"@timestamp": n, "k": "a"}))).collect();
    let filter = kql::parse_filter("k:a").unwrap();
    let found = |prune| {
        let options = SearchOptions { prune, ..NOTHING_REMEMBERED };
        let backend = MemoryBackend::with_options(documents.clone(), mapping.clone(), options);
        backend.search_now(&request(&filter)).unwrap().hits.len()
    };
    assert_eq!((found(Pruning::On), found(Pruning::Off)), (6, 6));
    assert!(found(Pruning::Broken) < 6);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Over columns, all filters at once.
    #[test]
    fn the_kernel_agrees_with_the_matcher(
        values in prop::collection::vec(document(), 1..24),
        copies in prop_oneof![Just(1usize), 2usize..20],
        filters in prop::collection::vec(filter(), 1..8),
    ) {
        let mapping = mapping();
        // Many rows are combined in other ways than few.
        let values: Vec<Value> = values.iter().cycle().take(values.len() * copies).cloned().collect();
        let batch = MemoryBatch::new(documents(values), &mapping);
        let rows: Vec<u32> = (0..).take(batch.rows()).collect();
        let end = rows.last().map_or(0, |last| last + 1);
        let stored = batch.documents(&rows).expect("documents");
        let expected = reference(&filters, &stored);
        let kernel = Kernel::compile(&filters, &mapping, &batch.paths(), instant(0));
        let columns = batch.named_columns(&kernel.fields()).expect("columns");
        let found = kernel.evaluate(&columns);
        for (number, (filter, expected)) in filters.iter().zip(&expected).enumerate() {
            let got: Vec<bool> = rows.iter().map(|row| found.rows[number].contains(row)).collect();
            if kernel.needs_document(number) {
                for (got, expected) in got.iter().zip(expected) {
                    prop_assert!(*got || !*expected, "not a superset: {filter:?}");
                }
            } else {
                prop_assert_eq!(&got, expected, "{:?}", filter);
            }
        }

        // Any part of the rows gives that part of the answer.
        let half = end / 2;
        let all: Vec<usize> = (0..filters.len()).collect();
        let mut parts = kernel.evaluate_rows(&columns, 0..half, &all);
        for (part, rest) in parts.iter_mut().zip(kernel.evaluate_rows(&columns, half..end, &all)) {
            part.extend(rest);
        }
        prop_assert_eq!(parts, found.rows);
    }

    /// Event by event.
    #[test]
    fn the_kernel_agrees_event_by_event(
        values in prop::collection::vec(document(), 1..8),
        filters in prop::collection::vec(filter(), 1..8),
    ) {
        let mapping = mapping();
        let documents = documents(values);
        let expected = reference(&filters, &documents);
        let paths = MemoryBatch::new(documents.clone(), &mapping).paths();
        let kernel = Kernel::compile(&filters, &mapping, &paths, instant(0));
        let mut scratch = EventScratch::default();
        for (row, document) in documents.iter().enumerate() {
            let got = kernel.evaluate_event(&document.flat(), &mut scratch).to_vec();
            for ((number, filter), id) in filters.iter().enumerate().zip(0u32..) {
                let hit = got.contains(&id);
                if kernel.needs_document(number) {
                    prop_assert!(hit || !expected[number][row], "not a superset: {filter:?}");
                } else {
                    prop_assert_eq!(hit, expected[number][row], "{:?} on {}", filter, &document.source);
                }
            }
        }
    }

    /// Through a backend with caches and pruning, as events arrive and windows move, against a
    /// backend that remembers nothing, and against the reference.
    #[test]
    fn what_was_matched_once_is_what_would_be_matched_afresh(
        steps in prop::collection::vec((prop::collection::vec(document(), 0..6), ten(-5..45), ten(1..30), clock()), 1..8),
        filters in prop::collection::vec(filter(), 1..5),
    ) {
        let mapping = mapping();
        let remembering = MemoryBackend::new(Vec::new(), mapping.clone());
        let tiny = SearchOptions { match_cache: 700, document_cache: 2_000, aggregate_cache: 2_000, prune: Pruning::On };
        let forgetful = MemoryBackend::with_options(Vec::new(), mapping.clone(), tiny);
        let mut everything: Vec<Document> = Vec::new();
        let requests: Vec<SearchRequest> = filters.iter().map(request).collect();
        for (values, from, length, clock) in steps {
            let fresh: Vec<Document> = values
                .into_iter()
                .enumerate()
                .map(|(n, value)| Document::new("logs-a", format!("{:03}-{n}", everything.len()), value))
                .collect();
            everything.extend(fresh.iter().cloned());
            remembering.add(fresh.clone());
            forgetful.add(fresh);
            let naive = MemoryBackend::with_options(everything.clone(), mapping.clone(), NOTHING_REMEMBERED);
            for request in &requests {
                let mut request = request.clone();
                clock.apply(&mut request, from, from + length);
                let keys = |backend: &MemoryBackend| -> Vec<SortKey> {
                    backend.search_now(&request).expect("a page").hits.into_iter().map(|hit| hit.sort).collect()
                };
                let expected = keys(&naive);
                prop_assert_eq!(&keys(&remembering), &expected);
                prop_assert_eq!(&keys(&forgetful), &expected);

                let matcher = Matcher::compile(&request.filter, &mapping, instant(0));
                let total = everything.iter().filter(|d| {
                    clock.in_window(&d.source, from, from + length)
                        && matcher.matches(&d.flat(), Some(&d.source))
                }).count();
                if !everything.is_empty() {
                    prop_assert_eq!(expected.len(), total);
                }
            }
        }
    }

    /// Pages put together are the whole, nothing twice and nothing skipped.
    #[test]
    fn pages_add_up(
        values in prop::collection::vec((document(), 0i64..4), 1..30),
        size in 1usize..5,
        descending in any::<bool>(),
    ) {
        let values = values.into_iter().map(|(mut value, at)| {
            value["@timestamp"] = Value::from(generate::time(at));
            value
        });
        let backend = MemoryBackend::new(documents(values.collect()), mapping());
        let mut request = request(&Filter::new(tocsin::query::plan::Node::All));
        request.descending = descending;
        let whole: Vec<SortKey> =
            backend.search_now(&request).expect("a page").hits.into_iter().map(|h| h.sort).collect();
        request.size = size;
        let mut joined: Vec<SortKey> = Vec::new();
        loop {
            let page = backend.search_now(&request).expect("a page");
            prop_assert_eq!(page.total, whole.len() as u64);
            let Some(last) = page.hits.last() else { break };
            request.after = Some(last.sort.clone());
            joined.extend(page.hits.into_iter().map(|h| h.sort));
        }
        prop_assert_eq!(&joined, &whole);
        let mut sorted = whole.clone();
        sorted.sort();
        if descending {
            sorted.reverse();
        }
        prop_assert_eq!(whole, sorted);
    }
}

/// Which time of an event a window is read on.
#[derive(Debug, Clone, Copy)]
enum Clock {
    /// `@timestamp`.
    Own,
    /// `event.ingested`, else `@timestamp`.
    Ingest,
    /// `event.ingested` alone.
    IngestOnly,
    /// `event.ingested` unless it is later than the window, else `@timestamp`.
    Event,
    /// Any other date field, which may have several values or none.
    Other,
}

/// Times and windows in steps of ten seconds, so that events lie on the ends of windows.
fn ten(range: std::ops::Range<i64>) -> impl Strategy<Value = i64> {
    range.prop_map(|n| n * 10)
}

fn clock() -> impl Strategy<Value = Clock> {
    prop::sample::select(vec![Clock::Own, Clock::Ingest, Clock::IngestOnly, Clock::Event, Clock::Other])
}

impl Clock {
    fn apply(self, request: &mut SearchRequest, from: i64, to: i64) {
        request.window = Some(Window::new(instant(from), instant(to)));
        let (primary, fallback) = match self {
            Self::Own => ("@timestamp", None),
            Self::Ingest | Self::Event => ("event.ingested", Some("@timestamp")),
            Self::IngestOnly => ("event.ingested", None),
            Self::Other => ("at", None),
        };
        request.time = TimeField { primary: primary.into(), fallback: fallback.map(Into::into) };
        request.event_clock = matches!(self, Self::Event);
    }

    /// Said once more, in the plainest way.
    fn in_window(self, source: &Value, from: i64, to: i64) -> bool {
        let (from, to) = (instant(from).timestamp_millis(), instant(to).timestamp_millis());
        let flat = FlatDoc::from_value(source);
        let times = |path: &str| -> Vec<i64> {
            flat.values(path).filter_map(|leaf| date::parse(leaf.value, None)).map(date::millis).collect()
        };
        let within = |times: &[i64]| times.iter().any(|at| from <= *at && *at <= to);
        let (own, ingested) = (times("@timestamp"), times("event.ingested"));
        let late = ingested.iter().all(|at| *at > to);
        within(&match self {
            Self::Own => own,
            Self::Ingest if ingested.is_empty() => own,
            Self::Event if late => own,
            Self::Ingest | Self::IngestOnly | Self::Event => ingested,
            Self::Other => times("at"),
        })
    }
}

/// The mapping of the generated documents laid over the catalogue, as an index has it.
fn stored_mapping(store: &Store) -> Arc<Mapping> {
    let snapshot = store.snapshot().expect("a snapshot");
    snapshot.mapping(&snapshot.resolve(&["logs-a".to_owned()], instant(0)))
}

fn new_document(document: &Document) -> NewDocument {
    NewDocument {
        index: document.index.clone(),
        id: document.id.to_string(),
        source: document.source.to_string(),
        original: None,
        flat: FlatDoc::from_value(&document.source),
    }
}

proptest! {
    // A store is files and syncs: fewer cases, each with more documents.
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// The embedded store, with hot rows and sealed segments, against the reference.
    #[test]
    fn the_store_agrees_with_the_matcher(
        parts in prop::collection::vec((prop::collection::vec(document(), 1..10), 0u8..3), 1..4),
        filters in prop::collection::vec(filter(), 4..10),
        windows in prop::collection::vec((ten(-5..45), ten(1..40), clock()), 2..5),
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let options = StoreOptions { background: false, ..StoreOptions::default() };
        let store = Arc::new(Store::open(dir.path(), options).expect("a store"));
        store.put_mapping("logs-a", &mapping()).expect("mapped");
        let backend = LocalBackend::new(store.clone(), None);
        let mut everything: Vec<Document> = Vec::new();
        for (number, (values, way)) in parts.into_iter().enumerate() {
            let fresh: Vec<Document> = values
                .into_iter()
                .enumerate()
                .map(|(n, value)| Document::new("logs-a", format!("{number}-{n}"), value))
                .collect();
            match way {
                0 => {
                    store.append(fresh.iter().map(new_document).collect()).expect("appended");
                }
                1 => {
                    let mut bulk = store.bulk();
                    for document in &fresh {
                        bulk.push(&new_document(document)).expect("taken");
                    }
                    bulk.finish().expect("sealed");
                }
                _ => {
                    store.append(fresh.iter().map(new_document).collect()).expect("appended");
                    store.seal().expect("sealed");
                }
            }
            everything.extend(fresh);

            let mapping = stored_mapping(&store);
            for (from, length, clock) in &windows {
                let requests: Vec<SearchRequest> = filters
                    .iter()
                    .map(|filter| {
                        let mut request = request(filter);
                        clock.apply(&mut request, *from, from + length);
                        request
                    })
                    .collect();
                for (filter, page) in filters.iter().zip(backend.search_many_now(&requests)) {
                    let page = page.expect("a page");
                    let mut found: Vec<String> =
                        page.hits.iter().map(|hit| hit.document.id.to_string()).collect();
                    found.sort();
                    let matcher = Matcher::compile(filter, &mapping, instant(0));
                    let mut expected: Vec<String> = everything
                        .iter()
                        .filter(|d| clock.in_window(&d.source, *from, from + length))
                        .filter(|d| matcher.matches(&d.flat(), Some(&d.source)))
                        .map(|d| d.id.to_string())
                        .collect();
                    expected.sort();
                    prop_assert_eq!(found, expected, "{:?}", filter);
                    prop_assert_eq!(page.total, page.hits.len() as u64);
                    for hit in &page.hits {
                        let original = everything.iter().find(|d| d.id == hit.document.id);
                        prop_assert_eq!(Some(&hit.document.source), original.map(|d| &d.source));
                    }
                }
            }
        }
    }
}
