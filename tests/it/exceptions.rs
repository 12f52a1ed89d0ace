//! Exceptions and value lists, from files to executions.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;
use tocsin::backend::memory::MemoryBackend;
use tocsin::base::clock::ManualClock;
use tocsin::base::diagnostic::Diagnostic;
use tocsin::ecs::document::Document;
use tocsin::ecs::mapping::Mapping;
use tocsin::engine::{Due, Engine, Settings, Trigger};
use tocsin::rule::load::files::{Sources, load_sources};
use tocsin::rule::set::RuleSet;
use tocsin::store::state::{AlertQuery, ExecutionRecord, StateDb};

fn noon() -> DateTime<Utc> {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

/// A folder with one rule, its exceptions and value lists.
struct Desk {
    dir: TempDir,
    events: Vec<Document>,
}

impl Desk {
    /// A rule that alerts on every event of `logs-*` and refers to the list `mine`.
    fn new() -> Self {
        Self::with("type = \"query\"\nquery = \"*:*\"")
    }

    fn with(kind: &str) -> Self {
        let desk = Self { dir: TempDir::new().unwrap(), events: Vec::new() };
        let rule = format!(
            "[rule]\nrule_id = \"r-1\"\nname = \"Rule\"\ndescription = \"Finds.\"\nrisk_score = 47\n\
             severity = \"medium\"\ninterval = \"5m\"\nfrom = \"now-60m\"\nindex = [\"logs-*\"]\n{kind}\n\
             [[rule.exceptions_list]]\nid = \"1\"\nlist_id = \"mine\"\ntype = \"detection\"\nnamespace_type = \"single\"\n"
        );
        desk.write("rules/rule.toml", &rule);
        desk
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Items of the list as a Kibana export.
    fn except(self, items: &[Value]) -> Self {
        let mut lines = vec![json!({"list_id": "mine", "name": "Mine", "type": "detection"}).to_string()];
        for (number, entries) in items.iter().enumerate() {
            let mut item = json!({"list_id": "mine", "item_id": format!("i{number}"), "name": format!("item {number}"), "type": "simple"});
            let extra = if entries.is_array() { json!({"entries": entries}) } else { entries.clone() };
            item.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            lines.push(item.to_string());
        }
        self.write("exceptions/mine.ndjson", &lines.join("\n"));
        self
    }

    fn list(self, name: &str, lines: &str) -> Self {
        self.write(&format!("lists/{name}"), lines);
        self
    }

    fn event(mut self, id: &str, fields: &Value) -> Self {
        let mut source = json!({"@timestamp": "2026-11-01T11:30:00Z"});
        source.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.events.push(Document::new("logs-test", id, source));
        self
    }

    fn load(&self) -> RuleSet {
        let path = |name: &str| {
            let path = self.dir.path().join(name);
            if path.exists() { vec![path] } else { Vec::new() }
        };
        let sources =
            Sources { rules: path("rules"), exceptions: path("exceptions"), value_lists: path("lists") };
        load_sources(&sources, None)
    }

    fn said(&self) -> Vec<String> {
        let shown = |found: &Diagnostic| {
            let path = found.path.as_deref().unwrap_or(Path::new(""));
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            format!("{name}:{}: {}", found.line.unwrap_or(0), found.message)
        };
        self.load().diagnostics.iter().map(shown).collect()
    }

    /// Runs the rule at noon: the events that alert, and the record.
    fn run(&self) -> (Vec<String>, ExecutionRecord) {
        let set = self.load();
        assert_eq!(set.errors().next(), None);
        let state = Arc::new(StateDb::open(&self.dir.path().join("data")).unwrap());
        let backend = Arc::new(MemoryBackend::new(self.events.clone(), mapping()));
        let settings = Settings { trigger: Trigger::Manual, ..Settings::default() };
        let clock = Arc::new(ManualClock::new(noon()));
        let engine = Engine::new(backend, Arc::clone(&state), clock, settings).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let record = runtime.block_on(engine.run(vec![Due::compiled(&set.compiled[0], noon())])).remove(0);
        assert_eq!(record.error, None);
        let counted = record.alerts + record.duplicates + record.capped + record.excepted.unwrap_or(0);
        assert_eq!(record.candidates, counted, "{record:?}");
        let alerts = state.alerts(&AlertQuery { ascending: true, ..AlertQuery::default() }).unwrap();
        let id = |source: &Value| source["kibana.alert.ancestors"][0]["id"].as_str().unwrap().to_owned();
        let mut ids: Vec<String> = alerts.iter().map(|alert| id(&alert.source)).collect();
        ids.sort();
        (ids, record)
    }
}

fn mapping() -> Mapping {
    Mapping::ecs().overlay(
        &Mapping::from_elasticsearch(&json!({"properties": {
            "nest": {"type": "nested", "properties": {"k": {"type": "keyword"}, "n": {"type": "long"}}},
            "words": {"type": "text"}, "count": {"type": "long"},
        }}))
        .unwrap(),
    )
}

/// Events that differ in the fields the cases ask for.
fn world(desk: Desk) -> Desk {
    desk.event("a", &json!({"user": {"name": "alice"}, "source": {"ip": "10.0.0.1"}, "words": "quick fox", "count": 1}))
        .event("b", &json!({"user": {"name": "bob"}, "source": {"ip": "192.168.0.9"}, "words": "lazy dog", "count": 2}))
        .event("c", &json!({"source": {"ip": "10.9.9.9"}, "process": {"executable": "C:\\Windows\\x.exe"}, "host": {"os": {"type": "windows"}}}))
        .event("d", &json!({"user": {"name": ["carol", "bob"]}, "nest": [{"k": "x", "n": 1}, {"k": "y", "n": 2}]}))
}

#[test]
fn every_operator_excepts_what_kibana_excepts() {
    let entry = |field: &str, operator: &str, kind: &str, value: Value| json!([{"field": field, "operator": operator, "type": kind, "value": value}]);
    let list = |field: &str, operator: &str, id: &str, kind: &str| json!([{"field": field, "operator": operator, "type": "list", "list": {"id": id, "type": kind}}]);
    let cases: Vec<(&str, Vec<Value>, &str)> = vec![
        ("a value", vec![entry("user.name", "included", "match", json!("bob"))], "a c"),
        ("not a value", vec![entry("user.name", "excluded", "match", json!("bob"))], "b d"),
        (
            "one of several",
            vec![entry("user.name", "included", "match_any", json!(["alice", "carol"]))],
            "b c",
        ),
        (
            "none of several",
            vec![entry("user.name", "excluded", "match_any", json!(["alice", "carol"]))],
            "a d",
        ),
        ("a phrase", vec![entry("words", "included", "match", json!("Quick"))], "b c d"),
        ("a number", vec![entry("count", "included", "match", json!("2"))], "a c d"),
        (
            "a pattern",
            vec![entry("process.executable", "included", "wildcard", json!("C:\\Win*\\?.exe"))],
            "a b d",
        ),
        ("not a pattern", vec![entry("user.name", "excluded", "wildcard", json!("a*"))], "a"),
        ("a field", vec![json!([{"field": "user.name", "operator": "included", "type": "exists"}])], "c"),
        (
            "no field",
            vec![json!([{"field": "user.name", "operator": "excluded", "type": "exists"}])],
            "a b d",
        ),
        (
            "two entries are both needed",
            vec![json!([
                {"field": "user.name", "operator": "included", "type": "match", "value": "bob"},
                {"field": "count", "operator": "included", "type": "match", "value": "2"},
            ])],
            "a c d",
        ),
        (
            "two items are either",
            vec![
                entry("user.name", "included", "match", json!("alice")),
                entry("count", "included", "match", json!("2")),
            ],
            "c d",
        ),
        (
            "one object of a nested field",
            vec![json!([{"field": "nest", "type": "nested", "entries": [
                {"field": "k", "operator": "included", "type": "match", "value": "x"},
                {"field": "n", "operator": "included", "type": "match", "value": "1"},
            ]}])],
            "a b c",
        ),
        (
            "not two objects of it",
            vec![json!([{"field": "nest", "type": "nested", "entries": [
                {"field": "k", "operator": "included", "type": "match", "value": "x"},
                {"field": "n", "operator": "included", "type": "match", "value": "2"},
            ]}])],
            "a b c d",
        ),
        ("a list of names", vec![list("user.name", "included", "names.txt", "keyword")], "c"),
        ("not in a list of names", vec![list("user.name", "excluded", "names.txt", "keyword")], "a b d"),
        ("a list of addresses", vec![list("source.ip", "included", "addresses.txt", "ip")], "b c d"),
        ("a list of networks and ranges", vec![list("source.ip", "included", "ranges.txt", "ip_range")], "d"),
        ("a list of texts", vec![list("words", "included", "texts.txt", "text")], "a c d"),
        ("a list of texts, whatever order", vec![list("words", "included", "dogs.txt", "text")], "a c d"),
        ("a text longer than a value", vec![list("user.name", "included", "people.txt", "text")], "b c d"),
        ("a text shorter than a value", vec![list("words", "included", "short.txt", "text")], "a b c d"),
        ("a list of numbers", vec![list("count", "included", "numbers.txt", "long")], "b c d"),
        (
            "an operating system",
            vec![json!({"os_types": ["windows"], "entries": [
                {"field": "source.ip", "operator": "included", "type": "exists"},
            ]})],
            "a b d",
        ),
        (
            "one that has ended",
            vec![json!({"expire_time": "2026-11-01T11:59:59Z", "entries": [
                {"field": "user.name", "operator": "included", "type": "exists"},
            ]})],
            "a b c d",
        ),
        (
            "one that will end",
            vec![json!({"expire_time": "2026-11-01T12:00:01Z", "entries": [
                {"field": "user.name", "operator": "included", "type": "exists"},
            ]})],
            "c",
        ),
    ];
    for (name, items, expected) in cases {
        let desk = world(Desk::new().except(&items))
            .list("names.txt", "alice\nbob\n")
            .list("addresses.txt", "10.0.0.1\n")
            .list("ranges.txt", "10.0.0.0/8\n192.168.0.1-192.168.0.20\n")
            .list("texts.txt", "lazy dog\n")
            .list("dogs.txt", "one DOG is lazy\nlazy\n")
            .list("people.txt", "alice and dave\n")
            .list("short.txt", "fox\nquick\nlazy\ndog\n")
            .list("numbers.txt", "1\n\n7\n");
        let (alerts, record) = desk.run();
        assert_eq!(alerts.join(" "), expected, "{name}");
        assert_eq!(record.excepted, Some(4 - alerts.len() as u64), "{name}");
    }
}

#[test]
fn events_are_excepted_before_they_are_counted() {
    let kind = "type = \"threshold\"\nquery = \"*:*\"\n[rule.threshold]\nfield = [\"source.ip\"]\nvalue = 2";
    let desk = |items: &[Value]| {
        let mut desk = Desk::with(kind).except(items);
        for (id, user) in [("1", "alice"), ("2", "bob"), ("3", "carol")] {
            desk = desk.event(id, &json!({"source": {"ip": "10.0.0.1"}, "user": {"name": user}}));
        }
        desk
    };
    let user =
        |name: &str| json!([{"field": "user.name", "operator": "included", "type": "match", "value": name}]);
    assert_eq!(desk(&[user("dave")]).run().1.alerts, 1);
    let (_, record) = desk(&[user("alice"), user("bob")]).run();
    assert_eq!((record.alerts, record.excepted), (0, None), "what was left out before counting is not known");
}

#[test]
fn exceptions_lie_in_toml_beside_the_rules_too() {
    let desk = world(Desk::new());
    desk.write(
        "rules/exceptions.toml",
        "[metadata]\nlist_name = \"Mine\"\n\n[[exceptions]]\n[exceptions.container]\nlist_id = \"mine\"\nname = \"Mine\"\n\
         [[exceptions.items]]\nname = \"known\"\ntype = \"simple\"\n[[exceptions.items.entries]]\nfield = \"user.name\"\n\
         operator = \"included\"\ntype = \"list\"\nlist = { id = \"known.txt\", type = \"keyword\" }\n",
    );
    desk.write("rules/known.txt", "alice\ncarol\n");
    assert_eq!(desk.run().0, ["b", "c"]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let desk = Desk::new()
        .except(&[
            json!([]),
            json!([{"field": "a", "type": "match", "value": "x"}]),
            json!([{"field": "a", "operator": "included", "type": "matches", "value": "x"}]),
            json!([{"field": "a", "operator": "included", "type": "list", "list": {"id": "missing.txt", "type": "ip"}}]),
            json!([{"field": "a", "operator": "included", "type": "list", "list": {"id": "bad.txt", "type": "ip_range"}}]),
            json!([{"field": "a", "operator": "included", "type": "list", "list": {"id": "bad.txt", "type": "geo_point"}}]),
        ])
        .list("bad.txt", "10.0.0.0/8\n10.0.0.0/99\n\n10.0.0.9-10.0.0.1\n");
    let mut said = desk.said();
    said.sort();
    let expected = [
        "bad.txt:2: `10.0.0.0/99` is not a network, a range of addresses or an address: left out of the value list",
        "bad.txt:4: `10.0.0.9-10.0.0.1` is not a network, a range of addresses or an address: left out of the value list",
        "mine.ndjson:2: exception `item 0` is not applied: its `entries` are empty: it would except every event",
        "mine.ndjson:3: exception `item 1` is not applied: entry 1: it names no `operator` (`included` or `excluded`)",
        "mine.ndjson:4: exception `item 2` is not applied: entry 1: there is no type `matches`",
        "mine.ndjson:5: exception `item 3` is not applied: there is no value list `missing.txt`: a file of that name in `value_lists.paths`, or beside this one",
        "mine.ndjson:7: exception `item 5` is not applied: entry 1: value lists of type `geo_point` are not supported",
    ];
    assert_eq!(said, expected);
    let lonely = Desk::new();
    assert_eq!(
        lonely.said(),
        ["rule.toml:1: exception list `mine` is not here: `Rule` alerts on what it excepts"]
    );
}

#[test]
fn a_changed_exception_is_a_change_of_its_rule() {
    let named =
        |name: &str| json!([{"field": "user.name", "operator": "included", "type": "match", "value": name}]);
    let desk = Desk::new().except(&[named("alice")]);
    let before = desk.load();
    assert!(before.changes(&desk.load()).is_empty());
    let desk = desk.except(&[named("bob")]);
    assert_eq!(before.changes(&desk.load()).changed.len(), 1);
    let desk = desk.except(&[json!([])]);
    assert!(before.replaced_by(desk.load()).is_err(), "a broken exception changes nothing");
}

#[test]
fn lists_of_any_size_are_applied_whole() {
    let many = |from: u32| (from..from + 200_000).map(|n| format!("user{n}\n")).collect::<String>();
    let item = json!([{"field": "user.name", "operator": "included", "type": "list", "list": {"id": "many", "type": "keyword"}}]);
    let desk = world(Desk::new().except(&[item])).list("many", &(many(0) + "bob\n"));
    assert_eq!(desk.run().0, ["a", "c"]);
}
