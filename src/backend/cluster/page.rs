//! Pages in the order of all backends: primary time, `@timestamp`, index, id.
//!
//! A cluster sorts by the two times alone; what else it could sort by differs between products or
//! costs too much memory (`_id`). So a page begins with the whole instant that the last one ended
//! in, what was read before is left out here, and events of one instant are ordered here. An
//! instant with more events than fit into a page is read on its own, names only, through a scroll.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::{BackendError, Hit, HitPage, PlacePage, SearchRequest, SortKey};
use super::ask::{Found, Prepared};
use super::{ClusterBackend, failed, joined};
use crate::base::limits::PAGE_HITS;
use crate::ecs::document::Document;
use crate::elastic::{ElasticError, Method, Request, segment};
use crate::store::batch::NO_TIME;

/// Most hits that a cluster gives at once (`index.max_result_window`).
pub(super) const WINDOW: usize = 10_000;
/// Hits asked for beyond those wanted: those of the first instant that were read before.
const SLACK: usize = 32;
/// How long a cluster keeps a point in time or a scroll between two pages.
const KEEP_ALIVE: &str = "2m";
/// Searches read page by page that are remembered, and how long.
const PAGING_KEPT: usize = 256;
const PAGING_HOLDS: Duration = Duration::from_mins(5);

/// A search that is read page by page.
#[derive(Debug, Clone)]
pub(super) struct Paging {
    /// Its point in time, where the product has them.
    pit: Option<String>,
    /// How many events there were when it began, in its point in time or without one.
    total: Option<u64>,
    /// How many events were read before this page; `None`: nobody remembers.
    seen: Option<u64>,
    /// Nothing is left to read.
    over: bool,
    used: Instant,
}

impl Paging {
    /// A search of which nothing was read.
    fn new() -> Self {
        Self { pit: None, total: None, seen: Some(0), over: false, used: Instant::now() }
    }
}

/// Where a part of the order begins.
#[derive(Debug, Clone)]
enum Start {
    /// At its beginning.
    First,
    /// With the instant of this event.
    With(SortKey),
    /// After the instant of this event.
    After(SortKey),
}

/// The order of hits; see [`SortKey`].
fn order(a: &SortKey, b: &SortKey, descending: bool) -> Ordering {
    instant(a, b, descending).then_with(|| {
        let names = (&a.index, &a.id).cmp(&(&b.index, &b.id));
        if descending { names.reverse() } else { names }
    })
}

/// The order of instants; what has no primary time comes last in either direction.
fn instant(a: &SortKey, b: &SortKey, descending: bool) -> Ordering {
    let times = |key: &SortKey| (key.primary, key.timestamp);
    if !descending {
        return times(a).cmp(&times(b));
    }
    let missing = |key: &SortKey| key.primary == i64::MAX;
    missing(a).cmp(&missing(b)).then_with(|| times(b).cmp(&times(a)))
}

/// One page: the first, or the one after where the last ended.
pub(super) async fn search(
    backend: &ClusterBackend,
    request: &SearchRequest,
) -> Result<HitPage, BackendError> {
    let indices = backend.indices(&request.indices).await?;
    if indices.count == 0 {
        return Ok(HitPage::default());
    }
    let prepared = Prepared::new(request, indices);
    page(backend, &prepared).await
}

/// One page of places, for those who need no documents. What is over is over: the page after the
/// last costs nothing.
pub(super) async fn places(
    backend: &ClusterBackend,
    request: &SearchRequest,
) -> Result<PlacePage, BackendError> {
    let indices = backend.indices(&request.indices).await?;
    if indices.count == 0 {
        return Ok(PlacePage::default());
    }
    let mut prepared = Prepared::new(request, indices);
    if !prepared.name_only() {
        // Whether an event is a hit is judged on the event.
        let smaller = SearchRequest { size: request.size.min(PAGE_HITS), ..request.clone() };
        let prepared = Prepared { request: &smaller, ..prepared };
        return Ok(only_places(page(backend, &prepared).await?));
    }
    Ok(only_places(page(backend, &prepared).await?))
}

fn only_places(HitPage { hits, total, indices }: HitPage) -> PlacePage {
    PlacePage { places: hits.into_iter().map(|hit| hit.sort).collect(), total, indices }
}

