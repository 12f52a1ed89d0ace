//! The real nodes that `cargo xtask test` starts, and indices on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tocsin::base::clock::SystemClock;
use tocsin::elastic::{Client, Method, Options, Request};

/// A running node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// `opensearch`, `opensearch3`, `es7`, `es8`, `es9`.
    pub(crate) name: String,
    /// Its address; of a cluster of several nodes all of them, with `+` between.
    pub(crate) url: String,
}

/// The nodes as `(product, address)`, from `TOCSIN_NODES` (`opensearch=http://…,es9=http://…`); none
/// when there is none, which is said.
///
/// With `TOCSIN_REQUIRE_NODES` set, as CI has it, none at all fails the test instead.
pub(crate) fn nodes() -> Vec<(String, String)> {
    let named = std::env::var("TOCSIN_NODES").unwrap_or_default();
    let nodes: Vec<(String, String)> = named
        .split(',')
        .filter_map(|one| one.trim().split_once('='))
        .map(|(name, url)| (name.to_owned(), url.to_owned()))
        .collect();
    if nodes.is_empty() {
        assert!(
            std::env::var_os("TOCSIN_REQUIRE_NODES").is_none(),
            "no node in TOCSIN_NODES: run `cargo xtask test`"
        );
        eprintln!("left out: no node in TOCSIN_NODES");
    }
    nodes
}

/// The same as [`Node`]s.
pub(crate) fn running() -> Vec<Node> {
    nodes().into_iter().map(|(name, url)| Node { name, url }).collect()
}

/// The node of the product that everybody tests with: for what takes minutes on each.
pub(crate) fn reference() -> Option<Node> {
    running().into_iter().find(|node| node.name == "opensearch")
}

pub(crate) fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

impl Node {
    pub(crate) fn client(&self) -> Client {
        Client::new(Options::new(&self.name, self.urls()), Arc::new(SystemClock)).unwrap()
    }

    /// The addresses of all nodes of the cluster.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.url.split('+').map(str::to_owned).collect()
    }

    /// Sends a request that must succeed.
    pub(crate) fn ask(&self, request: Request) -> Value {
        block(self.client().json(&request)).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// Makes an index of a name of its own, which goes when the guard is dropped.
    pub(crate) fn index(&self, hint: &str, mappings: &Value) -> Index {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.index_named(format!("t-{hint}-{}-{number}", std::process::id()), mappings)
    }

    /// The same under a name that the test makes its own.
    pub(crate) fn index_named(&self, name: String, mappings: &Value) -> Index {
        let replicas = usize::from(self.urls().len() > 1);
        let settings =
            json!({"number_of_shards": 2, "number_of_replicas": replicas, "refresh_interval": "-1"});
        let body = json!({"settings": settings, "mappings": mappings});
        self.ask(Request::write(Method::Put, format!("/{name}")).json(&body));
        Index { node: self.clone(), name }
    }
}

/// An index of a test.
pub(crate) struct Index {
    pub(crate) node: Node,
    pub(crate) name: String,
}

impl Index {
    /// Stores documents under their ids and makes them searchable.
    pub(crate) fn fill<'d>(&self, documents: impl IntoIterator<Item = (&'d str, &'d Value)>) {
        let documents: Vec<_> = documents.into_iter().collect();
        for part in documents.chunks(5_000) {
            let lines = part.iter().flat_map(|(id, source)| {
                [json!({"create": {"_index": self.name, "_id": id}}), (*source).clone()]
            });
            let request = Request::write(Method::Post, "/_bulk").repeatable().lines(lines).unwrap();
            let answer = self.node.ask(request);
            assert_eq!(answer["errors"], false, "{}", answer["items"]);
        }
        self.node.ask(Request::read(format!("/{}/_refresh", self.name)));
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let request = Request::write(Method::Delete, format!("/{}", self.name)).accept(404);
        let gone = block(self.node.client().send(&request));
        if let Err(error) = gone {
            eprintln!("{}: {error}", self.name);
        }
    }
}
