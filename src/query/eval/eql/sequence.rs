//! Sequences: one state machine for each key.
//!
//! A key has at most one unfinished sequence in each state. An event of a stage takes the one in
//! the state before and puts it, longer by itself, into the next, over what was there; an event of
//! the first stage begins a new one. So not every combination is found: an event is in at most one
//! sequence at each stage, together with the events before it that are nearest. That is how
//! Elasticsearch finds them.
//!
//! Missing events do not move a sequence. Whether one occurred is asked when it is complete: in
//! between, before the first event or after the last, within the longest time.

use rustc_hash::FxHashMap;

use super::key::Key;
use super::{Joined, Outcome};
use crate::base::limits::{FOUND_BYTES, SEQUENCE_BYTES};
use crate::query::plan::{JoinKey, SequencePlan, StagePlan};

/// What an event of a stage is asked for: the search that finds it and the keys that join it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Number of the search.
    pub search: usize,
    /// The keys.
    pub keys: Vec<JoinKey>,
}

/// Finds sequences in a stream of events in order of time.
#[derive(Debug)]
pub struct SequenceMatcher<R> {
    asked: Vec<Asked>,
    /// By stage that occurs: what it asks for, and the missing stages right before it.
    stages: Vec<(usize, Vec<usize>)>,
    /// The missing stages after the last that occurs.
    trailing: Vec<usize>,
    /// By missing stage: what it asks for.
    missing: Vec<usize>,
    /// For each stage of the query, whether it is missing.
    shape: Vec<bool>,
    until: Option<usize>,
    maxspan: Option<i64>,
    limit: usize,
    keys: FxHashMap<Key, Pending<R>>,
    /// Approximate heap size of `keys`, bytes.
    size: usize,
    /// Size after which what is too old is looked for.
    sweep_at: usize,
    order: u64,
    now: i64,
    /// Complete ones; `None` where a missing event turned up after all.
    found: Vec<Option<Joined<R>>>,
    /// Most complete ones that are kept.
    most: usize,
    given_up: u64,
    left_out: u64,
}

/// What is remembered of a key.
#[derive(Debug)]
struct Pending<R> {
    /// By state: the unfinished sequence in it.
    states: Vec<Option<Partial<R>>>,
    /// By missing stage: order and time of its latest event.
    missing: Vec<Option<(u64, i64)>>,
    /// Complete ones that wait for the end of their time: number, order of the last event, end.
    waiting: Vec<(usize, u64, i64)>,
}

#[derive(Debug)]
struct Partial<R> {
    start: i64,
    /// Order of its latest event.
    order: u64,
    events: Vec<R>,
    /// Time of the latest event before it that must be missing.
    before: Option<i64>,
    /// Whether an event occurred that must not.
    spoiled: bool,
}

impl<R: Clone> SequenceMatcher<R> {
    /// A matcher for `plan` within [`SEQUENCE_BYTES`].
    pub fn new(plan: &SequencePlan) -> Self {
        Self::within(plan, SEQUENCE_BYTES)
    }

    /// A matcher for `plan` that remembers at most about `limit` bytes of unfinished sequences.
    pub fn within(plan: &SequencePlan, limit: usize) -> Self {
        let mut asked: Vec<Asked> = Vec::new();
        let mut number = |stage: &StagePlan| {
            let one = Asked { search: stage.search, keys: stage.keys.clone() };
            let known = asked.iter().position(|known| *known == one);
            known.unwrap_or_else(|| {
                asked.push(one);
                asked.len() - 1
            })
        };
        let mut stages = Vec::new();
        let mut missing = Vec::new();
        let mut gap = Vec::new();
        for stage in &plan.stages {
            let asks = number(stage);
            if stage.missing {
                gap.push(missing.len());
                missing.push(asks);
            } else {
                stages.push((asks, std::mem::take(&mut gap)));
            }
        }
        let until = plan.until.as_ref().map(&mut number);
        Self {
            asked,
            stages,
            trailing: gap,
            missing,
            shape: plan.stages.iter().map(|stage| stage.missing).collect(),
            until,
            maxspan: plan.maxspan,
            limit,
            keys: FxHashMap::default(),
            size: 0,
            sweep_at: limit / 4,
            order: 0,
            now: i64::MIN,
            found: Vec::new(),
            most: FOUND_BYTES.min(limit)
                / (plan.stages.len() * size_of::<Option<R>>() + size_of::<Joined<R>>()).max(1),
            given_up: 0,
            left_out: 0,
        }
    }

