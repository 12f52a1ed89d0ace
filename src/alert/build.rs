//! From an event and a rule to an alert.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::ancestors::{Ancestry, ancestry};
use super::evidence::Evidence;
use super::group::build_group;
use super::id::event_alert;
use super::overrides::{Overrides, overrides};
use super::reason::reason;
use super::rule_fields::{RuleFields, flatten, number};
use super::schema::alert_source;
use crate::base::window::iso_millis;
use crate::ecs::document::Document;
use crate::store::state::AlertRow;

/// The execution that makes an alert.
#[derive(Debug, Clone)]
pub struct Occasion {
    /// Its id.
    pub execution: Arc<str>,
    /// When the alert is made.
    pub now: DateTime<Utc>,
    /// When the execution was due, for one that did not run then: one that was asked for, or that
    /// makes up for a missed one.
    pub intended: Option<DateTime<Utc>>,
    /// A person asked for the execution.
    pub manual: bool,
    /// The event arrived too late for the execution that should have found it.
    pub late: bool,
    /// Kibana space.
    pub space: Arc<str>,
}

/// The id of the alert that `rule` gives on an event.
pub fn alert_id(rule: &RuleFields, index: &str, id: &str) -> Arc<str> {
    // Kibana's searches never ask for the version, so it is never known.
    Arc::from(event_alert(index, id, None, &rule.id_part))
}

/// The alerts that `rule` gives on what was found; the first is the one that counts, others are its
/// building blocks. `id` is its id, `timestamp` the event's `@timestamp`, ms since the epoch.
pub fn build_all(
    rule: &RuleFields,
    id: &Arc<str>,
    evidence: &Evidence,
    timestamp: i64,
    occasion: &Occasion,
) -> Vec<AlertRow> {
    match evidence {
        Evidence::Group { documents, added } => build_group(rule, documents, added, occasion),
        Evidence::Hit { document, added } => {
            vec![build(rule, id, document, added, timestamp, occasion)]
        }
    }
}

fn build(
    rule: &RuleFields,
    id: &Arc<str>,
    event: &Document,
    added: &Map<String, Value>,
    timestamp: i64,
    occasion: &Occasion,
) -> AlertRow {
    let changed = overrides(&rule.rule, &event.source);
    let original_time = DateTime::from_timestamp_millis(timestamp);
    let mut alert = common(event, original_time, &changed, id, &ancestry(event), occasion);
    put_rule(&mut alert, rule, &changed);
    alert.extend(added.clone());
    row(rule, Arc::clone(id), original_time, &changed, alert, occasion)
}

/// What an alert on one event has whatever made it: the event's fields, and those of the alert
/// that follow from it.
pub(super) fn common(
    event: &Document,
    original_time: Option<DateTime<Utc>>,
    changed: &Overrides,
    id: &str,
    origin: &Ancestry,
    occasion: &Occasion,
) -> Map<String, Value> {
    let mut alert = alert_source(&event.source);
    let original = originals(&mut alert);
    // Read before the alert's own `event.kind` is laid over the event's fields.
    let reason = reason(&event.source, changed.severity.as_str(), &changed.name);
    let now: Value = iso_millis(occasion.now).into();
    put_occasion(&mut alert, id, &now, occasion);
    let mut put = |name: &str, value: Value| {
        alert.insert(name.to_owned(), value);
    };
    put("kibana.alert.reason", reason.into());
    put("kibana.alert.severity", changed.severity.as_str().into());
    put("kibana.alert.risk_score", number(changed.risk_score));
    put("kibana.alert.depth", origin.depth.into());
    put("kibana.alert.ancestors", Value::Array(origin.ancestors.clone()));
    if let Some(time) = original_time {
        put("kibana.alert.original_time", iso_millis(time).into());
    }
    for (name, value) in original {
        put(&name, value);
    }
    alert
}

/// The alert's id, and when and by which execution it is made.
pub(super) fn put_occasion(alert: &mut Map<String, Value>, id: &str, now: &Value, occasion: &Occasion) {
    let mut put = |name: &str, value: Value| {
        alert.insert(name.to_owned(), value);
    };
    put("@timestamp", now.clone());
    put("event.kind", "signal".into());
    put("kibana.alert.uuid", id.into());
    put("kibana.alert.start", now.clone());
    put("kibana.alert.last_detected", now.clone());
    put(
        "kibana.alert.intended_timestamp",
        occasion.intended.map_or_else(|| now.clone(), |t| iso_millis(t).into()),
    );
    put("kibana.alert.rule.execution.uuid", (&*occasion.execution).into());
    put("kibana.alert.rule.execution.timestamp", now.clone());
    put("kibana.alert.rule.execution.type", if occasion.manual { "manual" } else { "scheduled" }.into());
    if occasion.late {
        put("tocsin.late", true.into());
    }
}

/// Lays the rule's part over an alert, with what the event changed of it.
pub(super) fn put_rule(alert: &mut Map<String, Value>, rule: &RuleFields, changed: &Overrides) {
    for (name, value) in &rule.fields {
        alert.insert(name.clone(), value.clone());
    }
    note_overrides(changed, &mut |name: &str, value: Value| {
        alert.insert(name.to_owned(), value);
    });
}

/// The alert as it is stored.
pub(super) fn row(
    rule: &RuleFields,
    id: Arc<str>,
    original_time: Option<DateTime<Utc>>,
    changed: &Overrides,
    alert: Map<String, Value>,
    occasion: &Occasion,
) -> AlertRow {
    AlertRow {
        id,
        space: Arc::clone(&occasion.space),
        rule_uuid: Arc::clone(&rule.uuid),
        rule_id: Arc::clone(&rule.rule.rule_id),
        timestamp: occasion.now,
        original_time,
        severity: changed.severity.as_str().to_owned(),
        building_block: rule.rule.building_block,
        counted: true,
        document: Value::Object(alert).to_string(),
    }
}

fn note_overrides(changed: &Overrides, put: &mut impl FnMut(&str, Value)) {
    if changed.name_overridden {
        put("kibana.alert.rule.name", changed.name.as_str().into());
        put("kibana.alert.rule.meta.ruleNameOverridden", true.into());
    }
    if changed.risk_score_overridden {
        put("kibana.alert.rule.meta.riskScoreOverridden", true.into());
    }
    if let Some(field) = &changed.severity_field {
        put("kibana.alert.rule.meta.severityOverrideField", field.as_str().into());
    }
}

/// Copies `event.*` and `data_stream.*` to where an alert keeps its event's own, and removes
/// `event.kind`, which becomes the alert's.
fn originals(source: &mut Map<String, Value>) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    for (object, target) in
        [("event", "kibana.alert.original_event"), ("data_stream", "kibana.alert.original_data_stream")]
    {
        let dotted = format!("{object}.");
        for (key, value) in source.iter() {
            let name = if key == object {
                target.to_owned()
            } else if let Some(rest) = key.strip_prefix(&dotted) {
                format!("{target}.{rest}")
            } else {
                continue;
            };
            flatten(value, &name, &mut |name, leaf| out.push((name.to_owned(), leaf.clone())));
        }
    }
    source.shift_remove("event.kind");
    if let Some(Value::Object(event)) = source.get_mut("event") {
        event.shift_remove("kind");
        if event.is_empty() {
            source.shift_remove("event");
        }
    }
    out
}
