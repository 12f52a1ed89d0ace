//! The scenario suite: each file of `tests/scenarios` holds on documents in memory, on the embedded
//! store and on every node that there is, alerts included, or says where it does not and why.
//!
//! `TOCSIN_SCENARIO=name` runs those whose name contains that; `TOCSIN_SCENARIO_TABLE=file` keeps the
//! table as Markdown.

mod file;
mod place;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tocsin::alert::lookup::lookup;
use tocsin::rule::compiled::CompiledRule;
use tocsin::rule::load::files::{Sources, load_sources};
use tocsin::store::state::{ExecutionRecord, StoredAlert};

use self::file::{Run, Scenario};
use self::place::{Where, World};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

/// The scenarios by their file's name.
fn scenarios() -> BTreeMap<String, Scenario> {
    let wanted = std::env::var("TOCSIN_SCENARIO").unwrap_or_default();
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .filter(|(name, _)| name.contains(&wanted))
        .map(|(name, path)| {
            let text = std::fs::read_to_string(&path).unwrap();
            let scenario =
                toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (name, scenario)
        })
        .collect()
}

/// What one scenario is called on one machine at one time: indices of a node are nobody else's.
fn prefix(name: &str) -> String {
    format!("t{}-{}-", std::process::id(), name.replace('_', "-"))
}

/// An index pattern of a rule as its indices are called.
fn prefixed(pattern: &str, prefix: &str) -> String {
    if pattern.starts_with('.') {
        return pattern.to_owned();
    }
    let (sign, rest) = pattern.strip_prefix('-').map_or(("", pattern), |rest| ("-", rest));
    match rest.strip_prefix('<') {
        Some(rest) => format!("{sign}<{prefix}{rest}"),
        None => format!("{sign}{prefix}{rest}"),
    }
}

