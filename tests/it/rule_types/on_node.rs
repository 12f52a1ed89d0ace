//! Events of a house on a real node, under names of their own: nodes are shared.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tocsin::backend::Backend;
use tocsin::backend::cluster::ClusterBackend;
use tocsin::backend::local::LocalBackend;
use tocsin::backend::router::{Alerts, Router};
use tocsin::ecs::document::Document;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::{Mapping, sorted_paths};
use tocsin::elastic::{Method, Request};
use tocsin::rule::compiled;
use tocsin::rule::load::LoadedRule;
use tocsin::rule::model::RuleKind;
use tocsin::store::state::StateDb;
use tocsin::store::{Store, StoreOptions};

use crate::nodes::{Index, Node};

/// A node, and the indices that a house has made there; they go with it.
#[derive(Clone)]
pub(super) struct OnNode {
    node: Node,
    prefix: String,
    made: Arc<Mutex<Vec<Index>>>,
}

impl OnNode {
    pub(super) fn new(node: Node) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { node, prefix: format!("t-{}-{number}-", std::process::id()), made: Arc::default() }
    }

    /// The same node with other names.
    pub(super) fn fresh(&self) -> Self {
        Self::new(self.node.clone())
    }

    /// What an index or pattern is called here.
    pub(super) fn named(&self, pattern: &str) -> String {
        format!("{}{pattern}", self.prefix)
    }

    pub(super) fn name(&self) -> &str {
        &self.node.name
    }

    /// Stores events, their fields typed as the embedded store types them.
    pub(super) fn store(&self, events: &[Document], mapping: &Mapping) {
        let indices: BTreeSet<&str> = events.iter().map(|event| &*event.index).collect();
        for index in indices {
            let own: Vec<&Document> = events.iter().filter(|event| &*event.index == index).collect();
            let mut learned = mapping.clone();
            let mut properties = Map::new();
            for event in &own {
                let flat = FlatDoc::from_value(&event.source);
                learned.learn_document(&flat);
                for path in sorted_paths(&flat) {
                    if let Some(field) = learned.resolve(&path).filter(|field| field.key.is_none()) {
                        properties.insert(path.to_string(), json!({"type": field.kind.name()}));
                    }
                }
            }
            self.fill(index, &json!({"properties": properties}), &own);
        }
    }

    /// Makes an index, or adds fields to the one that was made.
    fn fill(&self, name: &str, mappings: &Value, events: &[&Document]) {
        let name = format!("{}{name}", self.prefix);
        let mut made = self.made.lock().unwrap();
        if !made.iter().any(|index| index.name == name) {
            let settings = json!({"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"});
            let body = json!({"settings": settings});
            self.node.ask(Request::write(Method::Put, format!("/{name}")).json(&body));
            made.push(Index { node: self.node.clone(), name: name.clone() });
        }
        self.node.ask(Request::write(Method::Put, format!("/{name}/_mapping")).json(mappings));
        let index = made.iter().find(|index| index.name == name).unwrap();
        index.fill(events.iter().map(|event| (&*event.id, &*event.source)));
    }

    /// The rule on the names that the events have here.
    pub(super) fn renamed(&self, rule: &LoadedRule) -> LoadedRule {
        let here = |patterns: &[String]| -> Vec<String> {
            let name = |pattern: &String| match pattern.strip_prefix('-') {
                Some(excluded) => format!("-{}{excluded}", self.prefix),
                None if pattern.starts_with('.') => pattern.clone(),
                None => format!("{}{pattern}", self.prefix),
            };
            patterns.iter().map(name).collect()
        };
        let mut renamed = (*rule.rule).clone();
        renamed.index = Some(here(renamed.index.as_deref().unwrap_or(&["logs-*".to_owned()])));
        if let RuleKind::ThreatMatch(params) = &mut renamed.kind {
            params.threat_index = here(&params.threat_index);
        }
        let plan = compiled::plan(&renamed).ok();
        LoadedRule { rule: Arc::new(renamed), plan }
    }

    pub(super) fn backend(&self, dir: &TempDir, state: &Arc<StateDb>) -> Arc<dyn Backend> {
        let store = Arc::new(Store::open(dir.path(), StoreOptions::default()).unwrap());
        let alerts = Arc::new(LocalBackend::new(store, Some(Arc::clone(state))));
        let cluster = Arc::new(ClusterBackend::new(self.node.client()));
        Arc::new(Router::new(Vec::new(), cluster, Alerts { backend: alerts, index: None }))
    }
}
