//! EQL that the cluster runs itself. The nodes of the tests have no `_eql/search`, so a server here
//! answers as Elasticsearch documents it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tocsin::backend::Backend;
use tocsin::backend::cluster::ClusterBackend;
use tocsin::base::clock::{ManualClock, SystemClock};
use tocsin::elastic::{Client, Options, RetryPolicy};
use tocsin::engine::{Due, Engine, Settings, Trigger};
use tocsin::rule::load::toml;
use tocsin::store::state::{AlertQuery, StateDb};

use super::server::{Asked, Reply, Server};

const RULE: &str = "[rule]\nrule_id = \"r\"\nname = \"R\"\ndescription = \"d\"\nrisk_score = 1\nseverity = \"low\"\n\
    interval = \"5m\"\nfrom = \"now-60m\"\nindex = [\"logs-*\"]\ntype = \"eql\"\nlanguage = \"eql\"\n\
    event_category_override = \"event.type\"\ntiebreaker_field = \"event.sequence\"\n\
    query = '''sequence by user.name [start where length(user.name) > 0] [end where true]'''\n\
    filters = [{ meta = { negate = true }, query = { term = { \"user.name\" = \"root\" } } }]\n";

fn event(id: &str, minute: u32, kind: &str) -> Value {
    json!({"_index": "logs-a", "_id": id, "_source": {
        "@timestamp": format!("2026-11-01T11:{minute:02}:00.000Z"),
        "event": {"type": kind}, "user": {"name": "a"},
    }})
}

fn reply(asked: &Asked, eql: &Reply) -> Reply {
    match asked.path() {
        "/" => Reply::json(
            200,
            &json!({"cluster_name": "c", "version": {"number": "8.19.2", "build_flavor": "default"}}),
        ),
        path if path.ends_with("_mapping") => Reply::json(
            200,
            &json!({"logs-a": {"mappings": {"properties": {
                "@timestamp": {"type": "date"},
                "event": {"properties": {"type": {"type": "keyword"}, "sequence": {"type": "long"}}},
                "user": {"properties": {"name": {"type": "keyword"}}},
            }}}}),
        ),
        path if path.ends_with("_eql/search") => eql.clone(),
        "/_mget" => {
            let found = |mut event: Value| {
                event["found"] = true.into();
                event
            };
            Reply::json(200, &json!({"docs": [found(event("1", 10, "start")), found(event("2", 20, "end"))]}))
        }
        // The search by which events are joined here.
        _ => Reply::json(
            200,
            &json!({"timed_out": false, "_shards": {"failed": 0}, "hits": {"total": {"value": 2}, "hits": [
                {"_index": "logs-a", "_id": "1", "_source": event("1", 10, "start")["_source"], "sort": [1_793_531_400_000_i64]},
                {"_index": "logs-a", "_id": "2", "_source": event("2", 20, "end")["_source"], "sort": [1_793_532_000_000_i64]},
            ]}}),
        ),
    }
}

/// Runs the rule on a cluster whose `_eql/search` answers so: alerts, warnings, what was asked.
fn ran(eql: Reply) -> (usize, tocsin::store::state::ExecutionRecord, Vec<Asked>) {
    let server = Server::start(move |asked, _| reply(asked, &eql));
    let retry = RetryPolicy {
        spread: true,
        rounds: 1,
        patience: Duration::from_secs(2),
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(1),
    };
    let options = Options { retry, ..Options::new("prod", vec![server.url.clone()]) };
    let backend: Arc<dyn Backend> =
        Arc::new(ClusterBackend::new(Client::new(options, Arc::new(SystemClock)).unwrap()));
    let dir = tempfile::tempdir().unwrap();
    let state = Arc::new(StateDb::open(dir.path()).unwrap());
    let slot = "2026-11-01T12:00:00Z".parse().unwrap();
    let settings = Settings { trigger: Trigger::Manual, ..Settings::default() };
    let engine =
        Engine::new(backend, Arc::clone(&state), Arc::new(ManualClock::new(slot)), settings).unwrap();
    let file = toml::read(RULE, "hash");
    let rule = file.rules.into_iter().next().unwrap_or_else(|| panic!("{:?}", file.diagnostics));
    let due = Due {
        rule: Arc::clone(&rule.rule),
        plan: rule.plan.clone(),
        slot,
        errand: None,
        exceptions: tocsin::rule::exceptions::RuleExceptions::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let record = runtime.block_on(engine.run(vec![due])).remove(0);
    let query = AlertQuery { building_blocks: true, ..AlertQuery::default() };
    (state.alerts(&query).unwrap().len(), record, server.asked())
}

#[test]
fn a_cluster_that_has_eql_is_asked_with_the_rules_fields_and_filters() {
    let answer = json!({"is_partial": false, "timed_out": false, "hits": {"total": {"value": 1}, "sequences": [
        {"join_keys": ["a"], "events": [event("1", 10, "start"), {"_index": "", "_id": "", "missing": true}, event("2", 20, "end")]},
    ]}});
    let (alerts, record, asked) = ran(Reply::json(200, &answer));
    assert_eq!((record.error.as_deref(), record.candidates, record.alerts, alerts), (None, 1, 1, 3));
    let search = asked.iter().find(|asked| asked.path().ends_with("_eql/search")).expect("it was asked");
    assert!(search.path().contains("logs-"), "{}", search.path());
    let body: Value = serde_json::from_str(&search.body).unwrap();
    assert_eq!(body["event_category_field"], "event.type");
    assert_eq!(body["tiebreaker_field"], "event.sequence");
    assert!(body.get("timestamp_field").is_none());
    assert_eq!(body["allow_partial_search_results"], false);
    assert!(body["query"].as_str().unwrap().starts_with("sequence by user.name"));
    let filter = body["filter"].to_string();
    assert!(filter.contains("\"root\"") && filter.contains("2026-11-01T11:00:00.000Z"), "{filter}");
}

#[test]
fn a_cluster_without_it_is_searched_and_events_are_joined_here() {
    for reason in [
        "no handler found for uri [/logs-*/_eql/search] and method [POST]",
        "request [/logs-*/_eql/search] contains unrecognized parameters: [allow_no_indices], [ignore_unavailable]",
    ] {
        let (alerts, record, asked) = ran(Reply::json(400, &json!({"error": reason})));
        assert_eq!((record.error.as_deref(), record.candidates, alerts), (None, 1, 3), "{asked:?}");
    }
}

#[test]
fn an_answer_that_is_not_whole_is_none() {
    let (alerts, record, _) =
        ran(Reply::json(200, &json!({"is_partial": true, "timed_out": true, "hits": {}})));
    assert!(record.error.as_deref().is_some_and(|error| error.contains("not finished")), "{record:?}");
    assert_eq!(alerts, 0);
}
