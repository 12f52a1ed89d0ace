//! Three runners on a real cluster, killed at random: each event is alerted on once by each rule.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tocsin::base::clock::{Clock as _, SystemClock};
use tocsin::base::window::iso_millis;
use tocsin::elastic::{Method, Request};

use crate::nodes::{Node, running};

const RULES: usize = 8;
/// How long events come in and runners are killed: `TOCSIN_RUNNERS_SECONDS` asks for more.
const SECONDS: u64 = 20;

/// A child that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn now() -> DateTime<Utc> {
    SystemClock.now()
}

fn prepare(dir: &Path, node: &Node, space: &str, index: &str) {
    std::fs::create_dir(dir.join("rules")).unwrap();
    for n in 0..RULES {
        let text = format!(
            "[rule]\nrule_id = \"r{n}\"\nname = \"R{n}\"\ndescription = \"d\"\ntype = \"query\"\nlanguage = \"kuery\"\n\
             risk_score = 1\nseverity = \"low\"\nindex = [\"{index}\"]\ninterval = \"2s\"\nfrom = \"now-10s\"\n\
             query = 'event.action:x and user.name:u*'\n"
        );
        std::fs::write(dir.join(format!("rules/r{n}.toml")), text).unwrap();
    }
    let config = format!(
        "[[backend]]\nname = \"node\"\nurl = [\"{}\"]\n[alerts]\nto = [\"node\"]\nspace = \"{space}\"\n\
         [schedule]\nlease = \"3s\"\nlate_check = \"5s\"\n",
        node.url
    );
    std::fs::write(dir.join("tocsin.toml"), config).unwrap();
}

fn command(dir: &Path, node: &Node, n: usize, arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tocsin"));
    command.current_dir(dir).args(["--config", "tocsin.toml", "--format", "ndjson", "--backend", &node.url]);
    command.args(["--data-dir", &format!("data-{n}")]).args(arguments);
    command
}

fn start(dir: &Path, node: &Node, n: usize) -> Running {
    let mut command = command(dir, node, n, &["run", "--rules", "rules"]);
    let log =
        std::fs::File::options().create(true).append(true).open(dir.join(format!("runner-{n}.log"))).unwrap();
    Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

/// How often each rule has alerted on each event.
fn alerts(dir: &Path, node: &Node) -> BTreeMap<(String, String), u32> {
    let output = command(dir, node, 9, &["alerts", "list", "--size", "10000"]).output().unwrap();
    let mut found = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let alert: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| alert["_source"][name].as_str().unwrap_or_default().to_owned();
        let event =
            alert["_source"]["kibana.alert.ancestors"][0]["id"].as_str().unwrap_or_default().to_owned();
        *found.entry((text("kibana.alert.rule.rule_id"), event)).or_default() += 1;
    }
    found
}

#[test]
fn killed_runners_lose_nothing_and_alert_on_nothing_twice() {
    let seconds = std::env::var("TOCSIN_RUNNERS_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    for node in running() {
        // One product of each make is enough; the protocol is the same.
        if !matches!(node.name.as_str(), "opensearch" | "es9") {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let space = format!("run{}{}", std::process::id(), node.name);
        let mapping = json!({"properties": {
            "@timestamp": {"type": "date"},
            "event": {"properties": {"action": {"type": "keyword"}, "ingested": {"type": "date"}}},
            "user": {"properties": {"name": {"type": "keyword"}}},
        }});
        let index = node.index("runners", &mapping);
        prepare(dir.path(), &node, &space, &index.name);
        let setup = command(dir.path(), &node, 9, &["setup"]).output().unwrap();
        assert!(setup.status.success(), "{}", String::from_utf8_lossy(&setup.stderr));
        let mut runners: Vec<Running> = (0..3).map(|n| start(dir.path(), &node, n)).collect();
        let (begun, mut events, mut kills) = (Instant::now(), 0u32, 0);
        // Rules answer for events from their first window on.
        std::thread::sleep(Duration::from_secs(4));
        while begun.elapsed() < Duration::from_secs(seconds) {
            for _ in 0..3 {
                let at = iso_millis(now());
                let event = json!({"@timestamp": at, "event": {"action": "x", "ingested": at}, "user": {"name": format!("u{events}")}});
                let path = format!("/{}/_doc/e{events}?refresh=true", index.name);
                node.ask(Request::write(Method::Put, path).json(&event));
                events += 1;
            }
            std::thread::sleep(Duration::from_millis(700));
            if events.is_multiple_of(12) {
                let n = (events as usize / 12 * 7) % 3;
                runners[n].0.kill().unwrap();
                runners[n].0.wait().unwrap();
                runners[n] = start(dir.path(), &node, n);
                kills += 1;
            }
        }
        assert!(kills > 1, "{kills} kills");
        let expected = RULES * events as usize;
        let until = Instant::now() + Duration::from_mins(2);
        let found = loop {
            let found = alerts(dir.path(), &node);
            if found.len() >= expected || Instant::now() > until {
                break found;
            }
            std::thread::sleep(Duration::from_secs(1));
        };
        let log = || std::fs::read_to_string(dir.path().join("runner-0.log")).unwrap_or_default();
        assert_eq!(found.len(), expected, "on {}: {}", node.name, log());
        assert!(found.values().all(|count| *count == 1), "some event was alerted on twice by one rule");
    }
}
