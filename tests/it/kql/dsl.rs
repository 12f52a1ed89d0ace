//! What Kibana 7.17's own tests expect of its compiler to query DSL.

use std::sync::Arc;

use serde_json::{Value, json};
use tocsin::base::span::Span;
use tocsin::query::compile::elastic::{self, FieldList, ListedField, Options, Script};
use tocsin::query::lang::kql::{Expr, Kind, RangeOperator, Term, TermKind};
use tocsin::query::plan::{Pattern, Piece};

use crate::shared::shared_dir;

/// One of Kibana's nodes: an expression, or a term alone.
enum Node {
    Expr(Expr),
    Term(Term),
}

fn term(node: &Value, quoted: bool) -> Term {
    let kind = match (node["type"].as_str(), &node["value"]) {
        (Some("wildcard"), Value::String(text)) => {
            let mut pieces = Vec::new();
            for (at, part) in text.split("@kuery-wildcard@").enumerate() {
                if at > 0 {
                    pieces.push(Piece::Any);
                }
                if !part.is_empty() {
                    pieces.push(Piece::Literal(Arc::from(part)));
                }
            }
            TermKind::Wildcard(Pattern(pieces))
        }
        (_, Value::Null) => TermKind::Null,
        (_, Value::Bool(value)) => TermKind::Bool(*value),
        (_, Value::Number(value)) => TermKind::Number(value.clone()),
        (_, Value::String(text)) => TermKind::Text { value: Arc::from(text.as_str()), quoted },
        _ => panic!("not a term: {node}"),
    };
    Term::new(kind, Span::default())
}

/// The expression of Kibana's tree; `None` for a node that stands for nothing.
fn node(value: &Value) -> Option<Node> {
    if matches!(value["type"].as_str(), Some("literal" | "wildcard")) {
        return Some(Node::Term(term(value, false)));
    }
    let arguments = value["arguments"].as_array()?;
    let child = |at: usize| match node(&arguments[at]) {
        Some(Node::Expr(expr)) => expr,
        _ => panic!("not an expression: {}", arguments[at]),
    };
    let all = || (0..arguments.len()).map(child).collect();
    let kind = match value["function"].as_str()? {
        "and" => Kind::And(all()),
        "or" => Kind::Or(all()),
        "not" => Kind::Not(Box::new(child(0))),
        "nested" => Kind::Nested { path: term(&arguments[0], false), inner: Box::new(child(1)) },
        "exists" => Kind::Exists { field: term(&arguments[0], false) },
        "is" => {
            let phrase = arguments.get(2).is_some_and(|phrase| phrase["value"] == json!(true));
            let field = Some(term(&arguments[0], false)).filter(|field| field.kind != TermKind::Null);
            Kind::Is { field, value: term(&arguments[1], phrase) }
        }
        "range" => {
            let bounds = arguments[1..]
                .iter()
                .map(|bound| {
                    let operator = match bound["name"].as_str() {
                        Some("gt") => RangeOperator::Gt,
                        Some("gte") => RangeOperator::Gte,
                        Some("lt") => RangeOperator::Lt,
                        Some("lte") => RangeOperator::Lte,
                        other => panic!("operator {other:?}"),
                    };
                    (operator, term(&bound["value"], false))
                })
                .collect();
            Kind::Range { field: term(&arguments[0], false), bounds }
        }
        _ => return None,
    };
    Some(Node::Expr(Expr::new(kind, Span::default())))
}

fn field_list(pattern: &Value) -> Option<FieldList> {
    let text = |value: &Value| value.as_str().map(Arc::from);
    let fields = pattern["fields"]
        .as_array()?
        .iter()
        .map(|field| ListedField {
            name: text(&field["name"]).unwrap(),
            kind: text(&field["type"]).unwrap(),
            es_types: field["esTypes"]
                .as_array()
                .map(|types| types.iter().filter_map(text).collect())
                .unwrap_or_default(),
            nested: text(&field["subType"]["nested"]["path"]),
            script: text(&field["script"])
                .map(|source| Script { source, lang: text(&field["lang"]).unwrap() }),
        })
        .collect();
    Some(FieldList { fields })
}

fn options(config: &Value) -> Options {
    Options {
        case_insensitive: config["caseInsensitive"].as_bool(),
        nested_ignore_unmapped: config["nestedIgnoreUnmapped"].as_bool(),
        filters_in_must_clause: config["filtersInMustClause"].as_bool().unwrap_or(false),
        time_zone: config["dateFormatTZ"].as_str().map(str::to_owned),
    }
}

#[test]
fn query_dsl_is_kibanas() {
    let Some(shared) = shared_dir() else { return };
    let text = std::fs::read_to_string(shared.join("data/kql/kibana7176_ast_to_dsl.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let fields = field_list(&case["indexPattern"]);
        let options = options(&case["config"]);
        let dsl = match node(&case["node"]) {
            None => {
                elastic::query(&Expr::new(Kind::And(Vec::new()), Span::default()), fields.as_ref(), &options)
                    .unwrap()
            }
            Some(Node::Term(term)) => elastic::value(&term),
            Some(Node::Expr(expr)) => match case["context"]["nested"]["path"].as_str() {
                None => elastic::query(&expr, fields.as_ref(), &options).unwrap(),
                Some(path) => {
                    let path = term(&json!({"type": "literal", "value": path}), false);
                    let nested = Expr::new(Kind::Nested { path, inner: Box::new(expr) }, Span::default());
                    elastic::query(&nested, fields.as_ref(), &options).unwrap()["nested"]["query"].clone()
                }
            },
        };
        assert_eq!(dsl, case["dsl"], "{}", case["node"]);
    }
}
