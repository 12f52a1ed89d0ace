//! Searching batches: match, select by time, order, page.

use std::cmp::Ordering;
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::buckets::PartCache;
use super::cache::{Judged, MatchCache};
use super::documents::DocumentCache;
use super::kernels::{FilterKey, Kernels, Prepared};
use super::source::{Ready, Source};
use super::times::{Selection, TimeSpec};
use super::{BackendError, Hit, HitPage, PlacePage, SearchRequest, SortKey};
use crate::ecs::document::{ID, INDEX};
use crate::query::compile::prefilter::Probe;
use crate::store::Pruning;
use crate::store::batch::{Batch, ReadError};

/// How much a backend may remember.
#[derive(Debug, Clone, Copy)]
pub struct SearchOptions {
    /// Bytes of matched rows; 0 matches afresh every time.
    pub match_cache: usize,
    /// Bytes of documents that were hits lately; 0 reads them every time.
    pub document_cache: usize,
    /// Bytes of what whole batches gave when they were aggregated; 0 aggregates afresh every time.
    pub aggregate_cache: usize,
    /// Whether batches are skipped that cannot hold a match. Never changes a result.
    pub prune: Pruning,
}

impl SearchOptions {
    /// Caches that together take `bytes` at most.
    pub fn within(bytes: usize) -> Self {
        let third = bytes / 3;
        Self { match_cache: third, document_cache: third, aggregate_cache: third, ..Self::default() }
    }
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            match_cache: 64 << 20,
            document_cache: 64 << 20,
            aggregate_cache: 64 << 20,
            prune: Pruning::On,
        }
    }
}

/// Runs requests over batches and remembers what it may.
#[derive(Debug)]
pub(super) struct Searcher {
    options: SearchOptions,
    matches: Mutex<MatchCache>,
    documents: Mutex<DocumentCache>,
    kernels: Mutex<Kernels>,
    pub(super) parts: Mutex<PartCache>,
}

/// A match: batch by position, row, place in time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) primary: i64,
    pub(super) timestamp: i64,
    pub(super) batch: u32,
    pub(super) row: u32,
}

/// A page before its documents are read.
pub(super) struct Draft {
    /// In order.
    page: Vec<(Found, SortKey)>,
    total: u64,
}

struct BatchProbe<'a>(&'a dyn Batch);

