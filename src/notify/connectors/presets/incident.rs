//! Incidents and cases: Opsgenie, Jira, `ServiceNow`, `TheHive`, IRIS; logs by OTLP.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Call, Own, put, segment};
use crate::base::window::iso_millis;
use crate::notify::escape::cut;
use crate::notify::message::{Message, Phase};
use crate::store::state::Kind;

/// The conversation as a name that fits into a path.
fn alias(message: &Message) -> String {
    message.thread.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(500).collect()
}

/// `low` to `critical` as 1 to 4.
fn level(message: &Message) -> u8 {
    match message.severity.as_str() {
        "critical" => 4,
        "high" => 3,
        "medium" => 2,
        _ => 1,
    }
}

/// What was made for the first message of the conversation.
fn made(message: &Message) -> Option<&str> {
    message.receipt.as_deref().and_then(segment)
}

pub(super) fn opsgenie(message: &Message, _: &Own) -> Call {
    let alias = alias(message);
    let note = json!({"source": "tocsin", "note": cut(&message.summary, 25_000)});
    let follow =
        |action: &str| Call::post(format!("v2/alerts/{alias}/{action}?identifierType=alias"), note.clone());
    match message.phase() {
        Phase::Acknowledge => follow("acknowledge"),
        Phase::Resolve => follow("close"),
        Phase::Trigger => {
            let details: serde_json::Map<String, Value> =
                message.facts.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
            Call::post(
                "v2/alerts",
                json!({
                    "message": cut(&message.title, 130),
                    "alias": alias,
                    "description": cut(&message.plain(), 15_000),
                    "priority": format!("P{}", 5 - level(message)),
                    "source": "tocsin",
                    "tags": ["tocsin", message.severity],
                    "details": details,
                }),
            )
        }
    }
}

pub(super) fn jira(message: &Message, own: &Own) -> Call {
    if let Some(issue) = made(message) {
        return Call::post(
            format!("rest/api/2/issue/{issue}/comment"),
            json!({"body": cut(&format!("{}\n{}", message.title, message.plain()), 30_000)}),
        );
    }
    Call::post(
        "rest/api/2/issue",
        json!({"fields": {
            "project": {"key": own.project},
            "issuetype": {"name": own.issue_type.as_deref().unwrap_or("Task")},
            "summary": cut(&message.title, 250),
            // Jira's wiki markup reads nothing inside of `noformat`.
            "description": format!("{{noformat}}\n{}\n{{noformat}}", cut(&message.plain().replace("{noformat}", "{ noformat }"), 30_000)),
            "labels": ["tocsin", format!("tocsin-{}", message.key)],
        }}),
    )
}

pub(super) fn servicenow(message: &Message, _: &Own) -> Call {
    if let Some(incident) = made(message) {
        let mut body = json!({"work_notes": cut(&message.plain(), 30_000)});
        match message.phase() {
            Phase::Resolve => {
                put(&mut body, "state", "6");
                put(&mut body, "close_notes", message.summary.as_str());
                put(&mut body, "close_code", "Resolved by request");
            }
            Phase::Acknowledge => put(&mut body, "state", "2"),
            Phase::Trigger => {}
        }
        return Call { method: Method::PATCH, path: format!("api/now/table/incident/{incident}"), body };
    }
    let urgency = (4 - level(message)).max(1).to_string();
    Call::post(
        "api/now/table/incident",
        json!({
            "short_description": cut(&message.title, 160),
            "description": cut(&message.plain(), 30_000),
            "urgency": urgency,
            "impact": urgency,
            "correlation_id": cut(&message.thread, 100),
            "correlation_display": "tocsin",
        }),
    )
}

pub(super) fn thehive(message: &Message, _: &Own) -> Call {
    if let Some(alert) = made(message) {
        return Call::post(
            format!("api/v1/alert/{alert}/comment"),
            json!({"message": cut(&message.plain(), 30_000)}),
        );
    }
    Call::post(
        "api/v1/alert",
        json!({
            "type": "tocsin",
            "source": "tocsin",
            "sourceRef": cut(&message.key, 128),
            "title": cut(&message.title, 512),
            "description": cut(&message.plain(), 100_000),
            "severity": level(message),
            "date": message.at.timestamp_millis(),
            "tags": ["tocsin", message.rule],
        }),
    )
}

pub(super) fn iris(message: &Message, own: &Own) -> Call {
    if let Some(alert) = made(message) {
        return Call::post(
            format!("alerts/update/{alert}"),
            json!({"alert_note": cut(&message.plain(), 30_000)}),
        );
    }
    Call::post(
        "alerts/add",
        json!({
            "alert_title": cut(&message.title, 500),
            "alert_description": cut(&message.plain(), 60_000),
            "alert_source": "tocsin",
            "alert_source_ref": message.key,
            "alert_source_link": message.link,
            "alert_severity_id": level(message) + 2,
            "alert_status_id": 2,
            "alert_source_event_time": iso_millis(message.at),
            "alert_customer_id": own.customer.unwrap_or(1),
            "alert_tags": "tocsin",
        }),
    )
}

pub(super) fn otlp(message: &Message, _: &Own) -> Call {
    let (number, name) = match (message.kind, message.severity.as_str()) {
        (Kind::Recovered | Kind::Closed | Kind::Acknowledged, _) => (9, "INFO"),
        (_, "critical") => (21, "FATAL"),
        (_, "high") => (17, "ERROR"),
        (_, "medium") => (13, "WARN"),
        _ => (9, "INFO"),
    };
    let attribute = |(name, value): (&str, &str)| json!({"key": name, "value": {"stringValue": value}});
    let mut attributes: Vec<Value> = [
        ("tocsin.key", message.key.as_str()),
        ("tocsin.kind", message.kind.as_str()),
        ("tocsin.alert.id", message.alert.as_str()),
        ("tocsin.rule.name", message.rule.as_str()),
        ("tocsin.severity", message.severity.as_str()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(attribute)
    .collect();
    attributes.extend(message.facts.iter().map(|(name, value)| attribute((name, value))));
    let nanos = message.at.timestamp_nanos_opt().unwrap_or(0).to_string();
    Call::post(
        "v1/logs",
        json!({"resourceLogs": [{
            "resource": {"attributes": [attribute(("service.name", "tocsin"))]},
            "scopeLogs": [{
                "scope": {"name": "tocsin"},
                "logRecords": [{
                    "timeUnixNano": nanos,
                    "observedTimeUnixNano": nanos,
                    "severityNumber": number,
                    "severityText": name,
                    "body": {"stringValue": format!("{}\n{}", message.title, message.plain())},
                    "attributes": attributes,
                }],
            }],
        }]}),
    )
}
