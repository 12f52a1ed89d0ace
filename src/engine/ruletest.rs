//! Runs the tests that lie beside rules ([`crate::rule::testfile`]) through the production search.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::run::{Due, Engine};
use super::settings::{Settings, Trigger};
use crate::backend::memory::MemoryBackend;
use crate::backend::{SearchRequest, TimeField};
use crate::base::clock::ManualClock;
use crate::base::span::Span;
use crate::ecs::document::{Document, NewDocument};
use crate::ecs::flat::FlatDoc;
use crate::ecs::mapping::Mapping;
use crate::query::eval::Matcher;
use crate::query::eval::explain::{Verdict, explain};
use crate::query::plan::{Filter, Node};
use crate::rule::compiled::{CompiledPlan, CompiledRule};
use crate::rule::exceptions::Excepted;
use crate::rule::testfile::{Case, Expectation, TestFile};
use crate::store::state::{EphemeralState, ExecutionRecord};

/// Turns a block of events into documents, as ingest would.
pub type Normalize<'a> = dyn FnMut(&str) -> Result<Vec<NewDocument>, String> + 'a;

/// How a case went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// What it expects.
    pub expectation: Expectation,
    /// One-based line in the test file.
    pub line: usize,
    /// Number of events.
    pub events: usize,
    /// What went wrong; empty: it passed.
    pub failures: Vec<Failure>,
}

/// Why a case fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// In words.
    pub message: String,
    /// One-based line of the events in the test file.
    pub line: usize,
    /// What the query saw in the event.
    pub verdict: Option<Verdict>,
}

/// A case with its events read.
struct Prepared<'f> {
    case: &'f Case,
    events: Vec<Prepped>,
    failures: Vec<Failure>,
}

/// An event of a case.
struct Prepped {
    document: Document,
    flat: FlatDoc,
    line: usize,
}

/// The tests of one rule, ready to run.
pub struct RuleTest<'f> {
    rule: &'f CompiledRule,
    cases: Vec<Prepared<'f>>,
    indices: Arc<[String]>,
    mapping: Mapping,
    now: DateTime<Utc>,
}

impl<'f> RuleTest<'f> {
    /// Reads the events of all cases. `indices` is where the rule looks.
    pub fn new(
        rule: &'f CompiledRule,
        indices: &[String],
        file: &'f TestFile,
        normalize: &mut Normalize<'_>,
    ) -> Self {
        let mut mapping = Mapping::ecs();
        let mut latest = i64::MIN;
        let mut number = 0;
        let mut cases = Vec::with_capacity(file.cases.len());
        for case in &file.cases {
            let mut prepared = Prepared { case, events: Vec::new(), failures: Vec::new() };
            for block in &case.blocks {
                let found = lines_of(&block.text).and_then(|lines| normalize(&lines));
                let documents = match found {
                    Ok(documents) if documents.is_empty() => Err(String::from("the block holds no event")),
                    other => other,
                };
                match documents {
                    Ok(documents) => {
                        for new in documents {
                            number += 1;
                            let event = prep(new, indices, number, block.line);
                            mapping.learn_document(&event.flat);
                            latest = latest.max(timestamp(&event.document).unwrap_or(latest));
                            prepared.events.push(event);
                        }
                    }
                    Err(message) => {
                        prepared.failures.push(Failure { message, line: block.line, verdict: None });
                    }
                }
            }
            cases.push(prepared);
        }
        let now = DateTime::from_timestamp_millis(latest.max(0)).unwrap_or_default();
        Self { rule, cases, indices: Arc::from(indices), mapping, now }
    }

    /// Runs every case with the rule's own query.
    pub fn run(&self) -> Vec<CaseReport> {
        self.cases
            .iter()
            .map(|prepared| {
                let mut failures = prepared.failures.clone();
                failures.extend(self.judge(prepared, &self.rule.plan, true));
                CaseReport {
                    name: prepared.case.name.clone(),
                    expectation: prepared.case.expectation,
                    line: prepared.case.line,
                    events: prepared.events.len(),
                    failures,
                }
            })
            .collect()
    }