    /// What events are asked for.
    pub fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// Takes the next event: its time in milliseconds and, for each of [`SequenceMatcher::asked`],
    /// its keys, or none where it is not what is asked for. Events come in order; of those at the
    /// same time, the one that comes first is the earlier one.
    pub fn event(&mut self, at: i64, event: &R, keys: &[Vec<Key>]) {
        self.order += 1;
        self.now = self.now.max(at);
        let of = |asked: usize| keys.get(asked).map_or(&[][..], Vec::as_slice);
        for state in (0..self.stages.len()).rev() {
            let Some((asked, _)) = self.stages.get(state) else { continue };
            for key in of(*asked) {
                self.step(state, at, event, key);
            }
        }
        for missing in 0..self.missing.len() {
            let Some(asked) = self.missing.get(missing) else { continue };
            for key in of(*asked) {
                self.occurred(missing, at, key);
            }
        }
        if let Some(until) = self.until {
            for key in of(until) {
                if let Some(pending) = self.keys.get_mut(key) {
                    let freed: usize =
                        pending.states.iter_mut().filter_map(Option::take).map(|p| p.size()).sum();
                    self.size = self.size.saturating_sub(freed);
                }
            }
        }
        if self.size > self.sweep_at {
            self.sweep();
        }
    }

    /// Everything found; what waited for a missing event has not seen one.
    pub fn finish(self) -> Outcome<R> {
        Outcome {
            found: self.found.into_iter().flatten().collect(),
            given_up: self.given_up,
            left_out: self.left_out,
        }
    }

    /// An event of the stage that leads from state `state - 1` to `state`.
    fn step(&mut self, state: usize, at: i64, event: &R, key: &Key) {
        let gap = self.stages.get(state).map_or(&[][..], |(_, gap)| gap.as_slice());
        let mut partial = match state.checked_sub(1) {
            None => {
                let pending = self.keys.get(key);
                let before =
                    gap.iter().filter_map(|missing| pending?.missing.get(*missing)?.map(|(_, at)| at)).max();
                Partial { start: at, order: 0, events: Vec::with_capacity(1), before, spoiled: false }
            }
            Some(before) => {
                let Some(pending) = self.keys.get_mut(key) else { return };
                let Some(mut partial) = pending.states.get_mut(before).and_then(Option::take) else { return };
                self.size = self.size.saturating_sub(partial.size());
                if self.maxspan.is_some_and(|most| at.saturating_sub(partial.start) > most) {
                    return;
                }
                partial.spoiled |= gap
                    .iter()
                    .filter_map(|missing| pending.missing.get(*missing).copied().flatten())
                    .any(|(order, _)| order > partial.order);
                partial
            }
        };
        partial.order = self.order;
        partial.events.push(event.clone());
        if state + 1 == self.stages.len() {
            self.complete(partial, at, key);
            return;
        }
        self.size += partial.size();
        let pending = self.pending(key);
        let replaced = pending.states.get_mut(state).and_then(|slot| slot.replace(partial));
        if let Some(replaced) = replaced {
            self.size = self.size.saturating_sub(replaced.size());
        }
    }

    fn complete(&mut self, partial: Partial<R>, at: i64, key: &Key) {
        let most = self.maxspan.unwrap_or(i64::MAX);
        let early = partial.before.is_some_and(|before| before >= at.saturating_sub(most));
        if partial.spoiled || early {
            return;
        }
        if self.found.len() >= self.most {
            self.left_out += 1;
            return;
        }
        let mut events = partial.events.into_iter();
        let events = self.shape.iter().map(|missing| if *missing { None } else { events.next() }).collect();
        if !self.trailing.is_empty() {
            let waits = (self.found.len(), self.order, partial.start.saturating_add(most));
            self.size += size_of::<(usize, u64, i64)>();
            self.pending(key).waiting.push(waits);
        }
        self.found.push(Some(Joined { key: key.clone(), events }));
    }

