//! One search as a cluster answers it, and many in one request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::times::TIMESTAMP;
use super::super::{BackendError, Hit, HitPage, SearchRequest, SortKey};
use super::mapping::Indices;
use super::page::WINDOW;
use super::query::{Pushed, in_time, push, sort};
use super::{ClusterBackend, failed, grouped, joined, page};
use crate::ecs::document::Document;
use crate::ecs::flat::FlatDoc;
use crate::elastic::{ElasticError, Refusal, Request, segment};
use crate::query::eval::Matcher;
use crate::store::batch::NO_TIME;

/// Most searches in one `_msearch`.
const TOGETHER: usize = 250;
/// Hits of a first page when many rules are asked together: most find nothing or little, and what
/// finds more is read on by itself.
const FIRST: usize = 100;

/// Whole documents asked for at once.
const WHOLE: usize = 1_000;

/// Index and id of a document.
pub(super) type Named = (Arc<str>, Arc<str>);

/// A request ready to be asked.
pub(super) struct Prepared<'r> {
    pub(super) request: &'r SearchRequest,
    pub(super) indices: Indices,
    pub(super) pushed: Pushed,
    pub(super) matcher: Option<Matcher>,
    /// Hits are read without their documents.
    pub(super) names_only: bool,
}

impl<'r> Prepared<'r> {
    pub(super) fn new(request: &'r SearchRequest, indices: Indices) -> Self {
        let pushed = push(&request.filter, &indices.mapping, request.now);
        let matcher =
            (!pushed.exact).then(|| Matcher::compile(&request.filter, &indices.mapping, request.now));
        Self { request, indices, pushed, matcher, names_only: false }
    }

    /// Leaves documents out, unless they are needed to judge whether they are hits; whether it does.
    pub(super) fn name_only(&mut self) -> bool {
        self.names_only = self.matcher.is_none();
        self.names_only
    }

    /// Whether an event that the cluster found is a hit.
    pub(super) fn holds(&self, hit: &Hit) -> bool {
        self.matcher.as_ref().is_none_or(|matcher| {
            matcher.matches(&FlatDoc::from_value(&hit.document.source), Some(&hit.document.source))
        })
    }

    /// The search without its place: what is found, in which order, at most `size`.
    pub(super) fn body(&self, size: usize) -> Value {
        let mut body = json!({
            "size": size,
            "query": in_time(self.pushed.query.clone(), self.request),
            "sort": sort(self.request),
            "track_total_hits": true,
        });
        let Some(object) = body.as_object_mut() else { return body };
        if self.names_only {
            object.insert("_source".to_owned(), json!(false));
        } else if !self.indices.unsourced.is_empty() {
            object.insert("fields".to_owned(), json!(&*self.indices.unsourced));
        }
        body
    }

    /// Hits in the form and order of all backends.
    pub(super) fn hits(&self, found: Found) -> Vec<Hit> {
        found.hits.hits.into_iter().map(|raw| self.hit(raw)).collect()
    }

    fn hit(&self, raw: RawHit) -> Hit {
        let time = |place: usize| raw.sort.get(place).and_then(Value::as_i64);
        // What has no time is at the end that Elasticsearch was told: at either bound of a long.
        let known = |value: Option<i64>| value.filter(|time| *time != i64::MAX && *time != i64::MIN);
        let primary = known(time(0));
        let own = if &*self.request.time.primary == TIMESTAMP { primary } else { known(time(1)) };
        let mut source = raw.source.unwrap_or_else(|| json!({}));
        complete(&mut source, raw.fields);
        let (index, id): (Arc<str>, Arc<str>) = (raw.index.into(), raw.id.into());
        let sort = SortKey {
            primary: primary.unwrap_or(i64::MAX),
            timestamp: own.unwrap_or(NO_TIME),
            index: Arc::clone(&index),
            id: Arc::clone(&id),
        };
        Hit { document: Document::new(index, id, source), sort }
    }
}

impl Prepared<'_> {
    /// Whole documents by index and id, as a search finds them.
    pub(super) async fn whole(
        &self,
        backend: &ClusterBackend,
        names: &[Named],
    ) -> Result<FxHashMap<Named, Document>, BackendError> {
        let mut documents = FxHashMap::default();
        let mut parts: Vec<&[Named]> = names.chunks(WHOLE).collect();
        while let Some(part) = parts.pop() {
            let ids: Vec<&str> = part.iter().map(|(_, id)| &**id).collect();
            let mut body = self.body(WINDOW);
            if let Some(object) = body.as_object_mut() {
                object.insert("query".to_owned(), json!({"bool": {"filter": [{"ids": {"values": ids}}]}}));
            }
            match backend.ask(&self.request.indices, &body).await {
                Ok(found) => {
                    let found = found.whole(backend.client().name())?;
                    for hit in self.hits(found) {
                        let name = (Arc::clone(&hit.document.index), Arc::clone(&hit.document.id));
                        documents.insert(name, hit.document);
                    }
                }
                Err(ElasticError::TooLarge { .. }) if part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([left, right]);
                }
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(documents)
    }
}

