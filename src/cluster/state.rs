//! Rule state, the backlog and the execution log in indices of a cluster.
//!
//! One request cannot write several documents at once or not at all, so order does it: alerts come
//! first, under ids that make a second writing harmless; then what waits, then the rules' states,
//! then the log. A runner that dies in between has lost nothing but the knowledge that it ran.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::bulk::{Bulk, Item, Place, Written};
use super::names::Names;
use crate::alert::id::hex;
use crate::base::intervals::Interval;
use crate::base::window::iso_millis;
use crate::ecs::document::Document;
use crate::elastic::{Client, ElasticError, Request, segment};
use crate::store::state::{
    AlertSink, BacklogEntry, Created, ExecutionCommit, ExecutionQuery, ExecutionRecord, Memory, RuleState,
    StateError, StateStore, Status, Turn,
};

/// Documents of one page.
const PAGE: usize = 500;
/// How often a state that someone else writes at the same time is written again.
const CONFLICTS: usize = 3;

/// The mapping of the state index.
pub(super) fn mapping() -> Value {
    json!({"dynamic": false, "properties": {
        "type": {"type": "keyword"},
        "rule": {"type": "keyword"},
        "key": {"type": "keyword"},
        "position": {"type": "long"},
        "payload": {"type": "object", "enabled": false},
    }})
}

/// What is known of a rule's state that is there.
#[derive(Debug, Clone, Copy)]
struct Version {
    place: Place,
    /// The token it was written under.
    fence: i64,
}

/// State in a cluster, with alerts wherever the sink puts them.
pub struct ClusterState {
    client: Arc<Client>,
    names: Names,
    alerts: Arc<dyn AlertSink>,
    /// Versions of the rules' states as they were read or written last.
    versions: Mutex<HashMap<String, Version>>,
}

impl std::fmt::Debug for ClusterState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterState").field("names", &self.names).finish_non_exhaustive()
    }
}

/// A candidate that waits, as it is stored.
#[derive(Serialize, Deserialize)]
struct Waiting {
    alert: String,
    since: i64,
    position: i64,
    event_time: i64,
    index: String,
    id: String,
    source: Value,
}

/// A value that an execution put down, as it is stored.
#[derive(Serialize, Deserialize)]
struct Remembered {
    key: String,
    value: String,
}

pub(super) fn rule_key(rule: &str) -> String {
    format!("rule:{rule}")
}

fn waiting_key(rule: &str, alert: &str) -> String {
    format!("waiting:{rule}:{alert}")
}

/// Ids are bounded, keys of memory are not.
fn memory_key(rule: &str, key: &str) -> String {
    format!("memory:{rule}:{}", hex(&Sha256::digest(key)))
}

