//! The service: runs what is due, until it is told to stop.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::blackout::Blackouts;
use super::clockwatch::{ClockJump, ClockWatch};
use super::lease::partition_of;
use super::owed::Policy;
use super::reload::fingerprint;
use super::share::{RuleKey, Share};
use super::table::{Ended, Table};
use crate::base::clock::Clock;
use crate::base::diagnostic::Diagnostic;
use crate::engine::{Due, Engine};
use crate::rule::compiled::CompiledRule;
use crate::rule::model::Rule;
use crate::rule::set::{Changes, RuleSet};
use crate::store::state::{ExecutionRecord, RuleState};

/// How often the rule files are looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(5);
/// How often old state and events are swept.
const SWEEP_EVERY: Duration = Duration::from_hours(1);
/// How often what was not used lately is forgotten.
const REST_EVERY: Duration = Duration::from_mins(1);
/// How often it is looked how long events take to arrive.
const MEASURE_EVERY: Duration = Duration::from_mins(5);
/// A good value for [`Service::nap`].
pub const NAP: Duration = Duration::from_secs(1);

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
    /// Executions ended: their log entries, and what each end showed.
    Executed(Vec<(ExecutionRecord, Option<Ended>)>),
    /// It was looked what is due.
    Pulse {
        /// Rules on their schedules.
        rules: usize,
        /// Rules that run.
        running: usize,
        /// Rules that owe something that was missed.
        behind: usize,
    },
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
    /// Most rules of a group: all that are due where one scan serves many, one where each search
    /// is a request of its own, so that a slow rule delays only itself.
    pub together: usize,
    /// What is late and what was missed.
    pub policy: Policy,
    /// When no rule runs.
    pub blackouts: Blackouts,
    /// This runner's part, where others share the rules.
    pub share: Option<Share>,
    /// Longest sleep: a clock that was set, or a rule switched on, is noticed after so long.
    pub nap: Duration,
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

