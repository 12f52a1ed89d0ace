//! The turns of episodes: an alert recovers, or loses its data.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use serde_json::{Map, Value};

use super::alerts::read_alert;
use super::forward::{Forward, queue};
use super::triage::{Triage, apply, tell};
use super::{AlertUpdate, Kind, Routing, StateError, WorkflowStatus};
use crate::base::window::iso_millis;

/// An episode's alert whose state changed without a new alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The alert that opened the episode.
    pub alert: Arc<str>,
    /// What became of it: [`Kind::Recovered`] or [`Kind::InsufficientData`].
    pub kind: Kind,
    /// When.
    pub at: DateTime<Utc>,
    /// What is told, JSON: `at`, `since`, `from`, `to`.
    pub change: Value,
    /// Whether the alert is closed with it.
    pub close: bool,
}

impl Turn {
    /// What it changes of its alert.
    pub fn update(&self) -> AlertUpdate {
        let mut fields = Map::new();
        if self.kind == Kind::Recovered {
            fields.insert("kibana.alert.status".to_owned(), "recovered".into());
            fields.insert("kibana.alert.end".to_owned(), iso_millis(self.at).into());
        }
        if let Some(to) = self.change.get("to") {
            fields.insert("tocsin.episode.state".to_owned(), to.clone());
        }
        AlertUpdate { id: Arc::clone(&self.alert), fields }
    }
}

/// Writes a turn down and tells those who were told of the alert; how many notifications.
pub(super) fn write(
    c: &Connection,
    turn: &Turn,
    targets: &[Arc<str>],
    routing: Option<&dyn Routing>,
) -> Result<usize, StateError> {
    if turn.close {
        let triage = Triage {
            status: Some(WorkflowStatus::Closed),
            reason: Some("recovered".to_owned()),
            by: "tocsin".to_owned(),
            at: turn.at,
            ..Triage::default()
        };
        // The recovery is what is told; that it is closed with it needs no word of its own.
        apply(c, &turn.alert, &triage, targets, None)?;
        queue(
            c,
            targets,
            &turn.alert,
            &Forward::Status { status: WorkflowStatus::Closed, at: iso_millis(turn.at) },
        )?;
    }
    let Some(mut alert) = read_alert(c, &turn.alert)? else { return Ok(0) };
    let fields = turn.update().fields;
    if let Some(source) = alert.source.as_object_mut() {
        source.extend(fields.clone());
    }
    c.prepare_cached("UPDATE alerts SET document = ?2 WHERE id = ?1")?
        .execute(params![&*turn.alert, alert.source.to_string()])?;
    queue(c, targets, &turn.alert, &Forward::Update { fields })?;
    c.prepare_cached(
        "INSERT INTO alert_history (alert, at, who, what, detail) VALUES (?1, ?2, 'tocsin', 'episode', ?3)",
    )?
    .execute(params![&*turn.alert, turn.at.timestamp_millis(), turn.kind.as_str()])?;
    match routing {
        Some(routing) => tell(c, routing, &turn.alert, turn.kind, turn.at, &alert.source, &turn.change),
        None => Ok(0),
    }
}
