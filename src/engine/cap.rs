//! Which candidates become alerts: duplicates out first, then the oldest up to the cap, then what
//! waited from earlier executions; the rest is kept or given up. Pure: no clock, no I/O.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::alert::evidence::Evidence;
use crate::base::limits::{BACKLOG_CAPS, BACKLOG_HOURS};
use crate::store::state::{BacklogCounts, BacklogEntry};

/// What becomes of candidates over the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CapBehaviour {
    /// They wait for later executions, up to ten times the cap or 24 hours.
    #[default]
    Keep,
    /// They are dropped at once, as Kibana does.
    Drop,
}

/// What was found with the id of the alert it would be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub alert: Arc<str>,
    pub evidence: Evidence,
    /// Primary time, ms since the epoch: the order of candidates.
    pub position: i64,
    /// `@timestamp`, ms since the epoch.
    pub event_time: i64,
    /// Times of its first and its last event, ms: what suppression counts from and to.
    pub span: (i64, i64),
}

impl Candidate {
    /// A candidate on one event; `position` is `i64::MAX` where the primary time is missing.
    pub(super) fn on_event(alert: Arc<str>, evidence: Evidence, position: i64, event_time: i64) -> Self {
        let time = if position == i64::MAX { event_time } else { position };
        Self { alert, evidence, position, event_time, span: (time, time) }
    }
}

/// Sorts the candidates of one execution.
#[derive(Debug)]
pub(super) struct Sorter {
    cap: usize,
    behaviour: CapBehaviour,
    rule: Arc<str>,
    /// The slot, ms since the epoch: what waiting is measured by.
    slot: i64,
    chosen: Vec<Candidate>,
    over: Vec<Candidate>,
    /// Over the cap and more than could ever be kept: counted only.
    lost: u64,
    /// Over the cap and of a kind that cannot wait.
    left_out: HashSet<Arc<str>>,
    /// Nothing new is kept: what a candidate stands for is known in this execution alone.
    fleeting: bool,
    candidates: u64,
    duplicates: u64,
    capped: u64,
    waiting: HashMap<Arc<str>, BacklogEntry>,
    order: Vec<Arc<str>>,
    settled: Vec<Arc<str>>,
    expired: u64,
}

/// What became of the candidates.
#[derive(Debug)]
pub(super) struct Sorted {
    pub chosen: Vec<Candidate>,
    pub kept: Vec<BacklogEntry>,
    /// Candidates over the cap that cannot wait: there is more to them than one event.
    pub left_out: HashSet<Arc<str>>,
    pub settled: Vec<Arc<str>>,
    pub candidates: u64,
    pub duplicates: u64,
    pub capped: u64,
    pub backlog: BacklogCounts,
    /// How many of `expired` waited too long; the others were too many.
    pub too_old: u64,
}

impl Sorter {
    /// A sorter for an execution of the rule with this object id; `waiting` is its backlog in
    /// time order.
    pub(super) fn new(
        rule: Arc<str>,
        slot: i64,
        cap: u32,
        behaviour: CapBehaviour,
        waiting: Vec<BacklogEntry>,
    ) -> Self {
        let mut sorter = Self {
            cap: usize::try_from(cap).unwrap_or(usize::MAX).max(1),
            behaviour,
            rule,
            slot,
            chosen: Vec::new(),
            over: Vec::new(),
            lost: 0,
            left_out: HashSet::new(),
            fleeting: false,
            candidates: 0,
            duplicates: 0,
            capped: 0,
            waiting: HashMap::new(),
            order: Vec::new(),
            settled: Vec::new(),
            expired: 0,
        };
        for entry in waiting {
            if slot.saturating_sub(entry.since) > BACKLOG_HOURS * 3_600_000 {
                sorter.expired += 1;
                sorter.settled.push(Arc::clone(&entry.alert));
            } else {
                sorter.order.push(Arc::clone(&entry.alert));
                sorter.waiting.insert(Arc::clone(&entry.alert), entry);
            }
        }
        sorter
    }

    /// Keeps no candidates for later executions: each stands for a group.
    pub(super) fn of_groups(mut self) -> Self {
        self.fleeting = true;
        self
    }

    /// Takes the next hits of the window, in time order; `existing` are those of their ids that
    /// are alerts already.
    pub(super) fn take(&mut self, hits: Vec<Candidate>, existing: &HashSet<Arc<str>>) {
        for hit in hits {
            self.candidates += 1;
            if existing.contains(&hit.alert) {
                self.duplicates += 1;
                self.settle(&hit.alert);
            } else if self.chosen.len() < self.cap {
                self.settle(&hit.alert);
                self.chosen.push(hit);
            } else {
                self.capped += 1;
                if self.waiting.contains_key(&hit.alert) {
                    continue;
                }
                if self.fleeting || hit.evidence.plain().is_none() {
                    self.left_out.insert(hit.alert);
                } else if self.behaviour == CapBehaviour::Keep && self.over.len() < self.room() {
                    self.over.push(hit);
                } else {
                    self.lost += 1;
                }
            }
        }
    }

