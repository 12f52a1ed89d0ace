//! Takes what waits in the state database to the alert index of a cluster, and what people did
//! about alerts there back.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::ClusterAlerts;
use crate::store::state::{AlertSink, AlertUpdate, Created, Forward, Pending, StateDb, StateError};

/// Deliveries of one round.
const ROUND: usize = 500;
/// Wait before something that failed is tried again, ms; doubled each time.
const WAIT_MS: i64 = 5_000;
/// Longest wait, ms.
const LONGEST_MS: i64 = 15 * 60_000;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forwarded {
    /// Alerts and changes that the cluster has now.
    pub delivered: usize,
    /// Those that it refused; they are tried again later.
    pub refused: usize,
    /// Alerts here that people changed there.
    pub taken_over: usize,
}

/// The way between the state database and a cluster.
#[derive(Debug, Clone)]
pub struct Forwarder {
    db: Arc<StateDb>,
    target: String,
    alerts: Arc<ClusterAlerts>,
}

type Failed = Vec<(i64, i64, String)>;

impl Forwarder {
    /// Between `db` and the alert index `alerts` of the cluster that is called `target`.
    pub fn new(db: Arc<StateDb>, target: impl Into<String>, alerts: Arc<ClusterAlerts>) -> Self {
        Self { db, target: target.into(), alerts }
    }

    /// The cluster's name.
    pub fn target(&self) -> &str {
        &self.target
    }

    async fn db<T: Send + 'static>(
        &self,
        work: impl FnOnce(&StateDb) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let db = Arc::clone(&self.db);
        tokio::task::spawn_blocking(move || work(&db))
            .await
            .unwrap_or_else(|error| Err(StateError::Undone(error.to_string())))
    }

    /// Delivers everything that waits and whose time has come, then takes over what changed on the
    /// cluster.
    ///
    /// # Errors
    /// When the cluster cannot be reached or the database not be used: what was not delivered goes
    /// on waiting.
    pub async fn run(&self, now: DateTime<Utc>) -> Result<Forwarded, StateError> {
        let mut done = Forwarded::default();
        loop {
            let (target, at) = (self.target.clone(), now.timestamp_millis());
            let pending = self.db(move |db| db.pending(&target, at, ROUND)).await?;
            if pending.is_empty() {
                break;
            }
            let (delivered, failed) = self.deliver(pending, now).await?;
            done.delivered += delivered.len();
            done.refused += failed.len();
            self.db(move |db| db.delivered(delivered, failed)).await?;
        }
        done.taken_over = self.take_over().await?;
        Ok(done)
    }

    /// Delivers in order, creations that follow each other together.
    async fn deliver(
        &self,
        pending: Vec<Pending>,
        now: DateTime<Utc>,
    ) -> Result<(Vec<i64>, Failed), StateError> {
        let (mut delivered, mut failed) = (Vec::new(), Vec::new());
        let mut creations: Vec<Pending> = Vec::new();
        for one in pending {
            if one.what == Forward::Create {
                creations.push(one);
                continue;
            }
            self.create(std::mem::take(&mut creations), now, &mut delivered, &mut failed).await?;
            // What failed to be created cannot be changed; the database holds back its changes too.
            if failed.iter().any(|(number, ..)| *number < one.number) && self.missing(&one.id).await? {
                failed.push((one.number, wait(one.attempts, now), "the alert is not there yet".to_owned()));
                continue;
            }
            let ids = vec![Arc::clone(&one.id)];
            match one.what {
                Forward::Create => {}
                Forward::Update { fields } => {
                    self.alerts.update(vec![AlertUpdate { id: Arc::clone(&one.id), fields }]).await?;
                }
                Forward::Status { status, at } => {
                    let at = DateTime::parse_from_rfc3339(&at).map_or(now, |at| at.to_utc());
                    self.alerts.set_workflow_status(ids, status, at).await?;
                }
                Forward::Tags { add, remove } => {
                    self.alerts.tag(ids, add, remove).await?;
                }
            }
            delivered.push(one.number);
        }
        self.create(creations, now, &mut delivered, &mut failed).await?;
        Ok((delivered, failed))
    }

    async fn missing(&self, id: &Arc<str>) -> Result<bool, StateError> {
        Ok(self.alerts.existing(vec![Arc::clone(id)]).await?.is_empty())
    }

    async fn create(
        &self,
        creations: Vec<Pending>,
        now: DateTime<Utc>,
        delivered: &mut Vec<i64>,
        failed: &mut Failed,
    ) -> Result<(), StateError> {
        if creations.is_empty() {
            return Ok(());
        }
        // An alert that was delivered before the index was rolled over lies where a creation does
        // not see it.
        let there = self.alerts.existing(creations.iter().map(|one| Arc::clone(&one.id)).collect()).await?;
        let mut rows = Vec::new();
        let mut asked = Vec::new();
        for Pending { number, attempts, alert, id, .. } in creations {
            match alert {
                Some(alert) if !there.contains(&id) => {
                    rows.push(alert);
                    asked.push((number, attempts));
                }
                _ => delivered.push(number),
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        for ((number, attempts), created) in asked.into_iter().zip(self.alerts.create(rows).await?) {
            match created {
                Created::New | Created::Duplicate => delivered.push(number),
                Created::Reduced(why) => {
                    tracing::warn!(target = self.target, "{why}");
                    delivered.push(number);
                }
                Created::Failed(why) => {
                    tracing::error!(target = self.target, "an alert could not be forwarded: {why}");
                    failed.push((number, wait(attempts, now), why));
                }
            }
        }
        Ok(())
    }

    /// Where in the cluster's changes the last look ended.
    fn cursor(&self) -> String {
        format!("forward:{}:seen", self.target)
    }

    async fn take_over(&self) -> Result<usize, StateError> {
        let key = self.cursor();
        let seen = self.db(move |db| db.value(&key)).await?;
        let changed = self.alerts.changed_since(seen.as_deref()).await?;
        let Some(last) = changed.last().map(|(at, _)| at.clone()) else { return Ok(0) };
        let key = self.cursor();
        let alerts = changed.into_iter().map(|(_, alert)| alert).collect();
        self.db(move |db| {
            let count = db.take_over(alerts)?;
            db.set_value(&key, Some(&last))?;
            Ok(count)
        })
        .await
    }
}

/// When something that has failed `attempts` times before is tried again, ms since the epoch.
fn wait(attempts: u32, now: DateTime<Utc>) -> i64 {
    let wait = WAIT_MS.saturating_mul(1_i64.checked_shl(attempts.min(16)).unwrap_or(i64::MAX));
    now.timestamp_millis().saturating_add(wait.min(LONGEST_MS))
}
