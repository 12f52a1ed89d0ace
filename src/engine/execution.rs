//! One execution: from the hits of a window to alerts.

use std::sync::Arc;
use std::time::Instant;

use tracing::Instrument as _;

use super::cap::Candidate;
use super::errand::Survey;
use super::kinds;
use super::outcome::Log;
use super::plan::Plan;
use super::run::{Due, Engine};
use super::settings::Trigger;
use super::stages::{Finished, Stages};
use super::unwind::{blocking, caught};
use crate::alert::build::{Occasion, build_all};
use crate::backend::{BackendError, HitPage};
use crate::base::intervals::Intervals;
use crate::base::ledger::Ledger;
use crate::base::window::{Window, iso_millis};
use crate::query::plan::Filter;
use crate::rule::evaluation::Evaluation;
use crate::store::state::{
    AlertRow, AlertUpdate, BacklogEntry, ExecutionCommit, ExecutionRecord, Memory, RuleState, Status,
};

/// An execution that has been planned.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub due: Due,
    pub uuid: Arc<str>,
    pub plan: Plan,
    pub log: Log,
    /// Whether candidates of earlier executions wait.
    pub backlog: bool,
    /// Events that are excepted, of rules whose candidates are events.
    pub excepted: Option<Arc<Filter>>,
    /// [`Engine::era`] when it was planned.
    pub era: u64,
}

/// What an execution leaves behind.
struct Judged {
    record: ExecutionRecord,
    alerts: Vec<AlertRow>,
    updates: Vec<AlertUpdate>,
    kept: Vec<BacklogEntry>,
    settled: Vec<Arc<str>>,
    /// What the rule puts down for later executions.
    memory: Vec<Memory>,
}

impl Judged {
    fn nothing(record: ExecutionRecord) -> Self {
        Self {
            record,
            alerts: Vec::new(),
            updates: Vec::new(),
            kept: Vec::new(),
            settled: Vec::new(),
            memory: Vec::new(),
        }
    }
}

impl Engine {
    /// Takes an execution to what is to be committed. `first` is the first page of its hits, of
    /// rules that are searched together.
    pub(super) async fn finish(
        &self,
        task: Task,
        first: Option<Result<HitPage, BackendError>>,
    ) -> ExecutionCommit {
        let Task { due, uuid, log, .. } = &task;
        let (due, uuid, failing) = (due.clone(), Arc::clone(uuid), log.clone());
        let (window, indices, era) = (task.plan.window, Arc::clone(&task.plan.request.indices), task.era);
        let span = tracing::info_span!(
            "execution",
            rule = %due.rule.rule_id,
            execution = log.record.execution_id,
            slot = log.record.slot,
            trigger = log.record.trigger,
        );
        let judging = self.judge(task, first).instrument(span);
        let most = self.settings.timeout_of(&due.rule);
        let result = tokio::time::timeout(most, judging).await;
        let judged = match result {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => Judged::nothing(failing.failed(error)),
            Err(_) => {
                let error = format!("not finished within {} seconds", most.as_secs());
                Judged::nothing(failing.failed(error))
            }
        };
        let Judged { mut record, mut alerts, updates, kept, settled, mut memory } = judged;
        let turns = self.episodes(&due, &uuid, &mut record, &mut alerts, &updates, &mut memory).await;
        let mut state = self.next_state(&due, &uuid, &record, Some(window), era);
        let survey = due.errand.as_ref().and_then(|errand| errand.survey);
        let searched = record.status != Status::Failed && era == self.era();
        if let Some(survey) = survey.filter(|_| searched) {
            match self.survey(indices, survey).await {
                Ok(changed) => reopen(&mut state.ledger, &changed, &due, survey),
                // What arrived stays unlooked-at, so that the next survey looks further back.
                Err(error) => record.warnings.push(error),
            }
        }
        ExecutionCommit { record, alerts, updates, state: Some(state), kept, settled, memory, turns }
    }

