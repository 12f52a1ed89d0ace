//! Random KQL on random documents: a real node, asked rule by rule and asked together, finds what
//! the embedded store finds; and on Elasticsearch 9 what its own `kql` query finds.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tocsin::backend::cluster::{ClusterBackend, ClusterOptions};
use tocsin::backend::local::LocalBackend;
use tocsin::backend::{Backend, SearchRequest, TimeField};
use tocsin::base::window::Window;
use tocsin::ecs::document::NewDocument;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::elastic::Request;
use tocsin::query::lang::kql::parse_filter;
use tocsin::store::{Store, StoreOptions};

use crate::nodes::{Node, block, running};

const DOCUMENTS: usize = 250;
const QUERIES: usize = 400;

fn mappings() -> Value {
    json!({"properties": {
        "@timestamp": {"type": "date"},
        "k": {"type": "keyword", "fields": {"text": {"type": "text"}}},
        "a": {"properties": {
            "k": {"type": "keyword", "ignore_above": 8},
            "b": {"properties": {"k": {"type": "keyword"}, "n": {"type": "long"}}},
        }},
        "text": {"type": "text"},
        "n": {"type": "long"},
        "f": {"type": "double"},
        "yes": {"type": "boolean"},
        "at": {"type": "date"},
        "ip": {"type": "ip"},
        "nest": {"type": "nested", "properties": {"k": {"type": "keyword"}, "n": {"type": "long"}}},
    }})
}

const WORDS: [&str; 12] =
    ["alpha", "Alpha", "ALPHA", "beta", "alphabet", "a b", "beta alpha", "al-pha", "äö", "0", "1", "true"];

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(&WORDS[..]).prop_map(str::to_owned)
}

fn one(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(of).prop_map(str::to_owned)
}

const DATES: &[&str] = &["2024-01-02", "2024-01-02T03:04:05.000Z", "2024-01-03", "2023-12-31T23:59:59Z"];
const ADDRESSES: &[&str] = &["10.0.0.1", "10.1.2.3", "192.168.0.7", "::1", "2001:db8::7"];

/// Values that each field's type takes.
fn values(field: &'static str) -> BoxedStrategy<Value> {
    let scalar = match field {
        "n" => prop_oneof![(-6i64..6).prop_map(Value::from), (0i64..4).prop_map(|n| json!(n.to_string()))]
            .boxed(),
        "f" => prop::sample::select(vec![0.5, 1.0, 1.5, -2.25, 1e3]).prop_map(Value::from).boxed(),
        "yes" => prop_oneof![any::<bool>().prop_map(Value::from), Just(json!("true"))].boxed(),
        "at" => prop_oneof![one(DATES).prop_map(Value::from), Just(json!(1_704_164_645_000i64))].boxed(),
        "ip" => one(ADDRESSES).prop_map(Value::from).boxed(),
        _ => prop_oneof![
            8 => word().prop_map(Value::from),
            1 => Just(json!("a value that is longer")),
            1 => (0i64..3).prop_map(Value::from),
            1 => any::<bool>().prop_map(Value::from),
        ]
        .boxed(),
    };
    prop_oneof![
        8 => scalar.clone(),
        1 => Just(Value::Null),
        2 => prop::collection::vec(scalar, 0..3).prop_map(Value::from),
    ]
    .boxed()
}

fn document() -> impl Strategy<Value = Value> {
    let some = |field: &'static str| prop::option::weighted(0.6, values(field));
    let nested = prop::collection::vec((word(), -3i64..3).prop_map(|(k, n)| json!({"k": k, "n": n})), 0..3);
    (
        (some("k"), some("text"), some("n"), some("f"), some("yes"), some("at"), some("ip")),
        (some("a.k"), some("a.b.k"), some("n")),
        nested,
        0i64..1_000,
    )
        .prop_map(|((k, text, n, f, yes, at, ip), (ak, abk, abn), nested, time)| {
            let mut map = Map::new();
            map.insert("@timestamp".to_owned(), json!(1_700_000_000_000i64 + time * 1_000));
            for (name, value) in
                [("k", k), ("text", text), ("n", n), ("f", f), ("yes", yes), ("at", at), ("ip", ip)]
            {
                if let Some(value) = value {
                    map.insert(name.to_owned(), value);
                }
            }
            map.insert("a".to_owned(), json!({"k": ak, "b": {"k": abk, "n": abn}}));
            if !nested.is_empty() {
                map.insert("nest".to_owned(), Value::from(nested));
            }
            Value::Object(map)
        })
}