/// Adds what lies in no source: values of constants, aliases and computed fields, under the name
/// they were asked by, unless something is there.
fn complete(source: &mut Value, fields: BTreeMap<String, Value>) {
    let Some(object) = source.as_object_mut() else { return };
    for (name, value) in fields {
        if !object.contains_key(&name) && at(object, &name).is_none() {
            let single = match value {
                Value::Array(mut values) if values.len() == 1 => values.pop().unwrap_or_default(),
                other => other,
            };
            object.insert(name, single);
        }
    }
}

fn at<'v>(object: &'v serde_json::Map<String, Value>, name: &str) -> Option<&'v Value> {
    let mut parts = name.split('.');
    let first = object.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

/// What a search answers.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    #[serde(default)]
    timed_out: bool,
    #[serde(default, rename = "_shards")]
    shards: Shards,
    #[serde(default)]
    pub(super) hits: FoundHits,
    #[serde(default)]
    pub(super) pit_id: Option<String>,
    #[serde(default, rename = "_scroll_id")]
    pub(super) scroll_id: Option<String>,
    #[serde(default)]
    pub(super) aggregations: Value,
}

#[derive(Debug, Default, Deserialize)]
struct Shards {
    #[serde(default)]
    failed: u64,
    #[serde(default)]
    failures: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct FoundHits {
    #[serde(default)]
    total: Option<Total>,
    #[serde(default)]
    pub(super) hits: Vec<RawHit>,
}

#[derive(Debug, Deserialize)]
struct Total {
    value: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawHit {
    #[serde(rename = "_index")]
    pub(super) index: String,
    #[serde(rename = "_id")]
    pub(super) id: String,
    #[serde(default, rename = "_source")]
    source: Option<Value>,
    #[serde(default)]
    sort: Vec<Value>,
    #[serde(default)]
    fields: BTreeMap<String, Value>,
}

impl Found {
    /// What was found, without its place in an order.
    pub(super) fn documents(self) -> Vec<Document> {
        let raw = self.hits.hits.into_iter();
        raw.map(|raw| Document::new(raw.index, raw.id, raw.source.unwrap_or_else(|| json!({})))).collect()
    }

    /// How many events there are in all.
    pub(super) fn total(&self) -> u64 {
        self.hits.total.as_ref().map_or(self.hits.hits.len() as u64, |total| total.value)
    }

    /// Refuses an answer that is not whole.
    pub(super) fn whole(self, cluster: &str) -> Result<Self, BackendError> {
        if self.timed_out {
            return Err(BackendError::Failed(format!("cluster `{cluster}`: the search timed out there")));
        }
        if self.shards.failed > 0 {
            let first = self.shards.failures.first().cloned().unwrap_or_default();
            let reason = Refusal::read(cluster, 200, first.get("reason").unwrap_or(&first));
            let index = first.get("index").and_then(Value::as_str).unwrap_or("unknown");
            return Err(BackendError::Failed(format!(
                "cluster `{cluster}`: {} shards of the search failed, index `{index}`: {}",
                self.shards.failed, reason.reason
            )));
        }
        Ok(self)
    }
}

impl ClusterBackend {
    /// Asks one search over the request's indices. An answer that is too large is
    /// [`ElasticError::TooLarge`], for the caller to ask for less.
    pub(super) async fn ask(&self, patterns: &[String], body: &Value) -> Result<Found, ElasticError> {
        let request = Request::read(format!("/{}/_search", segment(&joined(patterns))))
            .query("ignore_unavailable", "true")
            .query("allow_no_indices", "true")
            .query("allow_partial_search_results", "false");
        self.client().send(&request.json(body)).await?.json()
    }

