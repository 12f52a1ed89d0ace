//! From judged values to matching rows.
//!
//! Each row of a column gets the number of the *class* of its values: the set of predicates that
//! some value of the row satisfies. A predicate is then a set of classes, its rows are these
//! classes' postings, and "does it hold for this row" is one bit.

#![expect(
    clippy::indexing_slicing,
    reason = "rows are below the number of rows classed, classes below the number interned, \
              predicates and columns below the counts of the kernel that numbered them"
)]

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::expr::Expr;
use super::rowset::Bitmap;
use super::values::{ColumnIndex, JudgeScratch};
use super::{Kernel, PredicateId};
use crate::ecs::columns::{Column, ColumnSet, MISSING};

/// Not judged yet (a class), or never true in this batch (a predicate's slot).
const NONE: u32 = u32::MAX;
/// The class of rows whose values satisfy nothing.
const NOTHING: u32 = 0;

/// A column's rows by class.
struct Classed {
    /// Class of each row.
    row_class: Vec<u32>,
    /// `rows[starts[class]..starts[class + 1]]` are a class's rows, ascending; the rows of
    /// [`NOTHING`] are left out.
    starts: Vec<u32>,
    rows: Vec<u32>,
}

/// A predicate that holds for some row.
struct Truth {
    /// Number of its column in [`Judged::columns`].
    column: u32,
    /// Number of rows it holds for.
    count: u32,
    /// The classes it is in.
    classes: Vec<u32>,
    /// The same as one bit per class.
    bits: Vec<u64>,
}

/// Everything known about a range of rows.
struct Judged {
    rows: u32,
    columns: Vec<Classed>,
    truths: Vec<Truth>,
    /// By predicate: its number in `truths`, or [`NONE`].
    slots: Vec<u32>,
    bitmaps: RefCell<FxHashMap<PredicateId, Rc<Bitmap>>>,
}

/// The sets of predicates met in one column.
struct Classes {
    sets: Vec<Box<[PredicateId]>>,
    numbers: FxHashMap<Box<[PredicateId]>, u32>,
    unions: FxHashMap<(u32, u32), u32>,
}

impl Classes {
    fn new() -> Self {
        let empty: Box<[PredicateId]> = Box::default();
        let mut numbers = FxHashMap::default();
        numbers.insert(empty.clone(), NOTHING);
        Self { sets: vec![empty], numbers, unions: FxHashMap::default() }
    }

    fn intern(&mut self, set: &mut Vec<PredicateId>) -> u32 {
        if set.is_empty() {
            return NOTHING;
        }
        set.sort_unstable();
        set.dedup();
        if let Some(number) = self.numbers.get(set.as_slice()) {
            return *number;
        }
        let number = u32::try_from(self.sets.len()).unwrap_or(NONE - 1);
        let set: Box<[PredicateId]> = set.as_slice().into();
        self.sets.push(set.clone());
        self.numbers.insert(set, number);
        number
    }

    fn union(&mut self, a: u32, b: u32) -> u32 {
        if a == b || b == NOTHING {
            return a;
        }
        if a == NOTHING {
            return b;
        }
        let key = (a.min(b), a.max(b));
        if let Some(number) = self.unions.get(&key) {
            return *number;
        }
        let mut set = self.sets[a as usize].to_vec();
        set.extend_from_slice(&self.sets[b as usize]);
        let number = self.intern(&mut set);
        self.unions.insert(key, number);
        number
    }
}

/// Class of each code that was met.
enum CodeClasses {
    /// By code; for ranges that meet much of the dictionary.
    Dense(Vec<u32>),
    /// For short ranges over large dictionaries.
    Sparse(FxHashMap<u32, u32>),
}

impl CodeClasses {
    fn get(&self, code: u32) -> u32 {
        match self {
            Self::Dense(classes) => classes.get(code as usize).copied().unwrap_or(NOTHING),
            Self::Sparse(classes) => classes.get(&code).copied().unwrap_or(NONE),
        }
    }

    fn set(&mut self, code: u32, class: u32) {
        match self {
            Self::Dense(classes) => {
                if let Some(slot) = classes.get_mut(code as usize) {
                    *slot = class;
                }
            }
            Self::Sparse(classes) => {
                classes.insert(code, class);
            }
        }
    }
}

