//! The outbox: what is to be told to whom, written with what it tells about.
//!
//! A row leaves `waiting` only when its target acknowledged it, or when it was given up (a dead
//! letter, which stays until somebody sends it again or deletes it). Within one conversation
//! ([`NewNotification::thread`]) of one connector, rows are delivered in the order they were written.

mod digest;
mod queue;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::{AlertRow, Silence, StateDb, StateError};

pub use queue::{Delivery, DeliveryCount, DeliveryQuery, Settled, Undelivered, Verdict};

pub(super) const SCHEMA: &str = "
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    connector TEXT NOT NULL,
    route TEXT NOT NULL,
    kind TEXT NOT NULL,
    thread TEXT NOT NULL,
    alert TEXT NOT NULL,
    batch TEXT NOT NULL,
    state TEXT NOT NULL,
    created INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    finished INTEGER,
    note TEXT,
    receipt TEXT,
    document TEXT
) STRICT;
CREATE INDEX outbox_queue ON outbox (connector, number) WHERE state = 'waiting';
CREATE INDEX outbox_threads ON outbox (connector, thread, number);
CREATE INDEX outbox_held ON outbox (due, connector, batch) WHERE state = 'held';
CREATE INDEX outbox_by_alert ON outbox (alert);
CREATE INDEX outbox_by_batch ON outbox (connector, batch, created);
CREATE INDEX outbox_by_state ON outbox (state, number);
CREATE TABLE silences (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    reason TEXT NOT NULL,
    matcher TEXT NOT NULL,
    starts INTEGER NOT NULL,
    ends INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant),* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text).ok_or_else(|| {
                    let known: Vec<&str> = Self::ALL.iter().map(|one| one.as_str()).collect();
                    format!("`{text}` is none of `{}`", known.join("`, `"))
                })
            }
        }
    };
}

words!(
    /// What a notification tells.
    Kind {
        /// A new alert.
        Alert = "alert",
        /// Several alerts in one.
        Digest = "digest",
        /// Someone looks at an alert.
        Acknowledged = "acknowledged",
        /// An alert is done with.
        Closed = "closed",
        /// A closed or acknowledged alert is open again.
        Reopened = "reopened",
        /// An episode is over: what alerted is well again.
        Recovered = "recovered",
        /// An episode lost its data.
        InsufficientData = "insufficient_data",
        /// A test that somebody asked for.
        Test = "test",
    }
);

words!(
    /// Where a notification is on its way.
    DeliveryState {
        /// It is sent as soon as it is due.
        Waiting = "waiting",
        /// It waits to become part of a digest.
        Held = "held",
        /// A digest tells it.
        Folded = "folded",
        /// Its target acknowledged it.
        Delivered = "delivered",
        /// It was given up.
        Dead = "dead",
        /// A silence or maintenance window covers it.
        Silenced = "silenced",
    }
);

/// A notification on its way into the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct NewNotification {
    /// Idempotency key: the same for the same news to the same target, whoever computes it.
    pub key: String,
    /// Name of the connector.
    pub connector: String,
    /// Name of the route that chose it.
    pub route: String,
    /// What it tells.
    pub kind: Kind,
    /// The conversation it belongs to: an alert's or an episode's id.
    pub thread: String,
    /// Id of the alert.
    pub alert: Arc<str>,
    /// Route and group: what is counted and folded together.
    pub batch: String,
    /// When it was decided, ms since the epoch.
    pub created: i64,
    /// When it may leave at the earliest, ms since the epoch.
    pub due: i64,
    /// Becomes part of a digest.
    pub hold: Option<Hold>,
    /// Becomes part of a digest when too many of its batch came before.
    pub burst: Option<Burst>,
    /// Why it is not sent; it is kept as evidence.
    pub silenced: Option<String>,
    /// What is told, JSON: `{"alerts": […], "count": n, …}`.
    pub document: String,
}

/// Waiting for a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// When the digest leaves, ms since the epoch.
    pub until: i64,
}

/// A throttle: so many of a batch within a length of time leave alone, the others as a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// How many leave alone.
    pub most: u32,
    /// The length of time, ms.
    pub within: i64,
}

/// A connector that was told of an alert before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Earlier {
    /// The connector.
    pub connector: String,
    /// The route that chose it.
    pub route: String,
    /// The conversation.
    pub thread: String,
    /// Route and group.
    pub batch: String,
}

/// Decides what is told of alerts. Pure: from the alert, the silences and its configuration.
pub trait Routing: Send + Sync + fmt::Debug {
    /// The notifications of a new alert.
    fn of_alert(&self, alert: &AlertRow, silences: &[Silence]) -> Vec<NewNotification>;

    /// The notification to a connector that was told before, now that something happened to the
    /// alert `id`; `document` is what is told. `None`: it does not want to know.
    fn of_change(
        &self,
        id: &Arc<str>,
        kind: Kind,
        at: DateTime<Utc>,
        document: &str,
        earlier: &Earlier,
    ) -> Option<NewNotification>;

