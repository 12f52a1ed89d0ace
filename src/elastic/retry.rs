//! When, and how long after, a request is sent again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Bounds of sending a request again.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Rounds over all hosts, when connections cannot be made or break.
    pub rounds: u32,
    /// How long a cluster that says it is busy or not ready is asked again.
    pub patience: Duration,
    /// Longest first pause; doubles with every further one.
    pub first_pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
    /// Whether pauses are drawn, so that many clients do not come back together; else each is as
    /// long as it can be.
    pub spread: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            rounds: 4,
            patience: Duration::from_secs(90),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(10),
            spread: true,
        }
    }
}

impl RetryPolicy {
    /// Asks once: for those who wait in front of the screen.
    pub fn never() -> Self {
        Self { rounds: 1, patience: Duration::ZERO, ..Self::default() }
    }

    /// The pause before the `round`th time after the first (1, 2, …): what the cluster asked for,
    /// else a random part of a doubling time, so that many clients do not come back together.
    pub(super) fn pause(&self, round: u32, asked: Option<Duration>) -> Duration {
        let whole = self
            .first_pause
            .saturating_mul(2_u32.saturating_pow(round.saturating_sub(1).min(16)))
            .min(self.longest_pause);
        let drawn = if self.spread { whole.mul_f64(0.5 + draw() / 2.0) } else { whole };
        // What it asked for is the least; a little more spreads the clients.
        asked.map_or(drawn, |asked| asked + drawn.min(asked / 10))
    }
}

/// A number from 0 to 1, from the keys the standard library draws for its hash maps.
fn draw() -> f64 {
    let drawn = RandomState::new().build_hasher().finish();
    (drawn >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_spread_and_stop_growing() {
        let policy = RetryPolicy::default();
        for round in 1..40 {
            let whole = Duration::from_millis(250 << (round - 1).min(10)).min(policy.longest_pause);
            let pauses: Vec<_> = (0..20).map(|_| policy.pause(round, None)).collect();
            assert!(pauses.iter().all(|pause| *pause >= whole / 2 && *pause <= whole), "{round}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "drawn anew each time");
        }
    }

    #[test]
    fn a_cluster_that_names_a_time_is_not_asked_before() {
        let asked = Duration::from_secs(7);
        let pause = RetryPolicy::default().pause(1, Some(asked));
        assert!(pause >= asked && pause < asked * 2);
    }
}
