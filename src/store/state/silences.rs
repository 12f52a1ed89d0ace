//! Silences: who wants which alerts not to be told, until when, and why.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};

use super::{StateDb, StateError};

/// Alerts that are not told for a while. They are written all the same.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Silence {
    /// Its id.
    pub id: String,
    /// Who wants it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Which alerts, JSON: the conditions of a route.
    pub matcher: String,
    /// From when on.
    pub starts: DateTime<Utc>,
    /// Until when.
    pub ends: DateTime<Utc>,
}

impl Silence {
    /// Whether it is in force at `at`.
    pub fn covers(&self, at: DateTime<Utc>) -> bool {
        self.starts <= at && at < self.ends
    }
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<Silence> {
    let time = |ms: i64| DateTime::from_timestamp_millis(ms).unwrap_or_default();
    Ok(Silence {
        id: row.get(0)?,
        owner: row.get(1)?,
        reason: row.get(2)?,
        matcher: row.get(3)?,
        starts: time(row.get(4)?),
        ends: time(row.get(5)?),
    })
}

impl StateDb {
    /// Adds a silence, or replaces the one with its id.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn put_silence(&self, silence: Silence) -> Result<(), StateError> {
        self.write(move |c| {
            c.prepare_cached(
                "INSERT OR REPLACE INTO silences (id, owner, reason, matcher, starts, ends)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                silence.id,
                silence.owner,
                silence.reason,
                silence.matcher,
                silence.starts.timestamp_millis(),
                silence.ends.timestamp_millis()
            ])?;
            Ok(())
        })
    }

    /// Ends a silence at `at`; `false` when there is none with this id.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn end_silence(&self, id: &str, at: DateTime<Utc>) -> Result<bool, StateError> {
        let id = id.to_owned();
        self.write(move |c| {
            let changed = c
                .prepare_cached("UPDATE silences SET ends = min(ends, ?2) WHERE id = ?1")?
                .execute(params![id, at.timestamp_millis()])?;
            Ok(changed > 0)
        })
    }

    /// Silences that end after `since` (`None`: all), the last to end first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn silences(&self, since: Option<DateTime<Utc>>) -> Result<Vec<Silence>, StateError> {
        self.read(|c| all(c, since))
    }
}

fn all(c: &Connection, since: Option<DateTime<Utc>>) -> Result<Vec<Silence>, StateError> {
    let mut statement = c.prepare_cached(
        "SELECT id, owner, reason, matcher, starts, ends FROM silences WHERE ends > ?1 ORDER BY ends DESC, id",
    )?;
    let since = since.map_or(i64::MIN, |since| since.timestamp_millis());
    let rows = statement.query_map([since], read_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
