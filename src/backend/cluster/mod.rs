//! An Elasticsearch or `OpenSearch` cluster as a backend.
//!
//! What it is: searches as query DSL with Kibana's meaning, whole pages in the order of all
//! backends (time, index, id) whatever the cluster can sort by, many rules in one request.
//! What it is not: a client; how a cluster is reached is [`crate::elastic`].
//! Invariant: a page lacks no event that belongs on it. What a cluster cannot answer completely (a
//! shard that is away, a time-out) is an error.

mod aggregate;
mod ask;
mod eql;
mod get;
mod grouped;
mod mapping;
mod page;
mod query;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use self::mapping::{Indices, Known};
use self::page::Paging;
use super::join::{NativePage, NativeRequest};
use super::{
    ANOMALIES, AggregateRequest, Backend, BackendError, BucketPage, Capabilities, DocumentRef, HitPage,
    PlacePage, SearchRequest,
};
use crate::ecs::document::Document;
use crate::ecs::mapping::Mapping;
use crate::elastic::{Client, ElasticError, Product};

/// How a cluster is searched. Whatever is chosen, the same events are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterOptions {
    /// Pages after the first are read in a point in time, where the product has them.
    pub point_in_time: bool,
    /// Rules on the same indices are asked once, where that is cheaper; else each is a search of
    /// its own.
    pub grouped: bool,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { point_in_time: true, grouped: true }
    }
}

/// Searches a cluster. Cheap to clone; clones share what is known of it.
#[derive(Debug, Clone)]
pub struct ClusterBackend {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    options: ClusterOptions,
    known: Known,
    costs: grouped::Costs,
    /// Searches that are read page by page, by what they search.
    paging: Mutex<HashMap<u64, Paging>>,
    /// Whether the cluster is known to run no EQL.
    without_eql: AtomicBool,
}

impl ClusterBackend {
    /// A backend over the cluster that `client` reaches. Asks nothing yet.
    pub fn new(client: Client) -> Self {
        Self::with_options(client, ClusterOptions::default())
    }

    /// The same, searched in a chosen way.
    pub fn with_options(client: Client, options: ClusterOptions) -> Self {
        let inner = Inner {
            client,
            options,
            known: Known::default(),
            costs: grouped::Costs::default(),
            paging: Mutex::default(),
            without_eql: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Its client.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// The query that `request` is sent as when it is asked by itself, without its page and order.
    ///
    /// # Errors
    /// When the mapping of its indices cannot be read.
    pub async fn query(&self, request: &SearchRequest) -> Result<serde_json::Value, BackendError> {
        let indices = self.indices(&request.indices).await?;
        let pushed = query::push(&request.filter, &indices.mapping, request.now);
        Ok(query::in_time(pushed.query, request))
    }

    async fn indices(&self, patterns: &[String]) -> Result<Indices, BackendError> {
        self.inner.known.indices(&self.inner.client, patterns).await
    }
}

#[async_trait]
impl Backend for ClusterBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "cluster", eql: false, esql: false, lenient: false }
    }

    async fn mapping(&self, indices: &[String]) -> Result<Arc<Mapping>, BackendError> {
        Ok(self.indices(indices).await?.mapping)
    }

    async fn search(&self, request: SearchRequest) -> Result<HitPage, BackendError> {
        page::search(self, &request).await
    }

    async fn places(&self, request: SearchRequest) -> Result<PlacePage, BackendError> {
        page::places(self, &request).await
    }

    async fn search_many(&self, requests: Vec<SearchRequest>) -> Vec<Result<HitPage, BackendError>> {
        ask::many(self, &requests).await
    }

    async fn aggregate(&self, request: AggregateRequest) -> Result<BucketPage, BackendError> {
        aggregate::aggregate(self, &request).await
    }

    async fn eql(&self, request: &NativeRequest) -> Result<Option<NativePage>, BackendError> {
        eql::eql(self, request).await
    }

    async fn anomalies(&self) -> Result<bool, BackendError> {
        let flavour = self.inner.client.flavour().await.map_err(|error| failed(&error))?;
        // An index of that name on another product was made by hand.
        if flavour.product != Product::Elasticsearch {
            return Ok(false);
        }
        Ok(self.indices(&[ANOMALIES.to_owned()]).await?.count > 0)
    }

    async fn get(&self, names: &[DocumentRef]) -> Result<Vec<Option<Document>>, BackendError> {
        get::get(self, names).await
    }
}

/// Patterns as they stand in a path.
fn joined(patterns: &[String]) -> String {
    patterns.join(",")
}

/// An error of the cluster as one of the backend.
fn failed(error: &ElasticError) -> BackendError {
    BackendError::Failed(format!("{error}; {}", error.help()))
}