/// The rule of a scenario, loaded from files as any rule is.
fn compiled(name: &str, scenario: &Scenario, rule: &toml::Table, prefix: &str) -> Arc<CompiledRule> {
    let mut rule = rule.clone();
    for (key, value) in [
        ("rule_id", name),
        ("name", scenario.title.as_str()),
        ("description", "A rule of a scenario."),
        ("severity", "medium"),
        ("interval", "5m"),
        ("from", "now-60m"),
    ] {
        rule.entry(key).or_insert_with(|| value.into());
    }
    rule.entry("risk_score").or_insert_with(|| 47.into());
    for key in ["index", "threat_index"] {
        for pattern in rule.get_mut(key).and_then(|v| v.as_array_mut()).into_iter().flatten() {
            *pattern = prefixed(pattern.as_str().unwrap(), prefix).into();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let write = |file: &str, text: String| {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.parent().unwrap().to_owned()
    };
    let mut sources = Sources::default();
    if !scenario.exception.is_empty() {
        let reference =
            "[{id = \"1\", list_id = \"mine\", type = \"detection\", namespace_type = \"single\"}]";
        let reference: toml::Table = toml::from_str(&format!("it = {reference}")).unwrap();
        rule.insert("exceptions_list".to_owned(), reference["it"].clone());
        let mut lines = vec![json!({"list_id": "mine", "name": "Mine", "type": "detection"}).to_string()];
        for (number, item) in scenario.exception.iter().enumerate() {
            let mut line = json!({"list_id": "mine", "item_id": format!("i{number}"), "name": format!("item {number}"), "type": "simple"});
            let own = serde_json::to_value(item).unwrap();
            line.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
            lines.push(line.to_string());
        }
        sources.exceptions.push(write("exceptions/mine.ndjson", lines.join("\n")));
    }
    for (id, text) in &scenario.lists {
        sources.value_lists = vec![write(&format!("lists/{id}"), text.clone())];
    }
    let mut whole = toml::Table::new();
    whole.insert("rule".to_owned(), rule.into());
    sources.rules.push(write("rules/rule.toml", toml::to_string(&whole).unwrap()));
    let set = load_sources(&sources, None);
    let errors: Vec<_> = set.errors().collect();
    assert!(errors.is_empty(), "{name}: {errors:?}");
    let first = set.compiled.first().cloned();
    first.unwrap_or_else(|| panic!("{name}: the rule does not run: {:?}", set.diagnostics))
}

/// What a file says of an alert: a field of it, `-` where it is missing, or the events that it is
/// made of.
fn shown(alert: &StoredAlert, what: &str) -> Value {
    if what == "events" {
        let ancestors = lookup(&alert.source, "kibana.alert.ancestors").and_then(Value::as_array);
        let events = ancestors.into_iter().flatten().filter(|ancestor| ancestor["type"] == "event");
        let ids: Vec<&str> = events.filter_map(|ancestor| ancestor["id"].as_str()).collect();
        return ids.join(" ").into();
    }
    lookup(&alert.source, what).filter(|value| !value.is_null()).cloned().unwrap_or_else(|| "-".into())
}

/// The value as text, objects in the order of their keys.
fn text(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}

/// Every place where what came differs from what is expected.
fn compare(record: &ExecutionRecord, alerts: &[StoredAlert], expected: &Run, prefix: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: &str, got: &Value, wanted: &Value| {
        if got != wanted {
            wrong.push(format!("{what}: expected {wanted}, got {got}"));
        }
    };
    check("status", &json!(record.status.as_str()), &json!(expected.status));
    for (what, got, wanted) in [
        ("candidates", record.candidates, expected.candidates),
        ("duplicates", record.duplicates, expected.duplicates),
        ("suppressed", record.suppressed, expected.suppressed),
        ("excepted", record.excepted.unwrap_or(0), expected.excepted),
        ("capped", record.capped, expected.capped),
    ] {
        if let Some(wanted) = wanted {
            check(what, &json!(got), &json!(wanted));
        }
    }
    let said = |text: &str| text.replace(prefix, "");
    let fits = |got: &[String], wanted: &[String]| {
        got.len() == wanted.len() && got.iter().zip(wanted).all(|(got, wanted)| said(got).contains(wanted))
    };
    if !fits(&record.warnings, &expected.warnings) {
        check("warnings", &json!(record.warnings), &json!(expected.warnings));
    }
    let error: Vec<String> = record.error.iter().cloned().collect();
    if !fits(&error, &expected.error.iter().cloned().collect::<Vec<_>>()) {
        check("error", &json!(error), &json!(expected.error));
    }
    let total =
        record.alerts + record.duplicates + record.suppressed + record.excepted.unwrap_or(0) + record.capped;
    check("the sum of what became of candidates", &json!(total), &json!(record.candidates));
    if let Some(count) = expected.count {
        check("alerts", &json!(alerts.len()), &json!(count));
    }
    if let Some(wanted) = &expected.alerts {
        let row = |alert: &StoredAlert| {
            let cells: Vec<Value> = expected.show.iter().map(|what| shown(alert, what)).collect();
            match <[Value; 1]>::try_from(cells) {
                Ok([one]) => one,
                Err(cells) => cells.into(),
            }
        };
        let mut got: Vec<String> = alerts.iter().map(|alert| said(&text(&row(alert)))).collect();
        let mut wanted: Vec<String> = wanted.iter().map(text).collect();
        got.sort();
        wanted.sort();
        if got != wanted {
            wrong.push(format!(
                "alerts:\n      expected {}\n      got      {}",
                wanted.join(", "),
                got.join(", ")
            ));
        }
    }
    wrong
}

/// What an alert says, by its id, without the id of the execution, which is different each time.
type Left = BTreeMap<String, Value>;

fn left(alerts: Vec<StoredAlert>) -> Left {
    let one = |alert: StoredAlert| {
        let mut fields = Map::new();
        spelled_out(alert.source, "", &mut fields);
        fields.remove("kibana.alert.rule.execution.uuid");
        (alert.id.to_string(), Value::Object(fields))
    };
    alerts.into_iter().map(one).collect()
}

/// Every value under its full name: whether an alert nests its fields is no difference.
fn spelled_out(value: Value, name: &str, out: &mut Map<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (part, value) in fields {
                let name = if name.is_empty() { part } else { format!("{name}.{part}") };
                spelled_out(value, &name, out);
            }
        }
        value => {
            out.insert(name.to_owned(), value);
        }
    }
}

/// Where what is left differs from what it is in memory.
fn unlike(memory: &Left, here: &Left) -> Vec<String> {
    let mut wrong = Vec::new();
    for id in memory.keys().chain(here.keys().filter(|id| !memory.contains_key(*id))) {
        match (memory.get(id), here.get(id)) {
            (Some(one), Some(other)) if one == other => {}
            (Some(Value::Object(one)), Some(Value::Object(other))) => {
                let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
                for name in names.filter(|name| one.get(*name) != other.get(*name)) {
                    wrong.push(format!(
                        "alert {id}: `{name}` in memory {:?}, here {:?}",
                        one.get(name),
                        other.get(name)
                    ));
                }
            }
            (one, _) => {
                let place = if one.is_some() { "memory" } else { "here" };
                wrong.push(format!("alert {id} is only {place}"));
            }
        }
    }
    wrong.truncate(8);
    wrong
}

