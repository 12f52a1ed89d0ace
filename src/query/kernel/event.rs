//! Filters against one event at a time, for events that are not in columns (yet).
//!
//! Each filter hangs on the predicates of which one must hold for it to match; only the filters
//! on whose hook a value of the event satisfied something are looked at.

#![expect(
    clippy::indexing_slicing,
    reason = "predicates, columns and filters are below the counts of the kernel that numbered them"
)]

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::expr::Expr;
use super::values::JudgeScratch;
use super::{Kernel, PredicateId};
use crate::ecs::flat::FlatDoc;

/// Where the filters of a kernel hang.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    /// By predicate: the filters that hang on it.
    by_predicate: Vec<Vec<u32>>,
    /// Filters without a necessary predicate.
    always: Vec<u32>,
    /// What a leaf's path leads to.
    paths: FxHashMap<Arc<str>, EventPath>,
    /// Flattened objects on any of whose keys there is a predicate: prefix with dot, column.
    roots: Vec<(Box<str>, u32)>,
}

#[derive(Debug)]
struct EventPath {
    column: u32,
    key: Option<Arc<str>>,
}

/// Memory reused from event to event.
#[derive(Debug, Default)]
pub struct EventScratch {
    judge: JudgeScratch,
    /// Predicates that hold for the event.
    held: Vec<PredicateId>,
    /// By predicate and by filter: the event in which it was last seen.
    predicate_seen: Vec<u32>,
    filter_seen: Vec<u32>,
    event: u32,
    matched: Vec<u32>,
}

impl Hooks {
    /// Hangs `filters` up. `cost` guesses how often a predicate holds, 0 to 1.
    pub(super) fn new(filters: &[&Expr], predicates: usize, cost: &dyn Fn(PredicateId) -> f64) -> Self {
        let mut out = Self { by_predicate: vec![Vec::new(); predicates], ..Self::default() };
        for (number, expr) in (0u32..).zip(filters) {
            match necessary(expr, cost) {
                None => out.always.push(number),
                Some((_, hooks)) => {
                    for predicate in hooks {
                        let hung = &mut out.by_predicate[predicate as usize];
                        if hung.last() != Some(&number) {
                            hung.push(number);
                        }
                    }
                }
            }
        }
        out
    }

    /// Says that leaves of `path` belong to `column` (to `key` of a flattened object).
    pub(super) fn add_path(&mut self, path: Arc<str>, column: u32, key: Option<Arc<str>>) {
        self.paths.insert(path, EventPath { column, key });
    }

    /// Says that every leaf below `root` belongs to the flattened object `column`.
    pub(super) fn add_root(&mut self, root: &str, column: u32) {
        self.roots.push((format!("{root}.").into(), column));
    }
}

/// Predicates of which one must hold for `expr` to hold, and what asking them costs.
fn necessary(expr: &Expr, cost: &dyn Fn(PredicateId) -> f64) -> Option<(f64, Vec<PredicateId>)> {
    match expr {
        Expr::True | Expr::Not(_) => None,
        Expr::False => Some((0.0, Vec::new())),
        Expr::Is(predicate) => Some((cost(*predicate), vec![*predicate])),
        Expr::And(children) => {
            children.iter().filter_map(|child| necessary(child, cost)).min_by(|a, b| a.0.total_cmp(&b.0))
        }
        Expr::Or(children) => {
            let mut sum = (0.0, Vec::new());
            for child in children {
                let (cost, predicates) = necessary(child, cost)?;
                sum.0 += cost;
                sum.1.extend(predicates);
            }
            Some(sum)
        }
    }
}

impl EventScratch {
    fn start(&mut self, kernel: &Kernel) {
        self.held.clear();
        self.matched.clear();
        self.predicate_seen.resize(kernel.home.len(), 0);
        self.filter_seen.resize(kernel.filters.len(), 0);
        self.event = self.event.wrapping_add(1);
        if self.event == 0 {
            self.predicate_seen.fill(0);
            self.filter_seen.fill(0);
            self.event = 1;
        }
    }

    fn holds(&self, expr: &Expr) -> bool {
        match expr {
            Expr::True => true,
            Expr::False => false,
            Expr::Is(predicate) => self.predicate_seen[*predicate as usize] == self.event,
            Expr::And(children) => children.iter().all(|child| self.holds(child)),
            Expr::Or(children) => children.iter().any(|child| self.holds(child)),
            Expr::Not(child) => !self.holds(child),
        }
    }
}

impl Kernel {
    /// Numbers of the filters that match one event, ascending. A `scratch` serves one kernel.
    pub fn evaluate_event<'a>(&self, event: &FlatDoc, scratch: &'a mut EventScratch) -> &'a [u32] {
        scratch.start(self);
        for leaf in event.iter() {
            if let Some(path) = self.hooks.paths.get(leaf.path) {
                let column = &self.columns[path.column as usize];
                match &path.key {
                    None => column.plain.judge(leaf.value, &mut scratch.judge, &mut scratch.held),
                    Some(key) => {
                        column.judge_keyed(key, leaf.value, &mut scratch.judge, &mut scratch.held);
                    }
                }
            } else {
                for (root, column) in &self.hooks.roots {
                    if leaf.path.starts_with(&**root) {
                        let column = &self.columns[*column as usize];
                        column.plain.judge(leaf.value, &mut scratch.judge, &mut scratch.held);
                    }
                }
            }
        }
        let event = scratch.event;
        for predicate in &scratch.held {
            scratch.predicate_seen[*predicate as usize] = event;
        }
        let held = std::mem::take(&mut scratch.held);
        let ask = |filter: u32, scratch: &mut EventScratch| {
            let seen = &mut scratch.filter_seen[filter as usize];
            if *seen != event {
                *seen = event;
                if scratch.holds(&self.filters[filter as usize].expr) {
                    scratch.matched.push(filter);
                }
            }
        };
        for predicate in &held {
            for filter in &self.hooks.by_predicate[*predicate as usize] {
                ask(*filter, scratch);
            }
        }
        for filter in &self.hooks.always {
            ask(*filter, scratch);
        }
        scratch.held = held;
        scratch.matched.sort_unstable();
        &scratch.matched
    }
}
