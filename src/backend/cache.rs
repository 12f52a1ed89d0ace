//! What was matched once: rows of immutable batches by filter.
//!
//! What it is: for a batch and a filter, a range of rows that was judged and the rows in it that
//! match. Overlapping windows find their rows here and judge only what is new.
//! What it is not: truth. Dropping any of it at any time changes no result.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::store::Rests;

/// Identity of a filter together with how its fields are typed; see
/// [`super::kernels::FilterKey`].
pub(super) use super::kernels::FilterKey;

/// Rows judged and rows matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    /// The rows that were judged.
    pub(super) cover: Range<u32>,
    /// Those that match, ascending.
    pub(super) rows: Arc<[u32]>,
}

impl Judged {
    /// What must still be judged to cover `wanted`: at most the part before and the part after.
    /// A range that does not touch the one judged replaces it.
    pub(super) fn missing(&self, wanted: &Range<u32>) -> [Range<u32>; 2] {
        if wanted.is_empty() {
            return [0..0, 0..0];
        }
        if wanted.end < self.cover.start || self.cover.end < wanted.start {
            return [wanted.clone(), 0..0];
        }
        [wanted.start..self.cover.start.max(wanted.start), self.cover.end.min(wanted.end)..wanted.end]
    }

    /// This with the matches of a further range; a range that does not touch replaces it.
    pub(super) fn extend(&self, cover: &Range<u32>, rows: &[u32]) -> Self {
        let joined = if cover.end == self.cover.start {
            (cover.start..self.cover.end, [rows, &*self.rows].concat())
        } else if cover.start == self.cover.end {
            (self.cover.start..cover.end, [&*self.rows, rows].concat())
        } else {
            (cover.clone(), rows.to_vec())
        };
        Self { cover: joined.0, rows: joined.1.into() }
    }

    /// The matches within `range`; `None` when not all of it was judged.
    pub(super) fn within(&self, range: &Range<u32>) -> Option<&[u32]> {
        if range.is_empty() {
            return Some(&[]);
        }
        if range.start < self.cover.start || self.cover.end < range.end {
            return None;
        }
        let from = self.rows.partition_point(|row| *row < range.start);
        let to = self.rows.partition_point(|row| *row < range.end);
        self.rows.get(from..to)
    }

    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.rows.len() * 4
    }
}

/// What an entry without rows takes, with its share of the table.
const ENTRY_BYTES: usize = 96;

#[derive(Debug, Default)]
struct BatchEntry {
    filters: FxHashMap<FilterKey, Judged>,
    bytes: usize,
    used: u64,
}

/// The cache, bounded in bytes; the batch used longest ago goes first.
#[derive(Debug)]
pub(super) struct MatchCache {
    batches: FxHashMap<u64, BatchEntry>,
    bytes: usize,
    limit: usize,
    clock: u64,
    rests: Rests,
}

impl MatchCache {
    /// An empty cache of at most `limit` bytes (approximately); 0 remembers nothing.
    pub(super) fn new(limit: usize) -> Self {
        Self { batches: FxHashMap::default(), bytes: 0, limit, clock: 0, rests: Rests::default() }
    }

    /// Forgets batches not used since some rests ago.
    pub(super) fn rest(&mut self) {
        let Some(before) = self.rests.rest(self.clock) else { return };
        self.batches.retain(|_, entry| entry.used > before);
        self.bytes = self.batches.values().map(|entry| entry.bytes).sum();
    }

    /// What is known of these filters on a batch.
    pub(super) fn get(&mut self, batch: u64, filters: &[FilterKey]) -> Vec<Option<Judged>> {
        self.clock += 1;
        let clock = self.clock;
        let Some(entry) = self.batches.get_mut(&batch) else { return vec![None; filters.len()] };
        entry.used = clock;
        filters.iter().map(|filter| entry.filters.get(filter).cloned()).collect()
    }

    /// Remembers what was judged.
    pub(super) fn put(&mut self, batch: u64, known: impl IntoIterator<Item = (FilterKey, Judged)>) {
        if self.limit == 0 {
            return;
        }
        self.clock += 1;
        let entry = self.batches.entry(batch).or_default();
        entry.used = self.clock;
        let before = entry.bytes;
        for (filter, judged) in known {
            entry.bytes += judged.bytes();
            if let Some(old) = entry.filters.insert(filter, judged) {
                entry.bytes = entry.bytes.saturating_sub(old.bytes());
            }
        }
        self.bytes = self.bytes + entry.bytes - before.min(self.bytes + entry.bytes);
        while self.bytes > self.limit {
            #[expect(clippy::iter_over_hash_type, reason = "a minimum does not depend on the order")]
            let oldest = {
                let mut oldest: Option<(u64, u64)> = None;
                for (key, entry) in &self.batches {
                    if oldest.is_none_or(|(used, _)| entry.used < used) {
                        oldest = Some((entry.used, *key));
                    }
                }
                oldest
            };
            let Some((_, key)) = oldest else { break };
            if let Some(gone) = self.batches.remove(&key) {
                self.bytes = self.bytes.saturating_sub(gone.bytes);
            }
        }
    }

    /// Approximate size, bytes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{FilterKey, Judged, MatchCache};

    fn judged(cover: std::ops::Range<u32>, rows: &[u32]) -> Judged {
        Judged { cover, rows: Arc::from(rows) }
    }

    #[test]
    fn only_what_was_not_judged_is_missing() {
        let known = judged(10..20, &[11, 19]);
        assert_eq!(known.missing(&(12..18)), [12..12, 18..18]);
        assert_eq!(known.missing(&(5..15)), [5..10, 15..15]);
        assert_eq!(known.missing(&(15..25)), [15..15, 20..25]);
        assert_eq!(known.missing(&(5..25)), [5..10, 20..25]);
        assert_eq!(known.missing(&(30..40)), [30..40, 0..0]);
        assert_eq!(known.missing(&(20..30)), [20..20, 20..30]);
    }

    #[test]
    fn a_touching_range_joins_and_a_distant_one_replaces() {
        let known = judged(10..20, &[11, 19]);
        assert_eq!(known.extend(&(20..30), &[25]), judged(10..30, &[11, 19, 25]));
        assert_eq!(known.extend(&(0..10), &[3]), judged(0..20, &[3, 11, 19]));
        assert_eq!(known.extend(&(40..50), &[41]), judged(40..50, &[41]));
        assert_eq!(known.within(&(11..12)), Some(&[11u32][..]));
        assert_eq!(known.within(&(11..21)), None);
    }

    #[test]
    fn the_batch_used_longest_ago_goes_first() {
        let mut cache = MatchCache::new(1_000);
        let key = FilterKey::for_test(1);
        for batch in 0..20 {
            cache.put(batch, [(key, judged(0..10, &[1, 2, 3]))]);
            assert!(cache.bytes() <= 1_000);
            cache.get(0, &[key]);
        }
        assert!(cache.get(0, &[key])[0].is_some());
        assert!(cache.get(1, &[key])[0].is_none());
        assert!(cache.get(19, &[key])[0].is_some());
    }
}
