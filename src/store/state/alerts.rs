//! Alerts: rows to search by, documents to show.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params, params_from_iter};
use serde_json::Value;

use super::forward::{Forward, queue};
use super::{Created, StateDb, StateError, Triage};
use crate::ecs::document::Document;

/// The name under which rules find the alerts of a space.
pub fn alerts_index(space: &str) -> String {
    format!(".alerts-security.alerts-{space}")
}

/// What a person has done about an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkflowStatus {
    /// Nothing yet.
    Open,
    /// Someone is looking at it.
    Acknowledged,
    /// Done.
    Closed,
}

impl WorkflowStatus {
    /// Its name as Kibana writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for WorkflowStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for WorkflowStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Open, Self::Acknowledged, Self::Closed]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no workflow status: `open`, `acknowledged` or `closed`"))
    }
}

/// A new alert with what it is searched by.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRow {
    /// Its id.
    pub id: Arc<str>,
    /// Kibana space.
    pub space: Arc<str>,
    /// The rule's object id.
    pub rule_uuid: Arc<str>,
    /// The rule's signature id.
    pub rule_id: Arc<str>,
    /// The alert's own `@timestamp`.
    pub timestamp: DateTime<Utc>,
    /// `@timestamp` of its event.
    pub original_time: Option<DateTime<Utc>>,
    /// Severity after overrides.
    pub severity: String,
    /// Kept for other rules, hidden by default.
    pub building_block: bool,
    /// Whether it counts as an alert of its execution; the building blocks of a sequence do not.
    pub counted: bool,
    /// The whole document, JSON.
    pub document: String,
}

/// Fields of an alert that an execution sets anew. The values are absolute, so that writing them
/// again changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertUpdate {
    /// The alert.
    pub id: Arc<str>,
    /// Fields by dotted name.
    pub fields: serde_json::Map<String, Value>,
}

/// A stored alert.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAlert {
    /// Its id.
    pub id: Arc<str>,
    /// Kibana space.
    pub space: Arc<str>,
    /// Workflow status.
    pub status: String,
    /// Its document.
    pub source: Value,
}

impl StoredAlert {
    /// The alert as a document of [`alerts_index`].
    pub fn into_document(self) -> Document {
        Document::new(alerts_index(&self.space), self.id, self.source)
    }
}

/// Which alerts are asked for; the default asks for all but building blocks, newest first.
#[derive(Debug, Clone, Default)]
pub struct AlertQuery {
    /// Of this rule (signature id or object id).
    pub rule: Option<String>,
    /// With this workflow status.
    pub status: Option<WorkflowStatus>,
    /// Of this space.
    pub space: Option<String>,
    /// Alerted at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Alerted at this time or earlier.
    pub to: Option<DateTime<Utc>>,
    /// Building blocks too.
    pub building_blocks: bool,
    /// Most alerts wanted.
    pub size: Option<usize>,
    /// Oldest first.
    pub ascending: bool,
}

/// What a (shortened) alert id names.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// Exactly one alert.
    One(Box<StoredAlert>),
    /// No alert.
    Nothing,
    /// More than one: their ids, at most ten.
    Several(Vec<Arc<str>>),
}

/// A query as a condition in SQL with its values.
fn condition(query: &AlertQuery) -> (String, Vec<Sql>) {
    let mut values: Vec<Sql> = Vec::new();
    let mut clauses = vec!["1".to_owned()];
    let mut clause = |text: &str, value: Sql| {
        values.push(value);
        clauses.push(text.replace('?', &format!("?{}", values.len())));
    };
    if let Some(rule) = &query.rule {
        clause("(rule_id = ? OR rule_uuid = ?)", Sql::Text(rule.clone()));
    }
    if let Some(status) = query.status {
        clause("status = ?", Sql::Text(status.as_str().to_owned()));
    }
    if let Some(space) = &query.space {
        clause("space = ?", Sql::Text(space.clone()));
    }
    if let Some(from) = query.from {
        clause("timestamp >= ?", Sql::Integer(from.timestamp_millis()));
    }
    if let Some(to) = query.to {
        clause("timestamp <= ?", Sql::Integer(to.timestamp_millis()));
    }
    if !query.building_blocks {
        clauses.push("building_block = 0".to_owned());
    }
    (clauses.join(" AND "), values)
}

