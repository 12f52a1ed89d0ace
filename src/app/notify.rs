//! Notifications of an installation: its routes put before the outbox, its connectors to work.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::App;
use crate::notify::{Problem, Setup, Worker};
use crate::store::state::{
    AlertRow, BacklogEntry, ExecutionCommit, ExecutionQuery, ExecutionRecord, Routing, RuleState, StateDb,
    StateError, StateStore,
};

impl App {
    /// What the configuration says about notifications.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn notifications(&self) -> Result<Setup, Vec<Problem>> {
        Setup::new(&self.config, Arc::clone(&self.clock))
    }

    /// Has `setup` decide what is told of alerts from now on; the worker that tells it.
    ///
    /// # Errors
    /// When the state database cannot be opened.
    pub fn notify(&self, setup: Setup) -> Result<Worker, StateError> {
        let state = self.state()?;
        let router: Arc<dyn Routing> = Arc::clone(&setup.router) as Arc<dyn Routing>;
        state.set_routing(Some(router));
        Ok(Worker { setup, state, clock: Arc::clone(&self.clock) })
    }

    /// `kept`, with new alerts told from the outbox of this machine; `kept` itself where no connector
    /// is configured.
    ///
    /// # Errors
    /// When the outbox cannot be opened.
    pub(super) fn announcing(&self, kept: Arc<dyn StateStore>) -> Result<Arc<dyn StateStore>, StateError> {
        if self.config.connector.is_empty() {
            return Ok(kept);
        }
        Ok(Arc::new(Announcing { kept, outbox: self.state()? }))
    }
}

/// State on a cluster, of whose new alerts this machine's outbox tells.
///
/// One transaction cannot span both: a process that dies between the two has told nothing of its last
/// alerts. Deciding again what was decided before changes nothing, because the keys are the same.
struct Announcing {
    kept: Arc<dyn StateStore>,
    outbox: Arc<StateDb>,
}

#[async_trait]
impl StateStore for Announcing {
    async fn rule_states(&self) -> Result<HashMap<String, RuleState>, StateError> {
        self.kept.rule_states().await
    }

    async fn backlog_rules(&self) -> Result<HashSet<String>, StateError> {
        self.kept.backlog_rules().await
    }

    async fn backlog(&self, rule: &str) -> Result<Vec<BacklogEntry>, StateError> {
        self.kept.backlog(rule).await
    }

    async fn memory(&self, rule: &str) -> Result<HashMap<String, String>, StateError> {
        self.kept.memory(rule).await
    }

    async fn commit(&self, executions: Vec<ExecutionCommit>) -> Result<Vec<ExecutionRecord>, StateError> {
        let alerts: Vec<AlertRow> =
            executions.iter().flat_map(|execution| execution.alerts.clone()).collect();
        let records = self.kept.commit(executions).await?;
        let outbox = Arc::clone(&self.outbox);
        let told = tokio::task::spawn_blocking(move || outbox.announce(&alerts)).await;
        let told = told.unwrap_or_else(|error| Err(StateError::Undone(error.to_string())));
        if let Err(error) = told {
            tracing::error!(%error, "alerts were written to the cluster, but nobody is told");
        }
        Ok(records)
    }

    async fn claim(
        &self,
        rules: &[(Arc<str>, Arc<str>)],
        fence: i64,
    ) -> Result<HashMap<String, RuleState>, StateError> {
        self.kept.claim(rules, fence).await
    }

    async fn executions(&self, query: &ExecutionQuery) -> Result<Vec<ExecutionRecord>, StateError> {
        self.kept.executions(query).await
    }
}
