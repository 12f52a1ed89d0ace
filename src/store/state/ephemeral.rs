//! State in memory, for executions that leave nothing behind: tests of rules.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    AlertQuery, AlertRow, AlertSink, AlertUpdate, BacklogEntry, Created, ExecutionCommit, ExecutionQuery,
    ExecutionRecord, Lookup, RuleState, StateError, StateStore, StoredAlert, WorkflowStatus,
};
use crate::base::window::iso_millis;

/// State and alerts in memory.
#[derive(Debug, Default)]
pub struct EphemeralState(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    states: HashMap<String, RuleState>,
    memory: HashMap<String, HashMap<String, String>>,
    backlog: BTreeMap<(String, Arc<str>), BacklogEntry>,
    records: Vec<ExecutionRecord>,
    /// In the order they were made.
    alerts: Vec<(AlertRow, StoredAlert)>,
}

impl EphemeralState {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn create(&mut self, alert: AlertRow) -> Created {
        if self.alerts.iter().any(|(known, _)| known.id == alert.id) {
            return Created::Duplicate;
        }
        let source = serde_json::from_str(&alert.document).unwrap_or_default();
        let stored = StoredAlert {
            id: Arc::clone(&alert.id),
            space: Arc::clone(&alert.space),
            status: WorkflowStatus::Open.as_str().to_owned(),
            source,
        };
        self.alerts.push((alert, stored));
        Created::New
    }

    fn change(&mut self, id: &str, edit: impl Fn(&mut StoredAlert)) -> usize {
        let found = self.alerts.iter_mut().filter(|(alert, _)| *alert.id == *id);
        found.map(|(_, stored)| edit(stored)).count()
    }

    fn update(&mut self, update: AlertUpdate) {
        self.change(&update.id, |stored| {
            if let Some(source) = stored.source.as_object_mut() {
                source.extend(update.fields.clone());
            }
        });
    }

    fn commit(&mut self, execution: ExecutionCommit) -> ExecutionRecord {
        let ExecutionCommit { mut record, alerts, updates, state, kept, settled, memory, turns } = execution;
        for alert in alerts {
            let counted = alert.counted;
            if self.create(alert) == Created::Duplicate && counted {
                record.alerts = record.alerts.saturating_sub(1);
                record.duplicates += 1;
            }
        }
        for update in updates {
            self.update(update);
        }
        for turn in turns {
            self.update(turn.update());
        }
        for alert in settled {
            self.backlog.remove(&(record.rule_uuid.clone(), alert));
        }
        for entry in kept {
            self.backlog.entry((record.rule_uuid.clone(), Arc::clone(&entry.alert))).or_insert(entry);
        }
        let of_rule = self.memory.entry(record.rule_uuid.clone()).or_default();
        for one in memory {
            match one.value {
                Some(value) => of_rule.insert(one.key, value),
                None => of_rule.remove(&one.key),
            };
        }
        if let Some(state) = state {
            self.states.insert(state.rule.clone(), state);
        }
        self.records.push(record.clone());
        record
    }
}

#[async_trait]
impl StateStore for EphemeralState {
    async fn rule_states(&self) -> Result<HashMap<String, RuleState>, StateError> {
        Ok(self.inner().states.clone())
    }

    async fn backlog_rules(&self) -> Result<HashSet<String>, StateError> {
        Ok(self.inner().backlog.keys().map(|(rule, _)| rule.clone()).collect())
    }

    async fn backlog(&self, rule: &str) -> Result<Vec<BacklogEntry>, StateError> {
        let inner = self.inner();
        let of_rule = inner.backlog.iter().filter(|((of, _), _)| of == rule);
        let mut entries: Vec<BacklogEntry> = of_rule.map(|(_, entry)| entry.clone()).collect();
        entries.sort_by(|a, b| (a.position, &a.alert).cmp(&(b.position, &b.alert)));
        Ok(entries)
    }

    async fn memory(&self, rule: &str) -> Result<HashMap<String, String>, StateError> {
        Ok(self.inner().memory.get(rule).cloned().unwrap_or_default())
    }

    async fn commit(&self, executions: Vec<ExecutionCommit>) -> Result<Vec<ExecutionRecord>, StateError> {
        let mut inner = self.inner();
        Ok(executions.into_iter().map(|execution| inner.commit(execution)).collect())
    }

    async fn claim(
        &self,
        rules: &[(Arc<str>, Arc<str>)],
        fence: i64,
    ) -> Result<HashMap<String, RuleState>, StateError> {
        let mut inner = self.inner();
        let mut claimed = HashMap::new();
        for (uuid, rule_id) in rules {
            let fresh = || RuleState::new(uuid, rule_id);
            let state = inner.states.entry(uuid.to_string()).or_insert_with(fresh);
            if state.fence > fence {
                return Err(StateError::Fenced { rule: rule_id.to_string() });
            }
            state.fence = fence;
            claimed.insert(uuid.to_string(), state.clone());
        }
        Ok(claimed)
    }

