//! What a rule owes at a moment: its present slot, what was missed, what arrived late. Pure: from
//! the ledger and the clock to errands.
//!
//! A rule that judges single events takes a short outage in one wider window, and a long one in
//! slices, oldest first. A rule that judges its window as a whole gets every missed slot evaluated
//! over the window it would have had.

use chrono::{DateTime, Duration, Utc};

use super::slots::Slots;
use crate::base::intervals::Interval;
use crate::base::ledger::Ledger;
use crate::base::window::Window;
use crate::engine::{Errand, Survey, Trigger, window};
use crate::rule::evaluation::Evaluation;
use crate::rule::model::Rule;

/// How many slots' time one execution takes on beyond its own window.
const WIDER: i64 = 12;
/// How many slots' time a slice of a long outage holds.
const SLICE: i64 = 4;
/// Slots whose windows are looked at to find the one that answers for an instant.
const STEPS: usize = 64;

/// How an installation treats what is late and what was missed. Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long events take to arrive, as a rule. The end of a window younger than this is not
    /// proven and searched again; rules that judge whole windows wait so long with a slot.
    pub settle: i64,
    /// Whether `settle` follows what is measured.
    pub measured: bool,
    /// How long a search may miss what has arrived (a cluster's refresh).
    pub lag: i64,
    /// How far back holes are filled without being asked.
    pub catch_up: i64,
    /// How old an event may be when it arrives and still be alerted on.
    pub late: i64,
    /// How often it is looked for what arrived late.
    pub late_every: i64,
}

impl Default for Policy {
    fn default() -> Self {
        const HOUR: i64 = 3_600_000;
        Self {
            settle: 0,
            measured: false,
            lag: 0,
            catch_up: 7 * 24 * HOUR,
            late: 24 * HOUR,
            late_every: HOUR / 12,
        }
    }
}

impl Policy {
    fn unproven(&self) -> i64 {
        self.settle.max(self.lag)
    }
}

/// An execution that is owed.
#[derive(Debug, Clone, PartialEq)]
pub struct Owed {
    /// "Now" of the execution.
    pub slot: DateTime<Utc>,
    /// Its orders; `None`: the rule's window cannot be told, which its execution will say.
    pub errand: Option<Errand>,
}

/// A rule with its slots.
#[derive(Debug, Clone, Copy)]
pub struct Scheduled<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// When it is due.
    pub slots: &'a Slots,
    /// How it judges.
    pub evaluation: Evaluation,
    /// The installation's policy.
    pub policy: Policy,
}

