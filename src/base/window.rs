//! Intervals of time that an execution searches.

use chrono::{DateTime, Duration, SecondsFormat, Utc};

/// The window an execution searches; both ends belong to it, as in Kibana (`gte`, `lte`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Window {
    /// First instant searched.
    pub from: DateTime<Utc>,
    /// Last instant searched.
    pub to: DateTime<Utc>,
}

impl Window {
    /// The window between two instants.
    pub fn new(from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        Self { from, to }
    }

    /// Whether `at` lies in the window, ends included.
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && at <= self.to
    }

    /// How long it is; negative when `to` is before `from`.
    pub fn length(&self) -> Duration {
        self.to - self.from
    }
}

/// ISO 8601 with milliseconds and `Z`, the form Kibana writes.
pub fn iso_millis(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