async fn page(backend: &ClusterBackend, prepared: &Prepared<'_>) -> Result<HitPage, BackendError> {
    let request = prepared.request;
    let Some(after) = &request.after else { return first(backend, prepared).await };
    let identity = identity(request);
    let mut paging = begin(backend, request, identity).await?;
    if paging.over {
        let total = paging.total.unwrap_or(0);
        return Ok(HitPage { hits: Vec::new(), total, indices: prepared.indices.count });
    }
    let page = Reader { backend, prepared, paging: &mut paging };
    let page = page.read(Vec::new(), Some(after.clone()), None).await;
    end(backend, prepared, identity, paging, &page).await;
    page
}

/// The first page of a search.
pub(super) async fn first(
    backend: &ClusterBackend,
    prepared: &Prepared<'_>,
) -> Result<HitPage, BackendError> {
    let mut paging = Paging::new();
    let page = Reader { backend, prepared, paging: &mut paging }.read(Vec::new(), None, None).await;
    remember(backend, prepared.request, &paging, &page);
    page
}

/// The first page, of which the beginning was found already: at most `asked` hits.
pub(super) async fn from_first(
    backend: &ClusterBackend,
    prepared: &Prepared<'_>,
    found: Found,
    asked: usize,
) -> Result<HitPage, BackendError> {
    let mut paging = Paging { total: Some(found.total()), ..Paging::new() };
    let reader = Reader { backend, prepared, paging: &mut paging };
    let page = reader.read(Vec::new(), None, Some((found, asked))).await;
    remember(backend, prepared.request, &paging, &page);
    page
}

/// Keeps the count of what was read, for the pages that follow.
fn remember(
    backend: &ClusterBackend,
    request: &SearchRequest,
    paging: &Paging,
    page: &Result<HitPage, BackendError>,
) {
    let more = page.as_ref().is_ok_and(|page| page.hits.len() >= request.size);
    if more {
        keep(backend, identity(request), paging.clone());
    }
}

fn keep(backend: &ClusterBackend, identity: u64, paging: Paging) {
    let mut known = backend.inner.paging.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|_, paging| paging.used.elapsed() < PAGING_HOLDS);
    // A forgotten one is closed by the cluster when its time is over; pages go on without it.
    if known.len() < PAGING_KEPT {
        known.insert(identity, Paging { used: Instant::now(), ..paging });
    }
}

/// What a search searches, whatever the page.
fn identity(request: &SearchRequest) -> u64 {
    let mut hasher = DefaultHasher::new();
    request.indices.hash(&mut hasher);
    request.filter.hash(&mut hasher);
    request.now.hash(&mut hasher);
    request.window.hash(&mut hasher);
    request.time.hash(&mut hasher);
    (request.event_clock, request.descending).hash(&mut hasher);
    hasher.finish()
}

/// What is known of the search, with a point in time where the product has them.
async fn begin(
    backend: &ClusterBackend,
    request: &SearchRequest,
    identity: u64,
) -> Result<Paging, BackendError> {
    let known = backend.inner.paging.lock().unwrap_or_else(PoisonError::into_inner).remove(&identity);
    let mut paging = known.unwrap_or(Paging { seen: None, ..Paging::new() });
    if paging.pit.is_none() && !paging.over {
        paging.pit = open(backend, request).await.map_err(|error| failed(&error))?;
    }
    Ok(paging)
}

/// Keeps the point in time for the next page, or closes it.
async fn end(
    backend: &ClusterBackend,
    prepared: &Prepared<'_>,
    identity: u64,
    paging: Paging,
    page: &Result<HitPage, BackendError>,
) {
    if page.as_ref().is_ok_and(|page| page.hits.len() >= prepared.request.size) {
        keep(backend, identity, paging);
        return;
    }
    if let Some(pit) = &paging.pit {
        close(backend, pit).await;
    }
    // Who reads places asks until there are none.
    if prepared.names_only && page.is_ok() {
        keep(backend, identity, Paging { pit: None, over: true, ..paging });
    }
}

