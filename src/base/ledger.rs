//! The coverage ledger of one rule: which time its executions have searched, version by version.
//!
//! An interval is entered when, and only when, the alerts of the execution that searched it are
//! durable: the ledger is part of the rule's state and is written in the same commit.

use serde::{Deserialize, Serialize};

use super::intervals::{Interval, Intervals};

/// Most versions of a rule whose coverage is kept; of more, the oldest are forgotten.
const VERSIONS: usize = 64;

/// What has been searched by one version of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionCoverage {
    /// Content hash of the rule's text.
    pub hash: String,
    /// What was searched. For a rule whose executions each judge their window as a whole
    /// (threshold, sequences …): the time between a slot and the one before it, once the slot was
    /// evaluated.
    pub searched: Intervals,
}

/// The coverage ledger of one rule.
///
/// Times are milliseconds since the epoch, on the clock that the rule's windows are read on: the
/// event's own, or that of `timestamp_override`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// From when on the rule's schedule answers for what it searched: the start of its first
    /// window. `None`: it has never run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Versions in the order in which they first ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionCoverage>,
    /// Events that arrived before this instant have been looked at, whatever their own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<i64>,
    /// What was searched from this instant on was searched while the clock may have been ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<i64>,
    /// What had been searched before events arrived in it that are late: it is searched again.
    #[serde(default, skip_serializing_if = "Intervals::is_empty")]
    pub reopened: Intervals,
}

impl Ledger {
    /// Enters what an execution of the version with this hash has searched.
    pub fn enter(&mut self, hash: &str, searched: Interval) {
        if searched.is_empty() {
            return;
        }
        self.reopened.remove(searched);
        match self.versions.iter_mut().find(|version| version.hash == hash) {
            Some(version) => version.searched.insert(searched),
            None => {
                let searched = std::iter::once(searched).collect();
                self.versions.push(VersionCoverage { hash: hash.to_owned(), searched });
            }
        }
        if self.versions.len() > VERSIONS {
            self.versions.remove(0);
        }
    }

    /// Notes that the schedule answers for the time from `from` on; the first such note stays.
    pub fn begin(&mut self, from: i64) {
        self.since.get_or_insert(from);
    }

    /// Takes back that `interval` was searched, by whatever version: events arrived in it since.
    pub fn reopen(&mut self, interval: Interval) {
        let before = self.searched();
        self.retract(interval);
        for searched in before.iter() {
            self.reopened.insert(searched.intersection(interval));
        }
    }

    /// What some version has searched.
    pub fn searched(&self) -> Intervals {
        let mut all = Intervals::new();
        for version in &self.versions {
            all.extend(&version.searched);
        }
        all
    }

    /// What the version with this hash has searched.
    pub fn searched_by(&self, hash: &str) -> Option<&Intervals> {
        self.versions.iter().find(|version| version.hash == hash).map(|version| &version.searched)
    }

    /// The time from [`Ledger::since`] up to `until` that no version has searched.
    pub fn holes(&self, until: i64) -> Vec<Interval> {
        self.holes_within(Interval::new(i64::MIN, until))
    }

    /// The same, inside `within`.
    pub fn holes_within(&self, within: Interval) -> Vec<Interval> {
        let Some(since) = self.since else { return Vec::new() };
        self.searched().holes(Interval::new(within.from.max(since), within.until))
    }

    /// Takes back that `interval` was searched, by whatever version: what came of it was not kept.
    pub fn retract(&mut self, interval: Interval) {
        for version in &mut self.versions {
            version.searched.remove(interval);
        }
        self.versions.retain(|version| !version.searched.is_empty());
    }

    /// Takes back everything from `instant` on: it has not come yet.
    pub fn rewind(&mut self, instant: i64) {
        let to_come = Interval::new(instant, i64::MAX);
        self.retract(to_come);
        self.reopened.remove(to_come);
        self.since = self.since.map(|since| since.min(instant));
        self.arrivals = self.arrivals.map(|arrivals| arrivals.min(instant));
    }

    /// Forgets what lies before `instant`: it is older than anything is kept.
    pub fn forget_before(&mut self, instant: i64) {
        for version in &mut self.versions {
            version.searched.forget_before(instant);
        }
        self.versions.retain(|version| !version.searched.is_empty());
        if let Some(since) = &mut self.since {
            *since = (*since).max(instant);
        }
        self.reopened.forget_before(instant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_new_version_searches_nothing_again_and_the_old_keeps_its_coverage() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.holes(100), [], "what never ran owes nothing");
        ledger.begin(10);
        ledger.enter("old", Interval::new(10, 50));
        ledger.enter("new", Interval::new(60, 80));
        assert_eq!(ledger.holes(100), [Interval::new(50, 60), Interval::new(80, 100)]);
        assert_eq!(ledger.searched_by("old").unwrap().end(), Some(50));
        assert_eq!(ledger.searched_by("new").unwrap().start(), Some(60));
        ledger.reopen(Interval::new(40, 65));
        assert_eq!(ledger.holes(80), [Interval::new(40, 65)]);
        ledger.forget_before(45);
        assert_eq!((ledger.holes(80), ledger.versions.len()), (vec![Interval::new(45, 65)], 1));
    }

    proptest! {
        /// However often a rule runs, the ledger's text grows with the holes alone.
        #[test]
        fn size_follows_holes(misses in prop::collection::btree_set(1i64..2_000, 0..8)) {
            let mut ledger = Ledger::default();
            ledger.begin(0);
            for slot in 0..2_000 {
                if !misses.contains(&slot) {
                    ledger.enter("h", Interval::new(slot * 60_000, (slot + 1) * 60_000));
                }
            }
            let holes = ledger.holes(2_000 * 60_000);
            prop_assert!(holes.len() <= misses.len());
            prop_assert_eq!(holes.iter().map(|h| h.length() / 60_000).sum::<i64>(), i64::try_from(misses.len()).unwrap());
            let text = serde_json::to_string(&ledger).unwrap();
            prop_assert!(text.len() <= 100 + 40 * (misses.len() + 1), "{}", text);
            prop_assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
        }

        /// Searched and holes together are everything the rule answers for, and nothing twice.
        #[test]
        fn every_instant_is_searched_or_a_hole(
            entries in prop::collection::vec((0usize..3, 0i64..1_000, 1i64..200), 0..30), until in 0i64..1_500,
        ) {
            let mut ledger = Ledger::default();
            ledger.begin(0);
            for (version, from, length) in entries {
                ledger.enter(["a", "b", "c"][version], Interval::new(from, from + length));
            }
            let mut searched = ledger.searched();
            searched.remove(Interval::new(until, i64::MAX));
            let holes: Intervals = ledger.holes(until).into_iter().collect();
            prop_assert_eq!(searched.length() + holes.length(), until);
            searched.extend(&holes);
            prop_assert!(searched.covers(Interval::new(0, until)));
        }
    }
}
