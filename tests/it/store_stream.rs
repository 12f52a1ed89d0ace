//! Streams of hits: the same hits as pages give, in the same order, without holding them.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use tocsin::backend::local::LocalBackend;
use tocsin::backend::{FieldOrder, SearchRequest, TimeField};
use tocsin::query::lang::kql::parse_filter;
use tocsin::store::Store;

use crate::store::{new_document, quiet};

/// Events whose segments overlap in time, some hot, some without times, many equally old.
fn backend(dir: &TempDir, events: &[(u8, Option<u8>, Option<u8>)]) -> LocalBackend {
    let store = Store::open(dir.path(), quiet()).unwrap();
    for (number, part) in events.chunks(events.len().div_ceil(4).max(1)).enumerate() {
        let documents = part.iter().enumerate().map(|(n, (at, ingested, value))| {
            let time = |ms: u8| format!("2026-11-20T10:00:00.{ms:03}Z");
            let mut source = json!({"event": {"action": format!("a{}", n % 3)}});
            if *at > 0 {
                source["@timestamp"] = json!(time(*at));
            }
            if let Some(ingested) = ingested {
                source["event"]["ingested"] = json!(time(*ingested));
            }
            if let Some(value) = value {
                source["source"] = json!({"port": [value, 200]});
                source["user"] = json!({"name": format!("u{}", value % 16)});
            }
            let index = if n % 4 == 0 { "logs-b-default" } else { "logs-a-default" };
            new_document(index, &format!("{number}-{n}"), &source, (n % 2 == 0).then_some("original"))
        });
        store.append(documents.collect()).unwrap();
        if number < 3 {
            store.seal().unwrap();
        }
    }
    LocalBackend::new(Arc::new(store), None)
}

fn request(query: &str, time: &str, size: usize, descending: bool) -> SearchRequest {
    SearchRequest {
        indices: Arc::from(["logs-*".to_owned()]),
        filter: Arc::new(parse_filter(query).unwrap()),
        now: DateTime::UNIX_EPOCH,
        window: None,
        time: TimeField { primary: Arc::from(time), fallback: None },
        event_clock: false,
        size,
        after: None,
        descending,
    }
}

fn streamed(
    backend: &LocalBackend,
    request: &SearchRequest,
    order: Option<&FieldOrder>,
) -> (Vec<(String, Value)>, u64) {
    let mut hits = Vec::new();
    let end = backend
        .stream(request, order, &mut |hit| {
            hits.push((hit.sort.id.to_string(), serde_json::from_str(&hit.source).unwrap()));
            ControlFlow::Continue(())
        })
        .unwrap();
    (hits, end.total)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_is_what_pages_are(
        events in prop::collection::vec((0u8..40, prop::option::of(0u8..40), prop::option::of(any::<u8>())), 1..120),
        size in 1usize..130,
        descending: bool,
        by_arrival: bool,
        query in prop::sample::select(vec!["*", "event.action: a1", "source.port > 100"]),
    ) {
        let dir = TempDir::new().unwrap();
        let backend = backend(&dir, &events);
        let time = if by_arrival { "event.ingested" } else { "@timestamp" };
        let request = request(query, time, size, descending);
        let page = backend.search_many_now(std::slice::from_ref(&request)).remove(0).unwrap();
        let expected: Vec<(String, Value)> =
            page.hits.iter().map(|hit| (hit.document.id.to_string(), (*hit.document.source).clone())).collect();
        prop_assert_eq!(streamed(&backend, &request, None), (expected, page.total));
    }

    #[test]
    fn an_order_by_a_field_is_a_sort_of_all(
        events in prop::collection::vec((1u8..40, prop::option::of(0u8..40), prop::option::of(any::<u8>())), 1..120),
        size in 1usize..130,
        descending: bool,
        field in prop::sample::select(vec!["source.port", "user.name", "event.ingested"]),
    ) {
        let dir = TempDir::new().unwrap();
        let backend = backend(&dir, &events);
        let all = request("*", "@timestamp", 1_000, false);
        let (mut expected, total) = streamed(&backend, &all, None);
        let key = |source: &Value| -> Option<(u64, String)> {
            let value = field.split('.').try_fold(source, |value, part| value.get(part))?;
            Some(match value {
                Value::Array(ports) => {
                    let ports = ports.iter().map(|port| port.as_u64().unwrap());
                    (if descending { ports.max().unwrap() } else { ports.min().unwrap() }, String::new())
                }
                value => (0, value.as_str().unwrap().to_owned()),
            })
        };
        let order = |a: &Value, b: &Value| match (key(a), key(b)) {
            (None, None) => Ordering::Equal,
            (None, _) => Ordering::Greater,
            (_, None) => Ordering::Less,
            (a, b) => if descending { b.cmp(&a) } else { a.cmp(&b) },
        };
        expected.sort_by(|(_, a), (_, b)| order(a, b));
        expected.truncate(size);
        let by_field = FieldOrder { field: Arc::from(field), descending };
        let (found, count) = streamed(&backend, &request("*", "@timestamp", size, false), Some(&by_field));
        prop_assert_eq!(count, total);
        let keys = |hits: &[(String, Value)]| -> Vec<(Option<(u64, String)>, Value)> {
            hits.iter().map(|(_, source)| (key(source), source["@timestamp"].clone())).collect()
        };
        prop_assert_eq!(keys(&found), keys(&expected));
    }
}
