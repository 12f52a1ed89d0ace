//! The embedded store as a backend.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::aggregate::{KeyValue, Scope};
use super::memory::MemoryBatch;
use super::search::{SearchOptions, Searcher, finish, groups};
use super::source::Source;
use super::times::{INGESTED, TIMESTAMP};
use super::{
    AggregateRequest, Backend, BackendError, BucketPage, Capabilities, DocumentRef, Each, EachText,
    FieldOrder, HitPage, PlacePage, ScanEnd, ScanRequest, SearchRequest, Streamed,
};
use crate::ecs::document::Document;
use crate::ecs::mapping::Mapping;
use crate::store::batch::Batch;
use crate::store::state::{StateDb, alerts_index};
use crate::store::{Snapshot, Store, TimeBounds};

/// The space whose alerts `.alerts-security*` reads when a pattern names no other.
const SPACE: &str = "default";
/// What the names of all alerts indices begin with.
const ALERTS_PREFIX: &str = ".alerts-security.alerts-";

/// Searches the embedded store, and tocsin's own alerts under `.alerts-security*`.
///
/// Cheap to clone; clones share what is remembered.
#[derive(Debug, Clone)]
pub struct LocalBackend {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    state: Option<Arc<StateDb>>,
    searcher: Searcher,
}

impl LocalBackend {
    /// A backend over `store`, and over the alerts in `state`.
    pub fn new(store: Arc<Store>, state: Option<Arc<StateDb>>) -> Self {
        Self::with_options(store, state, SearchOptions::default())
    }

    /// The same with chosen caches.
    pub fn with_options(store: Arc<Store>, state: Option<Arc<StateDb>>, options: SearchOptions) -> Self {
        Self { inner: Arc::new(Inner { store, state, searcher: Searcher::new(options) }) }
    }

    /// Answers requests without an async runtime, in the order asked.
    pub fn search_many_now(&self, requests: &[SearchRequest]) -> Vec<Result<HitPage, BackendError>> {
        self.inner.search_many(requests)
    }

    /// Hands the events that match to `each` in the order of time, or of `order`, `request.size` at
    /// most, and counts all. Only a page of them is held, and what is read is not remembered.
    /// Blocks; `request.after` is not looked at.
    ///
    /// # Errors
    /// As [`Backend::search`].
    pub fn stream(
        &self,
        request: &SearchRequest,
        order: Option<&FieldOrder>,
        each: &mut EachText<'_>,
    ) -> Result<Streamed, BackendError> {
        let inner = &self.inner;
        let snapshot = inner.store.snapshot().map_err(|error| BackendError::Failed(error.to_string()))?;
        let source = inner.source(&snapshot.for_one_pass(), &[request])?;
        match order {
            None => inner.searcher.stream(source, request, each),
            Some(order) => inner.searcher.stream_ordered(&source, request, order, each),
        }
    }

    /// Shows the values that `field` has in the events of `scope` to `each`, with what it makes of
    /// them, until it wants no more. A value may come more than once.
    ///
    /// # Errors
    /// When events cannot be read.
    pub async fn distinct<T: Send + 'static>(
        &self,
        scope: Scope,
        field: Arc<str>,
        mut made: T,
        each: fn(&mut T, &KeyValue) -> bool,
    ) -> Result<T, BackendError> {
        let work = move |inner: &Inner| {
            let source = inner.source_of(&scope.search(0))?;
            inner.searcher.distinct(&source, &scope, &field, &mut |value| each(&mut made, value))?;
            Ok(made)
        };
        self.off(work).await?
    }

    /// Equal as long as the events of `scope`'s indices and their mapping are, within one run of the
    /// program.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn content(&self, scope: Scope) -> Result<u64, BackendError> {
        self.off(move |inner| Ok(inner.source_of(&scope.search(0))?.content())).await?
    }

    /// Runs `work` where it may take long: off the runtime's workers when there is a runtime.
    async fn off<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, BackendError> {
        let inner = self.inner.clone();
        match tokio::runtime::Handle::try_current() {
            Err(_) => Ok(work(&inner)),
            Ok(runtime) => runtime
                .spawn_blocking(move || work(&inner))
                .await
                .map_err(|error| BackendError::Failed(format!("the search did not end: {error}"))),
        }
    }
}

