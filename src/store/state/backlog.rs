//! Candidates that the cap left out, kept for later executions of their rule.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, params};
use serde_json::Value;

use super::{StateDb, StateError};
use crate::ecs::document::Document;

/// A candidate that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct BacklogEntry {
    /// The rule's object id.
    pub rule: Arc<str>,
    /// Id of the alert it will be.
    pub alert: Arc<str>,
    /// Slot of the execution that first left it out, ms since the epoch.
    pub since: i64,
    /// Its place among its rule's candidates: the primary time, ms since the epoch.
    pub position: i64,
    /// `@timestamp` of the event, ms since the epoch.
    pub event_time: i64,
    /// The event: it may be gone from the store when its turn comes.
    pub document: Document,
}

pub(super) fn insert(c: &Connection, entry: &BacklogEntry) -> Result<(), StateError> {
    // An entry that waits already keeps the time since which it waits.
    c.prepare_cached(
        "INSERT INTO backlog (rule, alert, since, position, event_index, event_id, event_time, source)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (rule, alert) DO NOTHING",
    )?
    .execute(params![
        &*entry.rule,
        &*entry.alert,
        entry.since,
        entry.position,
        &*entry.document.index,
        &*entry.document.id,
        entry.event_time,
        entry.document.source.to_string()
    ])?;
    Ok(())
}

impl StateDb {
    /// How many candidates wait, by the object id of their rule; rules without any are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn backlog_counts(&self) -> Result<HashMap<String, u64>, StateError> {
        self.read(|c| {
            let mut statement = c.prepare_cached("SELECT rule, count(*) FROM backlog GROUP BY rule")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
            rows.map(|row| {
                let (rule, count) = row?;
                Ok((rule, u64::try_from(count).unwrap_or(0)))
            })
            .collect()
        })
    }

    /// The candidates of a rule that wait, in time order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn backlog(&self, rule: &str) -> Result<Vec<BacklogEntry>, StateError> {
        self.read(|c| {
            let mut statement = c.prepare_cached(
                "SELECT alert, since, position, event_index, event_id, event_time, source FROM backlog
                 WHERE rule = ?1 ORDER BY position, alert",
            )?;
            let mut rows = statement.query([rule])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                let alert: String = row.get(0)?;
                let source: String = row.get(6)?;
                let source: Value = serde_json::from_str(&source).map_err(|e| StateError::Damaged {
                    what: format!("waiting candidate {alert}"),
                    reason: e.to_string(),
                })?;
                entries.push(BacklogEntry {
                    rule: rule.into(),
                    alert: alert.into(),
                    since: row.get(1)?,
                    position: row.get(2)?,
                    event_time: row.get(5)?,
                    document: Document::new(row.get::<_, String>(3)?, row.get::<_, String>(4)?, source),
                });
            }
            Ok(entries)
        })
    }
}
