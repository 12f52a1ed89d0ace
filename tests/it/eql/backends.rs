//! What a backend finds, with its kernel, its index and its scan, is what the reference evaluator
//! finds, event by event.

use std::sync::Arc;

use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tocsin::backend::join::{JoinRequest, documents, join};
use tocsin::backend::memory::MemoryBackend;
use tocsin::backend::{Backend, Scope, SearchRequest, TimeField};
use tocsin::ecs::document::Document;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::lang::eql::parse_plan;
use tocsin::query::plan::{EqlPlan, EqlQuery};

use super::python::{query, several, stream};
use super::support::{events, now, run};

/// Ids by result, as a backend gives them.
fn searched(query: &EqlQuery, backend: &MemoryBackend) -> Vec<Vec<String>> {
    let request = SearchRequest {
        indices: Arc::from(["*".to_owned()]),
        filter: Arc::new(query.plan.filter()),
        now: now(),
        window: None,
        time: TimeField::timestamp(),
        event_clock: false,
        size: 10_000,
        after: None,
        descending: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if matches!(query.plan, EqlPlan::Event(_)) {
        let page = runtime.block_on(backend.search(request)).unwrap();
        return page.hits.iter().map(|hit| vec![hit.document.id.to_string()]).collect();
    }
    let request = JoinRequest {
        scope: Scope::of(&request),
        plan: Arc::new(query.plan.clone()),
        timestamp: "@timestamp".into(),
        tiebreaker: Some("id".into()),
    };
    let page = runtime.block_on(join(backend, &request)).unwrap();
    assert!(page.warnings.is_empty(), "{:?}", page.warnings);
    let read = runtime.block_on(documents(backend, page.found)).unwrap();
    let ids = |joined: &tocsin::query::eval::eql::Joined<(_, Document)>| {
        joined.events.iter().flatten().map(|(_, document): &(_, Document)| document.id.to_string()).collect()
    };
    read.iter().map(ids).collect()
}

#[test]
fn a_backend_finds_what_the_reference_evaluator_finds() {
    let mut runner = TestRunner::deterministic();
    let texts = several(&mut runner, &query(), 300);
    let streams = several(&mut runner, &stream(), 4);
    let mut hits = 0;
    for stream in streams {
        let sources: Vec<Value> = stream
            .into_iter()
            .map(|mut source| {
                source["event"] = json!({"category": source["event_type"]});
                source
            })
            .collect();
        let mut mapping = Mapping::empty();
        for source in &sources {
            mapping.learn_document(&FlatDoc::from_value(source));
        }
        let events = events(&sources, &mapping, Some("id"));
        let named = |source: &Value| Document::new("logs-a", source["id"].to_string(), source.clone());
        // Several batches, so that the scan has something to merge.
        let (first, second) = sources.split_at(sources.len() / 2);
        let backend = MemoryBackend::new(second.iter().map(named).collect(), mapping.clone());
        backend.add(first.iter().map(named).collect());
        for text in &texts {
            // A key with several values, and one that may be missing.
            let text = text.replace("event_type", "event.category").replace("by other", "by ?user, other");
            let query = parse_plan(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let id = |number: &usize| events[*number].doc.values("id").next().unwrap().value.to_owned();
            let mut expected: Vec<Vec<String>> = run(&query, &mapping, &events)
                .iter()
                .map(|joined| joined.events.iter().flatten().map(id).collect())
                .collect();
            let mut found = searched(&query, &backend);
            hits += found.len();
            if matches!(query.plan, EqlPlan::Event(_)) {
                expected.sort();
                found.sort();
            }
            assert_eq!(found, expected, "{text}");
        }
    }
    assert!(hits > 1_000, "only {hits} results");
}
