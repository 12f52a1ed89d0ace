//! Events in memory: rule tests, property tests, backtests on files.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rustc_hash::FxHashMap;

use super::search::{SearchOptions, Searcher, finish, groups};
use super::source::Source;
use super::times::millis;
use super::{
    AggregateRequest, Backend, BackendError, BucketPage, Capabilities, DocumentRef, Each, HitPage, ScanEnd,
    ScanRequest, SearchRequest,
};
use crate::ecs::columns::{ColumnSet, ColumnsBuilder};
use crate::ecs::document::Document;
use crate::ecs::flat::FlatDoc;
use crate::ecs::mapping::Mapping;
use crate::ecs::types::FieldType;
use crate::store::batch::{Batch, NO_TIME, ReadError};
use crate::store::pattern;

/// A set of events under one mapping, or a mapping for each index.
#[derive(Debug)]
pub struct MemoryBackend {
    batches: RwLock<Vec<Arc<MemoryBatch>>>,
    mapping: Arc<Mapping>,
    /// By index, where it has one of its own.
    own: FxHashMap<Arc<str>, Arc<Mapping>>,
    searcher: Searcher,
}

impl MemoryBackend {
    /// A backend over `documents`. Every index they name exists, and no other.
    pub fn new(documents: Vec<Document>, mapping: Mapping) -> Self {
        Self::with_options(documents, mapping, SearchOptions::default())
    }

    /// The same with chosen caches.
    pub fn with_options(documents: Vec<Document>, mapping: Mapping, options: SearchOptions) -> Self {
        Self::mapped(documents, mapping, FxHashMap::default(), options)
    }

    /// A backend over `documents`, each index under a mapping of its own.
    pub fn with_mappings(
        documents: Vec<Document>,
        mappings: impl IntoIterator<Item = (Arc<str>, Mapping)>,
    ) -> Self {
        let own: Vec<(Arc<str>, Mapping)> = mappings.into_iter().collect();
        let together = Mapping::merged(own.iter().map(|(_, mapping)| mapping));
        let own = own.into_iter().map(|(index, mapping)| (index, Arc::new(mapping))).collect();
        Self::mapped(documents, together, own, SearchOptions::default())
    }

    fn mapped(
        documents: Vec<Document>,
        mapping: Mapping,
        own: FxHashMap<Arc<str>, Arc<Mapping>>,
        options: SearchOptions,
    ) -> Self {
        let (batches, searcher) = (RwLock::default(), Searcher::new(options));
        let backend = Self { batches, mapping: Arc::new(mapping), own, searcher };
        backend.add(documents);
        backend
    }

    /// Adds events, as a batch per index.
    pub fn add(&self, documents: Vec<Document>) {
        let mut order: Vec<Arc<str>> = Vec::new();
        let mut by_index: FxHashMap<Arc<str>, Vec<Document>> = FxHashMap::default();
        for document in documents {
            let of_index = by_index.entry(document.index.clone()).or_insert_with_key(|index| {
                order.push(index.clone());
                Vec::new()
            });
            of_index.push(document);
        }
        let batches = order.iter().filter_map(|index| by_index.remove(index));
        let batches: Vec<_> = batches.map(|d| Arc::new(MemoryBatch::new(d, &self.mapping))).collect();
        self.batches.write().unwrap_or_else(PoisonError::into_inner).extend(batches);
    }

    fn source(&self, names: &[String], now: DateTime<Utc>) -> Source {
        let all = self.batches.read().unwrap_or_else(PoisonError::into_inner);
        let mut existing: Vec<Arc<str>> = all.iter().map(|batch| batch.index.clone()).collect();
        existing.sort();
        existing.dedup();
        let chosen = pattern::resolve(names, now, existing.iter());
        let batches = all.iter().filter(|batch| chosen.contains(&batch.index));
        let batches: Vec<Arc<dyn Batch>> = batches.map(|b| Arc::clone(b) as Arc<dyn Batch>).collect();
        Source::new(chosen.len(), batches, self.mapping.clone(), |index| self.own.get(index))
    }

    /// Answers a request without an async runtime.
    ///
    /// # Errors
    /// As [`Backend::search`].
    pub fn search_now(&self, request: &SearchRequest) -> Result<HitPage, BackendError> {
        let source = self.source(&request.indices, request.now);
        self.searcher.run(&source, &[request])?.pop().ok_or_else(|| BackendError::Failed("no answer".into()))
    }

    /// Groups events without an async runtime.
    ///
    /// # Errors
    /// As [`Backend::aggregate`].
    pub fn aggregate_now(&self, request: &AggregateRequest) -> Result<BucketPage, BackendError> {
        self.searcher.aggregate(&self.source(&request.scope.indices, request.scope.now), request)
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "memory", eql: false, esql: false, lenient: true }
    }

    async fn mapping(&self, _indices: &[String]) -> Result<Arc<Mapping>, BackendError> {
        Ok(self.mapping.clone())
    }

    async fn search(&self, request: SearchRequest) -> Result<HitPage, BackendError> {
        self.search_now(&request)
    }

    async fn search_many(&self, requests: Vec<SearchRequest>) -> Vec<Result<HitPage, BackendError>> {
        let mut answers: Vec<Option<Result<HitPage, BackendError>>> = Vec::new();
        answers.resize_with(requests.len(), || None);
        for group in groups(&requests) {
            let Some(first) = group.first().and_then(|number| requests.get(*number)) else { continue };
            let source = self.source(&first.indices, first.now);
            self.searcher.answer(&source, &requests, &group, &mut answers);
        }
        finish(answers)
    }

    async fn aggregate(&self, request: AggregateRequest) -> Result<BucketPage, BackendError> {
        self.aggregate_now(&request)
    }

    async fn scan(&self, request: ScanRequest, each: &mut Each<'_>) -> Result<ScanEnd, BackendError> {
        let source = self.source(&request.scope.indices, request.scope.now);
        self.searcher.scan(&source, &request, each)
    }

    async fn get(&self, names: &[DocumentRef]) -> Result<Vec<Option<Document>>, BackendError> {
        let all: Vec<Arc<dyn Batch>> = {
            let batches = self.batches.read().unwrap_or_else(PoisonError::into_inner);
            batches.iter().map(|batch| Arc::clone(batch) as Arc<dyn Batch>).collect()
        };
        super::documents::by_name(&all, names)
    }
}