impl Inner {
    fn search_many(&self, requests: &[SearchRequest]) -> Vec<Result<HitPage, BackendError>> {
        let snapshot = match self.store.snapshot() {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let failed = || Err(BackendError::Failed(error.to_string()));
                return requests.iter().map(|_| failed()).collect();
            }
        };
        let mut answers = Vec::new();
        answers.resize_with(requests.len(), || None);
        for group in groups(requests) {
            let asked: Vec<&SearchRequest> = group.iter().filter_map(|n| requests.get(*n)).collect();
            match self.source(&snapshot, &asked) {
                Ok(source) => self.searcher.answer(&source, requests, &group, &mut answers),
                Err(error) => {
                    for number in group {
                        if let Some(slot) = answers.get_mut(number) {
                            *slot = Some(Err(BackendError::Failed(error.to_string())));
                        }
                    }
                }
            }
        }
        finish(answers)
    }

    /// What one request sees.
    fn source_of(&self, request: &SearchRequest) -> Result<Source, BackendError> {
        let snapshot = self.store.snapshot().map_err(|error| BackendError::Failed(error.to_string()))?;
        self.source(&snapshot, &[request])
    }

    fn aggregate(&self, request: &AggregateRequest) -> Result<BucketPage, BackendError> {
        let source = self.source_of(&request.scope.search(0))?;
        self.searcher.aggregate(&source, request)
    }

    fn scan(&self, request: &ScanRequest, each: &mut Each<'_>) -> Result<ScanEnd, BackendError> {
        let source = self.source_of(&request.scope.search(0))?;
        self.searcher.scan(&source, request, each)
    }

    fn get(&self, names: &[DocumentRef]) -> Result<Vec<Option<Document>>, BackendError> {
        let snapshot = self.store.snapshot().map_err(|error| BackendError::Failed(error.to_string()))?;
        let mut indices: Vec<Arc<str>> = names.iter().map(|name| Arc::clone(&name.index)).collect();
        indices.sort();
        indices.dedup();
        let mut batches = snapshot.batches(&indices, TimeBounds::default());
        if let Some(state) = &self.state {
            for space in indices.iter().filter_map(|index| index.strip_prefix(ALERTS_PREFIX)) {
                let documents = state
                    .alert_documents(space, None)
                    .map_err(|error| BackendError::Failed(error.to_string()))?;
                if !documents.is_empty() {
                    batches.push(Arc::new(MemoryBatch::new(documents, &Mapping::ecs())));
                }
            }
        }
        super::documents::by_name(&batches, names)
    }

    /// What requests with equal index patterns see.
    fn source(&self, snapshot: &Snapshot, requests: &[&SearchRequest]) -> Result<Source, BackendError> {
        let (names, now) = match requests.first() {
            Some(first) => (&first.indices[..], first.now),
            None => (&[][..], DateTime::<Utc>::UNIX_EPOCH),
        };
        let indices = snapshot.resolve(names, now);
        let mut batches: Vec<Arc<dyn Batch>> = Vec::new();
        let mut seen = HashSet::new();
        for bounds in bounds(requests) {
            for batch in snapshot.batches(&indices, bounds) {
                if seen.insert(batch.key()) {
                    batches.push(batch);
                }
            }
        }
        let mapping = if indices.is_empty() { Arc::new(Mapping::ecs()) } else { snapshot.mapping(&indices) };
        let mut count = indices.len();
        if let Some(state) = &self.state {
            let known = if names_alerts(names) {
                state.alert_spaces().map_err(|error| BackendError::Failed(error.to_string()))?
            } else {
                Vec::new()
            };
            for space in alert_spaces(names, &known) {
                count += 1;
                let documents = state
                    .alert_documents(&space, timestamps(requests))
                    .map_err(|error| BackendError::Failed(error.to_string()))?;
                if !documents.is_empty() {
                    batches.push(Arc::new(MemoryBatch::new(documents, &mapping)));
                }
            }
        }
        Ok(Source::new(count, batches, mapping, |index| snapshot.mapping_of(index)))
    }
}

/// Bounds that together let through every event in time for some request.
fn bounds(requests: &[&SearchRequest]) -> Vec<TimeBounds> {
    let mut by_timestamp: Option<(i64, i64)> = None;
    let mut by_ingested: Option<(i64, i64)> = None;
    for request in requests {
        let Some(window) = request.window else { return vec![TimeBounds::default()] };
        let (from, to) = (window.from.timestamp_millis(), window.to.timestamp_millis());
        for name in std::iter::once(&request.time.primary).chain(&request.time.fallback) {
            let hull = match &**name {
                TIMESTAMP => &mut by_timestamp,
                INGESTED => &mut by_ingested,
                _ => return vec![TimeBounds::default()],
            };
            *hull = Some(hull.map_or((from, to), |(a, b)| (a.min(from), b.max(to))));
        }
    }
    let mut out = Vec::new();
    if by_timestamp.is_some() {
        out.push(TimeBounds { timestamp: by_timestamp, ingested: None });
    }
    if by_ingested.is_some() {
        out.push(TimeBounds { timestamp: None, ingested: by_ingested });
    }
    out
}

