//! A filter as the query that a cluster is sent: typed by the cluster's own mapping, as Kibana
//! compiles KQL with a field list; date math resolved at the search's "now", which is the slot's
//! and not the cluster's.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::super::times::{INGESTED, TIMESTAMP};
use super::super::{SearchRequest, TimeField};
use crate::base::datemath::{self, Rounding};
use crate::base::window::{Window, iso_millis};
use crate::ecs::mapping::{Field, Mapping};
use crate::ecs::types::FieldType;
use crate::query::compile::elastic::{escaped_pattern, filter_query, wildcard_text};
use crate::query::eval::wildcard::Wildcard;
use crate::query::plan::{Bounds, Case, FieldPattern, Filter, Node, Pattern};

/// Most clauses that are sent; Elasticsearch refuses queries with more than 1,024.
const CLAUSES: usize = 900;

/// A filter as it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pushed {
    /// The query.
    pub(super) query: Value,
    /// Whether it finds exactly what the filter says. Else it finds more, and each hit must be
    /// judged here.
    pub(super) exact: bool,
}

/// `filter` for indices with `mapping`.
pub(super) fn push(filter: &Filter, mapping: &Mapping, now: DateTime<Utc>) -> Pushed {
    let mut compiler = Compiler { mapping, now, clauses: 0, loose: false };
    let query = compiler.node(filter, None);
    if compiler.clauses <= CLAUSES {
        return Pushed { query, exact: !compiler.loose };
    }
    // A conjunction is narrowed by those of its parts that are small enough.
    let parts = match &filter.node {
        Node::And(children) => children.as_slice(),
        _ => &[],
    };
    let mut kept = Vec::new();
    let mut total = 0;
    for part in parts {
        let mut compiler = Compiler { mapping, now, clauses: 0, loose: false };
        let query = compiler.node(part, None);
        if total + compiler.clauses <= CLAUSES {
            total += compiler.clauses;
            kept.push(query);
        }
    }
    Pushed { query: json!({"bool": {"filter": kept}}), exact: false }
}

struct Compiler<'c> {
    mapping: &'c Mapping,
    now: DateTime<Utc>,
    clauses: usize,
    /// Whether something was sent that finds more than the filter says.
    loose: bool,
}

