//! Pages lack nothing and repeat nothing, in the order of all backends.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Value, json};
use tocsin::backend::cluster::{ClusterBackend, ClusterOptions};
use tocsin::backend::memory::MemoryBackend;
use tocsin::backend::{Backend, BackendError, HitPage, SearchRequest, TimeField};
use tocsin::base::window::Window;
use tocsin::ecs::document::Document;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::lang::kql::parse_filter;

use crate::nodes::{Index, Node, block, running};

fn mappings() -> Value {
    json!({"properties": {
        "@timestamp": {"type": "date"},
        "event": {"properties": {"ingested": {"type": "date"}, "kind": {"type": "keyword"}}},
    }})
}

fn at(ms: i64) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp_millis(ms).unwrap()
}

fn request(index: &str, size: usize, descending: bool) -> SearchRequest {
    SearchRequest {
        indices: Arc::from([index.to_owned()]),
        filter: Arc::new(parse_filter("event.kind: event").unwrap()),
        now: at(0),
        window: Some(Window::new(at(0), at(1_000_000))),
        time: TimeField::timestamp(),
        event_clock: false,
        size,
        after: None,
        descending,
    }
}

/// Ids of all pages, in order; every page but the last must be full.
fn read(backend: &dyn Backend, mut request: SearchRequest) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let page = block(backend.search(request.clone())).unwrap();
        ids.extend(page.hits.iter().map(|hit| format!("{}/{}", hit.document.index, hit.document.id)));
        if page.hits.len() < request.size {
            return ids;
        }
        assert_eq!(page.hits.len(), request.size);
        request.after = page.hits.last().map(|hit| hit.sort.clone());
    }
}

fn backends(node: &Node) -> [(ClusterBackend, &'static str); 2] {
    let with = |point_in_time| {
        ClusterBackend::with_options(
            node.client(),
            ClusterOptions { point_in_time, ..ClusterOptions::default() },
        )
    };
    [(with(true), "with a point in time"), (with(false), "without one")]
}

fn fill(index: &Index, sources: &[(String, Value)]) -> MemoryBackend {
    index.fill(sources.iter().map(|(id, source)| (id.as_str(), source)));
    let documents = sources.iter().map(|(id, source)| Document::new(&*index.name, &**id, source.clone()));
    MemoryBackend::new(documents.collect(), Mapping::ecs())
}

#[test]
fn five_thousand_events_of_one_instant_are_read_whole() {
    let sources: Vec<(String, Value)> = (0..5_000)
        .map(|n| (format!("e{n}"), json!({"@timestamp": "1970-01-01T00:00:05Z", "event": {"kind": "event"}})))
        .collect();
    for node in running() {
        let index = node.index("instant", &mappings());
        fill(&index, &sources);
        for (backend, how) in backends(&node) {
            let ids = read(&backend, request(&index.name, 700, false));
            let distinct: HashSet<&String> = ids.iter().collect();
            assert_eq!((ids.len(), distinct.len()), (5_000, 5_000), "{} {how}", node.name);
            assert!(ids.is_sorted(), "{} {how}", node.name);
        }
    }
}

#[test]
fn pages_are_those_of_every_other_backend() {
    // Instants of one to eleven events, some without a primary time, some without any.
    let sources: Vec<(String, Value)> = (0..150_i64)
        .map(|n| {
            let mut source = json!({"@timestamp": 1_000 * (n * n % 31), "event": {"kind": "event"}});
            if n % 3 != 0 {
                source["event"]["ingested"] = json!(2_000 * (n % 13));
            }
            if n % 50 == 7 {
                source.as_object_mut().unwrap().remove("@timestamp");
            }
            (format!("e{n}"), source)
        })
        .collect();
    let ingested =
        TimeField { primary: Arc::from("event.ingested"), fallback: Some(Arc::from("@timestamp")) };
    for node in running() {
        let index = node.index("pages", &mappings());
        let memory = fill(&index, &sources);
        for descending in [false, true] {
            for size in [5, 40, 1_000] {
                for time in [TimeField::timestamp(), ingested.clone()] {
                    for window in [Some(Window::new(at(3_000), at(60_000))), None] {
                        let time = time.clone();
                        let request =
                            SearchRequest { time, window, ..request(&index.name, size, descending) };
                        let expected = read(&memory, request.clone());
                        for (backend, how) in backends(&node) {
                            let found = read(&backend, request.clone());
                            assert_eq!(found, expected, "{} {how}: {request:?}", node.name);
                        }
                    }
                }
            }
        }
    }
}

fn whole(page: &HitPage) -> Vec<(String, Value)> {
    page.hits.iter().map(|hit| (hit.document.id.to_string(), Value::clone(&hit.document.source))).collect()
}

#[test]
fn many_searches_are_one_request_and_the_same_pages() {
    let sources: Vec<(String, Value)> = (0..600_i64)
        .map(|n| (format!("e{n}"), json!({"@timestamp": 1_000 * n, "event": {"kind": (if n % 2 == 0 { "event" } else { "alert" })}})))
        .collect();
    for node in running() {
        let index = node.index("many", &mappings());
        let memory = fill(&index, &sources);
        let requests: Vec<SearchRequest> =
            ["event.kind: event", "event.kind: alert", "event.kind: none", "*"]
                .iter()
                .cycle()
                .take(100)
                .map(|query| SearchRequest {
                    filter: Arc::new(parse_filter(query).unwrap()),
                    ..request(&index.name, 1_000, false)
                })
                .chain([request("t-absent-*", 10, false)])
                .collect();
        let expected = block(memory.search_many(requests.clone()));
        let pages = |pages: Vec<Result<HitPage, BackendError>>| -> Vec<_> {
            let pages = pages.into_iter().map(Result::unwrap);
            pages.map(|page| (whole(&page), page.total, page.indices)).collect()
        };
        let expected = pages(expected);
        // Together: the mapping, how many there are, the window, the hits; and the mapping of the index that is not
        // there. One by one: what finds more than a first page holds is read on by itself.
        for (grouped, most) in [(true, 5), (false, 3 + 2 * 75)] {
            let options = ClusterOptions { grouped, ..ClusterOptions::default() };
            let backend = ClusterBackend::with_options(node.client(), options);
            let found = pages(block(backend.search_many(requests.clone())));
            assert_eq!(found, expected, "{} grouped: {grouped}", node.name);
            let sent = backend.client().traffic().requests;
            assert!(sent <= most, "{} grouped: {grouped}: {sent} requests", node.name);
        }
    }
}
