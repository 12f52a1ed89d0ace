//! `tocsin run` as a service, with real processes and signals.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{folder, run};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(90);

/// Writes a rule that a person might have written.
pub(super) fn write_rule(dir: &Path, id: &str, query: &str, interval: &str) {
    let text = format!(
        r#"[metadata]
creation_date = "2026/06/01"
maturity = "production"

[rule]
author = ["Somebody"]
description = "A rule of the tests."
from = "now-2m"
index = ["logs-aws.cloudtrail-*"]
interval = "{interval}"
language = "kuery"
license = "Apache-2.0"
name = "Rule {id}"
risk_score = 47
rule_id = "{id}"
severity = "medium"
type = "query"
query = '''
{query}
'''
"#
    );
    std::fs::create_dir_all(dir.join("rules")).unwrap();
    // Written elsewhere and moved: the service never sees half a file.
    std::fs::write(dir.join("rule.tmp"), text).unwrap();
    std::fs::rename(dir.join("rule.tmp"), dir.join("rules").join(format!("{id}.toml"))).unwrap();
}

/// A running service; it is ended when dropped.
struct Service {
    child: Child,
    records: Receiver<Value>,
}

impl Service {
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin("tocsin"))
            .args(["run", "--rules", "rules", "--format", "ndjson"])
            .current_dir(dir)
            .env("HOME", dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::from(std::fs::File::create(dir.join("stderr")).unwrap()))
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, records) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { child, records }
    }

    /// The first execution that `wanted` accepts.
    fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.records.recv_timeout(left) {
                Ok(record) if wanted(&record) => return record,
                Ok(_) => {}
                Err(error) => panic!("{what}: {error}"),
            }
        }
    }

    fn signal(&self, name: &str) {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end; its exit code.
    fn end(&mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "the service does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A CloudTrail record of just now.
fn record(id: &str, action: &str) -> String {
    let now = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().unwrap().stdout;
    json!({
        "eventVersion": "1.11", "eventID": id, "eventTime": String::from_utf8(now).unwrap().trim(),
        "eventSource": "cloudtrail.amazonaws.com", "eventName": action, "awsRegion": "eu-west-1",
        "sourceIPAddress": "203.0.113.66", "userAgent": "aws-cli/2.1", "eventType": "AwsApiCall", "eventCategory": "Management",
        "recipientAccountId": "111122223333", "managementEvent": true, "readOnly": false,
        "userIdentity": {"type": "IAMUser", "userName": "alice", "accountId": "111122223333", "arn": "arn:aws:iam::111122223333:user/alice"},
    })
    .to_string()
}

#[test]
fn alerts_appear_while_others_ingest_rules_reload_and_sigterm_ends_it() {
    let dir = folder();
    let path = dir.path();
    write_rule(path, "stopped", "event.action:StopLogging", "1s");
    let mut service = Service::start(path);
    service.wait_for("the rule runs", |record| record["rule_id"] == "stopped");

    // A second service on the folder is refused, by name, and the first goes on.
    run(path, &["run", "--rules", "rules"]).code(2).says(&["tocsin-data"]);
    let health = run(path, &["doctor", "--format", "json"]).json();
    let seen =
        health["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == "service").unwrap();
    assert!(seen["status"] == "ok" && seen["seen"].as_str().unwrap().contains("process"), "{seen}");

    std::fs::write(path.join("one.json"), record("e-1", "StopLogging")).unwrap();
    run(path, &["ingest", "one.json"]).code(0);
    service.wait_for("an alert of the first rule", |record| {
        record["rule_id"] == "stopped" && record["alerts"] == 1
    });
    assert_eq!(run(path, &["alerts", "list"]).code(0).lines().len(), 1);

    // A rule that is written while the service runs.
    write_rule(path, "deleted", "event.action:DeleteTrail", "1s");
    service.wait_for("the new rule runs", |record| record["rule_id"] == "deleted");
    std::fs::write(path.join("two.json"), record("e-2", "DeleteTrail")).unwrap();
    run(path, &["ingest", "two.json"]).code(0);
    service.wait_for("an alert of the new rule", |record| {
        record["rule_id"] == "deleted" && record["alerts"] == 1
    });

    // A broken one changes nothing, and is said.
    std::fs::write(path.join("rules/broken.toml"), "[rule]\nname = \n").unwrap();
    service.signal("HUP");
    let end = Instant::now() + PATIENCE;
    while !std::fs::read_to_string(path.join("stderr")).unwrap().contains("broken.toml") {
        assert!(Instant::now() < end, "the broken file is not said");
        std::thread::sleep(Duration::from_millis(50));
    }
    service.wait_for("the rules from before run on", |record| record["rule_id"] == "stopped");

    service.signal("TERM");
    assert_eq!(service.end(), Some(0), "{}", std::fs::read_to_string(path.join("stderr")).unwrap());
    // Nothing alerted twice, however many windows held the events.
    assert_eq!(run(path, &["alerts", "list"]).code(0).lines().len(), 2);
    // And the folder is free again.
    let next = Service::start(path);
    next.wait_for("another service starts", |record| record["rule_id"] == "stopped");
}

#[test]
fn an_interrupted_service_says_so() {
    let dir = folder();
    write_rule(dir.path(), "stopped", "event.action:StopLogging", "1s");
    let mut service = Service::start(dir.path());
    service.wait_for("the rule runs", |record| record["rule_id"] == "stopped");
    service.signal("INT");
    assert_eq!(service.end(), Some(130));
}
