//! `eql` sequences and samples: the events of each are a candidate together.

use std::sync::Arc;

use serde_json::Map;

use super::Found;
use crate::alert::evidence::Evidence;
use crate::alert::group::shell_id;
use crate::alert::lookup::lookup;
use crate::alert::rule_fields::RuleFields;
use crate::backend::join::{EventRef, JoinRequest, NativePage, NativeRequest, documents, join};
use crate::backend::{DocumentRef, Scope};
use crate::ecs::document::Document;
use crate::ecs::value::date;
use crate::engine::cap::Candidate;
use crate::engine::execution::Task;
use crate::engine::run::Engine;
use crate::engine::stages::Stages;
use crate::engine::unwind::caught;
use crate::query::eval::eql::{Joined, Key};
use crate::query::plan::PipeStep;
use crate::rule::compiled::JoinPlan;

/// Most sequences that a backend which runs EQL itself is asked for.
const NATIVE: u32 = 1_000;
/// Sequences whose events are read at a time.
const CHUNK: usize = 200;

pub(super) async fn find(
    engine: &Engine,
    task: &mut Task,
    plan: &JoinPlan,
    stages: &mut Stages<'_>,
) -> Result<Found, String> {
    if let Some(found) = native(engine, task, plan, stages).await? {
        return Ok(found);
    }
    let request = JoinRequest {
        scope: Scope::of(&task.plan.request),
        plan: Arc::clone(&plan.plan),
        timestamp: Arc::clone(&plan.timestamp),
        tiebreaker: plan.tiebreaker.clone(),
    };
    let mut page = caught(join(&*engine.backend, &request)).await?.map_err(|error| error.to_string())?;
    for warning in std::mem::take(&mut page.warnings) {
        task.log.warn(warning);
    }
    let mut found = page.found;
    for step in &plan.pipes {
        match step {
            PipeStep::Head(count) => found.truncate(*count),
            PipeStep::Tail(count) => {
                found.drain(..found.len().saturating_sub(*count));
            }
            _ => return Err("pipes other than `head` and `tail` are not run in rules".to_owned()),
        }
    }
    // Candidates come in order of time: that of the event that completes them.
    found.sort_by_key(|joined| last(joined).map(|event| event.primary));
    while !found.is_empty() {
        let rest = found.split_off(found.len().min(CHUNK));
        let chunk = std::mem::replace(&mut found, rest);
        let read = caught(documents(&*engine.backend, chunk)).await?.map_err(|error| error.to_string())?;
        stages
            .take(move |rule| read.into_iter().filter_map(|joined| candidate(rule, joined)).collect())
            .await?;
    }
    Ok(Found { indices: page.indices, ..Found::default() })
}

/// What a backend that runs EQL itself finds; `None`: this one does not.
async fn native(
    engine: &Engine,
    task: &mut Task,
    plan: &JoinPlan,
    stages: &mut Stages<'_>,
) -> Result<Option<Found>, String> {
    let request = NativeRequest {
        scope: Scope::of(&task.plan.request),
        text: Arc::clone(&plan.text),
        category_field: plan.category_field.clone(),
        timestamp_field: (&*plan.timestamp != "@timestamp").then(|| Arc::clone(&plan.timestamp)),
        tiebreaker_field: plan.tiebreaker.clone(),
        size: NATIVE,
    };
    let page = caught(engine.backend.eql(&request)).await?.map_err(|error| error.to_string())?;
    let Some(NativePage { found, indices }) = page else { return Ok(None) };
    if found.len() >= NATIVE as usize {
        task.log.warn(format!(
            "the cluster was asked for {NATIVE} sequences and found as many: there may be more"
        ));
    }
    let primary = Arc::clone(&task.plan.request.time.primary);
    let made = move |rule: &RuleFields| {
        let event = |document: Document| (named(&document, &primary), document);
        let mut candidates: Vec<Candidate> = found
            .into_iter()
            .filter_map(|documents| {
                let events = documents.into_iter().map(|document| Some(event(document))).collect();
                candidate(rule, Joined { key: Key::from([]), events })
            })
            .collect();
        candidates.sort_by_key(|candidate| candidate.position);
        candidates
    };
    stages.take(made).await?;
    Ok(Some(Found { indices, ..Found::default() }))
}

/// A document with its times.
fn named(document: &Document, primary: &str) -> EventRef {
    let time = |field: &str| {
        let value = lookup(&document.source, field)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        date::parse(&text, None).map(date::millis)
    };
    let timestamp = time("@timestamp").unwrap_or(i64::MAX);
    EventRef {
        name: DocumentRef { index: Arc::clone(&document.index), id: Arc::clone(&document.id) },
        primary: time(primary).unwrap_or(timestamp),
        timestamp,
    }
}

/// The latest event that takes part.
fn last(joined: &Joined<EventRef>) -> Option<&EventRef> {
    joined.events.iter().flatten().max_by_key(|event| (event.primary, event.timestamp))
}

fn candidate(rule: &RuleFields, joined: Joined<(EventRef, Document)>) -> Option<Candidate> {
    let (events, documents): (Vec<EventRef>, Vec<Document>) = joined.events.into_iter().flatten().unzip();
    let last = events.iter().max_by_key(|event| (event.primary, event.timestamp))?;
    let first = events.iter().min_by_key(|event| event.primary)?;
    Some(Candidate {
        alert: shell_id(rule, &documents),
        position: last.primary,
        event_time: last.timestamp,
        span: (first.primary, last.primary),
        evidence: Evidence::Group { documents, added: Map::new() },
    })
}
