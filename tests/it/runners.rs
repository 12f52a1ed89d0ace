//! Three runners on a real cluster, killed at random: each event is alerted on once by each rule.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tocsin::base::clock::{Clock as _, SystemClock};
use tocsin::base::window::iso_millis;
use tocsin::elastic::{Client, Method, Options, Request, RetryPolicy};

use crate::nodes::{Node, block, running};

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
        "[[backend]]\nname = \"node\"\nurl = [{}]\n[alerts]\nto = [\"node\"]\nspace = \"{space}\"\n\
         [schedule]\nlease = \"3s\"\nlate_check = \"5s\"\n",
        node.urls().iter().map(|url| format!("\"{url}\"")).collect::<Vec<_>>().join(", ")
    );
    std::fs::write(dir.join("tocsin.toml"), config).unwrap();
}

fn command(dir: &Path, node: &Node, n: usize, arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tocsin"));
    command.current_dir(dir).args([
        "--config",
        "tocsin.toml",
        "--format",
        "ndjson",
        "--backend",
        &node.urls()[0],
    ]);
    command.args(["--data-dir", &format!("data-{n}")]).args(arguments);
    command
}

fn start(dir: &Path, node: &Node, n: usize) -> Running {
    let mut command = command(dir, node, n, &["run", "--rules", "rules"]);
    let log =
        std::fs::File::options().create(true).append(true).open(dir.join(format!("runner-{n}.log"))).unwrap();
    Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

/// Writes an event, again as long as the node that was asked is away. It says when it arrived, as an
/// ingest pipeline would have it.
fn write(node: &Node, index: &str, number: u32) {
    let options = Options {
        retry: RetryPolicy::never(),
        request_timeout: Duration::from_secs(3),
        ..Options::new("writer", node.urls())
    };
    let client = Client::new(options, Arc::new(SystemClock)).unwrap();
    let (at, until) = (iso_millis(now()), Instant::now() + Duration::from_mins(4));
    loop {
        let arrived = iso_millis(now());
        let event = json!({
            "@timestamp": at, "event": {"action": "x", "ingested": arrived}, "user": {"name": format!("u{number}")},
        });
        let path = format!("/{index}/_doc/e{number}?refresh=true");
        match block(client.json(&Request::write(Method::Put, path).json(&event))) {
            Ok(_) => return,
            Err(error) => assert!(Instant::now() < until, "event {number}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// How often each rule has alerted on each event.
fn alerts(dir: &Path, node: &Node) -> BTreeMap<(String, String), u32> {
    let output = command(dir, node, 9, &["alerts", "list", "--size", "100000"]).output().unwrap();
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
        while begun.elapsed() < Duration::from_secs(seconds) || kills < 2 {
            for _ in 0..if seconds > 60 { 1 } else { 3 } {
                write(&node, &index.name, events);
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
        let expected = RULES * events as usize;
        let until = Instant::now() + Duration::from_mins(5);
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

#[test]
fn a_backfill_takes_over_the_rules_that_nobody_has_and_leaves_those_at_work_alone() {
    for node in running() {
        if !matches!(node.name.as_str(), "opensearch" | "es9") {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let space = format!("fill{}{}", std::process::id(), node.name);
        let mapping = json!({"properties": {
            "@timestamp": {"type": "date"},
            "event": {"properties": {"action": {"type": "keyword"}, "ingested": {"type": "date"}}},
            "user": {"properties": {"name": {"type": "keyword"}}},
        }});
        let index = node.index("fill", &mapping);
        prepare(dir.path(), &node, &space, &index.name);
        let setup = command(dir.path(), &node, 9, &["setup"]).output().unwrap();
        assert!(setup.status.success(), "{}", String::from_utf8_lossy(&setup.stderr));
        for number in 0..5 {
            write(&node, &index.name, number);
        }
        let fill = || {
            let arguments = ["backfill", "--rules", "rules", "--from", "now-1m", "--to", "now"];
            command(dir.path(), &node, 8, &arguments).output().unwrap()
        };
        let first = fill();
        assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
        let found = alerts(dir.path(), &node);
        assert_eq!((found.len(), found.values().max()), (RULES * 5, Some(&1)), "on {}", node.name);
        let again = fill();
        assert!(again.status.success(), "what the first one held was given back");
        assert_eq!(alerts(dir.path(), &node), found);

        let _runner = start(dir.path(), &node, 0);
        std::thread::sleep(Duration::from_secs(6));
        let refused = fill();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("another runner has"), "{said}");
    }
}
