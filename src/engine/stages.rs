//! The stages that candidates of every rule type go through, in this order: those that descend
//! from the rule itself out, those that are excepted out, duplicates out, suppression, the cap.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::DateTime;
use serde_json::Value;

use super::cap::{Candidate, Sorted, Sorter};
use super::execution::Task;
use super::outcome::counted;
use super::plan::reads_alerts;
use super::run::Engine;
use super::settings::Trigger;
use super::suppress::{Group, Grouped, Suppressed, Suppressor};
use super::unwind::{blocking, caught};
use crate::alert::ancestors::descends_from;
use crate::alert::build::alert_id;
use crate::alert::lookup::lookup;
use crate::alert::rule_fields::RuleFields;
use crate::backend::SortKey;
use crate::base::limits::LOGGED_SOURCES;
use crate::ecs::document::Document;
use crate::ecs::mapping::Mapping;
use crate::query::eval::Matcher;
use crate::rule::model::RuleKind;
use crate::store::state::{AlertQuery, Lookup, WorkflowStatus};

/// Takes the candidates of one execution, in time order.
pub(super) struct Stages<'e> {
    engine: &'e Engine,
    /// The rule's part of its alerts and of their ids.
    pub rule: Arc<RuleFields>,
    sorter: Sorter,
    suppressor: Option<Suppressor>,
    own: u64,
    /// By index: what its events have by their mapping.
    mapped: HashMap<Arc<str>, Arc<[Mapped]>>,
    /// The exceptions, and how many candidates they excepted.
    exceptions: Option<Arc<Matcher>>,
    excepted: u64,
    /// Events from before this time (ms) are not looked at.
    oldest: i64,
    /// Hits may be alerts, some of the rule's own among them.
    reads_alerts: bool,
    /// Events that were matched, the first of them.
    sources: Vec<String>,
}

impl<'e> Stages<'e> {
    pub(super) async fn new(engine: &'e Engine, task: &Task) -> Result<Self, String> {
        let settings = &engine.settings;
        let rule =
            RuleFields::new(&task.due.rule, &settings.space, &settings.version, &task.plan.request.indices);
        let waiting = if task.backlog {
            caught(engine.state.backlog(&task.uuid)).await?.map_err(|error| error.to_string())?
        } else {
            Vec::new()
        };
        let exceptions = match &task.excepted {
            None => None,
            Some(filter) => {
                let mapping = caught(engine.backend.mapping(&task.plan.request.indices)).await?;
                let mapping = mapping.map_err(|error| error.to_string())?;
                let matcher = Matcher::compile(filter, &mapping, task.due.slot);
                if let Some(wrong) = matcher.diagnostics().iter().find(|found| found.is_error()) {
                    return Err(format!("an exception cannot be applied: {wrong}"));
                }
                Some(Arc::new(matcher))
            }
        };
        let mut excepted: Vec<Arc<str>> = Vec::new();
        if let Some(matcher) = &exceptions {
            let now = waiting.iter().filter(|entry| holds(matcher, &entry.document));
            excepted = now.map(|entry| Arc::clone(&entry.alert)).collect();
        }
        let slot = task.due.slot.timestamp_millis();
        let mut sorter = Sorter::new(Arc::clone(&task.uuid), slot, task.plan.cap, settings.capped, waiting);
        for alert in &excepted {
            sorter.settle(alert);
        }
        let suppressor = suppressor(engine, task).await?;
        let sorter = if suppressor.is_some() { sorter.of_groups() } else { sorter };
        let oldest = task.due.errand.as_ref().and_then(|errand| errand.oldest);
        let oldest = oldest.map_or(i64::MIN, |at| at.timestamp_millis());
        let reads_alerts = reads_alerts(&task.plan.request.indices);
        Ok(Self {
            engine,
            rule: Arc::new(rule),
            sorter,
            suppressor,
            own: 0,
            mapped: HashMap::new(),
            exceptions,
            excepted: excepted.len() as u64,
            oldest,
            reads_alerts,
            sources: Vec::new(),
        })
    }

