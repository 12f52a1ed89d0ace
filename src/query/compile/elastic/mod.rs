//! KQL to Elasticsearch's query DSL, as Kibana compiles it.
//!
//! What it is: a syntax tree and (optionally) the fields of the indices in, DSL out.
//! What it is not: a client, and not tied to a version: the same DSL goes to `OpenSearch`.
//! Invariant: the output is Kibana's, clause by clause, so that a query means on a cluster what it
//! means in Kibana.

mod eql;
mod fields;
mod filter;
mod request;
mod script;
mod term;

pub use eql::{EqlSearch, eql_body};
pub use fields::{FieldList, ListedField, Script};
pub use filter::filter_query;
pub use request::{TimeRange, bool_query, search_body};
pub use term::{escaped_pattern, value, wildcard_text};

use serde_json::{Value, json};

use self::term::{bare, is_epoch};
use crate::base::diagnostic::Diagnostic;
use crate::base::span::Span;
use crate::query::lang::kql::{Expr, Kind, RangeOperator, Term, TermKind};
use crate::query::plan::{Pattern, Piece};

/// How KQL is compiled. The default is what detection rules use, without a time zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `case_insensitive` on `term` and `wildcard`; left out when `None`.
    pub case_insensitive: Option<bool>,
    /// `ignore_unmapped` on `nested`; left out when `None`.
    pub nested_ignore_unmapped: Option<bool>,
    /// Conjunctions go to `must`, which scores, instead of `filter`.
    pub filters_in_must_clause: bool,
    /// `time_zone` on ranges of date fields.
    pub time_zone: Option<String>,
}

/// A query that does not fit the fields it is compiled with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CompileError {
    message: String,
    span: Span,
}

impl CompileError {
    /// The finding for the query's text.
    pub fn diagnostic(&self, text: &str) -> Diagnostic {
        Diagnostic::error("KQL007", &self.message).at(text, self.span)
    }
}

/// Compiles `expr`. Without `fields` nothing is known of any field, and names are sent as typed.
///
/// `fields` must name all fields of the indices: a pattern that covers the whole list with the
/// value `*` is compiled to `match_all`.
///
/// # Errors
/// A nested field outside a nested group (or the reverse, or in the wrong one), and a value that a
/// scripted field cannot have.
pub fn query(expr: &Expr, fields: Option<&FieldList>, options: &Options) -> Result<Value, CompileError> {
    Compiler { fields, options }.expr(expr, None)
}

/// A field name in its nested context.
struct Name {
    text: String,
    pattern: Option<Pattern>,
}

struct Compiler<'c> {
    fields: Option<&'c FieldList>,
    options: &'c Options,
}

