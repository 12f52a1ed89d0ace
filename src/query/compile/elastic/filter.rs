//! A plan to query DSL: for what has no KQL text of its own (Kibana's filter objects, Lucene,
//! exceptions, what an executor adds to a rule's query).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::term::{escaped_pattern, wildcard_text};
use crate::query::plan::values::ValueSet;
use crate::query::plan::{Bounds, Case, FieldPattern, Filter, Least, Node, Pattern, Piece};

/// Most values of one `terms` query (Elasticsearch: `index.max_terms_count`).
const TERMS: usize = 65_536;

/// Compiles `filter`. No field list is needed: each clause means on the cluster's own mapping what
/// it means in the plan.
pub fn filter_query(filter: &Filter) -> Value {
    match &filter.node {
        Node::All | Node::AtLeast { least: 0, .. } => json!({"match_all": {}}),
        Node::Nothing => json!({"match_none": {}}),
        Node::And(children) if children.is_empty() => json!({"match_all": {}}),
        Node::Or(children) if children.is_empty() => json!({"match_none": {}}),
        Node::And(children) => json!({"bool": {"filter": each(children)}}),
        Node::Or(children) => any_of(each(children), 1),
        Node::AtLeast { least, of } if *least as usize > of.len() => json!({"match_none": {}}),
        Node::AtLeast { least, of } => any_of(each(of), *least),
        Node::Not(child) => json!({"bool": {"must_not": filter_query(child)}}),
        Node::Nested { path, inner } => {
            json!({"nested": {"path": &**path, "query": filter_query(inner), "score_mode": "none"}})
        }
        Node::Scalar { necessary, .. } => filter_query(necessary),
        Node::Exists { field } => json!({"exists": {"field": name(field)}}),
        Node::Is { field, value, phrase, case } => is(field.as_ref(), value, *phrase, *case),
        Node::Wildcard { field, pattern, case } => wildcard(field.as_ref(), pattern, *case),
        Node::Regexp { field, pattern, case } => regexp(field.as_ref(), pattern, *case),
        // Which words a field's analyzer makes of its values no query can ask of a list here.
        Node::OneOf { field, values } if values.as_words().is_some() => {
            json!({"exists": {"field": name(field)}})
        }
        Node::OneOf { field, values } => one_of(&name(field), values),
        Node::Words { field, text, least } => words(field, text, *least),
        Node::Range { field, bounds } => range(field, bounds),
        Node::Foreign { dsl, .. } => serde_json::from_str(dsl).unwrap_or_else(|_| json!({"match_none": {}})),
    }
}

fn each(children: &[Filter]) -> Vec<Value> {
    children.iter().map(filter_query).collect()
}

fn any_of(clauses: Vec<Value>, least: u32) -> Value {
    json!({"bool": {"should": clauses, "minimum_should_match": least}})
}

/// `{kind: {field: body}}`.
fn leaf(kind: &str, field: &str, body: Value) -> Value {
    json!({kind: Value::Object(Map::from_iter([(field.to_owned(), body)]))})
}

fn name(field: &FieldPattern) -> String {
    match field {
        FieldPattern::Name(name) | FieldPattern::Exact { name, .. } => name.to_string(),
        FieldPattern::Pattern(pattern) => spelled(pattern),
    }
}

/// A pattern of field names, which knows no escapes.
fn spelled(Pattern(pieces): &Pattern) -> String {
    let pieces = pieces.iter().map(|piece| match piece {
        Piece::Literal(text) => text.to_string(),
        Piece::Any => "*".to_owned(),
        Piece::One => "?".to_owned(),
    });
    pieces.collect()
}

fn is(field: Option<&FieldPattern>, value: &str, phrase: bool, case: Case) -> Value {
    match field {
        Some(FieldPattern::Name(name)) if case == Case::Insensitive => {
            leaf("term", name, json!({"value": value, "case_insensitive": true}))
        }
        Some(FieldPattern::Name(name)) => {
            leaf(if phrase { "match_phrase" } else { "match" }, name, Value::from(value))
        }
        other => {
            let kind = if phrase { "phrase" } else { "best_fields" };
            let mut body = json!({"type": kind, "query": value, "lenient": true});
            if let (Some(field), Some(body)) = (other, body.as_object_mut()) {
                body.insert("fields".to_owned(), json!([name(field)]));
            }
            json!({"multi_match": body})
        }
    }
}

fn wildcard(field: Option<&FieldPattern>, pattern: &Pattern, case: Case) -> Value {
    match field {
        Some(FieldPattern::Name(name)) if case == Case::Insensitive => {
            leaf("wildcard", name, json!({"value": wildcard_text(pattern), "case_insensitive": true}))
        }
        other => query_string(other, &escaped_pattern(pattern)),
    }
}

fn query_string(field: Option<&FieldPattern>, query: &str) -> Value {
    let mut body = json!({"query": query, "analyze_wildcard": true, "lenient": field.is_none()});
    if let (Some(field), Some(body)) = (field, body.as_object_mut()) {
        body.insert("fields".to_owned(), json!([name(field)]));
    }
    json!({"query_string": body})
}

fn regexp(field: Option<&FieldPattern>, pattern: &str, case: Case) -> Value {
    match field {
        Some(FieldPattern::Name(name)) => {
            let insensitive = case == Case::Insensitive;
            leaf("regexp", name, json!({"value": pattern, "case_insensitive": insensitive}))
        }
        other => query_string(other, &format!("/{}/", pattern.replace('/', "\\/"))),
    }
}