impl ClusterState {
    /// State in the indices of `names`; `alerts` is where an execution's alerts go first.
    pub fn new(client: Arc<Client>, names: Names, alerts: Arc<dyn AlertSink>) -> Self {
        Self { client, names, alerts, versions: Mutex::new(HashMap::new()) }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The state index.
    pub(super) fn index(&self) -> &str {
        &self.names.state
    }

    /// All documents that `filter` asks for, in the order of `sort`, then of their keys.
    pub(super) async fn all(
        &self,
        filter: Value,
        sort: Option<&str>,
    ) -> Result<Vec<(Value, Place)>, ElasticError> {
        let mut order: Vec<Value> = sort.map(|field| json!({field: {"order": "asc"}})).into_iter().collect();
        order.push(json!({"key": {"order": "asc"}}));
        let mut found = Vec::new();
        let mut after: Option<Value> = None;
        loop {
            let mut body = json!({
                "size": PAGE,
                "query": {"bool": {"filter": filter}},
                "sort": order,
                "seq_no_primary_term": true,
                "track_total_hits": false,
            });
            if let (Some(after), Some(body)) = (after.take(), body.as_object_mut()) {
                body.insert("search_after".to_owned(), after);
            }
            let request = Request::read(format!("/{}/_search", segment(&self.names.state)))
                .query("allow_partial_search_results", "false")
                .json(&body);
            let answer = self.client.json(&request).await?;
            let hits = answer.pointer("/hits/hits").and_then(Value::as_array).cloned().unwrap_or_default();
            let full = hits.len() >= PAGE;
            after = hits.last().and_then(|hit| hit.get("sort")).cloned();
            for mut hit in hits {
                let number = |key: &str| hit.get(key).and_then(Value::as_i64).unwrap_or_default();
                let place = Place { seq_no: number("_seq_no"), primary_term: number("_primary_term") };
                let payload = hit.pointer_mut("/_source/payload").map(Value::take).unwrap_or_default();
                found.push((payload, place));
            }
            if !full || after.is_none() {
                return Ok(found);
            }
        }
    }

    pub(super) fn advised(error: &ElasticError) -> StateError {
        StateError::Remote(match error.status() {
            Some(404) => format!("{error}; `tocsin setup` makes what is missing"),
            _ => error.to_string(),
        })
    }

    pub(super) fn damaged(what: &str, error: &serde_json::Error) -> StateError {
        StateError::Damaged { what: what.to_owned(), reason: error.to_string() }
    }

    pub(super) fn document(
        kind: &str,
        rule: &str,
        key: &str,
        position: i64,
        payload: &impl Serialize,
    ) -> String {
        json!({"type": kind, "rule": rule, "key": key, "position": position, "payload": payload}).to_string()
    }

    fn waiting(entry: &BacklogEntry) -> Item {
        let key = waiting_key(&entry.rule, &entry.alert);
        let payload = Waiting {
            alert: entry.alert.to_string(),
            since: entry.since,
            position: entry.position,
            event_time: entry.event_time,
            index: entry.document.index.to_string(),
            id: entry.document.id.to_string(),
            source: Value::clone(&entry.document.source),
        };
        // One that waits already keeps the time since which it waits.
        Item {
            action: json!({"create": {"_id": key}}),
            body: Some(Self::document("waiting", &entry.rule, &key, entry.position, &payload)),
        }
    }

    fn memory(rule: &str, memory: &Memory) -> Item {
        let key = memory_key(rule, &memory.key);
        match &memory.value {
            None => Item { action: json!({"delete": {"_id": key}}), body: None },
            Some(value) => {
                let payload = Remembered { key: memory.key.clone(), value: value.clone() };
                Item {
                    action: json!({"index": {"_id": key}}),
                    body: Some(Self::document("memory", rule, &key, 0, &payload)),
                }
            }
        }
    }

    fn log(&self, record: &ExecutionRecord) -> Item {
        let action = json!({"create": {
            "_index": self.names.executions, "_id": record.execution_id, "require_alias": true,
        }});
        let document = super::executions::document(record, &self.names.alerts.space);
        Item { action, body: Some(document.to_string()) }
    }

    fn bulk(&self) -> Bulk<'_> {
        Bulk { client: &self.client, index: &self.names.state, require_alias: false, repeatable: true }
    }

