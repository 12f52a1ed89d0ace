//! The alerts of a sequence: a building block for each of its events and a shell over them.

use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Map, Value, json};

use super::ancestors::ancestry;
use super::build::{Occasion, common, put_rule, row};
use super::id;
use super::lookup::lookup;
use super::overrides::{Overrides, overrides};
use super::reason::reason;
use super::rule_fields::RuleFields;
use super::schema::alert_source;
use crate::base::window::iso_millis;
use crate::ecs::document::Document;
use crate::store::state::{AlertRow, alerts_index};

/// The ancestors that ids of a sequence hash: (id, index), event by event.
fn ancestors(documents: &[Document]) -> Vec<(String, String)> {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    documents
        .iter()
        .flat_map(|document| ancestry(document).ancestors)
        .map(|ancestor| (text(&ancestor, "id"), text(&ancestor, "index")))
        .collect()
}

/// The id of the shell over these events.
pub fn shell_id(rule: &RuleFields, documents: &[Document]) -> Arc<str> {
    let ancestors = ancestors(documents);
    let parts: Vec<(&str, &str)> = ancestors.iter().map(|(id, index)| (&**id, &**index)).collect();
    id::sequence_shell(&parts, &rule.uuid).into()
}

/// What the events of a sequence have in common.
pub fn shared_source(documents: &[Document]) -> Value {
    let mut sources = documents.iter().map(|document| Value::Object(alert_source(&document.source)));
    let first = sources.next().unwrap_or_else(|| Value::Object(Map::new()));
    sources.fold(first, |shared, source| {
        intersect(&shared, &source).unwrap_or_else(|| Value::Object(Map::new()))
    })
}

/// The shell, and then the building blocks, of a sequence.
pub fn build_group(
    rule: &RuleFields,
    documents: &[Document],
    extra: &Map<String, Value>,
    occasion: &Occasion,
) -> Vec<AlertRow> {
    let parents = ancestors(documents);
    let parts: Vec<(&str, &str)> = parents.iter().map(|(id, index)| (&**id, &**index)).collect();
    let shell = shell_id(rule, documents);
    let index = alerts_index(&occasion.space);
    let plain = Overrides::none(&rule.rule);
    let mut blocks = Vec::with_capacity(documents.len());
    let mut lineage = Vec::new();
    let mut depth = 1;
    let mut last_time = None;
    for (position, document) in documents.iter().enumerate() {
        let block = id::building_block(&parts, &rule.uuid, position);
        let origin = ancestry(document);
        let time = lookup(&document.source, "@timestamp").and_then(Value::as_str).map(str::to_owned);
        let original = time.as_deref().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        let original = original.map(|at| at.to_utc());
        let mut alert = common(document, original, &plain, &block, &origin, occasion);
        put_rule(&mut alert, rule, &plain);
        alert.insert("kibana.alert.building_block_type".into(), "default".into());
        alert.insert("kibana.alert.group.id".into(), (&*shell).into());
        alert.insert("kibana.alert.group.index".into(), position.into());
        lineage.extend(origin.ancestors);
        lineage.push(json!({
            "id": block, "type": "signal", "index": index, "depth": origin.depth, "rule": &*rule.uuid,
        }));
        depth = depth.max(origin.depth);
        last_time = last_time.max(original);
        blocks.push(AlertRow {
            building_block: true,
            counted: false,
            ..row(rule, block.into(), original, &plain, alert, occasion)
        });
    }
    let shared = shared_source(documents);
    let changed = overrides(&rule.rule, &shared);
    let now: Value = iso_millis(occasion.now).into();
    let mut alert = alert_source(&shared);
    let why = reason(&shared, changed.severity.as_str(), &changed.name);
    super::build::put_occasion(&mut alert, &shell, &now, occasion);
    put_rule(&mut alert, rule, &changed);
    for (name, value) in [
        ("kibana.alert.reason", Value::from(why)),
        ("kibana.alert.severity", changed.severity.as_str().into()),
        ("kibana.alert.risk_score", super::rule_fields::number(changed.risk_score)),
        ("kibana.alert.depth", (depth + 1).into()),
        ("kibana.alert.ancestors", Value::Array(lineage)),
        ("kibana.alert.group.id", (&*shell).into()),
    ] {
        alert.insert(name.to_owned(), value);
    }
    if let Some(at) = last_time {
        alert.insert("kibana.alert.original_time".to_owned(), iso_millis(at).into());
    }
    alert.extend(extra.clone());
    let mut rows = vec![row(rule, shell, last_time, &changed, alert, occasion)];
    rows.extend(blocks);
    rows
}

/// What two values have in common: equal scalars, the common elements of arrays (a scalar counts
/// as an array of one), and the same of objects, key by key.
fn intersect(a: &Value, b: &Value) -> Option<Value> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut out = Map::new();
            for (key, value) in a {
                if let Some(both) = b.get(key).and_then(|other| intersect(value, other)) {
                    out.insert(key.clone(), both);
                }
            }
            (!out.is_empty()).then_some(Value::Object(out))
        }
        (Value::Array(a), Value::Array(b)) => common_elements(a, b),
        (Value::Array(a), b) => common_elements(a, std::slice::from_ref(b)),
        (a, Value::Array(b)) => common_elements(std::slice::from_ref(a), b),
        (a, b) => (a == b).then(|| a.clone()),
    }
}

fn common_elements(a: &[Value], b: &[Value]) -> Option<Value> {
    let both: Vec<Value> = a.iter().filter(|value| b.contains(value)).cloned().collect();
    (!both.is_empty()).then_some(Value::Array(both))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_events_have_in_common_stays() {
        let a =
            json!({"host": {"name": "h", "ip": ["1.1.1.1", "2.2.2.2"]}, "user": {"name": "a"}, "tags": "x"});
        let b = json!({"host": {"name": "h", "ip": ["2.2.2.2"]}, "user": {"name": "b"}, "tags": ["x", "y"]});
        let both = intersect(&a, &b).unwrap();
        assert_eq!(both, json!({"host": {"name": "h", "ip": ["2.2.2.2"]}, "tags": ["x"]}));
        assert_eq!(intersect(&json!({"a": 1}), &json!({"a": {"b": 1}})), None);
    }
}