/// How a scenario went on a backend.
enum Outcome {
    /// As the file says, which is what is said of all.
    Holds(Left),
    /// As the file says of this backend.
    Differs,
    NotHere,
    Fails(Vec<String>),
}

fn judge(name: &str, scenario: &Scenario, at: &Where, space: &str) -> Outcome {
    let differs = scenario.differs(at.name(), at.is_node());
    let other = match differs {
        Some(differs) => match &differs.run {
            None => return Outcome::NotHere,
            Some(runs) => Some(runs),
        },
        None => None,
    };
    let prefix = prefix(name);
    let rule = compiled(name, scenario, &scenario.rule, &prefix);
    let earlier = scenario.before.as_ref().map(|rule| compiled("before", scenario, rule, &prefix));
    let mut world = World::new(at, space);
    let usual = std::fs::read_to_string(folder().join("mapping.json")).unwrap();
    for index in &scenario.index {
        let mapping = index.mapping.as_ref().unwrap_or(&usual);
        let mapping = serde_json::from_str(mapping).unwrap_or_else(|error| panic!("{name}: {error}"));
        let own = format!("{prefix}{}", index.name);
        world.index(&own, &mapping);
        world.fill(&own, index.all());
    }
    let mut wrong = Vec::new();
    for (number, run) in scenario.run.iter().enumerate() {
        let at = run.at.as_deref().unwrap_or("2026-11-01T12:00:00Z");
        let slot = at.parse().unwrap_or_else(|error| panic!("{name}: `{at}`: {error}"));
        for (index, lines) in &run.arrive {
            world.fill(&format!("{prefix}{index}"), file::documents(lines));
        }
        if run.close {
            world.close(&world.alerts(name), slot);
        }
        if let Some(earlier) = &earlier {
            world.run(earlier, slot);
        }
        let record = world.run(&rule, slot);
        let expected = other.and_then(|runs| runs.get(number)).unwrap_or(run);
        let alerts = world.alerts(name);
        let found = compare(&record, &alerts, expected, &prefix);
        wrong.extend(found.into_iter().map(|wrong| format!("run {}: {wrong}", number + 1)));
    }
    match (wrong.is_empty(), other) {
        (false, _) => Outcome::Fails(wrong),
        (true, Some(_)) => Outcome::Differs,
        (true, None) => Outcome::Holds(left(world.alerts(name))),
    }
}

#[test]
fn every_scenario_holds_on_every_backend() {
    let scenarios = scenarios();
    let space = crate::alert_index::a_space();
    let places = Where::all(&space);
    let mut table = String::from("| Scenario |");
    for place in &places {
        write!(table, " {} |", place.name()).unwrap();
    }
    write!(table, "\n| --- |{}\n", " --- |".repeat(places.len())).unwrap();
    let mut notes = String::new();
    let mut failed = Vec::new();
    for (name, scenario) in &scenarios {
        write!(table, "| {} |", scenario.title).unwrap();
        let mut memory: Option<Left> = None;
        for place in &places {
            let mut outcome = judge(name, scenario, place, &space);
            if let Outcome::Holds(here) = &outcome {
                let wrong = memory.as_ref().map_or_else(Vec::new, |memory| unlike(memory, here));
                if wrong.is_empty() {
                    memory = Some(here.clone());
                } else {
                    outcome = Outcome::Fails(wrong);
                }
            }
            let cell = match outcome {
                Outcome::Holds(_) => "holds",
                Outcome::Differs => "differs",
                Outcome::NotHere => "not here",
                Outcome::Fails(wrong) => {
                    failed.push(format!("{name} on {}:\n    {}", place.name(), wrong.join("\n    ")));
                    "**fails**"
                }
            };
            write!(table, " {cell} |").unwrap();
        }
        table.push('\n');
        for (backend, differs) in &scenario.differs {
            writeln!(notes, "- {}, {backend}: {}", scenario.title, differs.reason).unwrap();
        }
    }
    eprintln!("{table}\n{notes}");
    if let Some(path) = std::env::var_os("TOCSIN_SCENARIO_TABLE") {
        std::fs::write(path, format!("{table}\n{notes}")).unwrap();
    }
    assert!(failed.is_empty(), "{} fail:\n  {}", failed.len(), failed.join("\n  "));
}
