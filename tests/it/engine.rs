//! Executions end to end over events in memory: windows, caps, ids, statuses, isolation.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;
use tocsin::backend::memory::MemoryBackend;
use tocsin::backend::{
    AggregateRequest, Backend, BackendError, BucketPage, Capabilities, DocumentRef, HitPage, SearchRequest,
};
use tocsin::base::clock::ManualClock;
use tocsin::base::window::iso_millis;
use tocsin::ecs::document::Document;
use tocsin::ecs::mapping::Mapping;
use tocsin::engine::{CapBehaviour, Due, Engine, Settings, Timeouts, Trigger};
use tocsin::rule::exceptions::RuleExceptions;
use tocsin::rule::load::{LoadedRule, toml};
use tocsin::store::state::{AlertQuery, ExecutionQuery, ExecutionRecord, StateDb, Status, StoredAlert};

fn time(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn noon() -> DateTime<Utc> {
    time("2026-11-01T12:00:00Z")
}

/// A rule over `logs-*`; `more` are further lines of its `[rule]` table.
fn rule(id: &str, query: &str, more: &str) -> LoadedRule {
    let from = if more.contains("from =") { "" } else { "from = \"now-60m\"\n" };
    let index = if more.contains("index =") { "" } else { "index = [\"logs-*\"]\n" };
    let kind = if more.starts_with("type =") { "" } else { "type = \"query\"\nlanguage = \"kuery\"\n" };
    let text = format!(
        "[metadata]\ncreation_date = \"2026/10/01\"\nupdated_date = \"2026/10/02\"\n\n[rule]\n\
         rule_id = \"{id}\"\nname = \"Rule {id}\"\ndescription = \"Finds things.\"\nrisk_score = 47\n\
         severity = \"medium\"\ninterval = \"5m\"\n{kind}{index}{from}query = '''{query}'''\n{more}\n"
    );
    let file = toml::read(&text, "hash");
    let errors: Vec<_> = file.diagnostics.iter().filter(|d| d.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?}\n{text}");
    file.rules.into_iter().next().expect("a rule")
}

fn due(rule: &LoadedRule, slot: DateTime<Utc>) -> Due {
    Due {
        rule: Arc::clone(&rule.rule),
        plan: rule.plan.clone(),
        exceptions: RuleExceptions::default(),
        slot,
        errand: None,
    }
}

fn event(id: &str, at: DateTime<Utc>, fields: Value) -> Document {
    let mut source = json!({"@timestamp": iso_millis(at)});
    source.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Document::new("logs-test", id, source)
}

/// `count` events that `event.action:x` finds, one a second, the last at `until`.
fn events(count: i64, until: DateTime<Utc>) -> Vec<Document> {
    let first = until - Duration::seconds(count - 1);
    (0..count)
        .map(|n| {
            event(&format!("{until}-{n:04}"), first + Duration::seconds(n), json!({"event": {"action": "x"}}))
        })
        .collect()
}

/// A data folder with what runs on it.
struct House {
    dir: TempDir,
    settings: Settings,
}

impl House {
    fn new() -> Self {
        let settings = Settings { trigger: Trigger::Manual, ..Settings::default() };
        Self { dir: TempDir::new().unwrap(), settings }
    }

    fn state(&self) -> Arc<StateDb> {
        Arc::new(StateDb::open(self.dir.path()).unwrap())
    }

    fn engine(&self, backend: impl Backend + 'static, state: &Arc<StateDb>) -> Engine {
        let clock = Arc::new(ManualClock::new(noon()));
        Engine::new(Arc::new(backend), Arc::clone(state), clock, self.settings.clone()).unwrap()
    }

    /// Runs rules over documents, opening the state afresh as a new process would.
    fn run(&self, documents: &[Document], due: Vec<Due>) -> Vec<ExecutionRecord> {
        let state = self.state();
        let backend = MemoryBackend::new(documents.to_vec(), Mapping::ecs());
        block_on(self.engine(backend, &state).run(due))
    }

    fn alerts(&self) -> Vec<StoredAlert> {
        let query = AlertQuery { ascending: true, building_blocks: true, ..AlertQuery::default() };
        self.state().alerts(&query).unwrap()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn counts(record: &ExecutionRecord) -> (u64, u64, u64, u64) {
    let sum =
        record.alerts + record.duplicates + record.suppressed + record.excepted.unwrap_or(0) + record.capped;
    assert_eq!(record.candidates, sum, "every candidate is counted: {record:?}");
    (record.candidates, record.alerts, record.duplicates, record.capped)
}

#[test]
fn both_ends_belong_to_the_window_and_overlap_gives_no_alert_twice() {
    let house = House::new();
    let rule = rule("r", "event.action:x", "");
    let documents: Vec<_> = [
        ("before", "2026-11-01T10:59:59.999Z"),
        ("first", "2026-11-01T11:00:00.000Z"),
        ("last", "2026-11-01T12:00:00.000Z"),
        ("after", "2026-11-01T12:00:00.001Z"),
    ]
    .into_iter()
    .map(|(id, at)| event(id, time(at), json!({"event.action": "x"})))
    .collect();
    let one = house.run(&documents, vec![due(&rule, noon())]);
    assert_eq!(counts(&one[0]), (2, 2, 0, 0));
    assert_eq!(one[0].status, Status::Succeeded);
    assert_eq!(one[0].from.as_deref(), Some("2026-11-01T11:00:00.000Z"));
    assert_eq!(one[0].to.as_deref(), Some("2026-11-01T12:00:00.000Z"));
    let two = house.run(&documents, vec![due(&rule, noon() + Duration::minutes(5))]);
    assert_eq!(counts(&two[0]), (2, 1, 1, 0), "`last` again, and `after`");
    let ids: Vec<_> =
        house.alerts().iter().map(|a| a.source["kibana.alert.ancestors"][0]["id"].clone()).collect();
    assert_eq!(ids, [json!("first"), json!("last"), json!("after")]);
}

#[test]
fn a_window_of_250_hits_over_4_overlapping_runs_gives_250_alerts_none_twice() {
    let house = House::new();
    let rule = rule("r", "event.action:x", "max_signals = 100");
    let documents = events(250, noon());
    let mut seen = Vec::new();
    for run in 0..4 {
        let slot = noon() + Duration::minutes(5 * run);
        let record = house.run(&documents, vec![due(&rule, slot)]).remove(0);
        println!(
            "run {run}: {} candidates, {} alerts, {} duplicates, {} capped, {} waiting",
            record.candidates, record.alerts, record.duplicates, record.capped, record.backlog.waiting
        );
        seen.push((counts(&record), record.backlog.waiting, record.status));
    }
    assert_eq!(
        seen,
        [
            ((250, 100, 0, 150), 150, Status::PartialFailure),
            ((250, 100, 100, 50), 50, Status::PartialFailure),
            ((250, 50, 200, 0), 0, Status::Succeeded),
            ((250, 0, 250, 0), 0, Status::Succeeded),
        ]
    );
    let ids: HashSet<_> = house.alerts().into_iter().map(|a| a.id).collect();
    assert_eq!(ids.len(), 250);
}

#[test]
fn a_capped_run_says_so_and_what_was_left_out_is_alerted_after_it_left_the_window() {
    let house = House::new();
    let rule = rule("r", "event.action:x", "max_signals = 100");
    let mut documents = events(250, noon());
    let first = house.run(&documents, vec![due(&rule, noon())]).remove(0);
    assert!(
        first.warnings[0].contains("150 candidates left out, kept for later runs"),
        "{:?}",
        first.warnings
    );
    // The events leave the window, and even the store; fresh ones arrive.
    let later = noon() + Duration::hours(3);
    documents = events(30, later);
    let second = house.run(&documents, vec![due(&rule, later)]).remove(0);
    assert_eq!(counts(&second), (100, 100, 0, 0), "30 fresh ones and 70 that waited");
    assert_eq!((second.backlog.alerted, second.backlog.waiting), (70, 80));
    let third = house.run(&documents, vec![due(&rule, later + Duration::hours(22))]).remove(0);
    assert_eq!((third.backlog.expired, third.backlog.waiting, third.alerts), (80, 0, 0));
    assert!(third.warnings[0].contains("80 candidates expired"), "{:?}", third.warnings);
}

#[test]
fn kibana_behaviour_drops_what_is_over_the_cap() {
    let mut house = House::new();
    house.settings.capped = CapBehaviour::Drop;
    house.settings.max_signals = 20;
    let rule = rule("r", "event.action:x", "max_signals = 100");
    let record = house.run(&events(50, noon()), vec![due(&rule, noon())]).remove(0);
    assert_eq!(counts(&record), (50, 20, 0, 30));
    assert_eq!(record.status, Status::PartialFailure);
    assert!(
        record.warnings[0].contains("`max_signals` 100 is above the limit of 20"),
        "{:?}",
        record.warnings
    );
    assert_eq!(house.state().backlog_counts().unwrap().len(), 0);
}

#[test]
fn every_hit_is_paged_through() {
    let house = House::new();
    let rule = rule("r", "event.action:x", "max_signals = 100");
    let record = house.run(&events(3_100, noon()), vec![due(&rule, noon())]).remove(0);
    assert_eq!(counts(&record), (3_100, 100, 0, 3_000));
    assert_eq!((record.backlog.waiting, record.backlog.expired), (1_000, 2_000));
    let oldest = &house.alerts()[0];
    assert_eq!(oldest.source["kibana.alert.original_time"], "2026-11-01T11:08:21.000Z");
}

#[test]
fn timestamp_override_with_and_without_fallback() {
    let documents: Vec<_> = [
        ("in by override", "2026-10-01T00:00:00Z", Some("2026-11-01T11:30:00Z")),
        ("in by timestamp", "2026-11-01T11:30:00Z", None),
        ("out by override", "2026-11-01T11:30:00Z", Some("2026-10-01T00:00:00Z")),
    ]
    .into_iter()
    .map(|(id, at, ingested)| {
        let mut fields = json!({"event": {"action": "x"}});
        if let Some(ingested) = ingested {
            fields["event"]["ingested"] = json!(ingested);
        }
        event(id, time(at), fields)
    })
    .collect();
    for (more, expected) in [
        ("timestamp_override = \"event.ingested\"", vec!["in by override", "in by timestamp"]),
        (
            "timestamp_override = \"event.ingested\"\ntimestamp_override_fallback_disabled = true",
            vec!["in by override"],
        ),
    ] {
        let house = House::new();
        house.run(&documents, vec![due(&rule("r", "event.action:x", more), noon())]);
        let mut ids: Vec<_> = house
            .alerts()
            .iter()
            .map(|a| a.source["kibana.alert.ancestors"][0]["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        assert_eq!(ids, expected, "{more}");
    }
    let house = House::new();
    let unknown = rule("r", "event.action:x", "timestamp_override = \"event.nowhere\"");
    let record = house.run(&documents, vec![due(&unknown, noon())]).remove(0);
    assert_eq!(record.status, Status::PartialFailure);
    assert!(record.warnings[0].contains("event.nowhere"));
}

#[test]
fn statuses_of_what_cannot_run() {
    let house = House::new();
    let nowhere = rule("nowhere", "event.action:x", "index = [\"absent-*\"]");
    let esql = rule("esql", "from logs", "type = \"esql\"\nlanguage = \"esql\"");
    // A file like this does not load; a rule may come from elsewhere.
    let mut backwards = rule("backwards", "event.action:x", "");
    Arc::make_mut(&mut backwards.rule).from = "now+1h".to_owned();
    let excepted = rule(
        "excepted",
        "event.action:x",
        "exceptions_list = [{ id = \"x\", list_id = \"x\", type = \"detection\", namespace_type = \"single\" }]",
    );
    // Elasticsearch refuses these: no date, no network.
    let undated = rule("undated", "event.action:x or @timestamp >= \"now-5q\"", "");
    let nowhere_near = rule("nowhere_near", "source.ip:\"10.0.0.0/99\"", "");
    let rules = [&nowhere, &esql, &backwards, &excepted, &undated, &nowhere_near];
    let records = house.run(&events(1, noon()), rules.map(|rule| due(rule, noon())).to_vec());
    let seen: Vec<_> = records.iter().map(|r| (r.rule_id.as_str(), r.status, r.alerts)).collect();
    assert_eq!(
        seen,
        [
            ("nowhere", Status::NoDataSource, 0),
            ("esql", Status::NotRun, 0),
            ("backwards", Status::Failed, 0),
            ("excepted", Status::PartialFailure, 1),
            ("undated", Status::PartialFailure, 1),
            ("nowhere_near", Status::PartialFailure, 0),
        ]
    );
    assert!(records[1].warnings[0].contains("`esql`"), "{:?}", records[1].warnings);
    assert!(records[2].error.as_deref().unwrap().contains("ends before it starts"));
    assert!(records[4].warnings[0].contains("now-5q"), "{:?}", records[4].warnings);
    assert!(records[5].warnings[0].contains("10.0.0.0/99"), "{:?}", records[5].warnings);
    assert!(records[3].warnings[0].contains("exception list `x` is not loaded"), "{:?}", records[3].warnings);
    let states = house.state().rule_states().unwrap();
    assert_eq!(states[&records[2].rule_uuid].failures, 1);
    assert_eq!(states[&records[1].rule_uuid].last_to, None);
}

/// A backend that panics, or fails, on queries about some action.
struct Treacherous(MemoryBackend);

#[async_trait]
impl Backend for Treacherous {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn aggregate(&self, request: AggregateRequest) -> Result<BucketPage, BackendError> {
        self.0.aggregate(request).await
    }

    async fn get(&self, names: &[DocumentRef]) -> Result<Vec<Option<Document>>, BackendError> {
        self.0.get(names).await
    }

    async fn mapping(&self, indices: &[String]) -> Result<Arc<Mapping>, BackendError> {
        self.0.mapping(indices).await
    }

    async fn search(&self, request: SearchRequest) -> Result<HitPage, BackendError> {
        assert!(!format!("{:?}", request.filter).contains("panic"), "asked to panic");
        if format!("{:?}", request.filter).contains("break") {
            return Err(BackendError::Failed("asked to break".to_owned()));
        }
        if format!("{:?}", request.filter).contains("slow") {
            tokio::time::sleep(std::time::Duration::from_mins(1)).await;
        }
        self.0.search(request).await
    }

    async fn search_many(&self, requests: Vec<SearchRequest>) -> Vec<Result<HitPage, BackendError>> {
        let mut pages = Vec::new();
        for request in requests {
            pages.push(self.search(request).await);
        }
        pages
    }
}

#[test]
fn a_rule_that_panics_or_fails_takes_no_other_with_it() {
    let house = House::new();
    let state = house.state();
    let backend = Treacherous(MemoryBackend::new(events(3, noon()), Mapping::ecs()));
    let rules = [
        rule("a", "event.action:panic", ""),
        rule("b", "event.action:break", ""),
        rule("c", "event.action:x", ""),
    ];
    let engine = house.engine(backend, &state);
    let records = block_on(engine.run(rules.iter().map(|r| due(r, noon())).collect()));
    assert_eq!(records[0].status, Status::Failed);
    assert!(records[0].error.as_deref().unwrap().contains("asked to panic"));
    assert_eq!(records[1].error.as_deref(), Some("asked to break"));
    assert_eq!(counts(&records[2]), (3, 3, 0, 0));
    assert_eq!(engine.rule_state(&records[0].rule_uuid).unwrap().failures, 1);
}

#[test]
fn a_rule_may_have_a_time_out_of_its_own() {
    let mut house = House::new();
    let state = house.state();
    house.settings.timeout = std::time::Duration::from_mins(5);
    house.settings.timeouts = Timeouts(Some(Arc::new(|rule| {
        (&*rule.rule_id == "hasty").then_some(std::time::Duration::from_secs(10))
    })));
    let backend = Treacherous(MemoryBackend::new(events(3, noon()), Mapping::ecs()));
    let engine = house.engine(backend, &state);
    // The backend takes a minute.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let run = |id: &str| {
        let rule = rule(id, "event.action:(x or slow)", "");
        runtime.block_on(engine.run(vec![due(&rule, noon())])).remove(0)
    };
    assert_eq!(run("hasty").error.as_deref(), Some("not finished within 10 seconds"));
    assert_eq!(counts(&run("patient")), (3, 3, 0, 0));
}

#[test]
fn the_log_names_the_events_and_where_the_time_went() {
    let house = House::new();
    let rule = rule("r", "event.action:x", "max_signals = 1000");
    let record = house.run(&events(150, noon()), vec![due(&rule, noon() - Duration::seconds(3))]).remove(0);
    let names: HashSet<&String> = record.sources.iter().collect();
    assert_eq!((record.candidates, names.len()), (147, 100), "the first hundred");
    assert!(record.sources[0].starts_with("logs-test/"), "{}", record.sources[0]);
    assert_eq!(record.timings.delay_ms, 3_000);
    let document = tocsin::cluster::executions::document(&record, "default");
    let metrics = &document["kibana.alert.rule.execution.metrics"];
    assert_eq!(metrics["claim_to_start_duration_ms"], 3_000);
    assert!(metrics["total_search_duration_ms"].is_u64() && metrics["total_indexing_duration_ms"].is_u64());
    assert_eq!(document["tocsin.execution"]["sources"].as_array().unwrap().len(), 100);
    for name in ["total_search_duration_ms", "total_indexing_duration_ms", "process_alerts_duration_ms"] {
        let path = format!("kibana.alert.rule.execution.metrics.{name}");
        assert!(metrics[name].is_u64() && tocsin::cluster::executions::mapped(&path), "{path}");
    }
}

#[test]
fn a_thousand_rules_without_hits_are_one_commit() {
    let house = House::new();
    let state = house.state();
    let rules: Vec<_> =
        (0..1_000).map(|n| rule(&format!("r{n}"), &format!("event.action:none{n}"), "")).collect();
    let backend = MemoryBackend::new(events(5, noon()), Mapping::ecs());
    let engine = house.engine(backend, &state);
    let before = state.groups();
    let group: Vec<Due> = rules.iter().map(|r| due(r, noon())).collect();
    let begun = cpu_time::ProcessTime::now();
    let records = block_on(engine.run(group));
    println!(
        "1,000 rules without hits: {:.1} ms of CPU in this profile",
        begun.elapsed().as_secs_f64() * 1e3
    );
    assert_eq!(records.len(), 1_000);
    assert!(records.iter().all(|r| r.status == Status::Succeeded));
    assert_eq!(state.groups() - before, 1);
    assert_eq!(state.executions(&ExecutionQuery::default()).unwrap().len(), 1_000);
}

#[test]
fn alerts_on_alerts_chain_and_never_feed_on_themselves() {
    let house = House::new();
    let state = house.state();
    let base = rule("base", "event.action:x", "");
    let upper = rule("upper", "kibana.alert.rule.rule_id:*", "index = [\".alerts-security.alerts-*\"]");
    // The alerts are read back as documents beside the events, as a backend over the store does.
    let documents = events(1, noon());
    let first = house.run(&documents, vec![due(&base, noon())]).remove(0);
    assert_eq!(first.alerts, 1);
    for round in 0..3 {
        let mut with_alerts = documents.clone();
        with_alerts.extend(state.alert_documents("default", None).unwrap());
        let record = house.run(&with_alerts, vec![due(&upper, noon())]).remove(0);
        assert_eq!(record.alerts, u64::from(round == 0), "round {round}: {record:?}");
        assert_eq!(record.candidates, 1, "its own alerts are no candidates");
    }
    let alerts = house.alerts();
    assert_eq!(alerts.len(), 2);
    let upper = alerts.iter().find(|a| a.source["kibana.alert.rule.rule_id"] == "upper").unwrap();
    assert_eq!(upper.source["kibana.alert.depth"], 2);
    let kinds: Vec<_> = upper.source["kibana.alert.ancestors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["type"].clone(), a["depth"].clone()))
        .collect();
    assert_eq!(kinds, [(json!("event"), json!(0)), (json!("signal"), json!(1))]);
    assert_eq!(upper.source["kibana.alert.original_event.kind"], "signal");
}

#[test]
fn overrides_change_severity_risk_and_name() {
    let house = House::new();
    let rule = rule(
        "r",
        "event.action:x",
        r#"
rule_name_override = "event.reason"
building_block_type = "default"
[[rule.severity_mapping]]
field = "user.name"
operator = "equals"
value = "root"
severity = "critical"
[[rule.severity_mapping]]
field = "user.name"
operator = "equals"
value = "root"
severity = "low"
[[rule.risk_score_mapping]]
field = "event.risk_score"
operator = "equals"
value = ""
"#,
    );
    let fields = json!({"event": {"action": "x", "reason": "Named by the event", "risk_score": 99},
        "user": {"name": "root"}});
    let documents = [event("1", noon(), fields), event("2", noon(), json!({"event.action": "x"}))];
    house.run(&documents, vec![due(&rule, noon())]);
    let alerts = house.alerts();
    let seen: Vec<_> = alerts
        .iter()
        .map(|a| {
            let s = &a.source;
            json!([
                s["kibana.alert.rule.name"],
                s["kibana.alert.severity"],
                s["kibana.alert.risk_score"],
                s["kibana.alert.rule.severity"],
                s["kibana.alert.building_block_type"]
            ])
        })
        .collect();
    assert_eq!(
        seen,
        [
            json!(["Named by the event", "critical", 99, "medium", "default"]),
            json!(["Rule r", "medium", 47, "medium", "default"])
        ]
    );
    let reason = alerts[0].source["kibana.alert.reason"].as_str().unwrap();
    assert_eq!(reason, "event by root created critical alert Named by the event.");
}

#[test]
fn a_full_alert_document() {
    let house = House::new();
    let rule = rule(
        "full",
        "event.action:StopLogging",
        r###"
note = "## Triage\n\nAsk {{user.name}}."
setup = "Ship CloudTrail."
author = ["Someone"]
license = "Apache-2.0"
references = ["https://example.com/"]
false_positives = ["Maintenance."]
tags = ["Cloud", "AWS"]
version = 3
[rule.investigation_fields]
field_names = ["user.name", "source.ip"]
[[rule.threat]]
framework = "MITRE ATT&CK"
[rule.threat.tactic]
id = "TA0005"
name = "Defense Evasion"
reference = "https://attack.mitre.org/tactics/TA0005/"
"###,
    );
    let fields = json!({
        "event": {"action": "StopLogging", "kind": "event", "category": ["configuration"], "dataset": "aws.cloudtrail",
                  "outcome": "success", "original": "{\"eventName\":\"StopLogging\"}"},
        "data_stream": {"dataset": "aws.cloudtrail", "namespace": "default", "type": "logs"},
        "user": {"name": "mallory"},
        "source": {"ip": "203.0.113.9", "port": "443"},
        "aws": {"cloudtrail": {"event_version": "1.08"}},
        "kibana": {"dropped": true},
    });
    let slot = noon();
    house.run(&[event("e-1", noon() - Duration::minutes(1), fields)], vec![due(&rule, slot)]);
    let alert = house.alerts().remove(0);
    assert_eq!(
        &*alert.id,
        tocsin::alert::id::event_alert(
            "logs-test",
            "e-1",
            None,
            &tocsin::alert::id::rule_part("default", &rule.rule.object_id("default"))
        )
    );
    let mut source = alert.source;
    source["kibana.alert.rule.execution.uuid"] = json!("(random)");
    insta::assert_json_snapshot!("full_alert", source);
}

#[test]
fn replaying_any_schedule_writes_the_same_alerts_once() {
    use proptest::prelude::*;
    let rule = rule("r", "event.action:x", "max_signals = 7\nfrom = \"now-10m\"");
    let strategy = (prop::collection::vec(0i64..1_800, 1..60), prop::collection::vec(0i64..30, 1..6));
    let mut runner = proptest::test_runner::TestRunner::new(proptest::test_runner::Config {
        cases: 16,
        failure_persistence: None,
        ..Default::default()
    });
    runner
        .run(&strategy, |(seconds, minutes)| {
            let documents: Vec<_> = seconds
                .iter()
                .enumerate()
                .map(|(n, s)| {
                    event(&n.to_string(), noon() + Duration::seconds(*s), json!({"event.action": "x"}))
                })
                .collect();
            let play = |house: &House| {
                for minute in &minutes {
                    let slot = noon() + Duration::minutes(*minute);
                    for record in house.run(&documents, vec![due(&rule, slot)]) {
                        counts(&record);
                    }
                }
                let mut ids: Vec<_> = house.alerts().into_iter().map(|a| a.id).collect();
                ids.sort();
                ids
            };
            let (one, other) = (House::new(), House::new());
            let first = play(&one);
            prop_assert_eq!(&first, &play(&other), "another runner writes the same alerts");
            let again = play(&one);
            prop_assert!(first.iter().all(|id| again.contains(id)));
            prop_assert_eq!(again.iter().collect::<HashSet<_>>().len(), again.len());
            Ok(())
        })
        .unwrap();
}
