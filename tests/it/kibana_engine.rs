//! Kibana's own expectations of its detection engine, for query rules: which alerts, with which
//! ancestors, depth, original time and original event.
//!
//! The cases are of Kibana 7.17, whose alerts kept these fields below `signal`; the ids of its
//! query alerts are those of today. `_id:X` in a query is not searched for (`_id` is no field
//! here): the archive is cut to that document instead.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tocsin::backend::local::LocalBackend;
use tocsin::base::clock::SystemClock;
use tocsin::ecs::document::NewDocument;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::engine::{Due, Engine, Settings, Trigger};
use tocsin::rule::load::ndjson;
use tocsin::store::state::{AlertQuery, ExecutionRecord, StateDb, StoredAlert};
use tocsin::store::{Store, StoreOptions};

use crate::shared::shared_dir;

/// Cases that differ on purpose, with the reason.
const OTHERWISE: &[(&str, &str)] =
    &[("never use the", "dates in the mapping's own format (epoch_second) are not read as such")];

fn load(shared: &Path, archive: &str, only: Option<&str>, store: &Store) {
    let dir = shared.join("data/kibana-engine/archives").join(archive);
    let mappings: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(dir.join("mappings.json")).unwrap()).unwrap();
    for entry in &mappings {
        let mapping = Mapping::from_elasticsearch(&entry["mappings"]).unwrap();
        store.put_mapping(entry["index"].as_str().unwrap(), &mapping).unwrap();
    }
    let text = std::fs::read_to_string(dir.join("docs.ndjson")).unwrap();
    let mut documents = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        let id = line["_id"].as_str().map_or_else(|| format!("generated-{number}"), str::to_owned);
        if only.is_some_and(|only| only != id) {
            continue;
        }
        documents.push(NewDocument {
            index: line["_index"].as_str().unwrap().into(),
            id,
            source: line["_source"].to_string(),
            original: None,
            flat: FlatDoc::from_value(&line["_source"]),
        });
    }
    store.append(documents).unwrap();
}

struct Ran {
    record: ExecutionRecord,
    alerts: Vec<StoredAlert>,
}

/// The fields an old alert had below `signal`.
fn signal(alert: &StoredAlert) -> Value {
    let mut original = Map::new();
    for (name, value) in alert.source.as_object().unwrap() {
        if let Some(name) = name.strip_prefix("kibana.alert.original_event.") {
            original.insert(name.to_owned(), value.clone());
        }
    }
    json!({
        "ancestors": alert.source["kibana.alert.ancestors"],
        "depth": alert.source["kibana.alert.depth"],
        "status": alert.source["kibana.alert.workflow_status"],
        "original_time": alert.source["kibana.alert.original_time"],
        "original_event": original,
    })
}

/// Compares what today's alerts still have with what the case expects; a `$ref` is not checked,
/// nor is the index of an alert, which has another name today.
fn compare(name: &str, alert: &StoredAlert, expected: &Value) -> usize {
    let got = signal(alert);
    let mut checked = 0;
    for field in ["depth", "status", "original_time", "original_event"] {
        let Some(expected) = expected.get(field).filter(|e| e.get("$ref").is_none()) else { continue };
        assert_eq!(&got[field], expected, "{name}: {field}");
        checked += 1;
    }
    let parts = |value: &Value| -> Vec<Value> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|a| json!([a["type"], a["depth"], a["type"] == "event" && a["id"].is_string()]))
            .collect()
    };
    assert_eq!(parts(&got["ancestors"]), parts(&expected["ancestors"]), "{name}: ancestors");
    checked + 1
}

