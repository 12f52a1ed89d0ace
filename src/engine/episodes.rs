//! The life of what a rule with `[lifecycle]` alerts on: each group of its alerts has an episode,
//! and each scheduled execution is a period of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Value, json};

use super::run::{Due, Engine};
use super::unwind::caught;
use crate::alert::episode::{Episode, Lifecycle, Point, State};
use crate::alert::lookup::{lookup, texts};
use crate::base::window::iso_millis;
use crate::rule::model::Rule;
use crate::store::state::{AlertRow, AlertUpdate, ExecutionRecord, Kind, Memory, Status, Turn};

/// What the keys of episodes in a rule's memory begin with.
const KEY: &str = "episode ";
/// Most episodes of a rule that are followed at once.
const MOST: usize = 10_000;

/// How a rule's episodes are judged; `None`: it has none.
///
/// # Errors
/// When its `[lifecycle]` cannot be read.
pub(super) fn lifecycle(rule: &Rule) -> Result<Option<Lifecycle>, String> {
    let Some(table) = rule.tables.get("lifecycle") else { return Ok(None) };
    let read: Lifecycle = serde_json::from_value(table).map_err(|error| format!("[lifecycle]: {error}"))?;
    match read.wrong() {
        Some(why) => Err(format!("[lifecycle]: {why}")),
        None => Ok(Some(read)),
    }
}

/// The group of an alert: what a threshold rule groups by; one for all other rules.
fn group(alert: &Value) -> String {
    let terms = lookup(alert, "kibana.alert.threshold_result.terms").and_then(Value::as_array);
    let part = |term: &Value, name: &str| texts(term, name).join(",");
    let terms =
        terms.into_iter().flatten().map(|term| format!("{}={}", part(term, "field"), part(term, "value")));
    terms.collect::<Vec<_>>().join("\u{1f}")
}

impl Engine {
    /// Takes the episodes of a rule one period further: marks its new alerts, puts down what is to be
    /// remembered, and returns what has to be told beside them.
    pub(super) async fn episodes(
        &self,
        due: &Due,
        uuid: &Arc<str>,
        record: &mut ExecutionRecord,
        alerts: &mut [AlertRow],
        updates: &[AlertUpdate],
        memory: &mut Vec<Memory>,
    ) -> Vec<Turn> {
        let lifecycle = match lifecycle(&due.rule) {
            Ok(Some(lifecycle)) => lifecycle,
            Ok(None) => return Vec::new(),
            Err(error) => {
                record.warnings.push(error);
                return Vec::new();
            }
        };
        // What is looked at again, or was missed, says nothing about now.
        if due.errand.is_some() {
            return Vec::new();
        }
        let remembered = match caught(self.state.memory(uuid)).await {
            Ok(Ok(remembered)) => remembered,
            Ok(Err(error)) => {
                record.warnings.push(format!("episodes cannot be read: {error}"));
                return Vec::new();
            }
            Err(error) => {
                record.warnings.push(format!("episodes cannot be read: {error}"));
                return Vec::new();
            }
        };
        turn(due.slot.timestamp_millis(), record.status, &lifecycle, &remembered, alerts, updates, memory)
    }
}

/// One period of all episodes of a rule.
fn turn(
    slot: i64,
    status: Status,
    lifecycle: &Lifecycle,
    remembered: &HashMap<String, String>,
    alerts: &mut [AlertRow],
    updates: &[AlertUpdate],
    memory: &mut Vec<Memory>,
) -> Vec<Turn> {
    let mut episodes: BTreeMap<String, Episode> = remembered
        .iter()
        .filter_map(|(key, value)| {
            Some((key.strip_prefix(KEY)?.to_owned(), serde_json::from_str(value).ok()?))
        })
        .collect();
    let mut documents: Vec<Value> =
        alerts.iter().map(|alert| serde_json::from_str(&alert.document).unwrap_or_default()).collect();
    let groups: Vec<String> = documents.iter().map(group).collect();
    for group in &groups {
        if episodes.len() < MOST {
            episodes.entry(group.clone()).or_default();
        }
    }
    let quiet = match status {
        Status::Succeeded | Status::PartialFailure => Point::Fine,
        Status::Failed | Status::NoDataSource | Status::NotRun => Point::Missing,
    };
    let mut turns = Vec::new();
    for (group, episode) in &mut episodes {
        let own = groups.iter().position(|one| one == group);
        let goes_on = updates.iter().any(|update| episode.alert.as_deref() == Some(&*update.id));
        let point = if own.is_some() || goes_on { Point::Breaching } else { quiet };
        let opened = episode.alert.clone();
        let change = episode.observe(slot, point, lifecycle);
        let begins = change.is_some_and(|change| change.to == State::Alarm);
        if begins && let Some(alert) = own.and_then(|place| alerts.get(place)) {
            episode.alert = Some(alert.id.to_string());
        }
        if let (Some(change), Some(alert)) = (change, opened) {
            let kind = match change.to {
                State::Ok => Some(Kind::Recovered),
                State::InsufficientData => Some(Kind::InsufficientData),
                State::Alarm => None,
            };
            if let (Some(kind), Some(at)) = (kind, DateTime::from_timestamp_millis(slot)) {
                let since = DateTime::from_timestamp_millis(change.since).map(iso_millis);
                turns.push(Turn {
                    alert: alert.into(),
                    kind,
                    at,
                    change: json!({"at": iso_millis(at), "since": since, "from": change.from, "to": change.to}),
                    close: lifecycle.auto_close && kind == Kind::Recovered,
                });
            }
        }
        if episode.state == State::Ok {
            episode.alert = None;
        }
        // Of an alarm, the alert that opened it is told, and no other.
        let mut first = begins;
        for (place, _) in groups.iter().enumerate().filter(|(_, one)| *one == group) {
            if let Some(Value::Object(document)) = documents.get_mut(place) {
                document.insert("kibana.alert.instance.id".to_owned(), group.replace('\u{1f}', ", ").into());
                document.insert("tocsin.episode.state".to_owned(), json!(episode.state));
                document.insert("tocsin.episode.told".to_owned(), std::mem::take(&mut first).into());
            }
        }
    }
    for (alert, document) in alerts.iter_mut().zip(&documents) {
        if document.is_object() {
            alert.document = document.to_string();
        }
    }
    memory.extend(episodes.into_iter().map(|(group, episode)| Memory {
        key: format!("{KEY}{group}"),
        value: if episode.is_over() { None } else { serde_json::to_string(&episode).ok() },
    }));
    turns
}