fn ms(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

fn at(ms: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(ms)
}

/// The window that holds the instants of `interval`.
fn over(interval: Interval) -> Option<Window> {
    Some(Window::new(at(interval.from)?, at(interval.until - 1)?))
}

impl Scheduled<'_> {
    /// When a slot is to run: at once, or when what belongs to its window has arrived.
    pub fn runs_at(&self, slot: DateTime<Utc>) -> DateTime<Utc> {
        match self.evaluation {
            Evaluation::ByEvent => slot,
            Evaluation::ByWindow { .. } => slot + Duration::milliseconds(self.policy.unproven()),
        }
    }

    /// What counts as now for the question which slot is due.
    fn effective(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - (self.runs_at(now) - now)
    }

    /// The latest slot that is due and was not attempted.
    pub fn due(&self, last: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.slots.due(last, self.effective(now))
    }

    /// The execution of `slot`, when its time has come.
    pub fn present(&self, ledger: &Ledger, slot: DateTime<Utc>, now: DateTime<Utc>) -> Owed {
        let Ok(own) = window(self.rule, slot) else { return Owed { slot, errand: None } };
        let errand = match self.evaluation {
            Evaluation::ByEvent => self.wider(ledger, own, now),
            Evaluation::ByWindow { .. } => {
                let mut errand = Errand::over(Trigger::Scheduled, own, self.piece(ledger, slot, own, now));
                errand.survey = self.survey(ledger, own, now);
                errand
            }
        };
        Owed { slot, errand: Some(errand) }
    }

    /// The rule's own window, from where proof ends when that is not too far.
    fn wider(&self, ledger: &Ledger, own: Window, now: DateTime<Utc>) -> Errand {
        let mut whole = Interval::from(own);
        let hole = ledger.holes_within(Interval::new(self.horizon(now), whole.from)).pop();
        let most = self.stretch(own).saturating_mul(WIDER).saturating_add(self.policy.unproven());
        if let Some(hole) = hole.filter(|hole| hole.until == whole.from && hole.length() <= most) {
            whole.from = hole.from;
        }
        let seen = ms(now).saturating_add(1).saturating_sub(self.policy.unproven());
        let proves = Interval::new(whole.from, whole.until.min(seen));
        Errand::over(Trigger::Scheduled, over(whole).unwrap_or(own), proves)
    }

    /// What a slot of a rule that judges windows proves: the time since the slot before it, as far
    /// as that is a hole.
    fn piece(&self, ledger: &Ledger, slot: DateTime<Utc>, own: Window, now: DateTime<Utc>) -> Interval {
        let end = ms(own.to) + 1;
        if ledger.since.is_none() {
            return own.into();
        }
        let hole = ledger.holes_within(Interval::new(self.horizon(now), end)).pop();
        let from = hole.filter(|hole| hole.until == end).map_or(end - 1, |hole| hole.from);
        let before = self.slots.before(slot).and_then(|before| window(self.rule, before).ok());
        let before = before.map_or(from, |window| ms(window.to) + 1);
        Interval::new(from.max(before.min(end - 1)), end)
    }

    /// The oldest of what was missed before `until`: of the time for which slots were attempted,
    /// or of all time up to a slot that is due.
    pub fn missed(
        &self,
        ledger: &Ledger,
        (last, failures): (DateTime<Utc>, u32),
        pending: Option<&Owed>,
        now: DateTime<Utc>,
    ) -> Option<Owed> {
        let own = window(self.rule, last).ok()?;
        let until = match (pending.and_then(|owed| owed.errand.as_ref()), self.evaluation) {
            (Some(errand), _) => errand.proves.from,
            (None, Evaluation::ByEvent) => ms(own.from),
            (None, Evaluation::ByWindow { .. }) => ms(own.to) + 1,
        };
        let holes = ledger.holes_within(Interval::new(self.horizon(now), until));
        let hole = *holes.first()?;
        match self.evaluation {
            Evaluation::ByEvent => {
                // What fails is tried in ever smaller parts, so that no part takes the rest along.
                let most = self.stretch(own).saturating_mul(SLICE) >> failures.min(4);
                let slice =
                    Interval::new(hole.from, hole.until.min(hole.from.saturating_add(most.max(1_000))));
                let slot = over(slice)?.to + (last - own.to);
                Some(Owed { slot, errand: Some(Errand::over(Trigger::CatchUp, over(slice)?, slice)) })
            }
            Evaluation::ByWindow { .. } => {
                let (slot, own) = self.answering(hole.from, last - own.to)?;
                // Its time has not come: the clock was set back to before it.
                if pending.is_none() && slot > last {
                    return None;
                }
                let piece = Interval::new(hole.from, hole.until.min(ms(own.to) + 1));
                let late = ledger.reopened.covers(Interval::new(piece.from, piece.from + 1));
                let trigger = if late { Trigger::Late } else { Trigger::CatchUp };
                Some(Owed { slot, errand: Some(Errand::over(trigger, own, piece)) })
            }
        }
    }

    /// A look at what has arrived since the last look, whatever its own time.
    pub fn arrivals(&self, ledger: &Ledger, now: DateTime<Utc>) -> Option<Owed> {
        if self.evaluation != Evaluation::ByEvent || !self.by_event_time() {
            return None;
        }
        let seen = Interval::new(ledger.arrivals?, ms(now).saturating_sub(self.policy.lag));
        if seen.length() < self.policy.late_every {
            return None;
        }
        let oldest = at(self.oldest(ledger, seen.from)?)?;
        Some(Owed { slot: now, errand: Some(Errand::arrived(over(seen)?, oldest)) })
    }

    /// When the next such look is due.
    pub fn arrivals_at(&self, ledger: &Ledger) -> Option<DateTime<Utc>> {
        if self.evaluation != Evaluation::ByEvent || !self.by_event_time() {
            return None;
        }
        at(ledger.arrivals?.saturating_add(self.policy.late_every).saturating_add(self.policy.lag))
    }

    /// What has arrived too late for slots that were evaluated before the last look.
    fn survey(&self, ledger: &Ledger, own: Window, now: DateTime<Utc>) -> Option<Survey> {
        if !self.by_event_time() {
            return None;
        }
        let since = ledger.arrivals?;
        let arrived = over(Interval::new(since, ms(now).saturating_sub(self.policy.lag)))?;
        let (oldest, newest) = (self.oldest(ledger, since)?, since.saturating_sub(self.policy.unproven()));
        let length = own.length().num_milliseconds();
        (arrived.from <= arrived.to && oldest <= newest).then(|| Survey {
            arrived,
            events: Interval::new(oldest, newest.saturating_add(1)),
            reach: length.saturating_add(1),
        })
    }

    /// The oldest event that counts as late when it arrived at `arrived` or later.
    fn oldest(&self, ledger: &Ledger, arrived: i64) -> Option<i64> {
        Some(ledger.since?.max(arrived.saturating_sub(self.policy.late)))
    }

    /// The executions that together answer for `interval`, in time order: each slot's part of it.
    pub fn over(&self, interval: Interval, trigger: Trigger) -> Vec<Owed> {
        let Some(shift) = self.shift(interval.from) else { return Vec::new() };
        let mut owed = Vec::new();
        let mut from = interval.from;
        while from < interval.until {
            let Some((slot, own)) = self.answering(from, shift) else { break };
            let piece = Interval::new(from, interval.until.min(ms(own.to) + 1));
            let window = match self.evaluation {
                Evaluation::ByEvent => over(piece).unwrap_or(own),
                Evaluation::ByWindow { .. } => own,
            };
            owed.push(Owed { slot, errand: Some(Errand::over(trigger, window, piece)) });
            from = ms(own.to) + 1;
        }
        owed
    }

    /// How far a slot lies behind the end of its window.
    fn shift(&self, near: i64) -> Option<Duration> {
        let slot = at(near)?;
        window(self.rule, slot).ok().map(|own| slot - own.to)
    }

    /// Up to where the ledger of a rule that is on its schedule should reach: what the slot before
    /// the latest proves. The latest may be at work.
    pub fn expected(&self, now: DateTime<Utc>) -> Option<i64> {
        let latest = self.slots.before(self.effective(now) + Duration::milliseconds(1))?;
        let own = window(self.rule, self.slots.before(latest)?).ok()?;
        let unproven = match self.evaluation {
            Evaluation::ByEvent => self.policy.unproven(),
            Evaluation::ByWindow { .. } => 0,
        };
        Some(ms(own.to) + 1 - unproven)
    }

    /// The first slot whose window ends at `instant` or later; `shift` is from a window's end to
    /// its slot.
    fn answering(&self, instant: i64, shift: Duration) -> Option<(DateTime<Utc>, Window)> {
        let mut before = at(instant)? + shift - Duration::milliseconds(1);
        for _ in 0..STEPS {
            let slot = self.slots.after(before)?;
            let own = window(self.rule, slot).ok()?;
            if ms(own.to) >= instant {
                return Some((slot, own));
            }
            before = slot;
        }
        None
    }

    /// The rule's windows are read on the events' own time.
    fn by_event_time(&self) -> bool {
        self.rule.timestamp_override.as_deref() != Some("event.ingested")
    }

    fn horizon(&self, now: DateTime<Utc>) -> i64 {
        ms(now).saturating_sub(self.policy.catch_up)
    }

    /// The time that one slot stands for, ms.
    fn stretch(&self, own: Window) -> i64 {
        let length = own.length().num_milliseconds();
        match self.slots {
            Slots::Every { interval, .. } => length.max(*interval),
            Slots::Cron(_) => length,
        }
        .max(1_000)
    }
}