/// A value as KQL has it, quoted or with its special characters escaped.
fn literal(value: String, quoted: bool) -> String {
    if quoted || value.is_empty() {
        return format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    }
    value.chars().flat_map(|c| if "\\():<>\"*{}".contains(c) { vec!['\\', c] } else { vec![c] }).collect()
}

fn terms(field: &'static str, values: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let value = (values, any::<bool>()).prop_map(|(value, quoted)| literal(value, quoted));
    prop_oneof![
        6 => value.clone().prop_map(move |value| format!("{field}: {value}")),
        1 => Just(format!("{field}: *")),
        2 => prop::collection::vec(value, 1..4).prop_map(move |all| format!("{field}: ({})", all.join(" or "))),
    ]
    .boxed()
}

fn range(field: &'static str, values: BoxedStrategy<String>) -> BoxedStrategy<String> {
    (prop::sample::select(vec![">", ">=", "<", "<="]), values)
        .prop_map(move |(operator, value)| format!("{field} {operator} {}", literal(value, true)))
        .boxed()
}

fn leaf() -> BoxedStrategy<String> {
    let text = |field: &'static str| -> BoxedStrategy<String> {
        let pattern = prop::sample::select(vec!["al*", "*pha", "*a*", "A*", "be*a", "*b", "1*", "*"]);
        prop_oneof![
            3 => terms(field, word().boxed()),
            1 => pattern.prop_map(move |pattern| format!("{field}: {pattern}")),
        ]
        .boxed()
    };
    let number = |field: &'static str| -> BoxedStrategy<String> {
        let value = (-6i64..6).prop_map(|n| n.to_string()).boxed();
        prop_oneof![terms(field, value.clone()), range(field, value)].boxed()
    };
    let float = prop::sample::select(vec!["0.5", "1", "1.5", "1000", "-3"]).prop_map(str::to_owned).boxed();
    let address = prop_oneof![one(ADDRESSES), one(&["10.0.0.0/8", "2001:db8::/32"])].boxed();
    prop_oneof![
        2 => text("k"),
        2 => text("k.text"),
        2 => text("text"),
        2 => text("a.k"),
        1 => text("a.b.k"),
        1 => text("unknown"),
        2 => number("n"),
        1 => number("a.b.n"),
        1 => prop_oneof![terms("f", float.clone()), range("f", float)],
        1 => terms("yes", one(&["true", "false"]).boxed()),
        1 => prop_oneof![terms("at", one(DATES).boxed()), range("at", one(DATES).boxed())],
        1 => prop_oneof![terms("ip", address), range("ip", one(ADDRESSES).boxed())],
        1 => (word(), -3i64..3).prop_map(|(k, n)| format!("nest: {{ k: {} and n >= {n} }}", literal(k, true))),
    ]
    .boxed()
}

fn query() -> BoxedStrategy<String> {
    leaf()
        .prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(|all| format!("({})", all.join(" and "))),
                prop::collection::vec(inner.clone(), 2..4).prop_map(|all| format!("({})", all.join(" or "))),
                inner.prop_map(|one| format!("not ({one})")),
            ]
        })
        .boxed()
}

fn request(index: &str, query: &str) -> SearchRequest {
    let at = |seconds| chrono::DateTime::from_timestamp(seconds, 0).unwrap();
    SearchRequest {
        indices: Arc::from([index.to_owned()]),
        filter: Arc::new(parse_filter(query).unwrap_or_else(|error| panic!("{query}: {error}"))),
        now: at(1_704_164_645),
        window: Some(Window::new(at(0), at(4_000_000_000))),
        time: TimeField::timestamp(),
        event_clock: false,
        size: 1_000,
        after: None,
        descending: false,
    }
}

