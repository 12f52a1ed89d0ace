//! Elastic's EQL rules: all of them are read, and each finds the events made for it.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::lang::eql::{Lowering, lower, parse};
use tocsin::query::plan::{EqlPlan, EqlQuery, Filter, Node};

use super::support::{events, run};
use crate::shared::shared_dir;

struct Rule {
    query: String,
    category_field: String,
}

fn toml_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            toml_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "toml") {
            out.push(path);
        }
    }
}

fn rule(path: &Path) -> Option<Rule> {
    let file: toml::Table = std::fs::read_to_string(path).ok()?.parse().expect("TOML");
    let rule = file.get("rule")?;
    let text = |name: &str| rule.get(name).and_then(toml::Value::as_str).map(str::to_owned);
    if text("language")? != "eql" {
        return None;
    }
    let category_field = text("event_category_override").unwrap_or_else(|| "event.category".to_owned());
    Some(Rule { query: text("query")?, category_field })
}

fn plan(rule: &Rule) -> Result<EqlQuery, String> {
    let lowering = Lowering { category_field: rule.category_field.as_str().into() };
    let query = parse(&rule.query).and_then(|query| {
        let printed = query.to_string();
        assert_eq!(parse(&printed).as_ref(), Ok(&query), "{printed}");
        lower(&query, &rule.query, &lowering)
    });
    query.map_err(|error| error.to_string())
}

/// Whether an index can decide part of a search.
fn narrows(filter: &Filter) -> bool {
    match &filter.node {
        Node::All | Node::Not(_) => false,
        Node::And(all) => all.iter().any(narrows),
        Node::Or(all) => all.iter().all(narrows),
        Node::Scalar { necessary, .. } => narrows(necessary),
        _ => true,
    }
}

#[test]
fn every_rule_is_read_and_narrowed() {
    let Some(shared) = shared_dir() else { return };
    let mut files = Vec::new();
    toml_files(&shared.join("data/elastic-rules"), &mut files);
    let mut failures = Vec::new();
    let mut read = 0;
    for file in files {
        let Some(rule) = rule(&file) else { continue };
        read += 1;
        match plan(&rule) {
            Err(error) => failures.push(format!("{}: {error}", file.display())),
            Ok(query) => {
                let searches = match query.plan {
                    EqlPlan::Event(filter) => vec![filter],
                    EqlPlan::Sequence(plan) => plan.searches,
                    EqlPlan::Sample(plan) => plan.searches,
                };
                if !searches.iter().all(|filter| narrows(filter)) {
                    failures.push(format!("{}: some search reads every event", file.display()));
                }
            }
        }
    }
    assert!(read > 250, "only {read} rules");
    assert!(failures.is_empty(), "{} of {read}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_rule_finds_its_events() {
    let Some(shared) = shared_dir() else { return };
    let text = std::fs::read_to_string(shared.join("data/elastic-rules-events.ndjson")).expect("events");
    let mut failures = Vec::new();
    let mut checked = 0;
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        if line["type"] != "eql" {
            continue;
        }
        let path = line["rule"].as_str().expect("a path");
        let rule = rule(&shared.join("data/elastic-rules").join(path)).expect("a rule");
        let query = match plan(&rule) {
            Ok(query) => query,
            Err(error) => {
                failures.push(format!("{path}: {error}"));
                continue;
            }
        };
        let mapping = Mapping::from_elasticsearch(&line["mappings"]).expect("a mapping");
        let peers = &line["peer_ok"];
        for (number, solution) in line["solutions"].as_array().expect("solutions").iter().enumerate() {
            // The generator takes the backquotes around names for parts of them.
            if solution.to_string().contains("\"`") {
                continue;
            }
            checked += 1;
            let sources = solution.as_array().expect("documents");
            let mut mapping = mapping.clone();
            for source in sources {
                mapping.learn_document(&FlatDoc::from_value(source));
            }
            let events = events(sources, &mapping, None);
            if run(&query, &mapping, &events).is_empty() {
                failures.push(format!("{path} [{number}] (peer {}): {solution}", peers[number]));
            }
        }
    }
    assert!(checked > 500, "only {checked} sets of events");
    assert!(failures.is_empty(), "{} of {checked}:\n{}", failures.len(), failures.join("\n"));
}
