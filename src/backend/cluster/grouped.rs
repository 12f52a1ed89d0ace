//! Rules on the same indices are asked once: the events of their windows are read with the fields
//! that the rules look at and nothing else, the kernel judges them here, and only the hits are
//! read whole.
//!
//! What this costs a cluster depends on the events in the window alone, not on the number of rules
//! nor on what is stored: a leading wildcard is matched against the values in the window instead
//! of the dictionary of every segment. What cannot be judged here (a field that the cluster
//! computes, a bare value that may stand in any field) is asked for by itself, and so is all of a
//! group whose window holds more events than would be cheaper to read.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustc_hash::FxHashMap;
use serde_json::json;

use super::super::memory::MemoryBackend;
use super::super::times::{INGESTED, TIMESTAMP};
use super::super::{Backend, BackendError, HitPage, SearchRequest, TimeField};
use super::ask::Prepared;
use super::mapping::Indices;
use super::page::{Scroll, WINDOW};
use super::query::window_query;
use super::{ClusterBackend, failed};
use crate::base::window::Window;
use crate::ecs::document::Document;
use crate::ecs::mapping::Mapping;
use crate::ecs::types::FieldType;
use crate::query::eval::target::{depends_on_paths, exact_field, field_of, is_leaf};
use crate::query::plan::{FieldPattern, Filter, Node};

/// Fewer rules than this are asked one by one, in one request.
const LEAST_RULES: usize = 8;
/// Most events of a window that are read.
const MOST_EVENTS: u64 = 20_000;
/// The windows of a group reach at most so many times as far as its shortest one: a rule that looks
/// back a day would have all others read a day.
const SPREAD: i64 = 4;
/// Windows shorter than this count as this long, ms.
const SHORT: i64 = 60_000;

/// What the two ways cost, in seconds; learned from every cycle.
#[derive(Debug)]
pub(super) struct Costs(Mutex<Cost>);

#[derive(Debug, Clone, Copy)]
struct Cost {
    event: f64,
    rule: f64,
}

impl Default for Costs {
    fn default() -> Self {
        // A node that is warm; the first cycles correct it.
        Self(Mutex::new(Cost { event: 0.000_1, rule: 0.004 }))
    }
}

impl Costs {
    fn get(&self) -> Cost {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, change: impl FnOnce(&mut Cost)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What reading so many events took, seconds.
    fn read(&self, events: usize, seconds: f64) {
        if events >= 100 {
            self.learn(|cost| cost.event = 0.7 * cost.event + 0.3 * seconds / events as f64);
        }
    }

    /// What asking so many rules took, seconds.
    pub(super) fn asked(&self, rules: usize, seconds: f64) {
        if rules >= LEAST_RULES {
            self.learn(|cost| cost.rule = 0.7 * cost.rule + 0.3 * seconds / rules as f64);
        }
    }
}

/// Searches that read the same events.
struct Group<'r> {
    indices: &'r Arc<[String]>,
    time: TimeField,
    /// From the first to the last instant of all windows.
    hull: Window,
    event_clock: bool,
    numbers: Vec<usize>,
}

/// Answers what can be answered together; `answers` keeps `None` for the rest.
pub(super) async fn answer(
    backend: &ClusterBackend,
    requests: &[SearchRequest],
    answers: &mut [Option<Result<HitPage, BackendError>>],
) {
    for group in groups(requests) {
        if group.numbers.len() < LEAST_RULES {
            continue;
        }
        let fresh = backend.inner.known.fresh(backend.client(), group.indices).await;
        let indices = match fresh {
            Ok(indices) => indices,
            Err(error) => {
                // Each of them says so by itself.
                tracing::debug!(%error, "the group is asked one by one");
                continue;
            }
        };
        if indices.count == 0 {
            fill(answers, &group.numbers, |_| HitPage::default());
            continue;
        }
        let judged: Vec<usize> = group
            .numbers
            .iter()
            .copied()
            .filter(|number| {
                requests.get(*number).is_some_and(|request| judgeable(&request.filter, &indices))
            })
            .collect();
        if judged.len() < LEAST_RULES {
            continue;
        }
        match together(backend, requests, &group, &indices, &judged).await {
            Ok(Some(pages)) => {
                for (number, page) in pages {
                    if let Some(slot) = answers.get_mut(number) {
                        *slot = Some(Ok(page));
                    }
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "rules could not be asked together: each is asked by itself");
            }
        }
    }
}

fn fill(
    answers: &mut [Option<Result<HitPage, BackendError>>],
    numbers: &[usize],
    page: impl Fn(usize) -> HitPage,
) {
    for number in numbers {
        if let Some(slot) = answers.get_mut(*number) {
            *slot = Some(Ok(page(*number)));
        }
    }
}

