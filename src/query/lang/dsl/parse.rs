//! Query DSL (JSON) to [`Filter`].

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::base::limits::QUERY_NESTING;
use crate::query::plan::{Bounds, Case, FieldPattern, Filter, Node, Pattern, Piece};

/// Why a DSL query cannot become a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DslError(String);

/// Parameters that change scores or names and never hits.
const WITHOUT_EFFECT: [&str; 4] = ["boost", "_name", "rewrite", "relation"];

/// Turns a DSL query into a filter.
///
/// A `term` is read as an exact phrase; on an analysed text field Elasticsearch compares it with
/// single tokens instead, which Kibana's filter bar never asks for.
///
/// # Errors
/// A query or a parameter that is not supported, by name.
pub fn parse(query: &Value) -> Result<Filter, DslError> {
    node(query, 0).map(Filter::new)
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, DslError> {
    Err(DslError(reason.into()))
}

fn node(query: &Value, depth: usize) -> Result<Node, DslError> {
    if depth > QUERY_NESTING {
        return refuse(format!("queries are nested more than {QUERY_NESTING} deep"));
    }
    let Value::Object(object) = query else { return refuse("a query is an object") };
    let mut entries = object.iter();
    let (Some((kind, body)), None) = (entries.next(), entries.next()) else {
        return refuse(format!("a query object has one key, this one has {}", object.len()));
    };
    match kind.as_str() {
        "match_all" => Ok(Node::All),
        "match_none" => Ok(Node::Nothing),
        "exists" => Ok(Node::Exists { field: name(text_of(body, "exists", "field")?) }),
        "term" => leaf(kind, body, &["value", "case_insensitive"], |field, value, options| {
            Ok(is(field, value, true, case(options)))
        }),
        "match" => leaf(kind, body, &["query", "operator", "type", "lenient"], match_query),
        "match_phrase" => leaf(kind, body, &["query", "slop"], |field, value, options| {
            match options.get("slop").and_then(Value::as_u64) {
                None | Some(0) => Ok(is(field, value, true, Case::Field)),
                Some(_) => refuse("`match_phrase` with `slop` is not supported"),
            }
        }),
        "prefix" => leaf(kind, body, &["value", "case_insensitive"], |field, value, options| {
            let pattern = Pattern(vec![Piece::Literal(Arc::from(value)), Piece::Any]);
            Ok(Node::Wildcard { field: Some(name(field)), pattern, case: case(options) })
        }),
        "wildcard" => {
            leaf(kind, body, &["value", "wildcard", "case_insensitive"], |field, value, options| {
                Ok(Node::Wildcard { field: Some(name(field)), pattern: pattern(value), case: case(options) })
            })
        }
        "terms" => terms(body),
        "range" => range(body),
        "bool" => boolean(body, depth),
        "constant_score" => node(member(body, kind, "filter")?, depth + 1),
        "nested" => {
            let path = Arc::from(text_of(body, kind, "path")?);
            let inner = node(member(body, kind, "query")?, depth + 1)?;
            Ok(Node::Nested { path, inner: Box::new(Filter::new(inner)) })
        }
        other => refuse(format!("the query `{other}` is not supported")),
    }
}

fn match_query(field: &str, value: &str, options: &Map<String, Value>) -> Result<Node, DslError> {
    let phrase = match options.get("type").and_then(Value::as_str) {
        None => false,
        Some("phrase") => true,
        Some(other) => return refuse(format!("`match` of type `{other}` is not supported")),
    };
    let all =
        options.get("operator").and_then(Value::as_str).is_some_and(|text| text.eq_ignore_ascii_case("and"));
    if all && value.split_whitespace().count() > 1 {
        return refuse("`match` with the operator `and` is not supported");
    }
    Ok(is(field, value, phrase, Case::Field))
}

/// A query of the form `{field: value}` or `{field: {parameter: value, …}}`; the first of
/// `parameters` that is there holds the value.
fn leaf(
    kind: &str,
    body: &Value,
    parameters: &[&str],
    build: impl Fn(&str, &str, &Map<String, Value>) -> Result<Node, DslError>,
) -> Result<Node, DslError> {
    let (field, value) = single(kind, body)?;
    let Value::Object(options) = value else {
        return build(field, &scalar(kind, value)?, &Map::new());
    };
    for key in options.keys() {
        if !parameters.contains(&key.as_str()) && !WITHOUT_EFFECT.contains(&key.as_str()) {
            return refuse(format!("`{kind}` with `{key}` is not supported"));
        }
    }
    let value = parameters
        .iter()
        .find_map(|key| options.get(*key))
        .ok_or_else(|| DslError(format!("`{kind}` on `{field}` has no value")))?;
    build(field, &scalar(kind, value)?, options)
}

fn terms(body: &Value) -> Result<Node, DslError> {
    let Value::Object(object) = body else { return refuse("`terms` is not an object") };
    let mut fields = object.iter().filter(|(key, _)| !WITHOUT_EFFECT.contains(&key.as_str()));
    let (Some((field, Value::Array(values))), None) = (fields.next(), fields.next()) else {
        return refuse("`terms` needs one field with an array of values");
    };
    let choices = values
        .iter()
        .map(|value| Ok(Filter::new(is(field, &scalar("terms", value)?, true, Case::Field))))
        .collect::<Result<_, DslError>>()?;
    Ok(Node::Or(choices))
}

fn range(body: &Value) -> Result<Node, DslError> {
    let (field, options) = single("range", body)?;
    let Value::Object(options) = options else { return refuse("`range` has no bounds") };
    let mut bounds = Bounds::default();
    for (key, value) in options {
        let bound = match key.as_str() {
            "gt" => &mut bounds.gt,
            "gte" => &mut bounds.gte,
            "lt" => &mut bounds.lt,
            "lte" => &mut bounds.lte,
            "format" if value.as_str().is_some_and(|text| text.starts_with("strict_date_optional_time")) => {
                continue;
            }
            "time_zone" if matches!(value.as_str(), Some("UTC" | "Z" | "Zulu" | "+00:00")) => continue,
            key if WITHOUT_EFFECT.contains(&key) => continue,
            other => return refuse(format!("`range` with `{other}` is not supported")),
        };
        if !value.is_null() {
            *bound = Some(Arc::from(scalar("range", value)?.as_str()));
        }
    }
    if (bounds.gt.is_some() && bounds.gte.is_some()) || (bounds.lt.is_some() && bounds.lte.is_some()) {
        return refuse("`range` has two bounds on one side");
    }
    if bounds == Bounds::default() {
        return Ok(Node::Exists { field: name(field) });
    }
    Ok(Node::Range { field: name(field), bounds })
}

fn boolean(body: &Value, depth: usize) -> Result<Node, DslError> {
    let Value::Object(clauses) = body else { return refuse("`bool` is not an object") };
    let mut all = Vec::new();
    let mut some = Vec::new();
    let mut least = None;
    for (key, value) in clauses {
        let each = |value: &Value| -> Result<Vec<Filter>, DslError> {
            let list = match value {
                Value::Array(list) => list.as_slice(),
                one => std::slice::from_ref(one),
            };
            list.iter().map(|query| node(query, depth + 1).map(Filter::new)).collect()
        };
        match key.as_str() {
            "must" | "filter" => all.extend(each(value)?),
            "must_not" => {
                all.extend(each(value)?.into_iter().map(|query| Filter::new(Node::Not(Box::new(query)))));
            }
            "should" => some = each(value)?,
            "minimum_should_match" => {
                least = value.as_u64().or_else(|| value.as_str()?.parse().ok());
                if !matches!(least, Some(0 | 1)) {
                    return refuse(format!("`minimum_should_match` of {value} is not supported"));
                }
            }
            key if WITHOUT_EFFECT.contains(&key) || key == "adjust_pure_negative" => {}
            other => return refuse(format!("`bool` with `{other}` is not supported")),
        }
    }
    // Without an explicit minimum, `should` decides only when nothing else does.
    let should_decides =
        least.map_or_else(|| !clauses.contains_key("must") && !clauses.contains_key("filter"), |n| n == 1);
    if !some.is_empty() && should_decides {
        all.push(Filter::new(Node::Or(some)));
    }
    Ok(Node::And(all))
}

/// The one entry of an object.
fn single<'v>(kind: &str, body: &'v Value) -> Result<(&'v str, &'v Value), DslError> {
    let Value::Object(object) = body else { return refuse(format!("`{kind}` is not an object")) };
    let mut entries = object.iter();
    match (entries.next(), entries.next()) {
        (Some((field, value)), None) => Ok((field, value)),
        _ => refuse(format!("`{kind}` needs exactly one field")),
    }
}

