//! `machine_learning`: each anomaly that a job recorded is a candidate, in the shape of an event.

use chrono::DateTime;
use serde_json::{Map, Value};

use super::Found;
use super::query::pages;
use crate::alert::build::alert_id;
use crate::alert::evidence::Evidence;
use crate::alert::rule_fields::RuleFields;
use crate::backend::{BackendError, Hit, HitPage};
use crate::base::window::iso_millis;
use crate::ecs::document::Document;
use crate::engine::cap::Candidate;
use crate::engine::execution::Task;
use crate::engine::run::Engine;
use crate::engine::stages::Stages;

/// Fields of an anomaly that name a field, and those that hold its value.
const NAMED: [(&str, &str); 3] = [
    ("by_field_name", "by_field_value"),
    ("over_field_name", "over_field_value"),
    ("partition_field_name", "partition_field_value"),
];

pub(super) async fn find(
    engine: &Engine,
    task: &Task,
    first: Option<Result<HitPage, BackendError>>,
    stages: &mut Stages<'_>,
) -> Result<Found, String> {
    pages(engine, task, first, stages, candidates).await
}

fn candidates(rule: &RuleFields, hits: Vec<Hit>) -> Vec<Candidate> {
    let candidate = |Hit { document, sort }: Hit| {
        let alert = alert_id(rule, &document.index, &document.id);
        let source = event(&document.source, sort.primary);
        let document = Document::new(document.index, document.id, source);
        Candidate::on_event(alert, Evidence::hit(document), sort.primary, sort.primary)
    };
    hits.into_iter().map(candidate).collect()
}

/// An anomaly as an event: its time as `@timestamp`, and the values that made it stand out under
/// their fields' names.
fn event(anomaly: &Value, time: i64) -> Value {
    let mut event = anomaly.as_object().cloned().unwrap_or_default();
    event.shift_remove("timestamp");
    if let Some(at) = DateTime::from_timestamp_millis(time) {
        event.insert("@timestamp".to_owned(), iso_millis(at).into());
    }
    let mut found: Vec<(String, Value)> = Vec::new();
    for (name, value) in NAMED {
        if let (Some(Value::String(name)), Some(value)) = (anomaly.get(name), anomaly.get(value)) {
            found.push((name.clone(), value.clone()));
        }
    }
    for influencer in anomaly.get("influencers").and_then(Value::as_array).into_iter().flatten() {
        let name = influencer.get("influencer_field_name").and_then(Value::as_str);
        if let (Some(name), Some(values)) = (name, influencer.get("influencer_field_values")) {
            found.push((name.to_owned(), values.clone()));
        }
    }
    for (name, value) in found {
        put(&mut event, &name, value);
    }
    Value::Object(event)
}

fn put(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        Some((head, rest)) => {
            let inner = object.entry(head).or_insert_with(|| Value::Object(Map::new()));
            match inner.as_object_mut() {
                Some(inner) => put(inner, rest, value),
                None => *inner = value,
            }
        }
        None => {
            object.insert(path.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_anomaly_becomes_an_event() {
        let anomaly = json!({
            "job_id": "j", "result_type": "record", "record_score": 90, "timestamp": 0,
            "by_field_name": "process.name", "by_field_value": "sh",
            "influencers": [{"influencer_field_name": "host.name", "influencer_field_values": ["h"]}],
        });
        let event = event(&anomaly, 0);
        assert_eq!(event["@timestamp"], "1970-01-01T00:00:00.000Z");
        assert_eq!(event["process"]["name"], "sh");
        assert_eq!(event["host"]["name"], json!(["h"]));
        assert!(event.get("timestamp").is_none());
    }
}
