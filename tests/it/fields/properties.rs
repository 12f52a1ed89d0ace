//! Properties of documents and of the evaluator.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::eval::wildcard::Wildcard;
use tocsin::query::eval::{Matcher, explain};
use tocsin::query::lang::kql::parse_filter;
use tocsin::query::plan::{Pattern, Piece};

use super::now;

/// A few names, so that conditions meet values.
const NAMES: &[&str] = &["a", "b", "ip", "name", "message", "created", "n"];
const VALUES: &[&str] = &["x", "y z", "10.0.0.1", "2026-11-18", "5", "true", "", "X"];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(VALUES).prop_map(|text| json!(text)),
        (0..6_i64).prop_map(|number| json!(number)),
        any::<bool>().prop_map(|on| json!(on)),
        Just(Value::Null),
    ]
}

fn object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![3 => scalar(), 1 => prop::collection::vec(scalar(), 0..4).prop_map(Value::Array)];
    let tree = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::btree_map(prop::sample::select(NAMES), inner.clone(), 0..4)
                .prop_map(|map| json!(map)),
            prop::collection::vec(inner, 0..3).prop_map(Value::Array),
        ]
    });
    prop::collection::btree_map(prop::sample::select(NAMES), tree, 1..5).prop_map(|map| json!(map))
}

fn query() -> impl Strategy<Value = String> {
    let field = prop::collection::vec(prop::sample::select(NAMES), 1..4).prop_map(|names| names.join("."));
    let value = prop::sample::select(
        &["x", "\"y z\"", "y*", "*", "10.0.0.0/8", "2026-11-18", "5", "true", "\"\"", "z"][..],
    );
    let leaf = prop_oneof![
        6 => (field.clone(), value.clone()).prop_map(|(field, value)| format!("{field}: {value}")),
        2 => (field, prop::sample::select(&[">", "<=", "<", ">="][..]), 0..6)
            .prop_map(|(field, sign, number)| format!("{field} {sign} {number}")),
        1 => value.clone().prop_map(str::to_owned),
        1 => value.prop_map(|value| format!("a.*: {value}")),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|all| format!("({})", all.join(" and "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|all| format!("({})", all.join(" or "))),
            inner.prop_map(|one| format!("(not {one})")),
        ]
    })
}

/// The same document with every object that has one key written in dotted spelling.
fn dotted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut out = Map::new();
            for (key, item) in map {
                match dotted(item) {
                    Value::Object(inner) if inner.len() == 1 => {
                        for (name, item) in inner {
                            out.insert(format!("{key}.{name}"), item);
                        }
                    }
                    item => drop(out.insert(key.clone(), item)),
                }
            }
            Value::Object(out)
        }
        Value::Array(items) => items.iter().map(dotted).collect(),
        other => other.clone(),
    }
}

fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().rev().map(|(key, item)| (key.clone(), reversed(item))).collect(),
        Value::Array(items) => items.iter().rev().map(reversed).collect(),
        other => other.clone(),
    }
}

fn leaves(doc: &FlatDoc) -> Vec<String> {
    let mut leaves: Vec<String> = doc.iter().map(|leaf| format!("{leaf:?}")).collect();
    leaves.sort();
    leaves
}

/// Whether `pattern` matches `text`, by the definition.
fn by_definition(pattern: &[Piece], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((Piece::Any, rest)) => (0..=text.len()).any(|at| by_definition(rest, &text[at..])),
        Some((Piece::One, rest)) => !text.is_empty() && by_definition(rest, &text[1..]),
        Some((Piece::Literal(literal), rest)) => {
            let literal: Vec<char> = literal.chars().collect();
            text.starts_with(&literal) && by_definition(rest, &text[literal.len()..])
        }
    }
}

fn learned(documents: &[&FlatDoc]) -> Mapping {
    let mut mapping = Mapping::ecs();
    for document in documents {
        mapping.learn_document(document);
    }
    mapping
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn dotted_and_nested_spelling_have_the_same_leaves(document in object()) {
        prop_assert_eq!(leaves(&FlatDoc::from_value(&document)), leaves(&FlatDoc::from_value(&dotted(&document))));
    }

    #[test]
    fn the_order_of_values_and_the_spelling_of_names_change_no_verdict(document in object(), query in query()) {
        let filter = parse_filter(&query).expect("KQL");
        let (flat, turned) = (FlatDoc::from_value(&document), reversed(&document));
        let (turned_flat, dotted) = (FlatDoc::from_value(&turned), dotted(&document));
        let mapping = learned(&[&flat]);
        let matcher = Matcher::compile(&filter, &mapping, now());
        let verdict = matcher.matches(&flat, Some(&document));
        prop_assert_eq!(verdict, matcher.matches(&turned_flat, Some(&turned)), "reversed {}", &query);
        prop_assert_eq!(verdict, matcher.matches(&FlatDoc::from_value(&dotted), Some(&dotted)), "dotted {}", &query);
        let story = explain::explain(&filter, &mapping, now(), &flat, Some(&document));
        prop_assert_eq!(verdict, story.holds, "explained {}\n{}", &query, story);
        let negated = parse_filter(&format!("not ({query})")).expect("KQL");
        prop_assert_ne!(verdict, Matcher::compile(&negated, &mapping, now()).matches(&flat, Some(&document)));
    }

    #[test]
    fn mappings_are_stored_and_read_back_equal(documents in prop::collection::vec(object(), 1..5)) {
        let documents: Vec<FlatDoc> = documents.iter().map(FlatDoc::from_value).collect();
        let mapping = learned(&documents.iter().collect::<Vec<_>>());
        let back = Mapping::from_json(&mapping.to_json()).expect("a stored mapping");
        prop_assert_eq!(back.fingerprint(), mapping.fingerprint());
        prop_assert_eq!(back, mapping);
    }

    #[test]
    fn wildcards_match_by_their_definition(
        pieces in prop::collection::vec(prop_oneof![
            Just(Piece::Any),
            Just(Piece::One),
            "[abÄ]{1,3}".prop_map(|text| Piece::Literal(text.into())),
        ], 0..7),
        text in "[abÄ]{0,9}",
    ) {
        let characters: Vec<char> = text.chars().collect();
        let expected = by_definition(&pieces, &characters);
        let wildcard = Wildcard::new(&Pattern(pieces), false);
        prop_assert_eq!(wildcard.matches(&text), expected);
        if expected {
            prop_assert!(wildcard.literals().iter().all(|literal| text.contains(&**literal)));
        }
    }
}