/// Adds an alert; `false` when it was there already.
pub(super) fn insert(c: &Connection, alert: &AlertRow) -> Result<bool, StateError> {
    let mut statement = c.prepare_cached(
        "INSERT INTO alerts (id, space, rule_uuid, rule_id, timestamp, original_time, severity,
                             building_block, status, document)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'open', ?9) ON CONFLICT (id) DO NOTHING",
    )?;
    let added = statement.execute(params![
        &*alert.id,
        &*alert.space,
        &*alert.rule_uuid,
        &*alert.rule_id,
        alert.timestamp.timestamp_millis(),
        alert.original_time.map(|t| t.timestamp_millis()),
        alert.severity,
        alert.building_block,
        alert.document,
    ])?;
    Ok(added == 1)
}

fn read_row(row: &Row<'_>) -> Result<StoredAlert, StateError> {
    let id: String = row.get(0)?;
    let document: String = row.get(3)?;
    let source = serde_json::from_str(&document)
        .map_err(|e| StateError::Damaged { what: format!("alert {id}"), reason: e.to_string() })?;
    Ok(StoredAlert { id: id.into(), space: row.get::<_, String>(1)?.into(), status: row.get(2)?, source })
}

impl StateDb {
    /// Which of `ids` are alerts already.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn existing<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a Arc<str>>,
    ) -> Result<HashSet<Arc<str>>, StateError> {
        self.read(|c| {
            let mut statement = c.prepare_cached("SELECT 1 FROM alerts WHERE id = ?1")?;
            let mut found = HashSet::new();
            for id in ids {
                if statement.exists([&**id])? {
                    found.insert(Arc::clone(id));
                }
            }
            Ok(found)
        })
    }

    /// Creates alerts outside of an execution; what became of each, in the same order.
    ///
    /// # Errors
    /// When the database cannot be written; then none was created.
    pub fn create_alerts(&self, alerts: Vec<AlertRow>) -> Result<Vec<Created>, StateError> {
        let mut planned = self.planned(alerts.iter())?;
        let targets = self.targets();
        let (created, queued) = self.write(move |c| {
            let mut queued = 0;
            let created = alerts.iter().map(|alert| {
                if !insert(c, alert)? {
                    return Ok(Created::Duplicate);
                }
                queue(c, &targets, &alert.id, &Forward::Create)?;
                queued += super::outbox::insert_all(c, planned.remove(&alert.id))?;
                Ok(Created::New)
            });
            Ok((created.collect::<Result<Vec<_>, StateError>>()?, queued))
        })?;
        if queued > 0 {
            self.queued();
        }
        Ok(created)
    }

    /// Alerts, newest first (or oldest first).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alerts(&self, query: &AlertQuery) -> Result<Vec<StoredAlert>, StateError> {
        let (condition, values) = condition(query);
        let order = if query.ascending { "ASC" } else { "DESC" };
        let limit = query.size.map_or(-1, |size| i64::try_from(size).unwrap_or(i64::MAX));
        let text = format!(
            "SELECT id, space, status, document FROM alerts WHERE {condition} ORDER BY timestamp {order}, number {order} LIMIT {limit}"
        );
        self.read(|c| {
            let mut statement = c.prepare_cached(&text)?;
            let mut rows = statement.query(params_from_iter(values))?;
            let mut alerts = Vec::new();
            while let Some(row) = rows.next()? {
                alerts.push(read_row(row)?);
            }
            Ok(alerts)
        })
    }

    /// How many alerts a query has, whatever its `size`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn count_alerts(&self, query: &AlertQuery) -> Result<usize, StateError> {
        let (condition, values) = condition(query);
        let text = format!("SELECT count(*) FROM alerts WHERE {condition}");
        self.read(|c| {
            let count: i64 =
                c.prepare_cached(&text)?.query_row(params_from_iter(values), |row| row.get(0))?;
            Ok(usize::try_from(count).unwrap_or(0))
        })
    }

    /// The alert whose id starts with `prefix`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alert(&self, prefix: &str) -> Result<Lookup, StateError> {
        self.read(|c| {
            let mut statement = c.prepare_cached(
                "SELECT id, space, status, document FROM alerts WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 10",
            )?;
            let end = format!("{prefix}\u{10FFFF}");
            let mut rows = statement.query([prefix, &end])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read_row(row)?);
            }
            if found.len() > 1 {
                return Ok(match found.iter().position(|alert| &*alert.id == prefix) {
                    Some(exact) => Lookup::One(Box::new(found.swap_remove(exact))),
                    None => Lookup::Several(found.into_iter().map(|alert| alert.id).collect()),
                });
            }
            Ok(found.pop().map_or(Lookup::Nothing, |alert| Lookup::One(Box::new(alert))))
        })
    }

    /// The alerts of a space as documents of its alerts index, oldest first, for rules that
    /// search alerts; `timestamp`: only those whose own `@timestamp` (ms) lies in it, ends
    /// included.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alert_documents(
        &self,
        space: &str,
        timestamp: Option<(i64, i64)>,
    ) -> Result<Vec<Document>, StateError> {
        let (from, to) = timestamp.unwrap_or((i64::MIN, i64::MAX));
        self.read(|c| {
            let mut statement = c.prepare_cached(
                "SELECT id, space, status, document FROM alerts
                 WHERE space = ?1 AND timestamp >= ?2 AND timestamp <= ?3 ORDER BY timestamp, number",
            )?;
            let mut rows = statement.query(params![space, from, to])?;
            let mut documents = Vec::new();
            while let Some(row) = rows.next()? {
                documents.push(read_row(row)?.into_document());
            }
            Ok(documents)
        })
    }

    /// The spaces that have alerts, sorted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alert_spaces(&self) -> Result<Vec<String>, StateError> {
        self.read(|c| {
            // One step in the index for each space, however many alerts it has.
            let mut statement = c.prepare_cached(
                "WITH RECURSIVE spaces(space) AS (
                   SELECT min(space) FROM alerts UNION ALL
                   SELECT (SELECT min(space) FROM alerts WHERE space > spaces.space)
                   FROM spaces WHERE spaces.space IS NOT NULL)
                 SELECT space FROM spaces WHERE space IS NOT NULL",
            )?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// How many alerts there are, by workflow status.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alert_counts(&self) -> Result<Vec<(String, u64)>, StateError> {
        self.read(|c| {
            let mut statement =
                c.prepare_cached("SELECT status, count(*) FROM alerts GROUP BY status ORDER BY status")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
            rows.map(|row| {
                let (status, count) = row?;
                Ok((status, u64::try_from(count).unwrap_or(0)))
            })
            .collect()
        })
    }

    /// Sets the workflow status of alerts (full ids); returns how many there were.
    ///
    /// # Errors
    /// When the database cannot be written; then none was changed.
    pub fn set_workflow_status(
        &self,
        ids: Vec<Arc<str>>,
        status: WorkflowStatus,
        now: DateTime<Utc>,
    ) -> Result<usize, StateError> {
        self.triage(ids, Triage { status: Some(status), at: now, ..Triage::default() })
    }

    /// Sets fields of alerts; one that is gone stays gone.
    ///
    /// # Errors
    /// When the database cannot be written; then none was changed.
    pub fn update_alerts(&self, updates: Vec<AlertUpdate>) -> Result<(), StateError> {
        let targets = self.targets();
        self.write(move |c| {
            updates.iter().try_for_each(|one| {
                update(c, one)?;
                queue(c, &targets, &one.id, &Forward::Update { fields: one.fields.clone() })
            })
        })
    }

    /// Adds and removes workflow tags of alerts (full ids); returns how many alerts there were.
    ///
    /// # Errors
    /// When the database cannot be written; then none was changed.
    pub fn tag_alerts(
        &self,
        ids: Vec<Arc<str>>,
        add: Vec<String>,
        remove: Vec<String>,
    ) -> Result<usize, StateError> {
        self.triage(ids, Triage { tag: add, untag: remove, ..Triage::default() })
    }
}

