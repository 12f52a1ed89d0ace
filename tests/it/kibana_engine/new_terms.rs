//! Kibana 9's expectations of new-terms rules.

use std::path::Path;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use tocsin::base::window::iso_millis;

use super::house::{House, new_document};
use super::{load, value};
use crate::nodes::{Node, reference};
use crate::shared::shared_dir;

#[test]
fn new_terms_are_those_that_kibana_finds() {
    let Some(shared) = shared_dir() else { return };
    cases(&shared, None);
}

#[test]
fn new_terms_are_those_that_kibana_finds_on_a_real_node() {
    let Some(shared) = shared_dir() else { return };
    if let Some(node) = reference() {
        cases(&shared, Some(&node));
    }
}

fn cases(shared: &Path, node: Option<&Node>) {
    let path = shared.join("data/kibana-engine/cases/new_terms_9x.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let mut house = House::on(node);
        let mut rule = case["rule"].clone();
        for (key, default) in [("rule_id", "r"), ("description", "d"), ("name", "n"), ("severity", "low")] {
            if rule.get(key).is_none() {
                rule[key] = json!(default);
            }
        }
        if rule.get("risk_score").is_none() {
            rule["risk_score"] = json!(1);
        }
        let from: DateTime<Utc> = rule["from"].as_str().unwrap().parse().unwrap();
        if let Some(archive) = case["archive"].as_str() {
            load(shared, archive, None, &mut house);
        }
        let mut documents = Vec::new();
        // The documents of the window have their time right after its start.
        for (key, at) in [
            ("historical_documents", from - Duration::hours(1)),
            ("execution_documents", from + Duration::seconds(1)),
        ] {
            for source in case[key].as_array().into_iter().flatten() {
                let mut source = source.clone();
                source["@timestamp"] = json!(iso_millis(at));
                documents.push(new_document("new_terms", format!("{key}-{}", documents.len()), &source));
            }
        }
        if !documents.is_empty() {
            let keyword = json!({"match_mapping_type": "string", "mapping": {"type": "keyword"}});
            let mappings = json!({
                "dynamic_templates": [{"texts": keyword}],
                "properties": {"@timestamp": {"type": "date"}},
            });
            if node.is_some() {
                house.make("new_terms", &mappings, &json!({}));
            }
            house.store(documents);
        }
        // `from` is absolute in these cases, and the window ends whenever the rule runs.
        let ran = house.run(&rule.to_string(), from + Duration::hours(1));
        assert_eq!(ran.record.error, None, "{name}: {:?}", ran.record);
        let mut terms: Vec<Value> = ran.alerts.iter().map(|a| value(a, "kibana.alert.new_terms")).collect();
        terms.sort_by_key(Value::to_string);
        if let Some(expected) = case["expected_new_terms"].as_array() {
            assert_eq!(&terms, expected, "{name}");
        }
        if let Some(count) = case["expected_count"].as_u64() {
            assert_eq!(terms.len() as u64, count, "{name}: {terms:?}");
        }
        if let Some(expected) = case.get("expected_original_time") {
            assert_eq!(&value(&ran.alerts[0], "kibana.alert.original_time"), expected, "{name}");
        }
    }
    assert!(cases.len() >= 6);
}