/// Groups of first pages over the cluster's own indices, in windows on the same time.
fn groups(requests: &[SearchRequest]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places: FxHashMap<(&[String], &TimeField, bool), usize> = FxHashMap::default();
    for (number, request) in requests.iter().enumerate() {
        let Some(window) = request.window.filter(|_| request.after.is_none() && !request.descending) else {
            continue;
        };
        // Indices of other clusters and names that depend on the day are not told apart here.
        if request.indices.iter().any(|name| name.contains([':', '<'])) {
            continue;
        }
        let key = (&*request.indices, &request.time, request.event_clock);
        let place = *places.entry(key).or_insert_with(|| {
            groups.push(Group {
                indices: &request.indices,
                time: request.time.clone(),
                hull: window,
                event_clock: request.event_clock,
                numbers: Vec::new(),
            });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(place) {
            group.hull = hull(group.hull, window);
            group.numbers.push(number);
        }
    }
    groups.into_iter().flat_map(|group| alike(group, requests)).collect()
}

/// From the first to the last instant of both.
fn hull(a: Window, b: Window) -> Window {
    Window::new(a.from.min(b.from), a.to.max(b.to))
}

fn length(window: Window) -> i64 {
    (window.to - window.from).num_milliseconds().max(SHORT)
}

/// A group in parts whose windows are about the same, short ones first.
fn alike<'r>(group: Group<'r>, requests: &[SearchRequest]) -> Vec<Group<'r>> {
    let mut windows: Vec<(usize, Window)> =
        group.numbers.iter().filter_map(|number| Some((*number, requests.get(*number)?.window?))).collect();
    windows.sort_by_key(|(number, window)| (length(*window), window.from, *number));
    let mut parts: Vec<(i64, Group<'r>)> = Vec::new();
    for (number, window) in windows {
        let near = parts
            .iter_mut()
            .find(|(shortest, part)| length(hull(part.hull, window)) <= shortest.saturating_mul(SPREAD));
        match near {
            Some((_, part)) => {
                part.hull = hull(part.hull, window);
                part.numbers.push(number);
            }
            None => {
                let time = group.time.clone();
                parts.push((length(window), Group { hull: window, numbers: vec![number], time, ..group }));
            }
        }
    }
    parts.into_iter().map(|(_, part)| part).collect()
}

/// Whether a filter says here what it says on the cluster.
fn judgeable(filter: &Filter, indices: &Indices) -> bool {
    let mapping = &*indices.mapping;
    match &filter.node {
        Node::Foreign { .. } | Node::Scalar { .. } => false,
        Node::Words { field, .. } => plain(field, indices),
        node if is_leaf(node) => {
            !depends_on_paths(node, mapping)
                && match field_of(node) {
                    Some(FieldPattern::Name(name) | FieldPattern::Exact { name, .. }) => plain(name, indices),
                    _ => false,
                }
        }
        _ => filter.children().iter().all(|child| judgeable(child, indices)),
    }
}

/// Whether values of a field are read here as the cluster reads them.
fn plain(name: &str, indices: &Indices) -> bool {
    if indices.opaque.contains(name) {
        return false;
    }
    match indices.mapping.resolve(name) {
        // Nobody has it: it matches nothing, here and there.
        None => true,
        Some(field) => {
            !indices.opaque.contains(&*field.path)
                && !matches!(field.kind, FieldType::Other | FieldType::GeoPoint | FieldType::Version)
        }
    }
}

/// Paths in the source that a filter looks at.
fn paths(filter: &Filter, mapping: &Mapping, out: &mut BTreeSet<Arc<str>>) {
    match &filter.node {
        Node::Nested { path, .. } => {
            out.insert(Arc::clone(path));
        }
        Node::Words { field, .. } => named(field, mapping, out),
        node => {
            if let Some(FieldPattern::Name(name) | FieldPattern::Exact { name, .. }) = field_of(node) {
                named(name, mapping, out);
            }
        }
    }
    for child in filter.children() {
        paths(child, mapping, out);
    }
}

fn named(name: &str, mapping: &Mapping, out: &mut BTreeSet<Arc<str>>) {
    for field in [mapping.resolve(name), exact_field(name, mapping)].into_iter().flatten() {
        out.insert(field.leaf_path());
        // A nested field is seen through the objects it lies in.
        out.extend(field.nested);
    }
}

/// Reads the window of a group and judges it. `None`: the window holds too many events.
async fn together(
    backend: &ClusterBackend,
    requests: &[SearchRequest],
    group: &Group<'_>,
    indices: &Indices,
    judged: &[usize],
) -> Result<Option<Vec<(usize, HitPage)>>, BackendError> {
    let mapping = &indices.mapping;
    let mut wanted: BTreeSet<Arc<str>> = [TIMESTAMP, INGESTED, &*group.time.primary].map(Arc::from).into();
    wanted.extend(group.time.fallback.clone());
    for request in judged.iter().filter_map(|number| requests.get(*number)) {
        paths(&request.filter, mapping, &mut wanted);
    }
    let cost = backend.inner.costs.get();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate")]
    let worth = (judged.len() as f64 * cost.rule / cost.event.max(1e-9)) as u64;
    let started = Instant::now();
    let Some(events) = download(backend, group, &wanted, worth.min(MOST_EVENTS)).await? else {
        return Ok(None);
    };
    backend.inner.costs.read(events.len(), started.elapsed().as_secs_f64());
    let names: BTreeSet<Arc<str>> = events.iter().map(|event| Arc::clone(&event.index)).collect();
    let names: Arc<[String]> = names.iter().map(ToString::to_string).collect();
    let narrow: Vec<SearchRequest> = judged
        .iter()
        .filter_map(|number| requests.get(*number))
        .map(|request| SearchRequest { indices: Arc::clone(&names), ..request.clone() })
        .collect();
    let memory = MemoryBackend::new(events, Mapping::clone(mapping));
    let pages = memory.search_many(narrow).await;
    let mut found: Vec<(usize, HitPage)> = Vec::with_capacity(judged.len());
    for (number, page) in judged.iter().zip(pages) {
        found.push((*number, HitPage { indices: indices.count, ..page? }));
    }
    complete(backend, requests, indices, &mut found).await?;
    Ok(Some(found))
}

/// The events of a group's windows with the fields named; `None`: there are more than `most`.
async fn download(
    backend: &ClusterBackend,
    group: &Group<'_>,
    wanted: &BTreeSet<Arc<str>>,
    most: u64,
) -> Result<Option<Vec<Document>>, BackendError> {
    let cluster = backend.client().name();
    let query = json!({"bool": {"filter": [window_query(&group.hull, &group.time, group.event_clock)]}});
    // Counting what lies between two instants costs next to nothing, reading it for nothing a lot.
    let count = json!({"size": 0, "query": query, "track_total_hits": true});
    let counted = backend.ask(group.indices, &count).await.map_err(|error| failed(&error))?.whole(cluster)?;
    match counted.total() {
        0 => return Ok(Some(Vec::new())),
        total if total > most => return Ok(None),
        _ => {}
    }
    let mut body = json!({
        "size": WINDOW,
        "query": query,
        "sort": ["_doc"],
        "_source": wanted.iter().collect::<Vec<_>>(),
        "track_total_hits": true,
    });
    let first = backend.ask(group.indices, &body).await.map_err(|error| failed(&error))?.whole(cluster)?;
    let total = first.total();
    let mut events: Vec<Document> = first.documents();
    if (events.len() as u64) < total {
        // More than one answer holds: read again, through a scroll.
        events.clear();
        let mut scroll = Scroll::default();
        if let Some(object) = body.as_object_mut() {
            object.insert("size".to_owned(), json!(WINDOW / 2));
        }
        loop {
            let answer = match scroll.next(backend, group.indices, &body).await {
                Ok(found) => found.whole(cluster),
                Err(error) => Err(failed(&error)),
            };
            let part = match answer {
                Ok(found) => found.documents(),
                Err(error) => {
                    scroll.close(backend).await;
                    return Err(error);
                }
            };
            let over = part.len() < WINDOW / 2;
            events.extend(part);
            if over {
                break;
            }
        }
        scroll.close(backend).await;
        if (events.len() as u64) < total {
            return Err(BackendError::Failed(format!(
                "cluster `{cluster}`: it counts {total} events and gave {}",
                events.len()
            )));
        }
    }
    Ok(Some(events))
}

/// Puts whole documents in place of the narrow ones.
async fn complete(
    backend: &ClusterBackend,
    requests: &[SearchRequest],
    indices: &Indices,
    pages: &mut [(usize, HitPage)],
) -> Result<(), BackendError> {
    let Some(first) = pages.first().and_then(|(number, _)| requests.get(*number)) else { return Ok(()) };
    let names: BTreeSet<(Arc<str>, Arc<str>)> = pages
        .iter()
        .flat_map(|(_, page)| &page.hits)
        .map(|hit| (Arc::clone(&hit.document.index), Arc::clone(&hit.document.id)))
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<(Arc<str>, Arc<str>)> = names.into_iter().collect();
    let prepared = Prepared::new(first, indices.clone());
    let whole = prepared.whole(backend, &names).await?;
    for (_, page) in pages {
        let before = page.hits.len();
        page.hits.retain_mut(|hit| {
            let name = (Arc::clone(&hit.document.index), Arc::clone(&hit.document.id));
            match whole.get(&name) {
                Some(document) => {
                    hit.document = document.clone();
                    true
                }
                None => false,
            }
        });
        let gone = before - page.hits.len();
        if gone > 0 {
            tracing::debug!("{gone} events went away while they were read");
            page.total -= gone as u64;
        }
    }
    Ok(())
}
