//! Kibana's own expectations of its detection engine: which alerts each rule gives, with which
//! ancestors, depth, original time, original event and fields.
//!
//! The cases are of Kibana 7.17, whose alerts kept these fields below `signal`: alerts are brought
//! into that shape before they are compared. `_id:X` in a query is not searched for (`_id` is no
//! field here): the archive is cut to that document instead.

mod expression;
mod house;
mod new_terms;

use std::path::Path;

use serde_json::{Map, Value, json};
use tocsin::alert::lookup::lookup;
use tocsin::rule::load::ndjson;
use tocsin::store::state::StoredAlert;

use self::house::{House, Ran, new_document};
use crate::nodes::{Node, reference};
use crate::shared::shared_dir;

/// Cases that are not compared, with the reason; found by file and a part of their name.
const NOT_COMPARED: &[(&str, &str, &str)] = &[
    ("timestamps", "never use the", "dates in the mapping's own format (epoch_second) are not read as such"),
    (
        "timestamps",
        "should generate 2 signals with @timestamp",
        "that some index lacks the time field is not warned of",
    ),
    ("runtime", "should copy \"runtime mapping\" data", "runtime fields are computed by a cluster alone"),
    (
        "generating_signals",
        "for non-sequence EQL queries",
        "left out by Kibana; the cap is a partial failure here",
    ),
    (
        "generating_signals",
        "shell signals from EQL",
        "left out by Kibana; a shell keeps the `event` that its events share",
    ),
    ("timestamps", "should generate 2 signals with @timestamp", "no warning of indices without `@timestamp`"),
    ("create_exceptions", "get back 10 signals", "the case reads a page of 10 of the alerts"),
    ("ignore_fields", "testing_ignored", "`alertIgnoreFields` is a setting of Kibana's server"),
];

/// The same for cases that the embedded store passes and nodes do not.
const ON_NODES: &[(&str, &str, &str)] =
    &[("runtime", "", "OpenSearch has no runtime fields, and these nodes of Elasticsearch no scripts")];

/// Operations of Kibana's interfaces, which are not here: cases that use them are about those.
const INTERFACES: &[&str] = &["http", "security.role.create", "es.updateByQuery"];

/// Reads an archive into a house; `only` cuts it to one document.
fn load(shared: &Path, archive: &str, only: Option<&str>, house: &mut House) {
    let dir = shared.join("data/kibana-engine/archives").join(archive);
    let mappings: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(dir.join("mappings.json")).unwrap()).unwrap();
    for entry in &mappings {
        house.make(entry["index"].as_str().unwrap(), &entry["mappings"], &entry["aliases"]);
    }
    let text = std::fs::read_to_string(dir.join("docs.ndjson")).unwrap();
    let mut documents = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        let id = line["_id"].as_str().map_or_else(|| format!("generated-{number}"), str::to_owned);
        if only.is_some_and(|only| only != id) {
            continue;
        }
        documents.push(new_document(line["_index"].as_str().unwrap(), id, &line["_source"]));
    }
    house.store(documents);
}

/// An alert in the shape of 7.17: what is now below `kibana.alert` was below `signal`.
fn old_shape(alert: &StoredAlert) -> Value {
    let mut source = Map::new();
    let mut original = Map::new();
    let mut signal = Map::new();
    for (name, value) in alert.source.as_object().unwrap() {
        if let Some(name) = name.strip_prefix("kibana.alert.original_event.") {
            original.insert(name.to_owned(), value.clone());
        } else if let Some(name) = name.strip_prefix("kibana.alert.") {
            let name = if name == "workflow_status" { "status" } else { name };
            match name {
                "depth" | "status" | "original_time" | "reason" | "ancestors" | "threshold_result" => {
                    signal.insert(name.to_owned(), value.clone());
                }
                "rule.rule_id" => {
                    signal.insert("rule".to_owned(), json!({"rule_id": value}));
                }
                "group.id" => {
                    signal.insert("group".to_owned(), json!({"id": value}));
                }
                _ => {}
            }
        } else if name == "event.kind" {
            let event = source.entry("event").or_insert_with(|| json!({}));
            event.as_object_mut().unwrap().insert("kind".to_owned(), value.clone());
        } else if !name.starts_with("kibana.") && !name.starts_with("tocsin.") {
            source.insert(name.clone(), value.clone());
        }
    }
    // The shell of a sequence had nothing of what its events share below `event`.
    if signal.get("depth") == Some(&json!(2)) && signal.contains_key("group") {
        source.insert("event".to_owned(), json!({"kind": "signal"}));
    }
    if !original.is_empty() {
        signal.insert("original_event".to_owned(), original.into());
    }
    source.insert("signal".to_owned(), signal.into());
    json!({"_id": &*alert.id, "_source": source})
}

