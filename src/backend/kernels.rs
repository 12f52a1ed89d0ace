//! Compiled filters, kept while the same filters are asked for.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustc_hash::FxHashMap;

use crate::ecs::mapping::Mapping;
use crate::query::compile::prefilter::Necessary;
use crate::query::eval::Matcher;
use crate::query::eval::target::{depends_on_paths, targets};
use crate::query::kernel::Kernel;
use crate::query::plan::{Filter, Node};

/// Identity of a filter: its content and how each of its fields is typed. Equal keys mean equal
/// verdicts on equal rows (128 bits of hash).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FilterKey(u64, u64);

impl FilterKey {
    #[cfg(test)]
    pub(super) fn for_test(number: u64) -> Self {
        Self(number, number)
    }
}

/// A filter as a search uses it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) filter: Arc<Filter>,
    /// `None`: its verdict depends on "now", so nothing is remembered.
    pub(super) key: Option<FilterKey>,
    /// Which fields it looks at depends on the paths that exist.
    pub(super) open: bool,
    pub(super) necessary: Necessary,
    /// What only a cluster can answer in it.
    pub(super) foreign: Option<Box<str>>,
}

/// Several filters compiled together.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) kernel: Kernel,
    /// By number of the filter: the reference, where the kernel over-approximates.
    pub(super) verify: Vec<Option<Matcher>>,
}

/// Most filters and kernels kept; all are dropped when there are more, and come back as needed.
const FILTERS_KEPT: usize = 50_000;
const KERNELS_KEPT: usize = 64;

/// Filters are remembered by address, which is theirs as long as they are kept, and by the
/// mapping's fingerprint.
type Address = (usize, u64);

/// The cache of prepared filters and kernels.
#[derive(Debug, Default)]
pub(super) struct Kernels {
    prepared: FxHashMap<Address, Arc<Prepared>>,
    kernels: FxHashMap<FilterKey, Arc<Compiled>>,
}

impl Kernels {
    /// The filter, prepared for `mapping`.
    pub(super) fn prepare(
        &mut self,
        filter: &Arc<Filter>,
        mapping: &Mapping,
        existing: &mut impl FnMut() -> Arc<[Arc<str>]>,
        now: DateTime<Utc>,
    ) -> Arc<Prepared> {
        let address = (Arc::as_ptr(filter).addr(), mapping.fingerprint());
        if let Some(known) = self.prepared.get(&address) {
            return known.clone();
        }
        let moving = depends_on_now(filter);
        let mut open = false;
        for_each_leaf(filter, None, &mut |leaf, _| open |= depends_on_paths(leaf, mapping));
        let existing = if open { existing() } else { Arc::from([]) };
        let prepared = Arc::new(Prepared {
            filter: filter.clone(),
            key: (!moving).then(|| key(filter, mapping, &existing)),
            open,
            necessary: Necessary::of(filter, mapping, &existing, now),
            foreign: filter.foreign().map(|(what, _)| Box::from(what)),
        });
        if moving || open {
            return prepared;
        }
        if self.prepared.len() >= FILTERS_KEPT {
            self.prepared.clear();
        }
        self.prepared.insert(address, prepared.clone());
        prepared
    }

    /// The filters compiled together for `mapping`.
    pub(super) fn compile(
        &mut self,
        filters: &[Arc<Prepared>],
        mapping: &Mapping,
        existing: &[Arc<str>],
        now: DateTime<Utc>,
    ) -> Arc<Compiled> {
        let keys: Option<Vec<FilterKey>> = filters.iter().map(|f| f.key).collect();
        let identity = keys.map(|keys| hashed(|state| keys.hash(state)));
        if let Some(known) = identity.and_then(|identity| self.kernels.get(&identity)) {
            return known.clone();
        }
        let plain: Vec<&Filter> = filters.iter().map(|f| &*f.filter).collect();
        let kernel = Kernel::compile(&plain, mapping, existing, now);
        let verify = plain
            .iter()
            .enumerate()
            .map(|(number, filter)| {
                kernel.needs_document(number).then(|| Matcher::compile(filter, mapping, now))
            })
            .collect();
        let compiled = Arc::new(Compiled { kernel, verify });
        if let Some(identity) = identity {
            if self.kernels.len() >= KERNELS_KEPT {
                self.kernels.clear();
            }
            self.kernels.insert(identity, compiled.clone());
        }
        compiled
    }
}

fn key(filter: &Filter, mapping: &Mapping, existing: &[Arc<str>]) -> FilterKey {
    let mut fields = Vec::new();
    for_each_leaf(filter, None, &mut |leaf, nested| fields.push(targets(leaf, mapping, existing, nested)));
    hashed(|state| {
        filter.hash(state);
        fields.hash(state);
    })
}

fn hashed(write: impl Fn(&mut DefaultHasher)) -> FilterKey {
    let half = |seed: u64| {
        let mut state = DefaultHasher::new();
        seed.hash(&mut state);
        write(&mut state);
        state.finish()
    };
    FilterKey(half(0), half(1))
}

/// Whether some value is date math on "now"; on a field that is no date this is only careful.
fn depends_on_now(filter: &Filter) -> bool {
    let mut found = false;
    for_each_leaf(filter, None, &mut |leaf, _| {
        let is_now = |text: &Option<Arc<str>>| text.as_deref().is_some_and(mentions_now);
        found |= match leaf {
            Node::Is { value, .. } | Node::Words { text: value, .. } => mentions_now(value),
            Node::OneOf { values, .. } => {
                // Date math in a long list is no list of dates any more.
                values.as_texts().is_some_and(|texts| texts.iter().take(DATES).any(mentions_now))
            }
            Node::Range { bounds, .. } => {
                is_now(&bounds.gt) || is_now(&bounds.gte) || is_now(&bounds.lt) || is_now(&bounds.lte)
            }
            _ => false,
        };
    });
    found
}

/// How many values of a set are looked at for date math.
const DATES: usize = 256;

fn mentions_now(text: &str) -> bool {
    text.trim_start().get(..3).is_some_and(|start| start.eq_ignore_ascii_case("now"))
}

/// Visits every leaf with the nested object it looks into.
fn for_each_leaf(filter: &Filter, nested: Option<&str>, visit: &mut impl FnMut(&Node, Option<&str>)) {
    match &filter.node {
        Node::All | Node::Nothing => {}
        Node::Nested { path, inner } => for_each_leaf(inner, Some(path), visit),
        Node::And(_) | Node::Or(_) | Node::Not(_) | Node::AtLeast { .. } => {
            for child in filter.children() {
                for_each_leaf(child, nested, visit);
            }
        }
        leaf => visit(leaf, nested),
    }
}
