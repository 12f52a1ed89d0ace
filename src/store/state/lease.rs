//! Where runners that share rules meet.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StateError;

/// A runner that shows that it lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id, new with each start.
    pub id: Arc<str>,
    /// Raised with each sign of life.
    pub beat: u64,
}

/// Who holds a partition of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The partition.
    pub partition: u32,
    /// The runner's id; `None`: nobody.
    pub holder: Option<Arc<str>>,
    /// Raised each time a runner takes it.
    pub token: i64,
}

/// What a written lease is recognised by when it is written again.
pub type Version = (i64, i64);

/// Where runners meet: an index of the cluster.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// All signs of life.
    async fn members(&self) -> Result<Vec<Member>, StateError>;

    /// Writes this runner's sign of life.
    async fn beat(&self, member: Member) -> Result<(), StateError>;

    /// Removes a runner's sign of life: it has left, or is long dead.
    async fn remove(&self, id: Arc<str>) -> Result<(), StateError>;

    /// Who holds what of partitions 0 to `partitions`, each with the version it was read in.
    async fn leases(&self, partitions: u32) -> Result<Vec<(Lease, Version)>, StateError>;

    /// Writes leases, each if it is still as it was read (`None`: not there); whether it was, in
    /// the same order.
    async fn swap(&self, leases: Vec<(Lease, Option<Version>)>) -> Result<Vec<bool>, StateError>;
}
