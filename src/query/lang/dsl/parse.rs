//! Query DSL (JSON) to [`Filter`]: the queries by name, and what their readers share.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{bool, leaf, text};
use crate::base::diagnostic::Diagnostic;
use crate::base::limits::{QUERY_BYTES, QUERY_NESTING};
use crate::base::nearest::nearest;
use crate::base::span::Span;
use crate::query::plan::{FieldPattern, Filter, Node, Pattern, Piece};

/// Why a DSL query cannot become a filter, and where in it: `bool.filter[1].range: …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}{}{message}", if .path.is_empty() { "" } else { ": " })]
pub struct DslError {
    /// Keys from the outside in, joined by dots; empty: the query itself.
    path: String,
    message: String,
}

impl DslError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    /// The same error, seen from one level further out.
    #[must_use]
    pub(super) fn below(mut self, key: impl Into<String>) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.path = format!("{}{dot}{}", key.into(), self.path);
        self
    }
}

/// Parameters that change scores, names or speed and never hits.
const WITHOUT_EFFECT: [&str; 4] = ["boost", "_name", "rewrite", "relation"];

/// Queries that are sound and that only a cluster answers, with what to call them.
const FOREIGN: [(&str, &str); 25] = [
    ("script", "a script"),
    ("fuzzy", "a fuzzy search"),
    ("match_phrase_prefix", "the beginning of a phrase"),
    ("match_bool_prefix", "the beginning of a word"),
    ("simple_query_string", "a simple query string"),
    ("combined_fields", "words across fields"),
    ("more_like_this", "likeness"),
    ("terms_set", "a number of terms that a field or script gives"),
    ("intervals", "words at a distance"),
    ("span_term", "words at a distance"),
    ("span_near", "words at a distance"),
    ("span_or", "words at a distance"),
    ("span_not", "words at a distance"),
    ("span_first", "words at a distance"),
    ("span_multi", "words at a distance"),
    ("geo_bounding_box", "places"),
    ("geo_distance", "places"),
    ("geo_polygon", "places"),
    ("geo_shape", "places"),
    ("shape", "places"),
    ("has_child", "a join"),
    ("has_parent", "a join"),
    ("parent_id", "a join"),
    ("percolate", "a percolator"),
    ("knn", "a vector search"),
];

/// Names of all queries that are read.
const KNOWN: [&str; 21] = [
    "match_all",
    "match_none",
    "exists",
    "ids",
    "term",
    "terms",
    "range",
    "prefix",
    "wildcard",
    "regexp",
    "match",
    "match_phrase",
    "multi_match",
    "query_string",
    "bool",
    "constant_score",
    "nested",
    "dis_max",
    "boosting",
    "function_score",
    "script_score",
];

/// Turns a DSL query into a filter.
///
/// A `term` is read as an exact phrase; on an analysed text field Elasticsearch compares it with
/// single tokens instead, which Kibana's filter bar never asks for.
///
/// # Errors
/// What is wrong or not supported, by name and place.
pub fn parse(query: &Value) -> Result<Filter, DslError> {
    node(query, 0).map(Filter::new)
}

/// The same for JSON text.
///
/// # Errors
/// `DSL001` for text that is no JSON, `DSL002` for a query that is wrong.
pub fn parse_text(text: &str) -> Result<Filter, Diagnostic> {
    let whole = Span::new(0, text.len());
    if text.len() > QUERY_BYTES {
        let message = format!("query of {} bytes is longer than {QUERY_BYTES}", text.len());
        return Err(Diagnostic::error("DSL002", message));
    }
    let query: Value = serde_json::from_str(text).map_err(|error| {
        let line: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let at = (line + error.column().saturating_sub(1)).min(text.len());
        Diagnostic::error("DSL001", format!("not JSON: {error}"))
            .with_help("a query is an object like `{\"term\": {\"user.name\": \"root\"}}`")
            .at(text, Span::new(at, at))
    })?;
    let mut filter =
        parse(&query).map_err(|error| Diagnostic::error("DSL002", error.to_string()).at(text, whole))?;
    filter.span = Some(whole);
    Ok(filter)
}

pub(super) fn refuse<T>(reason: impl Into<String>) -> Result<T, DslError> {
    Err(DslError::new(reason))
}

pub(super) fn node(query: &Value, depth: usize) -> Result<Node, DslError> {
    if depth > QUERY_NESTING {
        return refuse(format!("queries are nested more than {QUERY_NESTING} deep"));
    }
    let Value::Object(object) = query else { return refuse("a query is an object") };
    let mut entries = object.iter();
    let (Some((kind, body)), None) = (entries.next(), entries.next()) else {
        return refuse(format!("a query object has one key, this one has {}", object.len()));
    };
    let read = match kind.as_str() {
        "match_all" => Ok(Node::All),
        "match_none" => Ok(Node::Nothing),
        "exists" => text_of(body, "field").map(|field| Node::Exists { field: field_pattern(field) }),
        "ids" => leaf::ids(body),
        "term" => leaf::term(body),
        "terms" => leaf::terms(body),
        "range" => leaf::range(body),
        "prefix" => leaf::prefix(body),
        "wildcard" => leaf::wildcard(body),
        "regexp" => leaf::regexp(body),
        "match" => text::match_query(body),
        "match_phrase" => text::match_phrase(body),
        "multi_match" => text::multi_match(body),
        "query_string" => text::query_string(body),
        "bool" => bool::boolean(body, depth),
        "dis_max" => bool::dis_max(body, depth),
        "constant_score" => member(body, "filter").and_then(|inner| node(inner, depth + 1)),
        "boosting" => member(body, "positive").and_then(|inner| node(inner, depth + 1)),
        "function_score" | "script_score" => scored(body, depth),
        "nested" => nested(body, depth),
        other => match FOREIGN.iter().find(|(name, _)| *name == other) {
            Some((_, what)) => Ok(foreign(what, kind, body)),
            None => {
                let near = nearest(other, KNOWN.iter().copied());
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                return refuse(format!("the query `{other}` is not supported{near}"));
            }
        },
    };
    read.map_err(|error| error.below(kind))
}