    /// The exceptions that would keep an alert of a case from coming, each with the case's name.
    pub fn silenced(&self) -> Vec<(Arc<Excepted>, &'f str)> {
        let mut found = Vec::new();
        for item in self.rule.exceptions.items.iter() {
            let matcher = Matcher::compile(&item.filter, &self.mapping, self.now);
            let silent = self.cases.iter().find(|prepared| {
                let excepted = |event: &Prepped| matcher.matches(&event.flat, Some(&event.document.source));
                prepared.case.expectation == Expectation::Alerts && prepared.events.iter().any(excepted)
            });
            found.extend(silent.map(|prepared| (Arc::clone(item), prepared.case.name.as_str())));
        }
        found
    }

    /// The parts of the query that no case needs: with any of them turned round, every case still
    /// passes.
    pub fn untested(&self) -> Vec<Mutant> {
        let passes = |filter: &Arc<Filter>| {
            let plan = self.rule.plan.with_filter(Arc::clone(filter));
            self.cases.iter().all(|prepared| self.judge(prepared, &plan, false).is_empty())
        };
        let Some(filter) = self.rule.plan.filter() else { return Vec::new() };
        mutants(filter).into_iter().filter(|mutant| passes(&mutant.filter)).collect()
    }

    /// Runs the plan over the case's events and compares with what the case expects.
    fn judge(&self, prepared: &Prepared<'_>, plan: &CompiledPlan, told: bool) -> Vec<Failure> {
        let backend = MemoryBackend::new(
            prepared.events.iter().map(|event| event.document.clone()).collect(),
            self.mapping.clone(),
        );
        match plan {
            CompiledPlan::Search(filter) => self.judge_events(prepared, filter, &backend, told),
            _ => self.judge_window(prepared, plan, backend),
        }
    }

    /// Runs the rule at the time of the case's last event. What a rule finds in a window as a whole
    /// is expected of the case's events together.
    fn judge_window(
        &self,
        prepared: &Prepared<'_>,
        plan: &CompiledPlan,
        backend: MemoryBackend,
    ) -> Vec<Failure> {
        let line = prepared.events.first().map_or(prepared.case.line, |event| event.line);
        let failure = |message: String| vec![Failure { message, line, verdict: None }];
        let latest = prepared.events.iter().filter_map(|event| timestamp(&event.document)).max();
        let slot = latest.and_then(DateTime::from_timestamp_millis).unwrap_or(self.now);
        let record = match execute(self.rule, plan, backend, slot) {
            Ok(record) => record,
            Err(error) => return failure(format!("the rule could not run: {error}")),
        };
        if let Some(error) = record.error {
            return failure(format!("the execution failed: {error}"));
        }
        match prepared.case.expectation {
            Expectation::Alerts if record.alerts == 0 => {
                let (from, to) = (record.from.unwrap_or_default(), record.to.unwrap_or_default());
                failure(format!("no alert on these events, searched from {from} to {to}"))
            }
            Expectation::Quiet if record.alerts > 0 => {
                let plural = if record.alerts == 1 { "" } else { "s" };
                failure(format!("{} alert{plural} on these events, none was expected", record.alerts))
            }
            _ => Vec::new(),
        }
    }

    /// Searches the case's events and compares each with what the case expects.
    fn judge_events(
        &self,
        prepared: &Prepared<'_>,
        filter: &Arc<Filter>,
        backend: &MemoryBackend,
        told: bool,
    ) -> Vec<Failure> {
        let request = SearchRequest {
            indices: Arc::clone(&self.indices),
            filter: Arc::clone(filter),
            now: self.now,
            window: None,
            time: TimeField::timestamp(),
            event_clock: true,
            size: prepared.events.len().max(1),
            after: None,
            descending: false,
        };
        let first = prepared.events.first().map_or(prepared.case.line, |event| event.line);
        let page = match backend.search_now(&request) {
            Ok(page) => page,
            Err(error) => {
                return vec![Failure {
                    message: format!("the search failed: {error}"),
                    line: first,
                    verdict: None,
                }];
            }
        };
        let wanted = prepared.case.expectation == Expectation::Alerts;
        let matcher = Matcher::compile(filter, &self.mapping, self.now);
        let mut failures = Vec::new();
        for event in &prepared.events {
            let found = page.hits.iter().any(|hit| hit.document.id == event.document.id);
            let reference = matcher.matches(&event.flat, Some(&event.document.source));
            if found != reference {
                let message =
                    String::from("the search and the reference evaluator disagree; please report this");
                failures.push(Failure { message, line: event.line, verdict: None });
            }
            if found == wanted {
                continue;
            }
            let message = String::from(if wanted {
                "no alert, one was expected"
            } else {
                "an alert, none was expected"
            });
            let verdict = told
                .then(|| explain(filter, &self.mapping, self.now, &event.flat, Some(&event.document.source)));
            failures.push(Failure { message, line: event.line, verdict });
        }
        failures
    }
}

