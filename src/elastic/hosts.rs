//! Which node is asked: round robin over those that answered last.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// How long a node is left out after its first failure; doubles up to [`LONGEST_REST`].
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_mins(1);

/// The addresses of a cluster's nodes.
#[derive(Debug)]
pub(super) struct Hosts {
    addresses: Vec<String>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: usize,
    /// Per node: failures in a row, and until when it is left out.
    failed: Vec<(u32, Option<DateTime<Utc>>)>,
}

impl Hosts {
    /// Over `addresses`, of which there is at least one.
    pub(super) fn new(addresses: Vec<String>) -> Self {
        let failed = vec![(0, None); addresses.len()];
        Self { addresses, state: Mutex::new(State { next: 0, failed }) }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// The next node that is not in `tried`: one that rests only when no other is left. `None`
    /// when all were tried.
    pub(super) fn pick(&self, tried: &[usize], now: DateTime<Utc>) -> Option<(usize, &str)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.addresses.len();
        let order = (0..count).map(|offset| (state.next + offset) % count.max(1));
        let open: Vec<usize> = order.filter(|node| !tried.contains(node)).collect();
        let rests = |node: &usize| {
            state.failed.get(*node).and_then(|(_, until)| *until).is_some_and(|until| now < until)
        };
        let node = open.iter().find(|node| !rests(node)).or(open.first()).copied()?;
        state.next = node + 1;
        self.addresses.get(node).map(|address| (node, address.as_str()))
    }

    /// A node answered.
    pub(super) fn answered(&self, node: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = state.failed.get_mut(node) {
            *entry = (0, None);
        }
    }

    /// A node did not answer, or said that it cannot.
    pub(super) fn failed(&self, node: usize, now: DateTime<Utc>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((failures, until)) = state.failed.get_mut(node) {
            let rest = REST.saturating_mul(2_u32.saturating_pow((*failures).min(16))).min(LONGEST_REST);
            *failures = failures.saturating_add(1);
            *until = chrono::Duration::from_std(rest).ok().and_then(|rest| now.checked_add_signed(rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_take_turns_and_rest_after_failures() {
        let hosts = Hosts::new(vec!["a".into(), "b".into(), "c".into()]);
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let pick = |tried: &[usize], now| hosts.pick(tried, at(now)).map(|(_, name)| name);
        assert_eq!([pick(&[], 0), pick(&[], 0), pick(&[], 0)], [Some("a"), Some("b"), Some("c")]);
        hosts.failed(0, at(0));
        assert_eq!(pick(&[], 0), Some("b"), "the first rests");
        assert_eq!(pick(&[1, 2], 0), Some("a"), "but is asked when nobody else is left");
        assert_eq!(pick(&[0, 1, 2], 0), None);
        hosts.failed(0, at(2));
        assert_eq!([pick(&[], 3), pick(&[], 3), pick(&[], 3)], [Some("b"), Some("c"), Some("b")]);
        hosts.answered(0);
        assert!((0..3).any(|_| pick(&[], 3) == Some("a")));
    }
}
