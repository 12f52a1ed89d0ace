//! Ids of alerts equal those that Kibana's libraries give.

use chrono::DateTime;
use serde_json::Value;
use tocsin::alert::id;
use tocsin::alert::object_hash::{Hashable, object_hash, serialise};

use crate::shared::shared_dir;

/// The file writes JavaScript's `undefined` as this text.
fn hashable(value: &Value) -> Hashable {
    match value {
        Value::String(text) if text == "__undefined__" => Hashable::Undefined,
        Value::Array(items) => Hashable::Array(items.iter().map(hashable).collect()),
        Value::Object(map) => Hashable::Object(map.iter().map(|(k, v)| (k.clone(), hashable(v))).collect()),
        other => Hashable::from(other),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value}"))
}

fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    value[key].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect()
}

#[test]
fn ids_equal_the_golden_ones() {
    let Some(shared) = shared_dir() else { return };
    let file = std::fs::read_to_string(shared.join("data/alert-ids/golden.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&file).unwrap();
    for case in &cases {
        let input = &case["input"];
        let got = match text(case, "kind") {
            "query" => id::event_alert(
                text(input, "_index"),
                text(input, "_id"),
                input["_version"].as_i64(),
                &id::rule_part(text(input, "space"), text(input, "rule")),
            ),
            "object-hash" => {
                let value = hashable(input);
                if let Some(serialised) = case["serialised"].as_str() {
                    assert_eq!(serialise(&value), serialised);
                }
                object_hash(&value)
            }
            "threshold-inner-uuid" => id::threshold_bucket(
                text(input, "rule_id"),
                DateTime::parse_from_rfc3339(text(input, "startedAt")).unwrap().to_utc(),
                &texts(input, "fields"),
                &texts(input, "values"),
            ),
            "suppression-instance-id" => {
                let terms = input["terms"].as_array().unwrap();
                let terms =
                    terms.iter().map(|t| (text(t, "field").to_owned(), hashable(&t["value"]))).collect();
                id::suppression_instance(terms, text(input, "rule"), text(input, "space"))
            }
            other => panic!("no test for ids of kind {other}"),
        };
        assert_eq!(got, text(case, "id"), "{case}");
    }
    assert!(cases.len() >= 9);
}
