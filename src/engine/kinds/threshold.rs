//! `threshold`: groups of events that are large enough, each event counted once.
//!
//! A group that was alerted on is remembered with the times of its first and last event; events in
//! between do not count again, so that others have to reach the threshold by themselves, whether
//! they come later or belong to a window that is searched late.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Findings, Found};
use crate::alert::build::alert_id;
use crate::alert::evidence::Evidence;
use crate::alert::id::{hex, threshold_bucket};
use crate::alert::lookup::lookup;
use crate::alert::object_hash::{Hashable, object_hash};
use crate::alert::rule_fields::RuleFields;
use crate::backend::{AggregateRequest, Bucket, BucketKey, Counted, KeyValue, Scope};
use crate::base::window::iso_millis;
use crate::ecs::document::Document;
use crate::engine::cap::Candidate;
use crate::engine::execution::Task;
use crate::engine::run::Engine;
use crate::engine::settings::Trigger;
use crate::engine::stages::Stages;
use crate::engine::unwind::caught;
use crate::rule::compiled::ThresholdPlan;
use crate::store::state::{AlertQuery, Memory};

/// Key of the memory that says that a history is kept at all.
const KEPT: &str = "threshold";
/// What the keys of groups begin with.
const GROUP: &str = "threshold:";

/// Groups that were alerted on and may still have events in a window.
#[derive(Debug, Default)]
pub(in crate::engine) struct History {
    /// By key.
    kept: BTreeMap<String, Entry>,
    /// Changes to what is put down that do not depend on candidates.
    changes: Vec<Memory>,
    /// By the id of the candidate that alerts on it.
    new: Vec<(Arc<str>, String, Entry)>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// Time of the first event that was counted, ms.
    first: i64,
    /// Time of the last, ms.
    last: i64,
    /// Its values, in the order of the fields.
    values: Vec<Value>,
}

impl History {
    /// The changes of the history, with the groups whose candidates were not left out.
    pub(super) fn settle(self, left_out: &HashSet<Arc<str>>) -> Vec<Memory> {
        let mut changes = self.changes;
        for (alert, key, entry) in self.new {
            if !left_out.contains(&alert) {
                changes.push(put_down(&key, &entry));
            }
        }
        changes
    }
}

fn put_down(key: &str, entry: &Entry) -> Memory {
    Memory { key: format!("{GROUP}{key}"), value: serde_json::to_string(entry).ok() }
}

pub(super) async fn find(
    engine: &Engine,
    task: &Task,
    plan: &Arc<ThresholdPlan>,
    stages: &mut Stages<'_>,
) -> Result<Found, String> {
    let mut history = history(engine, task, plan).await?;
    let mapping = caught(engine.backend.mapping(&task.plan.request.indices)).await?;
    let mapping = mapping.map_err(|error| error.to_string())?;
    let counted: Arc<[Counted]> = history
        .kept
        .values()
        .filter_map(|entry| {
            let fields = plan.fields.iter().map(|name| mapping.resolve(name));
            let key: Option<BucketKey> = fields
                .zip(&entry.values)
                .map(|(field, value)| crate::backend::aggregate::key_of(field.as_ref()?, value))
                .collect();
            Some(Counted { key: key?, first: entry.first, last: entry.last })
        })
        .collect();
    let mut request = AggregateRequest::new(Scope::of(&task.plan.request), Arc::clone(&plan.fields));
    request.counted = counted;
    request.min_count = plan.value;
    request.cardinality =
        plan.cardinality.as_ref().map(|least| (Arc::from(least.field.as_str()), least.value));
    let mut buckets = Vec::new();
    let indices = loop {
        let page =
            caught(engine.backend.aggregate(request.clone())).await?.map_err(|error| error.to_string())?;
        buckets.extend(page.buckets);
        match page.after {
            Some(after) => request.after = Some(after),
            None => break page.indices,
        }
    };
    // The oldest first: they are what the cap lets through.
    buckets.sort_by_key(|bucket| bucket.last);
    let slot = task.due.slot;
    let patterns = task.plan.request.indices.join(",");
    let mut candidates = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        let candidate = candidate(&stages.rule, plan, &bucket, slot, &patterns);
        let values = bucket.key.iter().map(KeyValue::json).collect();
        let entry = Entry { first: bucket.first, last: bucket.last, values };
        history.new.push((Arc::clone(&candidate.alert), entry_key(plan, &entry), entry));
        candidates.push(candidate);
    }
    stages.take(move |_| candidates).await?;
    Ok(Found { indices, memory: Findings::Threshold(history), missing: None })
}

