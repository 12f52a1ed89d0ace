//! What an execution is for, beyond its slot.

use chrono::{DateTime, Utc};

use super::settings::Trigger;
use crate::base::intervals::Interval;
use crate::base::window::Window;

/// What an execution is for: the scheduler's orders where they differ from "the rule's own window
/// at the slot".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// Why it runs.
    pub trigger: Trigger,
    /// Searched instead of the rule's own window at the slot.
    pub window: Option<Window>,
    /// What of the rule's time is proven when it does not fail, on the clock of the rule's
    /// windows; with [`Errand::arrivals`] on the clock of arrival.
    pub proves: Interval,
    /// The window is read on when events arrived, whatever their own time.
    pub arrivals: bool,
    /// With [`Errand::arrivals`]: events older than this are history, not late.
    pub oldest: Option<DateTime<Utc>>,
    /// Afterwards, look which windows late events have changed.
    pub survey: Option<Survey>,
}

/// A look for events that arrived after windows that should have held them were evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    /// When they arrived.
    pub arrived: Window,
    /// Their own time.
    pub events: Interval,
    /// How far after an event's time a window may end and still hold it, ms.
    pub reach: i64,
}

impl Errand {
    /// An execution over `window` that proves `proves`.
    pub fn over(trigger: Trigger, window: Window, proves: Interval) -> Self {
        Self { trigger, window: Some(window), proves, arrivals: false, oldest: None, survey: None }
    }

    /// A look at the events that arrived in `window`, whatever their own time from `oldest` on.
    pub fn arrived(window: Window, oldest: DateTime<Utc>) -> Self {
        Self {
            trigger: Trigger::Late,
            window: Some(window),
            proves: window.into(),
            arrivals: true,
            oldest: Some(oldest),
            survey: None,
        }
    }
}
