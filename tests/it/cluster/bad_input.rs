//! What goes wrong between here and a cluster ends in a message that a person can act on.
//!
//! Passwords, privileges, proxies and busy hours are answered as recorded: the nodes at hand have
//! no security. A node that dies is a real one.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tocsin::backend::cluster::ClusterBackend;
use tocsin::backend::{Backend, HitPage, SearchRequest, TimeField};
use tocsin::base::clock::SystemClock;
use tocsin::elastic::{Client, Options, RetryPolicy};
use tocsin::query::lang::kql::parse_filter;

use crate::elastic::server::{Asked, Reply, Server};
use crate::nodes::{block, running};

fn request(index: &str, query: &str) -> SearchRequest {
    SearchRequest {
        indices: Arc::from([index.to_owned()]),
        filter: Arc::new(parse_filter(query).unwrap()),
        now: chrono::DateTime::UNIX_EPOCH,
        window: None,
        time: TimeField::timestamp(),
        event_clock: false,
        size: 100,
        after: None,
        descending: false,
    }
}

fn backend(url: &str) -> ClusterBackend {
    let retry = RetryPolicy {
        spread: true,
        rounds: 2,
        patience: Duration::from_millis(200),
        first_pause: Duration::from_millis(10),
        longest_pause: Duration::from_millis(20),
    };
    let options = Options { retry, ..Options::new("prod", vec![url.to_owned()]) };
    ClusterBackend::new(Client::new(options, Arc::new(SystemClock)).unwrap())
}

/// The message of a search on a cluster that answers as `script` says.
fn message(script: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> String {
    let server = Server::start(script);
    let found: Result<HitPage, _> = block(backend(&server.url).search(request("logs-*", "a: b")));
    found.unwrap_err().to_string()
}

fn mapping() -> Value {
    json!({"logs-1": {"mappings": {"properties": {"@timestamp": {"type": "date"}, "a": {"type": "keyword"}}}}})
}

/// Answers the mapping, and every search with `reply`.
fn searches(reply: Reply) -> impl Fn(&Asked, usize) -> Reply + Send + Sync {
    move |asked, _| match asked.path() {
        path if path.ends_with("/_mapping") => Reply::json(200, &mapping()),
        _ => reply.clone(),
    }
}

#[test]
fn a_wrong_password_and_a_missing_privilege_say_what_to_do() {
    let shown = message(|_, _| {
        Reply::json(
            401,
            &json!({"error": {"type": "security_exception",
            "reason": "unable to authenticate user [u] for REST request [/_search]"}, "status": 401}),
        )
    });
    assert!(
        shown.contains("does not accept the credentials") && shown.contains("check user, password"),
        "{shown}"
    );
    let shown = message(searches(Reply::json(
        403,
        &json!({"error": {"type": "security_exception",
        "reason": "action [indices:data/read/search] is unauthorized for user [u] on indices [logs-secret]"}}),
    )));
    assert!(shown.contains("[logs-secret]") && shown.contains("privileges `read`"), "{shown}");
}

#[test]
fn a_proxy_and_a_busy_cluster_are_named() {
    let shown = message(|_, _| Reply::html(200, "<html><title>Sign in</title>"));
    assert!(shown.contains("answers with HTML") && shown.contains("proxy"), "{shown}");
    let busy =
        json!({"error": {"type": "es_rejected_execution_exception", "reason": "queue capacity reached"}});
    let shown = message(searches(Reply::json(429, &busy)));
    assert!(
        shown.contains("too busy: queue capacity reached") && shown.contains("max_concurrent_requests"),
        "{shown}"
    );
}

#[test]
fn what_a_cluster_cannot_answer_whole_is_an_error() {
    let red = json!({"error": {"type": "search_phase_execution_exception", "reason": "all shards failed",
        "failed_shards": [{"shard": 0, "index": "logs-1", "reason": {"type": "no_shard_available_action_exception",
            "reason": "No shard available for [logs-1][0]"}}]}, "status": 503});
    let started = std::time::Instant::now();
    let shown = message(searches(Reply::json(503, &red)));
    assert!(shown.contains("No shard available"), "{shown}");
    assert!(started.elapsed() < Duration::from_secs(5), "a shard that is away is not waited for");
    let late =
        json!({"timed_out": true, "_shards": {"failed": 0}, "hits": {"total": {"value": 0}, "hits": []}});
    assert!(message(searches(Reply::json(200, &late))).contains("timed out there"));
    let partly = json!({"timed_out": false, "_shards": {"failed": 1, "failures": [{"index": "logs-1",
        "reason": {"type": "x", "reason": "broken shard"}}]}, "hits": {"total": {"value": 0}, "hits": []}});
    let shown = message(searches(Reply::json(200, &partly)));
    assert!(shown.contains("1 shards") && shown.contains("`logs-1`: broken shard"), "{shown}");
    let short = json!({"_shards": {"failed": 0}, "hits": {"total": {"value": 5}, "hits": []}});
    let shown = message(searches(Reply::json(200, &short)));
    assert!(shown.contains("it counts 5 events and gave 0"), "{shown}");
}

#[test]
fn a_rule_that_the_cluster_refuses_stops_no_other() {
    for node in running() {
        let index = node.index(
            "refused",
            &json!({"properties": {
            "@timestamp": {"type": "date"}, "n": {"type": "long"}, "k": {"type": "keyword"}}}),
        );
        index.fill([("a", &json!({"@timestamp": 1, "n": 5, "k": "x"}))]);
        let requests = ["k: x", "n: five", "n: 5"].map(|query| request(&index.name, query));
        let answers = block(ClusterBackend::new(node.client()).search_many(requests.into()));
        let answers: Vec<_> = answers.into_iter().map(|page| page.map(|page| page.total)).collect();
        assert_eq!(
            (answers[0].as_ref().ok(), answers[2].as_ref().ok()),
            (Some(&1), Some(&1)),
            "{}",
            node.name
        );
        let error = answers[1].as_ref().unwrap_err().to_string();
        assert!(error.contains("five") && error.contains(&index.name), "{error}");
    }
}

#[test]
fn a_field_that_is_text_here_and_keyword_there_is_found_in_both() {
    for node in running() {
        let keyword = node.index(
            "mixed",
            &json!({"properties": {"@timestamp": {"type": "date"}, "name": {"type": "keyword"}}}),
        );
        let text = node.index(
            "mixed",
            &json!({"properties": {"@timestamp": {"type": "date"}, "name": {"type": "text"}}}),
        );
        keyword.fill([
            ("a", &json!({"@timestamp": 1, "name": "Quick Fox"})),
            ("b", &json!({"@timestamp": 2, "name": "fox"})),
        ]);
        text.fill([
            ("c", &json!({"@timestamp": 3, "name": "Quick Fox"})),
            ("d", &json!({"@timestamp": 4, "name": "dog"})),
        ]);
        let both = format!("{},{}", keyword.name, text.name);
        let backend = ClusterBackend::new(node.client());
        let found = |query: &str| -> String {
            let page = block(backend.search(request(&both, query))).unwrap();
            page.hits.iter().map(|hit| hit.document.id.to_string()).collect::<Vec<_>>().concat()
        };
        assert_eq!(found("name: fox"), "bc", "{}", node.name);
        assert_eq!(found("name: \"Quick Fox\""), "ac", "{}", node.name);
        assert_eq!(found("name: *ox"), "abc", "{}", node.name);
    }
}
