//! Noticing that the clock was set.

use chrono::{DateTime, Duration, Utc};
use tokio::time::Instant;

/// A clock that goes back by less has merely been adjusted.
const BACK: Duration = Duration::seconds(1);
/// A clock that goes ahead by less may merely have been looked at late.
const AHEAD: Duration = Duration::seconds(60);

/// Compares the clock with the time that has passed.
#[derive(Debug)]
pub(super) struct ClockWatch {
    shown: DateTime<Utc>,
    at: Instant,
}

/// What was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClockJump {
    /// Nothing.
    None,
    /// It was set ahead (or the machine slept) after it showed this.
    Ahead(DateTime<Utc>),
    /// It was set back.
    Back,
}

impl ClockWatch {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { shown: now, at: Instant::now() }
    }

    /// Looks at the clock, which shows `now`.
    pub(super) fn look(&mut self, now: DateTime<Utc>) -> ClockJump {
        let shown = std::mem::replace(&mut self.shown, now);
        let passed = Duration::from_std(self.at.elapsed()).unwrap_or(Duration::MAX);
        self.at = Instant::now();
        if now < shown - BACK {
            ClockJump::Back
        } else if now - shown > passed + AHEAD {
            ClockJump::Ahead(shown)
        } else {
            ClockJump::None
        }
    }
}
