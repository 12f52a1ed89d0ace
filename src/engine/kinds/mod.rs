//! One function a rule type: from what the backend gives to candidates.
//!
//! What it is: plain functions behind one `match`, each of which asks the backend and hands
//! candidates to the stages ([`super::stages`]), in time order, as often as it likes.
//! What it is not: aware of duplicates, exceptions, suppression, the cap or the commit; the stages
//! are the same for all types.
//! Invariant: a function hands over everything that the rule's definition finds in the window, or
//! fails; what it leaves out for a limit of its own it says with a warning.

mod anomalies;
mod eql;
mod new_terms;
mod query;
mod threat_match;
mod threshold;

pub(super) use threat_match::IndicatorSets;

use std::collections::HashSet;
use std::sync::Arc;

use super::execution::Task;
use super::run::Engine;
use super::stages::Stages;
use crate::backend::{BackendError, HitPage};
use crate::rule::compiled::CompiledPlan;
use crate::store::state::Memory;

/// What a function found besides candidates.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How many concrete indices were searched; 0: there is no data source.
    pub indices: usize,
    /// What else is not there, so that nothing could be found; in words.
    pub missing: Option<String>,
    /// What the rule remembers for later executions.
    pub memory: Findings,
}

/// What a rule type remembers between executions, before it is known what became of its
/// candidates.
#[derive(Debug, Default)]
pub(super) enum Findings {
    /// Nothing.
    #[default]
    Nothing,
    /// Which events were counted by thresholds.
    Threshold(threshold::History),
}

impl Findings {
    /// As it is put down; candidates in `left_out` did not become alerts and will come again.
    pub(super) fn settle(self, left_out: &HashSet<Arc<str>>) -> Vec<Memory> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Threshold(history) => history.settle(left_out),
        }
    }
}

/// Hands over what the rule finds. `first` is the first page of hits, of plans that are searched
/// together with others ([`first_page`]).
pub(super) async fn find(
    engine: &Engine,
    task: &mut Task,
    plan: &CompiledPlan,
    first: Option<Result<HitPage, BackendError>>,
    stages: &mut Stages<'_>,
) -> Result<Found, String> {
    match plan {
        CompiledPlan::Search(_) => query::find(engine, task, first, stages).await,
        CompiledPlan::Anomalies(_) => anomalies::find(engine, task, first, stages).await,
        CompiledPlan::Threshold(plan) => threshold::find(engine, task, plan, stages).await,
        CompiledPlan::Join(plan) => eql::find(engine, task, plan, stages).await,
        CompiledPlan::NewTerms(plan) => new_terms::find(engine, task, plan, stages).await,
        CompiledPlan::ThreatMatch(plan) => threat_match::find(engine, task, plan, stages).await,
    }
}

/// Whether each hit of the plan's filter is a candidate by itself, so that exceptions may be applied
/// to candidates and counted.
pub(super) fn by_hit(plan: &CompiledPlan) -> bool {
    matches!(plan, CompiledPlan::Search(_) | CompiledPlan::Anomalies(_) | CompiledPlan::ThreatMatch(_))
}

/// Whether the first page of hits of this plan's filter is what it starts with: such plans are
/// searched together.
pub(super) fn first_page(plan: &CompiledPlan) -> bool {
    matches!(plan, CompiledPlan::Search(_) | CompiledPlan::Anomalies(_))
}
