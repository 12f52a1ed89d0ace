//! What of an event goes into its alert: everything but what would clash with the alert index's
//! mapping.

use std::net::IpAddr;

use chrono::DateTime;
use serde_json::{Map, Value};

use crate::ecs::catalog;
use crate::ecs::types::FieldType;

/// Objects an alert writes itself; an event's own are not taken over.
const RESERVED: [&str; 4] = ["kibana", "signal", "threshold_result", "tocsin"];
/// Where an alert says which fields of its event it could not take over.
const REMOVED: &str = "tocsin.removed_fields";
/// Names of removed fields that it lists.
const LISTED: usize = 50;

/// The event's fields as an alert may carry them: without the reserved objects and without
/// values that the ECS mapping could not hold; of these, `tocsin.removed_fields` has the names.
pub fn alert_source(event: &Value) -> Map<String, Value> {
    let mut source = event.as_object().cloned().unwrap_or_default();
    source.retain(|key, _| !reserved(key));
    let mut path = String::new();
    let mut removed = Vec::new();
    clean(&mut source, &mut path, &mut removed);
    if !removed.is_empty() {
        removed.truncate(LISTED);
        source.insert(REMOVED.to_owned(), removed.into());
    }
    source
}

fn reserved(key: &str) -> bool {
    RESERVED
        .iter()
        .any(|name| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// Removes clashing values; objects and arrays that this empties go too, those that were empty
/// stay.
fn clean(map: &mut Map<String, Value>, path: &mut String, removed: &mut Vec<String>) {
    let length = path.len();
    map.retain(|key, value| {
        if length > 0 {
            path.push('.');
        }
        path.push_str(key);
        let keep = noted(value, path, removed);
        path.truncate(length);
        keep
    });
}

/// [`clean_value`], with the name of what goes unless it was noted further below or before.
fn noted(value: &mut Value, path: &mut String, removed: &mut Vec<String>) -> bool {
    let before = removed.len();
    let keep = clean_value(value, path, removed);
    if !keep && removed.len() == before && removed.last() != Some(path) {
        removed.push(path.clone());
    }
    keep
}

fn clean_value(value: &mut Value, path: &mut String, removed: &mut Vec<String>) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => {
            let before = items.len();
            items.retain_mut(|item| noted(item, path, removed));
            before == 0 || !items.is_empty()
        }
        Value::Object(map) => {
            if scalar_above(path) || shape(path) == Some(Shape::Scalar) {
                return false;
            }
            let before = map.len();
            clean(map, path, removed);
            before == 0 || !map.is_empty()
        }
        scalar => {
            if scalar_above(path) {
                return false;
            }
            match shape(path) {
                None => true,
                Some(Shape::Object) => false,
                Some(Shape::Scalar) => ecs(path).is_none_or(|kind| holds(kind, scalar)),
            }
        }
    }
}

#[derive(PartialEq)]
enum Shape {
    Scalar,
    Object,
}

/// The ECS type of a path. The fields of the CloudTrail data stream are catalogued too, but no
/// part of ECS, and alerts' own fields never come from the event.
fn ecs(path: &str) -> Option<FieldType> {
    if path.starts_with("aws.") {
        return None;
    }
    catalog::get(path).filter(|entry| !entry.multi).map(|entry| entry.kind)
}

/// What ECS has at `path`; `None`: nothing, or something that may be either.
fn shape(path: &str) -> Option<Shape> {
    match ecs(path) {
        Some(FieldType::Flattened | FieldType::GeoPoint | FieldType::Other) => None,
        Some(FieldType::Object | FieldType::Nested) => Some(Shape::Object),
        Some(_) => Some(Shape::Scalar),
        None => {
            let prefix = format!("{path}.");
            let object = !path.starts_with("aws") && catalog::below(&prefix).any(|(_, entry)| !entry.multi);
            object.then_some(Shape::Object)
        }
    }
}

/// Whether a field above `path` is a scalar in ECS, so that nothing can lie below it.
fn scalar_above(path: &str) -> bool {
    path.rmatch_indices('.')
        .filter_map(|(at, _)| path.get(..at))
        .any(|above| ecs(above).is_some() && shape(above) == Some(Shape::Scalar))
}

/// Whether a field of this type can hold the scalar.
fn holds(kind: FieldType, scalar: &Value) -> bool {
    match kind {
        FieldType::Long
        | FieldType::Integer
        | FieldType::Short
        | FieldType::Byte
        | FieldType::UnsignedLong => match scalar {
            Value::Number(_) => true,
            Value::String(text) => text.trim().parse::<f64>().is_ok_and(f64::is_finite),
            _ => false,
        },
        FieldType::Double | FieldType::Float | FieldType::HalfFloat | FieldType::ScaledFloat => {
            match scalar {
                Value::Number(_) => true,
                Value::String(text) => text.trim().parse::<f64>().is_ok_and(f64::is_finite),
                _ => false,
            }
        }
        FieldType::Ip => scalar.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        FieldType::Date | FieldType::DateNanos => match scalar {
            Value::Number(_) => true,
            Value::String(text) => is_date(text),
            _ => false,
        },
        FieldType::Boolean => match scalar {
            Value::Bool(_) => true,
            Value::String(text) => matches!(text.as_str(), "true" | "false" | ""),
            _ => false,
        },
        _ => true,
    }
}

fn is_date(text: &str) -> bool {
    crate::base::datemath::resolve(text, DateTime::UNIX_EPOCH, crate::base::datemath::Rounding::Down).is_ok()
        && !text.starts_with("now")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cleaned(event: Value) -> Value {
        Value::Object(alert_source(&event))
    }

    #[test]
    fn reserved_objects_are_dropped_in_every_spelling() {
        let event = json!({"kibana": {"x": 1}, "kibana.alert.rule.name": "r", "signal": 1, "threshold_result": {},
            "kibanaesque": 1, "signals": 2});
        assert_eq!(cleaned(event), json!({"kibanaesque": 1, "signals": 2}));
    }

    #[test]
    fn values_that_clash_with_ecs_are_dropped_and_all_others_stay() {
        let event = json!({
            "source": {"ip": ["10.0.0.1", "not an address"], "port": "x", "bytes": "12"},
            "event": {"created": "yesterday", "start": "2026-11-01T00:00:00Z", "category": []},
            "agent": "scalar where ECS has an object",
            "user": {"name": {"object": "where ECS has a scalar"}},
            "host.name.more": "below a scalar",
            "file": {"hash": {"md5": ["x"]}, "size": true},
            "dns": {"answers": "not nested"},
            "mine": {"ip": "anything", "list": [], "none": null},
            "aws": {"cloudtrail": {"error_code": {"x": 1}}},
        });
        assert_eq!(
            cleaned(event),
            json!({
                "source": {"ip": ["10.0.0.1"], "bytes": "12"},
                "event": {"start": "2026-11-01T00:00:00Z", "category": []},
                "file": {"hash": {"md5": ["x"]}},
                "mine": {"ip": "anything", "list": [], "none": null},
                "aws": {"cloudtrail": {"error_code": {"x": 1}}},
                "tocsin.removed_fields": [
                    "source.ip", "source.port", "event.created", "agent", "user.name", "host.name.more",
                    "file.size", "dns.answers",
                ],
            })
        );
    }
}