/// The hull of all windows, when every request reads `@timestamp` alone.
fn timestamps(requests: &[&SearchRequest]) -> Option<(i64, i64)> {
    match bounds(requests).as_slice() {
        [TimeBounds { timestamp, ingested: None }] => *timestamp,
        _ => None,
    }
}

/// Whether the patterns may name indices of alerts.
fn names_alerts(patterns: &[String]) -> bool {
    patterns.iter().flat_map(|list| list.split(',')).any(|pattern| pattern.trim().starts_with('.'))
}

/// The spaces, of those that have alerts (`known`), whose alerts index the patterns name. As Elasticsearch's hidden indices, they are
/// named only by patterns that begin with a dot.
fn alert_spaces(patterns: &[String], known: &[String]) -> Vec<String> {
    let patterns: Vec<&str> = patterns.iter().flat_map(|p| p.split(',')).map(str::trim).collect();
    let mut names = vec![alerts_index(SPACE)];
    names.extend(known.iter().map(|space| alerts_index(space)));
    names.extend(
        patterns.iter().filter(|p| p.starts_with(ALERTS_PREFIX) && !p.contains('*')).map(|p| (*p).to_owned()),
    );
    names.sort();
    names.dedup();
    let dotted: Vec<String> = patterns
        .iter()
        .filter(|p| p.trim_start_matches('-').starts_with('.'))
        .map(|p| (*p).to_owned())
        .collect();
    let names: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
    let found = crate::store::pattern::resolve(&dotted, DateTime::<Utc>::UNIX_EPOCH, names.iter());
    found.iter().filter_map(|name| name.strip_prefix(ALERTS_PREFIX)).map(str::to_owned).collect()
}

