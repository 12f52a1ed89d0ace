//! What goes wrong on a cluster ends in an execution with a status and a message that a person can
//! act on, other rules run, and the next cycle writes every alert once.
//!
//! Answers are as recorded: what can be killed is killed in `alert_index::killed`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tocsin::backend::Backend;
use tocsin::backend::cluster::{ClusterBackend, ClusterOptions};
use tocsin::base::clock::{ManualClock, SystemClock};
use tocsin::elastic::{Client, Options, RetryPolicy};
use tocsin::engine::{Due, Engine, Settings, Trigger};
use tocsin::rule::load::toml;
use tocsin::store::state::{AlertQuery, AlertSink, EphemeralState, ExecutionRecord, Status};

use crate::elastic::server::{Asked, Reply, Server};
use crate::nodes::block;

/// A service with two rules, one on `logs-a` and one on `logs-b`.
pub(crate) struct Service {
    engine: Engine,
    alerts: Arc<EphemeralState>,
    due: Vec<Due>,
}

impl Service {
    pub(crate) fn new(backend: impl Backend + 'static) -> Self {
        let slot = "2026-11-01T12:00:00Z".parse().unwrap();
        let due = ["a", "b"].map(|name| {
            let text = format!(
                "[rule]\nrule_id = \"{name}\"\nname = \"{name}\"\ndescription = \"d\"\nrisk_score = 1\nseverity = \"low\"\n\
                 interval = \"5m\"\nfrom = \"now-60m\"\nindex = [\"logs-{name}\"]\ntype = \"query\"\nquery = \"user.name: eve\"\n"
            );
            let rule = toml::read(&text, "hash").rules.into_iter().next().unwrap();
            Due { plan: rule.plan.clone(), ..Due::not_run(&rule.rule, slot) }
        });
        let alerts = Arc::<EphemeralState>::default();
        let settings = Settings { trigger: Trigger::Manual, ..Settings::default() };
        let clock = Arc::new(ManualClock::new(slot));
        let state = Arc::clone(&alerts);
        let sink = Arc::clone(&alerts);
        let engine = block(Engine::open(Arc::new(backend), state, sink, clock, settings)).unwrap();
        Self { engine, alerts, due: due.into() }
    }

    /// Both rules, due together.
    pub(crate) fn cycle(&self) -> Vec<ExecutionRecord> {
        block(self.engine.run(self.due.clone()))
    }

    fn alerts(&self) -> usize {
        block(self.alerts.count(&AlertQuery::default())).unwrap()
    }
}

fn backend(url: &str) -> ClusterBackend {
    let retry = RetryPolicy {
        spread: true,
        rounds: 2,
        patience: Duration::from_secs(2),
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
    };
    let options = Options { retry, ..Options::new("prod", vec![url.to_owned()]) };
    let client = Client::new(options, Arc::new(SystemClock)).unwrap();
    ClusterBackend::with_options(client, ClusterOptions { grouped: false, ..ClusterOptions::default() })
}

/// One event of an index.
fn found(index: &str) -> Value {
    let source = json!({"@timestamp": "2026-11-01T11:30:00.000Z", "user": {"name": "eve"}});
    json!({"timed_out": false, "_shards": {"total": 1, "failed": 0}, "hits": {"total": {"value": 1}, "hits": [
        {"_index": index, "_id": "1", "_source": source, "sort": [1_793_532_600_000_i64]},
    ]}})
}

/// A cluster with both indices; `search` may answer for one of them in its own way.
fn cluster(asked: &Asked, search: impl Fn(&str) -> Option<Value>) -> Reply {
    let answer = |index: &str| search(index).unwrap_or_else(|| found(index));
    match asked.path() {
        "/" => Reply::json(
            200,
            &json!({"cluster_name": "c", "version": {"number": "8.19.2", "build_flavor": "default"}}),
        ),
        path if path.ends_with("/_mapping") => {
            let index = path.trim_matches('/').split('/').next().unwrap();
            let fields = json!({"@timestamp": {"type": "date"}, "user": {"properties": {"name": {"type": "keyword"}}}});
            Reply::json(200, &json!({index: {"mappings": {"properties": fields}}}))
        }
        "/_msearch" => {
            let heads =
                asked.body.lines().step_by(2).map(|line| serde_json::from_str::<Value>(line).unwrap());
            let responses: Vec<Value> = heads.map(|head| answer(head["index"].as_str().unwrap())).collect();
            Reply::json(200, &json!({ "responses": responses }))
        }
        path => match path.trim_matches('/').split('/').next() {
            Some(index) if path.ends_with("/_search") => Reply::json(200, &answer(index)),
            _ => Reply::json(400, &json!({"error": {"reason": format!("not expected: {path}")}})),
        },
    }
}