/// Classes the rows of one column.
fn class_rows(index: &ColumnIndex, column: &Column, rows: Range<u32>) -> (Classed, Classes) {
    let count = rows.len();
    let mut classes = Classes::new();
    let mut codes = if column.dictionary.len() / 16 <= count {
        CodeClasses::Dense(vec![NONE; column.dictionary.len()])
    } else {
        CodeClasses::Sparse(FxHashMap::default())
    };
    let mut scratch = JudgeScratch::default();
    let mut set = Vec::new();
    let mut judge = |code: u32, classes: &mut Classes| {
        let known = codes.get(code);
        if known != NONE {
            return known;
        }
        set.clear();
        index.judge(column.value(code), &mut scratch, &mut set);
        let class = classes.intern(&mut set);
        codes.set(code, class);
        class
    };
    let mut row_class = Vec::with_capacity(count);
    if column.offsets.is_none() {
        let end = (rows.end as usize).min(column.codes.len());
        let start = (rows.start as usize).min(end);
        for code in &column.codes[start..end] {
            row_class.push(if *code == MISSING { NOTHING } else { judge(*code, &mut classes) });
        }
        row_class.resize(count, NOTHING);
    } else {
        for row in rows {
            let mut class = NOTHING;
            for code in column.row(row as usize) {
                let one = judge(*code, &mut classes);
                class = classes.union(class, one);
            }
            row_class.push(class);
        }
    }

    let mut starts = vec![0u32; classes.sets.len() + 1];
    for class in &row_class {
        if *class != NOTHING {
            starts[*class as usize + 1] += 1;
        }
    }
    for class in 1..starts.len() {
        starts[class] += starts[class - 1];
    }
    let total = starts[starts.len() - 1] as usize;
    let mut next = starts.clone();
    let mut posted = vec![0u32; total];
    for (row, class) in (0u32..).zip(&row_class) {
        if *class != NOTHING {
            let place = &mut next[*class as usize];
            posted[*place as usize] = row;
            *place += 1;
        }
    }
    (Classed { row_class, starts, rows: posted }, classes)
}

impl Judged {
    fn new(kernel: &Kernel, columns: &ColumnSet, rows: Range<u32>, wanted: &[bool]) -> Self {
        let mut out = Self {
            rows: u32::try_from(rows.len()).unwrap_or(u32::MAX),
            columns: Vec::new(),
            truths: Vec::new(),
            slots: vec![NONE; kernel.home.len()],
            bitmaps: RefCell::default(),
        };
        for (index, wanted) in kernel.columns.iter().zip(wanted) {
            if !wanted {
                continue;
            }
            let Some(column) = columns.columns.get(&index.path) else { continue };
            let (classed, classes) = class_rows(index, column, rows.clone());
            out.add(classed, &classes);
        }
        out
    }

    fn add(&mut self, classed: Classed, classes: &Classes) {
        let number = u32::try_from(self.columns.len()).unwrap_or(u32::MAX);
        let words = classes.sets.len().div_ceil(64);
        for (class, set) in (0u32..).zip(&classes.sets) {
            let count = classed.starts[class as usize + 1] - classed.starts[class as usize];
            if count == 0 {
                continue;
            }
            for predicate in set {
                let slot = &mut self.slots[*predicate as usize];
                if *slot == NONE {
                    *slot = u32::try_from(self.truths.len()).unwrap_or(NONE - 1);
                    self.truths.push(Truth {
                        column: number,
                        count: 0,
                        classes: Vec::new(),
                        bits: vec![0; words],
                    });
                }
                let truth = &mut self.truths[*slot as usize];
                truth.count += count;
                truth.classes.push(class);
                truth.bits[class as usize / 64] |= 1 << (class % 64);
            }
        }
        self.columns.push(classed);
    }

    fn truth(&self, predicate: PredicateId) -> Option<&Truth> {
        match self.slots[predicate as usize] {
            NONE => None,
            slot => Some(&self.truths[slot as usize]),
        }
    }

    fn holds(&self, expr: &Expr, row: u32) -> bool {
        match expr {
            Expr::True => true,
            Expr::False => false,
            Expr::Is(predicate) => self.truth(*predicate).is_some_and(|truth| {
                let class = self.columns[truth.column as usize].row_class[row as usize];
                truth.bits[class as usize / 64] >> (class % 64) & 1 == 1
            }),
            Expr::And(children) => children.iter().all(|child| self.holds(child, row)),
            Expr::Or(children) => children.iter().any(|child| self.holds(child, row)),
            Expr::Not(child) => !self.holds(child, row),
        }
    }

    /// An upper bound of the number of rows that satisfy `expr`.
    fn bound(&self, expr: &Expr) -> u32 {
        match expr {
            Expr::True => self.rows,
            Expr::False => 0,
            Expr::Is(predicate) => self.truth(*predicate).map_or(0, |truth| truth.count),
            Expr::And(children) => {
                let mut least = self.rows;
                for child in children {
                    least = least.min(self.bound(child));
                    if least == 0 {
                        break;
                    }
                }
                least
            }
            Expr::Or(children) => {
                children.iter().fold(0u32, |sum, child| sum.saturating_add(self.bound(child))).min(self.rows)
            }
            Expr::Not(child) => match &**child {
                Expr::Is(predicate) => self.rows - self.truth(*predicate).map_or(0, |truth| truth.count),
                _ => self.rows,
            },
        }
    }