    async fn judge(
        &self,
        mut task: Task,
        first: Option<Result<HitPage, BackendError>>,
    ) -> Result<Judged, String> {
        let Some(plan) = task.due.plan.clone() else {
            return Err("the rule has no plan".to_owned());
        };
        // Most executions find nothing, and cost nothing more.
        if let Some(Ok(page)) = &first
            && page.hits.is_empty()
            && page.indices > 0
            && !task.backlog
        {
            self.check_time_field(&mut task).await?;
            self.check_types(&mut task).await?;
            return Ok(Judged::nothing(task.log.ended()));
        }
        let mut stages = Stages::new(self, &task).await?;
        let begun = Instant::now();
        let found = kinds::find(self, &mut task, &plan, first, &mut stages).await?;
        task.log.spent(begun, |timings| &mut timings.search_ms);
        let begun = Instant::now();
        let no_index = || {
            let patterns = task.plan.request.indices.join(", ");
            (found.indices == 0).then(|| format!("no index matches `{patterns}`"))
        };
        if let Some(why) = found.missing.clone().or_else(no_index) {
            return Ok(Judged::nothing(task.log.without_search(Status::NoDataSource, why)));
        }
        self.check_time_field(&mut task).await?;
        self.check_types(&mut task).await?;
        let Finished { rule, mut sorted, suppressed, excepted, sources } = stages.finish().await?;
        task.log.record.sources = sources;
        task.log.count(&sorted, task.plan.cap, self.settings.capped);
        task.log.record.suppressed = suppressed.suppressed;
        task.log.record.excepted = task.log.record.excepted.map(|_| excepted);
        let chosen = std::mem::take(&mut sorted.chosen);
        let trigger = task.due.trigger(self.settings.trigger);
        let now = self.clock.now();
        let occasion = Occasion {
            execution: task.log.record.execution_id.as_str().into(),
            now,
            intended: (trigger != Trigger::Scheduled && trigger != Trigger::Late).then_some(task.due.slot),
            manual: trigger.is_manual(),
            late: trigger == Trigger::Late,
            space: Arc::clone(&self.settings.space),
        };
        let alerts = blocking(move || {
            let build = |c: &Candidate| build_all(&rule, &c.alert, &c.evidence, c.event_time, &occasion);
            chosen.iter().flat_map(build).collect::<Vec<_>>()
        })
        .await?;
        let mut updates = suppressed.updates;
        for update in &mut updates {
            update.fields.insert("kibana.alert.last_detected".to_owned(), iso_millis(now).into());
        }
        let mut memory = found.memory.settle(&sorted.left_out);
        memory.extend(suppressed.memory);
        task.log.spent(begun, |timings| &mut timings.process_ms);
        let record = task.log.ended();
        Ok(Judged { record, alerts, updates, kept: sorted.kept, settled: sorted.settled, memory })
    }

    /// Warns when the field that decides about time is known nowhere: then either the fallback
    /// decides for every event, or no event can match.
    async fn check_time_field(&self, task: &mut Task) -> Result<(), String> {
        let field = Arc::clone(&task.plan.request.time.primary);
        if crate::ecs::catalog::get(&field).is_some() {
            return Ok(());
        }
        let mapping = caught(self.backend.mapping(&task.plan.request.indices)).await?;
        if mapping.map_err(|error| error.to_string())?.resolve(&field).is_none() {
            task.log.warn(format!("no index searched has the timestamp override field `{field}`"));
        }
        Ok(())
    }

    /// The rule's state after an execution; `window` is what it searched. One during which the clock
    /// was set back (see [`Engine::era`]) proves nothing.
    pub(super) fn next_state(
        &self,
        due: &Due,
        uuid: &Arc<str>,
        record: &ExecutionRecord,
        window: Option<Window>,
        era: u64,
    ) -> RuleState {
        let before = self.rule_state(uuid);
        let failed = record.status == Status::Failed;
        let searched = window.filter(|_| !failed && record.status != Status::NotRun);
        let trigger = due.trigger(self.settings.trigger);
        let mut state = before.unwrap_or_else(|| RuleState::new(uuid, &due.rule.rule_id));
        state.rule_id = due.rule.rule_id.to_string();
        state.status = record.status;
        state.failures = if failed { state.failures + 1 } else { 0 };
        if era != self.era() {
            return state;
        }
        if matches!(trigger, Trigger::Scheduled | Trigger::Manual) {
            state.last_slot = Some(due.slot.timestamp_millis());
            state.last_to = searched.map(|window| window.to.timestamp_millis()).or(state.last_to);
        }
        let suspected = self.suspected();
        let ledger = &mut state.ledger;
        ledger.ahead = match (ledger.ahead, suspected) {
            (Some(before), Some(now)) => Some(before.min(now)),
            // Of this process: it knows better. Of one before: `rewind` has dealt with it.
            (_, now) => now,
        };
        if let Some(window) = window.filter(|_| trigger == Trigger::Scheduled) {
            ledger.begin(window.from.timestamp_millis());
            ledger.arrivals.get_or_insert(due.slot.timestamp_millis());
        }
        match (&due.errand, searched) {
            (_, None) => {}
            (Some(errand), _) if errand.arrivals => ledger.arrivals = Some(errand.proves.until),
            (Some(errand), _) => ledger.enter(&due.rule.origin.hash, errand.proves),
            (None, Some(window)) if Evaluation::of(&due.rule) == Evaluation::ByEvent => {
                ledger.enter(&due.rule.origin.hash, window.into());
            }
            (None, _) => {}
        }
        state
    }
}

/// Takes back from the ledger what late events have changed; what this execution has just
/// evaluated saw them already.
fn reopen(ledger: &mut Ledger, changed: &Intervals, due: &Due, survey: Survey) {
    for interval in changed.iter() {
        ledger.reopen(interval);
    }
    if let Some(errand) = &due.errand {
        ledger.enter(&due.rule.origin.hash, errand.proves);
    }
    ledger.arrivals = Some(survey.arrived.to.timestamp_millis().saturating_add(1));
}
