//! Buckets and documents by name: a node gives what documents in memory give.

use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Value, json};
use tocsin::backend::cluster::ClusterBackend;
use tocsin::backend::memory::MemoryBackend;
use tocsin::backend::{
    AggregateRequest, Backend, BucketKey, Counted, DocumentRef, KeyValue, Scope, SearchRequest, TimeField,
};
use tocsin::base::window::Window;
use tocsin::ecs::document::Document;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::lang::kql::parse_filter;

use crate::nodes::{Index, block, running};

fn mappings() -> Value {
    json!({"properties": {
        "@timestamp": {"type": "date"}, "ingested": {"type": "date"},
        "kind": {"type": "keyword"}, "user": {"type": "keyword"}, "port": {"type": "long"},
        "ratio": {"type": "double"}, "ok": {"type": "boolean"}, "ip": {"type": "ip"},
    }})
}

/// Documents with one, several and no values of each field, in several spellings of a value.
fn sources() -> Vec<(String, Value)> {
    (0..400_i64)
        .map(|n| {
            let mut source =
                json!({"@timestamp": n * 1_000, "kind": (if n % 5 == 0 { "other" } else { "event" })});
            let fields = source.as_object_mut().unwrap();
            if n % 7 != 0 {
                let one = format!("u{}", n % 23);
                fields.insert("user".into(), if n % 3 == 0 { json!([one, "shared"]) } else { json!(one) });
            }
            fields.insert("port".into(), if n % 2 == 0 { json!(n % 4) } else { json!((n % 4).to_string()) });
            fields.insert("ratio".into(), json!((n % 6) as f64 / 2.0));
            fields.insert("ok".into(), if n % 4 == 0 { json!("true") } else { json!(n % 4 == 1) });
            if n % 9 != 0 {
                let address = ["10.0.0.1", "2001:db8::1", "2001:db8:0:0::1"][usize::try_from(n).unwrap() % 3];
                fields.insert("ip".into(), json!(address));
            }
            if n % 4 == 0 {
                fields.insert("ingested".into(), json!(n * 1_000 + 500_000));
            }
            (format!("e{n:03}"), source)
        })
        .collect()
}

fn filled(index: &Index) -> MemoryBackend {
    let sources = sources();
    index.fill(sources.iter().map(|(id, source)| (id.as_str(), source)));
    let documents = sources.iter().map(|(id, source)| Document::new(&*index.name, &**id, source.clone()));
    MemoryBackend::new(documents.collect(), Mapping::from_elasticsearch(&mappings()).unwrap())
}

fn request(index: &str, by: &[&str]) -> AggregateRequest {
    let at = |ms| DateTime::from_timestamp_millis(ms).unwrap();
    let search = SearchRequest {
        indices: Arc::from([index.to_owned()]),
        filter: Arc::new(parse_filter("kind: event").unwrap()),
        now: at(0),
        window: Some(Window::new(at(20_000), at(390_000))),
        time: TimeField::timestamp(),
        event_clock: false,
        size: 0,
        after: None,
        descending: false,
    };
    AggregateRequest::new(Scope::of(&search), by.iter().map(|name| Arc::from(*name)).collect())
}

/// All pages of a request as text, without what only one way of asking brings along.
fn read(backend: &dyn Backend, mut request: AggregateRequest) -> Vec<String> {
    let mut shown = Vec::new();
    loop {
        let page = block(backend.aggregate(request.clone())).unwrap();
        shown.extend(page.buckets.iter().map(|bucket| {
            let top: Vec<&str> = bucket.top.iter().map(|hit| &*hit.document.id).collect();
            format!(
                "{:?} {} {}..{} {:?} {top:?}",
                bucket.key, bucket.count, bucket.first, bucket.last, bucket.distinct
            )
        }));
        match page.after {
            Some(after) => request.after = Some(after),
            None => return shown,
        }
    }
}

#[test]
fn buckets_of_a_node_are_those_of_memory() {
    let key = |values: &[KeyValue]| -> BucketKey { values.iter().cloned().collect() };
    let text = |text: &str| KeyValue::Text(Arc::from(text));
    for node in running() {
        let index = node.index("buckets", &mappings());
        let memory = filled(&index);
        let cluster = ClusterBackend::new(node.client());
        let of = |by: &[&str]| request(&index.name, by);
        let ingested = TimeField { primary: Arc::from("ingested"), fallback: Some(Arc::from("@timestamp")) };
        let counted = |name: &str, first, last| Counted { key: key(&[text(name)]), first, last };
        let cases: Vec<(&str, AggregateRequest)> = vec![
            ("no field", of(&[])),
            ("one field", of(&["user"])),
            ("in small pages", AggregateRequest { size: 4, ..of(&["user"]) }),
            ("those without it too", AggregateRequest { missing: true, ..of(&["user"]) }),
            ("numbers", of(&["port"])),
            ("floats", of(&["ratio"])),
            ("booleans", of(&["ok"])),
            ("addresses", AggregateRequest { missing: true, ..of(&["ip"]) }),
            ("combinations", AggregateRequest { size: 10, ..of(&["user", "port", "ok"]) }),
            ("large ones", AggregateRequest { min_count: 12, ..of(&["user"]) }),
            (
                "distinct values",
                AggregateRequest { cardinality: Some((Arc::from("port"), 2)), ..of(&["user"]) },
            ),
            ("their oldest events", AggregateRequest { top: 3, ..of(&["user"]) }),
            (
                "some keys",
                AggregateRequest {
                    keys: Some(Arc::from([key(&[text("u4")]), key(&[text("none")]), key(&[text("shared")])])),
                    ..of(&["user"])
                },
            ),
            (
                "without what counted",
                AggregateRequest {
                    counted: Arc::from([counted("u4", 0, 100_000), counted("shared", 50_000, 200_000)]),
                    ..of(&["user"])
                },
            ),
            (
                "on another time",
                AggregateRequest { scope: Scope { time: ingested, ..of(&[]).scope }, ..of(&["user"]) },
            ),
        ];
        for (what, request) in cases {
            let expected = read(&memory, request.clone());
            assert!(!expected.is_empty(), "{what}");
            assert_eq!(read(&cluster, request), expected, "{}: {what}", node.name);
        }
    }
}

#[test]
fn documents_by_name_come_in_the_order_asked() {
    for node in running() {
        let index = node.index("names", &mappings());
        filled(&index);
        let cluster = ClusterBackend::new(node.client());
        let name = |index: &str, id: &str| DocumentRef { index: Arc::from(index), id: Arc::from(id) };
        // More than one request's worth, one that is not there, and an index that is not there.
        let mut names: Vec<DocumentRef> =
            (0..1_200).rev().map(|n| name(&index.name, &format!("e{:03}", n % 400))).collect();
        names.insert(3, name(&index.name, "nobody"));
        names.insert(700, name("t-there-is-none", "e001"));
        let found = block(cluster.get(&names)).unwrap();
        assert_eq!(found.len(), names.len());
        for (name, found) in names.iter().zip(&found) {
            let there = &*name.id != "nobody" && *name.index == *index.name;
            assert_eq!(found.is_some(), there, "{}: {name:?}", node.name);
            if let Some(document) = found {
                assert_eq!((&document.id, &document.index), (&name.id, &name.index));
                let number: i64 = name.id[1..].parse().unwrap();
                assert_eq!(document.source["@timestamp"], number * 1_000);
            }
        }
    }
}
