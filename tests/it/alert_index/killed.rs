//! A node that is killed in the middle of bulks or pages and started again: no alert is lost or
//! doubled.

use std::collections::HashSet;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tocsin::backend::Backend;
use tocsin::backend::cluster::ClusterBackend;
use tocsin::base::clock::ManualClock;
use tocsin::elastic::{Method, Request};
use tocsin::engine::{Due, Engine, Settings, Trigger};
use tocsin::rule::load::toml;
use tocsin::store::state::{AlertQuery, AlertSink, ExecutionQuery, StateStore};

use super::{Place, block_on, commit, time};

/// What starts a node, when `cargo xtask` has prepared one.
fn launcher() -> Option<PathBuf> {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/nodes/opensearch/run");
    if run.is_file() {
        return Some(run);
    }
    assert!(std::env::var_os("TOCSIN_REQUIRE_NODES").is_none(), "no node: run `cargo xtask test`");
    eprintln!("left out: no node was prepared, `cargo xtask node opensearch` does");
    None
}

/// A node that can be killed.
struct Mortal {
    run: PathBuf,
    port: u16,
    data: tempfile::TempDir,
    process: Child,
}

impl Mortal {
    fn start(run: PathBuf) -> Self {
        let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        // Two nodes of one run are never on one port, not even while one of them is dead.
        static NEXT: AtomicU16 = AtomicU16::new(19_600);
        let port = loop {
            let port = NEXT.fetch_add(1, Ordering::Relaxed);
            assert!(port < 19_900, "no free port");
            if free(port) && free(port + 1_000) {
                break port;
            }
        };
        let data = tempfile::tempdir().unwrap();
        let process = spawn(&run, port, data.path());
        let node = Self { run, port, data, process };
        node.wait();
        node
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn wait(&self) {
        let place = Place::own(&self.url());
        let started = Instant::now();
        let health = Request::get("/_cluster/health").query("wait_for_status", "yellow");
        while block_on(place.client.send(&health)).is_err() {
            assert!(started.elapsed() < Duration::from_mins(4), "the node does not answer");
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// No goodbye, nothing flushed.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn again(&mut self) {
        self.process = spawn(&self.run, self.port, self.data.path());
        self.wait();
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn spawn(run: &Path, port: u16, data: &Path) -> Child {
    Command::new(run)
        .arg(port.to_string())
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("the launcher starts")
}

#[test]
fn a_node_killed_in_the_middle_of_bulks_loses_and_doubles_nothing() {
    const EXECUTIONS: usize = 40;
    const ALERTS: usize = 150;
    let Some(run) = launcher() else { return };
    let mut node = Mortal::start(run);
    let url = node.url();
    let place = Place::own(&url);
    block_on(place.set_up());
    let execution = |n: usize| {
        let alerts = (0..ALERTS)
            .map(|m| {
                let source = json!({"kibana.alert.rule.execution.uuid": format!("e{n}")});
                place.alert(&format!("{n:03}-{m:03}"), source)
            })
            .collect();
        commit(&format!("e{n}"), alerts, i64::try_from(n).unwrap())
    };
    // A runner of its own goes on committing while the node dies under it.
    let (done, failed) = std::thread::scope(|scope| {
        let runner = scope.spawn(|| {
            let state = place.state();
            block_on(async {
                let (mut done, mut failed) = (Vec::new(), Vec::new());
                for n in 0..EXECUTIONS {
                    match state.commit(vec![execution(n)]).await {
                        Ok(records) if records[0].error.is_none() => done.push(records[0].alerts),
                        _ => failed.push(n),
                    }
                }
                (done, failed)
            })
        });
        let alerts = place.alerts();
        // Once some are there, so that it dies at work.
        while block_on(alerts.count(&AlertQuery::default())).unwrap() < 3 * ALERTS {
            std::thread::sleep(Duration::from_millis(5));
        }
        node.kill();
        node.again();
        runner.join().unwrap()
    });
    // The next executions find the same candidates, under the same ids.
    let state = place.state();
    let mut written: u64 = done.iter().sum();
    for n in &failed {
        let records = block_on(state.commit(vec![execution(*n)])).unwrap();
        assert_eq!(records[0].error, None, "{:?}", records[0]);
        written += records[0].alerts;
    }
    let found = block_on(place.alerts().find(&AlertQuery::default())).unwrap();
    let ids: HashSet<_> = found.iter().map(|alert| alert.id.clone()).collect();
    assert_eq!((found.len(), ids.len()), (EXECUTIONS * ALERTS, EXECUTIONS * ALERTS));
    assert_eq!(written, (EXECUTIONS * ALERTS) as u64, "each is counted as written once");
    let log = block_on(place.state().executions(&ExecutionQuery::default())).unwrap();
    assert_eq!(log.len(), EXECUTIONS, "and each execution is in the log once");
}

/// A rule on thousands of events, several pages and several caps long.
const RULE: &str = "[rule]\nrule_id = \"many\"\nname = \"Many\"\ndescription = \"d\"\nrisk_score = 1\nseverity = \"low\"\n\
    interval = \"5m\"\nfrom = \"now-60m\"\nindex = [\"logs-many\"]\ntype = \"query\"\nquery = \"event.action: x\"\n\
    max_signals = 500\n";

#[test]
fn a_node_killed_while_pages_are_read_loses_and_doubles_nothing() {
    const EVENTS: usize = 4_500;
    let Some(run) = launcher() else { return };
    let mut node = Mortal::start(run);
    let place = Place::own(&node.url());
    block_on(async {
        place.set_up().await;
        let mappings = json!({"properties": {"@timestamp": {"type": "date"},
            "event": {"properties": {"action": {"type": "keyword"}}}}});
        place.put("/logs-many", &json!({ "mappings": mappings })).await;
        let lines = (0..EVENTS).flat_map(|n| {
            let at = format!("2026-11-01T11:{:02}:00.000Z", n % 50);
            let event = json!({"@timestamp": at, "event": {"action": "x"}});
            [json!({"create": {"_index": "logs-many", "_id": n.to_string()}}), event]
        });
        let bulk = Request::write(Method::Post, "/_bulk").repeatable().query("refresh", "true").lines(lines);
        assert_eq!(place.client.json(&bulk.unwrap()).await.unwrap()["errors"], false);
    });
    let slot = time("2026-11-01T12:00:00Z");
    let rule = toml::read(RULE, "hash").rules.into_iter().next().unwrap();
    let due = || Due { plan: rule.plan.clone(), ..Due::not_run(&rule.rule, slot) };
    let backend = ClusterBackend::new((*place.client).clone());
    let before = place.client.traffic().requests;
    let asked = || place.client.traffic().requests - before;
    let statuses = std::thread::scope(|scope| {
        // The service: execution after execution, whatever became of the one before.
        let service = scope.spawn(|| {
            crate::nodes::block(async {
                let settings = Settings {
                    trigger: Trigger::Manual,
                    space: Arc::from(place.space()),
                    ..Settings::default()
                };
                let searched: Arc<dyn Backend> = Arc::new(backend.clone());
                let clock = Arc::new(ManualClock::new(slot));
                let state = Arc::new(place.state());
                let engine = Engine::open(searched, state, place.alerts(), clock, settings).await.unwrap();
                let mut statuses = Vec::new();
                while statuses.len() < 200 {
                    let record = engine.run(vec![due()]).await.remove(0);
                    let finished = record.error.is_none() && record.capped == 0;
                    statuses.push((record.status, record.error));
                    if finished {
                        break;
                    }
                }
                statuses
            })
        });
        // Two requests into an execution that is not the first: among its pages.
        for requests in [25, 60] {
            while asked() < requests && !service.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
            node.kill();
            node.again();
        }
        service.join().unwrap()
    });
    let found = block_on(place.alerts().find(&AlertQuery::default())).unwrap();
    let ids: HashSet<_> = found.iter().map(|alert| alert.id.clone()).collect();
    let events: HashSet<_> = found
        .iter()
        .map(|alert| alert.source["kibana.alert.ancestors"][0]["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((found.len(), ids.len(), events.len()), (EVENTS, EVENTS, EVENTS), "{statuses:?}");
}
