//! What people do about alerts: status, reason, tags, assignees, notes; with the history of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::alerts::read_alert;
use super::forward::{Forward, queue};
use super::{Kind, Routing, StateDb, StateError, WorkflowStatus};
use crate::base::window::iso_millis;

pub(super) const SCHEMA: &str = "
CREATE TABLE alert_history (
    number INTEGER PRIMARY KEY,
    alert TEXT NOT NULL,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX alert_history_by_alert ON alert_history (alert, number);
";

/// What somebody does about alerts; what is empty changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Triage {
    /// The workflow status from now on.
    pub status: Option<WorkflowStatus>,
    /// Why it is closed (or anything else).
    pub reason: Option<String>,
    /// Tags to add.
    pub tag: Vec<String>,
    /// Tags to remove.
    pub untag: Vec<String>,
    /// People who look at it from now on.
    pub assign: Vec<String>,
    /// People who no longer do.
    pub unassign: Vec<String>,
    /// Something to be remembered.
    pub note: Option<String>,
    /// Who does it.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Something that was done about an alert.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryEntry {
    /// When.
    pub at: String,
    /// Who did it.
    pub who: String,
    /// What: `status`, `tag`, `untag`, `assign`, `unassign`, `note`.
    pub what: String,
    /// The new status (with its reason), the tag, the person, the note.
    pub detail: String,
}

impl StateDb {
    /// Changes alerts (full ids), remembers who did what, and tells those who were told of the
    /// alerts before; returns how many alerts there were.
    ///
    /// # Errors
    /// When the database cannot be written; then none was changed.
    pub fn triage(&self, ids: Vec<Arc<str>>, triage: Triage) -> Result<usize, StateError> {
        let (routing, targets) = (self.routing(), self.targets());
        let (changed, queued) = self.write(move |c| {
            let (mut changed, mut queued) = (0, 0);
            for id in &ids {
                forward(c, &targets, id, &triage)?;
                if let Some(told) = apply(c, id, &triage, &targets, routing.as_deref())? {
                    changed += 1;
                    queued += told;
                }
            }
            Ok((changed, queued))
        })?;
        if queued > 0 {
            self.queued();
        }
        Ok(changed)
    }

