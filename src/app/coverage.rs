//! What of each rule's time was searched, and the holes in it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::base::intervals::{Interval, Intervals};
use crate::base::ledger::Ledger;
use crate::base::window::iso_millis;
use crate::engine::Trigger;
use crate::rule::evaluation::Evaluation;
use crate::rule::model::Rule;
use crate::schedule::owed::{Owed, Policy, Scheduled};
use crate::schedule::slots::Slots;
use crate::store::state::RuleState;

/// The coverage of one rule.
#[derive(Debug, Clone, Serialize)]
pub struct RuleCoverage {
    /// The rule's signature id.
    pub rule_id: String,
    /// Its name.
    pub rule_name: String,
    /// No hole.
    pub complete: bool,
    /// Start of the time looked at, RFC 3339; `null`: the rule has never run on its schedule.
    pub from: Option<String>,
    /// Its end.
    pub to: Option<String>,
    /// What was searched, by version of the rule.
    pub searched: Vec<Searched>,
    /// What was not.
    pub holes: Vec<Hole>,
}

/// A stretch that one version of a rule has searched.
#[derive(Debug, Clone, Serialize)]
pub struct Searched {
    /// Content hash of the version's text.
    pub hash: String,
    /// First instant.
    pub from: String,
    /// Last instant.
    pub to: String,
}

/// A stretch that should have been searched and was not.
#[derive(Debug, Clone, Serialize)]
pub struct Hole {
    /// First instant.
    pub from: String,
    /// Last instant.
    pub to: String,
    /// How long it is.
    pub seconds: u64,
    /// Why: `not searched`, or `late events` for what had been searched before events arrived in
    /// it.
    pub reason: &'static str,
}

/// The stretch of time that a question is about; an end that is `None` is the rule's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Range {
    /// First instant.
    pub from: Option<DateTime<Utc>>,
    /// Last instant.
    pub to: Option<DateTime<Utc>>,
}

/// A rule whose coverage is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// What is remembered of it.
    pub state: Option<&'a RuleState>,
    /// Whether it is on its schedule.
    pub enabled: bool,
}

fn text(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).map_or_else(|| ms.to_string(), iso_millis)
}

/// The stretch of `subject`'s time that `range` asks about.
fn stretch(subject: Subject<'_>, range: Range, policy: Policy, now: DateTime<Utc>) -> Option<Interval> {
    let ledger = subject.state.map(|state| &state.ledger);
    let expected = || {
        let slots = Slots::of(subject.rule).ok()?;
        let evaluation = Evaluation::of(subject.rule);
        Scheduled { rule: subject.rule, slots: &slots, evaluation, policy }.expected(now)
    };
    let since = ledger.and_then(|ledger| ledger.since);
    let end = ledger.and_then(|ledger| ledger.searched().end());
    let from = range.from.map(|at| at.timestamp_millis()).or(since)?;
    let reached = if subject.enabled { expected().or(end) } else { end };
    let until = match range.to {
        Some(to) => to.timestamp_millis().saturating_add(1).min(now.timestamp_millis()),
        None => reached?,
    };
    Some(Interval::new(from, until.max(from)))
}

/// The holes of a rule in `range`.
pub fn holes(subject: Subject<'_>, range: Range, policy: Policy, now: DateTime<Utc>) -> Vec<Interval> {
    let Some(stretch) = stretch(subject, range, policy, now) else { return Vec::new() };
    let searched = subject.state.map_or_else(Intervals::new, |state| state.ledger.searched());
    searched.holes(stretch)
}

/// The coverage of a rule in `range`, at most up to what its schedule should have searched by
/// `now`.
pub fn coverage(subject: Subject<'_>, range: Range, policy: Policy, now: DateTime<Utc>) -> RuleCoverage {
    let empty = Ledger::default();
    let ledger = subject.state.map_or(&empty, |state| &state.ledger);
    let stretch = stretch(subject, range, policy, now);
    let holes: Vec<Hole> = holes(subject, range, policy, now)
        .into_iter()
        .map(|hole| Hole {
            from: text(hole.from),
            to: text(hole.until - 1),
            seconds: hole.length().unsigned_abs().div_ceil(1_000),
            reason: if ledger.reopened.covers(hole) { "late events" } else { "not searched" },
        })
        .collect();
    let inside = |interval: Interval| {
        let part = stretch.map_or(interval, |stretch| interval.intersection(stretch));
        (!part.is_empty()).then_some(part)
    };
    let searched = ledger
        .versions
        .iter()
        .flat_map(|version| version.searched.iter().map(|interval| (&version.hash, interval)))
        .filter_map(|(hash, interval)| Some((hash, inside(interval)?)))
        .map(|(hash, part)| Searched { hash: hash.clone(), from: text(part.from), to: text(part.until - 1) })
        .collect();
    RuleCoverage {
        rule_id: subject.rule.rule_id.to_string(),
        rule_name: subject.rule.name.clone(),
        complete: holes.is_empty(),
        from: stretch.map(|stretch| text(stretch.from)),
        to: stretch.filter(|stretch| !stretch.is_empty()).map(|stretch| text(stretch.until - 1)),
        searched,
        holes,
    }
}

/// The executions that fill `intervals` of a rule, in time order; none when its schedule cannot
/// be read.
pub fn filling(rule: &Arc<Rule>, intervals: &[Interval], policy: Policy) -> Vec<Owed> {
    let Ok(slots) = Slots::of(rule) else { return Vec::new() };
    let scheduled = Scheduled { rule, slots: &slots, evaluation: Evaluation::of(rule), policy };
    intervals.iter().flat_map(|interval| scheduled.over(*interval, Trigger::Backfill)).collect()
}
