//! Sets of instants as intervals: what was searched, and the holes in it.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::window::Window;

/// The instants from `from` up to, but not including, `until`: milliseconds since the epoch.
///
/// Half-open, so that intervals that touch are one; a [`Window`], which includes both its ends,
/// is the interval that reaches one millisecond further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    /// First instant, ms.
    pub from: i64,
    /// The instant after the last, ms.
    pub until: i64,
}

impl Interval {
    /// The instants from `from` up to `until`.
    pub fn new(from: i64, until: i64) -> Self {
        Self { from, until }
    }

    /// Whether it holds no instant.
    pub fn is_empty(self) -> bool {
        self.from >= self.until
    }

    /// How long it is, ms; 0 when empty.
    pub fn length(self) -> i64 {
        self.until.saturating_sub(self.from).max(0)
    }

    /// What both have in common; empty when nothing.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self::new(self.from.max(other.from), self.until.min(other.until))
    }
}

impl From<Window> for Interval {
    fn from(window: Window) -> Self {
        Self::new(window.from.timestamp_millis(), window.to.timestamp_millis().saturating_add(1))
    }
}

/// A set of instants: disjoint intervals in time order, none empty, no two touching. Its size
/// follows the number of holes, not how often something was inserted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intervals(Vec<Interval>);

impl Intervals {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The intervals, in time order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Interval> + ExactSizeIterator + '_ {
        self.0.iter().copied()
    }

    /// Whether it holds no instant.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many intervals it is.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The first instant.
    pub fn start(&self) -> Option<i64> {
        self.0.first().map(|interval| interval.from)
    }

    /// The instant after the last.
    pub fn end(&self) -> Option<i64> {
        self.0.last().map(|interval| interval.until)
    }

    /// How many milliseconds it holds.
    pub fn length(&self) -> i64 {
        self.0.iter().map(|interval| interval.length()).sum()
    }

    /// Adds the instants of `added`.
    pub fn insert(&mut self, added: Interval) {
        if added.is_empty() {
            return;
        }
        // Everything that overlaps or touches becomes one with it.
        let first = self.0.partition_point(|old| old.until < added.from);
        let last = self.0.partition_point(|old| old.from <= added.until).max(first);
        let mut merged = added;
        for old in self.0.drain(first..last) {
            merged.from = merged.from.min(old.from);
            merged.until = merged.until.max(old.until);
        }
        self.0.insert(first, merged);
    }

    /// Takes the instants of `removed` away.
    pub fn remove(&mut self, removed: Interval) {
        if removed.is_empty() {
            return;
        }
        let mut rest = Vec::with_capacity(self.0.len() + 1);
        for old in &self.0 {
            let before = Interval::new(old.from, old.until.min(removed.from));
            let after = Interval::new(old.from.max(removed.until), old.until);
            rest.extend([before, after].into_iter().filter(|part| !part.is_empty()));
        }
        self.0 = rest;
    }

    /// Adds all instants of another set.
    pub fn extend(&mut self, other: &Self) {
        for interval in &other.0 {
            self.insert(*interval);
        }
    }

    /// Whether every instant of `interval` belongs to it; an empty one always does.
    pub fn covers(&self, interval: Interval) -> bool {
        interval.is_empty() || self.find(interval.from).is_some_and(|found| interval.until <= found.until)
    }

    /// The interval that holds `instant`.
    pub fn find(&self, instant: i64) -> Option<Interval> {
        let place = self.0.partition_point(|interval| interval.until <= instant);
        self.0.get(place).copied().filter(|found| found.from <= instant)
    }

    /// What of `within` it lacks, in time order.
    pub fn holes(&self, within: Interval) -> Vec<Interval> {
        let mut holes = Vec::new();
        let mut at = within.from;
        for interval in self.0.iter().skip(self.0.partition_point(|i| i.until <= within.from)) {
            if at >= within.until {
                break;
            }
            holes.push(Interval::new(at, interval.from.min(within.until)));
            at = at.max(interval.until);
        }
        holes.push(Interval::new(at, within.until));
        holes.retain(|hole| !hole.is_empty());
        holes
    }

    /// Forgets everything before `instant`.
    pub fn forget_before(&mut self, instant: i64) {
        self.remove(Interval::new(i64::MIN, instant));
    }
}

impl FromIterator<Interval> for Intervals {
    fn from_iter<T: IntoIterator<Item = Interval>>(intervals: T) -> Self {
        let mut set = Self::default();
        for interval in intervals {
            set.insert(interval);
        }
        set
    }
}

/// As a list of pairs, `[[from, until], …]`.
impl Serialize for Intervals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|interval| (interval.from, interval.until)))
    }
}

impl<'de> Deserialize<'de> for Intervals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(i64, i64)>::deserialize(deserializer)?;
        if let Some((from, until)) = pairs.iter().find(|(from, until)| from >= until) {
            return Err(D::Error::custom(format!("an interval ends before it begins: {from}, {until}")));
        }
        Ok(pairs.into_iter().map(|(from, until)| Interval::new(from, until)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The set of instants below 64 as bits: what intervals are measured against.
    fn bits(set: &Intervals) -> u64 {
        (0..64).filter(|at| set.find(*at).is_some()).fold(0, |bits, at| bits | 1 << at)
    }

    fn mask(from: i64, until: i64) -> u64 {
        (from..until).fold(0, |bits, at| bits | 1 << at)
    }

    proptest! {
        #[test]
        fn a_set_of_intervals_is_a_set_of_instants(
            steps in prop::collection::vec((any::<bool>(), 0i64..64, 0i64..20), 0..40),
            (from, length) in (0i64..64, 0i64..30),
        ) {
            let (mut set, mut model) = (Intervals::new(), 0u64);
            for (add, from, length) in steps {
                let until = (from + length).min(64);
                if add {
                    set.insert(Interval::new(from, until));
                    model |= mask(from, until);
                } else {
                    set.remove(Interval::new(from, until));
                    model &= !mask(from, until);
                }
                prop_assert_eq!(bits(&set), model);
                prop_assert_eq!(set.length(), i64::from(model.count_ones()));
                // In order, none empty, no two touching: so it is as small as it can be.
                let intervals: Vec<_> = set.iter().collect();
                prop_assert!(intervals.iter().all(|i| i.from < i.until));
                prop_assert!(intervals.windows(2).all(|pair| pair[0].until < pair[1].from));
            }
            let within = Interval::new(from, (from + length).min(64));
            let holes: Intervals = set.holes(within).into_iter().collect();
            let inside = mask(within.from, within.until);
            prop_assert_eq!(bits(&holes), inside & !model);
            prop_assert_eq!(set.covers(within), inside & !model == 0);
            let text = serde_json::to_string(&set).unwrap();
            prop_assert_eq!(serde_json::from_str::<Intervals>(&text).unwrap(), set);
        }
    }

    #[test]
    fn windows_that_follow_each_other_leave_no_millisecond_between() {
        let at = |ms| chrono::DateTime::from_timestamp_millis(ms).unwrap();
        let windows = [Window::new(at(0), at(9)), Window::new(at(10), at(19))];
        let set: Intervals = windows.into_iter().map(Interval::from).collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Interval::new(0, 20)]);
    }

    #[test]
    fn damaged_lists_are_refused() {
        assert!(serde_json::from_str::<Intervals>("[[5,5]]").is_err());
        assert!(serde_json::from_str::<Intervals>("[[0,5],[3,9]]").is_ok(), "overlaps are merged");
    }
}
