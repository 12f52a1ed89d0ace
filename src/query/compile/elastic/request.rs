//! Whole search requests: a compiled query with filters, a time range and an order.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::base::window::iso_millis;

/// The time an event must lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange<'t> {
    /// Field that holds the event's time.
    pub primary: &'t str,
    /// Field that is looked at where `primary` is missing.
    pub secondary: Option<&'t str>,
    /// First instant.
    pub from: DateTime<Utc>,
    /// Last instant.
    pub to: DateTime<Utc>,
}

/// A rule's query with Kibana's filter objects: a `bool` with all four slots, `match_all` entries
/// left out. Disabled filters are ignored, negated ones go to `must_not`.
pub fn bool_query(query: Option<Value>, filters: &[Value]) -> Value {
    let mut filter: Vec<Value> = query.into_iter().collect();
    let mut must_not = Vec::new();
    for one in filters {
        let flag = |name: &str| {
            one.get("meta").and_then(|meta| meta.get(name)).and_then(Value::as_bool) == Some(true)
        };
        if flag("disabled") {
            continue;
        }
        let query = filter_query(one);
        if flag("negate") { must_not.push(query) } else { filter.push(query) }
    }
    filter.retain(|clause| *clause != json!({"match_all": {}}));
    json!({"bool": {"must": [], "filter": filter, "should": [], "must_not": must_not}})
}

/// What a Kibana filter object asks for: its `query`, or in the old form the object itself.
fn filter_query(filter: &Value) -> Value {
    if let Some(query) = filter.get("query") {
        return query.clone();
    }
    match filter {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "meta" | "$state"))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        other => other.clone(),
    }
}

/// The body of the `_search` request that finds a rule's candidates, oldest first.
///
/// `size` is the page; `after` the sort values of the last hit of the page before.
pub fn search_body(query: &Value, range: &TimeRange<'_>, size: u32, after: Option<&[Value]>) -> Value {
    let order = |field: &str| json!({field: {"order": "asc", "unmapped_type": "date"}});
    let times: Vec<&str> = std::iter::once(range.primary).chain(range.secondary).collect();
    let fields = shown_fields(&times);
    let mut body = json!({
        "size": size,
        "query": {"bool": {"filter": [query, time_filter(range)]}},
        "fields": fields,
        "sort": times.iter().map(|field| order(field)).collect::<Vec<_>>(),
    });
    if let (Some(after), Some(object)) = (after, body.as_object_mut()) {
        object.insert("search_after".to_owned(), Value::Array(after.to_vec()));
    }
    body
}

/// What hits show of an event: every field, and its times as they are compared.
pub(super) fn shown_fields(times: &[&str]) -> Vec<Value> {
    let stamp = |field: &&str| json!({"field": field, "format": "strict_date_optional_time"});
    std::iter::once(json!({"field": "*", "include_unmapped": true})).chain(times.iter().map(stamp)).collect()
}

pub(super) fn time_filter(range: &TimeRange<'_>) -> Value {
    let lies_in = |field: &str| {
        json!({"range": {field: {
            "gte": iso_millis(range.from),
            "lte": iso_millis(range.to),
            "format": "strict_date_optional_time",
        }}})
    };
    match range.secondary {
        None => lies_in(range.primary),
        Some(secondary) => json!({"bool": {
            "should": [
                lies_in(range.primary),
                {"bool": {"filter": [
                    lies_in(secondary),
                    {"bool": {"must_not": {"exists": {"field": range.primary}}}},
                ]}},
            ],
            "minimum_should_match": 1,
        }}),
    }
}
