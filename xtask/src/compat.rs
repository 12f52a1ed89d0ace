//! The compatibility table: what becomes of each rule in a folder on each backend.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
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
use tocsin::rule::load::files::load_paths;
use tocsin::rule::model::Rule;
use tocsin::rule::set::RuleSet;
use tocsin::store::state::{EphemeralState, Status};
use tocsin::store::{Store, StoreOptions};

/// What one rule came to.
struct Row {
    name: String,
    kind: &'static str,
    /// `yes`, or why it has no plan.
    compiled: String,
    /// How an execution on memory and on the embedded store ended.
    ran: [String; 2],
    /// How much of it the embedded store and a cluster decide by themselves.
    pushed: [&'static str; 2],
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let Some(folder) = arguments.first().map(PathBuf::from) else { bail!("name a folder of rules") };
    let set = load_paths(std::slice::from_ref(&folder), None);
    if set.files.is_empty() {
        bail!("no rule file in `{}`", folder.display());
    }
    let dir = std::env::temp_dir().join(format!("tocsin-compat-{}", std::process::id()));
    let rows = rows(&set, &dir);
    std::fs::remove_dir_all(&dir).ok();
    print(&set, &rows?);
    Ok(())
}

fn rows(set: &RuleSet, dir: &Path) -> Result<Vec<Row>> {
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

fn print(set: &RuleSet, rows: &[Row]) {
    println!("| Rule | Type | Compiled | Memory | Embedded store | Pushed down: store | cluster |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for Row { name, kind, compiled, ran: [memory, embedded], pushed: [store, cluster] } in rows {
        let name = name.replace('|', "\\|");
        println!("| {name} | {kind} | {compiled} | {memory} | {embedded} | {store} | {cluster} |");
    }
    let mut kinds: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for row in rows {
        let ran = row.ran.iter().all(|ran| ran == "yes");
        let counts = kinds.entry(row.kind).or_default();
        for (count, one) in
            counts.iter_mut().zip([true, row.compiled == "yes", ran, row.pushed[1] == "whole"])
        {
            *count += usize::from(one);
        }
    }
    println!("\n| Type | Rules | Compiled | Ran on memory and store | Wholly pushed down to a cluster |");
    println!("| --- | --- | --- | --- | --- |");
    for (kind, [all, compiled, ran, whole]) in &kinds {
        println!("| {kind} | {all} | {compiled} | {ran} | {whole} |");
    }
    let needed: Vec<&Row> =
        rows.iter().filter(|row| !matches!(row.kind, "esql" | "machine_learning")).collect();
    let ran = needed.iter().filter(|row| row.ran.iter().all(|ran| ran == "yes")).count();
    let errors = set.errors().count();
    println!(
        "\n{} rule files, {} rules, {errors} errors; of {} that need neither ES|QL nor machine learning, {ran} ran.",
        set.files.len(),
        rows.len(),
        needed.len(),
    );
}
