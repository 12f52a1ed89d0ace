//! Compound queries.

use serde_json::Value;

use super::parse::{DslError, member, node, refuse, scalar};
use crate::query::plan::{Filter, Least, Node};

pub(super) fn boolean(body: &Value, depth: usize) -> Result<Node, DslError> {
    let Value::Object(clauses) = body else { return refuse("an object is expected") };
    let mut all = Vec::new();
    let mut excluded = Vec::new();
    let mut some = Vec::new();
    let mut least = None;
    for (key, value) in clauses {
        match key.as_str() {
            "must" | "filter" => all.extend(each(key, value, depth)?),
            "must_not" => excluded.extend(each(key, value, depth)?),
            "should" => some.extend(each(key, value, depth)?),
            "minimum_should_match" => {
                let text = scalar(value)?;
                least = Some(Least::parse(&text).ok_or_else(|| {
                    DslError::new(format!("`minimum_should_match` of `{text}` is not supported"))
                })?);
            }
            "boost" | "_name" | "adjust_pure_negative" => {}
            other => return refuse(format!("the parameter `{other}` is not supported")),
        }
    }
    // Without an explicit minimum, `should` decides only when nothing is required.
    let enough = match least {
        Some(least) => least.of(some.len()),
        None => usize::from(all.is_empty() && !some.is_empty()),
    };
    if enough > 0 {
        all.push(Filter::at_least(enough, some));
    }
    all.extend(excluded.into_iter().map(|query| Filter::new(Node::Not(Box::new(query)))));
    Ok(if all.len() == 1 { all.pop().map_or(Node::All, |only| only.node) } else { Node::And(all) })
}

pub(super) fn dis_max(body: &Value, depth: usize) -> Result<Node, DslError> {
    Ok(Node::Or(each("queries", member(body, "queries")?, depth)?))
}

/// One query or a list of them.
fn each(key: &str, value: &Value, depth: usize) -> Result<Vec<Filter>, DslError> {
    let Value::Array(list) = value else {
        return node(value, depth + 1).map(|one| vec![Filter::new(one)]).map_err(|error| error.below(key));
    };
    let read = list.iter().enumerate().map(|(at, query)| {
        node(query, depth + 1).map(Filter::new).map_err(|error| error.below(format!("{key}[{at}]")))
    });
    read.collect()
}
