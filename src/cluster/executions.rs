//! The execution log on a cluster: a document for each execution, with the field names that
//! Kibana's event log has, so that its dashboards and ours read alike.

use chrono::DateTime;
use serde_json::{Map, Value, json};

use crate::alert::rule_fields::rule_type_names;
use crate::store::state::{ExecutionRecord, Status};

const EXECUTION: &str = "kibana.alert.rule.execution";

/// The mapping of the index.
pub fn mapping() -> Value {
    let keyword = json!({"type": "keyword", "ignore_above": 1024});
    let (date, long) = (json!({"type": "date"}), json!({"type": "long"}));
    let text = json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 4096}}});
    let fields = [
        ("@timestamp", &date),
        ("message", &text),
        ("event.kind", &keyword),
        ("event.provider", &keyword),
        ("event.action", &keyword),
        ("event.outcome", &keyword),
        ("event.start", &date),
        ("event.end", &date),
        ("event.duration", &long),
        ("log.level", &keyword),
        ("rule.id", &keyword),
        ("rule.uuid", &keyword),
        ("rule.name", &keyword),
        ("rule.category", &keyword),
        ("kibana.space_ids", &keyword),
        ("kibana.task.scheduled", &date),
        ("kibana.task.schedule_delay", &long),
        ("kibana.alerting.outcome", &keyword),
        ("kibana.alert.rule.rule_type_id", &keyword),
        ("kibana.alert.rule.execution.uuid", &keyword),
        ("kibana.alert.rule.execution.status", &keyword),
        ("kibana.alert.rule.execution.status_order", &long),
        ("kibana.alert.rule.execution.metrics.total_run_duration_ms", &long),
        ("kibana.alert.rule.execution.metrics.total_search_duration_ms", &long),
        ("kibana.alert.rule.execution.metrics.total_indexing_duration_ms", &long),
        ("kibana.alert.rule.execution.metrics.process_alerts_duration_ms", &long),
        ("kibana.alert.rule.execution.metrics.claim_to_start_duration_ms", &long),
        ("kibana.alert.rule.execution.metrics.alerts_candidate_count", &long),
        ("kibana.alert.rule.execution.metrics.alerts_suppressed_count", &long),
        ("kibana.alert.rule.execution.metrics.alert_counts.new", &long),
        ("kibana.alert.rule.execution.metrics.execution_gap_duration_s", &long),
        ("tocsin.execution.from", &date),
        ("tocsin.execution.to", &date),
        ("tocsin.execution.clock", &keyword),
        ("tocsin.execution.trigger", &keyword),
        ("tocsin.execution.candidates", &long),
        ("tocsin.execution.alerts", &long),
        ("tocsin.execution.duplicates", &long),
        ("tocsin.execution.suppressed", &long),
        ("tocsin.execution.excepted", &long),
        ("tocsin.execution.capped", &long),
        ("tocsin.execution.waiting", &long),
        ("tocsin.execution.sources", &keyword),
        ("tocsin.execution.warnings", &text),
        ("tocsin.execution.error", &text),
    ];
    let mut properties = Map::new();
    for (path, definition) in fields {
        let mut at = &mut properties;
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                at.insert(part.to_owned(), definition.clone());
                break;
            }
            let slot = at.entry(part).or_insert_with(|| json!({"properties": {}}));
            let Some(below) = slot.get_mut("properties").and_then(Value::as_object_mut) else { break };
            at = below;
        }
    }
    // The log entry as it is shown, kept whole.
    properties.insert("tocsin_record".to_owned(), json!({"type": "object", "enabled": false}));
    json!({"dynamic": false, "properties": properties})
}

/// Whether the log may be searched by `path`.
pub fn mapped(path: &str) -> bool {
    let mapping = mapping();
    let pointer = format!("/properties/{}", path.replace('.', "/properties/"));
    mapping.pointer(&pointer).is_some_and(|definition| definition.get("type").is_some())
}

/// Kibana's order of how bad an execution ended.
fn order(status: Status) -> i64 {
    match status {
        Status::Succeeded | Status::NotRun | Status::NoDataSource => 0,
        Status::PartialFailure => 20,
        Status::Failed => 30,
    }
}

/// The document of a log entry.
pub fn document(record: &ExecutionRecord, space: &str) -> Value {
    let (type_id, category) = rule_type_names(&record.rule_type);
    let (outcome, alerting, level) = match record.status {
        Status::Failed => ("failure", "failure", "error"),
        Status::PartialFailure => ("success", "warning", "warn"),
        _ => ("success", "success", "info"),
    };
    let time = |text: &str| DateTime::parse_from_rfc3339(text).ok();
    let (started, slot) = (time(&record.started_at), time(&record.slot));
    let took = i64::try_from(record.took_ms).unwrap_or(i64::MAX);
    let delay = started.zip(slot).map_or(0, |(started, slot)| (started - slot).num_milliseconds().max(0));
    let message = record.error.clone().unwrap_or_else(|| {
        if record.warnings.is_empty() {
            format!("rule executed: {} alerts of {} candidates", record.alerts, record.candidates)
        } else {
            record.warnings.join("; ")
        }
    });
    let end = started.map(|started| started + chrono::Duration::milliseconds(took));
    json!({
        "@timestamp": record.started_at,
        "message": message,
        "event": {
            "kind": "event",
            "provider": "tocsin",
            "action": "execute",
            "outcome": outcome,
            "start": record.started_at,
            "end": end.map(|end| crate::base::window::iso_millis(end.to_utc())),
            "duration": took.saturating_mul(1_000_000),
        },
        "log.level": level,
        "rule": {"id": record.rule_id, "uuid": record.rule_uuid, "name": record.rule_name, "category": category},
        "kibana.space_ids": [space],
        "kibana.task.scheduled": record.slot,
        "kibana.task.schedule_delay": delay.saturating_mul(1_000_000),
        "kibana.alerting.outcome": alerting,
        "kibana.alert.rule.rule_type_id": type_id,
        format!("{EXECUTION}.uuid"): record.execution_id,
        format!("{EXECUTION}.status"): record.status.as_str(),
        format!("{EXECUTION}.status_order"): order(record.status),
        format!("{EXECUTION}.metrics"): {
            "total_run_duration_ms": record.took_ms,
            "total_search_duration_ms": record.timings.search_ms,
            "total_indexing_duration_ms": record.timings.write_ms,
            "process_alerts_duration_ms": record.timings.process_ms,
            "claim_to_start_duration_ms": record.timings.delay_ms,
            "alerts_candidate_count": record.candidates,
            "alerts_suppressed_count": record.suppressed,
            "alert_counts": {"new": record.alerts},
        },
        "tocsin.execution": {
            "from": record.from,
            "to": record.to,
            "clock": record.clock,
            "trigger": record.trigger,
            "candidates": record.candidates,
            "alerts": record.alerts,
            "duplicates": record.duplicates,
            "suppressed": record.suppressed,
            "excepted": record.excepted,
            "capped": record.capped,
            "waiting": record.backlog.waiting,
            "sources": record.sources,
            "warnings": record.warnings,
            "error": record.error,
        },
        "tocsin_record": record,
    })
}
