//! Buckets as a composite aggregation answers them: no scripts, page by page in the order of keys.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::aggregate::key_of;
use super::super::{
    AggregateRequest, BackendError, Bucket, BucketKey, BucketPage, Counted, KeyValue, SearchRequest,
};
use super::ask::{Found, Prepared};
use super::query::{in_time, sort};
use super::{ClusterBackend, failed};
use crate::ecs::mapping::Field;
use crate::ecs::types::FieldType;

/// Most buckets of one answer: below `search.max_buckets` of every version with what lies in them.
const BUCKETS: usize = 1_000;
/// Most keys that one question names.
const KEYS: usize = 250;
/// Most events that a bucket brings along (`index.max_inner_result_window`).
const TOP: usize = 100;
/// Distinct values up to which they are counted exactly.
const EXACT_DISTINCT: u32 = 40_000;

/// One page of buckets.
pub(super) async fn aggregate(
    backend: &ClusterBackend,
    request: &AggregateRequest,
) -> Result<BucketPage, BackendError> {
    let search = request.scope.search(0);
    let indices = backend.indices(&search.indices).await?;
    if indices.count == 0 {
        return Ok(BucketPage::default());
    }
    let prepared = Prepared::new(&search, indices);
    if !prepared.pushed.exact {
        return Err(BackendError::Unsupported(
            "the rule's query has more conditions than a cluster takes in an aggregation".to_owned(),
        ));
    }
    let asker = Asker::new(backend, request, &search, &prepared);
    let Some(keys) = &request.keys else { return asker.page(request.after.as_ref(), None).await };
    // What is asked by key is answered whole: there are only so many.
    let mut page = BucketPage { indices: prepared.indices.count, ..BucketPage::default() };
    let mut keys = keys.to_vec();
    keys.sort();
    let ordered = asker.ordered();
    let mut before: Option<BucketKey> = None;
    for keys in keys.chunks(KEYS) {
        // Where buckets come in the order of keys, those around the wanted ones are not asked for.
        let mut after = before.take().filter(|_| ordered);
        let last = keys.last();
        before = last.cloned();
        loop {
            let part = asker.page(after.as_ref(), Some(keys)).await?;
            // An event with several values is in the buckets of all of them, asked for or not.
            page.buckets.extend(part.buckets.into_iter().filter(|bucket| keys.contains(&bucket.key)));
            match part.after {
                Some(next) if !ordered || Some(&next) < last => after = Some(next),
                _ => break,
            }
        }
    }
    page.buckets.sort_by(|a, b| a.key.cmp(&b.key));
    page.buckets.dedup_by(|a, b| a.key == b.key);
    if let Some(after) = &request.after {
        page.buckets.retain(|bucket| bucket.key > *after);
    }
    Ok(page)
}

struct Asker<'a> {
    backend: &'a ClusterBackend,
    request: &'a AggregateRequest,
    search: &'a SearchRequest,
    prepared: &'a Prepared<'a>,
    fields: Vec<Option<Field>>,
}

#[derive(Debug, Deserialize)]
struct Composite {
    #[serde(default)]
    buckets: Vec<RawBucket>,
    after_key: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct RawBucket {
    key: Map<String, Value>,
    doc_count: u64,
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Debug, Default, Deserialize)]
struct Inner {
    first: Option<Number>,
    last: Option<Number>,
    fallback: Option<Fallback>,
    distinct: Option<Number>,
    top: Option<Found>,
}

#[derive(Debug, Deserialize)]
struct Fallback {
    first: Option<Number>,
    last: Option<Number>,
}

#[derive(Debug, Deserialize)]
struct Number {
    value: Option<f64>,
}

impl Number {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "milliseconds and counts are whole, and casts saturate"
    )]
    fn whole(self) -> Option<i64> {
        self.value.map(|value| value as i64)
    }
}

impl<'a> Asker<'a> {
    fn new(
        backend: &'a ClusterBackend,
        request: &'a AggregateRequest,
        search: &'a SearchRequest,
        prepared: &'a Prepared<'a>,
    ) -> Self {
        let fields = request.group_by.iter().map(|name| prepared.indices.mapping.resolve(name)).collect();
        Self { backend, request, search, prepared, fields }
    }

    /// Whether the cluster orders buckets as keys are ordered here, where addresses are texts.
    fn ordered(&self) -> bool {
        let plain = |field: &Field| {
            !field.conflicting()
                && !matches!(
                    field.kind,
                    FieldType::Ip | FieldType::Other | FieldType::Version | FieldType::GeoPoint
                )
        };
        self.fields.iter().all(|field| field.as_ref().is_some_and(plain))
    }

    async fn page(
        &self,
        after: Option<&BucketKey>,
        keys: Option<&[BucketKey]>,
    ) -> Result<BucketPage, BackendError> {
        let size = self.request.size.clamp(1, BUCKETS);
        let mut filters = vec![in_time(self.prepared.pushed.query.clone(), self.search)];
        if let Some(keys) = keys {
            let each: Vec<Value> = keys.iter().map(|key| self.has(key)).collect();
            filters.push(json!({"bool": {"should": each, "minimum_should_match": 1}}));
        }
        let counted: Vec<Value> = self.request.counted.iter().map(|counted| self.counted(counted)).collect();
        let alone = self.request.group_by.is_empty();
        let aggregations = if alone { self.inner() } else { self.composite(after, size) };
        let body = json!({
            "size": 0,
            "track_total_hits": alone,
            "query": {"bool": {"filter": filters, "must_not": counted}},
            "aggs": aggregations,
        });
        let found = self.backend.ask(&self.search.indices, &body).await.map_err(|error| failed(&error))?;
        let found = found.whole(self.backend.client().name())?;
        let total = found.total();
        let unreadable = |error: serde_json::Error| {
            BackendError::Failed(format!(
                "cluster `{}`: the buckets it answered with cannot be read: {error}",
                self.backend.client().name()
            ))
        };
        let indices = self.prepared.indices.count;
        if alone {
            let inner: Inner = serde_json::from_value(found.aggregations).map_err(unreadable)?;
            let bucket = self.bucket(Arc::from([]), total, inner);
            let buckets = bucket.into_iter().filter(|bucket| bucket.count > 0).collect();
            return Ok(BucketPage { buckets, indices, after: None });
        }
        let composite = found.aggregations.get("by").cloned().unwrap_or_default();
        let composite: Composite = serde_json::from_value(composite).map_err(unreadable)?;
        let full = composite.buckets.len() >= size;
        let after = composite.after_key.filter(|_| full).and_then(|key| self.key(&key));
        let buckets = composite.buckets.into_iter().filter_map(|raw| {
            let key = self.key(&raw.key)?;
            self.bucket(key, raw.doc_count, raw.inner)
        });
        Ok(BucketPage { buckets: buckets.collect(), indices, after })
    }

