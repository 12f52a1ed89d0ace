//! All rules that are due together, in one search and one commit.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::clashes::Clashes;
use super::errand::Errand;
use super::execution::Task;
use super::kinds;
use super::outcome::Log;
use super::plan::{plan, reads_alerts};
use super::settings::{Settings, Trigger};
use super::unwind::caught;
use crate::backend::{Backend, BackendError, Hit, HitPage, SearchRequest};
use crate::base::clock::Clock;
use crate::base::delays::Delays;
use crate::query::plan::{Filter, Node};
use crate::rule::compiled::{self, CompiledPlan, CompiledRule};
use crate::rule::exceptions::{RuleExceptions, in_force};
use crate::rule::model::{Rule, RuleKind};
use crate::store::state::{
    AlertSink, ExecutionCommit, ExecutionRecord, LocalState, RuleState, StateDb, StateError, StateStore,
    Status,
};

/// Executions that are ready are not held back longer than this by others of their group.
const HOLD: Duration = Duration::from_secs(1);

/// How long a clock that was set ahead is not trusted.
const SUSPICION: Duration = Duration::from_hours(24);

/// Longest delay of events that is waited for unless the configuration says so, ms.
const SETTLE_MOST: i64 = 300_000;

/// A rule whose slot has come.
#[derive(Debug, Clone)]
pub struct Due {
    /// The rule.
    pub rule: Arc<Rule>,
    /// What it searches for; `None`: this version cannot run it.
    pub plan: Option<CompiledPlan>,
    /// Events it does not alert on.
    pub exceptions: RuleExceptions,
    /// The slot: "now" of the rule's window and of date math in its query.
    pub slot: DateTime<Utc>,
    /// What it is for, where that is not simply the rule's own window at the slot.
    pub errand: Option<Errand>,
}

impl Due {
    /// A rule that runs.
    pub fn compiled(rule: &CompiledRule, slot: DateTime<Utc>) -> Self {
        Self {
            rule: Arc::clone(&rule.rule),
            plan: Some(rule.plan.clone()),
            exceptions: rule.exceptions.clone(),
            slot,
            errand: None,
        }
    }

    /// A rule that runs an errand.
    pub fn on_errand(rule: &CompiledRule, slot: DateTime<Utc>, errand: Errand) -> Self {
        Self { errand: Some(errand), ..Self::compiled(rule, slot) }
    }

    /// Why it runs; `default` without an errand.
    pub(super) fn trigger(&self, default: Trigger) -> Trigger {
        self.errand.as_ref().map_or(default, |errand| errand.trigger)
    }

    /// A rule that this version cannot run.
    pub fn not_run(rule: &Arc<Rule>, slot: DateTime<Utc>) -> Self {
        let exceptions = RuleExceptions::default();
        Self { rule: Arc::clone(rule), plan: None, exceptions, slot, errand: None }
    }
}

