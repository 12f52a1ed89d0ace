//! Elastic's own rules, on events that were made for them.

use std::io::BufRead;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tocsin::alert::lookup::lookup;
use tocsin::ecs::document::Document;
use tocsin::ecs::mapping::Mapping;
use tocsin::ecs::types::FieldType;
use tocsin::rule::load::LoadedRule;
use tocsin::rule::load::files::load_paths;
use tocsin::rule::model::RuleKind;

use super::{House, Place};
use crate::shared::shared_dir;

/// Puts a value at a path of nested objects.
fn put(source: &mut Value, path: &str, value: Value) {
    let mut at = source;
    for part in path.split('.') {
        at = &mut at[part];
    }
    *at = value;
}

/// The event with a value in each field that the rule groups by: the events were made for the
/// queries alone.
fn complete(kind: &RuleKind, source: &Value) -> Value {
    let fields = match kind {
        RuleKind::Threshold(params) => &params.fields,
        RuleKind::NewTerms(params) => &params.fields,
        _ => return source.clone(),
    };
    let mut source = source.clone();
    for field in fields.iter().filter(|field| lookup(&source, field).is_none()).collect::<Vec<_>>() {
        let value = match Mapping::ecs().resolve(field).map(|field| field.kind) {
            Some(FieldType::Ip) => json!("198.51.100.7"),
            Some(FieldType::Long | FieldType::Integer) => json!(7),
            _ => json!("some"),
        };
        put(&mut source, field, value);
    }
    source
}

/// As many events as a threshold asks for, made of one.
fn enough(kind: &RuleKind, source: &Value) -> Vec<Value> {
    let source = complete(kind, source);
    let RuleKind::Threshold(params) = kind else { return vec![source] };
    let distinct = params.cardinality.as_ref().map_or(0, |least| least.value);
    (0..params.value.max(distinct))
        .map(|number| {
            let mut source = source.clone();
            if let Some(least) = &params.cardinality {
                put(&mut source, &least.field, json!(format!("value-{number}")));
            }
            source
        })
        .collect()
}

#[test]
fn threshold_and_new_terms_rules_fire_on_their_events() {
    let Some(dir) = shared_dir() else { return };
    let set = load_paths(&[dir.join("data/elastic-rules")], None);
    let file = std::fs::File::open(dir.join("data/elastic-rules-events.ndjson")).unwrap();
    let (mut fired, mut unlike, mut silent) = (0, 0, Vec::new());
    for line in std::io::BufReader::new(file).lines() {
        let case: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let Some(compiled) = set.plan(case["rule_id"].as_str().unwrap()) else { continue };
        if !matches!(compiled.rule.kind, RuleKind::Threshold(_) | RuleKind::NewTerms(_)) {
            continue;
        }
        let rule = LoadedRule { rule: compiled.rule.clone(), plan: Some(compiled.plan.clone()) };
        let solutions = case["solutions"].as_array().unwrap();
        let peers = case["peer_ok"].as_array().cloned().unwrap_or_default();
        for (number, solution) in solutions.iter().enumerate().take(3) {
            for place in [Place::Memory, Place::Store] {
                let mut house = House::new(place);
                let mapping = Mapping::from_elasticsearch(&case["mappings"]).unwrap();
                house.mapping = house.mapping.overlay(&mapping);
                let mut latest = DateTime::<Utc>::UNIX_EPOCH;
                let mut events = Vec::new();
                for source in solution.as_array().unwrap().iter().flat_map(|s| enough(&compiled.rule.kind, s))
                {
                    let at: DateTime<Utc> = source["@timestamp"].as_str().unwrap().parse().unwrap();
                    latest = latest.max(at);
                    let index = house_index(&compiled.rule.index_patterns());
                    events.push(Document::new(index, format!("{number}-{}", events.len()), source));
                }
                house.add(events);
                let record = house.run(&rule, latest + chrono::Duration::seconds(1));
                if record.alerts > 0 {
                    fired += 1;
                } else if peers.get(number).is_some_and(|ok| *ok != true) {
                    unlike += 1;
                } else {
                    silent.push(format!("{}: {}", compiled.rule.name, json!(solution)));
                }
            }
        }
    }
    assert!(silent.is_empty(), "{} are silent:\n{}", silent.len(), silent.join("\n"));
    assert!(fired > 100, "{fired}");
    // Events of one rule lack fields that its query names; the other evaluator says so too.
    assert!(unlike <= 6, "{unlike}");
}

/// An index that one of the patterns names.
fn house_index(patterns: &[String]) -> String {
    let first = patterns.iter().find(|pattern| !pattern.starts_with('-')).unwrap();
    first.split(',').next().unwrap().replace('*', "test")
}
