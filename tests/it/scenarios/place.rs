//! The backends that scenarios run on: events, and where alerts are kept beside them.

use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tocsin::backend::Backend;
use tocsin::backend::cluster::ClusterBackend;
use tocsin::backend::local::LocalBackend;
use tocsin::backend::memory::MemoryBackend;
use tocsin::backend::router::{Alerts, Router};
use tocsin::base::clock::ManualClock;
use tocsin::cluster::Mode;
use tocsin::ecs::document::{Document, NewDocument};
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::engine::{Due, Engine, Settings, Trigger};
use tocsin::rule::compiled::CompiledRule;
use tocsin::store::state::{
    AlertQuery, AlertSink, EphemeralState, ExecutionRecord, LocalState, StateDb, StateStore, StoredAlert,
    WorkflowStatus,
};
use tocsin::store::{Store, StoreOptions};

use super::file;
use crate::alert_index;
use crate::nodes::{Index, Node, block};

/// A backend of the table.
pub(super) enum Where {
    Memory,
    Store,
    /// A node, and the space on it in which all scenarios keep their alerts.
    Node(Node, alert_index::Place),
}

impl Where {
    /// Memory, the embedded store, and every node that there is, alerts being kept in `space`.
    pub(super) fn all(space: &str) -> Vec<Self> {
        let nodes = crate::nodes::running().into_iter().map(|node| {
            let place = alert_index::Place::in_space(&node.url, Mode::Own, "tocsin-alerts-{space}", space);
            block(place.set_up());
            Self::Node(node, place)
        });
        [Self::Memory, Self::Store].into_iter().chain(nodes).collect()
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Memory => "memory",
            Self::Store => "store",
            Self::Node(node, _) => &node.name,
        }
    }

    pub(super) fn is_node(&self) -> bool {
        matches!(self, Self::Node(..))
    }
}

/// What is in one index.
struct Filled {
    name: String,
    mapping: Value,
    documents: Vec<file::Document>,
}

/// A backend with the indices of one scenario.
pub(super) struct World<'w> {
    at: &'w Where,
    space: &'w str,
    dir: TempDir,
    filled: Vec<Filled>,
    indices: Vec<Index>,
    state: Arc<EphemeralState>,
}

impl<'w> World<'w> {
    pub(super) fn new(at: &'w Where, space: &'w str) -> Self {
        let dir = TempDir::new().unwrap();
        Self { at, space, dir, filled: Vec::new(), indices: Vec::new(), state: Arc::default() }
    }

    /// Makes an index.
    pub(super) fn index(&mut self, name: &str, mapping: &Value) {
        match self.at {
            Where::Memory => {}
            Where::Store => self.store().put_mapping(name, &typed(mapping)).unwrap(),
            Where::Node(node, _) => {
                let mut text = mapping.to_string();
                if node.name.starts_with("opensearch") {
                    // Its name there.
                    text = text.replace("\"flattened\"", "\"flat_object\"");
                }
                let mapping = serde_json::from_str(&text).unwrap();
                self.indices.push(node.index_named(name.to_owned(), &mapping));
            }
        }
        self.filled.push(Filled { name: name.to_owned(), mapping: mapping.clone(), documents: Vec::new() });
    }

    /// Adds documents to an index that was made.
    pub(super) fn fill(&mut self, name: &str, documents: Vec<file::Document>) {
        if documents.is_empty() {
            return;
        }
        match self.at {
            Where::Memory => {}
            Where::Store => {
                let new = documents.iter().map(|document| NewDocument {
                    index: Arc::from(name),
                    id: document.id.clone(),
                    source: document.source.to_string(),
                    original: None,
                    flat: FlatDoc::from_value(&document.source),
                });
                self.store().append(new.collect()).unwrap();
            }
            Where::Node(..) => {
                let index = self.indices.iter().find(|index| index.name == name).expect("an index");
                index.fill(documents.iter().map(|document| (document.id.as_str(), &document.source)));
            }
        }
        let filled = self.filled.iter_mut().find(|filled| filled.name == name).expect("an index");
        filled.documents.extend(documents);
    }

    fn store(&self) -> Store {
        Store::open(self.dir.path(), StoreOptions::default()).unwrap()
    }

    fn backend(&self) -> Arc<dyn Backend> {
        match self.at {
            Where::Memory => {
                let named = |index: &Filled| (Arc::from(index.name.as_str()), typed(&index.mapping));
                let mappings: Vec<_> = self.filled.iter().map(named).collect();
                let of = |index: &Filled| {
                    let name: Arc<str> = index.name.as_str().into();
                    let document = move |document: &file::Document| {
                        Document::new(Arc::clone(&name), document.id.as_str(), document.source.clone())
                    };
                    index.documents.iter().map(document).collect::<Vec<_>>()
                };
                Arc::new(MemoryBackend::with_mappings(self.filled.iter().flat_map(of).collect(), mappings))
            }
            Where::Store => {
                let state = Arc::new(StateDb::open(self.dir.path()).unwrap());
                Arc::new(LocalBackend::new(Arc::new(self.store()), Some(state)))
            }
            Where::Node(node, place) => {
                let cluster: Arc<dyn Backend> = Arc::new(ClusterBackend::new(node.client()));
                let index = place.names.alerts.resolve(".alerts-security*").map(str::to_owned);
                let alerts = Alerts { backend: Arc::clone(&cluster), index };
                Arc::new(Router::new(Vec::new(), cluster, alerts))
            }
        }
    }

    fn kept(&self) -> (Arc<dyn StateStore>, Arc<dyn AlertSink>) {
        match self.at {
            Where::Memory => {
                let state = Arc::clone(&self.state);
                (Arc::<EphemeralState>::clone(&state), state)
            }
            Where::Store => {
                let local = Arc::new(LocalState::new(Arc::new(StateDb::open(self.dir.path()).unwrap())));
                (Arc::<LocalState>::clone(&local), local)
            }
            Where::Node(_, place) => (Arc::new(place.state()), place.alerts()),
        }
    }

    /// Runs a rule as a process of its own would: nothing but what was written is known.
    pub(super) fn run(&self, rule: &CompiledRule, slot: chrono::DateTime<chrono::Utc>) -> ExecutionRecord {
        let settings =
            Settings { trigger: Trigger::Manual, space: Arc::from(self.space), ..Settings::default() };
        let (state, alerts) = self.kept();
        block(async {
            let clock = Arc::new(ManualClock::new(slot));
            let engine = Engine::open(self.backend(), state, alerts, clock, settings).await.unwrap();
            engine.run(vec![Due::compiled(rule, slot)]).await.remove(0)
        })
    }

    /// All alerts of the rule.
    pub(super) fn alerts(&self, rule: &str) -> Vec<StoredAlert> {
        let query = AlertQuery {
            rule: Some(rule.to_owned()),
            ascending: true,
            building_blocks: true,
            ..AlertQuery::default()
        };
        block(self.kept().1.find(&query)).unwrap()
    }

    /// Closes alerts.
    pub(super) fn close(&self, alerts: &[StoredAlert], now: chrono::DateTime<chrono::Utc>) {
        let ids = alerts.iter().map(|alert| Arc::clone(&alert.id)).collect();
        block(self.kept().1.set_workflow_status(ids, WorkflowStatus::Closed, now)).unwrap();
    }
}

fn typed(mapping: &Value) -> Mapping {
    Mapping::from_elasticsearch(mapping).unwrap_or_else(|error| panic!("{error:?}"))
}