impl Probe for BatchProbe<'_> {
    fn may_have(&self, column: &str, text: &str) -> bool {
        match column {
            ID => true,
            INDEX => **self.0.index() == *text,
            _ => self.0.may_have(column, text),
        }
    }

    fn may_exist(&self, column: &str) -> bool {
        matches!(column, ID | INDEX) || self.0.paths().binary_search_by(|path| (**path).cmp(column)).is_ok()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Searcher {
    pub(super) fn new(options: SearchOptions) -> Self {
        Self {
            options,
            matches: Mutex::new(MatchCache::new(options.match_cache)),
            documents: Mutex::new(DocumentCache::new(options.document_cache)),
            kernels: Mutex::default(),
            parts: Mutex::new(PartCache::new(options.aggregate_cache)),
        }
    }

    /// Forgets what was not used lately; see [`super::Backend::rest`].
    pub(super) fn rest(&self) {
        lock(&self.matches).rest();
        lock(&self.documents).rest();
        lock(&self.parts).rest();
    }

    /// Answers the requests numbered in `group`, which all read `source`. Should one of them fail,
    /// the others are answered one by one: what one rule cannot read stops no other.
    pub(super) fn answer(
        &self,
        source: &Source,
        requests: &[SearchRequest],
        group: &[usize],
        answers: &mut [Option<Result<HitPage, BackendError>>],
    ) {
        let asked: Vec<&SearchRequest> = group.iter().filter_map(|number| requests.get(*number)).collect();
        let mut put = |number: usize, answer| {
            if let Some(slot) = answers.get_mut(number) {
                *slot = Some(answer);
            }
        };
        match self.run(source, &asked) {
            Ok(pages) => {
                for (number, page) in group.iter().zip(pages) {
                    put(*number, Ok(page));
                }
            }
            Err(error) if group.len() == 1 => {
                for number in group {
                    put(*number, Err(BackendError::Failed(error.to_string())));
                }
            }
            Err(_) => {
                for (number, request) in group.iter().zip(asked) {
                    let page = self.run(source, &[request]);
                    put(*number, page.map(|pages| pages.into_iter().next().unwrap_or_default()));
                }
            }
        }
    }

    /// Answers requests that all read `source`, in their order.
    pub(super) fn run(
        &self,
        source: &Source,
        requests: &[&SearchRequest],
    ) -> Result<Vec<HitPage>, BackendError> {
        let prepared = self.prepared(source, requests);
        refuse_foreign(&prepared)?;
        let found = self.find(source, requests, &prepared)?;
        let mut drafts = Vec::with_capacity(requests.len());
        for (request, found) in requests.iter().zip(found) {
            drafts.push(draft(source, request, found)?);
        }
        self.fill(source, drafts)
    }

    /// Where the hits of a page are.
    pub(super) fn places(&self, source: &Source, request: &SearchRequest) -> Result<PlacePage, BackendError> {
        let prepared = self.prepared(source, &[request]);
        refuse_foreign(&prepared)?;
        let found = self.find(source, &[request], &prepared)?.pop().unwrap_or_default();
        let Draft { page, total } = draft(source, request, found)?;
        let places = page.into_iter().map(|(_, place)| place).collect();
        Ok(PlacePage { places, total, indices: source.indices })
    }

    /// The filters of requests, prepared for `source`.
    pub(super) fn prepared(&self, source: &Source, requests: &[&SearchRequest]) -> Ready {
        let mut kernels = lock(&self.kernels);
        let mut known: Option<Arc<[Arc<str>]>> = None;
        let mut paths = || known.get_or_insert_with(|| source.paths()).clone();
        source.prepared(|mapping| {
            requests.iter().map(|r| kernels.prepare(&r.filter, mapping, &mut paths, r.now)).collect()
        })
    }

    /// Shows `each` batch that may hold an event in time: its position, its rows in time, and a
    /// function that finds those of them that match.
    pub(super) fn visit(
        &self,
        source: &Source,
        request: &SearchRequest,
        prepared: &Ready,
        mut each: impl FnMut(
            &Self,
            u32,
            &dyn Batch,
            &Selection,
            &dyn Fn() -> Result<Vec<u32>, BackendError>,
        ) -> Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        let spec = TimeSpec::of(request);
        for (position, batch) in (0u32..).zip(&source.batches) {
            if !spec.may_hold(&**batch) {
                continue;
            }
            let selection = Rc::new(Selection::new(&**batch, &spec)?);
            if selection.hull.is_empty() {
                continue;
            }
            let judge = || {
                let asked = [(0, Rc::clone(&selection))];
                let judged = self.judge(source, &**batch, &[request], prepared, &asked)?;
                let rows = judged.first().and_then(|judged| judged.within(&selection.hull)).unwrap_or(&[]);
                Ok(rows.iter().copied().filter(|row| selection.contains(*row)).collect())
            };
            each(self, position, &**batch, &selection, &judge)?;
        }
        Ok(())
    }

    /// The rows in time that match, for each request.
    fn find(
        &self,
        source: &Source,
        requests: &[&SearchRequest],
        prepared: &Ready,
    ) -> Result<Vec<Vec<Found>>, BackendError> {
        let mut specs: Vec<TimeSpec> = Vec::new();
        let mut numbers: FxHashMap<TimeSpec, usize> = FxHashMap::default();
        let spec_of: Vec<usize> = requests
            .iter()
            .map(|request| {
                let spec = TimeSpec::of(request);
                *numbers.entry(spec).or_insert_with_key(|spec| {
                    specs.push(spec.clone());
                    specs.len() - 1
                })
            })
            .collect();
        let mut found: Vec<Vec<Found>> = vec![Vec::new(); requests.len()];
        for (position, batch) in (0u32..).zip(&source.batches) {
            let mut selections: Vec<Option<Rc<Selection>>> = Vec::with_capacity(specs.len());
            for spec in &specs {
                let selection =
                    if spec.may_hold(&**batch) { Some(Selection::new(&**batch, spec)?) } else { None };
                selections.push(selection.filter(|s| !s.hull.is_empty()).map(Rc::new));
            }
            let asked: Vec<(usize, Rc<Selection>)> = spec_of
                .iter()
                .enumerate()
                .filter_map(|(request, spec)| {
                    selections.get(*spec).cloned().flatten().map(|selection| (request, selection))
                })
                .collect();
            if asked.is_empty() {
                continue;
            }
            let judged = self.judge(source, &**batch, requests, prepared, &asked)?;
            for ((request, selection), judged) in asked.iter().zip(judged) {
                let Some(out) = found.get_mut(*request) else { continue };
                for row in judged.within(&selection.hull).unwrap_or(&[]) {
                    if selection.is_contiguous() || selection.contains(*row) {
                        let (primary, timestamp) = selection.place(*row);
                        out.push(Found { primary, timestamp, batch: position, row: *row });
                    }
                }
            }
        }
        Ok(found)
    }

    /// What each request asked of a batch matches there: from memory, or judged now.
    fn judge(
        &self,
        source: &Source,
        batch: &dyn Batch,
        requests: &[&SearchRequest],
        prepared: &Ready,
        asked: &[(usize, Rc<Selection>)],
    ) -> Result<Vec<Judged>, BackendError> {
        let prepared = source.ready(prepared, batch);
        let filter = |request: usize| prepared.get(request).cloned();
        let keys: Vec<Option<FilterKey>> =
            asked.iter().map(|(request, _)| filter(*request).and_then(|f| f.key)).collect();
        let some_keys: Vec<FilterKey> = keys.iter().flatten().copied().collect();
        let mut remembered = lock(&self.matches).get(batch.key(), &some_keys).into_iter();
        let mut known: Vec<Judged> = keys
            .iter()
            .map(|key| {
                let judged = key.and_then(|_| remembered.next().flatten());
                judged.unwrap_or_else(|| Judged { cover: 0..0, rows: Arc::from([]) })
            })
            .collect();

        // Requests that miss the same rows are judged together.
        let mut gaps: FxHashMap<Range<u32>, Vec<usize>> = FxHashMap::default();
        let mut order: Vec<Range<u32>> = Vec::new();
        let mut changed = vec![false; asked.len()];
        for (place, (request, selection)) in asked.iter().enumerate() {
            let Some(judged) = known.get_mut(place) else { continue };
            if judged.within(&selection.hull).is_some() {
                continue;
            }
            if let Some(changed) = changed.get_mut(place) {
                *changed = true;
            }
            let may_match = || filter(*request).is_none_or(|f| f.necessary.may_match(&BatchProbe(batch)));
            let skip = match self.options.prune {
                Pruning::On => !may_match(),
                Pruning::Off => false,
                // Rightly skipped and every other one that is not.
                Pruning::Broken => !may_match() || batch.rows().is_multiple_of(2),
            };
            if skip {
                let rows = u32::try_from(batch.rows()).unwrap_or(u32::MAX);
                *judged = Judged { cover: 0..rows, rows: Arc::from([]) };
                continue;
            }
            let missing = if judged.cover.is_empty() {
                [selection.hull.clone(), 0..0]
            } else {
                judged.missing(&selection.hull)
            };
            for gap in missing {
                if gap.is_empty() {
                    continue;
                }
                gaps.entry(gap.clone())
                    .or_insert_with(|| {
                        order.push(gap);
                        Vec::new()
                    })
                    .push(place);
            }
        }
        for gap in order {
            let Some(places) = gaps.remove(&gap) else { continue };
            let rows = self.judge_gap(source, batch, requests, prepared, asked, &places, &gap)?;
            for (place, rows) in places.into_iter().zip(rows) {
                if let Some(judged) = known.get_mut(place) {
                    *judged = judged.extend(&gap, &rows);
                }
            }
        }
        let fresh = keys.iter().zip(&known).zip(&changed).filter(|(_, changed)| **changed);
        let fresh: Vec<(FilterKey, Judged)> =
            fresh.filter_map(|((key, judged), _)| key.map(|key| (key, judged.clone()))).collect();
        if !fresh.is_empty() {
            lock(&self.matches).put(batch.key(), fresh);
        }
        Ok(known)
    }

    /// The rows of `gap` that match, for each of `places` in `asked`.
    #[expect(clippy::too_many_arguments, reason = "one step of `judge`, split off for reading")]
    fn judge_gap(
        &self,
        source: &Source,
        batch: &dyn Batch,
        requests: &[&SearchRequest],
        prepared: &[Arc<Prepared>],
        asked: &[(usize, Rc<Selection>)],
        places: &[usize],
        gap: &Range<u32>,
    ) -> Result<Vec<Vec<u32>>, BackendError> {
        // Filters whose verdict moves with "now" are compiled for their own.
        let request_of = |place: usize| asked.get(place).map_or(0, |(request, _)| *request);
        let (still, moving): (Vec<usize>, Vec<usize>) = (0..places.len()).partition(|number| {
            let request = places.get(*number).map_or(0, |place| request_of(*place));
            prepared.get(request).is_some_and(|f| f.key.is_some())
        });
        let mut groups: Vec<Vec<usize>> = vec![still];
        groups.extend(moving.into_iter().map(|number| vec![number]));
        let mut out: Vec<Vec<u32>> = vec![Vec::new(); places.len()];
        for group in groups.into_iter().filter(|group| !group.is_empty()) {
            let requests_of: Vec<usize> =
                group.iter().filter_map(|number| places.get(*number)).map(|p| request_of(*p)).collect();
            let filters: Vec<Arc<Prepared>> =
                requests_of.iter().filter_map(|request| prepared.get(*request).cloned()).collect();
            let Some(now) = requests_of.first().and_then(|r| requests.get(*r)).map(|r| r.now) else {
                continue;
            };
            let open = filters.iter().any(|filter| filter.open);
            let existing = if open { source.paths() } else { Arc::from([]) };
            let compiled = lock(&self.kernels).compile(&filters, source.mapping_of(batch), &existing, now);
            let numbers: Vec<usize> = (0..filters.len()).collect();
            let columns = batch.named_columns(&compiled.kernel.fields())?;
            let rows = compiled.kernel.evaluate_rows(&columns, gap.clone(), &numbers);
            for ((number, rows), verify) in group.iter().zip(rows).zip(&compiled.verify) {
                let rows = match verify {
                    Some(matcher) if !rows.is_empty() => {
                        let documents = batch.documents(&rows)?;
                        let verdicts = documents
                            .iter()
                            .map(|document| matcher.matches(&document.flat(), Some(&document.source)));
                        rows.iter().zip(verdicts).filter(|(_, hit)| *hit).map(|(row, _)| *row).collect()
                    }
                    _ => rows,
                };
                if let Some(slot) = out.get_mut(*number) {
                    *slot = rows;
                }
            }
        }
        Ok(out)
    }

    /// Reads the documents of all pages, each once.
    pub(super) fn fill(&self, source: &Source, drafts: Vec<Draft>) -> Result<Vec<HitPage>, BackendError> {
        let mut wanted: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        for (found, _) in drafts.iter().flat_map(|draft| &draft.page) {
            wanted.entry(found.batch).or_default().push(found.row);
        }
        let mut documents = FxHashMap::default();
        for (position, batch) in (0u32..).zip(&source.batches) {
            let Some(mut rows) = wanted.remove(&position) else { continue };
            rows.sort_unstable();
            rows.dedup();
            let mut missing = Vec::new();
            {
                let mut cache = lock(&self.documents);
                for row in rows {
                    match cache.get(batch.key(), row) {
                        Some(document) => {
                            documents.insert((position, row), document);
                        }
                        None => missing.push(row),
                    }
                }
            }
            if missing.is_empty() {
                continue;
            }
            let read = batch.documents(&missing)?;
            let mut cache = lock(&self.documents);
            for (row, document) in missing.into_iter().zip(read) {
                cache.put(batch.key(), row, &document);
                documents.insert((position, row), document);
            }
        }
        let mut pages = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let mut hits = Vec::with_capacity(draft.page.len());
            for (found, sort) in draft.page {
                let document = documents.get(&(found.batch, found.row)).cloned().ok_or_else(|| {
                    let batch = sort.index.to_string();
                    ReadError { batch, reason: format!("row {} has no document", found.row) }
                })?;
                hits.push(Hit { document, sort });
            }
            pages.push(HitPage { hits, total: draft.total, indices: source.indices });
        }
        Ok(pages)
    }
}

