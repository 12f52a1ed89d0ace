//! Mappings: which type a field has, and where its values lie.
//!
//! What it is: the ECS catalogue, overlaid by what a user's mapping says and by what was learned
//! from documents; cheap to clone.
//! What it is not: a judge of values.
//! Invariant: resolving never fails; a path that nothing is known of is `None`, which matches
//! nothing and is no error.

mod elasticsearch;
mod entry;
mod field;
mod learn;
mod merge;
mod pattern;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

pub use entry::Entry;
pub use field::Field;
pub use learn::{Dynamic, Learned, sorted_paths};
pub use merge::Conflict;

use rustc_hash::FxHashSet;

use super::catalog;
use super::document::{ID, INDEX};
use super::types::FieldType;

/// Field types of an index: ECS, then what a user's mapping says, then what was learned from the
/// documents by the rules of `ecs@mappings`.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    inner: Arc<Inner>,
}

#[derive(Debug, Clone, Default)]
struct Inner {
    /// Whether the ECS catalogue lies beneath.
    ecs: bool,
    /// Grows with every change.
    revision: u64,
    /// Entries of its own by full path.
    own: BTreeMap<Arc<str>, Entry>,
    /// Whether some entry may hide one of the catalogue's.
    covers: bool,
    /// Whether unknown leaves are learned, by object path (`""`: everywhere).
    dynamic: BTreeMap<Arc<str>, Dynamic>,
    /// Templates of the user's mapping, tried before the rules of `ecs@mappings`.
    templates: Vec<learn::Template>,
    /// Fields whose types differ between merged mappings.
    conflicts: BTreeMap<Arc<str>, Arc<[FieldType]>>,
    /// Whether it was merged of mappings that say different things of some field.
    disagrees: bool,
    fingerprint: OnceLock<u64>,
}

impl PartialEq for Mapping {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.inner, &other.inner);
        Arc::ptr_eq(a, b)
            || (a.ecs == b.ecs
                && a.own == b.own
                && a.dynamic == b.dynamic
                && a.templates == b.templates
                && a.conflicts == b.conflicts)
    }
}

impl Mapping {
    /// The ECS mapping with the fields of the CloudTrail data stream and of alerts.
    pub fn ecs() -> Self {
        Self { inner: Arc::new(Inner { ecs: true, ..Inner::default() }) }
    }

    /// A mapping that knows nothing.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The field `path` names; `None` when nothing is known of it.
    ///
    /// A multi-field gives the path of its parent, an alias its target, a path below a flattened
    /// object that object and the key, an object [`FieldType::Object`] or [`FieldType::Nested`].
    /// Every document has an `_id` and an `_index`.
    pub fn resolve(&self, path: &str) -> Option<Field> {
        self.resolve_within(path, 0)
    }

    fn resolve_within(&self, path: &str, aliases: usize) -> Option<Field> {
        if let Some(entry) = self.entry(path) {
            if let Some(target) = &entry.alias {
                // Elasticsearch refuses an alias of an alias.
                return if aliases == 0 { self.resolve_within(target, 1) } else { None };
            }
            let values = if entry.multi { parent(path).unwrap_or(path) } else { path };
            return Some(self.field(path, values, None, entry));
        }
        for (above, rest) in ancestors(path) {
            let Some(entry) = self.entry(above) else { continue };
            match entry.kind {
                FieldType::Flattened => return Some(self.field(path, above, Some(rest), entry)),
                FieldType::Object | FieldType::Nested => {}
                _ => return None,
            }
        }
        if matches!(path, ID | INDEX) {
            return Some(Field::new(path, FieldType::Keyword));
        }
        self.is_object(path)
            .then(|| Field { nested: self.nested_above(path), ..Field::new(path, FieldType::Object) })
    }

    fn field(&self, path: &str, values: &str, key: Option<&str>, entry: &Entry) -> Field {
        Field {
            path: Arc::from(values),
            key: key.map(Arc::from),
            kind: if entry.searchable { entry.kind } else { FieldType::Other },
            ignore_above: entry.ignore_above,
            lowercase: entry.lowercase,
            nested: self.nested_above(values),
            format: entry.format.clone(),
            scaling_factor: entry.scaling_factor,
            constant: entry.constant.clone(),
            others: self.inner.conflicts.get(path).cloned(),
        }
    }

