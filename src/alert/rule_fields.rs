//! The part of an alert that its rule gives: made once an execution, laid over every alert.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::rule::model::{Rule, RuleKind, Schedule};

/// The rule's part of its alerts.
#[derive(Debug, Clone)]
pub struct RuleFields {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Its object id.
    pub uuid: Arc<str>,
    /// `space:object id`, as ids have it.
    pub id_part: String,
    /// `kibana.alert.rule.*` and the framework's fields that are the same for all its alerts.
    pub fields: Map<String, Value>,
}

/// Rule type id and label of a rule type.
pub fn rule_type_names(rule_type: &str) -> (&'static str, &'static str) {
    match rule_type {
        "saved_query" => ("siem.savedQueryRule", "Saved Query Rule"),
        "eql" => ("siem.eqlRule", "Event Correlation Rule"),
        "esql" => ("siem.esqlRule", "ES|QL Rule"),
        "threshold" => ("siem.thresholdRule", "Threshold Rule"),
        "new_terms" => ("siem.newTermsRule", "New Terms Rule"),
        "threat_match" => ("siem.indicatorRule", "Indicator Match Rule"),
        "machine_learning" => ("siem.mlRule", "Machine Learning Rule"),
        _ => ("siem.queryRule", "Custom Query Rule"),
    }
}

impl RuleFields {
    /// The part of `rule` in `space`; `version` is the Kibana version whose schema is followed,
    /// `indices` are the index patterns searched.
    pub fn new(rule: &Arc<Rule>, space: &str, version: &str, indices: &[String]) -> Self {
        let uuid = rule.object_id(space);
        let object = rule.parameters.object();
        let parameters = parameters(rule, indices);
        let (type_id, category) = rule_type_names(rule.rule_type());
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                fields.insert(name.to_owned(), value);
            }
        };
        put("kibana.space_ids", json!([space]));
        put("kibana.version", version.into());
        put("kibana.alert.status", "active".into());
        put("kibana.alert.workflow_status", "open".into());
        put("kibana.alert.workflow_tags", json!([]));
        put("kibana.alert.workflow_assignee_ids", json!([]));
        if rule.building_block {
            put("kibana.alert.building_block_type", "default".into());
        }
        put("kibana.alert.rule.category", category.into());
        put("kibana.alert.rule.consumer", "siem".into());
        put("kibana.alert.rule.producer", "siem".into());
        put("kibana.alert.rule.rule_type_id", type_id.into());
        put("kibana.alert.rule.uuid", (&*uuid).into());
        put("kibana.alert.rule.rule_id", (&*rule.rule_id).into());
        put("kibana.alert.rule.name", rule.name.as_str().into());
        put("kibana.alert.rule.type", rule.rule_type().into());
        put("kibana.alert.rule.description", rule.description.as_str().into());
        put("kibana.alert.rule.enabled", rule.enabled.into());
        put("kibana.alert.rule.risk_score", number(rule.risk_score));
        put("kibana.alert.rule.severity", rule.severity.as_str().into());
        put("kibana.alert.rule.from", rule.from.as_str().into());
        put("kibana.alert.rule.to", rule.to.as_str().into());
        put("kibana.alert.rule.indices", json!(indices));
        put("kibana.alert.rule.max_signals", rule.max_signals.into());
        put("kibana.alert.rule.version", rule.version.into());
        put("kibana.alert.rule.tags", json!(rule.tags));
        put("kibana.alert.rule.references", json!(rule.references()));
        put("kibana.alert.rule.false_positives", json!(rule.false_positives()));
        put("kibana.alert.rule.author", json!(rule.author()));
        put("kibana.alert.rule.license", json!(rule.license));
        put("kibana.alert.rule.exceptions_list", json!(rule.exceptions_list));
        if rule.building_block {
            put("kibana.alert.rule.building_block_type", "default".into());
        }
        let interval = match &rule.schedule {
            Schedule::Every { text, .. } => text.clone(),
            // Kibana knows intervals only; the expression says more than an invented interval.
            Schedule::Cron { expression, .. } => expression.clone(),
        };
        put("kibana.alert.rule.interval", interval.into());
        // Fields that the model does not interpret are passed on as the file has them.
        for (name, default) in [
            ("note", Value::Null),
            ("revision", json!(0)),
            ("immutable", json!(false)),
            ("threat", json!([])),
            ("actions", json!([])),
            ("throttle", Value::Null),
            ("severity_mapping", json!([])),
            ("risk_score_mapping", json!([])),
            ("rule_name_override", Value::Null),
            ("timestamp_override", Value::Null),
            ("timeline_id", Value::Null),
            ("timeline_title", Value::Null),
            ("namespace", Value::Null),
            ("created_at", metadata_date(rule, "creation_date")),
            ("created_by", json!("tocsin")),
            ("updated_at", metadata_date(rule, "updated_date")),
            ("updated_by", json!("tocsin")),
        ] {
            let given = object.get(name).or_else(|| parameters.get(name)).filter(|value| !value.is_null());
            put(&format!("kibana.alert.rule.{name}"), given.cloned().unwrap_or(default));
        }
        if let Some(meta) = parameters.get("meta") {
            flatten(meta, "kibana.alert.rule.meta", &mut |name, value| put(name, value.clone()));
        }
        put("kibana.alert.rule.parameters", Value::Object(parameters));
        let id_part = super::id::rule_part(space, &uuid);
        Self { rule: Arc::clone(rule), uuid, id_part, fields }
    }
}

