//! A house of its own for each case: events in the embedded store or on a node, alerts in a data
//! folder.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tocsin::backend::Backend;
use tocsin::backend::cluster::ClusterBackend;
use tocsin::backend::local::LocalBackend;
use tocsin::backend::router::{Alerts, Router};
use tocsin::base::clock::SystemClock;
use tocsin::ecs::document::NewDocument;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::elastic::{Method, Request};
use tocsin::engine::{Due, Engine, Settings, Trigger};
use tocsin::rule::load::files::{Sources, load_sources};
use tocsin::store::state::{AlertQuery, ExecutionRecord, StateDb, StoredAlert};
use tocsin::store::{Store, StoreOptions};

use crate::nodes::{Node, block};

/// The archives' indices have one name each on a node, whoever uses them.
static ON_NODES: Mutex<()> = Mutex::new(());

pub(super) struct House {
    pub(super) dir: tempfile::TempDir,
    store: Arc<Store>,
    state: Arc<StateDb>,
    node: Option<Node>,
    _alone: Option<MutexGuard<'static, ()>>,
    /// Indices that were made on the node.
    made: Vec<String>,
}

/// What a rule did.
pub(super) struct Ran {
    pub(super) record: ExecutionRecord,
    pub(super) alerts: Vec<StoredAlert>,
}

pub(super) fn new_document(index: &str, id: String, source: &Value) -> NewDocument {
    NewDocument {
        index: index.into(),
        id,
        source: source.to_string(),
        original: None,
        flat: FlatDoc::from_value(source),
    }
}

impl House {
    /// A house whose events lie on `node`, or in the embedded store.
    pub(super) fn on(node: Option<&Node>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path(), StoreOptions::default()).unwrap());
        let state = Arc::new(StateDb::open(dir.path()).unwrap());
        let alone = node.map(|_| ON_NODES.lock().unwrap_or_else(PoisonError::into_inner));
        Self { dir, store, state, node: node.cloned(), _alone: alone, made: Vec::new() }
    }

    /// Makes an index.
    pub(super) fn make(&mut self, index: &str, mappings: &Value, aliases: &Value) {
        let Some(node) = &self.node else {
            let mapping = Mapping::from_elasticsearch(mappings).unwrap();
            return self.store.put_mapping(index, &mapping).unwrap();
        };
        let aliases = if aliases.is_object() { aliases.clone() } else { json!({}) };
        let settings = json!({"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1",
            "mapping.total_fields.limit": 10_000});
        let body = json!({"mappings": mappings, "aliases": aliases, "settings": settings});
        block(node.client().send(&Request::write(Method::Delete, format!("/{index}")).accept(404))).unwrap();
        node.ask(Request::write(Method::Put, format!("/{index}")).json(&body));
        self.made.push(index.to_owned());
    }

    /// Stores events and makes them searchable.
    pub(super) fn store(&mut self, documents: Vec<NewDocument>) {
        let Some(node) = &self.node else {
            self.store.append(documents).unwrap();
            return;
        };
        if documents.is_empty() {
            return;
        }
        for document in &documents {
            // Some archives have events of indices that they do not describe.
            if !self.made.iter().any(|made| **made == *document.index) {
                let gone = Request::write(Method::Delete, format!("/{}", document.index)).accept(404);
                block(node.client().send(&gone)).unwrap();
                self.made.push(document.index.to_string());
            }
        }
        let lines = documents.iter().flat_map(|document| {
            let source: Value = serde_json::from_str(&document.source).unwrap();
            [json!({"create": {"_index": &*document.index, "_id": document.id}}), source]
        });
        let request = Request::write(Method::Post, "/_bulk").query("refresh", "true").repeatable();
        let answer = node.ask(request.lines(lines).unwrap());
        assert_eq!(answer["errors"], false, "{}", answer["items"]);
    }

    fn backend(&self) -> Arc<dyn Backend> {
        let local = Arc::new(LocalBackend::new(Arc::clone(&self.store), Some(Arc::clone(&self.state))));
        let Some(node) = &self.node else { return local };
        let cluster = Arc::new(ClusterBackend::new(node.client()));
        Arc::new(Router::new(Vec::new(), cluster, Alerts { backend: local, index: None }))
    }

    /// Runs the rule in an export, `slot` being "now".
    pub(super) fn run(&self, export: &str, slot: chrono::DateTime<chrono::Utc>) -> Ran {
        let path = self.dir.path().join("export.ndjson");
        std::fs::write(&path, export).unwrap();
        let sources = Sources {
            rules: vec![path],
            exceptions: Vec::new(),
            value_lists: vec![self.dir.path().join("lists")],
        };
        let set = load_sources(&sources, None);
        let errors: Vec<_> = set.errors().collect();
        assert!(errors.is_empty(), "{errors:?}");
        // Cases with thousands of combinations take a node some minutes beside other tests.
        let timeout = Duration::from_mins(20);
        let settings = Settings { trigger: Trigger::Manual, timeout, ..Settings::default() };
        let engine =
            Engine::new(self.backend(), Arc::clone(&self.state), Arc::new(SystemClock), settings).unwrap();
        let due = Due::compiled(&set.compiled[0], slot);
        let record = block(engine.run(vec![due])).remove(0);
        let rule = Some(record.rule_id.clone());
        let query = AlertQuery { rule, ascending: true, building_blocks: true, ..AlertQuery::default() };
        Ran { alerts: self.state.alerts(&query).unwrap(), record }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let Some(node) = &self.node else { return };
        for index in &self.made {
            let gone = Request::write(Method::Delete, format!("/{index}")).accept(404);
            if let Err(error) = block(node.client().send(&gone)) {
                eprintln!("{index}: {error}");
            }
        }
    }
}