#[async_trait]
impl Backend for LocalBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "the embedded store", eql: false, esql: false, lenient: true }
    }

    fn embedded(&self, _indices: &[String]) -> Option<&LocalBackend> {
        Some(self)
    }

    fn rest(&self) {
        self.inner.store.rest();
        self.inner.searcher.rest();
    }

    async fn mapping(&self, indices: &[String]) -> Result<Arc<Mapping>, BackendError> {
        let snapshot =
            self.inner.store.snapshot().map_err(|error| BackendError::Failed(error.to_string()))?;
        // Names with date math were resolved for the search; the mapping hardly depends on the day.
        let names = snapshot.resolve(indices, DateTime::<Utc>::UNIX_EPOCH);
        Ok(if names.is_empty() { Arc::new(Mapping::ecs()) } else { snapshot.mapping(&names) })
    }

    async fn search(&self, request: SearchRequest) -> Result<HitPage, BackendError> {
        let mut pages = self.off(move |inner| inner.search_many(std::slice::from_ref(&request))).await?;
        pages.pop().unwrap_or_else(|| Err(BackendError::Failed("the request was not answered".to_owned())))
    }

    async fn places(&self, request: SearchRequest) -> Result<PlacePage, BackendError> {
        self.off(move |inner| {
            let source = inner.source_of(&request)?;
            inner.searcher.places(&source, &request)
        })
        .await?
    }

    async fn search_many(&self, requests: Vec<SearchRequest>) -> Vec<Result<HitPage, BackendError>> {
        let count = requests.len();
        match self.off(move |inner| inner.search_many(&requests)).await {
            Ok(pages) => pages,
            Err(error) => {
                let failed = || Err(BackendError::Failed(error.to_string()));
                (0..count).map(|_| failed()).collect()
            }
        }
    }

    async fn aggregate(&self, request: AggregateRequest) -> Result<BucketPage, BackendError> {
        self.off(move |inner| inner.aggregate(&request)).await?
    }

    async fn scan(&self, request: ScanRequest, each: &mut Each<'_>) -> Result<ScanEnd, BackendError> {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return self.inner.scan(&request, each);
        };
        let (pages, mut taken) = tokio::sync::mpsc::channel(1);
        let inner = Arc::clone(&self.inner);
        let work = runtime.spawn_blocking(move || {
            // Who takes the pages stops the scan by hanging up.
            inner.scan(&request, &mut |page| match pages.blocking_send(page) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
        });
        let mut handed = 0;
        while let Some(page) = taken.recv().await {
            handed += page.len() as u64;
            if each(page).is_break() {
                taken.close();
                let end = work
                    .await
                    .map_err(|error| BackendError::Failed(format!("the scan did not end: {error}")))??;
                return Ok(ScanEnd { events: handed, stopped: true, ..end });
            }
        }
        work.await.map_err(|error| BackendError::Failed(format!("the scan did not end: {error}")))?
    }

    async fn get(&self, names: &[DocumentRef]) -> Result<Vec<Option<Document>>, BackendError> {
        let names = names.to_vec();
        self.off(move |inner| inner.get(&names)).await?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;

    use super::{LocalBackend, alert_spaces};
    use crate::backend::{SearchRequest, TimeField};
    use crate::base::window::{Window, iso_millis};
    use crate::query::lang::kql::parse_filter;
    use crate::store::state::{AlertRow, BacklogCounts, ExecutionCommit, ExecutionRecord, StateDb, Status};
    use crate::store::{Store, StoreOptions};

    #[test]
    fn alerts_are_found_by_dotted_patterns_alone() {
        let spaces = |patterns: &[&str]| {
            alert_spaces(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>(), &[]).join(" ")
        };
        assert_eq!(spaces(&[".alerts-security*"]), "default");
        assert_eq!(spaces(&["logs-*,.alerts-security.alerts-default"]), "default");
        assert_eq!(spaces(&[".alerts-security.alerts-soc"]), "soc");
        assert_eq!(spaces(&["*"]), "");
        assert_eq!(spaces(&[".alerts-*", "-.alerts-security*"]), "");
    }

    /// An alert of rule `r` as an execution leaves it.
    fn alert(number: i64) -> ExecutionCommit {
        let at = DateTime::from_timestamp_millis(1_000 * number).expect("in range");
        let document = serde_json::json!({
            "@timestamp": iso_millis(at),
            "kibana.alert.rule.name": if number % 2 == 0 { "even" } else { "odd" },
        });
        let row = AlertRow {
            id: format!("alert-{number}").into(),
            space: "default".into(),
            rule_uuid: "u".into(),
            rule_id: "r".into(),
            timestamp: at,
            original_time: None,
            severity: "low".into(),
            building_block: false,
            counted: true,
            document: document.to_string(),
        };
        let record = ExecutionRecord {
            timings: crate::store::state::Timings::default(),
            sources: Vec::new(),
            rule_id: "r".into(),
            rule_name: "r".into(),
            rule_type: "query".into(),
            status: Status::Succeeded,
            from: None,
            to: None,
            candidates: 1,
            alerts: 1,
            duplicates: 0,
            suppressed: 0,
            excepted: None,
            capped: 0,
            warnings: Vec::new(),
            error: None,
            took_ms: 1,
            execution_id: "e".into(),
            rule_uuid: "u".into(),
            slot: iso_millis(at),
            started_at: iso_millis(at),
            clock: "event".into(),
            trigger: "scheduled".into(),
            backlog: BacklogCounts::default(),
        };
        ExecutionCommit {
            record,
            alerts: vec![row],
            state: None,
            kept: Vec::new(),
            settled: Vec::new(),
            updates: Vec::new(),
            memory: Vec::new(),
            turns: Vec::new(),
        }
    }

    #[test]
    fn a_rule_on_alerts_sees_the_alerts_in_its_window() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Store::open(dir.path(), StoreOptions::default()).expect("a store"));
        let state = Arc::new(StateDb::open(dir.path()).expect("a database"));
        let backend = LocalBackend::new(store, Some(state.clone()));
        let at = |ms| DateTime::from_timestamp_millis(ms).expect("in range");
        let request = |indices: &str| SearchRequest {
            indices: Arc::from([indices.to_owned()]),
            filter: Arc::new(parse_filter("kibana.alert.rule.name: even").expect("a query")),
            now: at(0),
            window: Some(Window::new(at(2_000), at(8_000))),
            time: TimeField::timestamp(),
            event_clock: false,
            size: 10,
            after: None,
            descending: false,
        };
        let ids = |indices: &str| {
            let page = backend.search_many_now(&[request(indices)]).remove(0).expect("a page");
            let ids = page.hits.iter().map(|hit| hit.document.id.to_string()).collect::<Vec<_>>();
            (page.indices, ids.join(" "))
        };
        assert_eq!(ids(".alerts-security*"), (1, String::new()));
        state.commit((1..=6).map(alert).collect()).expect("committed");
        assert_eq!(ids(".alerts-security*"), (1, "alert-2 alert-4 alert-6".to_owned()));
        state.commit((7..=9).map(alert).collect()).expect("committed");
        assert_eq!(ids(".alerts-security*"), (1, "alert-2 alert-4 alert-6 alert-8".to_owned()));
        assert_eq!(ids("logs-*"), (0, String::new()), "no data source");
    }
}
