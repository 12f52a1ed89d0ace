//! The stages that candidates of every rule type go through, in this order: those that descend
//! from the rule itself out, duplicates out, the cap.

use std::collections::HashSet;
use std::sync::Arc;

use super::cap::{Candidate, Sorted, Sorter};
use super::execution::Task;
use super::outcome::counted;
use super::run::Engine;
use super::unwind::{blocking, caught};
use crate::alert::ancestors::descends_from;
use crate::alert::rule_fields::RuleFields;

/// Takes the candidates of one execution, in time order.
pub(super) struct Stages<'e> {
    engine: &'e Engine,
    /// The rule's part of its alerts and of their ids.
    pub rule: Arc<RuleFields>,
    sorter: Sorter,
    own: u64,
    /// Events from before this time (ms) are not looked at.
    oldest: i64,
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
        let slot = task.due.slot.timestamp_millis();
        let sorter = Sorter::new(Arc::clone(&task.uuid), slot, task.plan.cap, settings.capped, waiting);
        let oldest = task.due.errand.as_ref().and_then(|errand| errand.oldest);
        let oldest = oldest.map_or(i64::MIN, |at| at.timestamp_millis());
        Ok(Self { engine, rule: Arc::new(rule), sorter, own: 0, oldest })
    }

    /// Takes the next candidates. `make` gives them from the rule's part of ids; it runs on the
    /// blocking pool.
    pub(super) async fn take(
        &mut self,
        make: impl FnOnce(&RuleFields) -> Vec<Candidate> + Send + 'static,
    ) -> Result<(), String> {
        let (rule, oldest) = (Arc::clone(&self.rule), self.oldest);
        let (candidates, own) = blocking(move || {
            let mut candidates = make(&rule);
            candidates.retain(|candidate| candidate.event_time >= oldest);
            let before = candidates.len();
            candidates.retain(|candidate| {
                !candidate.evidence.documents().iter().any(|document| descends_from(document, &rule.uuid))
            });
            let own = before - candidates.len();
            (candidates, own)
        })
        .await?;
        let ids = candidates.iter().map(|c| Arc::clone(&c.alert)).collect();
        let existing = caught(self.engine.alerts.existing(ids)).await?.map_err(|error| error.to_string())?;
        self.own += own as u64;
        self.sorter.take(candidates, &existing);
        Ok(())
    }

    /// What became of the candidates.
    pub(super) async fn finish(self) -> Result<(Arc<RuleFields>, Sorted), String> {
        let mut existing = HashSet::new();
        if self.sorter.wants_waiting() {
            let ids = self.sorter.waiting().cloned().collect();
            existing = caught(self.engine.alerts.existing(ids)).await?.map_err(|error| error.to_string())?;
        }
        if self.own > 0 {
            let rule = &self.rule.rule.rule_id;
            tracing::debug!(%rule, "left out {} of the rule's own", counted(self.own, "alert"));
        }
        Ok((self.rule, self.sorter.finish(&existing)))
    }
}