fn run(rule: &Value, store: &Arc<Store>, state: &Arc<StateDb>) -> Ran {
    let file = ndjson::read(&rule.to_string(), |_| "hash".to_owned());
    let errors: Vec<_> = file.diagnostics.iter().filter(|d| d.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let loaded = &file.rules[0];
    let settings = Settings { trigger: Trigger::Manual, ..Settings::default() };
    let backend = Arc::new(LocalBackend::new(Arc::clone(store), Some(Arc::clone(state))));
    let engine = Engine::new(backend, Arc::clone(state), Arc::new(SystemClock), settings).unwrap();
    let slot = std::time::SystemTime::now().into();
    let due = Due { rule: Arc::clone(&loaded.rule), plan: loaded.plan.clone(), slot, errand: None };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let record = runtime.block_on(engine.run(vec![due])).remove(0);
    let query = AlertQuery { rule: Some(record.rule_id.clone()), ascending: true, ..AlertQuery::default() };
    Ran { alerts: state.alerts(&query).unwrap(), record }
}

#[test]
fn query_rules_alert_as_kibana_expects() {
    let Some(shared) = shared_dir() else { return };
    let mut ran = 0;
    for file in ["generating_signals", "timestamps", "aliases"] {
        let path = shared.join(format!("data/kibana-engine/cases/{file}.json"));
        let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for case in &cases {
            let name = case["name"].as_str().unwrap();
            let steps = case["steps"].as_array().unwrap();
            if steps.iter().any(|s| s["op"] == "createRule" && s["rule"]["type"] != "query") {
                continue;
            }
            if let Some((_, why)) = OTHERWISE.iter().find(|(part, _)| name.contains(part)) {
                println!("not compared: {name}: {why}");
                continue;
            }
            check(&shared, name, case, steps);
            ran += 1;
        }
    }
    assert!(ran >= 6, "{ran} cases");
}

fn check(shared: &Path, name: &str, case: &Value, steps: &[Value]) {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), StoreOptions::default()).unwrap());
    let state = Arc::new(StateDb::open(dir.path()).unwrap());
    let first = steps.iter().find(|s| s["op"] == "createRule").unwrap();
    let only = first["rule"]["query"].as_str().and_then(|query| query.strip_prefix("_id:"));
    for archive in case["archives"].as_array().unwrap() {
        load(shared, archive.as_str().unwrap(), only, &store);
    }
    let mut last: Option<Ran> = None;
    for step in steps {
        match step["op"].as_str().unwrap() {
            "createRule" => {
                let mut rule = step["rule"].clone();
                if rule["query"].as_str().is_some_and(|query| query.starts_with("_id:")) {
                    rule["query"] = json!("*:*");
                }
                last = Some(run(&rule, &store, &state));
            }
            "waitForRuleStatus" => {
                let record = &last.as_ref().unwrap().record;
                assert_eq!(json!(record.status.as_str()), step["status"], "{name}: {record:?}");
            }
            "waitForSignals" => {
                let count = last.as_ref().unwrap().alerts.len();
                assert_eq!(json!(count), step["count"], "{name}: {:?}", last.as_ref().unwrap().record);
            }
            "expect" => expect(name, step, last.as_ref().unwrap()),
            _ => {}
        }
    }
}

fn expect(name: &str, step: &Value, ran: &Ran) {
    let expression = step["actual"]["$ref"].as_str().unwrap_or_default();
    let expected = &step["expected"][0];
    if expression.starts_with("omit(") {
        assert!(compare(name, &ran.alerts[0], expected) >= 3, "{name}");
    } else if expression.ends_with("hits.length") || expression.ends_with(".length") {
        let count = ran.alerts.len() as u64;
        let wanted = expected.as_u64().unwrap();
        assert!(if step["matcher"] == "greaterThan" { count > wanted } else { count == wanted }, "{name}");
    } else if let Some(field) =
        expression.split("_source.").nth(1).and_then(|rest| rest.strip_suffix(").sort()"))
    {
        let mut values: Vec<Value> = ran
            .alerts
            .iter()
            .map(|a| tocsin::alert::lookup::lookup(&a.source, field).cloned().unwrap_or_default())
            .collect();
        values.sort_by_key(Value::to_string);
        assert_eq!(&json!(values), expected, "{name}: {field}");
    } else if expression.contains("rule.rule_id") {
        assert_eq!(&ran.alerts[0].source["kibana.alert.rule.rule_id"], expected, "{name}");
    } else {
        panic!("{name}: cannot check {expression}");
    }
}
