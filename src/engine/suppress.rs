//! Suppression: candidates of one group are folded into one alert. Pure: no clock, no I/O.
//!
//! A group's alert takes in candidates of executions whose slots lie within the rule's period after
//! its own. Which candidates it took in is remembered by their ids, so that running any execution
//! again, in whatever order, changes no count, and a window that is searched late loses nothing:
//! what no alert has counted is counted.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::cap::Candidate;
use crate::alert::id::suppression_instance;
use crate::alert::object_hash::{Hashable, object_hash};
use crate::base::window::iso_millis;
use crate::rule::model::{MissingFields, Suppression};
use crate::store::state::{AlertUpdate, Memory};

/// Key of the memory that says that groups are remembered at all.
const KEPT: &str = "suppression";
/// What the keys of groups begin with; the alert's id follows.
const GROUP: &str = "group:";
/// What the keys of lists of members begin with; the alert's id and the slot follow.
const MEMBERS: &str = "members:";
/// For how long groups and their members are remembered, ms: executions of windows that are older
/// than this take what lies within an alert's time for counted.
const HORIZON: i64 = 30 * 86_400_000;
/// Hexadecimal digits of an id that tell members apart.
const SHORT: usize = 16;

/// The alert of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Group {
    /// Id of what its members share.
    pub instance: String,
    /// Slot of the execution that made the alert, ms.
    pub slot: i64,
    /// Time of its first event, ms.
    pub start: i64,
    /// Time of its last event, ms.
    pub end: i64,
    /// How many candidates it took in besides the one it is made of.
    pub count: u64,
    /// Whether its members are remembered; otherwise what lies within its time is one.
    pub members: bool,
}

impl Group {
    fn put_down(&self, alert: &str) -> Memory {
        Memory { key: format!("{GROUP}{alert}"), value: serde_json::to_string(self).ok() }
    }

    /// The group of an alert, as its document says it; `None`: it has none.
    pub(super) fn of_alert(source: &Value) -> Option<Self> {
        let field = |name: &str| crate::alert::lookup::lookup(source, &format!("kibana.alert.{name}"));
        let time = |name: &str| {
            let text = field(name)?.as_str()?;
            DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis())
        };
        Some(Self {
            instance: field("instance.id")?.as_str()?.to_owned(),
            slot: time("intended_timestamp").or_else(|| time("start"))?,
            start: time("suppression.start")?,
            end: time("suppression.end")?,
            count: field("suppression.docs_count")?.as_u64()?,
            members: false,
        })
    }
}

/// How a rule's candidates are grouped.
#[derive(Debug, Clone)]
pub(super) struct Grouped {
    /// What the rule says.
    pub suppression: Suppression,
    /// Fields of the group: those of the suppression, or of a threshold.
    pub fields: Vec<String>,
    /// Whether the rule is a threshold rule, which hashes the values of its buckets.
    pub threshold: bool,
    /// Whether values are kept as arrays, as Kibana's in-memory suppression has them.
    pub arrays: bool,
    /// The rule's object id.
    pub uuid: Arc<str>,
    /// Kibana space.
    pub space: Arc<str>,
}

/// Folds the candidates of one execution.
#[derive(Debug)]
pub(super) struct Suppressor {
    by: Grouped,
    slot: i64,
    groups: BTreeMap<Arc<str>, Group>,
    /// Short ids of what some alert took in.
    members: HashSet<u64>,
    closed: HashSet<Arc<str>>,
    /// By instance: the alert that takes in candidates now.
    open: HashMap<String, Arc<str>>,
    /// By alert: what this execution adds.
    added: BTreeMap<Arc<str>, Added>,
    duplicates: u64,
    changes: Vec<Memory>,
}

#[derive(Debug)]
struct Added {
    group: Group,
    terms: Vec<(String, Value)>,
    /// Whether the alert is made by this execution.
    new: bool,
    members: Vec<u64>,
}

/// What became of candidates that did not go on.
#[derive(Debug, Default)]
pub(super) struct Suppressed {
    /// Taken in by an alert.
    pub suppressed: u64,
    /// Taken in before.
    pub duplicates: u64,
    /// Members of groups whose alert the cap left out.
    pub capped: u64,
    /// Fields of new alerts, by id.
    pub fields: HashMap<Arc<str>, Map<String, Value>>,
    /// Alerts of earlier executions that took in more.
    pub updates: Vec<AlertUpdate>,
    /// What later executions are told.
    pub memory: Vec<Memory>,
}

