//! The store that runners share, as a model of an index with optimistic concurrency: alerts are
//! created before the state that speaks of them, and anything may go wrong between two writes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tocsin::store::state::{
    AlertQuery, AlertRow, AlertSink, AlertUpdate, BacklogEntry, Created, ExecutionCommit, ExecutionQuery,
    ExecutionRecord, Lease, LeaseStore, Lookup, Member, RuleState, StateError, StateStore, StoredAlert,
    Version, WorkflowStatus,
};

use super::world::{Bug, Port};

/// What the store holds.
#[derive(Default)]
pub(super) struct Cluster {
    pub alerts: BTreeMap<Arc<str>, AlertRow>,
    pub states: HashMap<String, RuleState>,
    backlog: BTreeMap<(String, i64, Arc<str>), BacklogEntry>,
    memory: HashMap<String, HashMap<String, String>>,
    members: BTreeMap<Arc<str>, Member>,
    leases: BTreeMap<u32, (Lease, i64)>,
    pub executions: u64,
    /// What must never happen.
    pub violations: Vec<String>,
    /// The highest token each rule was claimed under.
    claimed: HashMap<String, i64>,
}

pub(super) type Shared = Arc<Mutex<Cluster>>;

fn lost() -> StateError {
    StateError::Undone("no answer".into())
}

fn refused() -> StateError {
    StateError::Undone("429 too many requests".into())
}

impl Cluster {
    fn stale(&self, commit: &ExecutionCommit) -> bool {
        let Some(state) = &commit.state else { return false };
        self.states.get(&state.rule).is_some_and(|stored| stored.fence > state.fence)
    }

    fn create(&mut self, alerts: &[AlertRow]) -> u64 {
        let mut new = 0;
        for alert in alerts {
            if !self.alerts.contains_key(&alert.id) {
                new += 1;
                self.alerts.insert(Arc::clone(&alert.id), alert.clone());
            }
        }
        new
    }

    fn finish(&mut self, commit: &ExecutionCommit) {
        let uuid = &commit.record.rule_uuid;
        for id in &commit.settled {
            self.backlog.retain(|(rule, _, alert), _| rule != uuid || alert != id);
        }
        for entry in &commit.kept {
            let there = self.backlog.keys().any(|(rule, _, alert)| rule == uuid && *alert == entry.alert);
            if !there {
                let key = (uuid.clone(), entry.position, Arc::clone(&entry.alert));
                self.backlog.insert(key, entry.clone());
            }
        }
        let memory = self.memory.entry(uuid.clone()).or_default();
        for change in &commit.memory {
            match &change.value {
                Some(value) => memory.insert(change.key.clone(), value.clone()),
                None => memory.remove(&change.key),
            };
        }
        if let Some(state) = &commit.state {
            let claimed = self.claimed.get(&state.rule).copied().unwrap_or(0);
            if state.fence < claimed {
                self.violations.push(format!("`{}` was written under a stale token", state.rule_id));
            }
            self.states.insert(state.rule.clone(), state.clone());
        }
        self.executions += 1;
    }
}

/// Writes one execution; the answers' fate is the caller's.
async fn write(port: &Port, commit: &ExecutionCommit) -> Result<ExecutionRecord, StateError> {
    let bug = port.world.bug;
    let fenced = || StateError::Fenced { rule: commit.record.rule_id.clone() };
    let mut record = commit.record.clone();
    if port.world.cluster().stale(commit) && bug != Bug::TokensIgnored {
        return Err(fenced());
    }
    if bug == Bug::WritesForgotten && port.world.draw(10) {
        return Ok(record);
    }
    let part = port.world.take_partial();
    {
        let mut cluster = port.world.cluster();
        let alerts = match bug {
            Bug::CoverageWithoutAlerts if port.world.draw(20) => &[][..],
            _ => &commit.alerts,
        };
        let until = if part { alerts.len() / 2 } else { alerts.len() };
        let new = cluster.create(&alerts[..until]);
        record.duplicates += record.alerts - new.min(record.alerts);
        record.alerts = new;
    }
    if part {
        return Err(lost());
    }
    // Whoever is to die in the middle of a write dies here: alerts are there, their state is not.
    port.write_begun().await;
    port.latency().await;
    if port.world.cluster().stale(commit) && bug != Bug::TokensIgnored {
        return Err(fenced());
    }
    port.world.cluster().finish(commit);
    Ok(record)
}

#[async_trait]
impl StateStore for Port {
    async fn rule_states(&self) -> Result<HashMap<String, RuleState>, StateError> {
        self.pass().await;
        Ok(self.world.cluster().states.clone())
    }

    async fn backlog_rules(&self) -> Result<HashSet<String>, StateError> {
        self.pass().await;
        Ok(self.world.cluster().backlog.keys().map(|(rule, ..)| rule.clone()).collect())
    }

    async fn backlog(&self, rule: &str) -> Result<Vec<BacklogEntry>, StateError> {
        self.pass().await;
        let cluster = self.world.cluster();
        Ok(cluster
            .backlog
            .iter()
            .filter(|((of, ..), _)| of == rule)
            .map(|(_, entry)| entry.clone())
            .collect())
    }

    async fn memory(&self, rule: &str) -> Result<HashMap<String, String>, StateError> {
        self.pass().await;
        Ok(self.world.cluster().memory.get(rule).cloned().unwrap_or_default())
    }