/// Runs executions.
pub struct Engine {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) state: Arc<dyn StateStore>,
    pub(super) alerts: Arc<dyn AlertSink>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: Settings,
    rules: Mutex<HashMap<String, RuleState>>,
    /// Since when the clock may be ahead: when that was noticed, and what it had shown, ms.
    suspect: Mutex<Vec<(tokio::time::Instant, i64)>>,
    /// How often the clock was set back.
    era: AtomicU64,
    /// How long events of each index take to arrive.
    delays: Mutex<BTreeMap<Arc<str>, Delays>>,
    pub(super) clashes: Clashes,
    /// What indicator match rules know of their indicators.
    pub(super) indicator_sets: Mutex<kinds::IndicatorSets>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that searches `backend` and writes to the state database of this machine.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn new(
        backend: Arc<dyn Backend>,
        state: Arc<StateDb>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self, StateError> {
        let rules = state.rule_states()?;
        let local = Arc::new(LocalState::new(state));
        Ok(Self::over(backend, Arc::<LocalState>::clone(&local), local, clock, settings, rules))
    }

    /// An engine that searches `backend`, keeps its state in `state` and finds in `alerts` what was
    /// alerted before.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn open(
        backend: Arc<dyn Backend>,
        state: Arc<dyn StateStore>,
        alerts: Arc<dyn AlertSink>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self, StateError> {
        let rules = state.rule_states().await?;
        Ok(Self::over(backend, state, alerts, clock, settings, rules))
    }

    fn over(
        backend: Arc<dyn Backend>,
        state: Arc<dyn StateStore>,
        alerts: Arc<dyn AlertSink>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        rules: HashMap<String, RuleState>,
    ) -> Self {
        Self {
            backend,
            state,
            alerts,
            clock,
            settings,
            rules: Mutex::new(rules),
            suspect: Mutex::default(),
            era: AtomicU64::new(0),
            delays: Mutex::default(),
            clashes: Clashes::default(),
            indicator_sets: Mutex::default(),
        }
    }

    /// What is remembered of the rule with this object id.
    pub fn rule_state(&self, uuid: &str) -> Option<RuleState> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).get(uuid).cloned()
    }

    /// Lets the backend forget what was not used for the last minutes; a service calls it every
    /// minute.
    pub fn rest(&self) {
        self.backend.rest();
    }

    /// Settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Runs rules that are due together: one search for all of them and one commit, rules that
    /// read alerts after the others. Log entries come back in the order asked. A rule that fails
    /// fails alone.
    pub async fn run(&self, due: Vec<Due>) -> Vec<ExecutionRecord> {
        let default_alerts = reads_alerts(&self.settings.default_index);
        let second = |due: &Due| due.rule.index.as_deref().map_or(default_alerts, reads_alerts);
        let order: Vec<(usize, Due)> = due.into_iter().enumerate().collect();
        let (second, first): (Vec<_>, Vec<_>) = order.into_iter().partition(|(_, due)| second(due));
        let mut records = Vec::with_capacity(first.len() + second.len());
        for group in [first, second] {
            if group.is_empty() {
                continue;
            }
            let (places, group): (Vec<usize>, Vec<Due>) = group.into_iter().unzip();
            records.extend(places.into_iter().zip(self.run_group(group).await));
        }
        records.sort_by_key(|(place, _)| *place);
        records.into_iter().map(|(_, record)| record).collect()
    }

    async fn run_group(&self, group: Vec<Due>) -> Vec<ExecutionRecord> {
        let backlogs = match self.state.backlog_rules().await {
            Ok(backlogs) => backlogs,
            Err(error) => {
                tracing::warn!(%error, "cannot read the backlog: candidates keep waiting");
                HashSet::new()
            }
        };
        let anomalies = self.anomalies(&group).await;
        let mut book = Book::new(group.len());
        let mut tasks = Vec::new();
        for (place, due) in group.into_iter().enumerate() {
            match self.prepare(due, &backlogs, &anomalies) {
                Ok(task) => tasks.push((place, *task)),
                Err(commit) => book.ready(place, *commit),
            }
        }
        let begun = Instant::now();
        let pages = self.first_pages(&tasks).await;
        for ((_, task), page) in tasks.iter_mut().zip(&pages) {
            if page.is_some() {
                task.log.spent(begun, |timings| &mut timings.search_ms);
            }
        }
        for ((_, task), page) in tasks.iter().zip(&pages) {
            if let (Some(Ok(page)), true) = (page, task.due.errand.as_ref().is_some_and(|e| e.arrivals)) {
                self.note_delays(&page.hits);
            }
        }
        for ((place, task), page) in tasks.into_iter().zip(pages) {
            book.ready(place, self.finish(task, page).await);
            if book.since.is_some_and(|since| since.elapsed() > HOLD) {
                self.commit(&mut book).await;
            }
        }
        self.commit(&mut book).await;
        book.records.into_iter().flatten().collect()
    }

    /// Whether there are anomalies to search, asked only where a rule needs them.
    async fn anomalies(&self, group: &[Due]) -> Result<bool, String> {
        if !group.iter().filter_map(|due| due.plan.as_ref()).any(CompiledPlan::needs_job) {
            return Ok(false);
        }
        match tokio::time::timeout(self.settings.timeout, caught(self.backend.anomalies())).await {
            Ok(answer) => answer?.map_err(|error| error.to_string()),
            Err(_) => Err("whether there are anomalies was not answered in time".to_owned()),
        }
    }

    /// Plans an execution, or ends it where there is nothing to search.
    fn prepare(
        &self,
        mut due: Due,
        backlogs: &HashSet<String>,
        anomalies: &Result<bool, String>,
    ) -> Result<Box<Task>, Box<ExecutionCommit>> {
        let uuid = due.rule.object_id(&self.settings.space);
        let era = self.era();
        let mut log = Log::new(&due, &uuid, &self.settings, self.clock.now());
        let end = |record: ExecutionRecord| {
            let state = Some(self.next_state(&due, &uuid, &record, None, era));
            Box::new(ExecutionCommit {
                record,
                alerts: Vec::new(),
                updates: Vec::new(),
                state,
                kept: Vec::new(),
                settled: Vec::new(),
                memory: Vec::new(),
                turns: Vec::new(),
            })
        };
        let Some(compiled) = &due.plan else {
            let why = compiled::plan(&due.rule).err().map_or_else(String::new, |why| why.to_string());
            return Err(end(log.without_search(Status::NotRun, why)));
        };
        if compiled.needs_job() {
            match anomalies {
                Ok(true) => {}
                Ok(false) => {
                    let why = format!("{}: {} has none", needs(&due.rule), self.backend.capabilities().name);
                    return Err(end(log.without_search(Status::NotRun, why)));
                }
                Err(error) => return Err(end(log.failed(error.clone()))),
            }
        }
        let mut excepted = in_force(&due.exceptions.items, due.slot.timestamp_millis()).map(Arc::new);
        let without = match &excepted {
            // Events are counted or joined: those that are excepted must not be among them.
            Some(excepted) if !kinds::by_hit(compiled) => Some(compiled.without(excepted)),
            _ => None,
        };
        let compiled = without.as_ref().unwrap_or(compiled);
        if without.is_some() {
            excepted = None;
            log.record.excepted = None;
        }
        let all = Arc::new(Filter::new(Node::All));
        let filter = compiled.filter().unwrap_or(&all);
        let mut warnings = Vec::new();
        let mut plan = match plan(&due.rule, filter, due.slot, &self.settings, |w| warnings.push(w)) {
            Ok(plan) => plan,
            Err(error) => return Err(end(log.failed(error))),
        };
        if let Some(errand) = &due.errand {
            plan.send(errand);
        }
        log.record.warnings = warnings;
        for list in due.exceptions.absent(&due.rule) {
            log.warn(format!("exception list `{list}` is not loaded: the rule alerts on what it excepts"));
        }
        log.window(plan.window);
        if due.trigger(self.settings.trigger) == Trigger::Scheduled
            && let Some(gap) = self.gap(&uuid, plan.window.from)
        {
            log.warn(gap);
        }
        let backlog = backlogs.contains(&*uuid);
        if without.is_some() {
            due.plan = without;
        }
        Ok(Box::new(Task { due, uuid, plan, log, backlog, excepted, era }))
    }

    /// Takes rules (object id, signature id) over under a token: what another runner writes about
    /// them under a lower one is refused, and what it has written until now is known here.
    ///
    /// # Errors
    /// When the state cannot be claimed; then nothing changed here.
    #[expect(clippy::iter_over_hash_type, reason = "each state by itself")]
    pub async fn claim(&self, rules: Vec<(Arc<str>, Arc<str>)>, fence: i64) -> Result<(), StateError> {
        let mut states = self.state.claim(&rules, fence).await?;
        let now = self.clock.now().timestamp_millis();
        for state in states.values_mut() {
            state.rewind(now);
        }
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).extend(states);
        Ok(())
    }

    /// Changes whenever the clock is set back: what an execution searches across such a moment is
    /// not what its window says.
    pub(super) fn era(&self) -> u64 {
        self.era.load(Ordering::Relaxed)
    }

    /// The clock was set back to `now`, or an installation starts: slots that seemed to have come
    /// have not, and what was searched while the clock may have been ahead is to be searched again.
    #[expect(clippy::iter_over_hash_type, reason = "each state by itself")]
    pub fn rewind(&self, now: DateTime<Utc>) {
        self.era.fetch_add(1, Ordering::Relaxed);
        let now = now.timestamp_millis();
        for state in self.rules.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
            state.rewind(now);
        }
    }

    /// The clock was set ahead after it showed `before`, rightly or not: what is proven from here
    /// on is noted as such, so that it can be taken back; `None`: it is right.
    pub fn suspect(&self, before: Option<DateTime<Utc>>) {
        let mut suspect = self.suspect.lock().unwrap_or_else(PoisonError::into_inner);
        match before {
            Some(at) => suspect.push((tokio::time::Instant::now(), at.timestamp_millis())),
            None => suspect.clear(),
        }
    }

    /// Since when the clock may be ahead, ms. Each time that it was set ahead is forgotten by itself,
    /// after a day (by elapsed time, whatever the clock says) in which it was not set back.
    pub(super) fn suspected(&self) -> Option<i64> {
        let mut suspect = self.suspect.lock().unwrap_or_else(PoisonError::into_inner);
        suspect.retain(|(noticed, _)| noticed.elapsed() < SUSPICION);
        suspect.iter().map(|(_, at)| *at).min()
    }

    /// Takes note of how long the events of a look for late ones took to arrive.
    pub(super) fn note_delays(&self, hits: &[Hit]) {
        let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
        for hit in hits {
            let source = delays.entry(Arc::clone(&hit.document.index)).or_default();
            source.note(hit.sort.timestamp, hit.sort.primary);
        }
    }

    /// How long events of the indices that `patterns` name take to arrive as a rule, ms; 0 when
    /// too little is known.
    pub fn settle(&self, patterns: &[String]) -> i64 {
        let delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
        let named = crate::store::pattern::resolve(patterns, self.clock.now(), delays.keys());
        let most = named.iter().filter_map(|index| delays.get(index)?.most()).max();
        most.unwrap_or(0).min(SETTLE_MOST)
    }

    /// Says which time right before a window no execution of the rule has searched.
    fn gap(&self, uuid: &str, from: DateTime<Utc>) -> Option<String> {
        let ledger = self.rule_state(uuid)?.ledger;
        let hole = ledger.holes(from.timestamp_millis()).pop()?;
        let (start, end) =
            (DateTime::from_timestamp_millis(hole.from)?, DateTime::from_timestamp_millis(hole.until)?);
        (end == from).then(|| {
            format!(
                "{} s before this window are not searched yet: from {} to {}",
                (end - start).num_seconds(),
                crate::base::window::iso_millis(start),
                crate::base::window::iso_millis(end)
            )
        })
    }

    /// The first page of every task that starts with one. Where the common search breaks off or
    /// takes too long, each rule is searched alone, so that only the one at fault fails.
    async fn first_pages(&self, tasks: &[(usize, Task)]) -> Vec<Option<Result<HitPage, BackendError>>> {
        let starts = |task: &Task| task.due.plan.as_ref().is_some_and(kinds::first_page);
        let asking = tasks.iter().map(|(_, task)| task).filter(|task| starts(task));
        let requests: Vec<_> = asking.map(|task| task.plan.request.clone()).collect();
        let most = tasks.iter().map(|(_, task)| self.settings.timeout_of(&task.due.rule)).max();
        let most = most.unwrap_or(self.settings.timeout);
        let mut pages = self.searched_together(requests, most).await.into_iter();
        tasks.iter().map(|(_, task)| if starts(task) { pages.next() } else { None }).collect()
    }

    async fn searched_together(
        &self,
        requests: Vec<SearchRequest>,
        most: Duration,
    ) -> Vec<Result<HitPage, BackendError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let search = caught(self.backend.search_many(requests.clone()));
        match tokio::time::timeout(most, search).await {
            Ok(Ok(pages)) if pages.len() == requests.len() => return pages,
            Ok(Ok(pages)) => tracing::error!("{} searches, {} answers", requests.len(), pages.len()),
            Ok(Err(error)) => {
                tracing::error!(error, "a search of many rules broke off: each is searched alone");
            }
            Err(_) => tracing::error!("a search of many rules took too long: each is searched alone"),
        }
        let mut pages = Vec::with_capacity(requests.len());
        for request in requests {
            let search = caught(self.backend.search(request));
            pages.push(match tokio::time::timeout(most, search).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => Err(BackendError::Failed(error)),
                Err(_) => {
                    Err(BackendError::Failed(format!("not finished within {} seconds", most.as_secs())))
                }
            });
        }
        pages
    }

    /// Writes what is ready. What cannot be written has failed: its next execution finds the same
    /// candidates again, with the same ids.
    async fn commit(&self, book: &mut Book) {
        let commits = std::mem::take(&mut book.commits);
        book.since = None;
        if commits.is_empty() {
            return;
        }
        let (places, commits): (Vec<usize>, Vec<ExecutionCommit>) = commits.into_iter().unzip();
        match self.write(commits.clone()).await {
            Ok(records) => {
                for (place, record) in places.into_iter().zip(records) {
                    book.done(place, record);
                }
            }
            // One rule that another runner has taken over takes no other with it.
            Err(_) if commits.len() > 1 => {
                for (place, commit) in places.into_iter().zip(commits) {
                    let draft = commit.record.clone();
                    let record = match self.write(vec![commit]).await {
                        Ok(mut records) => records.pop().unwrap_or(draft),
                        Err(error) => unwritten(draft, error),
                    };
                    book.done(place, record);
                }
            }
            Err(error) => {
                for (place, commit) in places.into_iter().zip(commits) {
                    book.done(place, unwritten(commit.record, error.clone()));
                }
            }
        }
    }

    async fn write(&self, commits: Vec<ExecutionCommit>) -> Result<Vec<ExecutionRecord>, String> {
        let states: Vec<RuleState> = commits.iter().filter_map(|commit| commit.state.clone()).collect();
        let records = caught(self.state.commit(commits)).await?.map_err(|error| error.to_string())?;
        // The clock may have been set right while this was on its way.
        let now = self.suspected().is_none().then(|| self.clock.now().timestamp_millis());
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.extend(states.into_iter().map(|mut state| {
            if let Some(now) = now {
                state.rewind(now);
            }
            (state.rule.clone(), state)
        }));
        Ok(records)
    }
}