    fn version(&self, rule: &str) -> Option<Version> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).get(rule).copied()
    }

    /// Notes under which version a rule's state is there.
    pub(super) fn remember(&self, state: &RuleState, place: Place) {
        let version = Version { place, fence: state.fence };
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).insert(state.rule.clone(), version);
    }

    /// Writes rules' states, each under the version that is known of it. Where someone else wrote
    /// in between, the runner with the higher fence has the say. Returns why states could not be
    /// written, by rule.
    async fn write_states(&self, states: Vec<RuleState>) -> Result<HashMap<String, String>, ElasticError> {
        let mut failed = HashMap::new();
        let mut waiting = states;
        for _ in 0..CONFLICTS {
            // That a version is known does not mean that what is written builds on it: this runner may
            // have claimed the rule again, or read all states, since the execution began.
            waiting.retain(|ours| {
                let fenced = self.version(&ours.rule).is_some_and(|known| known.fence > ours.fence);
                if fenced {
                    let error = StateError::Fenced { rule: ours.rule_id.clone() };
                    failed.insert(ours.rule.clone(), error.to_string());
                }
                !fenced
            });
            if waiting.is_empty() {
                return Ok(failed);
            }
            let items: Vec<Item> = waiting
                .iter()
                .map(|state| {
                    let key = rule_key(&state.rule);
                    let action = match self.version(&state.rule) {
                        Some(Version { place, .. }) => json!({"index": {
                            "_id": key, "if_seq_no": place.seq_no, "if_primary_term": place.primary_term,
                        }}),
                        None => json!({"create": {"_id": key}}),
                    };
                    Item { action, body: Some(Self::document("rule", &state.rule, &key, 0, state)) }
                })
                .collect();
            // Sent twice it would conflict with itself.
            let bulk = Bulk { repeatable: false, ..self.bulk() };
            let written = bulk.write(&items).await?;
            let mut again = Vec::new();
            for (state, written) in waiting.into_iter().zip(written) {
                match written {
                    Written::Done(place) => self.remember(&state, place),
                    Written::Conflict => again.push(state),
                    Written::Refused(refusal) => {
                        failed.insert(state.rule, refusal.to_string());
                    }
                }
            }
            if !again.is_empty() {
                let rules: Vec<&str> = again.iter().map(|state| state.rule.as_str()).collect();
                let filter = json!([{"term": {"type": "rule"}}, {"terms": {"rule": rules}}]);
                let there = self.all(filter, None).await?;
                for (payload, place) in there {
                    let Ok(theirs) = serde_json::from_value::<RuleState>(payload) else { continue };
                    self.remember(&theirs, place);
                }
            }
            waiting = again;
        }
        for state in waiting {
            failed.insert(state.rule, "another runner writes the state of this rule all the time".to_owned());
        }
        Ok(failed)
    }

    /// Creates the alerts of all executions, and counts in each what became of its own.
    async fn write_alerts(&self, executions: &mut [ExecutionCommit]) -> Result<(), StateError> {
        let alerts: Vec<_> =
            executions.iter_mut().flat_map(|execution| execution.alerts.iter().cloned()).collect();
        if alerts.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let mut created = self.alerts.create(alerts).await?.into_iter();
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        for execution in executions {
            execution.record.timings.write_ms = took;
            let own: Vec<Created> = created.by_ref().take(execution.alerts.len()).collect();
            count(execution, own);
        }
        Ok(())
    }
}

/// Counts what became of an execution's alerts.
fn count(execution: &mut ExecutionCommit, created: Vec<Created>) {
    let record = &mut execution.record;
    let mut failed: Vec<String> = Vec::new();
    for (alert, result) in execution.alerts.iter().zip(created) {
        match result {
            Created::New => {}
            Created::Duplicate if !alert.counted => {}
            Created::Reduced(why) => {
                record.warnings.push(why);
                if record.status == Status::Succeeded {
                    record.status = Status::PartialFailure;
                }
            }
            Created::Duplicate => {
                record.alerts = record.alerts.saturating_sub(1);
                record.duplicates += 1;
            }
            Created::Failed(why) => failed.push(why),
        }
    }
    let Some(first) = failed.first() else { return };
    // Nothing came of these; the next execution that sees the event tries again.
    let lost = u64::try_from(failed.len()).unwrap_or(u64::MAX);
    record.alerts = record.alerts.saturating_sub(lost);
    record.candidates = record.candidates.saturating_sub(lost);
    record.status = Status::Failed;
    record.error = Some(format!("{lost} alerts could not be written: {first}"));
    execution.settled.clear();
    if let Some(state) = &mut execution.state {
        state.status = Status::Failed;
        state.failures = state.failures.saturating_add(1);
        // What was searched counts only once its alerts are durable.
        let ms = |text: &Option<String>| {
            text.as_deref()
                .and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok())
                .map(|at| at.timestamp_millis())
        };
        if let (Some(from), Some(to)) = (ms(&record.from), ms(&record.to)) {
            state.ledger.retract(Interval::new(from, to.saturating_add(1)));
        }
    }
}

