//! Many filters compiled together and run over dictionary-coded columns.
//!
//! What it is: every distinct predicate (a leaf of a filter on one resolved field) exists once;
//! every distinct value of a column is judged once, for all predicates on it at the same time
//! (hash probe for exact terms, one Aho-Corasick pass for patterns, the leaf test otherwise); rows
//! are classed by the set of predicates their values satisfy, and each filter then looks only at
//! the rows of its rarest necessary predicate, as counted in the batch at hand.
//! What it is not: another semantics. A value is judged by [`super::eval::leaf::LeafTest`] alone;
//! every shortcut here only decides which tests need not be asked.
//! Invariant: for every row, a filter's answer equals [`super::eval::Matcher`]'s, except where
//! [`Kernel::needs_document`] says that the answer is a superset to be verified on the document.

mod combine;
mod compile;
mod event;
mod expr;
mod rowset;
mod values;

use std::borrow::Borrow;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::ecs::columns::ColumnSet;
use crate::ecs::mapping::Mapping;
use crate::query::plan::Filter;

pub use event::EventScratch;
use expr::Expr;
use values::ColumnIndex;

/// Number of a distinct predicate within one kernel.
type PredicateId = u32;

/// Many filters compiled together against one mapping and one "now".
#[derive(Debug)]
pub struct Kernel {
    /// One per column that some filter looks at.
    columns: Vec<ColumnIndex>,
    /// Column of each predicate.
    home: Vec<u32>,
    /// The compiled filters, in the order given.
    filters: Vec<CompiledFilter>,
    /// Where the filters hang when events come one at a time.
    hooks: event::Hooks,
}

/// One filter of a [`Kernel`].
#[derive(Debug)]
struct CompiledFilter {
    /// What it says over predicates.
    expr: Expr,
    /// Whether `expr` only over-approximates.
    needs_document: bool,
    /// The columns it looks at, ascending.
    columns: Box<[u32]>,
}

/// The rows each filter matched, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matches {
    /// One list of rows per filter, in the order the filters were compiled in.
    pub rows: Vec<Vec<u32>>,
}

impl Kernel {
    /// Compiles `filters` for `mapping`, with date math resolved at `now`. `existing` are the
    /// paths, sorted, that patterns of field names stand for: those of all batches to be searched.
    pub fn compile<F: Borrow<Filter>>(
        filters: &[F],
        mapping: &Mapping,
        existing: &[Arc<str>],
        now: DateTime<Utc>,
    ) -> Self {
        compile::compile(filters, mapping, existing, now)
    }

    /// Number of filters.
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    /// Whether there is no filter.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Number of distinct predicates.
    pub fn predicates(&self) -> usize {
        self.home.len()
    }

    /// Whether the rows of filter number `filter` are a superset that
    /// [`super::eval::Matcher`] must verify on the document.
    pub fn needs_document(&self, filter: usize) -> bool {
        self.filters.get(filter).is_some_and(|f| f.needs_document)
    }

    /// Paths of the columns the filters look at, sorted.
    pub fn fields(&self) -> Vec<Arc<str>> {
        let mut paths: Vec<Arc<str>> = self.columns.iter().map(|c| c.path.clone()).collect();
        paths.sort();
        paths
    }

    /// Paths of the columns that some of the filters look at, sorted.
    pub fn fields_of(&self, filters: &[usize]) -> Vec<Arc<str>> {
        let mut wanted = vec![false; self.columns.len()];
        for number in filters {
            let Some(filter) = self.filters.get(*number) else { continue };
            for column in &*filter.columns {
                if let Some(slot) = wanted.get_mut(*column as usize) {
                    *slot = true;
                }
            }
        }
        let mut paths: Vec<Arc<str>> =
            self.columns.iter().zip(wanted).filter(|(_, w)| *w).map(|(c, _)| c.path.clone()).collect();
        paths.sort();
        paths
    }

    /// The rows of `columns` that each filter matches. The columns of [`Kernel::fields`] that the
    /// batch has must be loaded.
    pub fn evaluate(&self, columns: &ColumnSet) -> Matches {
        let rows = 0..u32::try_from(columns.rows).unwrap_or(u32::MAX);
        let all: Vec<usize> = (0..self.filters.len()).collect();
        Matches { rows: self.evaluate_rows(columns, rows, &all) }
    }

    /// The rows in `rows` that each filter named by `filters` matches, in the order of `filters`.
    pub fn evaluate_rows(&self, columns: &ColumnSet, rows: Range<u32>, filters: &[usize]) -> Vec<Vec<u32>> {
        combine::evaluate(self, columns, rows, filters)
    }
}