fn ids(backend: &dyn Backend, index: &str, queries: &[String]) -> Vec<Result<BTreeSet<String>, String>> {
    let pages = block(backend.search_many(queries.iter().map(|query| request(index, query)).collect()));
    pages
        .into_iter()
        .map(|page| {
            let page = page.map_err(|error| error.to_string())?;
            assert_eq!(page.total, page.hits.len() as u64);
            Ok(page.hits.iter().map(|hit| hit.document.id.to_string()).collect())
        })
        .collect()
}

/// What Elasticsearch's own `kql` query finds.
fn native(node: &Node, index: &str, queries: &[String]) -> Vec<Result<BTreeSet<String>, String>> {
    let lines = queries.iter().flat_map(|query| {
        let body = json!({"size": 1_000, "_source": false, "query": {"kql": {"query": query}}});
        [json!({"index": index}), body]
    });
    let answer = node.ask(Request::read("/_msearch").lines(lines).unwrap());
    let responses = answer["responses"].as_array().unwrap().clone();
    responses
        .into_iter()
        .map(|response| {
            let hits = response["hits"]["hits"].as_array().ok_or_else(|| response["error"].to_string())?;
            Ok(hits.iter().map(|hit| hit["_id"].as_str().unwrap().to_owned()).collect())
        })
        .collect()
}

#[test]
fn a_node_finds_what_the_embedded_store_finds() {
    for node in running() {
        // Drawn anew each time; the failing query and document are what is reported.
        let mut runner = TestRunner::new(Config::default());
        let mut draw = |strategy: &BoxedStrategy<Value>| strategy.new_tree(&mut runner).unwrap().current();
        let documents: Vec<(String, Value)> =
            (0..DOCUMENTS).map(|n| (format!("d{n:03}"), draw(&document().boxed()))).collect();
        let queries: Vec<String> =
            (0..QUERIES).map(|_| query().new_tree(&mut runner).unwrap().current()).collect();
        let index = node.index("agreement", &mappings());
        index.fill(documents.iter().map(|(id, source)| (id.as_str(), source)));

        let dir = TempDir::new().unwrap();
        let store = Arc::new(Store::open(dir.path(), StoreOptions::default()).unwrap());
        store.put_mapping(&index.name, &Mapping::from_elasticsearch(&mappings()).unwrap()).unwrap();
        let new = documents.iter().map(|(id, source)| NewDocument {
            index: Arc::from(index.name.as_str()),
            id: id.clone(),
            source: source.to_string(),
            original: None,
            flat: FlatDoc::from_value(source),
        });
        store.append(new.collect()).unwrap();

        let expected = ids(&LocalBackend::new(store, None), &index.name, &queries);
        let way = |grouped| {
            let options = ClusterOptions { grouped, ..ClusterOptions::default() };
            ids(&ClusterBackend::with_options(node.client(), options), &index.name, &queries)
        };
        let mut ways = vec![("asked one by one", way(false)), ("asked together", way(true))];
        if node.name == "es9" {
            ways.push(("its own kql query", native(&node, &index.name, &queries)));
        }
        let mut different = Vec::new();
        let mut matched = 0;
        for (how, found) in &ways {
            for ((query, found), expected) in queries.iter().zip(found).zip(&expected) {
                matched += usize::from(expected.as_ref().is_ok_and(|ids| !ids.is_empty()));
                if found != expected {
                    let example = match (found, expected) {
                        (Ok(found), Ok(expected)) => {
                            let id = found.symmetric_difference(expected).next().unwrap();
                            let source = &documents.iter().find(|(known, _)| known == id).unwrap().1;
                            format!("{} there, {} here; {id} {source}", found.len(), expected.len())
                        }
                        other => format!("{other:?}"),
                    };
                    different.push(format!("{how}: {query}\n    {example}"));
                }
            }
        }
        assert!(matched > QUERIES / 4, "hardly any query finds anything: {matched}");
        let pairs = ways.len() * QUERIES * DOCUMENTS;
        eprintln!(
            "{}: {pairs} pairs of query and document, {} queries that find something",
            node.name, matched
        );
        assert!(
            different.is_empty(),
            "{}: {} of {} differ\n{}",
            node.name,
            different.len(),
            ways.len() * QUERIES,
            different.iter().take(25).cloned().collect::<Vec<_>>().join("\n")
        );
    }
}