fn candidate(
    rule: &RuleFields,
    plan: &ThresholdPlan,
    bucket: &Bucket,
    slot: DateTime<chrono::Utc>,
    patterns: &str,
) -> Candidate {
    let fields: Vec<&str> = plan.fields.iter().map(|field| &**field).collect();
    let texts: Vec<String> = bucket.key.iter().map(KeyValue::text).collect();
    let values: Vec<&str> = texts.iter().map(String::as_str).collect();
    let id = threshold_bucket(&rule.rule.rule_id, slot, &fields, &values);
    let time = |ms| DateTime::from_timestamp_millis(ms).map_or(Value::Null, |at| iso_millis(at).into());
    let mut source = Map::new();
    source.insert("@timestamp".to_owned(), time(bucket.last));
    let mut terms = Vec::new();
    for (field, value) in plan.fields.iter().zip(bucket.key.iter()) {
        source.insert(field.to_string(), value.json());
        terms.push(json!({"field": &**field, "value": value.json()}));
    }
    let mut result = json!({"terms": terms, "count": bucket.count, "from": time(bucket.first)});
    if let (Some(least), Some(distinct), Some(result)) =
        (&plan.cardinality, bucket.distinct, result.as_object_mut())
    {
        result.insert("cardinality".to_owned(), json!([{"field": least.field, "value": distinct}]));
    }
    let mut added = Map::new();
    added.insert("kibana.alert.threshold_result".to_owned(), result);
    let document = Document::new(patterns, id, Value::Object(source));
    let alert = match rule.rule.alert_suppression {
        None => alert_id(rule, &document.index, &document.id),
        Some(_) => {
            let parts = [document.index.as_ref(), document.id.as_ref(), rule.id_part.as_str()];
            object_hash(&Hashable::Array(parts.map(Hashable::from).to_vec())).into()
        }
    };
    Candidate {
        alert,
        evidence: Evidence::Hit { document, added },
        position: bucket.last,
        event_time: bucket.last,
        span: (bucket.first, bucket.last),
    }
}

/// What an alert on a group is remembered by.
fn entry_key(plan: &ThresholdPlan, entry: &Entry) -> String {
    use sha2::{Digest as _, Sha256};
    let text = |value: &Value| crate::alert::lookup::text(value).unwrap_or_default();
    let mut parts: Vec<String> = plan
        .fields
        .iter()
        .zip(&entry.values)
        .map(|(field, value)| format!("{field}:{}", text(value)))
        .collect();
    parts.sort();
    format!("{}:{}", hex(&Sha256::digest(parts.join(","))), entry.first)
}

/// What was alerted on within the window: as it was put down, or, where that is lost, as the
/// rule's alerts say.
async fn history(engine: &Engine, task: &Task, plan: &Arc<ThresholdPlan>) -> Result<History, String> {
    let from = task.plan.window.from.timestamp_millis();
    let memory = caught(engine.state.memory(&task.uuid)).await?.map_err(|error| error.to_string())?;
    let mut history = History::default();
    let groups = memory.iter().filter_map(|(key, value)| Some((key.strip_prefix(GROUP)?, value)));
    let groups: BTreeMap<&str, &String> = groups.collect();
    let scheduled = task.due.trigger(engine.settings.trigger) == Trigger::Scheduled;
    for (key, value) in groups {
        match serde_json::from_str::<Entry>(value) {
            Ok(entry) if entry.last >= from && entry.values.len() == plan.fields.len() => {
                history.kept.insert(key.to_owned(), entry);
            }
            // No later window on the schedule reaches back to it.
            Ok(_) if scheduled => history.changes.push(Memory { key: format!("{GROUP}{key}"), value: None }),
            _ => {}
        }
    }
    // A window that is not the schedule's next may lie where nothing is remembered any more.
    if !memory.contains_key(KEPT) || !scheduled {
        for (key, entry) in from_alerts(engine, task, plan).await? {
            if entry.last >= from && !history.kept.contains_key(&key) {
                history.changes.push(put_down(&key, &entry));
                history.kept.insert(key, entry);
            }
        }
        history.changes.push(Memory { key: KEPT.to_owned(), value: Some("1".to_owned()) });
    }
    Ok(history)
}

async fn from_alerts(
    engine: &Engine,
    task: &Task,
    plan: &Arc<ThresholdPlan>,
) -> Result<BTreeMap<String, Entry>, String> {
    let query =
        AlertQuery { rule: Some(task.uuid.to_string()), building_blocks: true, ..AlertQuery::default() };
    let alerts = caught(engine.alerts.find(&query)).await?.map_err(|error| error.to_string())?;
    let mut entries = BTreeMap::new();
    for alert in alerts {
        let Some(terms) =
            lookup(&alert.source, "kibana.alert.threshold_result.terms").and_then(Value::as_array)
        else {
            continue;
        };
        let time = |name: &str| {
            let text = lookup(&alert.source, name).and_then(Value::as_str)?;
            DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis())
        };
        let (Some(first), Some(last)) =
            (time("kibana.alert.threshold_result.from"), time("kibana.alert.original_time"))
        else {
            continue;
        };
        let values: Option<Vec<Value>> = plan
            .fields
            .iter()
            .map(|field| {
                let term = terms.iter().find(|t| t.get("field").and_then(Value::as_str) == Some(&**field))?;
                term.get("value").cloned()
            })
            .collect();
        let Some(values) = values else { continue };
        let entry = Entry { first, last, values };
        entries.insert(entry_key(plan, &entry), entry);
    }
    Ok(entries)
}
