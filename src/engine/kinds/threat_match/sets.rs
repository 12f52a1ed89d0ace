//! Values of indicators that are kept between executions.
//!
//! What it is: for each rule, the filter that narrows its events, with what it was made from: the
//! content of the indicators' indices, what is asked of them, and the moments that date math in
//! that stands for. Where none of it changed, the sets of values are not built again.
//! Invariant: what is kept never takes more than [`INDICATOR_BYTES`] together.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::backend::Scope;
use crate::base::datemath::{self, Rounding};
use crate::base::limits::INDICATOR_BYTES;
use crate::query::plan::{Filter, Node};

use super::pairs::Group;

/// What a filter was made from: two hashes of it.
pub(super) type Key = (u64, u64);

/// The filters that are kept, by rule.
#[derive(Debug, Default)]
pub(in crate::engine) struct IndicatorSets {
    kept: HashMap<Arc<str>, Kept>,
    uses: u64,
}

#[derive(Debug)]
struct Kept {
    key: Key,
    filter: Arc<Filter>,
    size: usize,
    used: u64,
}

impl IndicatorSets {
    pub(super) fn get(&mut self, rule: &str, key: Key) -> Option<Arc<Filter>> {
        self.uses += 1;
        let kept = self.kept.get_mut(rule).filter(|kept| kept.key == key)?;
        kept.used = self.uses;
        Some(Arc::clone(&kept.filter))
    }

    /// Keeps a filter whose sets take `size` bytes; those used longest ago make room.
    pub(super) fn put(&mut self, rule: &Arc<str>, key: Key, filter: Arc<Filter>, size: usize) {
        self.kept.remove(rule);
        let mut taken: usize = self.kept.values().map(|kept| kept.size).sum();
        while taken + size > INDICATOR_BYTES {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(rule, _)| Arc::clone(rule));
            let Some(gone) = oldest.and_then(|rule| self.kept.remove(&rule)) else { return };
            taken -= gone.size;
        }
        self.uses += 1;
        self.kept.insert(Arc::clone(rule), Kept { key, filter, size, used: self.uses });
    }
}

/// The key of what is made from indicators with this `content`.
pub(super) fn key(content: u64, indicators: &Scope, groups: &[Group]) -> Key {
    let half = |seed: u64| {
        let mut hasher = DefaultHasher::new();
        (seed, content, &indicators.filter).hash(&mut hasher);
        moments(&indicators.filter, indicators, &mut hasher);
        for pair in groups.iter().flat_map(|group| &group.pairs) {
            (&pair.field, &pair.value, pair.negate, &pair.event, &pair.indicator).hash(&mut hasher);
        }
        groups.iter().map(|group| group.pairs.len()).collect::<Vec<_>>().hash(&mut hasher);
        hasher.finish()
    };
    (half(0), half(1))
}

/// What date math in a filter stands for at the time of the search.
fn moments(filter: &Filter, scope: &Scope, hasher: &mut DefaultHasher) {
    let mut moment = |text: &str| {
        let starts = text.trim_start().get(..3).is_some_and(|start| start.eq_ignore_ascii_case("now"));
        if starts {
            for rounding in [Rounding::Down, Rounding::Up] {
                let at = datemath::resolve(text, scope.now, rounding).ok();
                at.map(|at| at.timestamp_millis()).hash(hasher);
            }
        }
    };
    match &filter.node {
        Node::Is { value, .. } | Node::Words { text: value, .. } => moment(value),
        Node::Range { bounds, .. } => {
            for end in [&bounds.gt, &bounds.gte, &bounds.lt, &bounds.lte].into_iter().flatten() {
                moment(end);
            }
        }
        // A list of dates may be written with "now" as well; so may what is computed.
        Node::OneOf { .. } | Node::Scalar { .. } => scope.now.timestamp_millis().hash(hasher),
        _ => {}
    }
    for child in filter.children() {
        moments(child, scope, hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> Arc<Filter> {
        Arc::new(Filter::new(Node::All))
    }

    #[test]
    fn another_content_is_not_what_is_kept_and_room_is_made() {
        let mut sets = IndicatorSets::default();
        let (a, b): (Arc<str>, Arc<str>) = (Arc::from("a"), Arc::from("b"));
        sets.put(&a, (1, 1), filter(), INDICATOR_BYTES / 2);
        assert!(sets.get("a", (1, 1)).is_some() && sets.get("a", (2, 1)).is_none());
        sets.put(&b, (1, 1), filter(), INDICATOR_BYTES / 2);
        assert!(sets.get("a", (1, 1)).is_some(), "both fit");
        sets.put(&Arc::from("c"), (1, 1), filter(), 1);
        assert!(sets.get("b", (1, 1)).is_none(), "used longest ago");
        sets.put(&b, (1, 1), filter(), INDICATOR_BYTES + 1);
        assert!(sets.get("b", (1, 1)).is_none(), "what does not fit is not kept");
    }
}