    /// The rows that satisfy `expr`, ascending.
    fn list(&self, expr: &Expr) -> Vec<u32> {
        let bound = self.bound(expr);
        if bound == 0 {
            return Vec::new();
        }
        if bound > 64 && bound > self.rows / 16 {
            return self.bitmap(expr).filter(|_| true);
        }
        match expr {
            Expr::False => Vec::new(),
            Expr::Is(predicate) => {
                let Some(truth) = self.truth(*predicate) else { return Vec::new() };
                let mut out = Vec::with_capacity(truth.count as usize);
                self.for_each_posting(truth, |rows| out.extend_from_slice(rows));
                if truth.classes.len() > 1 {
                    out.sort_unstable();
                }
                out
            }
            Expr::And(children) => {
                let rarest = self.rarest(children);
                let mut out = self.list(&children[rarest]);
                out.retain(|row| self.hold_beside(children, rarest, *row));
                out
            }
            Expr::Or(children) => {
                let mut out: Vec<u32> = children.iter().flat_map(|child| self.list(child)).collect();
                out.sort_unstable();
                out.dedup();
                out
            }
            Expr::True | Expr::Not(_) => (0..self.rows).filter(|row| self.holds(expr, *row)).collect(),
        }
    }

    /// The rows that satisfy `expr`, when they are likely to be many.
    fn bitmap(&self, expr: &Expr) -> Bitmap {
        match expr {
            Expr::True => Bitmap::full(self.rows),
            Expr::False => Bitmap::empty(self.rows),
            Expr::Is(predicate) => (*self.predicate_bitmap(*predicate)).clone(),
            Expr::And(children) => {
                let rarest = self.rarest(children);
                if self.bound(&children[rarest]) <= self.rows / 16 {
                    let mut out = Bitmap::empty(self.rows);
                    let mut rows = self.list(&children[rarest]);
                    rows.retain(|row| self.hold_beside(children, rarest, *row));
                    out.insert_all(&rows);
                    return out;
                }
                let mut out = self.bitmap(&children[rarest]);
                for (number, child) in children.iter().enumerate() {
                    if number == rarest {
                        continue;
                    }
                    match child {
                        Expr::Is(predicate) => out.and(&self.predicate_bitmap(*predicate)),
                        Expr::Not(inner) => match &**inner {
                            Expr::Is(predicate) => out.and_not(&self.predicate_bitmap(*predicate)),
                            inner => out.and_not(&self.bitmap(inner)),
                        },
                        child => out.and(&self.bitmap(child)),
                    }
                }
                out
            }
            Expr::Or(children) => {
                let mut out = Bitmap::empty(self.rows);
                for child in children {
                    match child {
                        Expr::Is(predicate) => out.or(&self.predicate_bitmap(*predicate)),
                        child => out.or(&self.bitmap(child)),
                    }
                }
                out
            }
            Expr::Not(child) => {
                let mut out = self.bitmap(child);
                out.negate();
                out
            }
        }
    }

    fn predicate_bitmap(&self, predicate: PredicateId) -> Rc<Bitmap> {
        if let Some(known) = self.bitmaps.borrow().get(&predicate) {
            return known.clone();
        }
        let mut out = Bitmap::empty(self.rows);
        if let Some(truth) = self.truth(predicate) {
            self.for_each_posting(truth, |rows| out.insert_all(rows));
        }
        let out = Rc::new(out);
        self.bitmaps.borrow_mut().insert(predicate, out.clone());
        out
    }

    fn for_each_posting(&self, truth: &Truth, mut visit: impl FnMut(&[u32])) {
        let column = &self.columns[truth.column as usize];
        for class in &truth.classes {
            let from = column.starts[*class as usize] as usize;
            let to = column.starts[*class as usize + 1] as usize;
            visit(&column.rows[from..to]);
        }
    }

    fn rarest(&self, children: &[Expr]) -> usize {
        let bounds = children.iter().map(|child| self.bound(child)).enumerate();
        bounds.min_by_key(|(_, bound)| *bound).map_or(0, |(number, _)| number)
    }

    fn hold_beside(&self, children: &[Expr], done: usize, row: u32) -> bool {
        children.iter().enumerate().all(|(number, child)| number == done || self.holds(child, row))
    }
}

/// The rows in `rows` that each of `filters` matches, in that order.
pub(super) fn evaluate(
    kernel: &Kernel,
    columns: &ColumnSet,
    rows: Range<u32>,
    filters: &[usize],
) -> Vec<Vec<u32>> {
    let end = rows.end.min(u32::try_from(columns.rows).unwrap_or(u32::MAX));
    let rows = rows.start.min(end)..end;
    let mut wanted = vec![false; kernel.columns.len()];
    for filter in filters.iter().filter_map(|number| kernel.filters.get(*number)) {
        for column in &*filter.columns {
            wanted[*column as usize] = true;
        }
    }
    let start = rows.start;
    let judged = Judged::new(kernel, columns, rows, &wanted);
    let one = |number: &usize| {
        let Some(filter) = kernel.filters.get(*number) else { return Vec::new() };
        let mut found = judged.list(&filter.expr);
        if start != 0 {
            for row in &mut found {
                *row += start;
            }
        }
        found
    };
    filters.iter().map(one).collect()
}