fn one_of(field: &str, values: &ValueSet) -> Value {
    let mut clauses = Vec::new();
    let mut terms: Vec<Value> = Vec::new();
    let mut put = |value: Value, clauses: &mut Vec<Value>| {
        terms.push(value);
        if terms.len() == TERMS {
            clauses.push(leaf("terms", field, Value::Array(std::mem::take(&mut terms))));
        }
    };
    if let Some(texts) = values.as_texts() {
        for text in texts.iter() {
            put(Value::from(text), &mut clauses);
        }
    } else if let Some(addresses) = values.as_addresses() {
        for (first, last) in addresses.iter() {
            if first == last {
                put(Value::from(shown(first)), &mut clauses);
            } else {
                clauses.push(leaf("range", field, json!({"gte": shown(first), "lte": shown(last)})));
            }
        }
    }
    if !terms.is_empty() {
        clauses.push(leaf("terms", field, Value::Array(terms)));
    }
    match clauses.len() {
        0 => json!({"match_none": {}}),
        1 => clauses.pop().unwrap_or_default(),
        _ => any_of(clauses, 1),
    }
}

/// An address as it is written.
fn shown(address: u128) -> String {
    let v6 = core::net::Ipv6Addr::from(address);
    v6.to_ipv4_mapped().map_or_else(|| v6.to_string(), |v4| v4.to_string())
}

fn words(field: &str, text: &str, least: Least) -> Value {
    let body = match least {
        Least::Percent(100) => json!({"query": text, "operator": "and"}),
        Least::Percent(percent) => json!({"query": text, "minimum_should_match": format!("{percent}%")}),
        Least::Count(count) => json!({"query": text, "minimum_should_match": count}),
    };
    leaf("match", field, body)
}

fn range(field: &FieldPattern, bounds: &Bounds) -> Value {
    let Bounds { gt, gte, lt, lte, zone } = bounds;
    if let FieldPattern::Pattern(_) = field {
        let end = |inclusive: &Option<Arc<str>>, exclusive: &Option<Arc<str>>| match (inclusive, exclusive) {
            (Some(end), _) => (quoted(end), true),
            (None, Some(end)) => (quoted(end), false),
            (None, None) => ("*".to_owned(), true),
        };
        let ((low, closed), (high, closed_above)) = (end(gte, gt), end(lte, lt));
        let (open, close) = (if closed { '[' } else { '{' }, if closed_above { ']' } else { '}' });
        return query_string(Some(field), &format!("{open}{low} TO {high}{close}"));
    }
    let mut body = Map::new();
    let ends = [("gt", gt), ("gte", gte), ("lt", lt), ("lte", lte), ("time_zone", zone)];
    for (key, end) in ends {
        if let Some(end) = end {
            body.insert(key.to_owned(), Value::from(&**end));
        }
    }
    leaf("range", &name(field), Value::Object(body))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::filter_query;
    use crate::query::lang::dsl;
    use crate::query::plan::values::{AddressSetBuilder, ValueSet, range_of};
    use crate::query::plan::{FieldPattern, Filter, Node};

    #[test]
    fn what_is_sent_reads_back_as_the_same_plan() {
        for query in [
            json!({"match_phrase": {"a": "x y"}}),
            json!({"match": {"a": "x"}}),
            json!({"exists": {"field": "a.b"}}),
            json!({"wildcard": {"a": {"value": "x*\\*?", "case_insensitive": true}}}),
            json!({"regexp": {"a": {"value": "x.*", "case_insensitive": false}}}),
            json!({"range": {"a": {"gte": "2024-01-01", "lt": "now/d", "time_zone": "+02:00"}}}),
            json!({"bool": {"must_not": {"match": {"a": "x"}}}}),
            json!({"bool": {"should": [{"match": {"a": "x"}}, {"match": {"b": "y"}}, {"exists": {"field": "c"}}], "minimum_should_match": 2}}),
            json!({"nested": {"path": "n", "query": {"match": {"n.a": "x"}}, "score_mode": "none"}}),
            json!({"match": {"a": {"query": "x y", "operator": "and"}}}),
            json!({"match": {"a": {"query": "x y z", "minimum_should_match": 2}}}),
            json!({"script": {"script": {"source": "true"}}}),
        ] {
            let filter = dsl::parse(&query).expect("a query");
            assert_eq!(dsl::parse(&filter_query(&filter)), Ok(filter), "{query}");
        }
    }

    #[test]
    fn sets_are_sent_in_parts() {
        let one_of = |values: ValueSet| {
            let field = FieldPattern::Name(Arc::from("f"));
            filter_query(&Filter::new(Node::OneOf { field, values: Arc::new(values) }))
        };
        let many = one_of(ValueSet::of((0..70_000).map(|n| n.to_string())).expect("small"));
        let parts = many["bool"]["should"].as_array().expect("parts");
        let sizes: Vec<usize> =
            parts.iter().map(|part| part["terms"]["f"].as_array().map_or(0, Vec::len)).collect();
        assert_eq!(sizes, [65_536, 4_464]);
        let mut addresses = AddressSetBuilder::default();
        for text in ["10.0.0.0/8", "1.2.3.4"] {
            let (first, last) = range_of(text).expect("a range");
            addresses.insert(first, last);
        }
        assert_eq!(
            one_of(ValueSet::addresses(addresses.finish())),
            json!({"bool": {"should": [
                {"range": {"f": {"gte": "10.0.0.0", "lte": "10.255.255.255"}}},
                {"terms": {"f": ["1.2.3.4"]}},
            ], "minimum_should_match": 1}})
        );
    }
}