    /// What is said of exactly this path.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        if let Some(entry) = self.inner.own.get(path) {
            return Some(entry);
        }
        if !self.inner.ecs {
            return None;
        }
        let entry = catalog::get(path)?;
        (!self.hidden(path, entry)).then_some(entry)
    }

    /// Whether what is said here of a path above hides the catalogue's entry.
    fn hidden(&self, path: &str, entry: &Entry) -> bool {
        if !self.inner.covers {
            return false;
        }
        if entry.multi && parent(path).is_some_and(|above| self.inner.own.contains_key(above)) {
            return true;
        }
        ancestors(path)
            .any(|(above, _)| self.inner.own.get(above).is_some_and(|entry| !entry.kind.is_object()))
    }

    /// Whether `path` is an object: fields other than multi-fields lie below it.
    pub fn is_object(&self, path: &str) -> bool {
        let prefix = format!("{path}.");
        self.below(&prefix).any(|(_, entry)| !entry.multi)
    }

    /// Everything known below `prefix` (which ends with a dot, or is empty); own entries first,
    /// then the catalogue's that they do not hide.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        let own = self
            .inner
            .own
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(path, _)| path.starts_with(prefix))
            .map(|(path, entry)| (&**path, entry));
        let base = self
            .inner
            .ecs
            .then(|| catalog::below(prefix))
            .into_iter()
            .flatten()
            .map(|(path, entry)| -> (&'a str, &'a Entry) { (path, entry) })
            .filter(move |(path, entry)| !self.inner.own.contains_key(*path) && !self.hidden(path, entry));
        own.chain(base)
    }

    /// The nested object that `path` lies in, not counting itself.
    pub fn nested_above(&self, path: &str) -> Option<Arc<str>> {
        ancestors(path)
            .find(|(above, _)| self.entry(above).is_some_and(|entry| entry.kind == FieldType::Nested))
            .map(|(above, _)| Arc::from(above))
    }

    /// Names that show the values of the leaf path `path`: itself, and its multi-fields.
    ///
    /// `path` is a path as batches list them: a leaf's own, or a flattened object's root.
    pub fn names_of<'a>(&'a self, path: &'a str) -> Vec<String> {
        let mut names = vec![path.to_owned()];
        let prefix = format!("{path}.");
        names.extend(self.below(&prefix).filter(|(_, entry)| entry.multi).map(|(name, _)| name.to_owned()));
        names
    }

    /// The fields that hold values and whose whole name satisfies `matches`, given the paths that
    /// exist: fields, multi-fields and aliases. A flattened object counts by its root alone.
    pub fn expand(&self, matches: impl Fn(&str) -> bool, existing: &[Arc<str>]) -> Vec<Field> {
        let mut found = Vec::new();
        let mut last_root: Option<Arc<str>> = None;
        for path in existing {
            let Some(field) = self.resolve(path) else { continue };
            let root = if field.key.is_some() { Arc::clone(&field.path) } else { Arc::clone(path) };
            if last_root.as_ref() == Some(&root) {
                continue;
            }
            for name in self.names_of(&root) {
                if matches(&name)
                    && let Some(field) = self.resolve(&name)
                    && !field.kind.is_object()
                {
                    found.push(field);
                }
            }
            last_root = Some(root);
        }
        for (name, target) in self.aliases() {
            if matches(name)
                && let Some(field) = self.resolve(target)
                && !field.kind.is_object()
            {
                found.push(field);
            }
        }
        let mut seen = FxHashSet::default();
        found.retain(|field| seen.insert(field.clone()));
        found
    }

    /// Its aliases: name and target.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.inner.own.iter().filter_map(|(name, entry)| Some((&**name, entry.alias.as_deref()?)))
    }

    /// The constants every document has: path and value.
    pub fn constants(&self) -> impl Iterator<Item = (&str, &str)> {
        self.inner.own.iter().filter_map(|(name, entry)| Some((&**name, entry.constant.as_deref()?)))
    }

    /// The fields of the objects below `path` among the paths that exist (the leaves that make
    /// `path: *` true for an object).
    pub fn leaves_below(&self, path: &str, existing: &[Arc<str>]) -> Vec<Field> {
        let prefix = format!("{path}.");
        let start = existing.partition_point(|name| **name < *prefix);
        existing
            .iter()
            .skip(start)
            .take_while(|name| name.starts_with(&prefix))
            .filter_map(|name| self.resolve(name))
            .filter(|field| !field.kind.is_object())
            .collect()
    }

    /// Sets what is said of `path`; a multi-field's path is its parent's and its name.
    pub fn set(&mut self, path: &str, entry: Entry) {
        let inner = self.change();
        let below = || catalog::below(&format!("{path}.")).next().is_some();
        inner.covers |= catalog::get(path).is_some() || (!entry.kind.is_object() && below());
        inner.own.insert(Arc::from(path), entry);
    }

    /// Lays `over` over this mapping: where both speak of a path, `over` wins.
    #[must_use]
    pub fn overlay(mut self, over: &Self) -> Self {
        let inner = self.change();
        inner.ecs |= over.inner.ecs;
        inner.covers |= over.inner.covers;
        for (path, entry) in &over.inner.own {
            // What the upper mapping says of a field replaces the lower one's multi-fields too.
            let prefix = format!("{path}.");
            let stale: Vec<Arc<str>> = inner
                .own
                .range::<str, _>((Bound::Included(&*prefix), Bound::Unbounded))
                .take_while(|(name, _)| name.starts_with(&prefix))
                .filter(|(name, lower)| {
                    !entry.kind.is_object() || (lower.multi && parent(name) == Some(&**path))
                })
                .map(|(name, _)| Arc::clone(name))
                .collect();
            for name in stale {
                inner.own.remove(&name);
            }
            inner.own.insert(Arc::clone(path), entry.clone());
        }
        inner.dynamic.extend(over.inner.dynamic.iter().map(|(path, dynamic)| (Arc::clone(path), *dynamic)));
        let mut templates = over.inner.templates.clone();
        templates.append(&mut inner.templates);
        inner.templates = templates;
        inner
            .conflicts
            .extend(over.inner.conflicts.iter().map(|(path, kinds)| (Arc::clone(path), Arc::clone(kinds))));
        self
    }

    /// Number of entries of its own, without the catalogue.
    pub fn len(&self) -> usize {
        self.inner.own.len()
    }

    /// Whether it has no entries of its own.
    pub fn is_empty(&self) -> bool {
        self.inner.own.is_empty()
    }

    /// Whether it was merged of mappings that say different things of some field: what it says then
    /// holds for none of them exactly.
    pub fn disagrees(&self) -> bool {
        self.inner.disagrees
    }

    /// Whether the ECS catalogue lies beneath.
    pub fn has_ecs(&self) -> bool {
        self.inner.ecs
    }

    /// Grows with every change of this mapping.
    pub fn revision(&self) -> u64 {
        self.inner.revision
    }

    /// A hash of what it says: equal mappings have equal fingerprints, in every process.
    pub fn fingerprint(&self) -> u64 {
        *self.inner.fingerprint.get_or_init(|| {
            let mut hash = fnv(0xcbf2_9ce4_8422_2325, &[u8::from(self.inner.ecs)]);
            hash = fnv(hash, self.elasticsearch().to_string().as_bytes());
            for (path, kinds) in &self.inner.conflicts {
                hash = fnv(hash, path.as_bytes());
                for kind in kinds.iter() {
                    hash = fnv(hash, kind.name().as_bytes());
                }
            }
            hash
        })
    }

    fn change(&mut self) -> &mut Inner {
        let inner = Arc::make_mut(&mut self.inner);
        inner.revision += 1;
        inner.fingerprint = OnceLock::new();
        inner
    }
}

/// FNV-1a, continued from `hash`.
fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

/// The path above `path`.
fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('.').map(|(above, _)| above)
}

/// The paths above `path` with what remains of it, nearest first.
fn ancestors(path: &str) -> impl Iterator<Item = (&str, &str)> {
    path.rmatch_indices('.')
        .filter_map(|(at, _)| Some((path.get(..at)?, path.get(at + 1..)?)))
        .filter(|(above, _)| !above.is_empty())
}

#[cfg(test)]
mod tests;
