//! `tocsin compile` of EQL.

use serde_json::{Value, json};

use super::{Compiled, Compiler, Request, Target, encoded};
use crate::base::limits;
use crate::cli::CliError;
use crate::query::compile::elastic::{self, EqlSearch};
use crate::query::lang::eql::{Lowering, Query, lower, parse};
use crate::query::plan::{EqlPlan, EqlQuery, Filter, Node};
use crate::rule::eql::lowering;
use crate::rule::kind::EqlParams;
use crate::rule::model::Rule;

impl Compiler<'_> {
    /// An EQL text by itself.
    pub(super) fn eql_text(&self, text: &str) -> Result<Compiled, CliError> {
        let (query, plan) = read(text, &Lowering::default())?;
        let search = EqlSearch {
            query: text,
            category_field: None,
            timestamp_field: None,
            tiebreaker_field: None,
            size: 10,
            partial: None,
        };
        let native = || Request {
            method: "POST",
            path: "/_eql/search".to_owned(),
            body: elastic::eql_body(&search, None, None),
        };
        Ok(self.eql(&query, &plan, native))
    }

    /// An EQL rule.
    pub(super) fn eql_rule(&self, rule: &Rule, params: &EqlParams) -> Result<Compiled, CliError> {
        let (query, plan) = read(&params.query, &lowering(params))?;
        let search = EqlSearch {
            query: &params.query,
            category_field: params.event_category_override.as_deref(),
            timestamp_field: params.timestamp_field.as_deref(),
            tiebreaker_field: params.tiebreaker_field.as_deref(),
            size: rule.max_signals,
            partial: Some(true),
        };
        let range = self.range(rule)?;
        let filter = (!rule.filters.is_empty()).then(|| elastic::bool_query(None, &rule.filters));
        let body = elastic::eql_body(&search, filter.as_ref(), Some(&range));
        let path = format!(
            "/{}/_eql/search?allow_no_indices=true&ignore_unavailable=true",
            encoded(&rule.index_patterns().join(","))
        );
        Ok(self.eql(&query, &plan, || Request { method: "POST", path, body }))
    }

    /// Elasticsearch runs the text itself; elsewhere the events of all stages are searched, and what
    /// a search cannot decide is decided here.
    fn eql(&self, query: &Query, plan: &EqlQuery, native: impl FnOnce() -> Request) -> Compiled {
        let dsl = elastic::filter_query(&plan.plan.filter());
        match self.target {
            Target::Elasticsearch => {
                Compiled { query: dsl, requests: vec![native()], pushdown: "exact", residue: None }
            }
            Target::Opensearch => {
                let exact = matches!(plan.plan, EqlPlan::Event(_))
                    && plan.pipes.is_empty()
                    && !computes(&plan.plan.filter());
                let body = json!({
                    "size": limits::PAGE_HITS,
                    "query": dsl,
                    "sort": [{"@timestamp": {"order": "asc", "unmapped_type": "date"}}],
                });
                let request = Request { method: "POST", path: "/_search".to_owned(), body };
                Compiled {
                    query: dsl_of(&request.body),
                    requests: vec![request],
                    pushdown: if exact { "exact" } else { "superset" },
                    residue: (!exact).then(|| query.to_string()),
                }
            }
            Target::Embedded => Compiled {
                query: dsl,
                requests: Vec::new(),
                pushdown: "superset",
                residue: Some(query.to_string()),
            },
        }
    }
}

fn dsl_of(body: &Value) -> Value {
    body.get("query").cloned().unwrap_or_default()
}

fn read(text: &str, lowering: &Lowering) -> Result<(Query, EqlQuery), CliError> {
    let wrong = |found| CliError::text(found, text);
    let query = parse(text).map_err(wrong)?;
    let plan = lower(&query, text, lowering).map_err(wrong)?;
    Ok((query, plan))
}

/// Whether part of a filter is computed, which a search cannot.
fn computes(filter: &Filter) -> bool {
    match &filter.node {
        Node::Scalar { .. } => true,
        Node::And(all) | Node::Or(all) => all.iter().any(computes),
        Node::Not(inner) => computes(inner),
        _ => false,
    }
}