impl Service<'_> {
    /// Runs rules on their slots until `stop`; then lets what has begun come to its end.
    /// `reload` asks to read the rule files at once whenever it changes.
    pub async fn run(mut self, set: RuleSet, stop: CancellationToken, mut reload: watch::Receiver<u64>) {
        let mut set = set;
        let mut table = Table::new(self.policy, std::mem::take(&mut self.blackouts));
        let mut watch = ClockWatch::new(self.clock.now());
        self.engine.rewind(self.clock.now());
        self.apply(&mut table, &set).await;
        let mut seen = fingerprint(&self.rules.paths);
        let (sender, mut ended) = mpsc::channel::<Vec<ExecutionRecord>>(self.concurrency.max(1));
        let permits = Arc::new(Semaphore::new(self.concurrency.max(1)));
        let tracker = TaskTracker::new();
        let mut look = tokio::time::interval(RELOAD_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        look.reset();
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        let mut rest = tokio::time::interval(REST_EVERY);
        let mut measure = tokio::time::interval(MEASURE_EVERY);
        let every = self.share.as_ref().map_or(SWEEP_EVERY, Share::every);
        let mut meet = tokio::time::interval(every);
        meet.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = self.clock.now();
            match watch.look(now) {
                ClockJump::None => {}
                ClockJump::Ahead(before) => {
                    tracing::warn!(from = %before, to = %now, "the clock was set ahead");
                    self.engine.suspect(Some(before));
                }
                ClockJump::Back => {
                    tracing::warn!(to = %now, "the clock was set back");
                    self.engine.suspect(None);
                    self.engine.rewind(now);
                    table.look(&states(&self.engine), now);
                }
            }
            while let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
                let group = self.take(&mut table, now, permits.available_permits());
                if group.is_empty() {
                    break;
                }
                let (engine, sender) = (Arc::clone(&self.engine), sender.clone());
                tracker.spawn(async move {
                    let records = engine.run(group).await;
                    drop(permit);
                    // The receiver lives as long as the loop, and the drain after it.
                    drop(sender.send(records).await);
                });
            }
            let (rules, running, behind) = (table.len(), table.running(), table.behind());
            (self.tell)(Event::Pulse { rules, running, behind });
            let nap = self.nap(&table);
            tokio::select! {
                // In this order, so that a run can be repeated.
                biased;
                () = stop.cancelled() => break,
                Some(records) = ended.recv() => self.ended(&mut table, records),
                _ = look.tick(), if self.watch => {
                    let now = fingerprint(&self.rules.paths);
                    if now == seen {
                        // Rules are switched on and off without touching their files.
                        self.apply(&mut table, &set).await;
                    } else {
                        seen = now;
                        self.reload(&mut set, &mut table).await;
                    }
                }
                Ok(()) = reload.changed() => {
                    seen = fingerprint(&self.rules.paths);
                    self.reload(&mut set, &mut table).await;
                }
                _ = meet.tick(), if self.share.is_some() => self.meet(&mut table, &set).await,
                _ = measure.tick(), if self.policy.measured => {
                    table.settle(|rule| self.engine.settle(&rule.index_patterns()));
                }
                _ = sweep.tick() => self.sweep(&tracker),
                _ = rest.tick() => self.engine.rest(),
                () = tokio::time::sleep(nap) => {}
            }
        }
        tracker.close();
        drop(sender);
        while let Some(records) = ended.recv().await {
            self.ended(&mut table, records);
        }
        tracker.wait().await;
        if let Some(share) = &mut self.share
            && let Ok(Err(error)) = tokio::time::timeout(every, share.leave()).await
        {
            tracing::warn!(%error, "cannot hand the rules over: others take them when the lease ends");
        }
    }

    /// Meets the other runners: rules come and go.
    async fn meet(&mut self, table: &mut Table, set: &RuleSet) {
        let rules = self.rules_of(set);
        let keys: Vec<RuleKey> =
            rules.iter().map(|(rule, uuid)| (Arc::clone(uuid), Arc::clone(&rule.rule.rule_id))).collect();
        let busy: HashSet<u32> = table.running_uuids().map(partition_of).collect();
        let Some(share) = &mut self.share else { return };
        let busy = |partition| busy.contains(&partition);
        let ticked = tokio::time::timeout(share.every(), share.tick(&self.engine, &keys, &busy));
        match ticked.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot meet the other runners"),
            Err(_) => tracing::warn!("cannot meet the other runners: no answer in time"),
        }
        self.apply(table, set).await;
    }

    /// The next group: what is due; with nothing due and another permit `free` for what will be,
    /// what was missed.
    fn take(&self, table: &mut Table, now: DateTime<Utc>, free: usize) -> Vec<Due> {
        let states = states(&self.engine);
        let due = table.take_due(&states, now, self.together.max(1));
        if due.is_empty() && (free > 0 || self.concurrency < 2) {
            return table.take_missed(&states, now);
        }
        due
    }

    fn ended(&mut self, table: &mut Table, records: Vec<ExecutionRecord>) {
        let now = self.clock.now();
        let mut told = Vec::with_capacity(records.len());
        for record in records {
            let ended = table.ended(&record, &states(&self.engine), now);
            if ended.is_some_and(|ended| ended.overran) {
                tracing::warn!(
                    rule = record.rule_id,
                    took_ms = record.took_ms,
                    "an execution took longer than its rule's interval"
                );
            }
            told.push((record, ended));
        }
        (self.tell)(Event::Executed(told));
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
                self.apply(table, set).await;
                (self.tell)(Event::Reloaded(changes));
            }
            Err(errors) => (self.tell)(Event::ReloadRefused(errors)),
        }
    }

    /// Puts the selected rules on the table.
    async fn apply(&mut self, table: &mut Table, set: &RuleSet) {
        let mut rules = self.rules_of(set);
        if let Some(share) = &mut self.share {
            let keys: Vec<RuleKey> =
                rules.iter().map(|(rule, uuid)| (Arc::clone(uuid), Arc::clone(&rule.rule.rule_id))).collect();
            match tokio::time::timeout(share.every(), share.admit(&self.engine, &keys)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "cannot claim rules"),
                Err(_) => tracing::warn!("cannot claim rules: no answer in time"),
            }
            rules.retain(|(_, uuid)| share.runs(uuid));
        }
        for (rule, error) in table.set(rules, &states(&self.engine), self.clock.now()) {
            (self.tell)(Event::BadSchedule(rule, error.to_string()));
        }
    }

    /// The selected rules that run, with their object ids.
    fn rules_of(&self, set: &RuleSet) -> Vec<(Arc<CompiledRule>, Arc<str>)> {
        let space = &self.engine.settings().space;
        let plans: HashMap<&Arc<str>, &Arc<CompiledRule>> =
            set.compiled.iter().map(|compiled| (&compiled.rule.rule_id, compiled)).collect();
        let selected = (self.rules.select)(set);
        selected
            .iter()
            .filter_map(|rule| Some((Arc::clone(*plans.get(&rule.rule_id)?), rule.object_id(space))))
            .collect()
    }

    /// How long there is nothing to do.
    fn nap(&self, table: &Table) -> Duration {
        let now = self.clock.now();
        let until = table.wakes(now).map_or(self.nap, |at| (at - now).to_std().unwrap_or(Duration::ZERO));
        // What is due but has to wait for a permit is woken by the end of another.
        until.max(Duration::from_millis(10)).min(self.nap)
    }

    fn sweep(&self, tracker: &TaskTracker) {
        if let Some(sweep) = &self.sweep {
            let sweep = Arc::clone(sweep);
            tracker.spawn_blocking(move || sweep());
        }
    }
}

/// What the engine remembers of a rule.
fn states(engine: &Engine) -> impl Fn(&str) -> Option<RuleState> {
    |uuid| engine.rule_state(uuid)
}