    async fn executions(&self, query: &ExecutionQuery) -> Result<Vec<ExecutionRecord>, StateError> {
        let inner = self.inner();
        let wanted = |record: &&ExecutionRecord| {
            query.rule.as_ref().is_none_or(|rule| *rule == record.rule_id || *rule == record.rule_uuid)
                && query.status.is_none_or(|status| status == record.status)
                && query.from.is_none_or(|from| iso_millis(from) <= record.started_at)
        };
        let newest = inner.records.iter().rev().filter(wanted).cloned();
        Ok(newest.take(query.size.unwrap_or(usize::MAX)).collect())
    }
}

#[async_trait]
impl AlertSink for EphemeralState {
    async fn existing(&self, ids: Vec<Arc<str>>) -> Result<HashSet<Arc<str>>, StateError> {
        let inner = self.inner();
        let known: HashSet<&Arc<str>> = inner.alerts.iter().map(|(alert, _)| &alert.id).collect();
        Ok(ids.into_iter().filter(|id| known.contains(id)).collect())
    }

    async fn create(&self, alerts: Vec<AlertRow>) -> Result<Vec<Created>, StateError> {
        let mut inner = self.inner();
        Ok(alerts.into_iter().map(|alert| inner.create(alert)).collect())
    }

    async fn update(&self, updates: Vec<AlertUpdate>) -> Result<(), StateError> {
        let mut inner = self.inner();
        for update in updates {
            inner.update(update);
        }
        Ok(())
    }

    async fn find(&self, query: &AlertQuery) -> Result<Vec<StoredAlert>, StateError> {
        let inner = self.inner();
        let wanted = |(alert, stored): &&(AlertRow, StoredAlert)| {
            query.rule.as_ref().is_none_or(|rule| **rule == *alert.rule_id || **rule == *alert.rule_uuid)
                && query.status.is_none_or(|status| stored.status == status.as_str())
                && query.space.as_ref().is_none_or(|space| **space == *alert.space)
                && query.from.is_none_or(|from| from <= alert.timestamp)
                && query.to.is_none_or(|to| alert.timestamp <= to)
                && (query.building_blocks || !alert.building_block)
        };
        let mut found: Vec<StoredAlert> =
            inner.alerts.iter().filter(wanted).map(|(_, stored)| stored.clone()).collect();
        if !query.ascending {
            found.reverse();
        }
        found.truncate(query.size.unwrap_or(usize::MAX));
        Ok(found)
    }

    async fn count(&self, query: &AlertQuery) -> Result<usize, StateError> {
        let all = AlertQuery { size: None, ..query.clone() };
        Ok(self.find(&all).await?.len())
    }

    async fn lookup(&self, prefix: &str) -> Result<Lookup, StateError> {
        let inner = self.inner();
        let found =
            inner.alerts.iter().map(|(_, stored)| stored).filter(|alert| alert.id.starts_with(prefix));
        let mut found: Vec<&StoredAlert> = found.collect();
        if let Some(exact) = found.iter().find(|alert| *alert.id == *prefix) {
            found = vec![exact];
        }
        Ok(match found.as_slice() {
            [] => Lookup::Nothing,
            [one] => Lookup::One(Box::new((*one).clone())),
            several => Lookup::Several(several.iter().take(10).map(|alert| Arc::clone(&alert.id)).collect()),
        })
    }

    async fn set_workflow_status(
        &self,
        ids: Vec<Arc<str>>,
        status: WorkflowStatus,
        now: DateTime<Utc>,
    ) -> Result<usize, StateError> {
        let mut inner = self.inner();
        let set = |id: &Arc<str>| {
            inner.change(id, |alert| {
                status.as_str().clone_into(&mut alert.status);
                if let Some(source) = alert.source.as_object_mut() {
                    source.insert("kibana.alert.workflow_status".to_owned(), status.as_str().into());
                    source
                        .insert("kibana.alert.workflow_status_updated_at".to_owned(), iso_millis(now).into());
                }
            })
        };
        Ok(ids.iter().map(set).sum())
    }

    async fn tag(
        &self,
        ids: Vec<Arc<str>>,
        add: Vec<String>,
        remove: Vec<String>,
    ) -> Result<usize, StateError> {
        let mut inner = self.inner();
        let edit = |alert: &mut StoredAlert| {
            let Some(source) = alert.source.as_object_mut() else { return };
            let tags = source.entry("kibana.alert.workflow_tags").or_insert_with(|| serde_json::json!([]));
            if let Some(tags) = tags.as_array_mut() {
                tags.retain(|tag| !remove.iter().any(|gone| tag == gone));
                tags.extend(add.iter().map(|tag| serde_json::Value::from(tag.as_str())));
            }
        };
        Ok(ids.iter().map(|id| inner.change(id, edit)).sum())
    }
}