#[async_trait]
impl StateStore for ClusterState {
    async fn rule_states(&self) -> Result<HashMap<String, RuleState>, StateError> {
        let found = self
            .all(json!([{"term": {"type": "rule"}}]), None)
            .await
            .map_err(|error| Self::advised(&error))?;
        let mut states = HashMap::new();
        for (payload, place) in found {
            let state: RuleState =
                serde_json::from_value(payload).map_err(|error| Self::damaged("state of a rule", &error))?;
            self.remember(&state, place);
            states.insert(state.rule.clone(), state);
        }
        Ok(states)
    }

    async fn backlog_rules(&self) -> Result<HashSet<String>, StateError> {
        let mut rules = HashSet::new();
        let mut after: Option<Value> = None;
        loop {
            let mut composite = json!({"size": 1_000, "sources": [{"rule": {"terms": {"field": "rule"}}}]});
            if let (Some(after), Some(composite)) = (after.take(), composite.as_object_mut()) {
                composite.insert("after".to_owned(), after);
            }
            let body = json!({
                "size": 0,
                "query": {"bool": {"filter": [{"term": {"type": "waiting"}}]}},
                "aggs": {"rules": {"composite": composite}},
                "track_total_hits": false,
            });
            let request = Request::read(format!("/{}/_search", segment(&self.names.state)))
                .query("allow_partial_search_results", "false")
                .json(&body);
            let answer = self.client.json(&request).await.map_err(|error| Self::advised(&error))?;
            let buckets = answer.pointer("/aggregations/rules/buckets").and_then(Value::as_array);
            let keys =
                buckets.into_iter().flatten().filter_map(|bucket| bucket.pointer("/key/rule")?.as_str());
            rules.extend(keys.map(str::to_owned));
            after = answer.pointer("/aggregations/rules/after_key").cloned();
            if after.is_none() {
                return Ok(rules);
            }
        }
    }

    async fn backlog(&self, rule: &str) -> Result<Vec<BacklogEntry>, StateError> {
        let filter = json!([{"term": {"type": "waiting"}}, {"term": {"rule": rule}}]);
        let found = self.all(filter, Some("position")).await.map_err(|error| Self::advised(&error))?;
        found
            .into_iter()
            .map(|(payload, _)| {
                let entry: Waiting = serde_json::from_value(payload)
                    .map_err(|error| Self::damaged("a waiting candidate", &error))?;
                Ok(BacklogEntry {
                    rule: rule.into(),
                    alert: entry.alert.into(),
                    since: entry.since,
                    position: entry.position,
                    event_time: entry.event_time,
                    document: Document::new(entry.index, entry.id, entry.source),
                })
            })
            .collect()
    }

    async fn memory(&self, rule: &str) -> Result<HashMap<String, String>, StateError> {
        let filter = json!([{"term": {"type": "memory"}}, {"term": {"rule": rule}}]);
        let found = self.all(filter, None).await.map_err(|error| Self::advised(&error))?;
        found
            .into_iter()
            .map(|(payload, _)| {
                let entry: Remembered = serde_json::from_value(payload)
                    .map_err(|error| Self::damaged("memory of a rule", &error))?;
                Ok((entry.key, entry.value))
            })
            .collect()
    }