/// The log entry of an execution that could not be written; nothing of it counts.
fn unwritten(mut record: ExecutionRecord, error: String) -> ExecutionRecord {
    tracing::error!(rule = record.rule_id, error, "an execution could not be written");
    record.status = Status::Failed;
    record.error = Some(error);
    (record.candidates, record.alerts, record.duplicates, record.capped) = (0, 0, 0, 0);
    record
}

/// What a group has ready and what it has done, by place in the group.
struct Book {
    commits: Vec<(usize, ExecutionCommit)>,
    /// When the oldest of `commits` became ready.
    since: Option<Instant>,
    records: Vec<Option<ExecutionRecord>>,
}

impl Book {
    fn new(size: usize) -> Self {
        Self { commits: Vec::with_capacity(size), since: None, records: vec![None; size] }
    }

    fn ready(&mut self, place: usize, commit: ExecutionCommit) {
        self.since.get_or_insert_with(Instant::now);
        self.commits.push((place, commit));
    }

    fn done(&mut self, place: usize, record: ExecutionRecord) {
        if let Some(slot) = self.records.get_mut(place) {
            *slot = Some(record);
        }
    }
}

/// What a machine learning rule needs, in words.
fn needs(rule: &Rule) -> String {
    let RuleKind::MachineLearning(params) = &rule.kind else { return String::new() };
    let jobs: Vec<String> = params.jobs.iter().map(|job| format!("`{job}`")).collect();
    format!("the rule needs the anomalies of machine learning job {}", jobs.join(", "))
}