    /// Asks one search in a point in time, which knows its indices.
    pub(super) async fn ask_in(&self, body: &Value) -> Result<Found, ElasticError> {
        let request = Request::read("/_search").query("allow_partial_search_results", "false");
        self.client().send(&request.json(body)).await?.json()
    }
}

/// First pages of many searches.
pub(super) async fn many(
    backend: &ClusterBackend,
    requests: &[SearchRequest],
) -> Vec<Result<HitPage, BackendError>> {
    let mut answers: Vec<Option<Result<HitPage, BackendError>>> = Vec::new();
    answers.resize_with(requests.len(), || None);
    if backend.inner.options.grouped {
        grouped::answer(backend, requests, &mut answers).await;
    }
    let mut prepared: Vec<(usize, Prepared<'_>)> = Vec::with_capacity(requests.len());
    for (number, request) in requests.iter().enumerate() {
        if answers.get(number).is_some_and(Option::is_some) {
            continue;
        }
        let answer = match backend.indices(&request.indices).await {
            Ok(indices) if indices.count == 0 => Some(Ok(HitPage::default())),
            Ok(indices) if request.after.is_none() => {
                prepared.push((number, Prepared::new(request, indices)));
                None
            }
            Ok(_) => Some(page::search(backend, request).await),
            Err(error) => Some(Err(error)),
        };
        if let Some(slot) = answers.get_mut(number) {
            *slot = answer;
        }
    }
    let started = Instant::now();
    for part in prepared.chunks(TOGETHER) {
        for (number, answer) in together(backend, part).await {
            if let Some(slot) = answers.get_mut(number) {
                *slot = Some(answer);
            }
        }
    }
    backend.inner.costs.asked(prepared.len(), started.elapsed().as_secs_f64());
    let missing = || Err(BackendError::Failed("the search was not answered".to_owned()));
    answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect()
}

/// One `_msearch`, in parts where its answer is too large.
async fn together(
    backend: &ClusterBackend,
    all: &[(usize, Prepared<'_>)],
) -> Vec<(usize, Result<HitPage, BackendError>)> {
    let mut answers = Vec::with_capacity(all.len());
    let mut parts = vec![all];
    while let Some(part) = parts.pop() {
        if let [(number, only)] = part {
            answers.push((*number, page::first(backend, only).await));
            continue;
        }
        match msearch(backend, part).await {
            Ok(found) => {
                for ((number, one), found) in part.iter().zip(found) {
                    let answer = match found {
                        Ok(found) => page::from_first(backend, one, found, first_size(one.request)).await,
                        Err(error) => Err(error),
                    };
                    answers.push((*number, answer));
                }
            }
            Err(ElasticError::TooLarge { .. }) => {
                let (left, right) = part.split_at(part.len() / 2);
                parts.extend([right, left]);
            }
            Err(error) => {
                answers.extend(part.iter().map(|(number, _)| (*number, Err(failed(&error)))));
            }
        }
    }
    answers
}

fn first_size(request: &SearchRequest) -> usize {
    request.size.min(FIRST)
}

async fn msearch(
    backend: &ClusterBackend,
    part: &[(usize, Prepared<'_>)],
) -> Result<Vec<Result<Found, BackendError>>, ElasticError> {
    let lines = part.iter().flat_map(|(_, one)| {
        let header = json!({
            "index": joined(&one.request.indices),
            "ignore_unavailable": true,
            "allow_no_indices": true,
            "allow_partial_search_results": false,
        });
        [header, one.body(first_size(one.request))]
    });
    let request = Request::read("/_msearch").lines(lines);
    let client = backend.client();
    let request = request.map_err(|error| ElasticError::Unexpected {
        cluster: client.name().to_owned(),
        path: "/_msearch".to_owned(),
        reason: error.to_string(),
    })?;
    let answer = client.send(&request).await?;
    let Responses { responses } = answer.json()?;
    if responses.len() != part.len() {
        return Err(answer.unexpected(format!("{} searches, {} answers", part.len(), responses.len())));
    }
    Ok(responses.iter().map(|raw| one_of_many(client.name(), raw)).collect())
}

#[derive(Deserialize)]
struct Responses {
    responses: Vec<Box<RawValue>>,
}

/// An answer within an `_msearch`: a search's, or an error with a status of its own.
fn one_of_many(cluster: &str, raw: &RawValue) -> Result<Found, BackendError> {
    #[derive(Deserialize)]
    struct Head {
        error: Option<Value>,
        status: Option<u16>,
    }
    let unreadable = |error: serde_json::Error| {
        BackendError::Failed(format!("cluster `{cluster}`: the answer to a search cannot be read: {error}"))
    };
    let head: Head = serde_json::from_str(raw.get()).map_err(unreadable)?;
    if let Some(error) = head.error {
        let refusal = Refusal::read(cluster, head.status.unwrap_or(500), &error);
        return Err(failed(&ElasticError::Refused(Box::new(refusal))));
    }
    serde_json::from_str::<Found>(raw.get()).map_err(unreadable)?.whole(cluster)
}
