//! Plans of `eql` rules.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compiled::{CompileError, CompiledPlan, with_filters};
use super::kind::EqlParams;
use crate::base::diagnostic::Diagnostic;
use crate::query::lang::eql::{Lowering, Query, lower, parse};
use crate::query::plan::{EqlPlan, Filter, PipeStep};

/// What an EQL rule joins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JoinPlan {
    /// Which events may take part: those of all stages that pass the rule's filters.
    pub filter: Arc<Filter>,
    /// How they belong together.
    pub plan: Arc<EqlPlan>,
    /// What becomes of what is found: `head` and `tail` alone.
    pub pipes: Vec<PipeStep>,
    /// The query's text, for a backend that runs EQL itself.
    pub text: Arc<str>,
    /// Field that holds the event's category, where it is not `event.category`.
    pub category_field: Option<Arc<str>>,
    /// Field whose time orders events.
    pub timestamp: Arc<str>,
    /// Field that orders events of equal time.
    pub tiebreaker: Option<Arc<str>>,
}

/// How a rule's query is lowered.
pub fn lowering(params: &EqlParams) -> Lowering {
    match params.event_category_override.as_deref().filter(|field| !field.is_empty()) {
        Some(field) => Lowering { category_field: Arc::from(field) },
        None => Lowering::default(),
    }
}

/// What a rule searches for: single events are searched like those of any query.
pub(super) fn plan(params: &EqlParams, filters: &[Value]) -> Result<CompiledPlan, CompileError> {
    let wrong = |found| CompileError::Query("query", found);
    let text = &params.query;
    let parsed = parse(text).map_err(wrong)?;
    let query = lower(&parsed, text, &lowering(params)).map_err(wrong)?;
    let pipes = query.pipes.iter().zip(&parsed.pipes);
    let single = matches!(query.plan, EqlPlan::Event(_));
    for (step, pipe) in pipes {
        if single || !matches!(step, PipeStep::Head(_) | PipeStep::Tail(_)) {
            let message = format!("`{}` is not run in a rule", pipe.name);
            let help = "pipes are for searches: `max_signals` limits alerts, conditions go into the query";
            return Err(wrong(Diagnostic::error("EQL013", message).with_help(help).at(text, pipe.span)));
        }
    }
    let filter = with_filters(query.plan.filter(), "filters", filters)?;
    Ok(match query.plan {
        EqlPlan::Event(_) => CompiledPlan::Search(Arc::new(filter)),
        joined => CompiledPlan::Join(Arc::new(JoinPlan {
            filter: Arc::new(filter),
            plan: Arc::new(joined),
            pipes: query.pipes,
            text: Arc::from(text.as_str()),
            category_field: field(params.event_category_override.as_deref()),
            timestamp: field(params.timestamp_field.as_deref()).unwrap_or_else(|| Arc::from("@timestamp")),
            tiebreaker: field(params.tiebreaker_field.as_deref()),
        })),
    })
}

fn field(name: Option<&str>) -> Option<Arc<str>> {
    name.filter(|name| !name.is_empty()).map(Arc::from)
}

/// The query of a rule as a syntax tree; `None` when it does not read, which loading has said.
pub fn syntax(params: &EqlParams) -> Option<Query> {
    parse(&params.query).ok()
}