    /// Called when notifications are in the outbox, on disk.
    fn queued(&self);
}

/// Notifications by alert.
pub(super) type Planned = HashMap<Arc<str>, Vec<NewNotification>>;

/// Adds a notification; `false` when its key is there already.
pub(super) fn insert(c: &Connection, new: &NewNotification) -> Result<bool, StateError> {
    let mut due = new.due;
    let mut state = match (&new.silenced, new.hold) {
        (Some(_), _) => DeliveryState::Silenced,
        (None, Some(hold)) => {
            due = hold.until;
            DeliveryState::Held
        }
        (None, None) => DeliveryState::Waiting,
    };
    if let (DeliveryState::Waiting, Some(burst)) = (state, new.burst) {
        let since = new.created.saturating_sub(burst.within);
        let (alone, first): (i64, Option<i64>) = c
            .prepare_cached(
                "SELECT count(*), min(created) FROM outbox
                 WHERE connector = ?1 AND batch = ?2 AND created > ?3 AND kind <> 'digest'
                   AND state IN ('waiting', 'delivered', 'dead')",
            )?
            .query_row(params![new.connector, new.batch, since], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if alone >= i64::from(burst.most) {
            state = DeliveryState::Held;
            // When the first of the burst is old enough, there is room again.
            due = first.unwrap_or(new.created).saturating_add(burst.within).max(new.due);
        }
    }
    let finished = (state == DeliveryState::Silenced).then_some(new.created);
    let document = (state != DeliveryState::Silenced).then_some(new.document.as_str());
    let added = c
        .prepare_cached(
            "INSERT INTO outbox
                 (key, connector, route, kind, thread, alert, batch, state, created, due, finished, note, document)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT (key) DO NOTHING",
        )?
        .execute(params![
            new.key,
            new.connector,
            new.route,
            new.kind.as_str(),
            new.thread,
            &*new.alert,
            new.batch,
            state.as_str(),
            new.created,
            due,
            finished,
            new.silenced,
            document
        ])?;
    Ok(added == 1)
}

/// Adds notifications; returns how many are new.
pub(super) fn insert_all(c: &Connection, new: Option<Vec<NewNotification>>) -> Result<usize, StateError> {
    let mut added = 0;
    for notification in new.unwrap_or_default() {
        added += usize::from(insert(c, &notification)?);
    }
    Ok(added)
}

/// Who was told of an alert, or is about to be.
pub(super) fn earlier(c: &Connection, alert: &str) -> Result<Vec<Earlier>, StateError> {
    let mut statement = c.prepare_cached(
        "SELECT connector, route, thread, batch FROM outbox
         WHERE alert = ?1 AND kind = 'alert' AND state <> 'silenced' ORDER BY number",
    )?;
    let rows = statement.query_map([alert], |row| {
        Ok(Earlier { connector: row.get(0)?, route: row.get(1)?, thread: row.get(2)?, batch: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl StateDb {
    /// Has `routing` decide what is told of alerts from now on; `None`: nothing is.
    pub fn set_routing(&self, routing: Option<Arc<dyn Routing>>) {
        *self.routing.write().unwrap_or_else(PoisonError::into_inner) = routing;
    }

    /// Who decides what is told of alerts.
    pub(super) fn routing(&self) -> Option<Arc<dyn Routing>> {
        self.routing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is to be told of `alerts`.
    pub(super) fn planned<'a>(
        &self,
        alerts: impl Iterator<Item = &'a AlertRow>,
    ) -> Result<Planned, StateError> {
        let mut planned = Planned::new();
        let Some(routing) = self.routing() else { return Ok(planned) };
        let mut silences = None;
        for alert in alerts {
            let silences = match &mut silences {
                Some(silences) => silences,
                none => none.insert(self.silences(None)?),
            };
            let notifications = routing.of_alert(alert, silences);
            if !notifications.is_empty() {
                planned.insert(Arc::clone(&alert.id), notifications);
            }
        }
        Ok(planned)
    }

    /// Says that notifications are on disk.
    pub(super) fn queued(&self) {
        if let Some(routing) = self.routing() {
            routing.queued();
        }
    }

    /// Puts what is to be told of `alerts`, which are kept elsewhere, into the outbox; returns how
    /// many notifications are new.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing was kept.
    pub fn announce(&self, alerts: &[AlertRow]) -> Result<usize, StateError> {
        let planned = self.planned(alerts.iter())?;
        let ordered: Vec<NewNotification> =
            alerts.iter().filter_map(|alert| planned.get(&alert.id)).flatten().cloned().collect();
        self.enqueue(ordered)
    }

    /// Puts notifications into the outbox; returns how many are new.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing was kept.
    pub fn enqueue(&self, notifications: Vec<NewNotification>) -> Result<usize, StateError> {
        if notifications.is_empty() {
            return Ok(0);
        }
        let added = self.write(move |c| insert_all(c, Some(notifications)))?;
        if added > 0 {
            self.queued();
        }
        Ok(added)
    }
}

#[cfg(test)]
mod tests;
