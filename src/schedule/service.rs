//! The service: runs what is due, until it is told to stop.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::reload::fingerprint;
use super::slots::Slots;
use crate::base::clock::Clock;
use crate::base::diagnostic::Diagnostic;
use crate::engine::{Due, Engine};
use crate::rule::compiled::CompiledRule;
use crate::rule::model::Rule;
use crate::rule::set::{Changes, RuleSet};
use crate::store::state::ExecutionRecord;

/// How often the rule files are looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(5);
/// How often old state and events are swept.
const SWEEP_EVERY: Duration = Duration::from_hours(1);
/// Longest sleep: a clock that was set is noticed after so long.
const NAP: Duration = Duration::from_secs(1);

/// Chooses the rules of a set that run.
pub type Select = Arc<dyn Fn(&RuleSet) -> Vec<Arc<Rule>> + Send + Sync>;

/// Where the service gets its rules.
#[derive(Clone)]
pub struct Rules {
    /// Files and folders that are watched; empty: nothing is.
    pub paths: Vec<PathBuf>,
    /// Reads all rules.
    pub load: Arc<dyn Fn() -> RuleSet + Send + Sync>,
    /// Which of them run here.
    pub select: Select,
}

/// What the service tells.
#[derive(Debug)]
pub enum Event {
    /// Executions ended.
    Executed(Vec<ExecutionRecord>),
    /// Changed rule files are in force.
    Reloaded(Changes),
    /// Changed rule files have errors; the rules from before stay in force.
    ReloadRefused(Vec<Diagnostic>),
    /// A rule's schedule cannot be read: it does not run.
    BadSchedule(Arc<Rule>, String),
}

/// The service's settings and connections.
pub struct Service<'a> {
    /// Runs executions.
    pub engine: Arc<Engine>,
    /// Rules.
    pub rules: Rules,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Groups of executions at work at once.
    pub concurrency: usize,
    /// Whether the rule files are watched.
    pub watch: bool,
    /// Told what happens.
    pub tell: Box<dyn FnMut(Event) + 'a>,
    /// Sweeps old state and events now and then.
    pub sweep: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Service<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// A rule on its schedule.
struct Entry {
    compiled: Arc<CompiledRule>,
    slots: Slots,
    /// The next slot to run; `None`: there is none any more.
    next: Option<DateTime<Utc>>,
}

/// Rules on their schedules, by id, and those that run now.
#[derive(Default)]
struct Table {
    entries: BTreeMap<Arc<str>, Entry>,
    /// Ids of the rules that run, with their slot.
    running: HashMap<Arc<str>, DateTime<Utc>>,
}