    /// Takes the next candidates. `make` gives them from the rule's part of ids; it runs on the
    /// blocking pool.
    pub(super) async fn take(
        &mut self,
        make: impl FnOnce(&RuleFields) -> Vec<Candidate> + Send + 'static,
    ) -> Result<(), String> {
        let (rule, oldest) = (Arc::clone(&self.rule), self.oldest);
        let exceptions = self.exceptions.clone();
        let (candidates, own, excepted) = blocking(move || {
            let mut candidates = make(&rule);
            candidates.retain(|candidate| candidate.event_time >= oldest);
            let before = candidates.len();
            candidates.retain(|candidate| {
                !candidate.evidence.documents().iter().any(|document| descends_from(document, &rule.uuid))
            });
            let own = before - candidates.len();
            if let Some(matcher) = exceptions {
                candidates.retain(|candidate| {
                    !candidate.evidence.documents().iter().any(|document| holds(&matcher, document))
                });
            }
            let excepted = before - own - candidates.len();
            (candidates, own, excepted)
        })
        .await?;
        self.note(&candidates);
        let candidates = self.complete(candidates).await?;
        let ids = candidates.iter().map(|c| Arc::clone(&c.alert)).collect();
        let existing = caught(self.engine.alerts.existing(ids)).await?.map_err(|error| error.to_string())?;
        self.own += own as u64;
        self.excepted += excepted as u64;
        let candidates = match &mut self.suppressor {
            None => candidates,
            Some(suppressor) => {
                for alert in existing.iter().filter(|alert| !suppressor.knows(alert)).collect::<BTreeSet<_>>()
                {
                    // Written by an execution that did not come to its end, or without suppression.
                    let found = caught(self.engine.alerts.lookup(alert)).await?;
                    if let Lookup::One(found) = found.map_err(|error| error.to_string())?
                        && let Some(group) = Group::of_alert(&found.source)
                    {
                        suppressor.learn(Arc::clone(alert), group);
                    }
                }
                suppressor.take(candidates, &existing)
            }
        };
        self.sorter.take(candidates, &existing);
        Ok(())
    }

    /// Takes note of which events candidates are made of.
    fn note(&mut self, candidates: &[Candidate]) {
        let documents = candidates.iter().flat_map(|candidate| candidate.evidence.documents());
        let room = LOGGED_SOURCES.saturating_sub(self.sources.len());
        self.sources
            .extend(documents.take(room).map(|document| format!("{}/{}", document.index, document.id)));
    }

    /// Gives events the values that they have by their index's mapping (constants, aliases): as in
    /// Kibana, which reads them with the hits, alerts carry them.
    async fn complete(&mut self, mut candidates: Vec<Candidate>) -> Result<Vec<Candidate>, String> {
        let events = candidates.iter_mut().filter(|candidate| !candidate.evidence.stands_for_many());
        for document in events.flat_map(|candidate| candidate.evidence.documents_mut()) {
            let mapped = match self.mapped.get(&document.index) {
                Some(known) => Arc::clone(known),
                None => {
                    let indices = [document.index.to_string()];
                    let mapping = caught(self.engine.backend.mapping(&indices)).await?;
                    let found = mapped(&*mapping.map_err(|error| error.to_string())?);
                    self.mapped.insert(Arc::clone(&document.index), Arc::clone(&found));
                    found
                }
            };
            for Mapped { path, target, constant } in &*mapped {
                if lookup(&document.source, path).is_some() {
                    continue;
                }
                let value = match constant {
                    Some(constant) => Some(Value::from(constant.as_str())),
                    None => lookup(&document.source, target).cloned(),
                };
                if let Some(value) = value {
                    put(Arc::make_mut(&mut document.source), path, value);
                }
            }
        }
        Ok(candidates)
    }

    /// Whether documents of further hits are of no use, so that [`Stages::count`] can take them.
    /// Whatever stage looks into a document before the cap has its say here.
    pub(super) fn only_counts(&self) -> bool {
        let looks = self.reads_alerts || self.suppressor.is_some() || self.exceptions.is_some();
        !looks && self.sorter.only_counts()
    }

    /// Takes further hits by their places alone.
    pub(super) async fn count(&mut self, places: &[SortKey]) -> Result<(), String> {
        let in_time = places.iter().filter(|place| place.timestamp >= self.oldest);
        let ids: Vec<Arc<str>> = in_time.map(|place| alert_id(&self.rule, &place.index, &place.id)).collect();
        let existing = caught(self.engine.alerts.existing(ids.clone())).await?;
        self.sorter.count(&ids, &existing.map_err(|error| error.to_string())?);
        Ok(())
    }