/// What `fault` makes of a cycle and, when it is over, of the next one: the records of the first.
///
/// In the next cycle both rules alert, once.
fn suffered(fault: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Vec<ExecutionRecord> {
    let over = Arc::new(AtomicBool::new(false));
    let healed = Arc::clone(&over);
    let server = Server::start(move |asked, _| {
        let broken = if healed.load(Ordering::SeqCst) { None } else { fault(asked) };
        broken.unwrap_or_else(|| cluster(asked, |_| None))
    });
    let service = Service::new(backend(&server.url));
    let records = service.cycle();
    over.store(true, Ordering::SeqCst);
    let next = service.cycle();
    assert!(next.iter().all(|record| record.status == Status::Succeeded), "{next:?}");
    assert_eq!(service.alerts(), 2, "every alert is there, once");
    records
}

/// The errors of both rules, which failed.
#[track_caller]
fn both_failed(records: &[ExecutionRecord]) -> [String; 2] {
    let error = |record: &ExecutionRecord| {
        assert_eq!((record.status, record.alerts, record.candidates), (Status::Failed, 0, 0), "{record:?}");
        record.error.clone().unwrap()
    };
    [error(&records[0]), error(&records[1])]
}

/// The record of the rule on `logs-a`; the other one was not disturbed.
#[track_caller]
fn one_alone(records: Vec<ExecutionRecord>) -> ExecutionRecord {
    assert_eq!((records[1].status, records[1].alerts), (Status::Succeeded, 1), "{:?}", records[1]);
    records.into_iter().next().unwrap()
}

/// The error of the rule on `logs-a`, when searching that index alone gives `answer`.
#[track_caller]
fn failed_alone(answer: Value) -> String {
    let fault = move |asked: &Asked| {
        let search = asked.path().ends_with("search");
        search.then(|| cluster(asked, |index| (index == "logs-a").then(|| answer.clone())))
    };
    let record = one_alone(suffered(fault));
    assert_eq!((record.status, record.alerts), (Status::Failed, 0), "{record:?}");
    record.error.unwrap()
}

#[test]
fn a_wrong_password_fails_every_rule_and_says_what_to_check() {
    let refused = json!({"error": {"type": "security_exception", "reason": "unable to authenticate user [u]"}, "status": 401});
    let records = suffered(move |_| Some(Reply::json(401, &refused)));
    for error in both_failed(&records) {
        assert!(error.contains("does not accept the credentials") && error.contains("check user"), "{error}");
    }
}

#[test]
fn a_missing_privilege_on_one_index_fails_its_rule_alone() {
    let error = failed_alone(json!({"status": 403, "error": {"type": "security_exception",
        "reason": "action [indices:data/read/search] is unauthorized for user [u] on indices [logs-a]"}}));
    assert!(error.contains("[logs-a]") && error.contains("privileges `read`"), "{error}");
}

#[test]
fn a_missing_index_is_no_data_source() {
    let records =
        suffered(|asked| (asked.path() == "/logs-a/_mapping").then(|| Reply::json(200, &json!({}))));
    let record = one_alone(records);
    assert_eq!(record.status, Status::NoDataSource);
    assert_eq!(record.warnings, ["no index matches `logs-a`"]);
}

#[test]
fn a_red_shard_fails_its_rule_alone_and_is_named() {
    let error = failed_alone(json!({"status": 503, "error": {"type": "search_phase_execution_exception",
        "reason": "all shards failed", "failed_shards": [{"shard": 0, "index": "logs-a", "reason": {
            "type": "no_shard_available_action_exception", "reason": "No shard available for [logs-a][0]"}}]}}));
    assert!(error.contains("No shard available for [logs-a][0]"), "{error}");
    let partly = json!({"timed_out": false, "_shards": {"failed": 1, "failures": [{"index": "logs-a",
        "reason": {"type": "x", "reason": "the shard is corrupt"}}]}, "hits": {"total": {"value": 0}, "hits": []}});
    let error = failed_alone(partly);
    assert!(error.contains("`logs-a`: the shard is corrupt"), "{error}");
}

#[test]
fn an_answer_of_a_part_of_the_hits_is_no_answer() {
    let late =
        json!({"timed_out": true, "_shards": {"failed": 0}, "hits": {"total": {"value": 0}, "hits": []}});
    assert!(failed_alone(late).contains("timed out there"));
    let short =
        json!({"timed_out": false, "_shards": {"failed": 0}, "hits": {"total": {"value": 3}, "hits": []}});
    let error = failed_alone(short);
    assert!(error.contains("it counts 3 events"), "{error}");
}

#[test]
fn a_proxy_that_answers_is_no_cluster() {
    let records = suffered(|_| Some(Reply::html(200, "<html><title>Please sign in</title></html>")));
    for error in both_failed(&records) {
        assert!(error.contains("Please sign in") && error.contains("proxy"), "{error}");
    }
}

#[test]
fn a_cluster_that_stays_busy_fails_the_cycle_and_loses_nothing() {
    let busy = json!({"error": {"type": "es_rejected_execution_exception", "reason": "queue capacity reached"}, "status": 429});
    let records = suffered(move |asked| {
        asked.path().ends_with("search").then(|| Reply::json(429, &busy).with("retry-after", "0"))
    });
    for error in both_failed(&records) {
        assert!(error.contains("too busy: queue capacity reached"), "{error}");
        assert!(error.contains("max_concurrent_requests"), "{error}");
    }
}

#[test]
fn a_connection_that_breaks_off_in_a_page_fails_the_cycle_and_loses_nothing() {
    for reply in [Reply::Drop, Reply::BreakOff("{\"responses\": [{\"hits\"".into())] {
        let records = suffered(move |asked| asked.path().ends_with("search").then(|| reply.clone()));
        for error in both_failed(&records) {
            assert!(error.contains("`prod`"), "{error}");
        }
    }
}