impl Compiler<'_> {
    fn node(&mut self, filter: &Filter, nested: Option<&str>) -> Value {
        self.clauses += 1;
        match &filter.node {
            Node::And(children) if children.is_empty() => json!({"match_all": {}}),
            Node::Or(children) if children.is_empty() => json!({"match_none": {}}),
            Node::And(children) => json!({"bool": {"filter": self.each(children, nested)}}),
            Node::Or(children) => any_of(self.each(children, nested), 1),
            Node::AtLeast { least: 0, .. } => json!({"match_all": {}}),
            Node::AtLeast { least, of } if *least as usize > of.len() => json!({"match_none": {}}),
            Node::AtLeast { least, of } => any_of(self.each(of, nested), *least),
            Node::Not(child) => {
                let before = std::mem::replace(&mut self.loose, false);
                let child = self.node(child, nested);
                if self.loose {
                    // The negation of what finds too much finds too little.
                    return json!({"match_all": {}});
                }
                self.loose = before;
                json!({"bool": {"must_not": [child]}})
            }
            Node::Scalar { necessary, .. } => {
                let necessary = self.node(necessary, nested);
                self.loose = true;
                necessary
            }
            Node::Nested { path, inner } => {
                let inner = self.node(inner, Some(path));
                // An index of the pattern that lacks the nested field has no match, and no error.
                json!({"nested": {"path": &**path, "query": inner, "score_mode": "none", "ignore_unmapped": true}})
            }
            Node::Exists { field } => {
                self.spread(field, nested, |_, name, _| json!({"exists": {"field": name}}))
            }
            Node::Is { field: Some(field), value, phrase, case } => {
                self.spread(field, nested, |this, name, field| this.is(name, field, value, *phrase, *case))
            }
            Node::Wildcard { field: Some(field), pattern, case } => {
                self.spread(field, nested, |_, name, field| wildcard(name, field, pattern, *case))
            }
            Node::Range { field, bounds } => {
                self.spread(field, nested, |this, name, field| this.range(name, field, bounds))
            }
            Node::OneOf { values, .. } if values.as_words().is_some() => {
                self.loose = true;
                filter_query(filter)
            }
            Node::OneOf { field: FieldPattern::Pattern(pattern), values } => {
                let names = self.names(pattern);
                let one = |name: &String| {
                    let field = FieldPattern::Name(name.as_str().into());
                    filter_query(&Filter::new(Node::OneOf { field, values: values.clone() }))
                };
                any_of(names.iter().map(one).collect(), 1)
            }
            Node::All
            | Node::Nothing
            | Node::Is { field: None, .. }
            | Node::Wildcard { field: None, .. }
            | Node::OneOf { .. }
            | Node::Words { .. }
            | Node::Regexp { .. }
            | Node::Foreign { .. } => filter_query(filter),
        }
    }

    fn each(&mut self, children: &[Filter], nested: Option<&str>) -> Vec<Value> {
        children.iter().map(|child| self.node(child, nested)).collect()
    }

    /// One clause for each field that `field` names.
    fn spread(
        &mut self,
        field: &FieldPattern,
        nested: Option<&str>,
        clause: impl Fn(&Self, &str, Option<&Field>) -> Value,
    ) -> Value {
        let names = match field {
            FieldPattern::Name(name) => {
                return clause(self, name, self.mapping.resolve(name).as_ref());
            }
            FieldPattern::Exact { name, .. } => {
                let field = self.mapping.resolve(name);
                if !field.as_ref().is_some_and(|field| field.kind.is_text()) {
                    return clause(self, name, field.as_ref());
                }
                let Some(exact) = self.exact_form(name) else {
                    self.loose = true;
                    return json!({"exists": {"field": &**name}});
                };
                return clause(self, &exact, self.mapping.resolve(&exact).as_ref());
            }
            FieldPattern::Pattern(pattern) => self.names(pattern),
        };
        self.clauses += names.len();
        let mut clauses = Vec::with_capacity(names.len());
        for name in &names {
            let field = self.mapping.resolve(name);
            let one = clause(self, name, field.as_ref());
            // A pattern reaches into nested fields, each of which is asked by itself.
            let path = field.and_then(|field| field.nested).filter(|path| nested != Some(path));
            clauses.push(match path {
                Some(path) => json!({"nested": {"path": &*path, "query": one, "score_mode": "none", "ignore_unmapped": true}}),
                None => one,
            });
        }
        if clauses.is_empty() { json!({"match_none": {}}) } else { any_of(clauses, 1) }
    }

    /// The keyword multi-field of a field of analysed text.
    fn exact_form(&self, name: &str) -> Option<String> {
        let prefix = format!("{name}.");
        let keyword = self
            .mapping
            .below(&prefix)
            // Longer values are not in it, so it would find too little.
            .find(|(_, entry)| {
                entry.multi && entry.kind == FieldType::Keyword && entry.ignore_above.is_none()
            });
        keyword.map(|(name, _)| name.to_owned())
    }

    /// The names of fields with values that a pattern stands for.
    fn names(&self, pattern: &Pattern) -> Vec<String> {
        let wanted = Wildcard::new(pattern, false);
        let known = self
            .mapping
            .below("")
            .filter(|(name, entry)| !entry.kind.is_object() && entry.searchable && wanted.matches(name));
        known.map(|(name, _)| name.to_owned()).collect()
    }

    fn is(&self, name: &str, field: Option<&Field>, value: &str, phrase: bool, case: Case) -> Value {
        if field.is_some_and(is_date) {
            let (gte, lte) = (self.date(value, Rounding::Down, None), self.date(value, Rounding::Up, None));
            return leaf("range", name, json!({"gte": gte, "lte": lte}));
        }
        if case == Case::Insensitive && field.is_none_or(folds) {
            return leaf("term", name, json!({"value": value, "case_insensitive": true}));
        }
        if field.is_some_and(is_keyword) {
            return leaf("term", name, json!({"value": value}));
        }
        leaf(if phrase { "match_phrase" } else { "match" }, name, Value::from(value))
    }

    fn range(&self, name: &str, field: Option<&Field>, bounds: &Bounds) -> Value {
        let zone = bounds.zone.as_deref();
        let dates = field.is_none_or(is_date);
        let mut body = Map::new();
        // Exclusive lower and inclusive upper ends round up, as Elasticsearch has it.
        let ends = [
            ("gt", &bounds.gt, Rounding::Up),
            ("gte", &bounds.gte, Rounding::Down),
            ("lt", &bounds.lt, Rounding::Down),
            ("lte", &bounds.lte, Rounding::Up),
        ];
        for (key, end, rounding) in ends {
            if let Some(end) = end {
                let end = if dates { self.date(end, rounding, zone) } else { end.to_string() };
                body.insert(key.to_owned(), Value::from(end));
            }
        }
        if dates && let Some(zone) = zone {
            body.insert("time_zone".to_owned(), Value::from(zone));
        }
        leaf("range", name, Value::Object(body))
    }

    /// A date that depends on "now", as the instant it is; any other as it is written.
    fn date(&self, text: &str, rounding: Rounding, zone: Option<&str>) -> String {
        if !text.trim_start().starts_with("now") {
            return text.to_owned();
        }
        datemath::resolve_in(text.trim(), self.now, rounding, zone)
            .map_or_else(|_| text.to_owned(), iso_millis)
    }
}