/// Events of one index as columns, in memory.
#[derive(Debug)]
pub struct MemoryBatch {
    key: u64,
    index: Arc<str>,
    documents: Vec<Document>,
    timestamps: Arc<[i64]>,
    ingested: Arc<[i64]>,
    columns: ColumnSet,
}

impl MemoryBatch {
    /// A batch of `documents`, which all lie in one index.
    pub fn new(documents: Vec<Document>, mapping: &Mapping) -> Self {
        // Above the keys of the store's batches, beside which tocsin's own alerts are searched.
        static KEYS: AtomicU64 = AtomicU64::new(3 << 62);
        let index = documents.first().map_or_else(|| Arc::from(""), |document| document.index.clone());
        let mut rows: Vec<(i64, Document, FlatDoc)> = documents
            .into_iter()
            .map(|document| {
                let flat = FlatDoc::from_value(&document.source);
                let at = flat.values("@timestamp").next().map_or(NO_TIME, |leaf| millis(leaf.value));
                (at, document, flat)
            })
            .collect();
        rows.sort_by_key(|(at, ..)| *at);
        let mut builder = ColumnsBuilder::default();
        let mut columns_of: FxHashMap<String, (Arc<str>, Option<Arc<str>>)> = FxHashMap::default();
        let mut timestamps = Vec::with_capacity(rows.len());
        let mut ingested = Vec::with_capacity(rows.len());
        let mut documents = Vec::with_capacity(rows.len());
        let mut entry = String::new();
        for (at, document, flat) in rows {
            builder.next_row();
            for leaf in flat.iter() {
                if !columns_of.contains_key(leaf.path) {
                    let place = match mapping.resolve(leaf.path) {
                        Some(field) if field.kind == FieldType::Flattened => (field.path, field.key),
                        _ => (Arc::from(leaf.path), None),
                    };
                    columns_of.insert(leaf.path.to_owned(), place);
                }
                let Some((path, key)) = columns_of.get(leaf.path) else { continue };
                match key {
                    None => builder.push(path, leaf.value),
                    Some(key) => {
                        entry.clear();
                        entry.push_str(key);
                        entry.push('\0');
                        entry.push_str(leaf.value);
                        builder.push(path, &entry);
                    }
                }
            }
            timestamps.push(at);
            ingested.push(flat.values("event.ingested").next().map_or(NO_TIME, |leaf| millis(leaf.value)));
            documents.push(document);
        }
        Self {
            key: KEYS.fetch_add(1, Ordering::Relaxed),
            index,
            documents,
            timestamps: timestamps.into(),
            ingested: ingested.into(),
            columns: builder.finish(),
        }
    }

    fn pick<'a>(&'a self, rows: &'a [u32]) -> impl Iterator<Item = Result<&'a Document, ReadError>> + 'a {
        rows.iter().map(|row| {
            self.documents.get(*row as usize).ok_or_else(|| ReadError {
                batch: self.index.to_string(),
                reason: format!("there is no row {row}"),
            })
        })
    }
}

fn bounds(times: &[i64]) -> (i64, i64) {
    let known = || times.iter().copied().filter(|at| *at != NO_TIME);
    (known().min().unwrap_or(NO_TIME), known().max().unwrap_or(NO_TIME))
}

impl Batch for MemoryBatch {
    fn key(&self) -> u64 {
        self.key
    }

    fn index(&self) -> &Arc<str> {
        &self.index
    }

    fn rows(&self) -> usize {
        self.documents.len()
    }

    fn timestamp_bounds(&self) -> (i64, i64) {
        bounds(&self.timestamps)
    }

    fn ingested_bounds(&self) -> (i64, i64) {
        bounds(&self.ingested)
    }

    fn timestamps(&self) -> Result<Arc<[i64]>, ReadError> {
        Ok(self.timestamps.clone())
    }

    fn ingested(&self) -> Result<Arc<[i64]>, ReadError> {
        Ok(self.ingested.clone())
    }

    fn paths(&self) -> Arc<[Arc<str>]> {
        self.columns.paths.clone()
    }

    fn may_have(&self, path: &str, text: &str) -> bool {
        let column = self.columns.columns.get(path);
        column.is_some_and(|column| column.dictionary.iter().any(|value| **value == *text))
    }

    fn columns(&self, _paths: &[Arc<str>]) -> Result<ColumnSet, ReadError> {
        Ok(self.columns.clone())
    }

    fn ids(&self, rows: &[u32]) -> Result<Vec<Arc<str>>, ReadError> {
        self.pick(rows).map(|document| Ok(document?.id.clone())).collect()
    }

    fn documents(&self, rows: &[u32]) -> Result<Vec<Document>, ReadError> {
        self.pick(rows).map(|document| Ok(document?.clone())).collect()
    }
}