impl Compiler<'_> {
    fn expr(&self, expr: &Expr, path: Option<&str>) -> Result<Value, CompileError> {
        let all = |children: &[Expr]| -> Result<Vec<Value>, CompileError> {
            children.iter().map(|child| self.expr(child, path)).collect()
        };
        match &expr.kind {
            Kind::And(children) => {
                let slot = if self.options.filters_in_must_clause { "must" } else { "filter" };
                Ok(object("bool", object(slot, Value::Array(all(children)?))))
            }
            Kind::Or(children) => Ok(any_of(all(children)?)),
            Kind::Not(inner) => Ok(object("bool", object("must_not", self.expr(inner, path)?))),
            Kind::Nested { path: name, inner } => {
                let full = full_name(&name.text(), path);
                let inner = self.expr(inner, Some(&full))?;
                Ok(self.nested(&full, inner))
            }
            Kind::Is { field: None, value } => Ok(bare(value)),
            Kind::Is { field: Some(field), value } => self.is(field, value, path),
            Kind::Range { field, bounds } => self.range(field, bounds, path),
            Kind::Exists { field } => {
                let name = self.name(field, path)?;
                let scripted = self
                    .fields
                    .is_some_and(|fields| fields.named(&name.text).iter().any(|f| f.script.is_some()));
                if scripted {
                    let message = "Exists query does not support scripted fields".to_owned();
                    return Err(CompileError { message, span: field.span });
                }
                Ok(json!({"exists": {"field": name.text}}))
            }
        }
    }

    fn is(&self, field: &Term, term: &Term, path: Option<&str>) -> Result<Value, CompileError> {
        let name = self.name(field, path)?;
        let listed = self.listed(&name);
        if term.is_lone_wildcard() {
            let whole_list =
                name.pattern.is_some() && self.fields.is_some_and(|all| all.fields.len() == listed.len());
            if (field.is_lone_wildcard() && path.is_none()) || (whole_list && path.is_none()) {
                return Ok(json!({"match_all": {}}));
            }
        }
        let mut clauses = Vec::with_capacity(listed.len());
        for one in &listed {
            let key = &*one.name;
            let clause = if let Some(script) = &one.script {
                // A scripted field always exists.
                if term.is_lone_wildcard() {
                    continue;
                }
                clauses.push(
                    script::equals(one, script, &value(term))
                        .map_err(|message| CompileError { message, span: term.span })?,
                );
                continue;
            } else if term.is_lone_wildcard() {
                json!({"exists": {"field": key}})
            } else if let TermKind::Wildcard(pattern) = &term.kind {
                let pattern = escaped_pattern(pattern);
                if one.is_keyword() {
                    json!({"wildcard": {key: self.valued(Value::String(pattern))}})
                } else {
                    json!({"query_string": {"fields": [key], "query": pattern}})
                }
            } else if one.is_date() {
                let value = value(term);
                let mut range = json!({"gte": value, "lte": value});
                self.zone(&mut range, &[value]);
                json!({"range": {key: range}})
            } else if one.is_keyword() {
                json!({"term": {key: self.valued(value(term))}})
            } else if matches!(term.kind, TermKind::Text { quoted: true, .. }) {
                json!({"match_phrase": {key: value(term)}})
            } else {
                json!({"match": {key: value(term)}})
            };
            clauses.push(self.placed(clause, one, &name, path));
        }
        Ok(any_of(clauses))
    }

    fn range(
        &self,
        field: &Term,
        bounds: &[(RangeOperator, Term)],
        path: Option<&str>,
    ) -> Result<Value, CompileError> {
        let name = self.name(field, path)?;
        let values: Vec<(RangeOperator, Value)> =
            bounds.iter().map(|(op, term)| (*op, value(term))).collect();
        let clauses = self
            .listed(&name)
            .iter()
            .map(|one| {
                if let Some(script) = &one.script {
                    return script::range(one, script, &values);
                }
                let mut range: Value = values
                    .iter()
                    .map(|(op, value)| (op.key().to_owned(), value.clone()))
                    .collect::<serde_json::Map<_, _>>()
                    .into();
                if one.is_date() {
                    let values: Vec<Value> = values.iter().map(|(_, value)| value.clone()).collect();
                    self.zone(&mut range, &values);
                }
                let key = &*one.name;
                self.placed(json!({"range": {key: range}}), one, &name, path)
            })
            .collect();
        Ok(any_of(clauses))
    }

    /// The full name, checked against the nesting of the fields it stands for.
    fn name(&self, field: &Term, path: Option<&str>) -> Result<Name, CompileError> {
        let text = full_name(&field.text(), path);
        let pattern = match &field.kind {
            TermKind::Wildcard(Pattern(pieces)) => {
                let prefix = path.map(|path| Piece::Literal(format!("{path}.").into()));
                Some(Pattern(prefix.into_iter().chain(pieces.iter().cloned()).collect()))
            }
            _ => None,
        };
        let name = Name { text, pattern };
        // A pattern may cover nested fields and others; what is nested is wrapped later.
        if self.fields.is_none() || (name.pattern.is_some() && path.is_none()) {
            return Ok(name);
        }
        let mut problems = Vec::new();
        for one in self.known(&name) {
            match (path, one.nested.as_deref()) {
                (Some(path), None) => problems.push(format!(
                    "{} is not a nested field but is in nested group \"{path}\" in the KQL expression.",
                    one.name
                )),
                (None, Some(_)) => problems.push(format!(
                    "{} is a nested field, but is not in a nested group in the KQL expression.",
                    one.name
                )),
                (Some(path), Some(right)) if path != right => problems.push(format!(
                    "Nested field {} is being queried with the incorrect nested path. The correct path is {right}.",
                    one.name
                )),
                _ => {}
            }
        }
        if problems.is_empty() {
            Ok(name)
        } else {
            Err(CompileError { message: problems.join("\n"), span: field.span })
        }
    }

    fn known(&self, name: &Name) -> Vec<&ListedField> {
        match (self.fields, &name.pattern) {
            (None, _) => Vec::new(),
            (Some(fields), None) => fields.named(&name.text),
            (Some(fields), Some(pattern)) => fields.matching(pattern),
        }
    }

    /// The fields the name stands for; when none is known, the name as typed.
    fn listed(&self, name: &Name) -> Vec<ListedField> {
        let known = self.known(name);
        if known.is_empty() {
            vec![ListedField::unknown(&name.text)]
        } else {
            known.into_iter().cloned().collect()
        }
    }

    /// The clause, in a nested query of its own where a pattern reached into a nested field.
    fn placed(&self, clause: Value, field: &ListedField, name: &Name, path: Option<&str>) -> Value {
        match &field.nested {
            Some(nested) if name.pattern.is_some() && path.is_none() => self.nested(nested, clause),
            _ => clause,
        }
    }

    fn nested(&self, path: &str, query: Value) -> Value {
        let mut body = json!({"path": path});
        set(&mut body, "query", query);
        set(&mut body, "score_mode", Value::from("none"));
        if let Some(ignore) = self.options.nested_ignore_unmapped {
            set(&mut body, "ignore_unmapped", Value::Bool(ignore));
        }
        object("nested", body)
    }

    fn valued(&self, value: Value) -> Value {
        let mut body = object("value", value);
        if let Some(insensitive) = self.options.case_insensitive {
            set(&mut body, "case_insensitive", Value::Bool(insensitive));
        }
        body
    }

    fn zone(&self, range: &mut Value, values: &[Value]) {
        if let Some(zone) = &self.options.time_zone
            && !values.iter().any(is_epoch)
        {
            set(range, "time_zone", Value::String(zone.clone()));
        }
    }
}

fn any_of(clauses: Vec<Value>) -> Value {
    let mut body = object("should", Value::Array(clauses));
    set(&mut body, "minimum_should_match", Value::from(1));
    object("bool", body)
}

fn object(key: &str, value: Value) -> Value {
    Value::Object(std::iter::once((key.to_owned(), value)).collect())
}

fn full_name(name: &str, path: Option<&str>) -> String {
    path.map_or_else(|| name.to_owned(), |path| format!("{path}.{name}"))
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}
