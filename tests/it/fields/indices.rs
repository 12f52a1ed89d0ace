//! Several indices taken together, whose mappings differ.

use serde_json::json;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::eval::Matcher;
use tocsin::query::lang::kql::parse_filter;

use super::{Event, backend, columns, now, reference};

fn mapping(properties: &serde_json::Value) -> Mapping {
    Mapping::from_elasticsearch(&json!({ "properties": properties })).expect("a mapping")
}

/// A value matches when it does under the type that one of the indices gives the field, and a
/// query is an error only when every one of them refuses it.
#[test]
fn a_field_of_two_types_is_judged_by_both() {
    let numbers = mapping(&json!({"code": {"type": "long"}, "only_here": {"type": "ip"}}));
    let words = mapping(&json!({"code": {"type": "keyword"}, "text": {"type": "text"}}));
    let merged = Mapping::merged([&numbers, &words]);
    let events: Vec<Event> = [
        ("number", json!({"code": 4624.0, "only_here": "10.0.0.1"})),
        ("word", json!({"code": "denied", "text": "Access Denied"})),
    ]
    .into_iter()
    .map(|(id, source)| Event::new(id.to_owned(), source))
    .collect();
    let memory = backend(&merged, &events);
    for (query, expected) in [
        ("code: 4624", vec!["number"]),
        ("code: denied", vec!["word"]),
        ("code: den*", vec!["word"]),
        ("code: *", vec!["number", "word"]),
        ("code > 4000 and only_here: 10.0.0.0/8", vec!["number"]),
        ("text: denied", vec!["word"]),
    ] {
        let filter = parse_filter(query).expect("KQL");
        let found = reference(&filter, &merged, &events);
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{query}");
        assert_eq!(columns(&filter, &memory), found, "{query}");
        assert_eq!(Matcher::compile(&filter, &merged, now()).diagnostics(), vec![], "{query}");
    }
    let conflicts = merged.conflicts();
    assert_eq!(conflicts.iter().map(|c| &*c.path).collect::<Vec<_>>(), ["code"]);
}

/// Indices whose mappings are the same in kind, though not in detail, are in no conflict.
#[test]
fn the_keyword_family_is_one_type() {
    let a = mapping(&json!({"x": {"type": "keyword", "ignore_above": 3}}));
    let b = mapping(&json!({"x": {"type": "wildcard"}}));
    let merged = Mapping::merged([&a, &b]);
    assert!(merged.conflicts().is_empty());
    assert_eq!(merged.resolve("x").expect("x").ignore_above, None);
}
