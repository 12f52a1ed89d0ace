//! Forgetting what is too old.

use chrono::{DateTime, Utc};

use super::{StateDb, StateError};

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Alerts.
    pub alerts: usize,
    /// Log entries of executions.
    pub executions: usize,
}

impl StateDb {
    /// Removes alerts, and executions that were run and written before the given times; `None` keeps
    /// all of that kind.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing was removed.
    pub fn retain(
        &self,
        alerts_from: Option<DateTime<Utc>>,
        executions_from: Option<DateTime<Utc>>,
    ) -> Result<Removed, StateError> {
        self.write(move |c| {
            let mut removed = Removed::default();
            if let Some(from) = alerts_from {
                removed.alerts =
                    c.execute("DELETE FROM alerts WHERE timestamp < ?1", [from.timestamp_millis()])?;
            }
            if let Some(from) = executions_from {
                removed.executions = c.execute(
                    "DELETE FROM executions WHERE started < ?1 AND coalesce(written, started) < ?1",
                    [from.timestamp_millis()],
                )?;
            }
            Ok(removed)
        })
    }
}
