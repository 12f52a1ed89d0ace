//! One execution: from the hits of a window to alerts.

use std::sync::Arc;

use super::cap::{Candidate, Sorted, Sorter};
use super::errand::Survey;
use super::outcome::{Log, counted};
use super::plan::Plan;
use super::run::{Due, Engine};
use super::settings::Trigger;
use super::unwind::{blocking, caught};
use crate::alert::ancestors::descends_from;
use crate::alert::build::{Occasion, alert_id, build};
use crate::alert::rule_fields::RuleFields;
use crate::backend::{BackendError, Hit, HitPage, SearchRequest};
use crate::base::intervals::Intervals;
use crate::base::ledger::Ledger;
use crate::base::window::Window;
use crate::rule::evaluation::Evaluation;
use crate::store::state::{AlertRow, ExecutionCommit, ExecutionRecord, RuleState, Status};

/// An execution that has been planned.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub due: Due,
    pub uuid: Arc<str>,
    pub plan: Plan,
    pub log: Log,
    /// Whether candidates of earlier executions wait.
    pub backlog: bool,
}

impl Engine {
    /// Takes an execution from the first page of its hits to what is to be committed.
    pub(super) async fn finish(&self, task: Task, page: Result<HitPage, BackendError>) -> ExecutionCommit {
        let Task { due, uuid, log, .. } = &task;
        let (due, uuid, failing) = (due.clone(), Arc::clone(uuid), log.clone());
        let (window, indices) = (task.plan.window, Arc::clone(&task.plan.request.indices));
        let result = tokio::time::timeout(self.settings.timeout, self.judge(task, page)).await;
        let (mut record, alerts, sorted) = match result {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => (failing.failed(error), Vec::new(), None),
            Err(_) => {
                let error = format!("not finished within {} seconds", self.settings.timeout.as_secs());
                (failing.failed(error), Vec::new(), None)
            }
        };
        let mut state = self.next_state(&due, &uuid, &record, Some(window));
        let survey = due.errand.as_ref().and_then(|errand| errand.survey);
        if let Some(survey) = survey.filter(|_| record.status != Status::Failed) {
            match self.survey(indices, survey).await {
                Ok(changed) => reopen(&mut state.ledger, &changed, &due, survey),
                // What arrived stays unlooked-at, so that the next survey looks further back.
                Err(error) => record.warnings.push(error),
            }
        }
        let (kept, settled) = sorted.map_or_else(Default::default, |s| (s.kept, s.settled));
        ExecutionCommit { record, alerts, state: Some(state), kept, settled, memory: Vec::new() }
    }

