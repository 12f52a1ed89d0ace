//! What an execution leaves in the log.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::cap::{CapBehaviour, Sorted};
use super::run::Due;
use super::settings::Settings;
use crate::base::window::{Window, iso_millis};
use crate::store::state::{BacklogCounts, ExecutionRecord, Status, Timings};

/// The log entry of an execution while it runs.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) record: ExecutionRecord,
    begun: Instant,
}

impl Log {
    pub(super) fn new(due: &Due, uuid: &Arc<str>, settings: &Settings, now: DateTime<Utc>) -> Self {
        let late = u64::try_from((now - due.slot).num_milliseconds().max(0)).ok();
        let record = ExecutionRecord {
            rule_id: due.rule.rule_id.to_string(),
            rule_name: due.rule.name.clone(),
            rule_type: due.rule.rule_type().to_owned(),
            status: Status::Succeeded,
            from: None,
            to: None,
            candidates: 0,
            alerts: 0,
            duplicates: 0,
            suppressed: 0,
            excepted: Some(0),
            capped: 0,
            warnings: Vec::new(),
            error: None,
            took_ms: 0,
            execution_id: uuid::Uuid::new_v4().to_string(),
            rule_uuid: uuid.to_string(),
            slot: iso_millis(due.slot),
            started_at: iso_millis(now),
            clock: if settings.event_clock { "event" } else { "ingest" }.to_owned(),
            trigger: due.trigger(settings.trigger).as_str().to_owned(),
            backlog: BacklogCounts::default(),
            timings: Timings { delay_ms: late.unwrap_or(0), ..Timings::default() },
            sources: Vec::new(),
        };
        Self { record, begun: Instant::now() }
    }

    pub(super) fn window(&mut self, window: Window) {
        self.record.from = Some(iso_millis(window.from));
        self.record.to = Some(iso_millis(window.to));
    }

    pub(super) fn warn(&mut self, text: impl Into<String>) {
        self.record.warnings.push(text.into());
    }

    /// Adds the time since `begun` to a part of the execution's.
    pub(super) fn spent(&mut self, begun: Instant, part: impl FnOnce(&mut Timings) -> &mut u64) {
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let part = part(&mut self.record.timings);
        *part = part.saturating_add(took);
    }

    /// Counts what became of the candidates.
    pub(super) fn count(&mut self, sorted: &Sorted, cap: u32, behaviour: CapBehaviour) {
        let record = &mut self.record;
        record.candidates = sorted.candidates;
        record.alerts = u64::try_from(sorted.chosen.len()).unwrap_or(u64::MAX);
        record.duplicates = sorted.duplicates;
        record.capped = sorted.capped;
        record.backlog = sorted.backlog;
        if sorted.capped > 0 {
            let fate = match behaviour {
                CapBehaviour::Keep if !sorted.left_out.is_empty() => {
                    "they come again while they are in the window"
                }
                CapBehaviour::Keep => "kept for later runs",
                CapBehaviour::Drop => "dropped, as `limits.capped` says",
            };
            record.warnings.push(format!(
                "the cap of {cap} alerts a run was reached: {} left out, {fate}",
                counted(sorted.capped, "candidate")
            ));
        }
        let too_many = sorted.backlog.expired - sorted.too_old;
        if too_many > 0 {
            record.warnings.push(format!(
                "{} expired at once: more than 10 times the cap would wait",
                counted(too_many, "candidate")
            ));
        }
        if sorted.too_old > 0 {
            record.warnings.push(format!(
                "{} expired: left out by the cap for more than 24 hours",
                counted(sorted.too_old, "candidate")
            ));
        }
    }

    /// The entry of an execution that came to its end.
    pub(super) fn ended(mut self) -> ExecutionRecord {
        if !self.record.warnings.is_empty() {
            self.record.status = Status::PartialFailure;
        }
        self.close()
    }

    /// The entry of an execution that did not come to its end; what it had counted is void,
    /// because nothing of it is written.
    pub(super) fn failed(mut self, error: impl Into<String>) -> ExecutionRecord {
        let record = &mut self.record;
        record.status = Status::Failed;
        record.error = Some(error.into());
        (record.candidates, record.alerts, record.duplicates, record.capped) = (0, 0, 0, 0);
        record.suppressed = 0;
        record.backlog = BacklogCounts::default();
        self.close()
    }

    /// The entry of an execution for which there was nothing to do.
    pub(super) fn without_search(mut self, status: Status, why: String) -> ExecutionRecord {
        self.record.status = status;
        self.warn(why);
        self.close()
    }

    fn close(mut self) -> ExecutionRecord {
        self.record.took_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.record
    }
}

/// `1 candidate`, `2 candidates`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