    /// What became of the candidates.
    pub(super) async fn finish(self) -> Result<Finished, String> {
        let mut existing = HashSet::new();
        if self.sorter.wants_waiting() {
            let ids = self.sorter.waiting().cloned().collect();
            existing = caught(self.engine.alerts.existing(ids)).await?.map_err(|error| error.to_string())?;
        }
        if self.own > 0 {
            let rule = &self.rule.rule.rule_id;
            tracing::debug!(%rule, "left out {} of the rule's own", counted(self.own, "alert"));
        }
        let mut sorted = self.sorter.finish(&existing);
        sorted.candidates += self.excepted;
        let mut suppressed = Suppressed::default();
        if let Some(suppressor) = self.suppressor {
            suppressed = suppressor.finish(&sorted.left_out);
            sorted.candidates += suppressed.suppressed + suppressed.duplicates + suppressed.capped;
            sorted.duplicates += suppressed.duplicates;
            sorted.capped += suppressed.capped;
            for candidate in &mut sorted.chosen {
                if let Some(fields) = suppressed.fields.remove(&candidate.alert) {
                    candidate.evidence.add(fields);
                }
            }
        }
        Ok(Finished { rule: self.rule, sorted, suppressed, excepted: self.excepted, sources: self.sources })
    }
}

/// A field that events have by their mapping.
struct Mapped {
    path: String,
    /// The field whose values it has.
    target: String,
    /// The one value of all events.
    constant: Option<String>,
}

fn mapped(mapping: &Mapping) -> Arc<[Mapped]> {
    let constants = mapping.constants().map(|(path, value)| Mapped {
        path: path.to_owned(),
        target: path.to_owned(),
        constant: Some(value.to_owned()),
    });
    let aliases = mapping.aliases().map(|(path, target)| Mapped {
        path: path.to_owned(),
        target: target.to_owned(),
        constant: mapping.resolve(target).and_then(|field| field.constant).map(|value| value.to_string()),
    });
    constants.chain(aliases).collect()
}

/// Puts a value at a path, inside the objects that are there.
fn put(source: &mut Value, path: &str, value: Value) {
    let Some(object) = source.as_object_mut() else { return };
    match path.split_once('.') {
        Some((head, rest)) if object.get(head).is_some_and(Value::is_object) => {
            if let Some(inner) = object.get_mut(head) {
                put(inner, rest, value);
            }
        }
        Some((head, rest)) if !object.contains_key(head) => {
            let mut inner = Value::Object(serde_json::Map::new());
            put(&mut inner, rest, value);
            object.insert(head.to_owned(), inner);
        }
        _ => {
            object.insert(path.to_owned(), value);
        }
    }
}

/// What became of the candidates of an execution.
pub(super) struct Finished {
    pub rule: Arc<RuleFields>,
    pub sorted: Sorted,
    pub suppressed: Suppressed,
    /// How many candidates exceptions excepted.
    pub excepted: u64,
    /// Events that were matched, the first of them.
    pub sources: Vec<String>,
}

/// Whether a document is one of those that are excepted.
fn holds(matcher: &Matcher, document: &Document) -> bool {
    matcher.matches(&document.flat(), Some(&document.source))
}

/// The rule's suppression, with what earlier executions left.
async fn suppressor(engine: &Engine, task: &Task) -> Result<Option<Suppressor>, String> {
    let rule = &task.due.rule;
    let Some(suppression) = rule.alert_suppression.clone() else { return Ok(None) };
    let (fields, threshold) = match &rule.kind {
        RuleKind::Threshold(params) => (params.fields.clone(), true),
        _ => (suppression.group_by.clone(), false),
    };
    let slot = task.due.slot.timestamp_millis();
    let from = task.plan.window.from.timestamp_millis();
    let memory = caught(engine.state.memory(&task.uuid)).await?.map_err(|error| error.to_string())?;
    let all =
        AlertQuery { rule: Some(task.uuid.to_string()), building_blocks: true, ..AlertQuery::default() };
    let mut groups = Vec::new();
    if Suppressor::forgets(&memory, slot, from) {
        let alerts = caught(engine.alerts.find(&all)).await?.map_err(|error| error.to_string())?;
        groups = alerts.into_iter().filter_map(|a| Some((a.id, Group::of_alert(&a.source)?))).collect();
    }
    let mut closed = HashSet::new();
    if let Some(duration) = suppression.duration_ms {
        let since = DateTime::from_timestamp_millis(slot.saturating_sub(duration));
        let query = AlertQuery { status: Some(WorkflowStatus::Closed), from: since, ..all };
        let alerts = caught(engine.alerts.find(&query)).await?.map_err(|error| error.to_string())?;
        closed = alerts.into_iter().map(|alert| alert.id).collect();
    }
    let by = Grouped {
        suppression,
        fields,
        threshold,
        arrays: !matches!(rule.kind, RuleKind::Query(_) | RuleKind::SavedQuery(_) | RuleKind::Threshold(_)),
        uuid: Arc::clone(&task.uuid),
        space: Arc::clone(&engine.settings.space),
    };
    let scheduled = task.due.trigger(engine.settings.trigger) == Trigger::Scheduled;
    Ok(Some(Suppressor::new(by, slot, &memory, groups, closed, scheduled)))
}
