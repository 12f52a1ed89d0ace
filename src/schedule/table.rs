//! Rules on their schedules: which runs next. No timers and no I/O; the service and the
//! simulation drive it.
//!
//! What is due is taken by due time. What was missed, and the look for what arrived late, fill the
//! time in which nothing is due, one group at a time, so that catching up never delays the present.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};

use super::blackout::Blackouts;
use super::cron::CronError;
use super::owed::{Owed, Policy, Scheduled};
use super::slots::Slots;
use crate::base::ledger::Ledger;
use crate::engine::Due;
use crate::rule::compiled::CompiledRule;
use crate::rule::evaluation::Evaluation;
use crate::rule::model::{Rule, Schedule};
use crate::store::state::{ExecutionRecord, RuleState, Status};

/// Executions of one group of what was missed.
const MISSED_TOGETHER: usize = 16;
/// Missed slots of a rule that runs them in order, up to which its present waits for them.
const IN_ORDER: i64 = 1_000;
/// How often a missed slot of such a rule may fail before its present waits no longer.
const IN_ORDER_REFUSALS: u32 = 5;
/// Longest pause after a missed slot or window failed again.
const LONGEST_PAUSE: i64 = 3_600_000;

/// What the table asks about a rule (object id).
pub type States<'a> = &'a dyn Fn(&str) -> Option<RuleState>;

/// A rule on its schedule.
#[derive(Debug)]
struct Entry {
    compiled: Arc<CompiledRule>,
    uuid: Arc<str>,
    slots: Slots,
    evaluation: Evaluation,
    /// How long its events take to arrive, where that is measured, ms.
    settle: Option<i64>,
    /// The next slot to run; `None`: there is none any more.
    next: Option<DateTime<Utc>>,
    /// Whether something was missed.
    missed: bool,
    /// When it is to be looked for what arrived late.
    arrivals: Option<DateTime<Utc>>,
    /// Nothing that was missed is tried before: it failed.
    not_before: Option<DateTime<Utc>>,
    /// How often in a row what was missed failed again.
    refusals: u32,
}

/// A rule that runs.
#[derive(Debug)]
struct Running {
    uuid: Arc<str>,
    slot: DateTime<Utc>,
    began: DateTime<Utc>,
    present: bool,
}

/// Rules on their schedules, by id, and those that run now.
#[derive(Debug, Default)]
pub struct Table {
    entries: BTreeMap<Arc<str>, Entry>,
    running: HashMap<Arc<str>, Running>,
    policy: Policy,
    blackouts: Blackouts,
}

/// What the end of an execution shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// From when it was due until it began, ms; `None` for what was missed.
    pub lag: Option<i64>,
    /// It took longer than its rule's interval.
    pub overran: bool,
}

impl Table {
    /// A table without rules.
    pub fn new(policy: Policy, blackouts: Blackouts) -> Self {
        Self { policy, blackouts, ..Self::default() }
    }

    /// How many rules are on it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no rule is on it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many rules run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Object ids of the rules that run.
    pub fn running_uuids(&self) -> impl Iterator<Item = &str> {
        self.running.values().map(|running| &*running.uuid)
    }

    /// How many rules owe something that was missed.
    pub fn behind(&self) -> usize {
        self.entries.values().filter(|entry| entry.missed).count()
    }

    /// Tells how long events of each rule's sources take to arrive, ms, as measured by now.
    pub fn settle(&mut self, measured: impl Fn(&Rule) -> i64) {
        for entry in self.entries.values_mut() {
            entry.settle = Some(measured(&entry.compiled.rule));
        }
    }

    /// Puts exactly these rules on the table: unchanged ones keep their place, those that run come
    /// to their end. Returns those whose schedule cannot be read.
    pub fn set(
        &mut self,
        rules: Vec<(Arc<CompiledRule>, Arc<str>)>,
        states: States<'_>,
        now: DateTime<Utc>,
    ) -> Vec<(Arc<Rule>, CronError)> {
        let mut old = std::mem::take(&mut self.entries);
        let mut refused = Vec::new();
        for (compiled, uuid) in rules {
            let id = Arc::clone(&compiled.rule.rule_id);
            if let Some(entry) = old.remove(&id)
                && entry.compiled.rule.origin.hash == compiled.rule.origin.hash
            {
                self.entries.insert(id, entry);
                continue;
            }
            match Slots::of(&compiled.rule) {
                Ok(slots) => {
                    let evaluation = Evaluation::of(&compiled.rule);
                    let mut entry = Entry {
                        compiled,
                        uuid,
                        slots,
                        evaluation,
                        settle: None,
                        next: None,
                        missed: false,
                        arrivals: None,
                        not_before: None,
                        refusals: 0,
                    };
                    entry.look(states(&entry.uuid).as_ref(), self.policy, now);
                    self.entries.insert(id, entry);
                }
                Err(error) => refused.push((Arc::clone(&compiled.rule), error)),
            }
        }
        refused
    }