/// The rule's parameters as Kibana keeps them: what the file says, and the defaults of what it
/// does not say. What belongs to the rule object and not to its parameters stays out.
fn parameters(rule: &Rule, indices: &[String]) -> Map<String, Value> {
    const OBJECT_LEVEL: [&str; 14] = [
        "id",
        "name",
        "tags",
        "enabled",
        "interval",
        "actions",
        "throttle",
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
        "revision",
        "execution_summary",
        "rule_source",
    ];
    let mut parameters = rule.parameters.object();
    parameters.retain(|key, _| !OBJECT_LEVEL.contains(&key.as_str()));
    let mut default = |name: &str, value: Value| {
        if parameters.get(name).is_none_or(Value::is_null) && !value.is_null() {
            parameters.insert(name.to_owned(), value);
        }
    };
    default("description", rule.description.as_str().into());
    default("risk_score", number(rule.risk_score));
    default("severity", rule.severity.as_str().into());
    default("license", json!(rule.license));
    default("note", json!(rule.note()));
    default("setup", rule.setup().unwrap_or_default().into());
    default("author", json!(rule.author()));
    default("false_positives", json!(rule.false_positives()));
    default("from", rule.from.as_str().into());
    default("to", rule.to.as_str().into());
    default("rule_id", (&*rule.rule_id).into());
    default("max_signals", rule.max_signals.into());
    default("version", rule.version.into());
    default("immutable", false.into());
    for list in [
        "risk_score_mapping",
        "severity_mapping",
        "threat",
        "references",
        "exceptions_list",
        "related_integrations",
        "required_fields",
    ] {
        default(list, json!([]));
    }
    default("type", rule.rule_type().into());
    if let Some(query) = rule.kind.query() {
        default("query", query.into());
        default("language", json!(rule.kind.language()));
    }
    if !matches!(rule.kind, RuleKind::Esql(_) | RuleKind::MachineLearning(_)) {
        default("filters", json!([]));
        default("index", json!(indices));
    }
    parameters
}

/// A date of a TOML file's `[metadata]`, which has `2026/11/21`.
fn metadata_date(rule: &Rule, name: &str) -> Value {
    let date =
        rule.tables.get("metadata").and_then(|metadata| Some(metadata.get(name)?.as_str()?.to_owned()));
    let date = date.and_then(|text| chrono::NaiveDate::parse_from_str(&text, "%Y/%m/%d").ok());
    date.map_or(Value::Null, |date| format!("{date}T00:00:00.000Z").into())
}

/// Calls `put` with every leaf below `value`; arrays are leaves.
pub(super) fn flatten(value: &Value, name: &str, put: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                flatten(inner, &format!("{name}.{key}"), put);
            }
        }
        leaf => put(name, leaf),
    }
}

/// A whole number without a fraction, as JavaScript writes it.
pub(super) fn number(value: f64) -> Value {
    let text = super::number::javascript(value);
    text.parse::<i64>().map_or_else(|_| json!(value), Value::from)
}
