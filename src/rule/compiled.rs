//! [`CompiledRule`]: a rule with its query as a plan.

use std::sync::Arc;

use serde_json::Value;

use crate::base::diagnostic::Diagnostic;
use crate::query::lang::dsl::DslError;
use crate::query::lang::kql;
use crate::query::plan::{Filter, Node};

use super::filters;
use super::model::{Rule, RuleKind};

/// A rule that runs, and what it searches for.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledRule {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Its query and its filters.
    pub filter: Arc<Filter>,
}

/// Why a rule has no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The query is wrong; the diagnostic's span lies in the query.
    #[error("{0}")]
    Query(Diagnostic),
    /// The filter of this position cannot be evaluated.
    #[error("filter {0}: {1}")]
    Filter(usize, DslError),
    /// The rule's type or language does not run yet.
    #[error("{0} rules do not run yet")]
    NotRunYet(String),
}

/// Compiles a rule.
///
/// # Errors
/// Why it has no plan.
pub fn compile(rule: &Arc<Rule>) -> Result<CompiledRule, CompileError> {
    let RuleKind::Query(parameters) = &rule.kind else {
        return Err(CompileError::NotRunYet(rule.rule_type().to_owned()));
    };
    let filter = plan(&parameters.query, &rule.filters)?;
    Ok(CompiledRule { rule: Arc::clone(rule), filter: Arc::new(filter) })
}

/// One plan of a KQL query and Kibana filters.
pub(super) fn plan(query: &str, objects: &[Value]) -> Result<Filter, CompileError> {
    let query = kql::parse_filter(query).map_err(CompileError::Query)?;
    let mut parts = Vec::with_capacity(objects.len());
    for (position, object) in objects.iter().enumerate() {
        parts.extend(filters::filter(object).map_err(|error| CompileError::Filter(position, error))?);
    }
    if parts.is_empty() {
        return Ok(query);
    }
    parts.insert(0, query);
    Ok(Filter::new(Node::And(parts)))
}
