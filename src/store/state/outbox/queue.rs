//! Taking notifications from the outbox, and what became of them.

use chrono::{DateTime, Utc};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params, params_from_iter};
use serde::Serialize;

use super::super::{StateDb, StateError};
use super::{DeliveryState, Kind};
use crate::base::window::iso_millis;

/// A notification that is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Undelivered {
    /// Its number: the order within a conversation.
    pub number: i64,
    /// Idempotency key.
    pub key: String,
    /// The connector.
    pub connector: String,
    /// The route that chose it.
    pub route: String,
    /// What it tells.
    pub kind: Kind,
    /// The conversation.
    pub thread: String,
    /// When it was decided, ms since the epoch.
    pub created: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// What the target answered to the first of the conversation.
    pub receipt: Option<String>,
    /// What is told, JSON.
    pub document: String,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The target acknowledged it.
    Delivered {
        /// How the target names it, for what follows in the conversation.
        receipt: Option<String>,
        /// What is to be said about it, such as a template that failed.
        note: Option<String>,
    },
    /// It will be tried again.
    Retry {
        /// When, ms since the epoch.
        due: i64,
        /// Why it failed.
        note: String,
    },
    /// It is given up.
    Dead {
        /// Why.
        note: String,
    },
}

/// An attempt with what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// The notification's number.
    pub number: i64,
    /// When, ms since the epoch.
    pub at: i64,
    /// What became of it.
    pub verdict: Verdict,
}

/// A notification as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delivery {
    /// Its number.
    pub number: i64,
    /// Idempotency key.
    pub key: String,
    /// The connector.
    pub connector: String,
    /// The route that chose it.
    pub route: String,
    /// What it tells.
    pub kind: Kind,
    /// Id of the alert; empty for a digest.
    pub alert: String,
    /// Where it is.
    pub state: DeliveryState,
    /// When it was decided.
    pub created: String,
    /// When it is tried (again), or when its digest leaves.
    pub due: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was delivered, given up, silenced or folded.
    pub finished: Option<String>,
    /// The last failure, or why it was not sent, or what is to be said about it.
    pub note: Option<String>,
    /// What the target called it.
    pub receipt: Option<String>,
}

/// Which notifications are asked for; the default asks for all, newest first.
#[derive(Debug, Clone, Default)]
pub struct DeliveryQuery {
    /// In these states; empty: in any.
    pub states: Vec<DeliveryState>,
    /// Of this connector.
    pub connector: Option<String>,
    /// Of the alert whose id begins so.
    pub alert: Option<String>,
    /// With these numbers; empty: with any.
    pub numbers: Vec<i64>,
    /// Decided at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// At most so many.
    pub size: Option<usize>,
}

/// How many notifications of a connector are in a state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeliveryCount {
    /// The connector.
    pub connector: String,
    /// The state.
    pub state: DeliveryState,
    /// How many.
    pub count: u64,
    /// When the oldest of them was decided, ms since the epoch.
    pub oldest: i64,
}

impl DeliveryQuery {
    fn clause(&self) -> (String, Vec<Sql>) {
        let mut values = Vec::new();
        let mut clauses = vec!["1".to_owned()];
        let mut one_of = |column: &str, among: Vec<Sql>| {
            if !among.is_empty() {
                let marks = vec!["?"; among.len()].join(", ");
                clauses.push(format!("{column} IN ({marks})"));
                values.extend(among);
            }
        };
        one_of("state", self.states.iter().map(|state| Sql::Text(state.to_string())).collect());
        one_of("connector", self.connector.iter().cloned().map(Sql::Text).collect());
        one_of("number", self.numbers.iter().copied().map(Sql::Integer).collect());
        if let Some(alert) = &self.alert {
            clauses.push("alert >= ? AND alert < ?".to_owned());
            values.extend([Sql::Text(alert.clone()), Sql::Text(format!("{alert}\u{10FFFF}"))]);
        }
        if let Some(from) = self.from {
            clauses.push("created >= ?".to_owned());
            values.push(Sql::Integer(from.timestamp_millis()));
        }
        (clauses.join(" AND "), values)
    }
}