    /// An event that must be missing.
    fn occurred(&mut self, missing: usize, at: i64, key: &Key) {
        let order = self.order;
        let ends = self.trailing.contains(&missing);
        let pending = self.pending(key);
        if let Some(slot) = pending.missing.get_mut(missing) {
            *slot = Some((order, at));
        }
        if !ends || pending.waiting.is_empty() {
            return;
        }
        // All of them are over: in time they are refuted, after it nothing can refute them.
        let waiting = std::mem::take(&mut pending.waiting);
        let kept: Vec<_> = waiting.iter().copied().filter(|(_, last, _)| *last >= order).collect();
        pending.waiting.clone_from(&kept);
        self.size = self.size.saturating_sub((waiting.len() - kept.len()) * size_of::<(usize, u64, i64)>());
        for (number, last, end) in waiting {
            if last < order
                && at <= end
                && let Some(found) = self.found.get_mut(number)
            {
                *found = None;
            }
        }
    }

    fn pending(&mut self, key: &Key) -> &mut Pending<R> {
        let (states, missing) = (self.stages.len().saturating_sub(1), self.missing.len());
        if !self.keys.contains_key(key) {
            self.size += pending_size(key, states, missing, size_of::<Option<Partial<R>>>());
        }
        self.keys.entry(key.clone()).or_insert_with(|| Pending {
            states: std::iter::repeat_with(|| None).take(states).collect(),
            missing: vec![None; missing],
            waiting: Vec::new(),
        })
    }

    /// Forgets what is over, and if that is not enough, the older half of what is not.
    fn sweep(&mut self) {
        self.forget(|_| true);
        if self.size > self.limit {
            let mut starts: Vec<i64> = self.keys.values().filter_map(Pending::latest).collect();
            let middle = starts.len() / 2;
            if middle < starts.len() {
                let median = *starts.select_nth_unstable(middle).1;
                self.forget(|latest| latest > median);
            }
            if self.size > self.limit {
                self.given_up += self.keys.len() as u64;
                self.keys.clear();
                self.size = 0;
            }
        }
        self.sweep_at = (self.size + self.size / 2).max(self.limit / 4).min(self.limit);
    }

    /// Forgets what is too old to be continued, and of the rest what `keep` does not want, which
    /// is counted.
    fn forget(&mut self, keep: impl Fn(i64) -> bool) {
        let oldest = self.maxspan.map(|most| self.now.saturating_sub(most));
        let (states, missing) = (self.stages.len().saturating_sub(1), self.missing.len());
        let mut size = 0;
        let mut given_up = 0;
        self.keys.retain(|key, pending| {
            if let Some(oldest) = oldest {
                for state in &mut pending.states {
                    state.take_if(|partial| partial.start < oldest);
                }
                for slot in &mut pending.missing {
                    slot.take_if(|(_, at)| *at < oldest);
                }
                let now = self.now;
                pending.waiting.retain(|(_, _, end)| *end >= now);
            }
            match pending.latest() {
                None if pending.missing.iter().all(Option::is_none) && pending.waiting.is_empty() => {
                    return false;
                }
                Some(latest) if !keep(latest) => {
                    given_up += pending.states.iter().flatten().count() as u64;
                    return false;
                }
                _ => {}
            }
            size += pending_size(key, states, missing, size_of::<Option<Partial<R>>>())
                + pending.states.iter().flatten().map(Partial::size).sum::<usize>()
                + pending.waiting.len() * size_of::<(usize, u64, i64)>();
            true
        });
        self.size = size;
        self.given_up += given_up;
    }
}

impl<R> Partial<R> {
    /// Approximate heap size, bytes.
    fn size(&self) -> usize {
        self.events.capacity() * size_of::<R>()
    }
}

impl<R> Pending<R> {
    /// Start of its latest unfinished sequence.
    fn latest(&self) -> Option<i64> {
        self.states.iter().flatten().map(|partial| partial.start).max()
    }
}

/// Approximate size of what is remembered of a key without any sequence, bytes.
fn pending_size(key: &Key, states: usize, missing: usize, state: usize) -> usize {
    let values: usize = key.iter().map(super::key::KeyValue::size).sum();
    let entry = 160 + values + key.len() * size_of::<super::key::KeyValue>();
    entry + states * state + missing * size_of::<Option<(u64, i64)>>()
}
