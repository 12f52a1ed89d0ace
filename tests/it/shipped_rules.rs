//! Shipped rules of every type, run whole: what their tests cannot say event by event.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use tocsin::backend::memory::MemoryBackend;
use tocsin::base::clock::ManualClock;
use tocsin::base::window::iso_millis;
use tocsin::ecs::document::Document;
use tocsin::ecs::mapping::Mapping;
use tocsin::engine::{Due, Engine, Settings, Trigger};
use tocsin::rule::shipped;
use tocsin::store::state::{ExecutionRecord, StateDb};

fn noon() -> DateTime<Utc> {
    "2026-11-02T12:00:00Z".parse().unwrap()
}

/// A CloudTrail event `minutes` before noon.
fn event(id: usize, minutes: i64, provider: &str, action: &str, more: &Value) -> Document {
    let at = iso_millis(noon() - Duration::minutes(minutes));
    let mut source = json!({
        "@timestamp": at,
        "event": {"provider": provider, "action": action, "outcome": "success", "ingested": at},
        "cloud": {"account": {"id": "111122223333"}},
        "source": {"ip": "198.51.100.24"},
        "aws": {"cloudtrail": {"user_identity": {"arn": "arn:aws:iam::111122223333:user/dana"}}},
    });
    merge(&mut source, more);
    Document::new("logs-aws.cloudtrail-default", format!("e{id:04}"), source)
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

fn parameters(more: &Value) -> Value {
    json!({"aws": {"cloudtrail": {"flattened": {"request_parameters": more}}}})
}

/// Runs a shipped rule at noon.
fn run(name: &str, events: Vec<Document>) -> ExecutionRecord {
    let set = shipped::load();
    let rule = set.rules.iter().find(|rule| rule.name == name).expect("a shipped rule");
    let rule = set.plan(&rule.rule_id).expect("one that runs");
    let dir = tempfile::tempdir().unwrap();
    let state = Arc::new(StateDb::open(dir.path()).unwrap());
    let backend = Arc::new(MemoryBackend::new(events, Mapping::ecs()));
    let settings = Settings { trigger: Trigger::Manual, event_clock: true, ..Settings::default() };
    let engine = Engine::new(backend, state, Arc::new(ManualClock::new(noon())), settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let record = runtime.block_on(engine.run(vec![Due::compiled(rule, noon())])).remove(0);
    assert_eq!(record.error, None, "{name}");
    record
}

const IAM: &str = "iam.amazonaws.com";
const S3: &str = "s3.amazonaws.com";
const TRAIL: &str = "cloudtrail.amazonaws.com";

#[test]
fn a_change_from_a_new_address_alerts_and_from_a_known_one_does_not() {
    let from =
        |id, minutes, ip: &str| event(id, minutes, IAM, "CreateAccessKey", &json!({"source": {"ip": ip}}));
    let name = "AWS IAM change by a principal from a new address";
    let days = 24 * 60;
    assert_eq!(run(name, vec![from(1, 3 * days, "198.51.100.1"), from(2, 5, "198.51.100.1")]).alerts, 0);
    assert_eq!(run(name, vec![from(1, 3 * days, "198.51.100.1"), from(2, 5, "203.0.113.9")]).alerts, 1);
    assert_eq!(run(name, vec![from(1, 12 * days, "198.51.100.1"), from(2, 5, "198.51.100.1")]).alerts, 1);
}

#[test]
fn ten_failed_log_ins_from_one_address_are_one_alert() {
    let failed = |id, ip: &str| {
        let more = json!({"event": {"outcome": "failure"}, "source": {"ip": ip}});
        event(id, 5, "signin.amazonaws.com", "ConsoleLogin", &more)
    };
    let name = "AWS console log-ins failing in a row";
    assert_eq!(run(name, (0..9).map(|id| failed(id, "203.0.113.9")).collect()).alerts, 0);
    assert_eq!(run(name, (0..10).map(|id| failed(id, "203.0.113.9")).collect()).alerts, 1);
    assert_eq!(run(name, (0..10).map(|id| failed(id, &format!("203.0.113.{}", id % 2))).collect()).alerts, 0);
}

#[test]
fn a_burst_of_deletions_of_several_kinds_alerts() {
    let name = "AWS deletions in a burst";
    let deletions = |count: usize, kinds: &[&str]| -> Vec<Document> {
        (0..count).map(|id| event(id, 5, "ec2.amazonaws.com", kinds[id % kinds.len()], &json!({}))).collect()
    };
    let three = ["DeleteVolume", "DeleteSnapshot", "TerminateInstances"];
    assert_eq!(run(name, deletions(20, &three)).alerts, 1);
    assert_eq!(run(name, deletions(19, &three)).alerts, 0);
    assert_eq!(run(name, deletions(60, &three[..2])).alerts, 0, "of two kinds it is a clean-up");
}

#[test]
fn a_user_made_administrator_with_a_key_alerts_in_that_order() {
    let name = "AWS IAM user made administrator with an access key";
    let step = |id, minutes, action: &str, user: &str| {
        let more = json!({"userName": user, "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"});
        event(id, minutes, IAM, action, &parameters(&more))
    };
    let steps = |users: [&str; 3]| {
        vec![
            step(1, 20, "CreateUser", users[0]),
            step(2, 15, "AttachUserPolicy", users[1]),
            step(3, 10, "CreateAccessKey", users[2]),
        ]
    };
    assert_eq!(run(name, steps(["eve", "eve", "eve"])).alerts, 1);
    assert_eq!(run(name, steps(["eve", "eve", "dana"])).alerts, 0);
}

#[test]
fn a_bucket_purged_after_the_trail_stopped_alerts() {
    let name = "AWS CloudTrail stopped before a bucket was purged";
    let stop = event(1, 60, TRAIL, "StopLogging", &json!({}));
    let purge = |minutes| event(2, minutes, S3, "DeleteBucket", &json!({}));
    assert_eq!(run(name, vec![stop.clone(), purge(30)]).alerts, 1);
    assert_eq!(run(name, vec![stop, purge(90)]).alerts, 0, "before it was stopped");
}

#[test]
fn a_trail_that_is_not_started_again_alerts() {
    let name = "AWS CloudTrail stopped and not started again";
    let of = |id, minutes, action: &str, trail: &str| {
        event(id, minutes, TRAIL, action, &parameters(&json!({"name": trail})))
    };
    assert_eq!(run(name, vec![of(1, 60, "StopLogging", "main")]).alerts, 1);
    assert_eq!(
        run(name, vec![of(1, 60, "StopLogging", "main"), of(2, 50, "StartLogging", "main")]).alerts,
        0
    );
    assert_eq!(
        run(name, vec![of(1, 60, "StopLogging", "main"), of(2, 50, "StartLogging", "other")]).alerts,
        1
    );
}

#[test]
fn s3_reached_from_a_tor_exit_alerts() {
    let name = "AWS S3 reached from a Tor exit address";
    let exit = |days: i64, tag: &str| {
        let at = iso_millis(noon() - Duration::days(days));
        let source =
            json!({"@timestamp": at, "tags": [tag], "threat": {"indicator": {"ip": "203.0.113.66"}}});
        Document::new("threat-indicators-tor", "exit", source)
    };
    let call = event(1, 5, S3, "GetObject", &json!({"source": {"ip": "203.0.113.66"}}));
    assert_eq!(run(name, vec![exit(1, "tor-exit"), call.clone()]).alerts, 1);
    assert_eq!(run(name, vec![exit(1, "scanner"), call.clone()]).alerts, 0);
    assert_eq!(run(name, vec![exit(30, "tor-exit"), call.clone()]).alerts, 0, "the feed is old");
    assert_eq!(run(name, vec![call]).warnings.len(), 1, "without a feed it says so");
}

#[test]
fn refused_calls_of_a_principal_are_one_alert() {
    let name = "AWS IAM calls refused";
    let refused = |id, who: &str| {
        let more = json!({"event": {"outcome": "failure"}, "aws": {"cloudtrail": {"error_code": "AccessDenied", "user_identity": {"arn": who}}}});
        event(id, 5, IAM, "ListUsers", &more)
    };
    let record = run(name, vec![refused(1, "a"), refused(2, "a"), refused(3, "a"), refused(4, "b")]);
    assert_eq!((record.alerts, record.suppressed), (2, 2));
}
