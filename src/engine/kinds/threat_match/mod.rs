//! `threat_match`: events that share values with indicators.
//!
//! Events and indicators are never held together. Where there are many events, the distinct values
//! of the indicators, a few bytes each, narrow them first; then the events are taken page by page,
//! and the indicators that have their values are looked up, which says who matches whom.

mod enrich;
mod pairs;
mod sets;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Found;
use crate::alert::build::alert_id;
use crate::alert::evidence::Evidence;
use crate::alert::rule_fields::RuleFields;
use crate::backend::{AggregateRequest, Hit, HitPage, KeyValue, Scope, SearchRequest, TimeField};
use crate::base::limits::{INDICATOR_BYTES, PAGE_HITS};
use crate::ecs::document::Document;
use crate::ecs::mapping::Mapping;
use crate::engine::cap::Candidate;
use crate::engine::execution::Task;
use crate::engine::run::Engine;
use crate::engine::stages::Stages;
use crate::engine::unwind::{blocking, caught};
use crate::query::plan::{Filter, Node};
use crate::rule::compiled::ThreatPlan;
use enrich::Enricher;
use pairs::{Group, Pair, Values, any_of, both};
pub(in crate::engine) use sets::IndicatorSets;

/// Most indicators that are networks; they are held in memory.
const NETWORKS: usize = 100_000;

pub(super) async fn find(
    engine: &Engine,
    task: &mut Task,
    plan: &Arc<ThreatPlan>,
    stages: &mut Stages<'_>,
) -> Result<Found, String> {
    let request = task.plan.request.clone();
    let threat_index: Arc<[String]> = plan.threat_index.clone();
    let (events, threats) = (mapping(engine, &request.indices).await?, mapping(engine, &threat_index).await?);
    let groups: Vec<Group> =
        plan.mapping.iter().map(|entries| Group::new(entries, &events, &threats)).collect();
    // As in Kibana, what is excepted is no indicator either.
    let threat_filter = match &task.excepted {
        None => Filter::clone(&plan.threat_filter),
        Some(excepted) => {
            let not = Filter::new(Node::Not(Box::new(Filter::clone(excepted))));
            Filter::clone(&both(Filter::clone(&plan.threat_filter), not))
        }
    };
    let indicators = Scope {
        indices: Arc::clone(&threat_index),
        filter: both(threat_filter, any_of(groups.iter().map(Group::indicator_exists))),
        now: task.due.slot,
        window: None,
        time: TimeField::timestamp(),
        event_clock: false,
    };
    let mut search = SearchRequest {
        filter: both(Filter::clone(&request.filter), any_of(groups.iter().map(Group::event_exists))),
        ..request
    };
    let some = page(engine, SearchRequest { size: 1, ..search.clone() }).await?;
    let found = Found { indices: some.indices, ..Found::default() };
    if some.indices == 0 {
        return Ok(found);
    }
    let known = page(engine, indicators.search(1)).await?;
    if known.indices == 0 {
        let patterns = threat_index.join(", ");
        let missing = format!("no index of indicators matches `{patterns}`: nothing can be found");
        return Ok(Found { missing: Some(missing), ..found });
    }
    if some.total == 0 || known.total == 0 {
        return Ok(found);
    }
    if some.total > PAGE_HITS as u64 {
        match narrowed_once(engine, &task.uuid, &indicators, &groups).await? {
            Some(filter) => search.filter = both(Filter::clone(&search.filter), Filter::clone(&filter)),
            None => task.log.warn(format!(
                "the values of the indicators take more than {} MiB: they are looked up for every {PAGE_HITS} events instead",
                INDICATOR_BYTES >> 20
            )),
        }
    }
    let networks = networks(engine, task, &indicators, &groups).await?;
    let enricher = Arc::new(Enricher::new(groups, networks, &plan.indicator_path));
    loop {
        let page = page(engine, search.clone()).await?;
        let full = page.hits.len() >= search.size;
        search.after = page.hits.last().map(|hit| hit.sort.clone());
        let matched = matched(engine, &indicators, &enricher, page.hits).await?;
        stages.take(move |rule| matched.into_iter().map(|hit| candidate(rule, hit)).collect()).await?;
        if !full {
            return Ok(found);
        }
    }
}

fn candidate(rule: &RuleFields, Hit { document, sort }: Hit) -> Candidate {
    let alert = alert_id(rule, &document.index, &document.id);
    Candidate::on_event(alert, Evidence::hit(document), sort.primary, sort.timestamp)
}

async fn mapping(engine: &Engine, indices: &[String]) -> Result<Arc<Mapping>, String> {
    caught(engine.backend.mapping(indices)).await?.map_err(|error| error.to_string())
}

async fn page(engine: &Engine, request: SearchRequest) -> Result<HitPage, String> {
    caught(engine.backend.search(request)).await?.map_err(|error| error.to_string())
}

