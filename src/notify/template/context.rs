//! The values that templates see.

use serde_json::{Map, Value, json};

use crate::alert::lookup::{lookup, text, texts};
use crate::base::window::iso_millis;
use crate::notify::message::Message;

/// Deepest nesting that dotted names are spread to.
const DEPTH: usize = 32;

/// The values for a message:
///
/// - the fields of the (first) alert by their ECS names: `source.ip`, `user.name` …;
/// - `rule`, `alert`, `alerts`, `alerts_count`, `change`, `link`, `command`, `facts`, `steps`;
/// - Kibana's: `context.rule.*`, `context.alerts`, `context.results_link`, `state.signals_count`,
///   `alertId`, `alertName`, `spaceId`, `date`, `kibanaBaseUrl`.
pub fn of(message: &Message) -> Value {
    let empty = Vec::new();
    let alerts = message.document.get("alerts").and_then(Value::as_array).unwrap_or(&empty);
    let null = Value::Null;
    let first = alerts.first().unwrap_or(&null);
    let field = |name: &str| lookup(first, name).cloned().unwrap_or(Value::Null);
    let spread: Vec<Value> = alerts.iter().map(nested).collect();
    let rule = rule(first, message);
    let space = texts(first, "kibana.space_ids").into_iter().next().unwrap_or_default();
    let mut context = match spread.first() {
        Some(Value::Object(fields)) => fields.clone(),
        _ => Map::new(),
    };
    let mut put = |name: &str, value: Value| drop(context.insert(name.to_owned(), value));
    put(
        "alert",
        json!({
            "id": message.alert,
            "uuid": message.alert,
            "reason": field("kibana.alert.reason"),
            "severity": message.severity,
            "risk_score": field("kibana.alert.risk_score"),
            "status": field("kibana.alert.workflow_status"),
            "time": field("@timestamp"),
            "original_time": field("kibana.alert.original_time"),
            "url": message.link,
        }),
    );
    put("alerts", Value::Array(spread.clone()));
    put("alerts_count", message.count.into());
    put("change", message.document.get("change").cloned().unwrap_or(Value::Null));
    put("kind", message.kind.as_str().into());
    put("severity", message.severity.as_str().into());
    put("summary", message.summary.as_str().into());
    put("link", json!(message.link));
    put("command", json!(message.command));
    put("steps", json!(message.steps));
    put("facts", message.facts.iter().map(|(name, value)| json!({"name": name, "value": value})).collect());
    put("key", message.key.as_str().into());
    put("date", iso_millis(message.at).into());
    put("spaceId", space.as_str().into());
    put("alertId", rule.get("id").cloned().unwrap_or_default());
    put("alertName", rule.get("name").cloned().unwrap_or_default());
    put("kibanaBaseUrl", json!(message.link.as_deref().and_then(|link| link.split("/app/").next())));
    put("state", json!({"signals_count": message.count}));
    put("signals_count", message.count.into());
    put(
        "context",
        json!({
            "rule": rule,
            "alerts": spread,
            "results_link": message.link,
            "reason": message.summary,
        }),
    );
    put("rule", rule);
    Value::Object(context)
}

/// The rule as Kibana's actions see it: its parameters, and what belongs to the rule itself.
fn rule(alert: &Value, message: &Message) -> Value {
    let mut rule = match lookup(alert, "kibana.alert.rule.parameters") {
        Some(Value::Object(parameters)) => parameters.clone(),
        _ => Map::new(),
    };
    for (name, field) in [
        ("id", "kibana.alert.rule.uuid"),
        ("rule_id", "kibana.alert.rule.rule_id"),
        ("name", "kibana.alert.rule.name"),
        ("type", "kibana.alert.rule.type"),
        ("description", "kibana.alert.rule.description"),
        ("tags", "kibana.alert.rule.tags"),
        ("interval", "kibana.alert.rule.interval"),
        ("severity", "kibana.alert.severity"),
        ("risk_score", "kibana.alert.risk_score"),
        ("author", "kibana.alert.rule.author"),
        ("license", "kibana.alert.rule.license"),
        ("references", "kibana.alert.rule.references"),
        ("threat", "kibana.alert.rule.threat"),
        ("note", "kibana.alert.rule.note"),
    ] {
        if let Some(value) = lookup(alert, field) {
            rule.insert(name.to_owned(), value.clone());
        }
    }
    if !rule.contains_key("name") {
        rule.insert("name".to_owned(), message.rule.as_str().into());
    }
    let space = texts(alert, "kibana.space_ids").into_iter().next();
    rule.insert("spaceId".to_owned(), space.map(Value::String).unwrap_or_default());
    Value::Object(rule)
}

/// `{"a.b": 1}` as `{"a": {"b": 1}}`: templates walk by dots.
fn nested(document: &Value) -> Value {
    let mut out = Map::new();
    if let Value::Object(fields) = document {
        for (name, value) in fields {
            let parts: Vec<&str> = name.split('.').collect();
            place(&mut out, &parts, value, 0);
        }
    }
    Value::Object(out)
}

fn place(table: &mut Map<String, Value>, path: &[&str], value: &Value, depth: usize) {
    let Some((name, rest)) = path.split_first() else { return };
    if depth > DEPTH {
        return;
    }
    if !rest.is_empty() {
        let inner = table.entry(*name).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(inner) = inner {
            place(inner, rest, value, depth + 1);
        }
        return;
    }
    match value {
        Value::Object(fields) => {
            let inner = table.entry(*name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                for (name, value) in fields {
                    let parts: Vec<&str> = name.split('.').collect();
                    place(inner, &parts, value, depth + 1);
                }
            }
        }
        leaf => drop(table.insert((*name).to_owned(), leaf.clone())),
    }
}

/// The text of the (first) alert's field, as Falco's `%field` asks for it.
pub(super) fn field(context: &Value, name: &str) -> Option<String> {
    match lookup(context, name)? {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(text).collect();
            (!items.is_empty()).then(|| items.join(","))
        }
        value => text(value),
    }
}
