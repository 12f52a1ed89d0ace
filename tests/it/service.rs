//! The binary at work: the service, its lock and its stop; `kill -9` in the middle of runs; alerts
//! shown and triaged.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;
use tocsin::base::window::iso_millis;

/// A data folder with events, a rule folder, and the binary.
struct House {
    dir: TempDir,
}

fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

impl House {
    fn new() -> Self {
        let house = Self { dir: TempDir::new().unwrap() };
        std::fs::create_dir(house.path("rules")).unwrap();
        house
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tocsin"));
        command.args(["--data-dir", "data", "--utc"]).args(arguments);
        if !arguments.contains(&"--format") {
            command.args(["--format", "ndjson"]);
        }
        command.current_dir(self.dir.path()).env_remove("TOCSIN_CONFIG").stdin(Stdio::null());
        command
    }

    /// Runs to the end; returns exit code and records.
    fn run(&self, arguments: &[&str]) -> (i32, Vec<Value>) {
        let output = self.command(arguments).output().unwrap();
        let code = output.status.code().unwrap_or(-1);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(code == 0 || code == 1, "{arguments:?}: {code}\n{}", String::from_utf8_lossy(&output.stderr));
        (code, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    fn rule(&self, id: &str, query: &str, more: &str) {
        let text = format!(
            "[rule]\nrule_id = \"{id}\"\nname = \"Rule {id}\"\ndescription = \"d\"\ntype = \"query\"\n\
             language = \"kuery\"\nrisk_score = 73\nseverity = \"high\"\nindex = [\"logs-*\"]\n\
             from = \"now-2d\"\ninterval = \"2s\"\nquery = '''{query}'''\n{more}\n"
        );
        write_whole(&self.path(&format!("rules/{id}.toml")), &text);
    }

    /// `count` events of `action`, a minute apart, the last one a minute ago.
    fn events(&self, action: &str, count: i64) {
        let until = now();
        let lines: Vec<String> = (0..count)
            .map(|n| {
                json!({
                    "_index": "logs-test", "_id": format!("{action}-{n}"),
                    "@timestamp": iso_millis(until - chrono::Duration::minutes(n + 1)),
                    "event": {"action": action, "category": ["configuration"]},
                    "user": {"name": "mallory"}, "source": {"ip": "203.0.113.9"},
                })
                .to_string()
            })
            .collect();
        std::fs::write(self.path("events.ndjson"), lines.join("\n")).unwrap();
        let (code, report) = self.run(&["ingest", "--input", "ecs", "events.ndjson"]);
        assert_eq!((code, report[0]["indexed"].as_i64()), (0, Some(count)), "{report:?}");
    }

    fn alert_ids(&self) -> BTreeSet<String> {
        let alerts = self.run(&["alerts", "list"]).1;
        let ids: BTreeSet<String> = alerts.iter().map(|a| a["_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), alerts.len());
        ids
    }
}

/// Writes a file so that nobody reads half of it.
fn write_whole(path: &Path, text: &str) {
    let beside = path.with_extension("part");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, path).unwrap();
}

/// A child that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Running {
    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn wait(&mut self, limit: Duration) -> std::process::ExitStatus {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "still running after {limit:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn the_service_runs_rules_reloads_them_refuses_a_second_one_and_stops_cleanly() {
    let house = House::new();
    house.events("x", 30);
    house.rule("first", "event.action:x", "max_signals = 20");
    let mut command = house.command(&["run", "--rules", "rules"]);
    let mut service = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(service.0.stdout.take().unwrap()).lines();
    let mut record = |rule: &str| -> Value {
        loop {
            let record: Value = serde_json::from_str(&lines.next().expect("a record").unwrap()).unwrap();
            if record["rule_id"] == rule {
                return record;
            }
        }
    };
    let one = record("first");
    assert_eq!((&one["alerts"], &one["capped"], &one["clock"]), (&json!(20), &json!(10), &json!("ingest")));
    let two = record("first");
    assert_eq!((&two["alerts"], &two["duplicates"]), (&json!(10), &json!(20)));
    assert_ne!(one["slot"], two["slot"]);

    let second = house.command(&["run", "--rules", "rules"]).output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(&format!("process {}", service.0.id())), "{said}");

    // A broken file changes nothing; a whole one is in force without a restart.
    write_whole(&house.path("rules/broken.toml"), "[rule]\nname = \"broken\n");
    house.rule("third", "event.action:x", "");
    service.signal("-HUP");
    assert_eq!(record("first")["status"], "succeeded");
    std::fs::remove_file(house.path("rules/broken.toml")).unwrap();
    service.signal("-HUP");
    assert_eq!(record("third")["alerts"], 30);

    service.signal("-TERM");
    let status = service.wait(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0));
    assert_eq!(house.alert_ids().len(), 60);
    // State is there after a restart: nothing is alerted again.
    let (_, records) = house.run(&["run", "--once", "--rules", "rules"]);
    assert!(records.iter().all(|r| r["alerts"] == 0), "{records:?}");
}

#[test]
fn killed_at_any_moment_the_next_run_completes_the_same_alerts() {
    let (house, calm) = (House::new(), House::new());
    let at = iso_millis(now() + chrono::Duration::minutes(1));
    for house in [&house, &calm] {
        house.events("x", 150);
        for n in 0..4 {
            house.rule(&format!("r{n}"), "event.action:x", "max_signals = 40");
        }
    }
    let once = ["run", "--once", "--rules", "rules", "--at", &at];
    let mut killed = 0;
    for delay in [5, 20, 40, 60, 80, 110, 150, 200, 260, 330] {
        let mut child =
            Running(house.command(&once).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        std::thread::sleep(Duration::from_millis(delay));
        killed += u32::from(child.0.try_wait().unwrap().is_none());
        child.0.kill().unwrap();
        child.wait(Duration::from_secs(10));
    }
    assert!(killed > 0, "at least one was killed at work");
    for house in [&house, &calm] {
        for _ in 0..5 {
            house.run(&once);
        }
    }
    let ids = house.alert_ids();
    assert_eq!(ids.len(), 600);
    assert_eq!(ids, calm.alert_ids(), "the same alerts as without any kill");
    // An alert and its execution are written together or not at all.
    let (_, executions) = house.run(&["executions", "list"]);
    let written: u64 = executions.iter().map(|e| e["alerts"].as_u64().unwrap()).sum();
    assert_eq!(written, 600);
}

#[test]
fn once_says_which_rule_failed_and_triage_is_kept() {
    let house = House::new();
    house.events("StopLogging", 2);
    house.rule("good", "event.action:StopLogging", "note = \"Ask **{{user.name}}**.\"");
    house.rule("nowhere", "event.action:x", "");
    let text = std::fs::read_to_string(house.path("rules/nowhere.toml")).unwrap();
    write_whole(&house.path("rules/nowhere.toml"), &text.replace("logs-*", "absent-*"));
    let (code, records) = house.run(&["run", "--once", "--rules", "rules"]);
    let seen: Vec<_> = records.iter().map(|r| (r["rule_id"].clone(), r["status"].clone())).collect();
    assert_eq!((code, seen.len()), (0, 2));
    assert_eq!(seen[0], (json!("good"), json!("succeeded")));
    assert_eq!(seen[1], (json!("nowhere"), json!("no data source")));
    let unknown = house.command(&["run", "--once", "--rules", "rules", "--only", "absent"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));

    let ids = house.alert_ids();
    let id = ids.iter().next().unwrap();
    assert_eq!(house.run(&["alerts", "ack", &id[..10]]).1, [json!({"changed": 1})]);
    assert_eq!(house.run(&["alerts", "tag", id, "--add", "seen"]).1, [json!({"changed": 1})]);
    let shown = house.run(&["alerts", "list", "--status", "acknowledged"]).1;
    assert_eq!(shown[0]["_source"]["kibana.alert.workflow_tags"], json!(["seen"]));
    let person = house.command(&["--format", "human", "alerts", "show", id]).output().unwrap();
    let person = String::from_utf8(person.stdout).unwrap();
    for part in [
        "high  Rule good",
        "configuration event with source 203.0.113.9 by mallory",
        "Ask mallory.",
        "acknowledged",
    ] {
        assert!(person.contains(part), "{part} in\n{person}");
    }
    assert_eq!(house.command(&["alerts", "show", "zz"]).output().unwrap().status.code(), Some(2));
}
