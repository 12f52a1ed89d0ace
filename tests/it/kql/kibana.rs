//! What Kibana 7.17's own tests expect of its KQL parser.

use serde_json::{Value, json};
use tocsin::query::lang::kql::{self, Expr, Kind, Options, Term, TermKind};
use tocsin::query::plan::{Pattern, Piece};

use crate::shared::shared_dir;

fn cases(file: &str) -> Option<Vec<Value>> {
    let path = shared_dir()?.join("data/kql").join(file);
    Some(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
}

fn options(case: &Value) -> Options {
    let mut options = Options::default();
    if let Some(allow) = case["options"]["allowLeadingWildcards"].as_bool() {
        options.allow_leading_wildcards = allow;
    }
    options
}

/// A term as Kibana's tree has it: a wildcard is text with a marker in place of `*`.
fn term_json(term: &Term) -> Value {
    match &term.kind {
        TermKind::Null => json!({"type": "literal", "value": null}),
        TermKind::Bool(value) => json!({"type": "literal", "value": value}),
        TermKind::Number(value) => json!({"type": "literal", "value": value}),
        TermKind::Text { value, .. } => json!({"type": "literal", "value": &**value}),
        TermKind::Wildcard(Pattern(pieces)) => {
            let text: String = pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Literal(text) => text.to_string(),
                    _ => "@kuery-wildcard@".to_owned(),
                })
                .collect();
            json!({"type": "wildcard", "value": text})
        }
    }
}

/// An expression as Kibana 7.17's tree has it.
pub(super) fn tree_json(expr: &Expr) -> Value {
    let function = |name: &str, arguments: Vec<Value>| json!({"type": "function", "function": name, "arguments": arguments});
    match &expr.kind {
        Kind::And(all) => function("and", all.iter().map(tree_json).collect()),
        Kind::Or(all) => function("or", all.iter().map(tree_json).collect()),
        Kind::Not(inner) => function("not", vec![tree_json(inner)]),
        Kind::Nested { path, inner } => function("nested", vec![term_json(path), tree_json(inner)]),
        Kind::Exists { field } => function("exists", vec![term_json(field)]),
        Kind::Is { field, value } => {
            let field = field.as_ref().map_or(json!({"type": "literal", "value": null}), term_json);
            let phrase = matches!(value.kind, TermKind::Text { quoted: true, .. });
            function("is", vec![field, term_json(value), json!({"type": "literal", "value": phrase})])
        }
        Kind::Range { field, bounds } => {
            let named = bounds
                .iter()
                .map(|(op, value)| json!({"type": "namedArg", "name": op.key(), "value": term_json(value)}));
            function("range", std::iter::once(term_json(field)).chain(named).collect())
        }
    }
}

#[test]
fn trees_are_kibanas() {
    let Some(cases) = cases("kibana7176_parse_ok.json") else { return };
    assert!(!cases.is_empty());
    for case in cases {
        let text = case["kql"].as_str().unwrap();
        let expr = kql::parse(text, &options(&case)).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(tree_json(&expr), case["ast"], "{text}");
    }
}

#[test]
fn error_messages_are_kibanas() {
    let Some(cases) = cases("kibana7176_parse_error.json") else { return };
    assert!(!cases.is_empty());
    for case in cases {
        let text = case["kql"].as_str().unwrap();
        let error = kql::parse(text, &options(&case)).expect_err(text);
        assert_eq!(error.to_string(), case["error"].as_str().unwrap(), "{text}");
        assert_eq!(Some(error.short_message()), case["error"].as_str().unwrap().lines().next());
    }
}