fn word<T: std::str::FromStr<Err = String>>(row: &Row<'_>, column: usize) -> Result<T, StateError> {
    let text: String = row.get(column)?;
    text.parse().map_err(|reason| StateError::Damaged { what: "a notification".to_owned(), reason })
}

fn time(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).map(iso_millis).unwrap_or_default()
}

fn delivery(row: &Row<'_>) -> Result<Delivery, StateError> {
    Ok(Delivery {
        number: row.get(0)?,
        key: row.get(1)?,
        connector: row.get(2)?,
        route: row.get(3)?,
        kind: word(row, 4)?,
        alert: row.get(5)?,
        state: word(row, 6)?,
        created: time(row.get(7)?),
        due: time(row.get(8)?),
        attempts: row.get(9)?,
        finished: row.get::<_, Option<i64>>(10)?.map(time),
        note: row.get(11)?,
        receipt: row.get(12)?,
    })
}

impl StateDb {
    /// The notifications of `connector` that are due at `now`, in the order they were written, at
    /// most `size`: of each conversation only the first that waits.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn due(
        &self,
        connector: &str,
        now: DateTime<Utc>,
        size: usize,
    ) -> Result<Vec<Undelivered>, StateError> {
        self.read(|c| {
            let mut statement = c.prepare_cached(
                "SELECT number, key, connector, route, kind, thread, created, attempts, document,
                        (SELECT receipt FROM outbox AS told WHERE told.connector = o.connector
                            AND told.thread = o.thread AND told.receipt IS NOT NULL
                            ORDER BY told.number LIMIT 1)
                 FROM outbox AS o
                 WHERE connector = ?1 AND state = 'waiting' AND due <= ?2 AND NOT EXISTS (
                     SELECT 1 FROM outbox AS first WHERE first.connector = o.connector
                        AND first.thread = o.thread AND first.number < o.number AND first.state = 'waiting')
                 ORDER BY number LIMIT ?3",
            )?;
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![connector, now.timestamp_millis(), size])?;
            let mut pending = Vec::new();
            while let Some(row) = rows.next()? {
                pending.push(Undelivered {
                    number: row.get(0)?,
                    key: row.get(1)?,
                    connector: row.get(2)?,
                    route: row.get(3)?,
                    kind: word(row, 4)?,
                    thread: row.get(5)?,
                    created: row.get(6)?,
                    attempts: row.get(7)?,
                    receipt: row.get(9)?,
                    document: row.get::<_, Option<String>>(8)?.unwrap_or_default(),
                });
            }
            Ok(pending)
        })
    }

    /// When the next notification becomes due, waiting or held, ms since the epoch; of `connector`
    /// alone where one is named.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn next_due(&self, connector: Option<&str>) -> Result<Option<i64>, StateError> {
        self.read(|c| {
            let mut statement = c.prepare_cached(
                "SELECT min(due) FROM outbox WHERE state IN ('waiting', 'held') AND connector = ifnull(?1, connector)",
            )?;
            Ok(statement.query_row([connector], |row| row.get(0))?)
        })
    }

    /// Writes down what became of attempts.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing was kept, and what was delivered will be
    /// delivered again, with the same key.
    pub fn settle(&self, settled: Vec<Settled>) -> Result<(), StateError> {
        if settled.is_empty() {
            return Ok(());
        }
        self.write(move |c| settled.iter().try_for_each(|one| settle(c, one)))
    }

    /// Has notifications sent again that were given up (or, with `delivered`, that were delivered
    /// and whose content is still known); returns how many.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn resend(&self, query: &DeliveryQuery, now: DateTime<Utc>) -> Result<usize, StateError> {
        let (clause, values) = query.clause();
        let text = format!(
            "UPDATE outbox SET state = 'waiting', attempts = 0, due = {}, finished = NULL
             WHERE state = 'dead' AND document IS NOT NULL AND {clause}",
            now.timestamp_millis()
        );
        let changed =
            self.write(move |c| Ok(c.prepare_cached(&text)?.execute(params_from_iter(values))?))?;
        if changed > 0 {
            self.queued();
        }
        Ok(changed)
    }

    /// Deletes notifications that were given up; returns how many.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn discard(&self, query: &DeliveryQuery) -> Result<usize, StateError> {
        let (clause, values) = query.clause();
        let text = format!("DELETE FROM outbox WHERE state = 'dead' AND {clause}");
        self.write(move |c| Ok(c.prepare_cached(&text)?.execute(params_from_iter(values))?))
    }

    /// Notifications, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StateError> {
        let (clause, values) = query.clause();
        let limit = query.size.map_or(-1, |size| i64::try_from(size).unwrap_or(i64::MAX));
        let text = format!(
            "SELECT number, key, connector, route, kind, alert, state, created, due, attempts, finished, note, receipt
             FROM outbox WHERE {clause} ORDER BY number DESC LIMIT {limit}"
        );
        self.read(|c| {
            let mut statement = c.prepare_cached(&text)?;
            let mut rows = statement.query(params_from_iter(values))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(delivery(row)?);
            }
            Ok(found)
        })
    }

    /// How many notifications there are, by connector and state.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn delivery_counts(&self) -> Result<Vec<DeliveryCount>, StateError> {
        self.read(|c| {
            let mut statement = c.prepare_cached(
                "SELECT connector, state, count(*), min(created) FROM outbox
                 GROUP BY connector, state ORDER BY connector, state",
            )?;
            let mut rows = statement.query([])?;
            let mut counts = Vec::new();
            while let Some(row) = rows.next()? {
                counts.push(DeliveryCount {
                    connector: row.get(0)?,
                    state: word(row, 1)?,
                    count: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
                    oldest: row.get(3)?,
                });
            }
            Ok(counts)
        })
    }
}