/// Sets fields of an alert; one that is gone stays gone.
pub(super) fn update(c: &Connection, update: &AlertUpdate) -> Result<(), StateError> {
    let Some(mut alert) = read_alert(c, &update.id)? else { return Ok(()) };
    if let Some(source) = alert.source.as_object_mut() {
        source.extend(update.fields.clone());
        c.prepare_cached("UPDATE alerts SET document = ?2 WHERE id = ?1")?
            .execute(params![&*update.id, alert.source.to_string()])?;
    }
    Ok(())
}

/// The alert with this id.
pub(super) fn read_alert(c: &Connection, id: &str) -> Result<Option<StoredAlert>, StateError> {
    let mut select = c.prepare_cached("SELECT id, space, status, document FROM alerts WHERE id = ?1")?;
    let mut rows = select.query([id])?;
    rows.next()?.map(read_row).transpose()
}

/// Rewrites documents; where `edit` returns a status, the column follows it.
pub(super) fn change(
    c: &Connection,
    ids: &[Arc<str>],
    mut edit: impl FnMut(&mut serde_json::Map<String, Value>) -> Option<WorkflowStatus>,
) -> Result<usize, StateError> {
    let mut changed = 0;
    for id in ids {
        let Some(mut alert) = read_alert(c, id)? else { continue };
        let Some(source) = alert.source.as_object_mut() else { continue };
        let status = edit(source).map_or(alert.status, |status| status.as_str().to_owned());
        c.prepare_cached("UPDATE alerts SET status = ?2, document = ?3 WHERE id = ?1")?.execute(params![
            &**id,
            status,
            alert.source.to_string()
        ])?;
        changed += 1;
    }
    Ok(changed)
}