fn is_keyword(field: &Field) -> bool {
    field.kind == FieldType::Keyword && field.key.is_none() && !field.conflicting()
}

/// Whether its terms can be compared without case, which analysed text does by itself.
fn folds(field: &Field) -> bool {
    matches!(
        field.kind,
        FieldType::Keyword | FieldType::Wildcard | FieldType::ConstantKeyword | FieldType::Flattened
    )
}

fn is_date(field: &Field) -> bool {
    let date = |kind: &FieldType| matches!(kind, FieldType::Date | FieldType::DateNanos);
    date(&field.kind) && field.others.as_ref().is_none_or(|others| others.iter().all(date))
}

fn wildcard(name: &str, field: Option<&Field>, pattern: &Pattern, case: Case) -> Value {
    if case == Case::Insensitive && field.is_none_or(folds) {
        return leaf("wildcard", name, json!({"value": wildcard_text(pattern), "case_insensitive": true}));
    }
    if field.is_some_and(is_keyword) {
        return leaf("wildcard", name, json!({"value": wildcard_text(pattern)}));
    }
    json!({"query_string": {"fields": [name], "query": escaped_pattern(pattern)}})
}

fn any_of(clauses: Vec<Value>, least: u32) -> Value {
    json!({"bool": {"should": clauses, "minimum_should_match": least}})
}

/// `{kind: {field: body}}`.
fn leaf(kind: &str, field: &str, body: Value) -> Value {
    json!({kind: Value::Object(Map::from_iter([(field.to_owned(), body)]))})
}

/// `query` with the events that are in time for `request`.
pub(super) fn in_time(query: Value, request: &SearchRequest) -> Value {
    match request.window {
        None => json!({"bool": {"filter": [query]}}),
        Some(window) => {
            json!({"bool": {"filter": [query, window_query(&window, &request.time, request.event_clock)]}})
        }
    }
}

/// The events whose time lies in `window`: their primary time, or the fallback where they have no
/// primary one.
pub(super) fn window_query(window: &Window, time: &TimeField, event_clock: bool) -> Value {
    let lies_in = |field: &str| {
        leaf(
            "range",
            field,
            json!({
                "gte": iso_millis(window.from),
                "lte": iso_millis(window.to),
                "format": "strict_date_optional_time",
            }),
        )
    };
    let Some(fallback) = time.fallback.as_deref().filter(|name| *name != &*time.primary) else {
        return lies_in(&time.primary);
    };
    // On the `event` clock an event that was ingested after the window had no ingest time in it.
    let known = if event_clock && &*time.primary == INGESTED {
        leaf(
            "range",
            &time.primary,
            json!({"lte": iso_millis(window.to), "format": "strict_date_optional_time"}),
        )
    } else {
        json!({"exists": {"field": &*time.primary}})
    };
    any_of(
        vec![lies_in(&time.primary), json!({"bool": {"filter": [lies_in(fallback)], "must_not": [known]}})],
        1,
    )
}

/// The fields that hits are sorted by: the primary time, then `@timestamp`.
pub(super) fn sort(request: &SearchRequest) -> Value {
    let order = if request.descending { "desc" } else { "asc" };
    let by = |field: &str, missing: &str| json!({field: {"order": order, "mode": "min", "missing": missing, "unmapped_type": "date", "numeric_type": "date"}});
    if &*request.time.primary == TIMESTAMP {
        return json!([by(TIMESTAMP, "_last")]);
    }
    // An event without `@timestamp` is older than all others.
    let missing = if request.descending { "_last" } else { "_first" };
    json!([by(&request.time.primary, "_last"), by(TIMESTAMP, missing)])
}
