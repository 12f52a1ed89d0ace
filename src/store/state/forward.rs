//! What is on its way to alert indices of clusters: new alerts, and what people did about them.
//!
//! A row is written in the transaction that wrote the alert or the change, and deleted when the
//! cluster has it. Delivery is at least once; creating under an id and setting a status are the
//! same done twice.

use std::sync::Arc;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AlertRow, StateDb, StateError, StoredAlert, WorkflowStatus};

/// What is to be done on a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forward {
    /// Create the alert as it is stored here.
    Create,
    /// Set fields of it anew.
    Update {
        /// Fields by dotted name.
        fields: serde_json::Map<String, Value>,
    },
    /// Set its workflow status.
    Status {
        /// The status.
        status: WorkflowStatus,
        /// When it was set, RFC 3339.
        at: String,
    },
    /// Change its tags.
    Tags {
        /// Tags to add.
        add: Vec<String>,
        /// Tags to remove.
        remove: Vec<String>,
    },
}

/// Something that waits to be delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// Its place in the queue: what is queued later for the same alert comes after.
    pub number: i64,
    /// What is to be done.
    pub what: Forward,
    /// How often it was tried.
    pub attempts: u32,
    /// The alert as it is stored here; `None`: it was deleted since.
    pub alert: Option<AlertRow>,
    /// Its id.
    pub id: Arc<str>,
}

/// How much waits for a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queue {
    /// The cluster.
    pub target: String,
    /// What waits.
    pub waiting: u64,
    /// Why the oldest that was tried could not be delivered.
    pub error: Option<String>,
}

pub(super) fn queue(
    c: &Connection,
    targets: &[Arc<str>],
    id: &str,
    what: &Forward,
) -> Result<(), StateError> {
    let text = serde_json::to_string(what).map_err(|e| StateError::Undone(e.to_string()))?;
    for target in targets {
        c.prepare_cached(
            "INSERT INTO forward (target, alert, what, attempts, next) VALUES (?1, ?2, ?3, 0, 0)",
        )?
        .execute(params![&**target, id, text])?;
    }
    Ok(())
}

impl StateDb {
    /// The first things that wait for `target` and whose time has come (`now`, ms since the
    /// epoch), in the order in which they were queued.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn pending(&self, target: &str, now: i64, most: usize) -> Result<Vec<Pending>, StateError> {
        self.read(|c| {
            // What is queued after something that has to wait, for the same alert, waits with it.
            let mut statement = c.prepare_cached(
                "SELECT f.number, f.alert, f.what, f.attempts, a.space, a.rule_uuid, a.rule_id, a.timestamp,
                        a.original_time, a.severity, a.building_block, a.document
                 FROM forward f LEFT JOIN alerts a ON a.id = f.alert
                 WHERE f.target = ?1 AND f.next <= ?2 AND NOT EXISTS (
                     SELECT 1 FROM forward e
                     WHERE e.target = f.target AND e.alert = f.alert AND e.number < f.number AND e.next > ?2)
                 ORDER BY f.number LIMIT ?3",
            )?;
            let limit = i64::try_from(most).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![target, now, limit])?;
            let mut pending = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, what): (String, String) = (row.get(1)?, row.get(2)?);
                let what = serde_json::from_str(&what).map_err(|e| StateError::Damaged {
                    what: format!("what is to be forwarded of alert {id}"),
                    reason: e.to_string(),
                })?;
                let time = chrono::DateTime::from_timestamp_millis;
                let alert = match row.get::<_, Option<String>>(4)? {
                    None => None,
                    Some(space) => Some(AlertRow {
                        id: id.as_str().into(),
                        space: space.into(),
                        rule_uuid: row.get::<_, String>(5)?.into(),
                        rule_id: row.get::<_, String>(6)?.into(),
                        timestamp: time(row.get(7)?).unwrap_or_default(),
                        original_time: row.get::<_, Option<i64>>(8)?.and_then(time),
                        severity: row.get(9)?,
                        building_block: row.get(10)?,
                        counted: true,
                        document: row.get(11)?,
                    }),
                };
                let number = row.get(0)?;
                pending.push(Pending { number, what, attempts: row.get(3)?, alert, id: id.into() });
            }
            Ok(pending)
        })
    }

    /// Takes note of what was delivered, and of what was not: those with the time of their next
    /// try (ms since the epoch) and why they failed.
    ///
    /// # Errors
    /// When the database cannot be written; then everything is delivered once more.
    pub fn delivered(&self, done: Vec<i64>, failed: Vec<(i64, i64, String)>) -> Result<(), StateError> {
        self.write(move |c| {
            for number in &done {
                c.prepare_cached("DELETE FROM forward WHERE number = ?1")?.execute([number])?;
            }
            for (number, next, error) in &failed {
                c.prepare_cached(
                    "UPDATE forward SET attempts = attempts + 1, next = ?2, error = ?3 WHERE number = ?1",
                )?
                .execute(params![number, next, error])?;
            }
            Ok(())
        })
    }

    /// How much waits, by cluster.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn forward_queues(&self) -> Result<Vec<Queue>, StateError> {
        self.read(|c| {
            let mut statement = c.prepare_cached(
                "SELECT target, count(*),
                        (SELECT e.error FROM forward e WHERE e.target = f.target AND e.error IS NOT NULL
                         ORDER BY e.number LIMIT 1)
                 FROM forward f GROUP BY target ORDER BY target",
            )?;
            let rows = statement.query_map([], |row| {
                let waiting = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
                Ok(Queue { target: row.get(0)?, waiting, error: row.get(2)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Takes over what people did about alerts on a cluster, without queueing it back: workflow
    /// fields of alerts that are stored here, where they were changed there later than here.
    /// Returns how many alerts changed.
    ///
    /// # Errors
    /// When the database cannot be written; then none was changed.
    pub fn take_over(&self, alerts: Vec<StoredAlert>) -> Result<usize, StateError> {
        const CHANGED: &str = "kibana.alert.workflow_status_updated_at";
        const TAKEN: [&str; 4] = [
            "kibana.alert.workflow_status",
            CHANGED,
            "kibana.alert.workflow_tags",
            "kibana.alert.workflow_assignee_ids",
        ];
        self.write(move |c| {
            let mut changed = 0;
            for theirs in &alerts {
                let ids = [Arc::clone(&theirs.id)];
                super::alerts::change(c, &ids, |source| {
                    let at =
                        |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
                    // Both are RFC 3339 in UTC with milliseconds, which sort as text.
                    if at(theirs.source.get(CHANGED)) <= at(source.get(CHANGED)) {
                        return None;
                    }
                    for name in TAKEN {
                        if let Some(value) = theirs.source.get(name) {
                            source.insert(name.to_owned(), value.clone());
                        }
                    }
                    changed += 1;
                    theirs.status.parse().ok()
                })?;
            }
            Ok(changed)
        })
    }
}
