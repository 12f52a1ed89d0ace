//! What was read from segments and may be asked for again, bounded by bytes.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

/// What a cached thing is; the segment's and row group's key comes beside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// A decoded column.
    Column(Arc<str>),
    /// `@timestamp` of all rows.
    Timestamps,
    /// `event.ingested` of all rows.
    Ingested,
    /// `_id` of all rows, and a table to find them.
    Ids,
    /// The bloom filter of `_id`.
    Bloom,
    /// The file's footer.
    Footer,
    /// The footer with the places of document pages.
    Pages,
    /// A page's worth of documents.
    Documents(u32),
}

type Key = (u64, Part);

/// Rests that something stays without being used: with one a minute, a little longer than most
/// rules' interval.
pub const RESTS: usize = 6;

/// The ticks of the last rests.
#[derive(Debug, Default)]
pub(crate) struct Rests(VecDeque<u64>);

impl Rests {
    /// A rest at `tick`; what was last used at the tick returned, or before, may go.
    pub(crate) fn rest(&mut self, tick: u64) -> Option<u64> {
        self.0.push_back(tick);
        if self.0.len() > RESTS { self.0.pop_front() } else { None }
    }
}

#[derive(Default)]
struct Entries {
    rests: Rests,
    map: FxHashMap<Key, Entry>,
    bytes: usize,
    tick: u64,
}

struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    bytes: usize,
    used: u64,
}

/// A cache that forgets what was used longest ago.
pub(crate) struct Cache {
    entries: Mutex<Entries>,
    limit: usize,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: Mutex::new(Entries::default()), limit }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get<T: Any + Send + Sync>(&self, segment: u64, part: &Part) -> Option<Arc<T>> {
        let mut entries = self.lock();
        entries.tick += 1;
        let tick = entries.tick;
        let entry = entries.map.get_mut(&(segment, part.clone()))?;
        entry.used = tick;
        Arc::clone(&entry.value).downcast().ok()
    }

    pub(crate) fn put<T: Any + Send + Sync>(&self, segment: u64, part: Part, value: Arc<T>, bytes: usize) {
        let mut entries = self.lock();
        entries.tick += 1;
        let entry = Entry { value, bytes, used: entries.tick };
        entries.bytes += bytes;
        if let Some(before) = entries.map.insert((segment, part), entry) {
            entries.bytes -= before.bytes;
        }
        if entries.bytes > self.limit {
            entries.shrink(self.limit / 10 * 8);
        }
    }

    /// Forgets what was not used since [`RESTS`] rests ago.
    pub(crate) fn rest(&self) {
        let mut entries = self.lock();
        let tick = entries.tick;
        let Some(before) = entries.rests.rest(tick) else { return };
        entries.map.retain(|_, entry| entry.used > before);
        entries.map.shrink_to_fit();
        entries.bytes = entries.map.values().map(|entry| entry.bytes).sum();
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

impl Entries {
    fn shrink(&mut self, target: usize) {
        let mut oldest: Vec<(u64, Key)> = self.map.iter().map(|(key, e)| (e.used, key.clone())).collect();
        oldest.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in oldest {
            if self.bytes <= target {
                break;
            }
            if let Some(entry) = self.map.remove(&key) {
                self.bytes -= entry.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first_and_the_bound_holds() {
        let cache = Cache::new(1_000);
        for segment in 0..10 {
            cache.put(segment, Part::Footer, Arc::new(segment), 100);
        }
        assert!(cache.get::<u64>(0, &Part::Footer).is_some());
        cache.put(10, Part::Footer, Arc::new(10_u64), 100);
        assert!(cache.bytes() <= 1_000);
        assert!(cache.get::<u64>(0, &Part::Footer).is_some(), "used a moment ago");
        assert!(cache.get::<u64>(1, &Part::Footer).is_none());
        assert!(cache.get::<String>(0, &Part::Footer).is_none(), "another type is no hit");
    }

    #[test]
    fn what_is_not_used_is_forgotten_after_some_rests() {
        let cache = Cache::new(1_000);
        cache.put(0, Part::Footer, Arc::new(0_u64), 100);
        cache.put(1, Part::Footer, Arc::new(1_u64), 100);
        for _ in 0..RESTS {
            cache.rest();
            assert!(cache.get::<u64>(1, &Part::Footer).is_some());
        }
        assert_eq!(cache.bytes(), 200);
        cache.rest();
        assert_eq!(cache.bytes(), 100);
        assert!(cache.get::<u64>(0, &Part::Footer).is_none());
        assert!(cache.get::<u64>(1, &Part::Footer).is_some());
    }
}
