//! How long events take from when they happen to when they arrive.

/// Buckets: the `n`th holds delays below two to the `n`th seconds.
const BUCKETS: usize = 20;
/// Fewer events than this say nothing.
const LEAST: u64 = 50;

/// The delays of one source, coarsely.
#[derive(Debug, Clone, Default)]
pub struct Delays {
    buckets: [u64; BUCKETS],
    count: u64,
}

impl Delays {
    /// An event that happened at `event` arrived at `arrival`, both ms. Events dated in the future
    /// and imports of what is older than six days are left out.
    pub fn note(&mut self, event: i64, arrival: i64) {
        let seconds = arrival.saturating_sub(event).div_euclid(1_000);
        let Ok(seconds) = u64::try_from(seconds) else { return };
        let place = usize::try_from(u64::BITS - seconds.leading_zeros()).unwrap_or(BUCKETS);
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
            self.count += 1;
        }
        // What was long ago counts less and less.
        if self.count > 100_000 {
            for bucket in &mut self.buckets {
                *bucket /= 2;
            }
            self.count = self.buckets.iter().sum();
        }
    }

    /// After how many ms 99 of 100 events have arrived, rounded up to a power of two seconds;
    /// `None`: too few were seen.
    pub fn most(&self) -> Option<i64> {
        if self.count < LEAST {
            return None;
        }
        let enough = self.count - self.count / 100;
        let mut seen = 0;
        let place = self.buckets.iter().position(|bucket| {
            seen += bucket;
            seen >= enough
        })?;
        Some(1_000 << place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_nine_of_a_hundred_have_arrived_by_then() {
        let mut delays = Delays::default();
        for n in 0..49 {
            delays.note(0, n * 1_000);
        }
        assert_eq!(delays.most(), None, "too few");
        delays.note(5_000, 0);
        assert_eq!(delays.most(), None, "the future is no delay");
        delays.note(0, 90_000);
        assert_eq!(delays.most(), Some(128_000));
        for _ in 0..5_000 {
            delays.note(0, 700);
        }
        assert_eq!(delays.most(), Some(1_000), "the longest of many are not the rule");
    }
}
