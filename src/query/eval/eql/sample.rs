//! Samples: one event for each stage, all different, that share a key.

use std::collections::BTreeMap;

use super::key::Key;
use super::sequence::Asked;
use super::{Joined, Outcome};
use crate::base::limits::SEQUENCE_BYTES;
use crate::query::plan::{SamplePlan, StagePlan};

/// Finds samples among events.
#[derive(Debug)]
pub struct SampleMatcher<R> {
    asked: Vec<Asked>,
    /// By stage: what it asks for.
    stages: Vec<usize>,
    /// By key and stage, the first events: with as many as there are stages, one of them is free
    /// whatever the other stages take.
    keys: BTreeMap<Key, Vec<Vec<(u64, R)>>>,
    order: u64,
    size: usize,
    limit: usize,
    given_up: u64,
}

impl<R: Clone> SampleMatcher<R> {
    /// A matcher for `plan` within [`SEQUENCE_BYTES`].
    pub fn new(plan: &SamplePlan) -> Self {
        let mut asked: Vec<Asked> = Vec::new();
        let mut number = |stage: &StagePlan| {
            let one = Asked { search: stage.search, keys: stage.keys.clone() };
            let known = asked.iter().position(|known| *known == one);
            known.unwrap_or_else(|| {
                asked.push(one);
                asked.len() - 1
            })
        };
        let stages = plan.stages.iter().map(&mut number).collect();
        Self { asked, stages, keys: BTreeMap::new(), order: 0, size: 0, limit: SEQUENCE_BYTES, given_up: 0 }
    }

    /// What events are asked for.
    pub fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// Takes an event: for each of [`SampleMatcher::asked`] its keys, or none where it is not what
    /// is asked for. A key that is new when memory is full is given up, and counted.
    pub fn event(&mut self, event: &R, keys: &[Vec<Key>]) {
        self.order += 1;
        let most = self.stages.len();
        for (stage, asked) in self.stages.iter().enumerate() {
            for key in keys.get(*asked).map_or(&[][..], Vec::as_slice) {
                if !self.keys.contains_key(key) {
                    let values: usize = key.iter().map(super::key::KeyValue::size).sum();
                    let cost = 128 + values + most * (32 + most * size_of::<(u64, R)>());
                    if self.size + cost > self.limit {
                        self.given_up += 1;
                        continue;
                    }
                    self.size += cost;
                }
                let lists = self.keys.entry(key.clone()).or_insert_with(|| vec![Vec::new(); most]);
                if let Some(list) = lists.get_mut(stage)
                    && list.len() < most
                {
                    list.push((self.order, event.clone()));
                }
            }
        }
    }

    /// One sample for each key that has one, in order of the keys.
    pub fn finish(self) -> Outcome<R> {
        let mut found = Vec::new();
        for (key, lists) in self.keys {
            let mut taken = Vec::with_capacity(lists.len());
            if choose(&lists, &mut taken) {
                let events = lists.into_iter().zip(taken).map(|(list, order)| {
                    list.into_iter().find(|(at, _)| *at == order).map(|(_, event)| event)
                });
                found.push(Joined { key, events: events.collect() });
            }
        }
        Outcome { found, given_up: self.given_up, left_out: 0 }
    }
}

/// Takes a different event from each list, the first that will do. The lists are short, and a list
/// of full length always has a free one, so little is tried twice.
fn choose<R>(lists: &[Vec<(u64, R)>], taken: &mut Vec<u64>) -> bool {
    let Some((list, rest)) = lists.split_first() else { return true };
    for (order, _) in list {
        if taken.contains(order) {
            continue;
        }
        taken.push(*order);
        if choose(rest, taken) {
            return true;
        }
        taken.pop();
    }
    false
}
