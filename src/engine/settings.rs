//! What an installation chooses about executions.

use std::sync::Arc;
use std::time::Duration;

use super::cap::CapBehaviour;
use crate::base::limits::MAX_SIGNALS_CLUSTER;
use crate::rule::model::Rule;

/// Index patterns of a rule that names none: Kibana's default list.
pub const DEFAULT_INDEX: [&str; 9] = [
    "apm-*-transaction*",
    "auditbeat-*",
    "endgame-*",
    "filebeat-*",
    "logs-*",
    "packetbeat-*",
    "traces-apm*",
    "winlogbeat-*",
    "-*elastic-cloud-logs-*",
];

/// Kibana version whose alert schema is followed; alerts carry it as `kibana.version`.
const SCHEMA_VERSION: &str = "9.2.0";

/// Why an execution runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Its slot came.
    Scheduled,
    /// Someone asked for it.
    Manual,
    /// A slot or a window that was missed.
    CatchUp,
    /// Events arrived late.
    Late,
    /// Someone asked for a stretch of the past.
    Backfill,
}

impl Trigger {
    /// Whether a person asked for it, rather than the schedule.
    pub fn is_manual(self) -> bool {
        matches!(self, Self::Manual | Self::Backfill)
    }

    /// Its name in the execution log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Manual => "manual",
            Self::CatchUp => "catch-up",
            Self::Late => "late",
            Self::Backfill => "backfill",
        }
    }
}

/// Settings of executions.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Kibana space.
    pub space: Arc<str>,
    /// Kibana version that alerts carry.
    pub version: String,
    /// No execution writes more alerts than this, whatever its rule says.
    pub max_signals: u32,
    /// What becomes of candidates over the cap.
    pub capped: CapBehaviour,
    /// Windows are read on the events' own time where they arrived after the window: `--clock
    /// event`.
    pub event_clock: bool,
    /// Index patterns of rules that name none.
    pub default_index: Vec<String>,
    /// Why executions run.
    pub trigger: Trigger,
    /// An execution that takes longer has failed.
    pub timeout: Duration,
    /// Rules that may take longer, or must not take so long.
    pub timeouts: Timeouts,
}

impl Settings {
    /// How long an execution of `rule` may take.
    pub fn timeout_of(&self, rule: &Rule) -> Duration {
        self.timeouts.0.as_ref().and_then(|of| of(rule)).unwrap_or(self.timeout)
    }
}

/// Which rules have a time-out of their own.
#[derive(Clone, Default)]
pub struct Timeouts(pub Option<Arc<TimeoutOf>>);

/// The time-out of a rule, where it has one of its own.
pub type TimeoutOf = dyn Fn(&Rule) -> Option<Duration> + Send + Sync;

impl std::fmt::Debug for Timeouts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Timeouts").field(&self.0.is_some()).finish()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            space: Arc::from("default"),
            version: SCHEMA_VERSION.to_owned(),
            max_signals: MAX_SIGNALS_CLUSTER,
            capped: CapBehaviour::Keep,
            event_clock: false,
            default_index: DEFAULT_INDEX.iter().map(ToString::to_string).collect(),
            trigger: Trigger::Scheduled,
            timeout: Duration::from_mins(5),
            timeouts: Timeouts::default(),
        }
    }
}