/// One execution at `slot` that leaves nothing behind.
fn execute(
    rule: &CompiledRule,
    plan: &CompiledPlan,
    backend: MemoryBackend,
    slot: DateTime<Utc>,
) -> Result<ExecutionRecord, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let state = Arc::new(EphemeralState::default());
        let settings = Settings { trigger: Trigger::Manual, event_clock: true, ..Settings::default() };
        let clock = Arc::new(ManualClock::new(slot));
        let alerts = Arc::<EphemeralState>::clone(&state);
        let engine = Engine::open(Arc::new(backend), state, alerts, clock, settings).await;
        let engine = engine.map_err(|error| error.to_string())?;
        let due = Due { plan: Some(plan.clone()), ..Due::not_run(&rule.rule, slot) };
        engine.run(vec![due]).await.pop().ok_or_else(|| "there is no log entry".to_owned())
    })
}

/// The JSON values of a block, one a line: what files hold.
fn lines_of(block: &str) -> Result<String, String> {
    let mut lines = String::new();
    for value in serde_json::Deserializer::from_str(block).into_iter::<Value>() {
        let value = value.map_err(|error| format!("not JSON: {error}"))?;
        lines.push_str(&value.to_string());
        lines.push('\n');
    }
    Ok(lines)
}

/// An event as stored: in the index it goes to, or, when nothing says where that is, in one the
/// rule reads.
fn prep(new: NewDocument, indices: &[String], number: usize, line: usize) -> Prepped {
    let named = &*new.index != "logs-generic-default";
    let read =
        indices.iter().flat_map(|patterns| patterns.split(',')).find(|pattern| !pattern.starts_with('-'));
    let index = match read {
        Some(pattern) if !named => Arc::from(pattern.replace('*', "test")),
        _ => Arc::clone(&new.index),
    };
    let source = serde_json::from_str(&new.source).unwrap_or(Value::Null);
    let document = Document::new(index, format!("{number}-{}", new.id), source);
    Prepped { flat: document.flat(), document, line }
}

fn timestamp(document: &Document) -> Option<i64> {
    let text = document.source.get("@timestamp")?.as_str()?;
    Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis())
}

/// A query with one leaf turned round.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// The query.
    pub filter: Arc<Filter>,
    /// Where the leaf stands in the rule's query.
    pub span: Option<Span>,
}

/// Every query that differs from `filter` in one leaf, which is negated.
pub fn mutants(filter: &Filter) -> Vec<Mutant> {
    let mut found = Vec::new();
    for leaf in 0..count(filter) {
        let mut left = leaf;
        let mut span = None;
        let mutated = negate(filter, &mut left, &mut span);
        found.push(Mutant { filter: Arc::new(mutated), span });
    }
    found
}

fn count(filter: &Filter) -> usize {
    match &filter.node {
        Node::And(_) | Node::Or(_) | Node::Not(_) | Node::AtLeast { .. } | Node::Nested { .. } => {
            filter.children().iter().map(count).sum()
        }
        _ => 1,
    }
}

/// `filter` with the leaf of number `left` negated.
fn negate(filter: &Filter, left: &mut usize, span: &mut Option<Span>) -> Filter {
    let mut each = |children: &[Filter]| children.iter().map(|child| negate(child, left, span)).collect();
    let node = match &filter.node {
        Node::And(children) => Node::And(each(children)),
        Node::Or(children) => Node::Or(each(children)),
        Node::AtLeast { least, of } => Node::AtLeast { least: *least, of: each(of) },
        Node::Not(child) => Node::Not(Box::new(negate(child, left, span))),
        Node::Nested { path, inner } => {
            Node::Nested { path: Arc::clone(path), inner: Box::new(negate(inner, left, span)) }
        }
        leaf => {
            let chosen = *left == 0;
            *left = left.wrapping_sub(1);
            if !chosen {
                return filter.clone();
            }
            *span = filter.span;
            let leaf = Filter { node: leaf.clone(), span: filter.span };
            Node::Not(Box::new(leaf))
        }
    };
    Filter { node, span: filter.span }
}
