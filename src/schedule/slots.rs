//! Slots: the instants at which a rule is due.

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use super::cron::{Cron, CronError};
use crate::rule::model::{Rule, Schedule};

/// Most slots of a cron expression that are stepped over to find the last one that has passed.
const STEPS: usize = 100_000;

/// How far back the slot before an instant is looked for, step by step, minutes.
const BACK: [i64; 5] = [2, 70, 25 * 60, 32 * 24 * 60, 370 * 24 * 60];

/// The slots of one rule.
#[derive(Debug, Clone)]
pub enum Slots {
    /// Every `interval` ms, `offset` ms after multiples of it since the epoch. The offset is a
    /// hash of the rule's id, so that rules with one interval are spread over it, and a rule's
    /// slots are the same wherever and whenever it runs.
    Every {
        /// Milliseconds from slot to slot.
        interval: i64,
        /// Milliseconds, below `interval`.
        offset: i64,
    },
    /// At the times of a cron expression, which says itself when it wants to run: not spread.
    Cron(Box<Cron>),
}

impl Slots {
    /// The slots of `rule`.
    ///
    /// # Errors
    /// When its cron expression cannot be read.
    pub fn of(rule: &Rule) -> Result<Self, CronError> {
        match &rule.schedule {
            Schedule::Every { interval_ms, .. } => {
                let interval = (*interval_ms).max(1_000);
                Ok(Self::Every { interval, offset: offset(&rule.rule_id, interval) })
            }
            Schedule::Cron { expression, timezone } => {
                Ok(Self::Cron(Box::new(Cron::parse(expression, timezone.as_deref())?)))
            }
        }
    }

    /// The first slot after `at`; `None` when there is none.
    pub fn after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Every { interval, offset } => {
                let since = at.timestamp_millis() - offset;
                DateTime::from_timestamp_millis((since.div_euclid(*interval) + 1) * interval + offset)
            }
            Self::Cron(cron) => cron.after(at),
        }
    }

    /// The last slot before `at`; `None` when there is none for a year.
    pub fn before(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Every { interval, offset } => {
                let since = at.timestamp_millis() - offset - 1;
                DateTime::from_timestamp_millis(since.div_euclid(*interval) * interval + offset)
            }
            Self::Cron(cron) => BACK.iter().find_map(|minutes| {
                let mut from = at - chrono::Duration::minutes(*minutes);
                let mut found = None;
                for _ in 0..STEPS {
                    match cron.after(from).filter(|slot| *slot < at) {
                        Some(slot) => (found, from) = (Some(slot), slot),
                        None => break,
                    }
                }
                found
            }),
        }
    }

    /// The last slot that is not after `now`, but after `last`, the last one that ran. Without
    /// `last` a rule on an interval is due at once, one on a cron expression is not.
    pub fn due(&self, last: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Every { interval, offset } => {
                let since = now.timestamp_millis() - offset;
                let slot = DateTime::from_timestamp_millis(since.div_euclid(*interval) * interval + offset)?;
                last.is_none_or(|last| last < slot).then_some(slot)
            }
            Self::Cron(cron) => {
                let mut due = None;
                let mut at = last?;
                for _ in 0..STEPS {
                    match cron.after(at) {
                        Some(slot) if slot <= now => (due, at) = (Some(slot), slot),
                        _ => break,
                    }
                }
                due
            }
        }
    }
}

/// Where in its interval a rule runs: the first eight bytes of its id's SHA-256, modulo the
/// interval.
fn offset(rule_id: &str, interval: i64) -> i64 {
    let hash = Sha256::digest(rule_id);
    let number = hash.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    i64::try_from(number % interval.unsigned_abs().max(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    #[test]
    fn slots_depend_on_the_rule_alone_and_are_spread() {
        let minute = 60_000;
        let offsets: Vec<i64> = (0..1_000).map(|n| offset(&format!("rule-{n}"), minute)).collect();
        for quarter in 0..4 {
            let inside = offsets.iter().filter(|o| **o / (minute / 4) == quarter).count();
            assert!((180..320).contains(&inside), "{inside} of 1,000 in quarter {quarter}");
        }
        assert_eq!(offset("rule-1", minute), offsets[1]);
    }

    #[test]
    fn interval_slots_follow_each_other() {
        let slots = Slots::Every { interval: 300_000, offset: 7_000 };
        assert_eq!(slots.after(at(0)), Some(at(7_000)));
        assert_eq!(slots.after(at(7_000)), Some(at(307_000)));
        assert_eq!(slots.due(None, at(306_999)), Some(at(7_000)), "a new rule is due at once");
        assert_eq!(slots.due(Some(at(7_000)), at(306_999)), None);
        assert_eq!(
            slots.due(Some(at(7_000)), at(1_000_000)),
            Some(at(907_000)),
            "the latest of those missed"
        );
    }

    #[test]
    fn cron_slots_wait_for_their_time() {
        let slots = Slots::Cron(Box::new(Cron::parse("*/10 * * * *", None).unwrap()));
        assert_eq!(slots.due(None, at(600_000)), None);
        assert_eq!(slots.due(Some(at(0)), at(1_300_000)), Some(at(1_200_000)));
        assert_eq!(slots.after(at(1_200_000)), Some(at(1_800_000)));
    }

    #[test]
    fn the_slot_before_is_the_one_after_which_this_one_comes() {
        let yearly = Slots::Cron(Box::new(Cron::parse("@yearly", None).unwrap()));
        let berlin = Cron::parse("30 */5 * * mon", Some("Europe/Berlin")).unwrap();
        for slots in
            [Slots::Every { interval: 300_000, offset: 7_000 }, Slots::Cron(Box::new(berlin)), yearly]
        {
            let mut slot = slots.after(at(1_790_000_000_000)).unwrap();
            for _ in 0..20 {
                let next = slots.after(slot).unwrap();
                assert_eq!(slots.before(next), Some(slot));
                assert_eq!(slots.before(next + chrono::Duration::milliseconds(1)), Some(next));
                slot = next;
            }
        }
    }
}
