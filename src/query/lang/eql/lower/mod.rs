//! Syntax tree to the shared plan.
//!
//! A condition becomes a [`Filter`] the way Elasticsearch makes it a search: `not` moves inward to
//! the leaves; a leaf on one field is a predicate any of whose values may satisfy it, and whose
//! negation holds where the field is missing; what compares fields with each other, or computes, is
//! a [`Node::Scalar`] with three-valued logic, negated as a whole.

mod condition;
mod scalar;

use std::sync::Arc;

use super::ast::{Category, EventQuery, Field, Kind, Literal, Pipe, Query, Shape, Stage};
use super::error::error;
use crate::base::diagnostic::Diagnostic;
use crate::query::plan::{
    Case, EqlPlan, EqlQuery, FieldPattern, Filter, JoinKey, Node, PipeStep, SamplePlan, SequencePlan,
    StagePlan,
};

/// What a query is lowered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lowering {
    /// Field that holds an event's category.
    pub category_field: Arc<str>,
}

impl Default for Lowering {
    fn default() -> Self {
        Self { category_field: Arc::from("event.category") }
    }
}

/// Lowers a parsed query.
///
/// # Errors
/// `EQL011` for a condition that is neither true nor false, `EQL012` for an operator or a function
/// used on a constant of a type it does not take, both with their place in `text`.
pub fn lower(query: &Query, text: &str, options: &Lowering) -> Result<EqlQuery, Diagnostic> {
    let lowerer = Lowerer { text, options };
    let plan = match &query.shape {
        Shape::Event(event) => EqlPlan::Event(Arc::new(lowerer.event(event)?)),
        Shape::Sequence(sequence) => {
            let mut searches = Vec::new();
            let mut stages = Vec::new();
            for stage in &sequence.stages {
                let lowered = lowerer.stage(stage, &sequence.by, &mut searches)?;
                stages.extend(std::iter::repeat_n(lowered, stage.runs as usize));
            }
            let until = sequence
                .until
                .as_deref()
                .map(|stage| lowerer.stage(stage, &sequence.by, &mut searches))
                .transpose()?;
            let maxspan = sequence.maxspan.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
            EqlPlan::Sequence(SequencePlan { searches, stages, until, maxspan })
        }
        Shape::Sample(sample) => {
            let mut searches = Vec::new();
            let stages = sample
                .stages
                .iter()
                .map(|stage| lowerer.stage(stage, &sample.by, &mut searches))
                .collect::<Result<_, _>>()?;
            EqlPlan::Sample(SamplePlan { searches, stages })
        }
    };
    let pipes = query.pipes.iter().map(|pipe| lowerer.pipe(pipe)).collect::<Result<_, _>>()?;
    Ok(EqlQuery { plan, pipes })
}

#[derive(Clone, Copy)]
struct Lowerer<'t> {
    text: &'t str,
    options: &'t Lowering,
}

/// The field in its exact form.
fn exact(field: &Field) -> FieldPattern {
    FieldPattern::Exact { name: Arc::clone(&field.name), optional: field.optional }
}

impl Lowerer<'_> {
    fn event(self, event: &EventQuery) -> Result<Filter, Diagnostic> {
        let condition = self.condition(&event.condition, false)?;
        let Category::Name(name) = &event.category else { return Ok(condition) };
        let category = Filter::new(Node::Is {
            field: Some(FieldPattern::Exact {
                name: Arc::clone(&self.options.category_field),
                optional: false,
            }),
            value: Arc::clone(name),
            phrase: true,
            case: Case::Field,
        });
        Ok(match condition {
            Filter { node: Node::All, .. } => category,
            Filter { node: Node::And(mut children), span } => {
                children.insert(0, category);
                Filter { node: Node::And(children), span }
            }
            other => Filter::new(Node::And(vec![category, other])),
        })
    }

    /// A stage; its search is added to `searches` unless it is there already.
    fn stage(
        self,
        stage: &Stage,
        shared: &[Field],
        searches: &mut Vec<Arc<Filter>>,
    ) -> Result<StagePlan, Diagnostic> {
        let event = self.event(&stage.event)?;
        let fields = || shared.iter().chain(&stage.by);
        let mut parts = match event {
            Filter { node: Node::And(children), .. } => children,
            other => vec![other],
        };
        for field in fields().filter(|field| !field.optional) {
            parts.push(Filter::at(Node::Exists { field: exact(field) }, field.span));
        }
        let filter = if parts.len() == 1 { parts.pop() } else { None };
        let filter = filter.unwrap_or_else(|| Filter::at(Node::And(parts), stage.span));
        let known = searches.iter().position(|known| **known == filter);
        let search = known.unwrap_or_else(|| {
            searches.push(Arc::new(filter));
            searches.len() - 1
        });
        let keys = fields().map(|field| JoinKey { name: Arc::clone(&field.name), optional: field.optional });
        Ok(StagePlan { search, keys: keys.collect(), missing: stage.missing })
    }

    fn pipe(self, pipe: &Pipe) -> Result<PipeStep, Diagnostic> {
        let scalars = || pipe.arguments.iter().map(|expr| self.scalar(expr)).collect::<Result<Vec<_>, _>>();
        let count = || match pipe.arguments.first().map(|argument| &argument.kind) {
            Some(Kind::Literal(Literal::Whole(count))) => usize::try_from(*count).unwrap_or(usize::MAX),
            _ => 0,
        };
        Ok(match (&*pipe.name, pipe.arguments.first()) {
            ("head", _) => PipeStep::Head(count()),
            ("tail", _) => PipeStep::Tail(count()),
            ("filter", Some(condition)) => PipeStep::Filter(Arc::new(self.condition(condition, false)?)),
            ("sort", _) => PipeStep::Sort(scalars()?),
            ("unique", _) => PipeStep::Unique(scalars()?),
            ("unique_count", _) => PipeStep::UniqueCount(scalars()?),
            ("count", _) => PipeStep::Count(scalars()?),
            _ => return Err(error("EQL010", "pipe is not known", self.text, pipe.span, None)),
        })
    }
}