    async fn commit(&self, mut executions: Vec<ExecutionCommit>) -> Result<Vec<ExecutionRecord>, StateError> {
        self.write_alerts(&mut executions).await?;
        let mut updates: Vec<_> =
            executions.iter_mut().flat_map(|e| std::mem::take(&mut e.updates)).collect();
        updates.extend(executions.iter().flat_map(|execution| execution.turns.iter().map(Turn::update)));
        if !updates.is_empty() {
            self.alerts.update(updates).await?;
        }
        let mut items = Vec::new();
        for execution in &executions {
            let rule = &execution.record.rule_uuid;
            items.extend(execution.kept.iter().map(Self::waiting));
            items.extend(execution.memory.iter().map(|memory| Self::memory(rule, memory)));
            items.extend(execution.settled.iter().map(|alert| Item {
                action: json!({"delete": {"_id": waiting_key(rule, alert)}}),
                body: None,
            }));
        }
        let written = self.bulk().write(&items).await.map_err(|error| Self::advised(&error))?;
        if let Some(refusal) = written.iter().find_map(|written| match written {
            // What is to be forgotten may be gone already.
            Written::Refused(refusal) if refusal.kind.is_some() || refusal.status != 404 => Some(refusal),
            _ => None,
        }) {
            return Err(StateError::Remote(refusal.to_string()));
        }
        let states = executions.iter().filter_map(|execution| execution.state.clone()).collect();
        let failed = self.write_states(states).await.map_err(|error| Self::advised(&error))?;
        let mut records: Vec<ExecutionRecord> =
            executions.into_iter().map(|execution| execution.record).collect();
        for record in &mut records {
            if let Some(why) = failed.get(&record.rule_uuid) {
                record.status = Status::Failed;
                record.error = Some(why.clone());
            }
        }
        let log: Vec<Item> = records.iter().map(|record| self.log(record)).collect();
        for written in self.bulk().write(&log).await.map_err(|error| Self::advised(&error))? {
            if let Written::Refused(refusal) = written {
                return Err(StateError::Remote(format!("the execution log cannot be written: {refusal}")));
            }
        }
        Ok(records)
    }

    async fn claim(
        &self,
        rules: &[(Arc<str>, Arc<str>)],
        fence: i64,
    ) -> Result<HashMap<String, RuleState>, StateError> {
        self.claim_rules(rules, fence).await
    }

    async fn executions(&self, query: &ExecutionQuery) -> Result<Vec<ExecutionRecord>, StateError> {
        let mut filter = Vec::new();
        if let Some(rule) = &query.rule {
            filter.push(json!({"term": {"rule.id": rule}}));
        }
        if let Some(status) = query.status {
            filter.push(json!({"term": {"kibana.alert.rule.execution.status": status.as_str()}}));
        }
        if let Some(from) = query.from {
            filter.push(json!({"range": {"@timestamp": {"gte": iso_millis(from)}}}));
        }
        let wanted = query.size.unwrap_or(usize::MAX);
        let mut records = Vec::new();
        let mut after: Option<Value> = None;
        while records.len() < wanted {
            let size = PAGE.min(wanted - records.len());
            let mut body = json!({
                "size": size,
                "query": {"bool": {"filter": filter}},
                "_source": ["tocsin_record"],
                "sort": [
                    {"@timestamp": {"order": "desc", "unmapped_type": "date"}},
                    {"kibana.alert.rule.execution.uuid": {"order": "desc", "unmapped_type": "keyword"}},
                ],
                "track_total_hits": false,
            });
            if let (Some(after), Some(body)) = (after.take(), body.as_object_mut()) {
                body.insert("search_after".to_owned(), after);
            }
            let request = Request::read(format!("/{}/_search", segment(&self.names.executions)))
                .query("ignore_unavailable", "true")
                .query("allow_partial_search_results", "false")
                .json(&body);
            let answer = self.client.json(&request).await.map_err(|error| Self::advised(&error))?;
            let hits = answer.pointer("/hits/hits").and_then(Value::as_array).cloned().unwrap_or_default();
            let full = hits.len() >= size;
            after = hits.last().and_then(|hit| hit.get("sort")).cloned();
            for mut hit in hits {
                let record = hit.pointer_mut("/_source/tocsin_record").map(Value::take).unwrap_or_default();
                records.push(
                    serde_json::from_value(record)
                        .map_err(|error| Self::damaged("an execution's log entry", &error))?,
                );
            }
            if !full || after.is_none() {
                break;
            }
        }
        Ok(records)
    }
}
