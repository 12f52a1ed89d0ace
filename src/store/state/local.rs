//! The state database behind the seams of executions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::seam::{AlertSink, Created, StateStore};
use super::{
    AlertQuery, AlertRow, AlertUpdate, BacklogEntry, ExecutionCommit, ExecutionQuery, ExecutionRecord,
    Lookup, RuleState, StateDb, StateError, StoredAlert, WorkflowStatus,
};

/// State and alerts in the state database of this machine. Its calls run on the blocking pool.
#[derive(Debug, Clone)]
pub struct LocalState(Arc<StateDb>);

impl LocalState {
    /// Both seams over `db`.
    pub fn new(db: Arc<StateDb>) -> Self {
        Self(db)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&StateDb) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let db = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&db))
            .await
            .unwrap_or_else(|error| Err(StateError::Undone(error.to_string())))
    }
}

#[async_trait]
impl StateStore for LocalState {
    async fn rule_states(&self) -> Result<HashMap<String, RuleState>, StateError> {
        self.run(StateDb::rule_states).await
    }

    async fn backlog_rules(&self) -> Result<HashSet<String>, StateError> {
        self.run(|db| Ok(db.backlog_counts()?.into_keys().collect())).await
    }

    async fn backlog(&self, rule: &str) -> Result<Vec<BacklogEntry>, StateError> {
        let rule = rule.to_owned();
        self.run(move |db| db.backlog(&rule)).await
    }

    async fn memory(&self, rule: &str) -> Result<HashMap<String, String>, StateError> {
        let rule = rule.to_owned();
        self.run(move |db| db.rule_memory(&rule)).await
    }

    async fn commit(&self, executions: Vec<ExecutionCommit>) -> Result<Vec<ExecutionRecord>, StateError> {
        self.run(move |db| db.commit(executions)).await
    }

    async fn claim(
        &self,
        rules: &[(Arc<str>, Arc<str>)],
        fence: i64,
    ) -> Result<HashMap<String, RuleState>, StateError> {
        let rules = rules.to_vec();
        self.run(move |db| db.claim(rules, fence)).await
    }

    async fn executions(&self, query: &ExecutionQuery) -> Result<Vec<ExecutionRecord>, StateError> {
        let query = query.clone();
        self.run(move |db| db.executions(&query)).await
    }
}

#[async_trait]
impl AlertSink for LocalState {
    async fn existing(&self, ids: Vec<Arc<str>>) -> Result<HashSet<Arc<str>>, StateError> {
        self.run(move |db| db.existing(&ids)).await
    }

    async fn create(&self, alerts: Vec<AlertRow>) -> Result<Vec<Created>, StateError> {
        self.run(move |db| db.create_alerts(alerts)).await
    }

    async fn update(&self, updates: Vec<AlertUpdate>) -> Result<(), StateError> {
        self.run(move |db| db.update_alerts(updates)).await
    }

    async fn find(&self, query: &AlertQuery) -> Result<Vec<StoredAlert>, StateError> {
        let query = query.clone();
        self.run(move |db| db.alerts(&query)).await
    }

    async fn count(&self, query: &AlertQuery) -> Result<usize, StateError> {
        let query = query.clone();
        self.run(move |db| db.count_alerts(&query)).await
    }

    async fn lookup(&self, prefix: &str) -> Result<Lookup, StateError> {
        let prefix = prefix.to_owned();
        self.run(move |db| db.alert(&prefix)).await
    }

    async fn set_workflow_status(
        &self,
        ids: Vec<Arc<str>>,
        status: WorkflowStatus,
        now: DateTime<Utc>,
    ) -> Result<usize, StateError> {
        self.run(move |db| db.set_workflow_status(ids, status, now)).await
    }

    async fn tag(
        &self,
        ids: Vec<Arc<str>>,
        add: Vec<String>,
        remove: Vec<String>,
    ) -> Result<usize, StateError> {
        self.run(move |db| db.tag_alerts(ids, add, remove)).await
    }
}
