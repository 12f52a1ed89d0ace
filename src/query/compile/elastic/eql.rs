//! `_eql/search` requests, as Kibana's detection engine sends them.

use serde_json::{Map, Value, json};

use super::request::{TimeRange, shown_fields, time_filter};

/// An EQL search that Elasticsearch runs itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EqlSearch<'q> {
    /// The query's text.
    pub query: &'q str,
    /// Field that holds the event's category, where it is not `event.category`.
    pub category_field: Option<&'q str>,
    /// Field that orders events, where it is not `@timestamp`.
    pub timestamp_field: Option<&'q str>,
    /// Field that orders events of equal time.
    pub tiebreaker_field: Option<&'q str>,
    /// Most events or sequences.
    pub size: u32,
    /// Whether an answer will do that some shards are missing from; `None`: the cluster's own way,
    /// for versions that do not know the question.
    pub partial: Option<bool>,
}

/// The body of an `_eql/search` request. `filter` is what else restricts the events (a rule's
/// filters and exceptions), `range` the time they must lie in.
pub fn eql_body(search: &EqlSearch<'_>, filter: Option<&Value>, range: Option<&TimeRange<'_>>) -> Value {
    let mut body = Map::new();
    body.insert("size".to_owned(), search.size.into());
    body.insert("query".to_owned(), search.query.into());
    let clauses: Vec<Value> = range.map(time_filter).into_iter().chain(filter.cloned()).collect();
    if !clauses.is_empty() {
        body.insert("filter".to_owned(), json!({"bool": {"filter": clauses}}));
    }
    if let Some(partial) = search.partial {
        body.insert("allow_partial_search_results".to_owned(), partial.into());
    }
    for (name, field) in [
        ("timestamp_field", search.timestamp_field),
        ("event_category_field", search.category_field),
        ("tiebreaker_field", search.tiebreaker_field),
    ] {
        if let Some(field) = field.filter(|field| !field.is_empty()) {
            body.insert(name.to_owned(), field.into());
        }
    }
    let times: Vec<&str> = match range {
        Some(range) => std::iter::once(range.primary).chain(range.secondary).collect(),
        None => vec!["@timestamp"],
    };
    body.insert("fields".to_owned(), Value::Array(shown_fields(&times)));
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_sends_what_kibana_sends() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        let range = TimeRange { primary: "@timestamp", secondary: None, from: at(0), to: at(60) };
        let search = EqlSearch {
            query: "any where true",
            category_field: Some("event.type"),
            timestamp_field: None,
            tiebreaker_field: Some(""),
            size: 100,
            partial: Some(true),
        };
        let filter = json!({"bool": {"must_not": [{"term": {"a": "b"}}]}});
        assert_eq!(
            eql_body(&search, Some(&filter), Some(&range)),
            json!({
                "size": 100,
                "query": "any where true",
                "filter": {"bool": {"filter": [
                    {"range": {"@timestamp": {
                        "gte": "1970-01-01T00:00:00.000Z",
                        "lte": "1970-01-01T00:01:00.000Z",
                        "format": "strict_date_optional_time",
                    }}},
                    filter,
                ]}},
                "allow_partial_search_results": true,
                "event_category_field": "event.type",
                "fields": [
                    {"field": "*", "include_unmapped": true},
                    {"field": "@timestamp", "format": "strict_date_optional_time"},
                ],
            })
        );
    }
}
