//! `query` and `saved_query`: each hit is a candidate.

use super::Found;
use crate::alert::build::alert_id;
use crate::alert::evidence::Evidence;
use crate::alert::rule_fields::RuleFields;
use crate::backend::{BackendError, Hit, HitPage, SearchRequest, SortKey};
use crate::base::limits::PAGE_PLACES;
use crate::engine::cap::Candidate;
use crate::engine::execution::Task;
use crate::engine::run::Engine;
use crate::engine::stages::Stages;
use crate::engine::unwind::caught;

pub(super) async fn find(
    engine: &Engine,
    task: &Task,
    first: Option<Result<HitPage, BackendError>>,
    stages: &mut Stages<'_>,
) -> Result<Found, String> {
    pages(engine, task, first, stages, candidates).await
}

/// Hands over every page of hits; `make` gives a page's candidates.
pub(super) async fn pages(
    engine: &Engine,
    task: &Task,
    first: Option<Result<HitPage, BackendError>>,
    stages: &mut Stages<'_>,
    make: fn(&RuleFields, Vec<Hit>) -> Vec<Candidate>,
) -> Result<Found, String> {
    let search = &task.plan.request;
    let mut page = match first {
        Some(page) => page,
        None => caught(engine.backend.search(search.clone())).await?,
    }
    .map_err(|error| error.to_string())?;
    let indices = page.indices;
    loop {
        let full = page.hits.len() >= search.size;
        let after = page.hits.last().map(|hit| hit.sort.clone());
        stages.take(move |rule| make(rule, page.hits)).await?;
        if !full {
            return Ok(Found { indices, ..Found::default() });
        }
        if stages.only_counts() {
            count(engine, search, after, stages).await?;
            return Ok(Found { indices, ..Found::default() });
        }
        let request = SearchRequest { after, ..search.clone() };
        page = caught(engine.backend.search(request)).await?.map_err(|error| error.to_string())?;
    }
}

/// Counts the hits after `after`, none of which needs to be read.
async fn count(
    engine: &Engine,
    search: &SearchRequest,
    mut after: Option<SortKey>,
    stages: &mut Stages<'_>,
) -> Result<(), String> {
    loop {
        let request = SearchRequest { after, size: PAGE_PLACES, ..search.clone() };
        let page = caught(engine.backend.places(request)).await?.map_err(|error| error.to_string())?;
        stages.count(&page.places).await?;
        after = page.places.last().cloned();
        if after.is_none() {
            return Ok(());
        }
    }
}

fn candidates(rule: &RuleFields, hits: Vec<Hit>) -> Vec<Candidate> {
    let candidate = |Hit { document, sort }| {
        let alert = alert_id(rule, &document.index, &document.id);
        Candidate::on_event(alert, Evidence::hit(document), sort.primary, sort.timestamp)
    };
    hits.into_iter().map(candidate).collect()
}
