//! A stretch of the past in virtual time: every rule at each of its slots, as the service would
//! have run it then.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};

use crate::base::clock::ManualClock;
use crate::engine::{Due, Engine};
use crate::rule::compiled::CompiledRule;
use crate::rule::model::Schedule;
use crate::schedule::slots::Slots;
use crate::store::state::ExecutionRecord;

/// What is due when: groups that are searched and committed together, in the order of time.
///
/// A group spans no more than the shortest interval of its rules, so that no rule is in it twice.
#[derive(Debug, Default)]
pub struct Agenda(Vec<Vec<Due>>);

impl Agenda {
    /// Every slot of `rules` after `from` and up to `to`. A rule whose schedule cannot be read has
    /// no slots; loading has said so.
    pub fn between(rules: &[Arc<CompiledRule>], from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        let mut due = Vec::new();
        for rule in rules {
            let Ok(slots) = Slots::of(&rule.rule) else { continue };
            let mut at = from;
            while let Some(slot) = slots.after(at).filter(|slot| *slot <= to && *slot > at) {
                due.push(Due::compiled(rule, slot));
                at = slot;
            }
        }
        due.sort_by_key(|due| due.slot);
        let together = shortest(rules);
        let mut groups: Vec<Vec<Due>> = Vec::new();
        for due in due {
            match groups.last_mut() {
                Some(group) if group.first().is_some_and(|first| due.slot - first.slot < together) => {
                    group.push(due);
                }
                _ => groups.push(vec![due]),
            }
        }
        Self(groups)
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is ever due.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs everything, with `clock` showing each group's last slot. `done` is told after each
    /// group how its executions ended, and says whether to go on.
    pub async fn run(
        self,
        engine: &Engine,
        clock: &ManualClock,
        mut done: impl FnMut(Vec<ExecutionRecord>) -> bool,
    ) {
        for group in self.0 {
            if let Some(last) = group.last() {
                clock.set(last.slot);
            }
            if !done(engine.run(group).await) {
                return;
            }
        }
    }
}

/// The shortest interval; a cron expression may come round every second.
fn shortest(rules: &[Arc<CompiledRule>]) -> Duration {
    let intervals = rules.iter().map(|rule| match rule.rule.schedule {
        Schedule::Every { interval_ms, .. } => interval_ms,
        Schedule::Cron { .. } => 1_000,
    });
    Duration::milliseconds(intervals.min().unwrap_or(1_000).max(1_000))
}
