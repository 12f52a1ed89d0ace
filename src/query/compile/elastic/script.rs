//! Queries on scripted fields.

use serde_json::{Map, Value, json};

use super::fields::{ListedField, Script};
use crate::query::lang::kql::RangeOperator;

/// `field == value` as a script query.
pub(super) fn equals(field: &ListedField, script: &Script, value: &Value) -> Result<Value, String> {
    let value = converted(field, value)?;
    // A painless script may be more than an expression, so it is wrapped in a lambda.
    let source = if &*script.lang == "painless" {
        format!(
            "boolean compare(Supplier s, def v) {{return s.get() == v;}}compare(() -> {{ {} }}, params.value);",
            script.source
        )
    } else {
        format!("({}) == value", script.source)
    };
    Ok(json!({"script": {"script": {"source": source, "lang": &*script.lang, "params": {"value": value}}}}))
}

/// `field > value` and its kin as a script query.
pub(super) fn range(field: &ListedField, script: &Script, bounds: &[(RangeOperator, Value)]) -> Value {
    let params: Map<String, Value> =
        bounds.iter().map(|(operator, value)| (operator.key().to_owned(), number(field, value))).collect();
    let source = if &*script.lang == "painless" {
        let declared: Vec<String> = bounds.iter().map(|(operator, _)| comparator(field, *operator)).collect();
        let calls: Vec<String> = bounds
            .iter()
            .map(|(operator, _)| format!("{0}(() -> {{ {1} }}, params.{0})", operator.key(), script.source))
            .collect();
        format!("{}{}", declared.join(" "), calls.join(" && "))
    } else {
        let parts: Vec<String> = bounds
            .iter()
            .map(|(operator, _)| format!("({}){}{}", script.source, operator.symbol(), operator.key()))
            .collect();
        parts.join(" && ")
    };
    json!({"script": {"script": {"source": source, "params": params, "lang": &*script.lang}}})
}

/// The declaration of the comparison `operator` in painless.
fn comparator(field: &ListedField, operator: RangeOperator) -> String {
    let body = if field.is_date() {
        match operator {
            RangeOperator::Gt => "s.get().toInstant().isAfter(Instant.parse(v))",
            RangeOperator::Gte => "!s.get().toInstant().isBefore(Instant.parse(v))",
            RangeOperator::Lt => "s.get().toInstant().isBefore(Instant.parse(v))",
            RangeOperator::Lte => "!s.get().toInstant().isAfter(Instant.parse(v))",
        }
        .to_owned()
    } else {
        format!("s.get() {} v", operator.symbol())
    };
    format!("boolean {}(Supplier s, def v) {{return {body}}}", operator.key())
}

fn number(field: &ListedField, value: &Value) -> Value {
    match value {
        Value::String(text) if &*field.kind == "number" => text
            .parse::<i64>()
            .map(Value::from)
            .or_else(|_| text.parse::<f64>().map(Value::from))
            .unwrap_or(Value::Null),
        other => other.clone(),
    }
}

fn converted(field: &ListedField, value: &Value) -> Result<Value, String> {
    match (&*field.kind, value) {
        ("boolean", Value::Bool(_)) => Ok(value.clone()),
        ("boolean", Value::String(text)) if text == "true" => Ok(Value::Bool(true)),
        ("boolean", Value::String(text)) if text == "false" => Ok(Value::Bool(false)),
        ("boolean", Value::Number(n)) if n.as_f64() == Some(1.0) => Ok(Value::Bool(true)),
        ("boolean", Value::Number(n)) if n.as_f64() == Some(0.0) => Ok(Value::Bool(false)),
        ("boolean", other) => {
            let shown = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            Err(format!("{shown} is not a valid boolean value for boolean field {}", field.name))
        }
        _ => Ok(number(field, value)),
    }
}
