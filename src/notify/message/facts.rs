//! What a person needs to act: who, where from, when, and the fields the rule says to look at.

use serde_json::Value;

use crate::alert::lookup::{lookup, texts};
use crate::notify::escape::{cut, line};
use crate::store::state::Kind;

/// Longest value, bytes.
const VALUE: usize = 500;
/// Most fields of an alert that are told.
const MOST: usize = 24;
/// Most rules of a digest that are told by name, and alerts told by reason.
const MOST_LINES: usize = 15;

/// Fields told of every alert that has them, with their name for people.
const COMMON: &[(&str, &str)] = &[
    ("kibana.alert.original_time", "when"),
    ("user.name", "who"),
    ("user.email", "mail"),
    ("aws.cloudtrail.user_identity.arn", "identity"),
    ("source.ip", "where from"),
    ("source.geo.country_name", "country"),
    ("host.name", "host"),
    ("event.action", "what"),
    ("event.outcome", "outcome"),
    ("cloud.account.id", "account"),
    ("cloud.region", "region"),
    ("process.name", "process"),
    ("file.path", "file"),
    ("destination.ip", "where to"),
];

/// The facts of an alert.
pub(super) fn alert(alert: &Value) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut add = |field: &str, name: &str| {
        let values = texts(alert, field);
        if !values.is_empty() && facts.len() < MOST && !facts.iter().any(|(known, _)| known == name) {
            facts.push((name.to_owned(), cut(&line(&values.join(", ")), VALUE)));
        }
    };
    for (field, name) in COMMON {
        add(field, name);
    }
    for field in investigation_fields(alert) {
        if !COMMON.iter().any(|(common, _)| *common == field) {
            add(&field, &field);
        }
    }
    if let Some(Value::Array(terms)) = lookup(alert, "kibana.alert.threshold_result.terms") {
        for term in terms {
            let part = |name: &str| texts(term, name).join(", ");
            facts.push((line(&part("field")), cut(&line(&part("value")), VALUE)));
        }
    }
    for (field, name) in [
        ("kibana.alert.threshold_result.count", "count"),
        ("kibana.alert.suppression.docs_count", "further events"),
        ("kibana.alert.risk_score", "risk score"),
    ] {
        let values = texts(alert, field);
        if !values.is_empty() {
            facts.push((name.to_owned(), line(&values.join(", "))));
        }
    }
    credits(alert, &mut facts);
    facts
}

/// Who wrote the rule: some licences ask that every message of a match names them.
fn credits(alert: &Value, facts: &mut Vec<(String, String)>) {
    let authors = texts(alert, "kibana.alert.rule.author");
    if authors.is_empty() {
        return;
    }
    let license = texts(alert, "kibana.alert.rule.license");
    let license = if license.is_empty() { String::new() } else { format!(" ({})", license.join(", ")) };
    facts.push(("rule by".to_owned(), cut(&line(&format!("{}{license}", authors.join(", "))), VALUE)));
    let references = texts(alert, "kibana.alert.rule.references");
    if let Some(first) = references.first() {
        facts.push(("reference".to_owned(), cut(&line(first), VALUE)));
    }
}

/// The fields that the rule says to look at first.
fn investigation_fields(alert: &Value) -> Vec<String> {
    let Some(parameters) = lookup(alert, "kibana.alert.rule.parameters") else { return Vec::new() };
    let named = texts(parameters, "investigation_fields.field_names");
    if named.is_empty() { texts(parameters, "investigation_fields") } else { named }
}

/// A digest in a sentence.
pub(super) fn digest_summary(document: &Value) -> String {
    let count = document.get("count").and_then(Value::as_u64).unwrap_or(0);
    let rules = document.get("rules").and_then(Value::as_object).map_or(0, serde_json::Map::len);
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    format!(
        "{count} alert{} of {rules} rule{}",
        plural(count),
        plural(u64::try_from(rules).unwrap_or(u64::MAX))
    )
}

/// A digest's rules with their counts, the most frequent first, then its alerts.
pub(super) fn digest(document: &Value) -> Vec<(String, String)> {
    let mut rules: Vec<(&String, u64)> = document
        .get("rules")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, count)| (name, count.as_u64().unwrap_or(0)))
        .collect();
    rules.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut facts: Vec<(String, String)> =
        rules.iter().take(MOST_LINES).map(|(name, count)| (line(name), count.to_string())).collect();
    if rules.len() > MOST_LINES {
        facts.push(("further rules".to_owned(), (rules.len() - MOST_LINES).to_string()));
    }
    let alerts = document.get("alerts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for alert in alerts.iter().take(MOST_LINES) {
        let text = |field: &str| texts(alert, field).join(", ");
        let time = text("kibana.alert.original_time");
        let time = if time.is_empty() { text("@timestamp") } else { time };
        facts.push((time, cut(&line(&text("kibana.alert.reason")), VALUE)));
    }
    let count = document.get("count").and_then(Value::as_u64).unwrap_or(0);
    let told = u64::try_from(alerts.len().min(MOST_LINES)).unwrap_or(0);
    if count > told {
        facts.push(("further alerts".to_owned(), (count - told).to_string()));
    }
    facts
}

fn part(change: Option<&Value>, name: &str) -> String {
    change.and_then(|change| change.get(name)).and_then(Value::as_str).map(line).unwrap_or_default()
}

/// What became of an alert, in a sentence.
pub(super) fn change_summary(kind: Kind, change: Option<&Value>) -> String {
    let what = match kind {
        Kind::Acknowledged => "acknowledged",
        Kind::Closed => "closed",
        Kind::Reopened => "open again",
        Kind::Recovered => "recovered: OK",
        Kind::InsufficientData => "insufficient data to tell",
        other => other.as_str(),
    };
    let (by, reason) = (part(change, "by"), part(change, "reason"));
    let by = if by.is_empty() { by } else { format!(" by {by}") };
    let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
    cut(&format!("{what}{by}{reason}"), VALUE)
}

/// When that was, and what it is about.
pub(super) fn change(alert: &Value, change: Option<&Value>) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    for (name, value) in [("when", part(change, "at")), ("since", part(change, "since"))] {
        if !value.is_empty() {
            facts.push((name.to_owned(), value));
        }
    }
    let reason = texts(alert, "kibana.alert.reason").join(", ");
    if !reason.is_empty() {
        facts.push(("alert".to_owned(), cut(&line(&reason), VALUE)));
    }
    facts
}