    async fn commit(&self, executions: Vec<ExecutionCommit>) -> Result<Vec<ExecutionRecord>, StateError> {
        self.pass().await;
        if self.world.refuses_writes() {
            return Err(refused());
        }
        let (lose, double) = (self.world.take_lost(), self.world.take_doubled());
        let mut records = Vec::new();
        for commit in &executions {
            self.pass().await;
            if double {
                // The first of two equal requests; its answer counts for nothing.
                drop(write(self, commit).await);
            }
            records.push(write(self, commit).await?);
        }
        self.pass().await;
        if lose { Err(lost()) } else { Ok(records) }
    }

    async fn claim(
        &self,
        rules: &[(Arc<str>, Arc<str>)],
        fence: i64,
    ) -> Result<HashMap<String, RuleState>, StateError> {
        self.pass().await;
        if self.world.refuses_writes() {
            return Err(refused());
        }
        let lose = self.world.take_lost();
        let mut cluster = self.world.cluster();
        let mut states = HashMap::new();
        for (uuid, rule_id) in rules {
            let state =
                cluster.states.entry(uuid.to_string()).or_insert_with(|| RuleState::new(uuid, rule_id));
            if state.fence > fence {
                return Err(StateError::Fenced { rule: rule_id.to_string() });
            }
            state.fence = fence;
            states.insert(uuid.to_string(), state.clone());
            cluster.claimed.insert(uuid.to_string(), fence);
        }
        if lose { Err(lost()) } else { Ok(states) }
    }

    async fn executions(&self, _query: &ExecutionQuery) -> Result<Vec<ExecutionRecord>, StateError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl AlertSink for Port {
    async fn existing(&self, ids: Vec<Arc<str>>) -> Result<HashSet<Arc<str>>, StateError> {
        self.pass().await;
        let cluster = self.world.cluster();
        Ok(ids.into_iter().filter(|id| cluster.alerts.contains_key(id)).collect())
    }

    async fn create(&self, _alerts: Vec<AlertRow>) -> Result<Vec<Created>, StateError> {
        unreachable!("executions commit their alerts")
    }

    async fn update(&self, _updates: Vec<AlertUpdate>) -> Result<(), StateError> {
        Ok(())
    }

    async fn find(&self, query: &AlertQuery) -> Result<Vec<StoredAlert>, StateError> {
        self.pass().await;
        let cluster = self.world.cluster();
        let of = |alert: &&AlertRow| {
            query.rule.as_ref().is_none_or(|rule| **rule == *alert.rule_uuid || **rule == *alert.rule_id)
        };
        let found = cluster.alerts.values().filter(of).map(|alert| StoredAlert {
            id: Arc::clone(&alert.id),
            space: Arc::clone(&alert.space),
            status: "open".to_owned(),
            source: serde_json::from_str(&alert.document).unwrap(),
        });
        Ok(found.collect())
    }

    async fn count(&self, query: &AlertQuery) -> Result<usize, StateError> {
        Ok(self.find(query).await?.len())
    }

    async fn lookup(&self, _prefix: &str) -> Result<Lookup, StateError> {
        Ok(Lookup::Nothing)
    }

    async fn set_workflow_status(
        &self,
        _ids: Vec<Arc<str>>,
        _status: WorkflowStatus,
        _now: DateTime<Utc>,
    ) -> Result<usize, StateError> {
        Ok(0)
    }

    async fn tag(
        &self,
        _ids: Vec<Arc<str>>,
        _add: Vec<String>,
        _remove: Vec<String>,
    ) -> Result<usize, StateError> {
        Ok(0)
    }
}

#[async_trait]
impl LeaseStore for Port {
    async fn members(&self) -> Result<Vec<Member>, StateError> {
        self.pass().await;
        Ok(self.world.cluster().members.values().cloned().collect())
    }

    async fn beat(&self, member: Member) -> Result<(), StateError> {
        self.pass().await;
        if self.world.refuses_writes() {
            return Err(refused());
        }
        let lose = self.world.take_lost();
        self.world.cluster().members.insert(Arc::clone(&member.id), member);
        self.latency().await;
        if lose { Err(lost()) } else { Ok(()) }
    }

    async fn remove(&self, id: Arc<str>) -> Result<(), StateError> {
        self.pass().await;
        self.world.cluster().members.remove(&id);
        Ok(())
    }

    async fn leases(&self, _partitions: u32) -> Result<Vec<(Lease, Version)>, StateError> {
        self.pass().await;
        let cluster = self.world.cluster();
        Ok(cluster.leases.values().map(|(lease, version)| (lease.clone(), (*version, 1))).collect())
    }

    async fn swap(&self, leases: Vec<(Lease, Option<Version>)>) -> Result<Vec<bool>, StateError> {
        self.pass().await;
        if self.world.refuses_writes() {
            return Err(refused());
        }
        let lose = self.world.take_lost();
        let mut written = Vec::new();
        {
            let mut cluster = self.world.cluster();
            for (lease, read) in leases {
                let there = cluster.leases.get(&lease.partition).map(|(_, version)| (*version, 1));
                written.push(there == read);
                if there == read {
                    let version = there.map_or(0, |(version, _)| version) + 1;
                    cluster.leases.insert(lease.partition, (lease, version));
                }
            }
        }
        if lose { Err(lost()) } else { Ok(written) }
    }
}