impl Service<'_> {
    /// Runs rules on their slots until `stop`; then lets what has begun come to its end.
    /// `reload` asks to read the rule files at once whenever it changes.
    pub async fn run(mut self, set: RuleSet, stop: CancellationToken, mut reload: watch::Receiver<u64>) {
        let mut set = set;
        let mut table = Table::default();
        self.apply(&mut table, &set);
        let mut seen = fingerprint(&self.rules.paths);
        let (sender, mut ended) = mpsc::channel::<Vec<ExecutionRecord>>(self.concurrency.max(1));
        let permits = Arc::new(Semaphore::new(self.concurrency.max(1)));
        let tracker = TaskTracker::new();
        let mut look = tokio::time::interval(RELOAD_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        look.reset();
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
                let group = table.take_due(self.clock.now());
                if !group.is_empty() {
                    let (engine, sender) = (Arc::clone(&self.engine), sender.clone());
                    tracker.spawn(async move {
                        let records = engine.run(group).await;
                        drop(permit);
                        // The receiver lives as long as the loop, and the drain after it.
                        drop(sender.send(records).await);
                    });
                }
            }
            let nap = table.nap(self.clock.now());
            tokio::select! {
                () = stop.cancelled() => break,
                Some(records) = ended.recv() => self.ended(&mut table, records),
                _ = look.tick(), if self.watch => {
                    let now = fingerprint(&self.rules.paths);
                    if now == seen {
                        // Rules are switched on and off without touching their files.
                        self.apply(&mut table, &set);
                    } else {
                        seen = now;
                        self.reload(&mut set, &mut table).await;
                    }
                }
                Ok(()) = reload.changed() => {
                    seen = fingerprint(&self.rules.paths);
                    self.reload(&mut set, &mut table).await;
                }
                _ = sweep.tick() => self.sweep(&tracker),
                () = tokio::time::sleep(nap) => {}
            }
        }
        tracker.close();
        drop(sender);
        while let Some(records) = ended.recv().await {
            self.ended(&mut table, records);
        }
        tracker.wait().await;
    }

    fn ended(&mut self, table: &mut Table, records: Vec<ExecutionRecord>) {
        let now = self.clock.now();
        for record in &records {
            table.ended(&record.rule_id, now);
        }
        (self.tell)(Event::Executed(records));
    }

    async fn reload(&mut self, set: &mut RuleSet, table: &mut Table) {
        let load = Arc::clone(&self.rules.load);
        let new = match tokio::task::spawn_blocking(move || load()).await {
            Ok(new) => new,
            Err(error) => {
                tracing::error!(%error, "reading the rules broke off: the rules from before stay in force");
                return;
            }
        };
        if new.hash == set.hash && new.errors().count() == set.errors().count() {
            return;
        }
        match set.replaced_by(new) {
            Ok((new, changes)) => {
                *set = new;
                self.apply(table, set);
                (self.tell)(Event::Reloaded(changes));
            }
            Err(errors) => (self.tell)(Event::ReloadRefused(errors)),
        }
    }

    /// Puts the selected rules on the table: unchanged ones keep their next slot, those that run
    /// come to their end.
    fn apply(&mut self, table: &mut Table, set: &RuleSet) {
        let now = self.clock.now();
        let mut old = std::mem::take(&mut table.entries);
        for rule in (self.rules.select)(set) {
            let Some(compiled) = set.plan(&rule.rule_id) else { continue };
            if let Some(entry) = old.remove(&rule.rule_id)
                && entry.compiled.rule.origin.hash == rule.origin.hash
            {
                table.entries.insert(Arc::clone(&rule.rule_id), entry);
                continue;
            }
            let slots = match Slots::of(&rule) {
                Ok(slots) => slots,
                Err(error) => {
                    (self.tell)(Event::BadSchedule(rule, error.to_string()));
                    continue;
                }
            };
            let uuid = rule.object_id(&self.engine.settings().space);
            let last = self.engine.rule_state(&uuid).and_then(|state| state.last_slot);
            let last = last.and_then(DateTime::from_timestamp_millis);
            let next = slots.due(last, now).or_else(|| slots.after(now));
            let compiled = Arc::clone(compiled);
            table.entries.insert(Arc::clone(&rule.rule_id), Entry { compiled, slots, next });
        }
    }

    fn sweep(&self, tracker: &TaskTracker) {
        if let Some(sweep) = &self.sweep {
            let sweep = Arc::clone(sweep);
            tracker.spawn_blocking(move || sweep());
        }
    }
}

impl Table {
    /// The rules that are due and do not run already, the longest due first; they run from now on.
    fn take_due(&mut self, now: DateTime<Utc>) -> Vec<Due> {
        let mut due: Vec<Due> = Vec::new();
        for (id, entry) in &mut self.entries {
            let Some(slot) = entry.next.filter(|slot| *slot <= now) else { continue };
            if self.running.contains_key(id) {
                continue;
            }
            self.running.insert(Arc::clone(id), slot);
            entry.next = entry.slots.after(slot);
            due.push(Due::compiled(&entry.compiled, slot));
        }
        due.sort_by_key(|due| due.slot);
        due
    }

    /// A rule came to its end. Of slots that passed meanwhile only the latest is run: its window
    /// looks back, and what it does not reach is said by its execution.
    fn ended(&mut self, rule_id: &str, now: DateTime<Utc>) {
        let Some(ran) = self.running.remove(rule_id) else { return };
        if let Some(entry) = self.entries.get_mut(rule_id) {
            entry.next = entry.slots.due(Some(ran), now).or_else(|| entry.slots.after(now));
        }
    }

    /// How long there is nothing to do.
    fn nap(&self, now: DateTime<Utc>) -> Duration {
        let waiting = self.entries.iter().filter(|(id, _)| !self.running.contains_key(*id));
        let next = waiting.filter_map(|(_, entry)| entry.next).min();
        let until = next.map_or(NAP, |next| (next - now).to_std().unwrap_or(Duration::ZERO));
        // What is due but has to wait for a permit is woken by the end of another.
        until.clamp(Duration::from_millis(10), NAP)
    }
}