fn short(alert: &str) -> u64 {
    alert.get(..SHORT).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// What a candidate shares with others of its group.
struct Shared {
    instance: String,
    terms: Vec<(String, Value)>,
}

impl Grouped {
    /// `None`: the candidate lacks a field and is not to be suppressed then.
    fn shared(&self, candidate: &Candidate) -> Option<Shared> {
        let source = candidate.evidence.shared();
        let mut terms = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let value = self.value(&source, field);
            if value.is_null() && self.suppression.missing == MissingFields::DoNotSuppress && !self.threshold
            {
                return None;
            }
            terms.push((field.clone(), value));
        }
        let instance = if self.threshold {
            let mut values: Vec<String> = terms
                .iter()
                .map(|(_, value)| crate::alert::lookup::text(value).unwrap_or_default())
                .collect();
            values.sort();
            let values = values.into_iter().map(Hashable::String).collect();
            let parts = [Hashable::Array(values), (&*self.uuid).into(), (&*self.space).into()];
            object_hash(&Hashable::Array(parts.to_vec()))
        } else {
            let hashable = terms.iter().map(|(field, value)| (field.clone(), Hashable::from(value)));
            suppression_instance(hashable.collect(), &self.uuid, &self.space)
        };
        Some(Shared { instance, terms })
    }

    /// The values of a field: `null` where missing, arrays sorted.
    fn value(&self, source: &Value, field: &str) -> Value {
        let found = crate::alert::lookup::lookup(source, field);
        let mut values: Vec<Value> = match found {
            None | Some(Value::Null | Value::Object(_)) => Vec::new(),
            Some(Value::Array(items)) => {
                items.iter().filter(|item| !item.is_null() && !item.is_object()).cloned().collect()
            }
            Some(scalar) => vec![scalar.clone()],
        };
        values.sort_by_key(|value| crate::alert::lookup::text(value).unwrap_or_default());
        values.dedup();
        match values.len() {
            0 => Value::Null,
            1 if !self.arrays => values.pop().unwrap_or_default(),
            _ => Value::Array(values),
        }
    }
}

impl Suppressor {
    /// A suppressor for the execution of `slot` (ms). `memory` is what earlier executions put down,
    /// `alerts` the groups of the rule's alerts where that is needed ([`Suppressor::forgets`]),
    /// `closed` those alerts that take in nothing more.
    pub(super) fn new(
        by: Grouped,
        slot: i64,
        memory: &HashMap<String, String>,
        alerts: Vec<(Arc<str>, Group)>,
        closed: HashSet<Arc<str>>,
        scheduled: bool,
    ) -> Self {
        let mut this = Self {
            by,
            slot,
            groups: BTreeMap::new(),
            members: HashSet::new(),
            closed,
            open: HashMap::new(),
            added: BTreeMap::new(),
            duplicates: 0,
            changes: Vec::new(),
        };
        let old = slot.saturating_sub(HORIZON);
        let sorted: BTreeMap<&String, &String> = memory.iter().collect();
        for (key, value) in sorted {
            if let Some(alert) = key.strip_prefix(GROUP) {
                match serde_json::from_str::<Group>(value) {
                    Ok(group) if !scheduled || group.end >= old => {
                        this.groups.insert(Arc::from(alert), group);
                    }
                    _ => this.changes.push(Memory { key: key.clone(), value: None }),
                }
            } else if key.starts_with(MEMBERS) {
                match serde_json::from_str::<Members>(value) {
                    Ok(members) if !scheduled || members.last >= old => this.members.extend(members.ids),
                    _ => this.changes.push(Memory { key: key.clone(), value: None }),
                }
            }
        }
        for (alert, group) in alerts {
            this.learn(alert, group);
        }
        if !memory.contains_key(KEPT) {
            this.changes.push(Memory { key: KEPT.to_owned(), value: Some("1".to_owned()) });
        }
        this
    }

    /// Whether executions of a window from `from` (ms) on need the groups of the rule's alerts,
    /// because `memory` does not reach so far.
    pub(super) fn forgets(memory: &HashMap<String, String>, slot: i64, from: i64) -> bool {
        !memory.contains_key(KEPT) || from < slot.saturating_sub(HORIZON)
    }

    /// Whether nothing is known of this alert: one that is there already may belong to a group.
    pub(super) fn knows(&self, alert: &Arc<str>) -> bool {
        self.groups.contains_key(alert)
    }

    /// Learns the group of an alert whose execution did not come to its end.
    pub(super) fn learn(&mut self, alert: Arc<str>, group: Group) {
        if let Entry::Vacant(entry) = self.groups.entry(alert) {
            self.changes.push(group.put_down(entry.key()));
            entry.insert(group);
        }
    }

    /// Takes the next candidates, in time order, and gives back those that go on: the first of each
    /// group, and what is not suppressed.
    pub(super) fn take(
        &mut self,
        candidates: Vec<Candidate>,
        existing: &HashSet<Arc<str>>,
    ) -> Vec<Candidate> {
        let mut on = Vec::new();
        for candidate in candidates {
            if existing.contains(&candidate.alert) {
                on.push(candidate);
                continue;
            }
            if self.members.contains(&short(&candidate.alert)) {
                self.duplicates += 1;
                continue;
            }
            let Some(shared) = self.by.shared(&candidate) else {
                on.push(candidate);
                continue;
            };
            let (start, end) = candidate.span;
            if self.counted(&shared.instance, start, end) {
                self.duplicates += 1;
                continue;
            }
            match self.alert_of(&shared.instance) {
                Some(alert) => self.join(alert, shared, &candidate),
                None => {
                    self.found(shared, &candidate);
                    on.push(candidate);
                }
            }
        }
        on
    }

