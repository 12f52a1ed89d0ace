//! Notifications end to end: from a committed alert through routes and outbox to targets that
//! record what they are sent.

mod conversation;
mod crash;
mod delivery;
mod escaping;
mod real;
mod routing;
mod seed;
mod smtp;
mod targets;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Value, json};
use tocsin::app::App;
use tocsin::base::clock::{Clock, SystemClock};
use tocsin::config::{Config, LoadRequest, load};
use tocsin::notify::{Setup, Worker};
use tocsin::store::state::{
    AlertRow, BacklogCounts, Delivery, DeliveryQuery, DeliveryState, ExecutionCommit, ExecutionRecord,
    StateDb, Status,
};
use tokio_util::sync::CancellationToken;

use crate::elastic::server::{Asked, Reply, Server};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);

/// The configuration that `text` says, with its data below `dir`.
pub(crate) fn config(dir: &Path, text: &str) -> Config {
    let path = dir.join("tocsin.toml");
    std::fs::write(&path, text).unwrap();
    let request = LoadRequest { file: Some(path), data_dir: Some(dir.join("data")) };
    load(&request).unwrap_or_else(|found| panic!("{found:?}")).config
}

/// An installation whose worker runs beside the test.
pub(crate) struct House {
    pub(crate) app: App,
    pub(crate) state: Arc<StateDb>,
    stop: CancellationToken,
    reload: tokio::sync::watch::Sender<u64>,
    running: Option<tokio::task::JoinHandle<()>>,
}

impl House {
    pub(crate) fn open(dir: &Path, text: &str) -> Self {
        let mut house = Self::idle(dir, text);
        house.start();
        house
    }

    /// The same with nobody at work yet.
    pub(crate) fn idle(dir: &Path, text: &str) -> Self {
        let app = App::new(config(dir, text), Arc::new(SystemClock));
        let state = app.state().unwrap();
        let house = Self {
            app,
            state,
            stop: CancellationToken::new(),
            reload: tokio::sync::watch::channel(0).0,
            running: None,
        };
        house.worker();
        house
    }

    fn worker(&self) -> Worker {
        let setup: Setup = self.app.notifications().unwrap_or_else(|problems| panic!("{problems:?}"));
        self.app.notify(setup).unwrap()
    }

    pub(crate) fn start(&mut self) {
        let worker = self.worker();
        self.running = Some(
            tokio::runtime::Handle::current().spawn(worker.run(self.stop.clone(), self.reload.subscribe())),
        );
    }

    /// Asks to read secrets again.
    pub(crate) fn reload(&self) {
        self.reload.send_modify(|count| *count += 1);
    }

    /// Ends the worker as a service ends it.
    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.unwrap();
        }
    }

    /// Commits alerts as one execution of rule `r`.
    pub(crate) fn alert(&self, alerts: Vec<AlertRow>) {
        self.state.commit(vec![execution(alerts)]).unwrap();
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.state.deliveries(&DeliveryQuery::default()).unwrap()
    }

    pub(crate) fn count(&self, state: DeliveryState) -> usize {
        self.deliveries().iter().filter(|delivery| delivery.state == state).count()
    }

    /// Waits until `done`, which is asked again and again.
    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < end, "{what}: {:#?}", self.deliveries());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_delivered(&self, count: usize) {
        self.until(&format!("{count} delivered"), |house| house.count(DeliveryState::Delivered) >= count)
            .await;
    }
}

pub(crate) fn execution(alerts: Vec<AlertRow>) -> ExecutionCommit {
    let now = tocsin::base::window::iso_millis(SystemClock.now());
    ExecutionCommit {
        record: ExecutionRecord {
            timings: tocsin::store::state::Timings::default(),
            sources: Vec::new(),
            rule_id: "r".into(),
            rule_name: "Root login".into(),
            rule_type: "query".into(),
            status: Status::Succeeded,
            from: None,
            to: None,
            candidates: alerts.len() as u64,
            alerts: alerts.len() as u64,
            duplicates: 0,
            suppressed: 0,
            excepted: Some(0),
            capped: 0,
            warnings: Vec::new(),
            error: None,
            took_ms: 1,
            execution_id: "e".into(),
            rule_uuid: "uuid-r".into(),
            slot: now.clone(),
            started_at: now,
            clock: "ingest".into(),
            trigger: "scheduled".into(),
            backlog: BacklogCounts::default(),
        },
        alerts,
        updates: Vec::new(),
        state: None,
        kept: Vec::new(),
        settled: Vec::new(),
        memory: Vec::new(),
        turns: Vec::new(),
    }
}

/// The document of an alert, with `more` laid over it.
pub(crate) fn document(id: &str, more: &Value) -> Value {
    let mut document = json!({
        "@timestamp": "2026-11-02T12:00:00.000Z",
        "event": {"action": "ConsoleLogin", "outcome": "success"},
        "user": {"name": "root"},
        "source": {"ip": "203.0.113.9"},
        "cloud": {"account": {"id": "111111111111"}, "region": "eu-west-1"},
        "aws": {"cloudtrail": {"additional_eventdata": "MFAUsed=No"}},
        "kibana.space_ids": ["default"],
        "kibana.alert.uuid": id,
        "kibana.alert.original_time": "2026-11-02T11:59:30.000Z",
        "kibana.alert.reason": "authentication event by root created high alert Root login.",
        "kibana.alert.severity": "high",
        "kibana.alert.risk_score": 73,
        "kibana.alert.workflow_status": "open",
        "kibana.alert.rule.name": "Root login",
        "kibana.alert.rule.rule_id": "r",
        "kibana.alert.rule.uuid": "uuid-r",
        "kibana.alert.rule.tags": ["Domain: Cloud"],
        "kibana.alert.rule.author": ["Somebody"],
        "kibana.alert.rule.license": "Apache-2.0",
        "kibana.alert.rule.note": "## Triage and analysis\n\n- Ask the owner of the account.\n- Look for other sign-ins.\n",
        "kibana.alert.rule.parameters": {
            "investigation_fields": {"field_names": ["aws.cloudtrail.additional_eventdata"]}
        },
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        document[name] = value.clone();
    }
    document
}

pub(crate) fn row(id: &str, more: &Value) -> AlertRow {
    let document = document(id, more);
    AlertRow {
        id: id.into(),
        space: "default".into(),
        rule_uuid: "uuid-r".into(),
        rule_id: "r".into(),
        timestamp: Utc::now(),
        original_time: None,
        severity: document["kibana.alert.severity"].as_str().unwrap().into(),
        building_block: false,
        counted: true,
        document: document.to_string(),
    }
}

pub(crate) fn plain(id: &str) -> AlertRow {
    row(id, &json!({}))
}

/// A target that takes everything.
pub(crate) fn taking() -> Server {
    Server::start(|_, _| Reply::json(200, &json!({"ok": true})))
}

pub(crate) fn body(asked: &Asked) -> Value {
    serde_json::from_str(&asked.body).unwrap_or_else(|error| panic!("{error}: {}", asked.body))
}

/// A webhook called `hook` and a route that takes everything there.
pub(crate) fn webhook(url: &str) -> String {
    format!(
        "[[connector]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{url}\"\n[[route]]\nto = [\"hook\"]\n"
    )
}
