//! Values and patterns as they are sent.

use serde_json::{Value, json};

use crate::query::lang::kql::{Term, TermKind};
use crate::query::plan::{Pattern, Piece};

/// A term as the JSON value that is sent.
pub fn value(term: &Term) -> Value {
    match &term.kind {
        TermKind::Null => Value::Null,
        TermKind::Bool(value) => Value::Bool(*value),
        TermKind::Number(number) => Value::Number(number.clone()),
        TermKind::Text { .. } | TermKind::Wildcard(_) => Value::String(term.text().to_string()),
    }
}

/// A pattern as `query_string` reads it.
pub fn escaped_pattern(pattern: &Pattern) -> String {
    written(pattern, "+-=&|><!(){}[]^\"~*?:\\/")
}

/// A pattern as the `wildcard` query reads it.
pub fn wildcard_text(pattern: &Pattern) -> String {
    written(pattern, "*?\\")
}

/// A pattern with `special` characters of its literals escaped.
fn written(Pattern(pieces): &Pattern, special: &str) -> String {
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Any => out.push('*'),
            Piece::One => out.push('?'),
            Piece::Literal(text) => {
                for c in text.chars() {
                    if special.contains(c) {
                        out.push('\\');
                    }
                    out.push(c);
                }
            }
        }
    }
    out
}

/// Milliseconds since the epoch have no time zone, and Elasticsearch refuses to be given one.
pub(super) fn is_epoch(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::String(text) => !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    }
}

/// A value without a field.
pub(super) fn bare(term: &Term) -> Value {
    match &term.kind {
        TermKind::Wildcard(pattern) => json!({"query_string": {"query": escaped_pattern(pattern)}}),
        kind => {
            let phrase = matches!(kind, TermKind::Text { quoted: true, .. });
            let kind = if phrase { "phrase" } else { "best_fields" };
            json!({"multi_match": {"type": kind, "query": value(term), "lenient": true}})
        }
    }
}