/// Opens a point in time; `None` where the product has none.
async fn open(backend: &ClusterBackend, request: &SearchRequest) -> Result<Option<String>, ElasticError> {
    if !backend.inner.options.point_in_time {
        return Ok(None);
    }
    let client = backend.client();
    let Some(way) = client.flavour().await?.point_in_time() else { return Ok(None) };
    let request = Request::read(format!("/{}/{}", segment(&joined(&request.indices)), way.open))
        .query("keep_alive", KEEP_ALIVE)
        .query("ignore_unavailable", "true");
    let request = if way.many { request.query("allow_partial_pit_creation", "false") } else { request };
    match client.json(&request).await {
        Ok(answer) => Ok(answer.get(way.id_key).and_then(Value::as_str).map(str::to_owned)),
        // A build without the module knows no such path; a collection without indices has none.
        Err(error) if matches!(error.status(), Some(400 | 404 | 405)) => {
            tracing::debug!(%error, "no point in time: pages are read without one");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn close(backend: &ClusterBackend, pit: &str) {
    let client = backend.client();
    let Some(way) = client.flavour().await.ok().and_then(|flavour| flavour.point_in_time()) else { return };
    let id = if way.many { json!([pit]) } else { json!(pit) };
    let request = Request::write(Method::Delete, way.close).repeatable().accept(404);
    let body = json!({ way.close_key: id });
    if let Err(error) = client.send(&request.json(&body)).await {
        tracing::debug!(%error, "a point in time was not closed; the cluster does it later");
    }
}

/// Reads one page.
struct Reader<'r> {
    backend: &'r ClusterBackend,
    prepared: &'r Prepared<'r>,
    paging: &'r mut Paging,
}

impl Reader<'_> {
    /// Fills `hits` from after `after` on; `found` is the answer to the first search, for so many
    /// hits, where it was asked already.
    async fn read(
        mut self,
        mut hits: Vec<Hit>,
        mut after: Option<SortKey>,
        mut found: Option<(Found, usize)>,
    ) -> Result<HitPage, BackendError> {
        let request = self.prepared.request;
        let (size, descending) = (request.size, request.descending);
        let mut start = after.clone().map_or(Start::First, Start::With);
        let mut total = 0;
        let mut all = false;
        while !all && (hits.len() < size || size == 0) {
            let wanted = (size - hits.len()).min(WINDOW - SLACK);
            let (answer, asked) = match found.take() {
                Some(found) => found,
                None => self.ask(&start, if size == 0 { 0 } else { wanted + SLACK }).await?,
            };
            total = answer.total();
            let mut read = self.prepared.hits(answer);
            all = read.len() < asked || size == 0;
            let border = read.last().map(|hit| hit.sort.clone());
            if let Some(after) = &after {
                read.retain(|hit| order(&hit.sort, after, descending) == Ordering::Greater);
            }
            if !all && let Some(border) = border {
                // The last instant may go on beyond what was read.
                read.retain(|hit| instant(&hit.sort, &border, descending) == Ordering::Less);
                if read.is_empty() {
                    let wanted = size - hits.len();
                    let (part, more) = self.instant(&border, after.as_ref(), wanted).await?;
                    let last = part.last().map(|hit| hit.sort.clone());
                    self.take(&mut hits, part);
                    after = last.or(after);
                    start = if more {
                        Start::With(after.clone().unwrap_or(border))
                    } else {
                        Start::After(border)
                    };
                    continue;
                }
            }
            read.sort_by(|a, b| order(&a.sort, &b.sort, descending));
            let room = size - hits.len();
            if read.len() > room {
                read.truncate(room);
                all = false;
            }
            if let Some(last) = read.last() {
                after = Some(last.sort.clone());
                start = Start::With(last.sort.clone());
            }
            self.take(&mut hits, read);
        }
        if all && size > 0 {
            self.check(total)?;
        }
        if !self.prepared.pushed.exact && all && self.paging.seen == Some(total) {
            // Everything lies before us, so the number of hits is known.
            if request.after.is_none() {
                total = hits.len() as u64;
            }
        }
        Ok(HitPage { hits, total, indices: self.prepared.indices.count })
    }

    /// Counts what was read, and keeps what is a hit.
    fn take(&mut self, hits: &mut Vec<Hit>, read: Vec<Hit>) {
        self.paging.seen = self.paging.seen.map(|seen| seen + read.len() as u64);
        hits.extend(read.into_iter().filter(|hit| self.prepared.holds(hit)));
    }

    /// Everything was read: does the number fit?
    fn check(&self, total: u64) -> Result<(), BackendError> {
        let (Some(began), Some(seen)) = (self.paging.total, self.paging.seen) else { return Ok(()) };
        // Without a point in time events may come and go between two pages.
        let whole = if self.paging.pit.is_some() { seen == total } else { seen >= began.min(total) };
        if whole {
            return Ok(());
        }
        Err(BackendError::Failed(format!(
            "cluster `{}`: it counts {total} events and gave {seen}",
            self.backend.client().name()
        )))
    }

    /// One search from `start` on; for fewer hits where the answer would be too large. Also says
    /// for how many was asked.
    async fn ask(&mut self, start: &Start, size: usize) -> Result<(Found, usize), BackendError> {
        let mut size = size;
        loop {
            let mut body = self.prepared.body(size);
            if let Some(object) = body.as_object_mut() {
                if let Some(values) = self.search_after(start) {
                    object.insert("search_after".to_owned(), values);
                }
                if let Some(pit) = &self.paging.pit {
                    object.insert("pit".to_owned(), json!({"id": pit, "keep_alive": KEEP_ALIVE}));
                }
            }
            let answer = match &self.paging.pit {
                Some(_) => self.backend.ask_in(&body).await,
                None => self.backend.ask(&self.prepared.request.indices, &body).await,
            };
            match answer {
                Ok(found) => {
                    let found = found.whole(self.backend.client().name())?;
                    if self.paging.total.is_none() || self.paging.pit.is_some() {
                        self.paging.total = Some(found.total());
                    }
                    if let Some(pit) = &found.pit_id
                        && self.paging.pit.is_some()
                    {
                        self.paging.pit = Some(pit.clone());
                    }
                    return Ok((found, size));
                }
                Err(ElasticError::TooLarge { .. }) if size > 1 => size /= 2,
                // Its time is over, or its node is gone: a new one sees what is there now.
                Err(error) if error.status() == Some(404) && self.paging.pit.is_some() => {
                    tracing::debug!(%error, "the point in time is gone");
                    self.paging.pit =
                        open(self.backend, self.prepared.request).await.map_err(|error| failed(&error))?;
                    self.paging.total = None;
                }
                Err(error) => return Err(failed(&error)),
            }
        }
    }

    /// The sort values after which a search from `start` begins: those just before the instant it
    /// begins with.
    fn search_after(&self, start: &Start) -> Option<Value> {
        let descending = self.prepared.request.descending;
        let single = &*self.prepared.request.time.primary == super::super::times::TIMESTAMP;
        let primary = |key: &SortKey| match (key.primary, descending) {
            (i64::MAX, true) => i64::MIN,
            (time, _) => time,
        };
        let before = |time: i64| if descending { time.saturating_add(1) } else { time.saturating_sub(1) };
        let (key, with) = match start {
            Start::First => return None,
            Start::With(key) => (key, true),
            Start::After(key) => (key, false),
        };
        let first = primary(key);
        Some(match (single, with) {
            (true, true) => json!([before(first)]),
            (true, false) => json!([first]),
            (false, false) => json!([first, key.timestamp]),
            // Nothing lies before the first of all instants with this primary time.
            (false, true) if key.timestamp == NO_TIME && !descending => json!([before(first), i64::MAX]),
            (false, true) => json!([first, before(key.timestamp)]),
        })
    }

    /// The next `wanted` events of the instant of `border`, after `after`; and whether there are
    /// more. Only names are read of all of them.
    async fn instant(
        &mut self,
        border: &SortKey,
        after: Option<&SortKey>,
        wanted: usize,
    ) -> Result<(Vec<Hit>, bool), BackendError> {
        let descending = self.prepared.request.descending;
        let mut chosen: BinaryHeap<Name> = BinaryHeap::new();
        let mut more = false;
        let mut scroll = Scroll::default();
        let mut body = self.prepared.body(WINDOW);
        if let Some(object) = body.as_object_mut() {
            object.insert("query".to_owned(), self.at(border));
            object.insert("sort".to_owned(), json!(["_doc"]));
            object.insert("_source".to_owned(), json!(false));
            object.remove("fields");
        }
        loop {
            let found = scroll.next(self.backend, &self.prepared.request.indices, &body).await;
            let found = match found {
                Ok(found) => found.whole(self.backend.client().name()),
                Err(error) => Err(failed(&error)),
            };
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    scroll.close(self.backend).await;
                    return Err(error);
                }
            };
            let over = found.hits.hits.len() < WINDOW;
            for raw in found.hits.hits {
                let key = SortKey { index: raw.index.into(), id: raw.id.into(), ..border.clone() };
                if after.is_some_and(|after| order(&key, after, descending) != Ordering::Greater) {
                    continue;
                }
                chosen.push(Name { key, descending });
                if chosen.len() > wanted {
                    more = true;
                    chosen.pop();
                }
            }
            if over {
                break;
            }
        }
        scroll.close(self.backend).await;
        let names: Vec<SortKey> = chosen.into_sorted_vec().into_iter().map(|name| name.key).collect();
        Ok((self.named(border, &names).await?, more))
    }

    /// What is searched, at one instant alone.
    fn at(&self, border: &SortKey) -> Value {
        let request = self.prepared.request;
        let lies_at = |field: &str, time: i64| match time {
            i64::MAX | NO_TIME => json!({"bool": {"must_not": [{"exists": {"field": field}}]}}),
            time => json!({"range": {field: {"gte": time, "lte": time, "format": "epoch_millis"}}}),
        };
        let query = super::query::in_time(self.prepared.pushed.query.clone(), request);
        let primary = &*request.time.primary;
        let mut filters = vec![query, lies_at(primary, border.primary)];
        if primary != super::super::times::TIMESTAMP {
            filters.push(lies_at(super::super::times::TIMESTAMP, border.timestamp));
        }
        json!({"bool": {"filter": filters}})
    }

    /// The events of these names at one instant, in their order.
    async fn named(&mut self, border: &SortKey, names: &[SortKey]) -> Result<Vec<Hit>, BackendError> {
        if self.prepared.names_only {
            let hit = |sort: &SortKey| Hit {
                document: Document::new(Arc::clone(&sort.index), Arc::clone(&sort.id), json!({})),
                sort: sort.clone(),
            };
            return Ok(names.iter().map(hit).collect());
        }
        let mut hits: Vec<Hit> = Vec::with_capacity(names.len());
        let mut parts: Vec<&[SortKey]> = vec![names];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let ids: Vec<&str> = part.iter().map(|name| &*name.id).collect();
            let mut body = self.prepared.body(WINDOW);
            if let Some(object) = body.as_object_mut() {
                let query = json!({"bool": {"filter": [{"ids": {"values": ids}}, self.at(border)]}});
                object.insert("query".to_owned(), query);
            }
            match self.backend.ask(&self.prepared.request.indices, &body).await {
                Ok(found) => {
                    let found = found.whole(self.backend.client().name())?;
                    hits.extend(self.prepared.hits(found));
                }
                Err(ElasticError::TooLarge { .. }) if part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([right, left]);
                }
                Err(error) => return Err(failed(&error)),
            }
        }
        let mut by_name: rustc_hash::FxHashMap<(Arc<str>, Arc<str>), Hit> = hits
            .into_iter()
            .map(|hit| ((Arc::clone(&hit.sort.index), Arc::clone(&hit.sort.id)), hit))
            .collect();
        let found: Vec<Hit> = names
            .iter()
            .filter_map(|name| {
                let mut hit = by_name.remove(&(Arc::clone(&name.index), Arc::clone(&name.id)))?;
                hit.sort = name.clone();
                Some(hit)
            })
            .collect();
        if found.len() < names.len() {
            tracing::debug!("{} events went away while they were read", names.len() - found.len());
        }
        Ok(found)
    }
}