fn settle(c: &Connection, settled: &Settled) -> Result<(), StateError> {
    let Settled { number, at, verdict } = settled;
    // What was delivered need not be told again: the document goes, the evidence stays.
    match verdict {
        Verdict::Delivered { receipt, note } => c
            .prepare_cached(
                "UPDATE outbox SET state = 'delivered', attempts = attempts + 1, finished = ?2, receipt = ?3,
                    note = ?4, document = NULL WHERE number = ?1",
            )?
            .execute(params![number, at, receipt, note])?,
        Verdict::Retry { due, note } => c
            .prepare_cached(
                "UPDATE outbox SET attempts = attempts + 1, due = ?2, note = ?3 WHERE number = ?1 AND state = 'waiting'",
            )?
            .execute(params![number, due, note])?,
        Verdict::Dead { note } => c
            .prepare_cached(
                "UPDATE outbox SET state = 'dead', attempts = attempts + 1, finished = ?2, note = ?3
                 WHERE number = ?1 AND state = 'waiting'",
            )?
            .execute(params![number, at, note])?,
    };
    let (Verdict::Delivered { note: Some(note), .. } | Verdict::Dead { note }) = verdict else {
        return Ok(());
    };
    // What went wrong is stated on the alert too.
    c.prepare_cached(
        "INSERT INTO alert_history (alert, at, who, what, detail)
         SELECT alert, ?2, 'tocsin', 'notification', connector || ': ' || ?3 FROM outbox WHERE number = ?1 AND alert <> ''",
    )?
    .execute(params![number, at, note])?;
    Ok(())
}

impl StateDb {
    /// Forgets what was delivered, folded or silenced before `until`; dead letters stay. Returns how
    /// many notifications there were.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn forget_deliveries(&self, until: DateTime<Utc>) -> Result<usize, StateError> {
        let until = until.timestamp_millis();
        self.write(move |c| {
            Ok(c.prepare_cached(
                "DELETE FROM outbox WHERE state IN ('delivered', 'folded', 'silenced') AND finished < ?1",
            )?
            .execute([until])?)
        })
    }
}
