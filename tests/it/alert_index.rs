//! Alerts, rule state and the execution log on a real node.

mod broken;
mod commands;
mod forward;
mod kept;
mod killed;
mod setup;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tocsin::base::clock::SystemClock;
use tocsin::cluster::{AlertIndex, ClusterAlerts, ClusterState, Mode, Names, Setup, Step};
use tocsin::elastic::{Client, Method, Options, Request};
use tocsin::store::state::{AlertRow, BacklogCounts, ExecutionCommit, ExecutionRecord, RuleState, Status};

/// A space of its own on a node: nothing of one test is seen by another.
pub(crate) struct Place {
    pub(crate) client: Arc<Client>,
    pub(crate) names: Names,
}

impl Place {
    pub(crate) fn new(url: &str, mode: Mode, index: &str) -> Self {
        Self::in_space(url, mode, index, &a_space())
    }

    pub(crate) fn in_space(url: &str, mode: Mode, index: &str, space: &str) -> Self {
        let client = Client::new(Options::new("node", vec![url.to_owned()]), Arc::new(SystemClock)).unwrap();
        let names = Names::new(AlertIndex::new(mode, index, space));
        assert_eq!(names.alerts.wrong(), None);
        Self { client: Arc::new(client), names }
    }

    pub(crate) fn own(url: &str) -> Self {
        Self::new(url, Mode::Own, "tocsin-alerts-{space}")
    }

    pub(crate) fn space(&self) -> &str {
        &self.names.alerts.space
    }

    pub(crate) async fn set_up(&self) -> Vec<Step> {
        Setup::new(&self.client, &self.names, Some(90), 90).run().await.unwrap()
    }

    pub(crate) fn alerts(&self) -> Arc<ClusterAlerts> {
        Arc::new(ClusterAlerts::new(Arc::clone(&self.client), self.names.alerts.clone()))
    }

    pub(crate) fn state(&self) -> ClusterState {
        ClusterState::new(Arc::clone(&self.client), self.names.clone(), self.alerts())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.client.json(&Request::get(path)).await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) {
        self.client.json(&Request::write(Method::Put, path).json(body)).await.unwrap();
    }

    pub(crate) fn alert(&self, id: &str, source: Value) -> AlertRow {
        let mut document = json!({
            "@timestamp": "2026-11-01T12:00:00.000Z",
            "event.kind": "signal",
            "kibana.space_ids": [self.space()],
            "kibana.alert.uuid": id,
            "kibana.alert.severity": "low",
            "kibana.alert.workflow_status": "open",
            "kibana.alert.workflow_tags": [],
            "kibana.alert.rule.uuid": "rule-uuid",
            "kibana.alert.rule.rule_id": "rule",
            "kibana.alert.rule.execution.uuid": "execution",
        });
        document.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        AlertRow {
            id: id.into(),
            space: self.space().into(),
            rule_uuid: "rule-uuid".into(),
            rule_id: "rule".into(),
            timestamp: time("2026-11-01T12:00:00Z"),
            original_time: None,
            severity: "low".into(),
            building_block: false,
            counted: true,
            document: document.to_string(),
        }
    }
}

/// A space that nobody else has.
pub(crate) fn a_space() -> String {
    format!("t{}", uuid::Uuid::new_v4().simple())
}

pub(crate) fn time(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

pub(crate) fn record(id: &str, alerts: u64) -> ExecutionRecord {
    ExecutionRecord {
        timings: tocsin::store::state::Timings::default(),
        sources: Vec::new(),
        rule_id: "rule".into(),
        rule_name: "Rule".into(),
        rule_type: "query".into(),
        status: Status::Succeeded,
        from: Some("2026-11-01T11:00:00.000Z".into()),
        to: Some("2026-11-01T12:00:00.000Z".into()),
        candidates: alerts,
        alerts,
        duplicates: 0,
        suppressed: 0,
        excepted: Some(0),
        capped: 0,
        warnings: Vec::new(),
        error: None,
        took_ms: 3,
        execution_id: id.into(),
        rule_uuid: "rule-uuid".into(),
        slot: "2026-11-01T12:00:00.000Z".into(),
        started_at: "2026-11-01T12:00:00.500Z".into(),
        clock: "event".into(),
        trigger: "scheduled".into(),
        backlog: BacklogCounts::default(),
    }
}

pub(crate) fn commit(id: &str, alerts: Vec<AlertRow>, slot: i64) -> ExecutionCommit {
    ExecutionCommit {
        record: record(id, alerts.len() as u64),
        alerts,
        state: Some(RuleState { last_slot: Some(slot), ..RuleState::new("rule-uuid", "rule") }),
        kept: Vec::new(),
        settled: Vec::new(),
        updates: Vec::new(),
        memory: Vec::new(),
        turns: Vec::new(),
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Runs a test on each node that there is, one after the other.
pub(crate) fn on_every_node(test: impl AsyncFn(&str)) {
    for (name, url) in crate::nodes::nodes() {
        eprintln!("on {name}");
        block_on(test(&url));
    }
}
