//! A runner among others on one cluster: signs of life, taking and giving up rules.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::lease::{Move, PARTITIONS, Roster, partition_of};
use crate::engine::Engine;
use crate::store::state::{Lease, LeaseStore, StateError, Version};

/// A runner's part in the sharing.
pub struct Share {
    store: Arc<dyn LeaseStore>,
    roster: Roster,
    lease: Duration,
    began: Instant,
    /// Rules (object ids) whose state was claimed, with the token.
    claimed: HashMap<Arc<str>, i64>,
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Share").field("roster", &self.roster).finish_non_exhaustive()
    }
}

/// A rule as sharing sees it: object id and signature id.
pub type RuleKey = (Arc<str>, Arc<str>);

impl Share {
    /// A runner with a new id that meets others in `store`.
    pub fn new(store: Arc<dyn LeaseStore>, id: Arc<str>, lease: Duration) -> Self {
        let ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        Self { store, roster: Roster::new(id, ms), lease, began: Instant::now(), claimed: HashMap::new() }
    }

    /// How often [`Share::tick`] is to be called.
    pub fn every(&self) -> Duration {
        self.lease / 3
    }

    fn now(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Shows that the runner lives, and takes and gives up what is to be. `rules` are all rules
    /// that may run; `busy` says whether a rule of a partition runs here.
    ///
    /// # Errors
    /// When the store cannot be read or written: what is held stays held until the lease ends.
    pub async fn tick(
        &mut self,
        engine: &Engine,
        rules: &[RuleKey],
        busy: &(dyn Fn(u32) -> bool + Send + Sync),
    ) -> Result<(), StateError> {
        let began = self.now();
        let member = self.roster.beat();
        self.store.beat(member).await?;
        self.roster.confirm(began);
        let members = self.store.members().await?;
        self.roster.observe(&members, self.now());
        let leases = self.store.leases(PARTITIONS).await?;
        let written: Vec<Lease> = leases.iter().map(|(lease, _)| lease.clone()).collect();
        self.roster.yields(&written, self.now());
        let version_of = |lease: &Lease| -> Option<Version> {
            leases.iter().find(|(old, _)| old.partition == lease.partition).map(|(_, version)| *version)
        };
        let (mut writes, mut ours) = (Vec::new(), Vec::new());
        for change in self.roster.moves(&written, self.now(), busy) {
            match change {
                Move::Take(lease) | Move::Release(lease) => {
                    let read = version_of(&lease);
                    writes.push((lease, read));
                }
                Move::Adopt(lease) => ours.push(lease),
            }
        }
        if !writes.is_empty() {
            // Who loses the race reads on the next tick who won it.
            let won = self.store.swap(writes.clone()).await?;
            let taken =
                writes.into_iter().zip(won).filter(|((lease, _), won)| *won && lease.holder.is_some());
            ours.extend(taken.map(|((lease, _), _)| lease));
        }
        let partitions: HashMap<u32, i64> = ours.iter().map(|lease| (lease.partition, lease.token)).collect();
        let mut by_token: BTreeMap<i64, Vec<RuleKey>> = BTreeMap::new();
        for rule in rules {
            if let Some(token) = partitions.get(&partition_of(&rule.0)) {
                by_token.entry(*token).or_default().push(rule.clone());
            }
        }
        for (token, rules) in by_token {
            self.claim(engine, rules, token).await?;
        }
        for lease in &ours {
            self.roster.holds(lease);
        }
        for id in self.roster.dead(self.now()) {
            self.store.remove(id).await?;
        }
        Ok(())
    }

    /// Claims rules that came up in partitions that are held.
    ///
    /// # Errors
    /// When their state cannot be claimed: they do not run yet.
    pub async fn admit(&mut self, engine: &Engine, rules: &[RuleKey]) -> Result<(), StateError> {
        let now = self.now();
        let mut by_token: BTreeMap<i64, Vec<RuleKey>> = BTreeMap::new();
        for (uuid, rule_id) in rules {
            if let Some(token) = self.roster.token(partition_of(uuid), now)
                && self.claimed.get(uuid) != Some(&token)
            {
                by_token.entry(token).or_default().push((Arc::clone(uuid), Arc::clone(rule_id)));
            }
        }
        for (token, rules) in by_token {
            self.claim(engine, rules, token).await?;
        }
        Ok(())
    }

    /// From here on, what another writes about these rules under an older token is refused; what
    /// was written until now is known here.
    async fn claim(&mut self, engine: &Engine, rules: Vec<RuleKey>, token: i64) -> Result<(), StateError> {
        if rules.is_empty() {
            return Ok(());
        }
        let claimed: Vec<Arc<str>> = rules.iter().map(|(uuid, _)| Arc::clone(uuid)).collect();
        engine.claim(rules, token).await?;
        self.claimed.extend(claimed.into_iter().map(|uuid| (uuid, token)));
        Ok(())
    }

    /// Whether a rule runs here.
    pub fn runs(&self, uuid: &str) -> bool {
        let token = self.roster.token(partition_of(uuid), self.now());
        token.is_some() && self.claimed.get(uuid).copied() == token
    }

    /// Gives everything up, at the end, so that others need not wait for the lease to end.
    ///
    /// # Errors
    /// When the store cannot be written; then others wait.
    pub async fn leave(&mut self) -> Result<(), StateError> {
        let leases = self.store.leases(PARTITIONS).await?;
        let ours = leases.into_iter().filter(|(lease, _)| lease.holder.as_ref() == Some(self.roster.id()));
        let given: Vec<_> =
            ours.map(|(lease, version)| (Lease { holder: None, ..lease }, Some(version))).collect();
        if !given.is_empty() {
            self.store.swap(given).await?;
        }
        self.store.remove(Arc::clone(self.roster.id())).await
    }
}
