//! What becomes of each rule of a set, on documents in memory and in an embedded store. The tests run
//! it as well, on the shared rules.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tocsin::backend::Backend;
use tocsin::backend::local::LocalBackend;
use tocsin::backend::memory::MemoryBackend;
use tocsin::base::clock::ManualClock;
use tocsin::ecs::document::{Document, NewDocument};
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::engine::{Due, Engine, Settings, Trigger};
use tocsin::query::kernel::Kernel;
use tocsin::query::plan::{Filter, Node};
use tocsin::rule::compiled::{CompiledPlan, plan};
use tocsin::rule::model::Rule;
use tocsin::rule::set::RuleSet;
use tocsin::store::state::{EphemeralState, Status};
use tocsin::store::{Store, StoreOptions};

/// What one rule came to.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    /// `yes`, or why it has no plan.
    pub(crate) compiled: String,
    /// How an execution on memory and on the embedded store ended.
    pub(crate) ran: [String; 2],
    /// How much of it the embedded store and a cluster decide by themselves.
    pub(crate) pushed: [&'static str; 2],
}

impl Row {
    /// Whether it needs neither ES|QL nor a machine learning job.
    pub(crate) fn needed(&self) -> bool {
        !matches!(self.kind, "esql" | "machine_learning")
    }

    /// Whether it ran on both.
    pub(crate) fn ran(&self) -> bool {
        self.ran.iter().all(|ran| ran == "yes")
    }
}

/// A row for each rule of `set`; the store is made in `dir`.
///
/// # Errors
/// When the store or the engine cannot be opened.
pub(crate) fn rows(set: &RuleSet, dir: &Path) -> Result<Vec<Row>> {
    let events = events(set);
    let mapping = Mapping::ecs();
    let store = Arc::new(Store::open(dir, StoreOptions::default())?);
    let new = events.iter().map(|event| NewDocument {
        index: Arc::clone(&event.index),
        id: event.id.to_string(),
        source: event.source.to_string(),
        original: None,
        flat: FlatDoc::from_value(&event.source),
    });
    store.append(new.collect())?;
    let memory: Arc<dyn Backend> = Arc::new(MemoryBackend::new(events, mapping.clone()));
    let embedded: Arc<dyn Backend> = Arc::new(LocalBackend::new(store, None));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut rows = Vec::with_capacity(set.rules.len());
    for rule in &set.rules {
        let (compiled, ran, pushed) = match plan(rule) {
            Err(why) => (why.to_string(), [String::new(), String::new()], ["", ""]),
            Ok(plan) => {
                let mut ran = [String::new(), String::new()];
                for (slot, backend) in ran.iter_mut().zip([&memory, &embedded]) {
                    *slot = runtime.block_on(execute(rule, &plan, Arc::clone(backend)))?;
                }
                ("yes".to_owned(), ran, pushed(&plan, &mapping))
            }
        };
        rows.push(Row { name: rule.name.clone(), kind: rule.rule_type(), compiled, ran, pushed });
    }
    Ok(rows)
}

/// An event in every index that some rule reads, so that executions have something to search.
fn events(set: &RuleSet) -> Vec<Document> {
    let patterns = set.rules.iter().flat_map(|rule| rule.index_patterns());
    let parts: Vec<String> =
        patterns.flat_map(|patterns| patterns.split(',').map(str::to_owned).collect::<Vec<_>>()).collect();
    let mut indices: Vec<String> = parts
        .iter()
        .filter(|pattern| !pattern.starts_with(['-', '.', '<']) && !pattern.contains(':'))
        .map(|pattern| pattern.replace('*', "compat"))
        .collect();
    indices.sort();
    indices.dedup();
    let source = serde_json::json!({"@timestamp": "2026-11-01T11:59:00.000Z", "event": {"kind": "event"}});
    indices.into_iter().map(|index| Document::new(index, "1", source.clone())).collect()
}

async fn execute(rule: &Arc<Rule>, plan: &CompiledPlan, backend: Arc<dyn Backend>) -> Result<String> {
    let slot = "2026-11-01T12:00:00Z".parse().context("a time")?;
    let state = Arc::new(EphemeralState::default());
    let alerts = Arc::<EphemeralState>::clone(&state);
    let settings = Settings { trigger: Trigger::Manual, ..Settings::default() };
    let engine = Engine::open(backend, state, alerts, Arc::new(ManualClock::new(slot)), settings).await?;
    let due = Due { plan: Some(plan.clone()), ..Due::not_run(rule, slot) };
    let record = engine.run(vec![due]).await.pop().context("no log entry")?;
    Ok(match record.status {
        Status::Succeeded | Status::PartialFailure => "yes".to_owned(),
        Status::NoDataSource => "no data".to_owned(),
        Status::NotRun => record.warnings.join("; "),
        Status::Failed => record.error.unwrap_or_default(),
    })
}

/// How much of a plan the embedded store and a cluster decide without looking at documents here.
fn pushed(plan: &CompiledPlan, mapping: &Mapping) -> [&'static str; 2] {
    let Some(filter) = plan.filter() else { return ["part", "part"] };
    let kernel = Kernel::compile(&[&**filter], mapping, &[], chrono::DateTime::UNIX_EPOCH);
    let joined = matches!(plan, CompiledPlan::Join(_));
    let word = |whole: bool| if whole && !joined { "whole" } else { "part" };
    [word(!kernel.needs_document(0)), word(!computes(filter))]
}

/// Whether a filter computes with values, which no query of a cluster does without scripts.
fn computes(filter: &Filter) -> bool {
    match &filter.node {
        Node::Scalar { .. } => true,
        Node::And(children) | Node::Or(children) | Node::AtLeast { of: children, .. } => {
            children.iter().any(computes)
        }
        Node::Not(child) => computes(child),
        Node::Nested { inner, .. } => computes(inner),
        _ => false,
    }
}
