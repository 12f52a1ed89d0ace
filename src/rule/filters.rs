//! Kibana's filter objects (`filters` of a rule): a DSL query with `meta` around it.

use serde_json::{Value, json};

use crate::query::lang::dsl::{self, DslError};
use crate::query::plan::{Filter, Node};

/// What a rule's filter object asks for; `None` when it is disabled.
///
/// # Errors
/// A query that is not supported; the rule must not run without it.
pub fn filter(object: &Value) -> Result<Option<Filter>, DslError> {
    let meta = object.get("meta");
    let flag = |key| meta.and_then(|meta| meta.get(key)).and_then(Value::as_bool).unwrap_or(false);
    if flag("disabled") {
        return Ok(None);
    }
    let mut found = match combined(meta) {
        Some((all, parts)) => {
            let mut children = Vec::with_capacity(parts.len());
            for part in parts {
                children.extend(filter(part)?);
            }
            Filter::new(if all { Node::And(children) } else { Node::Or(children) })
        }
        None => match query_of(object) {
            Value::Object(query) if query.is_empty() => match meta.and_then(from_meta) {
                Some(query) => dsl::parse(&query)?,
                None => dsl::parse(&Value::Object(query))?,
            },
            query => dsl::parse(&query)?,
        },
    };
    if flag("negate") {
        found = Filter::new(Node::Not(Box::new(found)));
    }
    Ok(Some(found))
}

/// A filter made of filters: whether all must hold, and its parts.
fn combined(meta: Option<&Value>) -> Option<(bool, &[Value])> {
    let meta = meta?;
    if meta.get("type")?.as_str()? != "combined" {
        return None;
    }
    let all = meta.get("relation").and_then(Value::as_str) == Some("AND");
    Some((all, meta.get("params")?.as_array()?))
}

/// The query that `meta` describes, for an object that has only that.
fn from_meta(meta: &Value) -> Option<Value> {
    let field = meta.get("key")?.as_str()?;
    let params = meta.get("params");
    let phrase = |value: &Value| json!({"match_phrase": {field: value}});
    match meta.get("type")?.as_str()? {
        "phrase" => {
            let value = params.and_then(|params| params.get("query")).or_else(|| meta.get("value"))?;
            Some(phrase(value))
        }
        "phrases" => {
            let phrases: Vec<Value> = params?.as_array()?.iter().map(phrase).collect();
            Some(json!({"bool": {"should": phrases, "minimum_should_match": 1}}))
        }
        "range" => Some(json!({"range": {field: params?}})),
        "exists" => Some(json!({"exists": {"field": field}})),
        _ => None,
    }
}

/// The DSL query in a filter object: under `query`, or, as older versions wrote it, beside `meta`.
fn query_of(object: &Value) -> Value {
    if let Some(query) = object.get("query") {
        return query.clone();
    }
    let Value::Object(map) = object else { return object.clone() };
    let rest = map.iter().filter(|(key, _)| !matches!(key.as_str(), "meta" | "$state"));
    Value::Object(rest.map(|(key, value)| (key.clone(), value.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(object: Value) -> String {
        match filter(&object) {
            Ok(None) => String::from("none"),
            Ok(Some(filter)) => match filter.node {
                Node::Not(_) => String::from("not"),
                Node::Or(children) => format!("or {}", children.len()),
                Node::And(children) => format!("and {}", children.len()),
                Node::Exists { .. } => String::from("exists"),
                _ => String::from("leaf"),
            },
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn reads_new_and_old_shapes() {
        let phrase = json!({"match_phrase": {"user.name": "root"}});
        assert_eq!(text(json!({"meta": {}, "query": phrase})), "leaf");
        assert_eq!(text(json!({"meta": {"negate": true}, "query": phrase})), "not");
        assert_eq!(text(json!({"meta": {"disabled": true}, "query": {"script": {}}})), "none");
        assert_eq!(
            text(json!({"meta": {}, "exists": {"field": "a"}, "$state": {"store": "appState"}})),
            "exists"
        );
        let part = json!({"meta": {}, "query": phrase});
        assert_eq!(
            text(json!({"meta": {"type": "combined", "relation": "OR", "params": [part, part]}})),
            "or 2"
        );
        assert_eq!(text(json!({"meta": {}, "query": {"scrip": {}}})), "the query `scrip` is not supported");
    }
}