    /// Looks anew at what every rule owes: the clock was set, or another runner's work is known.
    pub fn look(&mut self, states: States<'_>, now: DateTime<Utc>) {
        for entry in self.entries.values_mut() {
            entry.look(states(&entry.uuid).as_ref(), self.policy, now);
        }
    }

    /// Takes the rules that are due and do not run already, at most `most`, the longest due first;
    /// they run from now on.
    pub fn take_due(&mut self, states: States<'_>, now: DateTime<Utc>, most: usize) -> Vec<Due> {
        if self.blackouts.contains(now) {
            return Vec::new();
        }
        let mut ready: Vec<(DateTime<Utc>, Arc<str>)> = self
            .entries
            .iter()
            .filter(|(id, _)| !self.running.contains_key(*id))
            .filter_map(|(id, entry)| Some((entry.present_at(self.policy)?, Arc::clone(id))))
            .filter(|(at, _)| *at <= now)
            .collect();
        ready.sort();
        ready.truncate(most);
        ready.into_iter().filter_map(|(_, id)| self.start(&id, states, now, true)).collect()
    }

    /// Takes a group of what was missed or may have arrived late, the oldest first; nothing while
    /// such a group runs.
    pub fn take_missed(&mut self, states: States<'_>, now: DateTime<Utc>) -> Vec<Due> {
        if self.blackouts.contains(now) || self.running.values().any(|running| !running.present) {
            return Vec::new();
        }
        let mut ready: Vec<(Option<i64>, Arc<str>)> = self
            .entries
            .iter()
            .filter(|(id, entry)| !self.running.contains_key(*id) && entry.wants(now))
            .map(|(id, entry)| (states(&entry.uuid).and_then(|state| state.last_slot), Arc::clone(id)))
            .collect();
        ready.sort();
        ready.truncate(MISSED_TOGETHER);
        ready.into_iter().filter_map(|(_, id)| self.start(&id, states, now, false)).collect()
    }

    fn start(&mut self, id: &Arc<str>, states: States<'_>, now: DateTime<Utc>, present: bool) -> Option<Due> {
        let policy = self.policy;
        let entry = self.entries.get_mut(id)?;
        let state = states(&entry.uuid);
        let owed = if present {
            entry.present(state.as_ref(), policy, now)
        } else {
            entry.owed(state.as_ref(), policy, now)
        };
        let Some((owed, present)) = owed else {
            entry.look(state.as_ref(), policy, now);
            return None;
        };
        let due = match owed.errand {
            Some(errand) => Due::on_errand(&entry.compiled, owed.slot, errand),
            None => Due::compiled(&entry.compiled, owed.slot),
        };
        self.running.insert(
            Arc::clone(id),
            Running { uuid: Arc::clone(&entry.uuid), slot: owed.slot, began: now, present },
        );
        Some(due)
    }

    /// An execution came to its end.
    pub fn ended(
        &mut self,
        record: &ExecutionRecord,
        states: States<'_>,
        now: DateTime<Utc>,
    ) -> Option<Ended> {
        let ran = self.running.remove(record.rule_id.as_str())?;
        let policy = self.policy;
        let entry = self.entries.get_mut(record.rule_id.as_str())?;
        if !ran.present {
            if record.status == Status::Failed {
                entry.refusals += 1;
                let pause = entry.interval().saturating_mul(1 << entry.refusals.min(10)).min(LONGEST_PAUSE);
                entry.not_before = Some(now + Duration::milliseconds(pause));
            } else {
                (entry.refusals, entry.not_before) = (0, None);
            }
        }
        let last = ran.present.then_some(ran.slot);
        entry.look(states(&entry.uuid).as_ref(), policy, now);
        // The state says nothing of an execution that could not be written.
        if let Some(last) = last
            && entry.next.is_some_and(|next| next <= last)
        {
            entry.next = entry.slots.after(last);
        }
        let lag = ran.present.then(|| (ran.began - entry.runs_at(ran.slot, policy)).num_milliseconds());
        Some(Ended { lag, overran: (now - ran.began).num_milliseconds() > entry.interval() })
    }