    async fn judge(
        &self,
        mut task: Task,
        page: Result<HitPage, BackendError>,
    ) -> Result<(ExecutionRecord, Vec<AlertRow>, Option<Sorted>), String> {
        let mut page = page.map_err(|error| error.to_string())?;
        if page.indices == 0 {
            let patterns = task.plan.request.indices.join(", ");
            let record =
                task.log.without_search(Status::NoDataSource, format!("no index matches `{patterns}`"));
            return Ok((record, Vec::new(), None));
        }
        self.check_time_field(&mut task).await?;
        if page.hits.is_empty() && !task.backlog {
            return Ok((task.log.ended(), Vec::new(), None));
        }
        let rule = Arc::new(self.rule_fields(&task));
        let slot = task.due.slot.timestamp_millis();
        let (cap, behaviour) = (task.plan.cap, self.settings.capped);
        let waiting = if task.backlog {
            caught(self.state.backlog(&task.uuid)).await?.map_err(|error| error.to_string())?
        } else {
            Vec::new()
        };
        let mut sorter = Sorter::new(Arc::clone(&task.uuid), slot, cap, behaviour, waiting);
        let mut own = 0;
        let oldest = task.due.errand.as_ref().and_then(|errand| errand.oldest);
        let oldest = oldest.map_or(i64::MIN, |at| at.timestamp_millis());
        loop {
            let full = page.hits.len() >= task.plan.request.size;
            let after = page.hits.last().map(|hit| hit.sort.clone());
            let (fields, hits) = (Arc::clone(&rule), page.hits);
            let (candidates, skipped) = blocking(move || candidates(&fields, hits, oldest)).await?;
            let ids = candidates.iter().map(|c| Arc::clone(&c.alert)).collect();
            let existing = caught(self.alerts.existing(ids)).await?.map_err(|error| error.to_string())?;
            own += skipped;
            sorter.take(candidates, &existing);
            if !full {
                break;
            }
            let request = SearchRequest { after, ..task.plan.request.clone() };
            page = caught(self.backend.search(request)).await?.map_err(|error| error.to_string())?;
        }
        let mut existing = std::collections::HashSet::new();
        if sorter.wants_waiting() {
            let ids = sorter.waiting().cloned().collect();
            existing = caught(self.alerts.existing(ids)).await?.map_err(|error| error.to_string())?;
        }
        let mut sorted = sorter.finish(&existing);
        task.log.count(&sorted, cap, behaviour);
        if own > 0 {
            tracing::debug!(rule = %task.due.rule.rule_id, "left out {} of the rule's own", counted(own, "alert"));
        }
        let chosen = std::mem::take(&mut sorted.chosen);
        let trigger = task.due.trigger(self.settings.trigger);
        let occasion = Occasion {
            execution: task.log.record.execution_id.as_str().into(),
            now: self.clock.now(),
            intended: (trigger != Trigger::Scheduled && trigger != Trigger::Late).then_some(task.due.slot),
            manual: trigger.is_manual(),
            late: trigger == Trigger::Late,
            space: Arc::clone(&self.settings.space),
        };
        let alerts = blocking(move || {
            chosen.iter().map(|c| build(&rule, &c.document, c.event_time, &occasion)).collect::<Vec<_>>()
        })
        .await?;
        Ok((task.log.ended(), alerts, Some(sorted)))
    }

    fn rule_fields(&self, task: &Task) -> RuleFields {
        let Settings { space, version, .. } = &self.settings;
        RuleFields::new(&task.due.rule, space, version, &task.plan.request.indices)
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

    /// The rule's state after an execution; `window` is what it searched.
    pub(super) fn next_state(
        &self,
        due: &Due,
        uuid: &Arc<str>,
        record: &ExecutionRecord,
        window: Option<Window>,
    ) -> RuleState {
        let before = self.rule_state(uuid);
        let failed = record.status == Status::Failed;
        let searched = window.filter(|_| !failed && record.status != Status::NotRun);
        let trigger = due.trigger(self.settings.trigger);
        let mut state = before.unwrap_or_else(|| RuleState::new(uuid, &due.rule.rule_id));
        state.rule_id = due.rule.rule_id.to_string();
        state.status = record.status;
        state.failures = if failed { state.failures + 1 } else { 0 };
        if matches!(trigger, Trigger::Scheduled | Trigger::Manual) {
            state.last_slot = Some(due.slot.timestamp_millis());
            state.last_to = searched.map(|window| window.to.timestamp_millis()).or(state.last_to);
        }
        let ledger = &mut state.ledger;
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

use super::settings::Settings;

/// The hits that are candidates, and how many are not because they descend from the rule itself.
/// Events from before `oldest` (ms since the epoch) are not looked at.
fn candidates(rule: &RuleFields, hits: Vec<Hit>, oldest: i64) -> (Vec<Candidate>, u64) {
    let mut own = 0;
    let mut candidates = Vec::with_capacity(hits.len());
    for Hit { document, sort } in hits {
        if sort.timestamp < oldest {
            continue;
        }
        if descends_from(&document, &rule.uuid) {
            own += 1;
            continue;
        }
        candidates.push(Candidate {
            alert: alert_id(rule, &document.index, &document.id),
            document,
            position: sort.primary,
            event_time: sort.timestamp,
        });
    }
    (candidates, own)
}