    /// Whether all that can become of further candidates is to be counted: neither an alert nor one
    /// that waits has room.
    pub(super) fn only_counts(&self) -> bool {
        let full = self.behaviour == CapBehaviour::Drop || self.over.len() >= self.room();
        full && self.chosen.len() >= self.cap
    }

    /// Takes the ids of further candidates when it [only counts](Self::only_counts).
    pub(super) fn count(&mut self, alerts: &[Arc<str>], existing: &HashSet<Arc<str>>) {
        for alert in alerts {
            self.candidates += 1;
            if existing.contains(alert) {
                self.duplicates += 1;
                self.settle(alert);
            } else {
                self.capped += 1;
                self.lost += u64::from(!self.waiting.contains_key(alert));
            }
        }
    }

    /// Whether there is room for candidates that wait.
    pub(super) fn wants_waiting(&self) -> bool {
        self.chosen.len() < self.cap && !self.waiting.is_empty()
    }

    /// Ids of the candidates that wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Arc<str>> {
        self.order.iter().filter(|id| self.waiting.contains_key(*id))
    }

    fn room(&self) -> usize {
        self.cap.saturating_mul(BACKLOG_CAPS)
    }

    /// A candidate that waited waits no longer.
    pub(super) fn settle(&mut self, alert: &Arc<str>) {
        if self.waiting.remove(alert).is_some() {
            self.settled.push(Arc::clone(alert));
        }
    }

    /// Fills what is left of the cap with candidates that waited; `existing` are those of
    /// [`Sorter::waiting`] that are alerts already.
    pub(super) fn finish(mut self, existing: &HashSet<Arc<str>>) -> Sorted {
        let too_old = self.expired;
        let mut alerted = 0;
        for id in std::mem::take(&mut self.order) {
            let known = existing.contains(&id);
            if !known && self.chosen.len() >= self.cap {
                continue;
            }
            let Some(entry) = self.waiting.remove(&id) else { continue };
            self.settled.push(id);
            self.candidates += 1;
            if known {
                self.duplicates += 1;
                continue;
            }
            alerted += 1;
            self.chosen.push(Candidate::on_event(
                entry.alert,
                Evidence::hit(entry.document),
                entry.position,
                entry.event_time,
            ));
        }
        let mut kept = Vec::new();
        if self.behaviour == CapBehaviour::Keep {
            let room = self.room().saturating_sub(self.waiting.len());
            self.lost += u64::try_from(self.over.len().saturating_sub(room)).unwrap_or(u64::MAX);
            kept = self
                .over
                .into_iter()
                .take(room)
                .filter_map(|candidate| {
                    Some(BacklogEntry {
                        rule: Arc::clone(&self.rule),
                        alert: candidate.alert,
                        since: self.slot,
                        position: candidate.position,
                        event_time: candidate.event_time,
                        document: candidate.evidence.plain()?.clone(),
                    })
                })
                .collect();
            self.expired += self.lost;
        }
        let waiting = u64::try_from(self.waiting.len() + kept.len()).unwrap_or(u64::MAX);
        Sorted {
            chosen: self.chosen,
            kept,
            left_out: self.left_out,
            settled: self.settled,
            candidates: self.candidates,
            duplicates: self.duplicates,
            capped: self.capped,
            backlog: BacklogCounts { alerted, waiting, expired: self.expired },
            too_old,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::document::Document;
    use proptest::prelude::*;

    fn candidate(n: u32) -> Candidate {
        let evidence = Evidence::hit(Document::new("i", n.to_string(), serde_json::Value::Null));
        Candidate::on_event(format!("a{n}").into(), evidence, i64::from(n), i64::from(n))
    }

    /// Executions one after the other, as the engine runs them; returns what each counted and all
    /// alerts in the order they were written.
    fn replay(
        windows: &[std::ops::Range<u32>],
        cap: u32,
        behaviour: CapBehaviour,
        minutes: i64,
    ) -> (Vec<Sorted>, Vec<Arc<str>>) {
        let (mut alerts, mut backlog, mut counts) = (Vec::new(), Vec::<BacklogEntry>::new(), Vec::new());
        for (n, window) in windows.iter().enumerate() {
            let slot = i64::try_from(n).unwrap() * minutes * 60_000;
            let mut sorter = Sorter::new("r".into(), slot, cap, behaviour, backlog.clone());
            let existing: HashSet<Arc<str>> = alerts.iter().cloned().collect();
            // What is only counted is counted as if it had been read.
            let mut hits = window.clone();
            while !sorter.only_counts() && !hits.is_empty() {
                sorter.take(hits.by_ref().take(7).map(candidate).collect(), &existing);
            }
            let rest: Vec<Arc<str>> = hits.map(|n| candidate(n).alert).collect();
            let mut read = Sorter::new("r".into(), slot, cap, behaviour, backlog.clone());
            read.take(window.clone().map(candidate).collect(), &existing);
            sorter.count(&rest, &existing);
            let read = read.finish(&existing);
            let sorted = sorter.finish(&existing);
            assert_eq!(format!("{sorted:?}"), format!("{read:?}"));
            assert_eq!(
                sorted.candidates,
                sorted.chosen.len() as u64 + sorted.duplicates + sorted.capped,
                "every candidate is counted"
            );
            alerts.extend(sorted.chosen.iter().map(|c| Arc::clone(&c.alert)));
            backlog.retain(|entry| !sorted.settled.contains(&entry.alert));
            backlog.extend(sorted.kept.iter().cloned());
            backlog.sort_by_key(|entry| entry.position);
            assert_eq!(sorted.backlog.waiting, backlog.len() as u64);
            counts.push(sorted);
        }
        (counts, alerts)
    }

    #[test]
    fn a_window_of_250_hits_gives_250_alerts_in_overlapping_runs() {
        let (counts, alerts) = replay(&[0..250, 0..250, 0..250, 0..250], 100, CapBehaviour::Keep, 5);
        let written: Vec<usize> = counts.iter().map(|c| c.chosen.len()).collect();
        assert_eq!(written, [100, 100, 50, 0]);
        assert_eq!(alerts.len(), 250);
        assert_eq!(counts[3].duplicates, 250);
    }

    #[test]
    fn what_left_the_window_is_alerted_from_the_backlog_fresh_hits_first() {
        let (counts, alerts) = replay(&[0..250, 300..350, 400..400, 400..400], 100, CapBehaviour::Keep, 5);
        let written: Vec<usize> = counts.iter().map(|c| c.chosen.len()).collect();
        assert_eq!(written, [100, 100, 100, 0]);
        assert_eq!(alerts.len(), 300);
        assert_eq!(&*alerts[100], "a300", "fresh ones come first");
        assert_eq!(counts[1].backlog, BacklogCounts { alerted: 50, waiting: 100, expired: 0 });
    }

    #[test]
    fn more_than_ten_caps_and_older_than_a_day_expire() {
        let (counts, _) = replay(std::slice::from_ref(&(0..1_500)), 100, CapBehaviour::Keep, 5);
        assert_eq!(counts[0].capped, 1_400);
        assert_eq!(counts[0].backlog, BacklogCounts { alerted: 0, waiting: 1_000, expired: 400 });
        let (counts, alerts) = replay(&[0..150, 200..300, 400..400], 100, CapBehaviour::Keep, 13 * 60);
        assert_eq!(counts[2].backlog, BacklogCounts { alerted: 0, waiting: 0, expired: 50 });
        assert_eq!((counts[2].too_old, alerts.len()), (50, 200));
    }

    #[test]
    fn kibana_drops_at_once() {
        let (counts, alerts) = replay(&[0..250, 300..300], 100, CapBehaviour::Drop, 5);
        assert_eq!((counts[0].capped, counts[0].backlog, alerts.len()), (150, BacklogCounts::default(), 100));
    }

    proptest! {
        #[test]
        fn every_candidate_is_counted_and_none_is_alerted_twice(
            windows in prop::collection::vec((0u32..60, 0u32..80), 1..8), cap in 1u32..20, keep: bool,
        ) {
            let windows: Vec<_> = windows.into_iter().map(|(from, length)| from..from + length).collect();
            let behaviour = if keep { CapBehaviour::Keep } else { CapBehaviour::Drop };
            let (counts, alerts) = replay(&windows, cap, behaviour, 5);
            let distinct: HashSet<_> = alerts.iter().collect();
            prop_assert_eq!(distinct.len(), alerts.len());
            prop_assert!(counts.iter().all(|c| c.chosen.len() <= cap as usize));
            // Nothing vanishes: each hit is an alert, waits, or was counted as given up.
            if keep {
                let all: HashSet<u32> = windows.iter().cloned().flatten().collect();
                let expired: u64 = counts.iter().map(|c| c.backlog.expired).sum();
                let waiting = counts.last().map_or(0, |c| c.backlog.waiting);
                prop_assert!(alerts.len() as u64 + waiting + expired >= all.len() as u64);
                if expired == 0 {
                    prop_assert_eq!(alerts.len() as u64 + waiting, all.len() as u64);
                }
            }
        }
    }
}
