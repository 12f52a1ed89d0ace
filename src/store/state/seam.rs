//! The seams behind which executions keep what they leave: state on one side, alerts on the other.
//!
//! On one machine both are the state database, and one transaction writes both; on a cluster they
//! are indices, and what protects a crash between two writes is that alerts are created under
//! deterministic ids before the state that speaks of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    AlertQuery, AlertRow, AlertUpdate, BacklogEntry, ExecutionCommit, ExecutionQuery, ExecutionRecord,
    Lookup, RuleState, StateError, StoredAlert, WorkflowStatus,
};

/// Where rule state, the backlog and the execution log are kept.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// What is remembered of every rule, by object id.
    async fn rule_states(&self) -> Result<HashMap<String, RuleState>, StateError>;

    /// Object ids of the rules of which candidates wait.
    async fn backlog_rules(&self) -> Result<HashSet<String>, StateError>;

    /// The candidates of a rule (object id) that wait, in time order.
    async fn backlog(&self, rule: &str) -> Result<Vec<BacklogEntry>, StateError>;

    /// What executions of a rule (object id) have put down for later ones: values by key.
    async fn memory(&self, rule: &str) -> Result<HashMap<String, String>, StateError>;

    /// Writes what executions leave behind, their alerts before or with the rest; returns their
    /// log entries as written, in the same order, once nothing of them can be lost. Alerts that
    /// were there already are moved from an entry's `alerts` to its `duplicates`.
    ///
    /// # Errors
    /// When it cannot be written. Some alerts may be there then; writing the same again adds
    /// nothing to them.
    async fn commit(&self, executions: Vec<ExecutionCommit>) -> Result<Vec<ExecutionRecord>, StateError>;

    /// Raises the token of rules (object id, signature id) to `fence`, and returns what is
    /// remembered of them: from here on commits under a lower token are refused
    /// ([`StateError::Fenced`]).
    ///
    /// # Errors
    /// When it cannot be written, or another runner has a higher token by now.
    async fn claim(
        &self,
        rules: &[(Arc<str>, Arc<str>)],
        fence: i64,
    ) -> Result<HashMap<String, RuleState>, StateError>;

    /// Log entries, newest first.
    async fn executions(&self, query: &ExecutionQuery) -> Result<Vec<ExecutionRecord>, StateError>;
}

/// What became of an alert that was to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is there now, and was not before.
    New,
    /// It is there now, without the source fields that could not be indexed; why.
    Reduced(String),
    /// It was there already; nothing was written.
    Duplicate,
    /// It could not be written; why.
    Failed(String),
}

/// Where alerts are written, found and triaged.
#[async_trait]
pub trait AlertSink: Send + Sync {
    /// Which of `ids` are alerts already.
    async fn existing(&self, ids: Vec<Arc<str>>) -> Result<HashSet<Arc<str>>, StateError>;

    /// Creates alerts; what became of each, in the same order.
    ///
    /// # Errors
    /// When nothing is known of what became of them.
    async fn create(&self, alerts: Vec<AlertRow>) -> Result<Vec<Created>, StateError>;

    /// Sets fields of alerts; one that is gone stays gone.
    ///
    /// # Errors
    /// When some may not have been set; setting them again is harmless.
    async fn update(&self, updates: Vec<AlertUpdate>) -> Result<(), StateError>;

    /// Alerts that a query asks for.
    async fn find(&self, query: &AlertQuery) -> Result<Vec<StoredAlert>, StateError>;

    /// How many alerts a query asks for, whatever its size.
    async fn count(&self, query: &AlertQuery) -> Result<usize, StateError>;

    /// The alert whose id starts with `prefix`.
    async fn lookup(&self, prefix: &str) -> Result<Lookup, StateError>;

    /// Sets the workflow status of alerts (full ids); returns how many there were.
    async fn set_workflow_status(
        &self,
        ids: Vec<Arc<str>>,
        status: WorkflowStatus,
        now: DateTime<Utc>,
    ) -> Result<usize, StateError>;

    /// Adds and removes workflow tags of alerts (full ids); returns how many alerts there were.
    async fn tag(
        &self,
        ids: Vec<Arc<str>>,
        add: Vec<String>,
        remove: Vec<String>,
    ) -> Result<usize, StateError>;
}