/// A name in the order of hits, for a heap whose greatest comes last in it.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    key: SortKey,
    descending: bool,
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        order(&self.key, &other.key, self.descending)
    }
}

/// A scroll over everything that one search finds.
#[derive(Debug, Default)]
pub(super) struct Scroll(Option<String>);

impl Scroll {
    pub(super) async fn next(
        &mut self,
        backend: &ClusterBackend,
        patterns: &[String],
        body: &Value,
    ) -> Result<Found, ElasticError> {
        let request = match &self.0 {
            None => Request::read(format!("/{}/_search", segment(&joined(patterns))))
                .query("ignore_unavailable", "true")
                .query("allow_no_indices", "true")
                .query("allow_partial_search_results", "false")
                .query("scroll", KEEP_ALIVE)
                .json(body),
            // A page that was lost on the way cannot be asked for again: the scroll has moved on.
            Some(id) => Request::write(Method::Post, "/_search/scroll")
                .json(&json!({"scroll": KEEP_ALIVE, "scroll_id": id})),
        };
        let found: Found = backend.client().send(&request).await?.json()?;
        if found.scroll_id.is_some() {
            self.0.clone_from(&found.scroll_id);
        }
        Ok(found)
    }

    pub(super) async fn close(&mut self, backend: &ClusterBackend) {
        let Some(id) = self.0.take() else { return };
        let request = Request::write(Method::Delete, "/_search/scroll").repeatable().accept(404);
        if let Err(error) = backend.client().send(&request.json(&json!({"scroll_id": [id]}))).await {
            tracing::debug!(%error, "a scroll was not closed; the cluster does it later");
        }
    }
}