fn member<'v>(body: &'v Value, kind: &str, key: &str) -> Result<&'v Value, DslError> {
    body.get(key).ok_or_else(|| DslError(format!("`{kind}` has no `{key}`")))
}

fn text_of<'v>(body: &'v Value, kind: &str, key: &str) -> Result<&'v str, DslError> {
    member(body, kind, key)?.as_str().ok_or_else(|| DslError(format!("`{key}` of `{kind}` is not a string")))
}

/// A value as text.
fn scalar(kind: &str, value: &Value) -> Result<String, DslError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => refuse(format!("the value of `{kind}` is neither text, number nor boolean")),
    }
}

fn case(options: &Map<String, Value>) -> Case {
    match options.get("case_insensitive") {
        Some(Value::Bool(true)) => Case::Insensitive,
        _ => Case::Field,
    }
}

fn name(field: &str) -> FieldPattern {
    FieldPattern::Name(Arc::from(field))
}

fn is(field: &str, value: &str, phrase: bool, case: Case) -> Node {
    Node::Is { field: Some(name(field)), value: Arc::from(value), phrase, case }
}

/// An Elasticsearch wildcard pattern: `*`, `?`, and a backslash before a literal one.
fn pattern(text: &str) -> Pattern {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let flush = |literal: &mut String, pieces: &mut Vec<Piece>| {
        if !literal.is_empty() {
            pieces.push(Piece::Literal(Arc::from(std::mem::take(literal))));
        }
    };
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let piece = match character {
            '*' => Piece::Any,
            '?' => Piece::One,
            '\\' => {
                literal.push(characters.next().unwrap_or('\\'));
                continue;
            }
            other => {
                literal.push(other);
                continue;
            }
        };
        flush(&mut literal, &mut pieces);
        pieces.push(piece);
    }
    flush(&mut literal, &mut pieces);
    Pattern(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wildcards_and_their_escapes() {
        let filter =
            parse(&json!({"wildcard": {"file.path": {"value": "?:\\\\a*\\*", "case_insensitive": true}}}));
        let pattern = Pattern(vec![
            Piece::One,
            Piece::Literal(Arc::from(":\\a")),
            Piece::Any,
            Piece::Literal(Arc::from("*")),
        ]);
        let expected = Node::Wildcard { field: Some(name("file.path")), pattern, case: Case::Insensitive };
        assert_eq!(filter.map(|filter| filter.node), Ok(expected));
    }

    #[test]
    fn should_decides_only_alone_or_when_asked() {
        let one = json!({"term": {"a": 1}});
        let two = json!({"exists": {"field": "b"}});
        let a = Filter::new(is("a", "1", true, Case::Field));
        let b = Filter::new(Node::Exists { field: name("b") });
        let node = |query: Value| parse(&query).map(|filter| filter.node);
        assert_eq!(
            node(json!({"bool": {"should": [one, two]}})),
            Ok(Node::And(vec![Filter::new(Node::Or(vec![a.clone(), b.clone()]))]))
        );
        assert_eq!(node(json!({"bool": {"filter": one, "should": [two]}})), Ok(Node::And(vec![a.clone()])));
        assert_eq!(
            node(json!({"bool": {"filter": [one], "should": [two], "minimum_should_match": "1"}})),
            Ok(Node::And(vec![a, Filter::new(Node::Or(vec![b]))]))
        );
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        for bad in [
            json!({"script": {}}),
            json!({"match": {"a": {"query": "x y", "fuzziness": 2}}}),
            json!({"match_phrase": {"a": {"query": "x", "slop": 1}}}),
            json!({"range": {"a": {"gte": 1, "time_zone": "+02:00"}}}),
            json!({"bool": {"should": [], "minimum_should_match": 2}}),
            json!({"term": {"a": 1, "b": 2}}),
            json!([]),
            json!({}),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
