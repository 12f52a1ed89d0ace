//! `new_terms`: values that no event had between the start of the history and the window.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Found;
use crate::alert::evidence::Evidence;
use crate::alert::id;
use crate::alert::object_hash::Hashable;
use crate::alert::rule_fields::RuleFields;
use crate::backend::{AggregateRequest, Bucket, BucketKey, BucketPage, KeyValue, Scope};
use crate::base::datemath::{self, Rounding};
use crate::base::window::Window;
use crate::engine::cap::Candidate;
use crate::engine::execution::Task;
use crate::engine::run::Engine;
use crate::engine::stages::Stages;
use crate::engine::unwind::caught;
use crate::rule::compiled::NewTermsPlan;

pub(super) async fn find(
    engine: &Engine,
    task: &Task,
    plan: &NewTermsPlan,
    stages: &mut Stages<'_>,
) -> Result<Found, String> {
    let window = task.plan.window;
    let start = datemath::resolve(&plan.history_start, window.to, Rounding::Down)
        .map_err(|found| format!("`history_window_start`: {found}"))?;
    let scope = Scope::of(&task.plan.request);
    // A term that was seen at the very start of the window is not new: both ends belong to windows.
    let history = Scope { window: Some(Window::new(start, window.from)), ..scope.clone() };
    let mut present = AggregateRequest::new(scope, Arc::clone(&plan.fields));
    let mut new = Vec::new();
    let indices = loop {
        let page = aggregate(engine, present.clone()).await?;
        let keys: Arc<[BucketKey]> = page.buckets.iter().map(|bucket| Arc::clone(&bucket.key)).collect();
        if !keys.is_empty() {
            let seen = seen(engine, &history, plan, keys).await?;
            new.extend(page.buckets.into_iter().map(|bucket| bucket.key).filter(|key| !seen.contains(key)));
        }
        match page.after {
            Some(after) => present.after = Some(after),
            None => break page.indices,
        }
    };
    let mut buckets = Vec::with_capacity(new.len());
    for keys in new.chunks(present.size.max(1)) {
        let mut oldest = AggregateRequest { after: None, keys: Some(keys.into()), top: 1, ..present.clone() };
        loop {
            let page = aggregate(engine, oldest.clone()).await?;
            buckets.extend(page.buckets);
            match page.after {
                Some(after) => oldest.after = Some(after),
                None => break,
            }
        }
    }
    stages.take(move |rule| candidates(rule, buckets)).await?;
    Ok(Found { indices, ..Found::default() })
}

/// Which of `keys` some event had in the history.
async fn seen(
    engine: &Engine,
    history: &Scope,
    plan: &NewTermsPlan,
    keys: Arc<[BucketKey]>,
) -> Result<HashSet<BucketKey>, String> {
    let mut request = AggregateRequest::new(history.clone(), Arc::clone(&plan.fields));
    request.keys = Some(keys);
    let mut seen = HashSet::new();
    loop {
        let page = aggregate(engine, request.clone()).await?;
        seen.extend(page.buckets.into_iter().map(|bucket| bucket.key));
        match page.after {
            Some(after) => request.after = Some(after),
            None => return Ok(seen),
        }
    }
}

async fn aggregate(engine: &Engine, request: AggregateRequest) -> Result<BucketPage, String> {
    caught(engine.backend.aggregate(request)).await?.map_err(|error| error.to_string())
}

/// A candidate a term, on the oldest event that has it; in time order.
fn candidates(rule: &RuleFields, buckets: Vec<Bucket>) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = buckets
        .into_iter()
        .filter_map(|bucket| {
            let hit = bucket.top.into_iter().next()?;
            let values: Vec<Value> = bucket.key.iter().map(KeyValue::json).collect();
            let terms = values.iter().map(Hashable::from).collect();
            let document = hit.document;
            let alert = id::new_terms(&document.index, &document.id, None, &rule.id_part, terms);
            let mut added = Map::new();
            added.insert("kibana.alert.new_terms".to_owned(), Value::Array(values));
            let evidence = Evidence::Hit { document, added };
            Some(Candidate::on_event(alert.into(), evidence, hit.sort.primary, hit.sort.timestamp))
        })
        .collect();
    candidates.sort_by(|a, b| (a.position, &a.alert).cmp(&(b.position, &b.alert)));
    candidates
}