/// [`narrowed`], or what it gave for the same indicators before.
async fn narrowed_once(
    engine: &Engine,
    rule: &Arc<str>,
    indicators: &Scope,
    groups: &[Group],
) -> Result<Option<Arc<Filter>>, String> {
    // What a cluster's index holds it does not say.
    let Some(local) = engine.backend.embedded(&indicators.indices) else {
        return Ok(narrowed(engine, indicators, groups).await?.map(|(filter, _)| Arc::new(filter)));
    };
    let content = caught(local.content(indicators.clone())).await?.map_err(|error| error.to_string())?;
    let key = sets::key(content, indicators, groups);
    if let Some(kept) = lock(&engine.indicator_sets).get(rule, key) {
        return Ok(Some(kept));
    }
    let Some((filter, size)) = narrowed(engine, indicators, groups).await? else { return Ok(None) };
    let filter = Arc::new(filter);
    lock(&engine.indicator_sets).put(rule, key, Arc::clone(&filter), size);
    Ok(Some(filter))
}

fn lock(sets: &Mutex<IndicatorSets>) -> MutexGuard<'_, IndicatorSets> {
    sets.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What events must have to match: for each group, its fields among the values of the indicators.
/// With the size of its sets, bytes. `None`: the values are too many to be held.
async fn narrowed(
    engine: &Engine,
    indicators: &Scope,
    groups: &[Group],
) -> Result<Option<(Filter, usize)>, String> {
    let mut room = INDICATOR_BYTES;
    let mut choices = Vec::with_capacity(groups.len());
    for group in groups {
        let mut all = Vec::new();
        for pair in group.positive() {
            let Some(values) = distinct(engine, indicators, pair, room).await? else { return Ok(None) };
            let set = values.finish();
            room = room.saturating_sub(set.size());
            all.push(pair.event_one_of(set));
        }
        choices.push(Filter::new(Node::And(all)));
    }
    Ok(Some((any_of(choices), INDICATOR_BYTES - room)))
}

/// The distinct values of an indicator's field, as the event's field reads them; `None`: they take
/// more than `room` bytes.
async fn distinct(
    engine: &Engine,
    indicators: &Scope,
    pair: &Pair,
    room: usize,
) -> Result<Option<Values>, String> {
    let mut values = pair.event_values();
    if let Some(local) = engine.backend.embedded(&indicators.indices) {
        let take = |(values, full, room): &mut (Values, bool, usize), key: &KeyValue| {
            *full |= !values.insert(&key.text()) || values.size() > *room;
            !*full
        };
        let made = local.distinct(indicators.clone(), Arc::clone(&pair.value), (values, false, room), take);
        let (values, full, _) = caught(made).await?.map_err(|error| error.to_string())?;
        return Ok((!full).then_some(values));
    }
    let mut request = AggregateRequest::new(indicators.clone(), Arc::from([Arc::clone(&pair.value)]));
    loop {
        let page = caught(engine.backend.aggregate(request.clone())).await?;
        let page = page.map_err(|error| error.to_string())?;
        for key in page.buckets.iter().filter_map(|bucket| bucket.key.first()) {
            if *key != KeyValue::Missing && !values.insert(&key.text()) {
                return Ok(None);
            }
        }
        if values.size() > room {
            return Ok(None);
        }
        match page.after {
            Some(after) => request.after = Some(after),
            None => return Ok(Some(values)),
        }
    }
}

/// The indicators that are networks written as text (`10.0.0.0/8`): an address of an event is not
/// found by its own text in them.
async fn networks(
    engine: &Engine,
    task: &mut Task,
    indicators: &Scope,
    groups: &[Group],
) -> Result<Vec<Document>, String> {
    let written: Vec<Filter> = groups.iter().flat_map(Group::positive).filter_map(Pair::networks).collect();
    if written.is_empty() {
        return Ok(Vec::new());
    }
    let scope =
        Scope { filter: both(Filter::clone(&indicators.filter), any_of(written)), ..indicators.clone() };
    let mut request = scope.search(PAGE_HITS);
    let mut found = Vec::new();
    loop {
        let page = page(engine, request.clone()).await?;
        let full = page.hits.len() >= request.size;
        request.after = page.hits.last().map(|hit| hit.sort.clone());
        found.extend(page.hits.into_iter().map(|hit| hit.document));
        if found.len() > NETWORKS {
            task.log.warn(format!("more than {NETWORKS} indicators are networks: the newest are left out"));
            found.truncate(NETWORKS);
            return Ok(found);
        }
        if !full {
            return Ok(found);
        }
    }
}

/// The events among `hits` that match some indicator, with what they match.
async fn matched(
    engine: &Engine,
    indicators: &Scope,
    enricher: &Arc<Enricher>,
    hits: Vec<Hit>,
) -> Result<Vec<Hit>, String> {
    if hits.is_empty() {
        return Ok(hits);
    }
    let own = Arc::clone(enricher);
    let mut sheet = blocking(move || own.sheet(hits)).await?;
    if let Some(wanted) = sheet.wanted(enricher) {
        let scope = Scope { filter: both(Filter::clone(&indicators.filter), wanted), ..indicators.clone() };
        let mut request = scope.search(PAGE_HITS);
        loop {
            let page = page(engine, request.clone()).await?;
            let full = page.hits.len() >= request.size;
            request.after = page.hits.last().map(|hit| hit.sort.clone());
            let own = Arc::clone(enricher);
            sheet = blocking(move || {
                for hit in page.hits {
                    sheet.look(&own, &hit.document);
                }
                sheet
            })
            .await?;
            if !full || sheet.is_full() {
                break;
            }
        }
    }
    blocking(move || sheet.finish()).await
}