    /// When there is something to do next; `None`: nothing is on any schedule.
    pub fn wakes(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if let Some(end) = self.blackouts.end(now) {
            return Some(end);
        }
        let idle = self.entries.iter().filter(|(id, _)| !self.running.contains_key(*id));
        idle.filter_map(|(_, entry)| {
            let present = entry.present_at(self.policy);
            let missed = entry.missed.then_some(now);
            let missed = [missed, entry.arrivals].into_iter().flatten().min();
            let missed = missed.map(|at| entry.not_before.map_or(at, |paused| at.max(paused)));
            [present, missed].into_iter().flatten().min()
        })
        .min()
    }
}

impl Entry {
    fn scheduled(&self, policy: Policy) -> Scheduled<'_> {
        let policy = Policy { settle: self.settle.unwrap_or(policy.settle), ..policy };
        Scheduled { rule: &self.compiled.rule, slots: &self.slots, evaluation: self.evaluation, policy }
    }

    fn runs_at(&self, slot: DateTime<Utc>, policy: Policy) -> DateTime<Utc> {
        self.scheduled(policy).runs_at(slot)
    }

    /// When the next slot is to run: of a rule whose slots depend on those before, not while a missed
    /// one waits to be tried again, unless that fails time after time.
    fn present_at(&self, policy: Policy) -> Option<DateTime<Utc>> {
        let at = self.runs_at(self.next?, policy);
        let waits = self.missed && self.in_order() && self.refusals <= IN_ORDER_REFUSALS;
        Some(self.not_before.filter(|_| waits).map_or(at, |paused| at.max(paused)))
    }

    fn in_order(&self) -> bool {
        self.evaluation == Evaluation::ByWindow { ordered: true }
    }

    /// The rule's interval, ms; a cron expression counts as a minute.
    fn interval(&self) -> i64 {
        match self.compiled.rule.schedule {
            Schedule::Every { interval_ms, .. } => interval_ms.max(1_000),
            Schedule::Cron { .. } => 60_000,
        }
    }

    /// Whether something that was missed or may have arrived late is to be done now.
    fn wants(&self, now: DateTime<Utc>) -> bool {
        self.not_before.is_none_or(|at| at <= now)
            && (self.missed || self.arrivals.is_some_and(|at| at <= now))
    }

    /// Looks at what the rule owes.
    fn look(&mut self, state: Option<&RuleState>, policy: Policy, now: DateTime<Utc>) {
        let last = last_slot(state);
        let scheduled = self.scheduled(policy);
        let next =
            scheduled.due(last, now).or_else(|| self.slots.after(last.map_or(now, |last| last.max(now))));
        let next = match (last, next) {
            // Waiting for a slot to settle: the one after the last that ran.
            (Some(last), _) if scheduled.due(Some(last), now).is_none() => self.slots.after(last),
            (_, next) => next,
        };
        let missed = state.is_some_and(|state| missed(&scheduled, state, None, now).is_some());
        let arrivals = state.and_then(|state| scheduled.arrivals_at(&state.ledger));
        (self.next, self.missed, self.arrivals) = (next, missed, arrivals);
    }

    /// What is due, or what has to run before it.
    fn present(&self, state: Option<&RuleState>, policy: Policy, now: DateTime<Utc>) -> Option<(Owed, bool)> {
        let scheduled = self.scheduled(policy);
        let empty = Ledger::default();
        let slot = scheduled.due(last_slot(state), now).or(self.next)?;
        let owed = scheduled.present(state.map_or(&empty, |state| &state.ledger), slot, now);
        if self.in_order()
            && self.not_before.is_none_or(|at| at <= now)
            && let Some(earlier) = state.and_then(|state| missed(&scheduled, state, Some(&owed), now))
            && (owed.slot - earlier.slot).num_milliseconds() / self.interval() <= IN_ORDER
        {
            return Some((earlier, false));
        }
        Some((owed, true))
    }

    /// What was missed, else a look for what arrived late.
    fn owed(&self, state: Option<&RuleState>, policy: Policy, now: DateTime<Utc>) -> Option<(Owed, bool)> {
        let (scheduled, state) = (self.scheduled(policy), state?);
        let owed = missed(&scheduled, state, None, now).or_else(|| scheduled.arrivals(&state.ledger, now))?;
        Some((owed, false))
    }
}

fn last_slot(state: Option<&RuleState>) -> Option<DateTime<Utc>> {
    state.and_then(|state| state.last_slot).and_then(DateTime::from_timestamp_millis)
}

fn missed(
    scheduled: &Scheduled<'_>,
    state: &RuleState,
    pending: Option<&Owed>,
    now: DateTime<Utc>,
) -> Option<Owed> {
    scheduled.missed(&state.ledger, (last_slot(Some(state))?, state.failures), pending, now)
}