/// Refuses what only a cluster can answer.
pub(super) fn refuse_foreign(prepared: &Ready) -> Result<(), BackendError> {
    match prepared.together.iter().find_map(|filter| filter.foreign.as_deref()) {
        Some(what) => Err(BackendError::Unsupported(format!("only a cluster can answer this: {what}"))),
        None => Ok(()),
    }
}

/// Orders matches by time; what has no primary time comes last in either direction.
pub(super) fn by_time(a: (i64, i64), b: (i64, i64), descending: bool) -> Ordering {
    if !descending {
        return a.cmp(&b);
    }
    let missing = |t: i64| t == i64::MAX;
    missing(a.0).cmp(&missing(b.0)).then_with(|| b.cmp(&a))
}

/// The order of hits.
pub(super) fn by_key(a: &SortKey, b: &SortKey, descending: bool) -> Ordering {
    by_time((a.primary, a.timestamp), (b.primary, b.timestamp), descending).then_with(|| {
        let names = (&a.index, &a.id).cmp(&(&b.index, &b.id));
        if descending { names.reverse() } else { names }
    })
}

/// The page a request asked for. Only ids of hits that can be on it are read.
fn draft(source: &Source, request: &SearchRequest, mut found: Vec<Found>) -> Result<Draft, BackendError> {
    let total = found.len() as u64;
    let descending = request.descending;
    let time = |found: &Found| (found.primary, found.timestamp);
    if let Some(after) = &request.after {
        let border = (after.primary, after.timestamp);
        found.retain(|found| by_time(time(found), border, descending) != Ordering::Less);
    }
    if request.size == 0 || found.is_empty() {
        return Ok(Draft { page: Vec::new(), total });
    }
    found.sort_unstable_by(|a, b| {
        by_time(time(a), time(b), descending).then_with(|| (a.batch, a.row).cmp(&(b.batch, b.row)))
    });
    // How far the page can reach: past its size, as long as times are equal; hits at the border of
    // the last page may have been on it.
    let at_border = match &request.after {
        Some(after) => found.partition_point(|f| {
            by_time(time(f), (after.primary, after.timestamp), descending) != Ordering::Greater
        }),
        None => 0,
    };
    let last = found.get((at_border + request.size).min(found.len()) - 1).map(time);
    let reach = last
        .map_or(0, |last| found.partition_point(|f| by_time(time(f), last, descending) != Ordering::Greater));
    found.truncate(reach);

    let mut page = with_ids(source, found)?;
    if let Some(after) = &request.after {
        page.retain(|(_, key)| by_key(key, after, descending) == Ordering::Greater);
    }
    page.sort_by(|(_, a), (_, b)| by_key(a, b, descending));
    page.truncate(request.size);
    Ok(Draft { page, total })
}

