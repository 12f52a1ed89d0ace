//! Rule types other than `query`, each over documents in memory, over the embedded store and over
//! the real nodes that run.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;
use tocsin::backend::Backend;
use tocsin::backend::local::LocalBackend;
use tocsin::backend::memory::MemoryBackend;
use tocsin::base::clock::ManualClock;
use tocsin::base::window::iso_millis;
use tocsin::ecs::document::{Document, NewDocument};
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::engine::{Due, Engine, Settings, Trigger};
use tocsin::rule::exceptions::RuleExceptions;
use tocsin::rule::load::{LoadedRule, toml};
use tocsin::store::state::{AlertQuery, ExecutionRecord, StateDb, StoredAlert};
use tocsin::store::{Store, StoreOptions};

use self::on_node::OnNode;
use crate::nodes::running;

mod elastic;
mod eql;
mod machine_learning;
mod new_terms;
mod on_node;
mod suppression;
mod testing;
mod threat_match;
mod threshold;

fn noon() -> DateTime<Utc> {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

fn minutes(n: i64) -> Duration {
    Duration::minutes(n)
}

/// A rule over `logs-*` with a window of an hour; `more` are its type and its own fields.
fn rule(more: &str) -> LoadedRule {
    let index = if more.contains("index =") { "" } else { "index = [\"logs-*\"]\n" };
    let text = format!(
        "[rule]\nrule_id = \"r-1\"\nname = \"Rule\"\ndescription = \"Finds.\"\nrisk_score = 47\nseverity = \"medium\"\n\
         interval = \"5m\"\nfrom = \"now-60m\"\n{index}{more}\n"
    );
    let file = toml::read(&text, "hash");
    let errors: Vec<_> = file.diagnostics.iter().filter(|d| d.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?}\n{text}");
    file.rules.into_iter().next().expect("a rule")
}

fn event(id: &str, at: DateTime<Utc>, fields: Value) -> Document {
    let mut source = json!({"@timestamp": iso_millis(at)});
    source.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Document::new("logs-test", id, source)
}

/// Where events are searched.
#[derive(Clone)]
enum Place {
    Memory,
    Store,
    Node(OnNode),
}

/// A data folder with events, and an engine over it.
struct House {
    dir: TempDir,
    place: Place,
    events: Vec<Document>,
    /// What is known of fields before the events are.
    mapping: Mapping,
}

impl House {
    fn new(place: Place) -> Self {
        let place = match place {
            Place::Node(node) => Place::Node(node.fresh()),
            here => here,
        };
        Self { dir: TempDir::new().unwrap(), place, events: Vec::new(), mapping: Mapping::ecs() }
    }

    /// What an index or pattern of the rules is called where the events lie.
    fn named(&self, pattern: &str) -> String {
        match &self.place {
            Place::Node(node) => node.named(pattern),
            Place::Memory | Place::Store => pattern.to_owned(),
        }
    }

    fn state(&self) -> Arc<StateDb> {
        Arc::new(StateDb::open(self.dir.path()).unwrap())
    }

    fn add(&mut self, events: impl IntoIterator<Item = Document>) {
        let events: Vec<Document> = events.into_iter().collect();
        if let Place::Node(node) = &mut self.place {
            node.store(&events, &self.mapping);
        }
        if matches!(self.place, Place::Store) {
            let store = Store::open(self.dir.path(), StoreOptions::default()).unwrap();
            let new = events.iter().map(|event| NewDocument {
                index: Arc::clone(&event.index),
                id: event.id.to_string(),
                source: event.source.to_string(),
                original: None,
                flat: FlatDoc::from_value(&event.source),
            });
            for event in &events {
                store.put_mapping(&event.index, &self.mapping).unwrap();
            }
            store.append(new.collect()).unwrap();
        }
        self.events.extend(events);
    }

    /// Runs a rule as a process of its own would.
    fn run(&self, rule: &LoadedRule, slot: DateTime<Utc>) -> ExecutionRecord {
        let state = self.state();
        let settings = Settings { trigger: Trigger::Manual, ..Settings::default() };
        let mut renamed = None;
        let backend: Arc<dyn Backend> = match &self.place {
            Place::Node(node) => {
                renamed = Some(node.renamed(rule));
                node.backend(&self.dir, &state)
            }
            Place::Memory => {
                let mut mapping = self.mapping.clone();
                for event in &self.events {
                    mapping.learn_document(&FlatDoc::from_value(&event.source));
                }
                Arc::new(MemoryBackend::new(self.events.clone(), mapping))
            }
            Place::Store => {
                let store = Arc::new(Store::open(self.dir.path(), StoreOptions::default()).unwrap());
                Arc::new(LocalBackend::new(store, Some(Arc::clone(&state))))
            }
        };
        let engine = Engine::new(backend, state, Arc::new(ManualClock::new(slot)), settings).unwrap();
        let rule = renamed.as_ref().unwrap_or(rule);
        let due = Due {
            rule: Arc::clone(&rule.rule),
            plan: rule.plan.clone(),
            exceptions: RuleExceptions::default(),
            slot,
            errand: None,
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let record = runtime.block_on(engine.run(vec![due])).remove(0);
        assert_eq!(record.error, None, "{record:?}");
        assert_eq!(
            record.candidates,
            record.alerts
                + record.duplicates
                + record.suppressed
                + record.excepted.unwrap_or(0)
                + record.capped,
            "{record:?}"
        );
        record
    }

    fn alerts(&self) -> Vec<StoredAlert> {
        let query = AlertQuery { ascending: true, building_blocks: true, ..AlertQuery::default() };
        self.state().alerts(&query).unwrap()
    }

    /// A field of all alerts, sorted.
    fn field(&self, name: &str) -> Vec<Value> {
        let mut values: Vec<Value> = self.alerts().iter().map(|alert| alert.source[name].clone()).collect();
        values.sort_by_key(Value::to_string);
        values
    }
}

/// Runs `test` over documents in memory, over the embedded store and over every node that runs.
fn everywhere(test: impl Fn(House)) {
    let nodes = running().into_iter().map(|node| Place::Node(OnNode::new(node)));
    for place in [Place::Memory, Place::Store].into_iter().chain(nodes) {
        if let Place::Node(node) = &place {
            eprintln!("on {}", node.name());
        }
        test(House::new(place));
    }
}