/// Whether `got` is what a case expects. A `$ref` is not checked, nor what alerts have no more
/// (`parent`, `parents`, `_meta`) or name differently (indices of alerts and the ids that hash
/// them); a threshold's `from` was the window's start then, and its terms had another order.
fn matches(got: &Value, expected: &Value, key: &str) -> Result<(), String> {
    if expected.get("$ref").is_some() || matches!(key, "parent" | "parents" | "_meta" | "original_signal") {
        return Ok(());
    }
    let same = match (got, expected) {
        (Value::Object(got), Value::Object(expected)) => {
            let alert = got.get("type").is_some_and(|kind| kind == "signal");
            for (name, value) in expected {
                if (alert && matches!(&**name, "index" | "id" | "rule"))
                    || (expected.contains_key("terms") && name == "from")
                {
                    continue;
                }
                if key == "signal" && name == "reason" && expected.contains_key("threshold_result") {
                    continue;
                }
                let got = got.get(name).unwrap_or(&Value::Null);
                matches(got, value, name).map_err(|why| format!("{name}: {why}"))?;
            }
            let more = |name: &&String| !expected.contains_key(*name) && key != "signal";
            return match got.keys().find(more) {
                Some(name) => Err(format!("`{name}` is more than expected")),
                None => Ok(()),
            };
        }
        (Value::Array(got), Value::Array(expected)) if got.len() == expected.len() => {
            let (mut got, mut expected) = (got.clone(), expected.clone());
            if key != "ancestors" {
                got.sort_by_key(Value::to_string);
                expected.sort_by_key(Value::to_string);
            }
            return got.iter().zip(&expected).try_for_each(|(got, expected)| matches(got, expected, key));
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        // The recording writes the numbers of some archives as text.
        (Value::Number(a), Value::String(b)) => b.parse().ok() == a.as_f64(),
        (a, b) => a == b,
    };
    if same { Ok(()) } else { Err(format!("expected {expected}, got {got}")) }
}

#[test]
fn rules_alert_as_kibana_expects() {
    let Some(shared) = shared_dir() else { return };
    cases(&shared, None, 190);
}

#[test]
fn rules_alert_as_kibana_expects_on_a_real_node() {
    let Some(shared) = shared_dir() else { return };
    if let Some(node) = reference() {
        cases(&shared, Some(&node), 185);
    }
}

/// All cases on the embedded store or on a node; at least so many must run.
fn cases(shared: &Path, node: Option<&Node>, least: usize) {
    let mut files: Vec<_> = std::fs::read_dir(shared.join("data/kibana-engine/cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("new_terms_9x.json"))
        .collect();
    files.sort();
    let (mut ran, mut waiting, mut failed) = (0, 0, Vec::new());
    for path in files {
        let file = path.file_stem().unwrap().to_str().unwrap();
        let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for case in &cases {
            let name = case["name"].as_str().unwrap();
            let steps = case["steps"].as_array().unwrap();
            let why = NOT_COMPARED.iter().find(|(in_file, part, _)| file == *in_file && name.contains(part));
            if let Some((.., why)) = why {
                eprintln!("not compared: {file}: {name}: {why}");
                continue;
            }
            if steps.iter().any(|step| INTERFACES.contains(&step["op"].as_str().unwrap()))
                || !steps.iter().any(|step| step["op"].as_str().unwrap().starts_with("createRule"))
                || steps
                    .iter()
                    .any(|step| step["actual"]["$ref"].as_str().is_some_and(|r| r.starts_with("rule.")))
            {
                eprintln!("not compared: {file}: {name}: about Kibana's interfaces");
                continue;
            }
            let elsewhere =
                |(in_file, part, _): &&(&str, &str, &str)| file == *in_file && name.contains(part);
            if let Some((.., why)) = ON_NODES.iter().filter(|_| node.is_some()).find(elsewhere) {
                eprintln!("not compared on nodes: {file}: {name}: {why}");
                continue;
            }
            if !ready(steps) {
                waiting += 1;
                continue;
            }
            match check(shared, node, case, steps) {
                Ok(()) => ran += 1,
                Err(why) => failed.push(format!("{file}: {name}: {why}")),
            }
        }
    }
    eprintln!("{ran} cases passed, {waiting} wait for what is not there yet");
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), ran + failed.len(), failed.join("\n"));
    assert!(ran >= least, "{ran} cases");
}

/// Whether the rules of a case are of a type that runs.
fn ready(steps: &[Value]) -> bool {
    steps.iter().filter(|step| step["op"].as_str().unwrap().starts_with("createRule")).all(|step| {
        let file = ndjson::read(&step["rule"].to_string(), |_| "hash".to_owned());
        file.rules.first().is_some_and(|rule| rule.plan.is_some())
    })
}

/// How many alerts a case says there are where it compares a value of each of them. Kibana's tests
/// wait for at least so many as they name, and two of them (a list of one double, two lists of
/// texts that contradict each other) name fewer than they then compare.
fn compared(steps: &[Value]) -> Option<u64> {
    steps.iter().find_map(|step| {
        let of = step["actual"]["$ref"].as_str()?;
        let each = of.contains(".hits.hits.map(") && !of.contains(".flat()");
        let all = step["expected"][0].as_array().filter(|_| each && step["op"] == "expect")?;
        Some(all.len() as u64)
    })
}

/// The exception items that a step creates with its rule.
fn items(step: &Value) -> Vec<Value> {
    let list = |key: &str| step[key].as_array().cloned().unwrap_or_default();
    let item = |entries: &Value, systems: &Value| {
        let systems = systems.as_array().cloned().unwrap_or_default();
        json!({"list_id": "own", "name": "own", "type": "simple", "entries": entries, "os_types": systems})
    };
    let own = list("entries").iter().map(|entries| item(entries, &Value::Null)).collect::<Vec<_>>();
    let endpoint = list("endpointEntries");
    own.into_iter().chain(endpoint.iter().map(|of| item(&of["entries"], &of["osTypes"]))).collect()
}

fn check(shared: &Path, node: Option<&Node>, case: &Value, steps: &[Value]) -> Result<(), String> {
    let mut house = House::on(node);
    let created = |step: &&Value| step["op"].as_str().unwrap().starts_with("createRule");
    let first = steps.iter().find(created).unwrap();
    let only = first["rule"]["query"].as_str().and_then(|query| query.strip_prefix("_id:"));
    for archive in case["archives"].as_array().unwrap() {
        load(shared, archive.as_str().unwrap(), only, &mut house);
    }
    let mut last: Option<Ran> = None;
    let mut exceptions: Vec<Value> = Vec::new();
    for step in steps {
        let ran = || last.as_ref().unwrap();
        match step["op"].as_str().unwrap() {
            "lists.importFile" | "lists.importTextFile" => {
                let args = &step["args"];
                let values: Vec<&str> =
                    args[1].as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
                let lists = house.dir.path().join("lists");
                std::fs::create_dir_all(&lists).unwrap();
                std::fs::write(lists.join(args[2].as_str().unwrap()), values.join("\n")).unwrap();
            }
            "createExceptionList" => exceptions.push(step["list"].clone()),
            "createExceptionListItem" => {
                let mut item = step["item"].clone();
                if item.get("list_id").is_none() {
                    item["list_id"] = exceptions[0]["list_id"].clone();
                }
                exceptions.push(item);
            }
            "createRule" | "createRuleWithExceptionEntries" => {
                let mut rule = step["rule"].clone();
                if rule["query"].as_str().is_some_and(|query| query.starts_with("_id:")) {
                    rule["query"] = json!("*:*");
                }
                let own = items(step);
                if !own.is_empty() {
                    rule["exceptions_list"] = json!([{"id": "1", "list_id": "own", "type": "detection", "namespace_type": "single"}]);
                }
                let lines = std::iter::once(&rule).chain(&exceptions).chain(&own);
                let export: Vec<String> = lines.map(Value::to_string).collect();
                last = Some(house.run(&export.join("\n"), std::time::SystemTime::now().into()));
            }
            "waitForRuleStatus" => {
                let mut record = ran().record.clone();
                // Kibana of that time did not call a reached cap a partial failure.
                record.warnings.retain(|warning| {
                    !warning.contains("the cap of") && !warning.contains("expired at once")
                });
                let status = if record.warnings.is_empty() && record.error.is_none() {
                    "succeeded"
                } else {
                    record.status.as_str()
                };
                if step["status"] != status {
                    return Err(format!("{:?}", ran().record));
                }
            }
            "waitForSignals" => {
                let count = ran().alerts.len() as u64;
                let expected = compared(steps).or(step["count"].as_u64()).unwrap_or(0);
                if count != expected {
                    return Err(format!("{count} alerts, expected {expected}: {:?}", ran().record));
                }
            }
            "expect" => {
                let hits: Vec<Value> = ran().alerts.iter().map(old_shape).collect();
                let got = expression::evaluate(step["actual"]["$ref"].as_str().unwrap(), &hits)?;
                let expected = &step["expected"][0];
                match step["matcher"].as_str().unwrap() {
                    "greaterThan" if got.as_f64() > expected.as_f64() => {}
                    "not.eql" if got != *expected => {}
                    "eql" | "equal" => {
                        let key = if got.get("depth").is_some() { "signal" } else { "" };
                        matches(&got, expected, key)?;
                    }
                    matcher => return Err(format!("{got} is not {matcher} {expected}")),
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A value of an alert, however its document spells it.
fn value(alert: &StoredAlert, name: &str) -> Value {
    lookup(&alert.source, name).cloned().unwrap_or_default()
}