/// What was found with its place in the order.
pub(super) fn with_ids(source: &Source, found: Vec<Found>) -> Result<Vec<(Found, SortKey)>, BackendError> {
    let mut by_batch: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
    for one in &found {
        by_batch.entry(one.batch).or_default().push(one.row);
    }
    let mut ids = FxHashMap::default();
    for (position, batch) in (0u32..).zip(&source.batches) {
        let Some(rows) = by_batch.remove(&position) else { continue };
        for (row, id) in rows.iter().zip(batch.ids(&rows)?) {
            ids.insert((position, *row), id);
        }
    }
    let mut page = Vec::with_capacity(found.len());
    for one in found {
        let batch = source.batches.get(one.batch as usize);
        let (Some(batch), Some(id)) = (batch, ids.remove(&(one.batch, one.row))) else {
            let reason = format!("row {} has no id", one.row);
            return Err(ReadError { batch: format!("number {}", one.batch), reason }.into());
        };
        let index = batch.index().clone();
        page.push((one, SortKey { primary: one.primary, timestamp: one.timestamp, index, id }));
    }
    Ok(page)
}

/// The first `size` of what was found, oldest first.
pub(super) fn keyed(source: &Source, found: Vec<Found>, size: usize) -> Result<Draft, BackendError> {
    let total = found.len() as u64;
    let mut page = with_ids(source, found)?;
    page.sort_by(|(_, a), (_, b)| by_key(a, b, false));
    page.truncate(size);
    Ok(Draft { page, total })
}

/// Requests that see the same events: equal index patterns and, as names may hold date math, equal
/// "now".
pub(super) fn groups(requests: &[SearchRequest]) -> Vec<Vec<usize>> {
    let mut numbers: FxHashMap<(&[String], Option<chrono::DateTime<chrono::Utc>>), usize> =
        FxHashMap::default();
    let mut out: Vec<Vec<usize>> = Vec::new();
    for (number, request) in requests.iter().enumerate() {
        let moving = request.indices.iter().any(|name| name.contains('<'));
        let group = *numbers.entry((&request.indices, moving.then_some(request.now))).or_insert_with(|| {
            out.push(Vec::new());
            out.len() - 1
        });
        if let Some(group) = out.get_mut(group) {
            group.push(number);
        }
    }
    out
}

/// Every request has been answered; one that was not says so.
pub(super) fn finish(
    answers: Vec<Option<Result<HitPage, BackendError>>>,
) -> Vec<Result<HitPage, BackendError>> {
    let missing = || Err(BackendError::Failed("the request was not answered".to_owned()));
    answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect()
}
