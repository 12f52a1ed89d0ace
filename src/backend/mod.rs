//! Layer 4: where events are searched.
//!
//! What it is: the [`Backend`] seam and its implementations over the embedded store and over
//! documents in memory.
//! What it is not: aware of alerts' life or of schedules.
//! Invariant: a backend may prune as it likes, but every hit it returns satisfies the reference
//! evaluator, and it returns all of them.

pub mod aggregate;
mod buckets;
mod cache;
pub mod cluster;
mod distinct;
mod documents;
pub mod join;
mod kernels;
pub mod local;
pub mod memory;
pub mod router;
mod scan;
mod search;
mod source;
mod stream;
mod times;

use std::sync::Arc;

use async_trait::async_trait;

use crate::base::window::Window;
use crate::ecs::document::Document;
use crate::ecs::mapping::Mapping;
use crate::query::plan::Filter;

pub use crate::store::RESTS;
pub use aggregate::{
    AggregateRequest, Bucket, BucketKey, BucketPage, Capabilities, Counted, Each, KeyValue, ScanEnd,
    ScanRequest, Scope,
};
pub use search::SearchOptions;
pub use stream::{EachText, FieldOrder, Streamed, TextHit, stream_hits};

/// Where machine learning jobs record anomalies.
pub const ANOMALIES: &str = ".ml-anomalies-*";

/// Which time of an event decides whether it lies in a window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TimeField {
    /// First choice (`timestamp_override`, or `@timestamp`).
    pub primary: Arc<str>,
    /// Used where the first is missing.
    pub fallback: Option<Arc<str>>,
}

impl TimeField {
    /// `@timestamp` alone.
    pub fn timestamp() -> Self {
        Self { primary: Arc::from("@timestamp"), fallback: None }
    }
}

/// A search for events.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// Index patterns.
    pub indices: Arc<[String]>,
    /// What to match.
    pub filter: Arc<Filter>,
    /// "Now" of date math in the filter.
    pub now: chrono::DateTime<chrono::Utc>,
    /// Time searched, ends included; `None`: all time.
    pub window: Option<Window>,
    /// Time it is searched on, and first sort key.
    pub time: TimeField,
    /// The event counts as having no ingest time when it was ingested after the window: the
    /// `event` clock of `--clock`.
    pub event_clock: bool,
    /// Most hits wanted in this page.
    pub size: usize,
    /// Where the last page ended.
    pub after: Option<SortKey>,
    /// Newest first instead of oldest first.
    pub descending: bool,
}

/// Total order of hits: primary time, then `@timestamp`, then index and id. Milliseconds; events
/// without the primary time sort last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey {
    /// Primary time, ms; `i64::MAX` where missing.
    pub primary: i64,
    /// `@timestamp`, ms.
    pub timestamp: i64,
    /// Index.
    pub index: Arc<str>,
    /// `_id`.
    pub id: Arc<str>,
}

/// One event found.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The event.
    pub document: Document,
    /// Its place in the order.
    pub sort: SortKey,
}

/// A page of hits.
#[derive(Debug, Clone, Default)]
pub struct HitPage {
    /// Hits in order.
    pub hits: Vec<Hit>,
    /// Number of events that match in the whole window (not only this page).
    pub total: u64,
    /// How many concrete indices the patterns named; 0 means "no data source".
    pub indices: usize,
}

/// A page of places of hits, for those who need no documents.
#[derive(Debug, Clone, Default)]
pub struct PlacePage {
    /// Places in order.
    pub places: Vec<SortKey>,
    /// Number of events that match in the whole window (not only this page).
    pub total: u64,
    /// How many concrete indices the patterns named.
    pub indices: usize,
}

/// Why a search failed.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Stored events could not be read.
    #[error(transparent)]
    Read(#[from] crate::store::batch::ReadError),
    /// The backend cannot do this.
    #[error("{0}")]
    Unsupported(String),
    /// Anything else, in words.
    #[error("{0}")]
    Failed(String),
}

/// Names one document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DocumentRef {
    /// Its concrete index.
    pub index: Arc<str>,
    /// Its `_id`.
    pub id: Arc<str>,
}

/// Where events live.
///
/// Everything here can be asked of Elasticsearch and OpenSearch without scripts; see
/// [`AggregateRequest`].
#[async_trait]
pub trait Backend: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;
    /// The embedded store behind it, when that is what serves these patterns: what it can do better
    /// than others, such as streaming, may be asked of it.
    fn embedded(&self, indices: &[String]) -> Option<&local::LocalBackend> {
        let _ = indices;
        None
    }
    /// Forgets what was not used for the last minutes, [`RESTS`] of them; a service calls it every
    /// minute. Never changes a result.
    fn rest(&self) {}
    /// Types of the fields of the indices that `indices` names.
    async fn mapping(&self, indices: &[String]) -> Result<Arc<Mapping>, BackendError>;
    /// One page of hits.
    async fn search(&self, request: SearchRequest) -> Result<HitPage, BackendError>;
    /// Where the hits of one page are, without reading them. The page may be smaller than was asked
    /// for though there are more; the last one is empty.
    async fn places(&self, request: SearchRequest) -> Result<PlacePage, BackendError> {
        let size = request.size.min(crate::base::limits::PAGE_HITS);
        let HitPage { hits, total, indices } = self.search(SearchRequest { size, ..request }).await?;
        Ok(PlacePage { places: hits.into_iter().map(|hit| hit.sort).collect(), total, indices })
    }
    /// Many first pages at once, in the order asked: one scan where the backend can.
    async fn search_many(&self, requests: Vec<SearchRequest>) -> Vec<Result<HitPage, BackendError>>;
    /// One page of buckets.
    async fn aggregate(&self, request: AggregateRequest) -> Result<BucketPage, BackendError>;
    /// Every event, oldest first, page by page; what is equally old is ordered by index and id.
    async fn scan(&self, request: ScanRequest, each: &mut Each<'_>) -> Result<ScanEnd, BackendError> {
        scan::by_pages(self, request, each).await
    }
    /// Sequences and samples as the backend's own EQL finds them; `None`: it has none, and they are
    /// joined here ([`join::join`]).
    async fn eql(&self, request: &join::NativeRequest) -> Result<Option<join::NativePage>, BackendError> {
        let _ = request;
        Ok(None)
    }
    /// Whether it keeps anomalies that machine learning jobs recorded, in indices that [`ANOMALIES`]
    /// names.
    async fn anomalies(&self) -> Result<bool, BackendError> {
        Ok(false)
    }
    /// Documents by name, in the order asked; `None` where there is none.
    async fn get(&self, names: &[DocumentRef]) -> Result<Vec<Option<Document>>, BackendError>;
}
