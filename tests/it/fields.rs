//! Fields and documents with Elasticsearch's value semantics: our own scenarios
//! (`tests/spec/fields/*.md`), what a real Elasticsearch found for Elastic's rules, and properties.

mod elastic;
mod indices;
mod properties;
mod scenarios;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tocsin::backend::memory::MemoryBackend;
use tocsin::backend::{SearchRequest, TimeField};
use tocsin::ecs::document::Document;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::eval::Matcher;
use tocsin::query::plan::Filter;

/// "Now" of all these tests.
fn now() -> DateTime<Utc> {
    "2026-11-18T12:00:00Z".parse().expect("a date")
}

/// A document with its leaves.
struct Event {
    id: String,
    source: Value,
    flat: FlatDoc,
}

impl Event {
    fn new(id: String, source: Value) -> Self {
        let flat = FlatDoc::from_value(&source);
        Self { id, source, flat }
    }
}

/// Ids of the events that match by the reference evaluator.
fn reference(filter: &Filter, mapping: &Mapping, events: &[Event]) -> BTreeSet<String> {
    let matcher = Matcher::compile(filter, mapping, now());
    events
        .iter()
        .filter(|event| matcher.matches(&event.flat, Some(&event.source)))
        .map(|event| event.id.clone())
        .collect()
}

/// A backend in memory over the events.
fn backend(mapping: &Mapping, events: &[Event]) -> MemoryBackend {
    let documents =
        events.iter().map(|e| Document::new("logs-test", e.id.as_str(), e.source.clone())).collect();
    MemoryBackend::new(documents, mapping.clone())
}

/// Ids of the events that match by the kernel over columns.
fn columns(filter: &Filter, backend: &MemoryBackend) -> BTreeSet<String> {
    let request = SearchRequest {
        indices: Arc::from(vec!["logs-test".to_owned()]),
        filter: Arc::new(filter.clone()),
        now: now(),
        window: None,
        time: TimeField::timestamp(),
        event_clock: false,
        size: 10_000,
        after: None,
        descending: false,
    };
    let page = backend.search_now(&request).expect("a search in memory");
    page.hits.iter().map(|hit| hit.document.id.to_string()).collect()
}
