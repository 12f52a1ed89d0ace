//! The execution log.

use chrono::{DateTime, Utc};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params, params_from_iter};
use serde::{Deserialize, Serialize};

use super::{StateDb, StateError};

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// All well.
    #[serde(rename = "succeeded")]
    Succeeded,
    /// It ran, but something in it deserves a look: see the warnings.
    #[serde(rename = "partial failure")]
    PartialFailure,
    /// It did not run to its end: see the error.
    #[serde(rename = "failed")]
    Failed,
    /// The rule's index patterns name nothing that exists here.
    #[serde(rename = "no data source")]
    NoDataSource,
    /// This version cannot run rules of this kind; nothing was searched.
    #[serde(rename = "not run")]
    NotRun,
}

impl Status {
    /// Its name in machine output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::PartialFailure => "partial failure",
            Self::Failed => "failed",
            Self::NoDataSource => "no data source",
            Self::NotRun => "not run",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happened to the backlog of capped candidates in an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BacklogCounts {
    /// Candidates of earlier executions that became alerts in this one.
    pub alerted: u64,
    /// Candidates that are kept for later executions.
    pub waiting: u64,
    /// Candidates that were given up: kept too long, or too many.
    pub expired: u64,
}

/// Where the time of an execution went, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timings {
    /// From when it was due until it started.
    pub delay_ms: u64,
    /// Searching; rules that are searched together share the search's time.
    pub search_ms: u64,
    /// Making alerts of what was found.
    pub process_ms: u64,
    /// Writing alerts; executions that are written together share it.
    pub write_ms: u64,
}

/// One execution, as the log keeps it and machine output shows it.
///
/// `candidates == alerts + duplicates + suppressed + excepted + capped`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionRecord {
    /// The rule's signature id.
    pub rule_id: String,
    /// The rule's name.
    pub rule_name: String,
    /// The rule's type.
    #[serde(rename = "type")]
    pub rule_type: String,
    /// How it ended.
    pub status: Status,
    /// Start of the window, RFC 3339; `null` when it never got so far.
    pub from: Option<String>,
    /// End of the window.
    pub to: Option<String>,
    /// Hits of the window, and candidates taken from the backlog.
    pub candidates: u64,
    /// Alerts written.
    pub alerts: u64,
    /// Candidates that were alerts already.
    pub duplicates: u64,
    /// Candidates that belong to another alert's group.
    pub suppressed: u64,
    /// Candidates that an exception names; `null`: exceptions were part of the search.
    pub excepted: Option<u64>,
    /// Candidates left out by the cap.
    pub capped: u64,
    /// What deserves a look.
    pub warnings: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// How long it took, ms; executions that are searched together share the search's time.
    pub took_ms: u64,
    /// Id of this execution.
    pub execution_id: String,
    /// The rule's object id.
    pub rule_uuid: String,
    /// When it was due, RFC 3339.
    pub slot: String,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// `event` or `ingest`: the time its window was read on.
    pub clock: String,
    /// `scheduled` or `manual`.
    pub trigger: String,
    /// The backlog of capped candidates.
    pub backlog: BacklogCounts,
    /// Where its time went.
    #[serde(default)]
    pub timings: Timings,
    /// Events it matched, `index/id`, the first [`LOGGED_SOURCES`] of them.
    ///
    /// [`LOGGED_SOURCES`]: crate::base::limits::LOGGED_SOURCES
    #[serde(default)]
    pub sources: Vec<String>,
}

/// Which executions are asked for; the default asks for all, newest first.
#[derive(Debug, Clone, Default)]
pub struct ExecutionQuery {
    /// Of this rule.
    pub rule: Option<String>,
    /// That ended so.
    pub status: Option<Status>,
    /// Started at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Most executions wanted.
    pub size: Option<usize>,
}

fn millis(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).map_or(0, |at| at.timestamp_millis())
}

pub(super) fn insert(c: &Connection, record: &ExecutionRecord) -> Result<(), StateError> {
    let text = serde_json::to_string(record).map_err(|e| StateError::Undone(e.to_string()))?;
    c.prepare_cached(
        // The clock of the machine: an execution of a past time is as new as any other log entry.
        "INSERT INTO executions (id, rule_id, slot, started, status, record, written)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, unixepoch() * 1000)",
    )?
    .execute(params![
        record.execution_id,
        record.rule_id,
        millis(&record.slot),
        millis(&record.started_at),
        record.status.as_str(),
        text
    ])?;
    Ok(())
}

impl StateDb {
    /// Executions, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn executions(&self, query: &ExecutionQuery) -> Result<Vec<ExecutionRecord>, StateError> {
        let mut values: Vec<Sql> = Vec::new();
        let mut clauses = vec!["1".to_owned()];
        let mut clause = |text: &str, value: Sql| {
            values.push(value);
            clauses.push(format!("{text} ?{}", values.len()));
        };
        if let Some(rule) = &query.rule {
            clause("rule_id =", Sql::Text(rule.clone()));
        }
        if let Some(status) = query.status {
            clause("status =", Sql::Text(status.as_str().to_owned()));
        }
        if let Some(from) = query.from {
            clause("started >=", Sql::Integer(from.timestamp_millis()));
        }
        let limit = query.size.map_or(-1, |size| i64::try_from(size).unwrap_or(i64::MAX));
        let text = format!(
            "SELECT id, record FROM executions WHERE {} ORDER BY number DESC LIMIT {limit}",
            clauses.join(" AND ")
        );
        self.read(|c| {
            let mut statement = c.prepare_cached(&text)?;
            let mut rows = statement.query(params_from_iter(values))?;
            let mut records = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, record): (String, String) = (row.get(0)?, row.get(1)?);
                records.push(serde_json::from_str(&record).map_err(|e| StateError::Damaged {
                    what: format!("execution {id}"),
                    reason: e.to_string(),
                })?);
            }
            Ok(records)
        })
    }
}
