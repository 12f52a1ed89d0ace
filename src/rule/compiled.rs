//! [`CompiledRule`]: a rule with its queries as plans.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::diagnostic::Diagnostic;
use crate::query::lang::dsl::DslError;
use crate::query::lang::{kql, lucene};
use crate::query::plan::{Bounds, Case, FieldPattern, Filter, Node};

use super::eql;
pub use super::eql::JoinPlan;
use super::exceptions::RuleExceptions;
use super::filters;
use super::kind::{Cardinality, Language, MachineLearningParams, QueryParams, ThreatMapping};
use super::model::{Rule, RuleKind};

/// A rule that runs, and what it searches for.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledRule {
    /// The rule.
    pub rule: Arc<Rule>,
    /// What it searches for.
    pub plan: CompiledPlan,
    /// Events it does not alert on all the same.
    pub exceptions: RuleExceptions,
}

/// What a rule searches for, ready to run. Cheap to clone.
///
/// A rule type that runs has a variant here and a function in `engine::kinds`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum CompiledPlan {
    /// Each event that matches is a candidate.
    Search(Arc<Filter>),
    /// Events that match are counted by the values of some fields.
    Threshold(Arc<ThresholdPlan>),
    /// Values of some fields that no event that matches had before.
    NewTerms(Arc<NewTermsPlan>),
    /// Each anomaly that a machine learning job recorded is a candidate.
    Anomalies(Arc<Filter>),
    /// Events that match and share values with indicators.
    ThreatMatch(Arc<ThreatPlan>),
    /// Events that belong together are a candidate.
    Join(Arc<JoinPlan>),
}

impl CompiledPlan {
    /// Which events the rule looks at, where one filter says so.
    pub fn filter(&self) -> Option<&Arc<Filter>> {
        match self {
            Self::Search(filter) | Self::Anomalies(filter) => Some(filter),
            Self::Threshold(plan) => Some(&plan.filter),
            Self::NewTerms(plan) => Some(&plan.filter),
            Self::ThreatMatch(plan) => Some(&plan.filter),
            Self::Join(plan) => Some(&plan.filter),
        }
    }

    /// The same plan without the events that `excepted` matches.
    #[must_use]
    pub fn without(&self, excepted: &Arc<Filter>) -> Self {
        let not = Filter::new(Node::Not(Box::new(Filter::clone(excepted))));
        match self.filter() {
            Some(filter) => {
                let both = Filter::new(Node::And(vec![Filter::clone(filter), not]));
                self.with_filter(Arc::new(both))
            }
            None => self.clone(),
        }
    }

    /// Whether it reads what machine learning jobs recorded, which only some backends have.
    pub fn needs_job(&self) -> bool {
        matches!(self, Self::Anomalies(_))
    }

    /// The same plan over other events.
    #[must_use]
    pub fn with_filter(&self, filter: Arc<Filter>) -> Self {
        match self {
            Self::Search(_) => Self::Search(filter),
            Self::Anomalies(_) => Self::Anomalies(filter),
            Self::Threshold(plan) => Self::Threshold(Arc::new(ThresholdPlan { filter, ..(**plan).clone() })),
            Self::Join(plan) => Self::Join(Arc::new(JoinPlan { filter, ..(**plan).clone() })),
            Self::NewTerms(plan) => Self::NewTerms(Arc::new(NewTermsPlan { filter, ..(**plan).clone() })),
            Self::ThreatMatch(plan) => Self::ThreatMatch(Arc::new(ThreatPlan { filter, ..(**plan).clone() })),
        }
    }
}

/// What a threshold rule counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThresholdPlan {
    /// Which events count.
    pub filter: Arc<Filter>,
    /// Fields whose values events are grouped by; none: all events are one group.
    pub fields: Arc<[Arc<str>]>,
    /// How many events a group needs, at least 1.
    pub value: u64,
    /// How many distinct values of a field it needs besides.
    pub cardinality: Option<Cardinality>,
}

/// What a new-terms rule looks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTermsPlan {
    /// Which events are looked at.
    pub filter: Arc<Filter>,
    /// Fields whose values together make a term, 1 to 3.
    pub fields: Arc<[Arc<str>]>,
    /// Start of the history, date math.
    pub history_start: String,
}

/// What a threat-match rule compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreatPlan {
    /// Which events are looked at.
    pub filter: Arc<Filter>,
    /// Index patterns of the indicators.
    pub threat_index: Arc<[String]>,
    /// Which indicators count.
    pub threat_filter: Arc<Filter>,
    /// What must be equal: some group of entries, in it all entries. No group is empty.
    pub mapping: Vec<Vec<ThreatMapping>>,
    /// Object of an indicator that alerts are enriched with.
    pub indicator_path: String,
}

