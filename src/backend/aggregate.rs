//! Requests beyond pages of hits: events grouped by their values, and all events in time order.

use std::cmp::Ordering;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::buckets::key_value;
use super::{Hit, SearchRequest, TimeField};
use crate::base::window::Window;
use crate::ecs::mapping::Field;
use crate::query::plan::Filter;

/// Which events a request is about.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Index patterns.
    pub indices: Arc<[String]>,
    /// What to match.
    pub filter: Arc<Filter>,
    /// "Now" of date math in the filter.
    pub now: DateTime<Utc>,
    /// Time searched, ends included; `None`: all time.
    pub window: Option<Window>,
    /// Time it is searched on.
    pub time: TimeField,
    /// As [`SearchRequest::event_clock`].
    pub event_clock: bool,
}

impl Scope {
    /// The events that `request` searches.
    pub fn of(request: &SearchRequest) -> Self {
        Self {
            indices: Arc::clone(&request.indices),
            filter: Arc::clone(&request.filter),
            now: request.now,
            window: request.window,
            time: request.time.clone(),
            event_clock: request.event_clock,
        }
    }

    /// The first page of them, oldest first.
    pub fn search(&self, size: usize) -> SearchRequest {
        SearchRequest {
            indices: Arc::clone(&self.indices),
            filter: Arc::clone(&self.filter),
            now: self.now,
            window: self.window,
            time: self.time.clone(),
            event_clock: self.event_clock,
            size,
            after: None,
            descending: false,
        }
    }
}

/// Groups events into buckets by the values of some fields.
///
/// A cluster answers with a composite aggregation and needs no script: `min_count` and the least
/// `cardinality` may be judged on the buckets that come back; `keys` and `counted` are filters
/// (terms of the fields, or a term for each field and a range of time); `first` and `last` are
/// `min` and `max` on the primary time, and where that can be missing a second pair on the
/// fallback inside a filter on events without the primary.
#[derive(Debug, Clone)]
pub struct AggregateRequest {
    /// The events.
    pub scope: Scope,
    /// Fields whose values make the key; none: one bucket of all events. An event with several
    /// values of a field is in a bucket for each, with several fields for each combination.
    pub group_by: Arc<[Arc<str>]>,
    /// Whether events without one of the fields are in buckets with [`KeyValue::Missing`] in its
    /// place; otherwise they are in none.
    pub missing: bool,
    /// Only buckets with these keys; `None`: all.
    pub keys: Option<Arc<[BucketKey]>>,
    /// Events that do not count, because they did before: under none of their values.
    pub counted: Arc<[Counted]>,
    /// Least number of events of a bucket.
    pub min_count: u64,
    /// A field whose distinct values are counted, and the least number of them a bucket has.
    pub cardinality: Option<(Arc<str>, u64)>,
    /// How many of its oldest events each bucket brings along.
    pub top: usize,
    /// Where the last page ended.
    pub after: Option<BucketKey>,
    /// Buckets wanted in this page; a backend to which more cost nothing returns more.
    pub size: usize,
}

impl AggregateRequest {
    /// All buckets of `scope` by `group_by`, without events that lack a field.
    pub fn new(scope: Scope, group_by: Arc<[Arc<str>]>) -> Self {
        Self {
            scope,
            group_by,
            missing: false,
            keys: None,
            counted: Arc::from([]),
            min_count: 1,
            cardinality: None,
            top: 0,
            after: None,
            size: 10_000,
        }
    }
}

/// Events of one key in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The key.
    pub key: BucketKey,
    /// Time of the first of them, ms.
    pub first: i64,
    /// Time of the last, ms.
    pub last: i64,
}

/// The values of a bucket, in the order of the fields it is grouped by.
pub type BucketKey = Arc<[KeyValue]>;

/// One value of a [`BucketKey`], as the field's type reads it: two spellings of a number or an
/// address are one value. Ordered as a composite aggregation orders its keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyValue {
    /// The field is missing.
    Missing,
    /// Of a boolean field.
    Bool(bool),
    /// Of an integer field; of a date, ms since the epoch.
    Whole(i128),
    /// Of a field of floats.
    Float(Float),
    /// Of any other field; an address in its canonical form.
    Text(Arc<str>),
}

impl KeyValue {
    /// The value in JSON; `null` where missing.
    pub fn json(&self) -> Value {
        match self {
            Self::Missing => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Whole(value) => i64::try_from(*value)
                .map(Value::from)
                .or_else(|_| u64::try_from(*value).map(Value::from))
                .unwrap_or(Value::Null),
            Self::Float(value) => Value::from(value.0),
            Self::Text(text) => Value::from(&**text),
        }
    }

    /// The value as JavaScript prints it; empty where missing.
    pub fn text(&self) -> String {
        match self {
            Self::Missing => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Whole(value) => value.to_string(),
            Self::Float(value) => value.0.to_string(),
            Self::Text(text) => text.to_string(),
        }
    }
}

/// The value of a bucket's key that a JSON value is in `field`; `None`: the field's type cannot
/// hold it.
pub fn key_of(field: &Field, value: &Value) -> Option<KeyValue> {
    match value {
        Value::Null => Some(KeyValue::Missing),
        Value::String(text) => key_value(field, text),
        Value::Bool(value) => key_value(field, &value.to_string()),
        Value::Number(value) => key_value(field, &value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// A float with a total order.
#[derive(Debug, Clone, Copy)]
pub struct Float(pub f64);

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Float {}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl std::hash::Hash for Float {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// Events with equal values.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// The values.
    pub key: BucketKey,
    /// Number of events.
    pub count: u64,
    /// Time of the first, ms: the primary time, the fallback where that is missing.
    pub first: i64,
    /// Time of the last, ms.
    pub last: i64,
    /// Number of distinct values, when it was asked for.
    pub distinct: Option<u64>,
    /// Its oldest events, in order.
    pub top: Vec<Hit>,
}

/// A page of buckets.
#[derive(Debug, Clone, Default)]
pub struct BucketPage {
    /// In the order of their keys.
    pub buckets: Vec<Bucket>,
    /// How many concrete indices the patterns named.
    pub indices: usize,
    /// Where the next page goes on; `None`: this was the last.
    pub after: Option<BucketKey>,
}

/// Asks for every event, in time order.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// The events.
    pub scope: Scope,
    /// Fields that are needed; `None`: all. A hint: a source may hold more.
    pub fields: Option<Arc<[Arc<str>]>>,
    /// About how many events are handed over at a time.
    pub page: usize,
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanEnd {
    /// How many events were handed over.
    pub events: u64,
    /// How many concrete indices the patterns named.
    pub indices: usize,
    /// Whether it was told to stop.
    pub stopped: bool,
}

/// Takes the pages of a scan; [`std::ops::ControlFlow::Break`] ends it.
pub type Each<'a> = dyn FnMut(Vec<Hit>) -> std::ops::ControlFlow<()> + Send + 'a;

/// What a backend can do beyond searching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Its name in messages: `embedded store`, `memory`, `Elasticsearch` …
    pub name: &'static str,
    /// It runs EQL itself.
    pub eql: bool,
    /// It runs ES|QL itself.
    pub esql: bool,
    /// A part of a query that asks what a field cannot be matches nothing, where others refuse the
    /// query.
    pub lenient: bool,
}