    /// Whether an alert whose members are not remembered covers this time.
    fn counted(&self, instance: &str, start: i64, end: i64) -> bool {
        self.groups.values().any(|group| {
            !group.members && group.instance == instance && group.start <= start && end <= group.end
        })
    }

    /// The alert that takes in candidates of a group in this execution.
    fn alert_of(&mut self, instance: &str) -> Option<Arc<str>> {
        if let Some(alert) = self.open.get(instance) {
            return Some(Arc::clone(alert));
        }
        let earliest = self.slot.saturating_sub(self.by.suppression.duration_ms.unwrap_or(0));
        let fits =
            |group: &Group| group.instance == instance && earliest <= group.slot && group.slot <= self.slot;
        let known = self.groups.iter().filter(|(alert, group)| fits(group) && !self.closed.contains(*alert));
        let (alert, _) = known.max_by_key(|(_, group)| group.slot)?;
        let alert = Arc::clone(alert);
        self.open.insert(instance.to_owned(), Arc::clone(&alert));
        Some(alert)
    }

    fn join(&mut self, alert: Arc<str>, shared: Shared, candidate: &Candidate) {
        let group = self.groups.get(&alert);
        let added = self.added.entry(alert).or_insert_with(|| Added {
            group: group.cloned().unwrap_or(Group {
                instance: shared.instance,
                slot: self.slot,
                start: candidate.span.0,
                end: candidate.span.1,
                count: 0,
                members: true,
            }),
            terms: shared.terms,
            new: false,
            members: Vec::new(),
        });
        added.group.start = added.group.start.min(candidate.span.0);
        added.group.end = added.group.end.max(candidate.span.1);
        added.group.count += 1;
        added.members.push(short(&candidate.alert));
        self.members.insert(short(&candidate.alert));
    }

    /// Makes a group that this candidate is the alert of.
    fn found(&mut self, shared: Shared, candidate: &Candidate) {
        let alert = Arc::clone(&candidate.alert);
        self.open.insert(shared.instance.clone(), Arc::clone(&alert));
        let group = Group {
            instance: shared.instance,
            slot: self.slot,
            start: candidate.span.0,
            end: candidate.span.1,
            count: 0,
            members: true,
        };
        self.added.insert(alert, Added { group, terms: shared.terms, new: true, members: Vec::new() });
    }

    /// What became of everything; new alerts in `left_out` were not made.
    pub(super) fn finish(self, left_out: &HashSet<Arc<str>>) -> Suppressed {
        let mut out =
            Suppressed { duplicates: self.duplicates, memory: self.changes, ..Suppressed::default() };
        for (alert, added) in self.added {
            let count = added.members.len() as u64;
            if added.new && left_out.contains(&alert) {
                out.capped += count;
                continue;
            }
            out.suppressed += count;
            let group = &added.group;
            let mut fields = Map::new();
            if added.new {
                let term = |(field, value): &(String, Value)| json!({"field": field, "value": value});
                let terms = added.terms.iter().map(term).collect();
                fields.insert("kibana.alert.instance.id".to_owned(), group.instance.as_str().into());
                fields.insert("kibana.alert.suppression.terms".to_owned(), Value::Array(terms));
            }
            fields.insert("kibana.alert.suppression.start".to_owned(), time(group.start));
            fields.insert("kibana.alert.suppression.end".to_owned(), time(group.end));
            fields.insert("kibana.alert.suppression.docs_count".to_owned(), group.count.into());
            if added.new {
                out.fields.insert(Arc::clone(&alert), fields);
            } else {
                out.updates.push(AlertUpdate { id: Arc::clone(&alert), fields });
            }
            out.memory.push(group.put_down(&alert));
            if !added.members.is_empty() {
                let members = Members { last: group.end, ids: added.members };
                out.memory.push(Memory {
                    key: format!("{MEMBERS}{alert}:{}:{}", self.slot, group.count),
                    value: serde_json::to_string(&members).ok(),
                });
            }
        }
        out
    }
}

/// Short ids of what an execution folded into an alert.
#[derive(Debug, Serialize, Deserialize)]
struct Members {
    /// Time of the last of the group, ms.
    last: i64,
    ids: Vec<u64>,
}

fn time(ms: i64) -> Value {
    DateTime::from_timestamp_millis(ms).map_or(Value::Null, |at| iso_millis(at).into())
}