    /// What was done about an alert (full id), oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn history(&self, id: &str) -> Result<Vec<HistoryEntry>, StateError> {
        self.read(|c| {
            let mut statement = c.prepare_cached(
                "SELECT at, who, what, detail FROM alert_history WHERE alert = ?1 ORDER BY number",
            )?;
            let rows = statement.query_map([id], |row| {
                Ok(HistoryEntry {
                    at: DateTime::from_timestamp_millis(row.get(0)?).map(iso_millis).unwrap_or_default(),
                    who: row.get(1)?,
                    what: row.get(2)?,
                    detail: row.get(3)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Has clusters that keep the alert too do the same.
fn forward(c: &Connection, targets: &[Arc<str>], id: &str, triage: &Triage) -> Result<(), StateError> {
    if let Some(status) = triage.status {
        queue(c, targets, id, &Forward::Status { status, at: iso_millis(triage.at) })?;
    }
    if !triage.tag.is_empty() || !triage.untag.is_empty() {
        let (add, remove) = (triage.tag.clone(), triage.untag.clone());
        queue(c, targets, id, &Forward::Tags { add, remove })?;
    }
    Ok(())
}

/// Applies a change to one alert; how many notifications follow, or `None` where there is no such
/// alert.
pub(super) fn apply(
    c: &Connection,
    id: &Arc<str>,
    triage: &Triage,
    targets: &[Arc<str>],
    routing: Option<&dyn Routing>,
) -> Result<Option<usize>, StateError> {
    let Some(mut alert) = read_alert(c, id)? else { return Ok(None) };
    let before = alert.status.clone();
    let Some(source) = alert.source.as_object_mut() else { return Ok(None) };
    let mut done: Vec<(&str, String)> = Vec::new();
    if let Some(status) = triage.status {
        source.insert("kibana.alert.workflow_status".to_owned(), status.as_str().into());
        source.insert("kibana.alert.workflow_status_updated_at".to_owned(), iso_millis(triage.at).into());
        if triage.by.is_empty() {
            source.shift_remove("kibana.alert.workflow_user");
        } else {
            source.insert("kibana.alert.workflow_user".to_owned(), triage.by.as_str().into());
        }
        match &triage.reason {
            Some(reason) => {
                source.insert("kibana.alert.workflow_reason".to_owned(), reason.as_str().into());
                done.push(("status", format!("{status}: {reason}")));
            }
            None => {
                source.shift_remove("kibana.alert.workflow_reason");
                done.push(("status", status.to_string()));
            }
        }
    }
    let tags = edit(source, "kibana.alert.workflow_tags", &triage.tag, &triage.untag);
    done.extend(tags.into_iter().map(|(added, tag)| (if added { "tag" } else { "untag" }, tag)));
    let people = edit(source, "kibana.alert.workflow_assignee_ids", &triage.assign, &triage.unassign);
    let assigned = !people.is_empty();
    done.extend(people.into_iter().map(|(added, who)| (if added { "assign" } else { "unassign" }, who)));
    done.extend(triage.note.iter().map(|note| ("note", note.clone())));
    let mut fields = Map::new();
    for (name, changed) in [
        ("kibana.alert.workflow_assignee_ids", assigned),
        ("kibana.alert.workflow_user", triage.status.is_some()),
        ("kibana.alert.workflow_reason", triage.status.is_some()),
    ] {
        if let Some(value) = source.get(name).filter(|_| changed) {
            fields.insert(name.to_owned(), value.clone());
        }
    }
    if !fields.is_empty() {
        queue(c, targets, id, &Forward::Update { fields })?;
    }
    let status = triage.status.map_or_else(|| before.clone(), |status| status.to_string());
    c.prepare_cached("UPDATE alerts SET status = ?2, document = ?3 WHERE id = ?1")?.execute(params![
        &**id,
        status,
        alert.source.to_string()
    ])?;
    for (what, detail) in done {
        c.prepare_cached(
            "INSERT INTO alert_history (alert, at, who, what, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![&**id, triage.at.timestamp_millis(), triage.by, what, detail])?;
    }
    let (Some(routing), Some(status)) = (routing, triage.status) else { return Ok(Some(0)) };
    if status.as_str() == before {
        return Ok(Some(0));
    }
    let kind = match status {
        WorkflowStatus::Open => Kind::Reopened,
        WorkflowStatus::Acknowledged => Kind::Acknowledged,
        WorkflowStatus::Closed => Kind::Closed,
    };
    let change = json!({"by": triage.by, "reason": triage.reason, "at": iso_millis(triage.at)});
    tell(c, routing, id, kind, triage.at, &alert.source, &change).map(Some)
}

/// Tells those who were told of an alert what became of it; how many notifications.
pub(super) fn tell(
    c: &Connection,
    routing: &dyn Routing,
    id: &Arc<str>,
    kind: Kind,
    at: DateTime<Utc>,
    alert: &Value,
    change: &Value,
) -> Result<usize, StateError> {
    let document = format!(r#"{{"alerts":[{alert}],"count":1,"change":{change}}}"#);
    let mut queued = 0;
    for earlier in super::outbox::earlier(c, id)? {
        if let Some(new) = routing.of_change(id, kind, at, &document, &earlier) {
            queued += usize::from(super::outbox::insert(c, &new)?);
        }
    }
    Ok(queued)
}

/// Adds and removes texts of a list; what really changed, with whether it was added.
fn edit(
    source: &mut Map<String, Value>,
    field: &str,
    add: &[String],
    remove: &[String],
) -> Vec<(bool, String)> {
    let mut done = Vec::new();
    if add.is_empty() && remove.is_empty() {
        return done;
    }
    let list = source.entry(field).or_insert_with(|| Value::Array(Vec::new()));
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    if let Value::Array(list) = list {
        for text in remove {
            let before = list.len();
            list.retain(|item| item != text);
            if list.len() < before {
                done.push((false, text.clone()));
            }
        }
        for text in add {
            if !list.iter().any(|item| item == text) {
                list.push(text.as_str().into());
                done.push((true, text.clone()));
            }
        }
    }
    done
}
