//! Making digests: what was held becomes one notification, in one transaction, before it is sent, so
//! that a crash in the middle repeats the same digest with the same key.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::super::{StateDb, StateError};
use super::{DeliveryState, Kind, NewNotification};
use crate::base::limits::DIGEST_ALERTS;

/// What is held together.
struct Batch {
    connector: String,
    batch: String,
    due: i64,
    route: String,
    first: i64,
    count: i64,
    from: i64,
    to: i64,
}

impl StateDb {
    /// Makes the digests that are due at `now`; returns how many.
    ///
    /// # Errors
    /// When the database cannot be written; then none was made.
    pub fn make_digests(&self, now: DateTime<Utc>) -> Result<usize, StateError> {
        let now = now.timestamp_millis();
        let ready = self.read(|c| {
            let mut statement =
                c.prepare_cached("SELECT 1 FROM outbox WHERE state = 'held' AND due <= ?1 LIMIT 1")?;
            Ok(statement.exists([now])?)
        })?;
        if !ready {
            return Ok(0);
        }
        let made = self.write(move |c| {
            let batches = batches(c, now)?;
            batches.iter().try_for_each(|batch| fold(c, batch, now))?;
            Ok(batches.len())
        })?;
        if made > 0 {
            self.queued();
        }
        Ok(made)
    }
}

fn batches(c: &Connection, now: i64) -> Result<Vec<Batch>, StateError> {
    let mut statement = c.prepare_cached(
        "SELECT connector, batch, due, min(route), min(number), count(*), min(created), max(created)
         FROM outbox WHERE state = 'held' AND due <= ?1 GROUP BY connector, batch, due ORDER BY min(number)",
    )?;
    let rows = statement.query_map([now], |row| {
        Ok(Batch {
            connector: row.get(0)?,
            batch: row.get(1)?,
            due: row.get(2)?,
            route: row.get(3)?,
            first: row.get(4)?,
            count: row.get(5)?,
            from: row.get(6)?,
            to: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn fold(c: &Connection, batch: &Batch, now: i64) -> Result<(), StateError> {
    let mut statement = c.prepare_cached(
        "SELECT document FROM outbox WHERE state = 'held' AND connector = ?1 AND batch = ?2 AND due = ?3
         ORDER BY number",
    )?;
    let mut rows = statement.query(params![batch.connector, batch.batch, batch.due])?;
    let (mut alerts, mut rules, mut severities) = (Vec::new(), Map::new(), Map::new());
    while let Some(row) = rows.next()? {
        let text: String = row.get::<_, Option<String>>(0)?.unwrap_or_default();
        let held: Value = serde_json::from_str(&text).map_err(|error| StateError::Damaged {
            what: "a held notification".to_owned(),
            reason: error.to_string(),
        })?;
        for alert in held.get("alerts").and_then(Value::as_array).into_iter().flatten() {
            count(&mut rules, alert, "kibana.alert.rule.name");
            count(&mut severities, alert, "kibana.alert.severity");
            if alerts.len() < DIGEST_ALERTS {
                alerts.push(alert.clone());
            }
        }
    }
    let document = json!({
        "alerts": alerts,
        "count": batch.count,
        "rules": rules,
        "severities": severities,
        "from": batch.from,
        "to": batch.to,
    });
    let mut hash = Sha256::new();
    for part in [&batch.connector, &batch.batch, &batch.due.to_string(), &batch.first.to_string()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let key = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    super::insert(
        c,
        &NewNotification {
            thread: format!("digest {key}"),
            key,
            connector: batch.connector.clone(),
            route: batch.route.clone(),
            kind: Kind::Digest,
            alert: "".into(),
            batch: batch.batch.clone(),
            created: now,
            due: now,
            hold: None,
            burst: None,
            silenced: None,
            document: document.to_string(),
        },
    )?;
    c.prepare_cached(
        "UPDATE outbox SET state = ?4, finished = ?5, document = NULL
         WHERE state = 'held' AND connector = ?1 AND batch = ?2 AND due = ?3",
    )?
    .execute(params![batch.connector, batch.batch, batch.due, DeliveryState::Folded.as_str(), now])?;
    Ok(())
}

fn count(counts: &mut Map<String, Value>, alert: &Value, field: &str) {
    let Some(name) = alert.get(field).and_then(Value::as_str) else { return };
    let before = counts.get(name).and_then(Value::as_u64).unwrap_or(0);
    counts.insert(name.to_owned(), (before + 1).into());
}
