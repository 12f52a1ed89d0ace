//! What Elasticsearch finds for EQL queries, on its documents.

use std::path::Path;

use serde_json::Value;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::{Entry, Mapping};
use tocsin::ecs::types::FieldType;
use tocsin::query::eval::eql::KeyValue;
use tocsin::query::lang::eql::{Lowering, lower, parse};

use super::support::{events, run};
use crate::shared::shared_dir;

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON")
}

/// The documents of an index with the mapping they end up with.
fn index(folder: &Path, name: &str) -> (Vec<Value>, Mapping) {
    let text = std::fs::read_to_string(folder.join(format!("{name}.ndjson"))).expect("documents");
    let sources: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let file = folder.join(format!("{name}.mapping.json"));
    let mut mapping =
        if file.exists() { Mapping::from_elasticsearch(&json(&file)) } else { Ok(Mapping::empty()) }
            .expect("a mapping");
    // The recorded mapping leaves out that this field was a version there.
    if name == "extra" {
        mapping.set("version", Entry::new(FieldType::Version));
    }
    for source in &sources {
        mapping.learn_document(&FlatDoc::from_value(source));
    }
    (sources, mapping)
}

fn spelled(key: &KeyValue) -> Value {
    match key.json() {
        Value::Null => Value::Null,
        Value::String(text) => Value::String(text),
        other => Value::String(other.to_string()),
    }
}

#[test]
fn elasticsearch_finds_the_same() {
    let Some(shared) = shared_dir() else { return };
    let folder = shared.join("data/eql");
    let mut failures = Vec::new();
    let mut checked = 0;
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    for file in files {
        for case in json(&file).as_array().expect("cases") {
            let name = case["name"].as_str().expect("a name");
            let text = case["query"].as_str().expect("a query");
            checked += 1;
            let mut sources = Vec::new();
            let mut mapping: Option<Mapping> = None;
            for one in case["index"].as_str().expect("an index").split(',') {
                let (more, its) = index(&folder.join("data"), one);
                sources.extend(more);
                mapping = Some(match mapping {
                    None => its,
                    Some(known) => Mapping::merged([&known, &its]),
                });
            }
            let mapping = mapping.expect("an index");
            let lowering = Lowering { category_field: "event_type".into() };
            let query = match parse(text).and_then(|query| lower(&query, text, &lowering)) {
                Ok(query) => query,
                Err(error) => {
                    failures.push(format!("{name}: {error}\n    {text}"));
                    continue;
                }
            };
            let id = case["id_field"].as_str().expect("an id field");
            let events = events(&sources, &mapping, Some(id));
            let mut found = run(&query, &mapping, &events);
            if let Some(size) = case["size"].as_u64() {
                found.truncate(usize::try_from(size).expect("a size"));
            }
            let ids: Vec<Value> = found
                .iter()
                .flat_map(|joined| &joined.events)
                .map(|event| match event {
                    None => Value::from(-1),
                    Some(number) => {
                        let doc = &events[*number].doc;
                        let id: i64 = doc.values(id).next().expect("an id").value.parse().expect("a number");
                        Value::from(id)
                    }
                })
                .collect();
            let ids = Value::Array(ids);
            let expected = &case["expected_event_ids"];
            let same = if case["alternatives"] == true {
                expected.as_array().expect("alternatives").contains(&ids)
            } else {
                *expected == ids
            };
            let keys: Vec<Value> = found.iter().flat_map(|joined| joined.key.iter().map(spelled)).collect();
            // Dates that join samples are milliseconds there, texts here (docs/eql.md).
            let known = name == "customDateFormatAsKey_SameIndexResults";
            let keys_differ =
                !known && case.get("join_keys").is_some_and(|wanted| *wanted != Value::Array(keys.clone()));
            if !same || keys_differ {
                failures.push(format!(
                    "{name}: expected {expected} {:?}\n    found    {ids} {keys:?}\n    {text}",
                    case.get("join_keys")
                ));
            }
        }
    }
    assert!(checked > 80, "only {checked} cases");
    assert!(failures.is_empty(), "{} of {checked}:\n{}", failures.len(), failures.join("\n"));
}
