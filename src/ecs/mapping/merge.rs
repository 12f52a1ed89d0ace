//! One mapping over several indices.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Entry, Mapping};
use crate::ecs::types::FieldType;

/// A field whose types differ between indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The field.
    pub path: Arc<str>,
    /// Its types, the first index's first.
    pub kinds: Vec<FieldType>,
}

impl Mapping {
    /// The mapping of several indices taken together: everything that one of them knows. A field
    /// whose types differ by family keeps the first and remembers the others
    /// ([`super::Field::others`]).
    pub fn merged<'a>(mappings: impl IntoIterator<Item = &'a Self>) -> Self {
        let mappings: Vec<&Self> = mappings.into_iter().collect();
        let Some((first, rest)) = mappings.split_first() else { return Self::ecs() };
        if rest.iter().all(|mapping| mapping == first) {
            return (*first).clone();
        }
        let mut merged = (*first).clone();
        let mut kinds: BTreeMap<Arc<str>, Vec<FieldType>> = BTreeMap::new();
        let mut disagrees = false;
        for path in mappings.iter().flat_map(|mapping| mapping.inner.own.keys()) {
            if kinds.contains_key(path) {
                continue;
            }
            let entries: Vec<&Entry> = mappings.iter().filter_map(|mapping| mapping.entry(path)).collect();
            let Some((first, others)) = entries.split_first() else { continue };
            disagrees |= others.iter().any(|other| other != first)
                || (first.constant.is_some() && entries.len() < mappings.len());
            let mut entry = (*first).clone();
            let mut seen = vec![entry.kind];
            for other in others {
                if !seen.iter().any(|kind| kind.family() == other.kind.family()) {
                    seen.push(other.kind);
                }
                // The merged limits take in what any index takes in.
                entry.ignore_above = match (entry.ignore_above, other.ignore_above) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    _ => None,
                };
                entry.lowercase &= other.lowercase;
                entry.searchable |= other.searchable;
                if entry.constant != other.constant {
                    entry.constant = None;
                }
            }
            if mappings.iter().any(|m| m.entry(path).is_none_or(|e| e.constant != entry.constant)) {
                // Not every document has it: the values must be read.
                entry.constant = None;
            }
            kinds.insert(Arc::clone(path), seen);
            merged.set(path, entry);
        }
        let inner = merged.change();
        inner.disagrees = disagrees || mappings.iter().any(|mapping| mapping.inner.disagrees);
        inner.ecs = mappings.iter().any(|mapping| mapping.inner.ecs);
        inner.conflicts = mappings
            .iter()
            .flat_map(|mapping| mapping.inner.conflicts.iter().map(|(p, k)| (Arc::clone(p), Arc::clone(k))))
            .collect();
        for (path, seen) in kinds {
            if seen.len() > 1 {
                inner.conflicts.insert(path, seen.into_iter().skip(1).collect());
            }
        }
        merged
    }

    /// The fields whose types differ between the merged indices.
    pub fn conflicts(&self) -> Vec<Conflict> {
        self.inner
            .conflicts
            .iter()
            .map(|(path, others)| Conflict {
                path: Arc::clone(path),
                kinds: self.entry(path).map(|e| e.kind).into_iter().chain(others.iter().copied()).collect(),
            })
            .collect()
    }
}