/// Why a rule has no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The query in this field of the rule is wrong; the diagnostic's span lies in the query.
    #[error("{1}")]
    Query(&'static str, Diagnostic),
    /// The filter of this position in this field of the rule cannot be evaluated.
    #[error("{0}[{1}]: {2}")]
    Filter(&'static str, usize, DslError),
    /// The rule's type or language does not run yet; in words, what.
    #[error("{0} do not run yet")]
    NotRunYet(String),
}

/// Compiles a rule.
///
/// # Errors
/// Why it has no plan.
pub fn compile(rule: &Arc<Rule>) -> Result<CompiledRule, CompileError> {
    Ok(CompiledRule { rule: Arc::clone(rule), plan: plan(rule)?, exceptions: RuleExceptions::default() })
}

/// What a rule searches for.
///
/// # Errors
/// Why it has no plan.
pub fn plan(rule: &Rule) -> Result<CompiledPlan, CompileError> {
    let events = |query| Ok::<_, CompileError>(Arc::new(filter("query", query, "filters", &rule.filters)?));
    Ok(match &rule.kind {
        RuleKind::Query(query) => CompiledPlan::Search(events(query)?),
        RuleKind::SavedQuery(params) => CompiledPlan::Search(events(&params.query)?),
        RuleKind::Threshold(params) => CompiledPlan::Threshold(Arc::new(ThresholdPlan {
            filter: events(&params.query)?,
            fields: names(&params.fields),
            value: params.value,
            cardinality: params.cardinality.clone(),
        })),
        RuleKind::NewTerms(params) => CompiledPlan::NewTerms(Arc::new(NewTermsPlan {
            filter: events(&params.query)?,
            fields: names(&params.fields),
            history_start: params.history_start.clone(),
        })),
        RuleKind::Eql(params) => eql::plan(params, &rule.filters)?,
        RuleKind::MachineLearning(params) => CompiledPlan::Anomalies(Arc::new(anomalies(params))),
        RuleKind::ThreatMatch(params) => CompiledPlan::ThreatMatch(Arc::new(ThreatPlan {
            filter: events(&params.query)?,
            threat_index: params.threat_index.clone().into(),
            threat_filter: Arc::new(filter(
                "threat_query",
                &params.threat_query,
                "threat_filters",
                &params.threat_filters,
            )?),
            mapping: params.mapping.iter().filter(|group| !group.is_empty()).cloned().collect(),
            indicator_path: params.indicator_path.clone(),
        })),
        RuleKind::Esql(_) => {
            return Err(CompileError::NotRunYet(format!("rules of type `{}`", rule.rule_type())));
        }
    })
}

/// The final records of a rule's jobs from its threshold on.
fn anomalies(params: &MachineLearningParams) -> Filter {
    let field = |name: &str| FieldPattern::Name(Arc::from(name));
    let is = |name: &str, value: &str| {
        let value = Arc::from(value);
        Filter::new(Node::Is { field: Some(field(name)), value, phrase: true, case: Case::Field })
    };
    let mut parts = vec![is("result_type", "record"), is("is_interim", "false")];
    let gte = Some(Arc::from(params.anomaly_threshold.to_string()));
    let bounds = Bounds { gte, ..Bounds::default() };
    parts.push(Filter::new(Node::Range { field: field("record_score"), bounds }));
    if !params.jobs.iter().any(|job| job == "*") {
        parts.push(Filter::new(Node::Or(params.jobs.iter().map(|job| is("job_id", job)).collect())));
    }
    Filter::new(Node::And(parts))
}

fn names(fields: &[String]) -> Arc<[Arc<str>]> {
    fields.iter().map(|field| Arc::from(field.as_str())).collect()
}

/// One filter of a query and Kibana filters; the keys say in which fields of the rule they stand.
pub(super) fn filter(
    key: &'static str,
    query: &QueryParams,
    filters_key: &'static str,
    objects: &[Value],
) -> Result<Filter, CompileError> {
    let query = match query.language {
        Language::Kuery => {
            kql::parse_filter(&query.query).map_err(|found| CompileError::Query(key, found))?
        }
        Language::Lucene => {
            lucene::parse_filter(&query.query).map_err(|found| CompileError::Query(key, found))?
        }
    };
    with_filters(query, filters_key, objects)
}

/// A query's filter with Kibana filters; the key says in which field of the rule those stand.
pub(super) fn with_filters(
    query: Filter,
    filters_key: &'static str,
    objects: &[Value],
) -> Result<Filter, CompileError> {
    let mut parts = Vec::with_capacity(objects.len());
    for (position, object) in objects.iter().enumerate() {
        let part = filters::filter(object);
        parts.extend(part.map_err(|error| CompileError::Filter(filters_key, position, error))?);
    }
    if parts.is_empty() {
        return Ok(query);
    }
    parts.insert(0, query);
    Ok(Filter::new(Node::And(parts)))
}
