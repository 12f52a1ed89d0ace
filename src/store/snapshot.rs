//! A pinned version of the store, and what it hands to a search.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::batch::{Batch, NO_TIME};
use super::cache::Cache;
use super::manifest::{Index, Manifest, Segment};
use super::open::{HotBatches, Inner};
use super::options::Pruning;
use super::pattern;
use super::rows::Bounds;
use super::segment::events::SegmentBatch;
use crate::ecs::mapping::Mapping;

/// Bounds on an event's times, ms since the epoch, ends included; `None` is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeBounds {
    /// On `@timestamp`.
    pub timestamp: Option<(i64, i64)>,
    /// On `event.ingested`; an event without one is judged by its `@timestamp` instead.
    pub ingested: Option<(i64, i64)>,
}

/// A version of everything stored. It does not change while others write.
///
/// Files it names stay for the grace time after they were merged or retired, so a snapshot is to
/// be used for one search or cycle and not kept for long.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
    manifest: Arc<Manifest>,
    hot: Arc<HotBatches>,
    /// What was read of segments; the store's own, unless this is for one pass.
    cache: Arc<Cache>,
}

/// What a single pass over many events remembers, bytes: the pages of documents around the place
/// that it has reached.
const PASS_BYTES: usize = 64 * 1024 * 1024;

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("version", &self.manifest.version).finish_non_exhaustive()
    }
}

impl Snapshot {
    pub(crate) fn new(inner: Arc<Inner>, manifest: Arc<Manifest>, hot: Arc<HotBatches>) -> Self {
        let cache = Arc::clone(&inner.cache);
        Self { inner, manifest, hot, cache }
    }

    /// The same for one pass over many events: what it reads is forgotten soon, and what searches
    /// remember stays.
    #[must_use]
    pub fn for_one_pass(&self) -> Self {
        let cache = Arc::new(Cache::new(PASS_BYTES.min(self.inner.options.cache_bytes)));
        Self { cache, ..self.clone() }
    }

    /// All concrete indices, sorted.
    pub fn indices(&self) -> Vec<Arc<str>> {
        self.manifest.indices.keys().cloned().collect()
    }

    /// The concrete indices that index patterns name, sorted: commas, wildcards, `-exclusions`,
    /// date-math names; a pattern of another cluster names none.
    pub fn resolve(&self, patterns: &[String], now: DateTime<Utc>) -> Vec<Arc<str>> {
        pattern::resolve(patterns, now, self.manifest.indices.keys())
    }

    /// The types of the fields of these indices together.
    pub fn mapping(&self, indices: &[Arc<str>]) -> Arc<Mapping> {
        let known: Vec<&Index> = indices.iter().filter_map(|name| self.manifest.indices.get(name)).collect();
        self.inner.mappings.of(&known)
    }

    /// The types of the fields of one index; `None`: there is none of that name.
    pub fn mapping_of(&self, index: &str) -> Option<&Arc<Mapping>> {
        self.manifest.indices.get(index).map(|index| &index.mapping)
    }

    /// All batches of these indices that may hold an event within `bounds`; the caller judges each
    /// event. Sealed ones come first, by smallest `@timestamp`.
    pub fn batches(&self, indices: &[Arc<str>], bounds: TimeBounds) -> Vec<Arc<dyn Batch>> {
        let mut out: Vec<Arc<dyn Batch>> = Vec::new();
        for name in indices {
            if let Some(index) = self.manifest.indices.get(name) {
                for segment in &index.segments {
                    self.segment_batches(segment, bounds, &mut out);
                }
            }
            for batch in self.hot.get(name).into_iter().flatten() {
                if self.wanted(batch.bounds(), bounds) {
                    out.push(Arc::clone(batch) as Arc<dyn Batch>);
                }
            }
        }
        out
    }

    fn segment_batches(&self, segment: &Arc<Segment>, bounds: TimeBounds, out: &mut Vec<Arc<dyn Batch>>) {
        if !self.wanted(segment.bounds, bounds) && self.inner.options.pruning == Pruning::On {
            return;
        }
        for (group, found) in segment.groups.iter().enumerate() {
            if self.wanted(*found, bounds) {
                let mut file = self.inner.file(segment);
                file.cache = Arc::clone(&self.cache);
                out.push(Arc::new(SegmentBatch::new(Arc::clone(segment), file, group, *found)));
            }
        }
    }

    /// The one pruning step: whether rows with these bounds may hold an event within `wanted`.
    fn wanted(&self, found: Bounds, wanted: TimeBounds) -> bool {
        match self.inner.options.pruning {
            Pruning::On => may_hold(found, wanted),
            Pruning::Off => true,
            Pruning::Broken => {
                let inside = |(a, b): (i64, i64), (from, to): (i64, i64)| from <= a && b <= to;
                wanted.timestamp.is_none_or(|bounds| inside(found.timestamp, bounds))
                    && wanted.ingested.is_none_or(|bounds| inside(found.ingested, bounds))
            }
        }
    }
}

fn may_hold(found: Bounds, wanted: TimeBounds) -> bool {
    let overlaps = |(a, b): (i64, i64), (from, to): (i64, i64)| a <= to && from <= b;
    let by_timestamp = |bounds| overlaps(found.timestamp, bounds);
    wanted.timestamp.is_none_or(by_timestamp)
        && wanted.ingested.is_none_or(|bounds| {
            (found.ingested.0 != NO_TIME && overlaps(found.ingested, bounds))
                || (found.not_ingested > 0 && by_timestamp(bounds))
        })
}
