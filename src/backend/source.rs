//! The events that requests see, and how their fields are typed.
//!
//! Indices that agree on every field they share are searched under one mapping. Where they do not
//! (a text here, a keyword there; an alias here, a field there), each index is searched under its
//! own, as a cluster's shards are.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::kernels::Prepared;
use crate::ecs::mapping::Mapping;
use crate::store::batch::Batch;

/// The events that requests on the same index patterns see.
pub(super) struct Source {
    pub(super) batches: Vec<Arc<dyn Batch>>,
    /// Of all indices together.
    pub(super) mapping: Arc<Mapping>,
    /// Number of concrete indices.
    pub(super) indices: usize,
    apart: Apart,
}

/// The mappings of indices that do not agree; empty where they do.
#[derive(Default)]
struct Apart {
    distinct: Vec<Arc<Mapping>>,
    /// Place in `distinct` by index.
    places: FxHashMap<Arc<str>, usize>,
}

impl Source {
    /// The events of `batches`, which lie in so many indices with `mapping` between them; `own` is
    /// asked for each index's mapping when they disagree.
    pub(super) fn new<'m>(
        indices: usize,
        batches: Vec<Arc<dyn Batch>>,
        mapping: Arc<Mapping>,
        own: impl Fn(&str) -> Option<&'m Arc<Mapping>>,
    ) -> Self {
        let mut apart = Apart::default();
        if mapping.disagrees() {
            let mut known: FxHashMap<u64, usize> = FxHashMap::default();
            for batch in &batches {
                let index = batch.index();
                if apart.places.contains_key(index) {
                    continue;
                }
                let Some(own) = own(index) else { continue };
                let place = *known.entry(own.fingerprint()).or_insert_with(|| {
                    apart.distinct.push(Arc::clone(own));
                    apart.distinct.len() - 1
                });
                apart.places.insert(Arc::clone(index), place);
            }
        }
        Self { batches, mapping, indices, apart }
    }

    /// How the fields of a batch are typed.
    pub(super) fn mapping_of(&self, batch: &dyn Batch) -> &Arc<Mapping> {
        let place = self.apart.places.get(batch.index());
        place.and_then(|place| self.apart.distinct.get(*place)).unwrap_or(&self.mapping)
    }

    /// Whether all batches are searched under one mapping.
    pub(super) fn agrees(&self) -> bool {
        self.apart.distinct.is_empty()
    }

    /// All paths with values in any batch, sorted.
    pub(super) fn paths(&self) -> Arc<[Arc<str>]> {
        let mut all: Vec<Arc<str>> = self.batches.iter().flat_map(|batch| batch.paths().to_vec()).collect();
        all.sort();
        all.dedup();
        all.into()
    }

    /// Filters, prepared under every mapping that some batch is searched under.
    pub(super) fn prepared(&self, mut under: impl FnMut(&Mapping) -> Vec<Arc<Prepared>>) -> Ready {
        let together = under(&self.mapping);
        Ready { together, apart: self.apart.distinct.iter().map(|mapping| under(mapping)).collect() }
    }

    /// The filters as they are judged on a batch.
    pub(super) fn ready<'r>(&self, ready: &'r Ready, batch: &dyn Batch) -> &'r [Arc<Prepared>] {
        let place = self.apart.places.get(batch.index());
        place.and_then(|place| ready.apart.get(*place)).unwrap_or(&ready.together)
    }
}

/// The filters of requests, prepared for a [`Source`].
pub(super) struct Ready {
    /// Under the mapping of all indices together.
    pub(super) together: Vec<Arc<Prepared>>,
    /// Under each of the mappings that indices have for themselves.
    apart: Vec<Vec<Arc<Prepared>>>,
}
