//! [`EqlQuery`]: events, sequences of events and samples of events.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::expr::Expr;
use super::filter::{Filter, Node};

/// An EQL query: what is looked for, and what becomes of the results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EqlQuery {
    /// What is looked for.
    pub plan: EqlPlan,
    /// What becomes of the results, in order.
    pub pipes: Vec<PipeStep>,
}

/// What an EQL query looks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EqlPlan {
    /// Single events.
    Event(Arc<Filter>),
    /// Events in order of time.
    Sequence(SequencePlan),
    /// Events in any order that share keys.
    Sample(SamplePlan),
}

/// Events in order of time. A stage that repeats is there as often as it repeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SequencePlan {
    /// The different searches; each asks for the keys' values as well.
    pub searches: Vec<Arc<Filter>>,
    /// The stages in order; at least one is not missing.
    pub stages: Vec<StagePlan>,
    /// An event that ends unfinished sequences of its key.
    pub until: Option<StagePlan>,
    /// Longest time from the first event to the last, milliseconds.
    pub maxspan: Option<i64>,
}

/// Events in any order that share keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplePlan {
    /// The different searches; each asks for the keys' values as well.
    pub searches: Vec<Arc<Filter>>,
    /// The stages.
    pub stages: Vec<StagePlan>,
}

/// A stage of a sequence or sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePlan {
    /// Number of its search.
    pub search: usize,
    /// Fields whose values join it to the other stages.
    pub keys: Vec<JoinKey>,
    /// Whether no such event may occur.
    pub missing: bool,
}

/// A field whose values join stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinKey {
    /// Its full name.
    pub name: Arc<str>,
    /// Whether a missing value is a value, too.
    pub optional: bool,
}

/// What becomes of results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum PipeStep {
    /// The first so many.
    Head(usize),
    /// The last so many.
    Tail(usize),
    /// Those whose first event satisfies the predicate.
    Filter(Arc<Filter>),
    /// In the order of these expressions on the first event; `null` last.
    Sort(Vec<Expr>),
    /// The first of each combination of values on the first event.
    Unique(Vec<Expr>),
    /// As `Unique`, rarest combination first, with its count.
    UniqueCount(Vec<Expr>),
    /// How often each combination of values occurs, rarest first; of none: how many results.
    Count(Vec<Expr>),
}

impl EqlPlan {
    /// The different searches of its stages; none for single events.
    pub fn searches(&self) -> &[Arc<Filter>] {
        match self {
            Self::Event(_) => &[],
            Self::Sequence(plan) => &plan.searches,
            Self::Sample(plan) => &plan.searches,
        }
    }

    /// Every event that may take part.
    pub fn filter(&self) -> Filter {
        match self {
            Self::Event(filter) => (**filter).clone(),
            _ => match self.searches() {
                [only] => (**only).clone(),
                all => Filter::new(Node::Or(all.iter().map(|filter| (**filter).clone()).collect())),
            },
        }
    }
}