    fn composite(&self, after: Option<&BucketKey>, size: usize) -> Value {
        let sources: Vec<Value> = (0..)
            .zip(self.request.group_by.iter())
            .map(|(place, field)| {
                json!({ source(place): {"terms": {"field": &**field, "missing_bucket": self.request.missing}}})
            })
            .collect();
        let mut composite = json!({"size": size, "sources": sources});
        if let (Some(after), Some(object)) = (after, composite.as_object_mut()) {
            let key: Map<String, Value> =
                (0..).zip(after.iter()).map(|(place, value)| (source(place), value.json())).collect();
            object.insert("after".to_owned(), Value::Object(key));
        }
        json!({"by": {"composite": composite, "aggs": self.inner()}})
    }

    /// What is asked of each bucket.
    fn inner(&self) -> Value {
        let time = &self.request.scope.time;
        let primary = &*time.primary;
        let mut inner = json!({"first": {"min": {"field": primary}}, "last": {"max": {"field": primary}}});
        let Some(object) = inner.as_object_mut() else { return inner };
        if let Some(fallback) = time.fallback.as_deref().filter(|name| *name != primary) {
            object.insert(
                "fallback".to_owned(),
                json!({
                    "filter": {"bool": {"must_not": [{"exists": {"field": primary}}]}},
                    "aggs": {"first": {"min": {"field": fallback}}, "last": {"max": {"field": fallback}}},
                }),
            );
        }
        if let Some((field, _)) = &self.request.cardinality {
            let count = json!({"cardinality": {"field": &**field, "precision_threshold": EXACT_DISTINCT}});
            object.insert("distinct".to_owned(), count);
        }
        if self.request.top > 0 {
            let size = self.request.top.min(TOP);
            object.insert("top".to_owned(), json!({"top_hits": {"size": size, "sort": sort(self.search)}}));
        }
        inner
    }

    fn bucket(&self, key: BucketKey, count: u64, inner: Inner) -> Option<Bucket> {
        let Inner { first, last, fallback, distinct, top } = inner;
        let time = |number: Option<Number>| number.and_then(Number::whole);
        let (lower, upper) = fallback.map_or((None, None), |f| (time(f.first), time(f.last)));
        let first = time(first).into_iter().chain(lower).min().unwrap_or(i64::MAX);
        let last = time(last).into_iter().chain(upper).max().unwrap_or(i64::MAX);
        let distinct = self.request.cardinality.as_ref().map(|_| {
            distinct.and_then(Number::whole).and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
        });
        let enough = count >= self.request.min_count
            && match (&self.request.cardinality, distinct) {
                (Some((_, least)), Some(distinct)) => distinct >= *least,
                _ => true,
            };
        if !enough {
            return None;
        }
        let top = top.map(|found| self.prepared.hits(found)).unwrap_or_default();
        Some(Bucket { key, count, first, last, distinct, top })
    }

    /// A key that the cluster answered with; `None` when a value is none of its field's type.
    fn key(&self, raw: &Map<String, Value>) -> Option<BucketKey> {
        let values = (0..).zip(&self.fields).map(|(place, field)| {
            let value = raw.get(&source(place)).unwrap_or(&Value::Null);
            match field {
                Some(field) => key_of(field, value),
                None => value.is_null().then_some(KeyValue::Missing),
            }
        });
        values.collect::<Option<Vec<KeyValue>>>().map(Into::into)
    }

    /// The events of a key.
    fn has(&self, key: &BucketKey) -> Value {
        let clauses = self.request.group_by.iter().zip(key.iter()).map(|(field, value)| match value {
            KeyValue::Missing => json!({"bool": {"must_not": [{"exists": {"field": &**field}}]}}),
            value => json!({"term": {&**field: {"value": value.json()}}}),
        });
        json!({"bool": {"filter": clauses.collect::<Vec<_>>()}})
    }

    /// The events that counted before.
    fn counted(&self, counted: &Counted) -> Value {
        let time = &self.request.scope.time;
        let lies_in = |field: &str| json!({"range": {field: {"gte": counted.first, "lte": counted.last, "format": "epoch_millis"}}});
        let primary = &*time.primary;
        let within = match time.fallback.as_deref().filter(|name| *name != primary) {
            None => lies_in(primary),
            Some(fallback) => json!({"bool": {"should": [
                lies_in(primary),
                {"bool": {"filter": [lies_in(fallback)], "must_not": [{"exists": {"field": primary}}]}},
            ], "minimum_should_match": 1}}),
        };
        json!({"bool": {"filter": [self.has(&counted.key), within]}})
    }
}

fn source(place: usize) -> String {
    format!("k{place}")
}
