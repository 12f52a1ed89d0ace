//! Layer 4: what tocsin keeps on a cluster.
//!
//! What it is: the alert index with its mapping, templates and lifecycle, the sink that writes
//! alerts there, and the indices of rule state and of the execution log.
//! What it is not: where events are searched ([`crate::backend`]), or how requests are sent
//! ([`crate::elastic`]).
//! Invariant: an alert is created under its own id, so that writing it again adds nothing; what
//! could not be written is named with its reason.

pub mod bulk;
pub mod executions;
pub mod fields;
pub mod forward;
mod gather;
mod leases;
pub mod names;
pub mod reduce;
pub mod setup;
pub mod sink;
pub mod state;
pub mod templates;

pub use forward::{Forwarded, Forwarder};
pub use names::{AlertIndex, Mode, Names};
pub use setup::{Setup, Step, StepOutcome};
pub use sink::ClusterAlerts;
pub use state::ClusterState;

use crate::elastic::ElasticError;
use crate::store::state::StateError;

impl From<ElasticError> for StateError {
    fn from(error: ElasticError) -> Self {
        Self::Remote(error.to_string())
    }
}