fn nested(body: &Value, depth: usize) -> Result<Node, DslError> {
    let path = Arc::from(text_of(body, "path")?);
    let inner = node(member(body, "query")?, depth + 1).map_err(|error| error.below("query"))?;
    Ok(Node::Nested { path, inner: Box::new(Filter::new(inner)) })
}

/// Scores decide about hits only where a least one is asked for.
fn scored(body: &Value, depth: usize) -> Result<Node, DslError> {
    if body.get("min_score").is_some() {
        return refuse("`min_score` is not supported");
    }
    body.get("query").map_or(Ok(Node::All), |inner| node(inner, depth + 1))
}

/// The query for a cluster as it is.
pub(super) fn foreign(what: &str, kind: &str, body: &Value) -> Node {
    let mut query = Map::new();
    query.insert(kind.to_owned(), body.clone());
    Node::Foreign { what: Arc::from(what), dsl: Value::Object(query).to_string().into() }
}

/// A query of the form `{field: value}` or `{field: {parameter: value, …}}`.
pub(super) struct Leaf<'v> {
    pub field: &'v str,
    pub value: String,
    pub options: Options<'v>,
}

/// The parameters of a query.
#[derive(Clone, Copy)]
pub(super) struct Options<'v>(Option<&'v Map<String, Value>>);

impl<'v> Options<'v> {
    /// The parameters in `body`, none of which may be outside `known`.
    pub(super) fn of(body: &'v Value, known: &[&str]) -> Result<Self, DslError> {
        let Value::Object(options) = body else { return refuse("an object is expected") };
        for key in options.keys() {
            if !known.contains(&key.as_str()) && !WITHOUT_EFFECT.contains(&key.as_str()) {
                return refuse(format!("the parameter `{key}` is not supported"));
            }
        }
        Ok(Self(Some(options)))
    }

    pub(super) fn get(self, key: &str) -> Option<&'v Value> {
        self.0.and_then(|options| options.get(key)).filter(|value| !value.is_null())
    }

    pub(super) fn text(self, key: &str) -> Option<&'v str> {
        self.get(key).and_then(Value::as_str)
    }

    pub(super) fn flag(self, key: &str) -> bool {
        matches!(self.get(key), Some(Value::Bool(true))) || self.text(key) == Some("true")
    }

    /// Whether a parameter is there with another value than one of `plain`, which change nothing.
    pub(super) fn differs(self, key: &str, plain: &[&str]) -> bool {
        self.get(key).is_some_and(|value| {
            let value = scalar(value).unwrap_or_default();
            !plain.iter().any(|plain| value.eq_ignore_ascii_case(plain))
        })
    }
}

/// Reads a query on one field; the first of `names` that is there holds the value, and `others` are
/// its further parameters.
pub(super) fn on_field<'v>(body: &'v Value, names: &[&str], others: &[&str]) -> Result<Leaf<'v>, DslError> {
    let (field, value) = single(body)?;
    let read = || -> Result<Leaf<'v>, DslError> {
        let Value::Object(map) = value else {
            return Ok(Leaf { field, value: scalar(value)?, options: Options(None) });
        };
        let known: Vec<&str> = names.iter().chain(others).copied().collect();
        let options = Options::of(value, &known)?;
        let value = names.iter().find_map(|key| map.get(*key)).ok_or_else(|| {
            DslError::new(format!("there is no `{}`", names.first().copied().unwrap_or_default()))
        })?;
        Ok(Leaf { field, value: scalar(value)?, options })
    };
    read().map_err(|error| error.below(field))
}

/// The one entry of an object, beside parameters without effect.
pub(super) fn single(body: &Value) -> Result<(&str, &Value), DslError> {
    let Value::Object(object) = body else { return refuse("an object is expected") };
    let mut entries = object.iter().filter(|(key, _)| !WITHOUT_EFFECT.contains(&key.as_str()));
    match (entries.next(), entries.next()) {
        (Some((field, value)), None) => Ok((field, value)),
        _ => refuse("exactly one field is expected"),
    }
}

pub(super) fn member<'v>(body: &'v Value, key: &str) -> Result<&'v Value, DslError> {
    body.get(key).ok_or_else(|| DslError::new(format!("there is no `{key}`")))
}

pub(super) fn text_of<'v>(body: &'v Value, key: &str) -> Result<&'v str, DslError> {
    member(body, key)?.as_str().ok_or_else(|| DslError::new(format!("`{key}` is not a string")))
}

/// A value as text.
pub(super) fn scalar(value: &Value) -> Result<String, DslError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => refuse("the value is neither text, number nor boolean"),
    }
}

pub(super) fn name(field: &str) -> FieldPattern {
    FieldPattern::Name(Arc::from(field))
}

/// A name in which `*` stands for any characters.
pub(super) fn field_pattern(field: &str) -> FieldPattern {
    if field.contains('*') { FieldPattern::Pattern(wildcards(field, false)) } else { name(field) }
}

/// An Elasticsearch wildcard pattern: `*`, with `escapes` also `?` and a backslash before a literal
/// one.
pub(super) fn wildcards(text: &str, escapes: bool) -> Pattern {
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
            '?' if escapes => Piece::One,
            '\\' if escapes => {
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
