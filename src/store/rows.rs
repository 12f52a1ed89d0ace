//! Events on their way into a batch: columns are built as events arrive, sorted once at the end.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::batch::NO_TIME;
use super::instant;
use super::texts::{Dictionary, Texts};
use crate::ecs::columns::{Column, MISSING};
use crate::ecs::document::NewDocument;
use crate::ecs::flat::Leaf;
use crate::ecs::mapping::{Learned, Mapping};
use crate::ecs::types::FieldType;
use crate::store::mappings::Learning;

/// Paths of the two time columns.
pub(crate) const TIMESTAMP: &str = "@timestamp";
pub(crate) const INGESTED: &str = "event.ingested";

/// Where the leaves of a path go.
#[derive(Debug, Clone)]
enum Target {
    /// A column of its own.
    Column(u32),
    /// The column of the flattened object it lies in, under this key.
    Key(u32, Arc<str>),
}

/// One column as it grows.
#[derive(Debug)]
struct Growing {
    path: Arc<str>,
    values: Dictionary,
    /// (row, code), rows ascending.
    entries: Vec<(u32, u32)>,
    last: u32,
    /// Values are `key\0value` of a flattened object.
    keyed: bool,
}

impl Growing {
    fn push(&mut self, row: u32, text: &str) {
        // Neighbouring events often agree; comparing is cheaper than hashing.
        let code = if self.last != MISSING && self.values.texts.get(self.last as usize) == text {
            self.last
        } else {
            self.values.insert(text).0
        };
        self.last = code;
        self.entries.push((row, code));
    }
}

/// Events of one index as growing columns.
#[derive(Debug)]
pub(crate) struct Rows {
    mapping: Mapping,
    /// Leaves that gave the mapping a new field.
    learned: Vec<Learning>,
    ids: Dictionary,
    timestamps: Vec<i64>,
    ingested: Vec<i64>,
    sources: Texts,
    originals: Texts,
    has_original: Vec<bool>,
    columns: Vec<Growing>,
    /// The number of each column; paths come from events, so the hasher is seeded at random.
    numbers: HashMap<Arc<str>, u32>,
    /// Every path seen, and where its leaves go.
    paths: Vec<Path>,
    by_path: FxHashMap<Arc<str>, u32>,
    scratch: String,
}

/// A path seen, and the path that followed it last: events of one kind repeat the order of their
/// leaves, so most paths are found by comparing and not by hashing.
#[derive(Debug)]
struct Path {
    path: Arc<str>,
    target: Target,
    next: u32,
}

impl Rows {
    pub(crate) fn new(mapping: &Arc<Mapping>) -> Self {
        let mut rows = Self {
            mapping: Mapping::clone(mapping),
            learned: Vec::new(),
            ids: Dictionary::default(),
            timestamps: Vec::new(),
            ingested: Vec::new(),
            sources: Texts::default(),
            originals: Texts::default(),
            has_original: Vec::new(),
            columns: Vec::new(),
            numbers: HashMap::new(),
            paths: Vec::new(),
            by_path: FxHashMap::default(),
            scratch: String::new(),
        };
        // The first two columns are the times.
        for path in [TIMESTAMP, INGESTED] {
            let column = rows.column(path);
            rows.learn(path, Target::Column(column));
        }
        rows
    }

    pub(crate) fn len(&self) -> usize {
        self.timestamps.len()
    }

    pub(crate) fn text_bytes(&self) -> usize {
        self.sources.bytes() + self.originals.bytes()
    }

    /// Whether texts of this size still fit.
    pub(crate) fn fits(&self, doc: &NewDocument) -> bool {
        self.sources.fits(doc.source.len())
            && self.originals.fits(doc.original.as_ref().map_or(0, String::len))
    }

    /// Whether an event with this id is among them.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.ids.find(id).is_some()
    }

    /// What the events taught the mapping.
    pub(crate) fn learned(&mut self) -> Vec<Learning> {
        std::mem::take(&mut self.learned)
    }

    pub(crate) fn ids(&self) -> &Texts {
        &self.ids.texts
    }

    pub(crate) fn timestamps(&self) -> &[i64] {
        &self.timestamps
    }

    /// Adds an event; `false` when one with its id is there already.
    pub(crate) fn push(&mut self, doc: &NewDocument, keep_original: bool) -> bool {
        if !self.ids.insert(&doc.id).1 {
            return false;
        }
        self.sources.push(&doc.source);
        let original = if keep_original { doc.original.as_deref() } else { None };
        self.originals.push(original.unwrap_or(""));
        self.has_original.push(original.is_some());
        let row = u32::try_from(self.timestamps.len()).unwrap_or(u32::MAX);
        let mut times = [NO_TIME; 2];
        let mut before = MISSING;
        for leaf in doc.flat.iter() {
            let at = self.path(before, leaf);
            before = at;
            let Some(path) = self.paths.get(at as usize) else { continue };
            match &path.target {
                Target::Column(column) => {
                    if let Some(time) = times.get_mut(*column as usize)
                        && *time == NO_TIME
                    {
                        *time = instant::parse(leaf.value);
                    }
                    if let Some(column) = self.columns.get_mut(*column as usize) {
                        column.push(row, leaf.value);
                    }
                }
                Target::Key(column, key) => {
                    self.scratch.clear();
                    self.scratch.push_str(key);
                    self.scratch.push('\0');
                    self.scratch.push_str(leaf.value);
                    if let Some(column) = self.columns.get_mut(*column as usize) {
                        column.push(row, &self.scratch);
                    }
                }
            }
        }
        let [timestamp, ingested] = times;
        self.timestamps.push(timestamp);
        self.ingested.push(ingested);
        true
    }

    /// The number of `path`, guessed from the path before it.
    fn path(&mut self, before: u32, leaf: Leaf<'_>) -> u32 {
        let path = leaf.path;
        let guess = self.paths.get(before as usize).map_or(0, |before| before.next);
        if self.paths.get(guess as usize).is_some_and(|guess| &*guess.path == path) {
            return guess;
        }
        let at = match self.by_path.get(path) {
            Some(at) => *at,
            None => {
                if self.mapping.learn(path, leaf.kind, leaf.value) == Learned::Added {
                    self.learned.push(Learning::of(leaf));
                }
                let target = self.target(path);
                self.learn(path, target)
            }
        };
        if let Some(before) = self.paths.get_mut(before as usize) {
            before.next = at;
        }
        at
    }

    fn learn(&mut self, path: &str, target: Target) -> u32 {
        let at = u32::try_from(self.paths.len()).unwrap_or(u32::MAX);
        let path: Arc<str> = Arc::from(path);
        self.paths.push(Path { path: Arc::clone(&path), target, next: 0 });
        self.by_path.insert(path, at);
        at
    }

    fn target(&mut self, path: &str) -> Target {
        match self.mapping.resolve(path) {
            Some(field) if field.kind == FieldType::Flattened && field.key.is_some() => {
                let column = self.column(&field.path);
                if let Some(column) = self.columns.get_mut(column as usize) {
                    column.keyed = true;
                }
                Target::Key(column, field.key.unwrap_or_else(|| Arc::from("")))
            }
            _ => Target::Column(self.column(path)),
        }
    }

    fn column(&mut self, path: &str) -> u32 {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let number = u32::try_from(self.columns.len()).unwrap_or(u32::MAX);
        let path: Arc<str> = Arc::from(path);
        self.numbers.insert(Arc::clone(&path), number);
        self.columns.push(Growing {
            path,
            values: Dictionary::default(),
            entries: Vec::new(),
            last: MISSING,
            keyed: false,
        });
        number
    }

    /// Leaves out the rows that `keep` says no to.
    pub(crate) fn finish(self, keep: Option<&[bool]>) -> Group {
        self.finish_with_order(keep).0
    }

    /// The same, with the arrival number of each row.
    pub(crate) fn finish_with_order(self, keep: Option<&[bool]>) -> (Group, Vec<u32>) {
        let total = self.timestamps.len();
        let mut order: Vec<u32> = (0..u32::try_from(total).unwrap_or(u32::MAX))
            .filter(|row| keep.is_none_or(|keep| keep.get(*row as usize).copied().unwrap_or(true)))
            .collect();
        let time = |row: &u32| self.timestamps.get(*row as usize).copied().unwrap_or(NO_TIME);
        if !order.is_sorted_by_key(time) {
            order.sort_by_key(time);
        }
        let mut place = vec![MISSING; total];
        for (new, old) in order.iter().enumerate() {
            if let Some(slot) = place.get_mut(*old as usize) {
                *slot = u32::try_from(new).unwrap_or(MISSING);
            }
        }
        let identity =
            order.len() == total && order.iter().enumerate().all(|(new, old)| new == *old as usize);
        let rows = order.len();
        let pick = |texts: Texts| -> Texts {
            if identity {
                return texts;
            }
            let mut out = Texts::default();
            for row in &order {
                out.push(texts.get(*row as usize));
            }
            out
        };
        let pick_times = |times: &[i64]| -> Vec<i64> {
            order.iter().map(|row| times.get(*row as usize).copied().unwrap_or(NO_TIME)).collect()
        };
        let mut columns: Vec<(Arc<str>, Coded)> = self
            .columns
            .into_iter()
            .filter_map(|column| {
                let coded = Coded::build(column.values.texts, &column.entries, &place, rows, column.keyed);
                coded.map(|coded| (column.path, coded))
            })
            .collect();
        columns.sort_by(|a, b| a.0.cmp(&b.0));
        let group = Group {
            timestamps: pick_times(&self.timestamps).into(),
            ingested: pick_times(&self.ingested).into(),
            has_original: order
                .iter()
                .map(|row| self.has_original.get(*row as usize) == Some(&true))
                .collect(),
            ids: pick(self.ids.texts),
            sources: pick(self.sources),
            originals: pick(self.originals),
            columns,
        };
        (group, order)
    }
}

/// A finished column: distinct texts and a code a value.
#[derive(Debug, Clone)]
pub(crate) struct Coded {
    pub(crate) values: Texts,
    pub(crate) codes: Vec<u32>,
    pub(crate) offsets: Option<Vec<u32>>,
    /// Values are `key\0value` of a flattened object.
    pub(crate) keyed: bool,
}

impl Coded {
    /// Puts entries of old rows where `place` says their new row is; `None` when nothing is left.
    fn build(values: Texts, entries: &[(u32, u32)], place: &[u32], rows: usize, keyed: bool) -> Option<Self> {
        let new_row = |old: u32| place.get(old as usize).copied().filter(|row| *row != MISSING);
        let mut counts = vec![0_u32; rows + 1];
        let mut most = 0;
        for (old, _) in entries {
            if let Some(count) = new_row(*old).and_then(|row| counts.get_mut(row as usize)) {
                *count += 1;
                most = most.max(*count);
            }
        }
        if most == 0 {
            return None;
        }
        if most == 1 {
            let mut codes = vec![MISSING; rows];
            for (old, code) in entries {
                if let Some(slot) = new_row(*old).and_then(|row| codes.get_mut(row as usize)) {
                    *slot = *code;
                }
            }
            return Some(Self { values, codes, offsets: None, keyed });
        }
        // Counts become the place of each row's first value, then of its next one.
        let mut offsets = Vec::with_capacity(rows + 1);
        let mut sum = 0_u32;
        for count in &mut counts {
            offsets.push(sum);
            let here = *count;
            *count = sum;
            sum += here;
        }
        let mut codes = vec![MISSING; sum as usize];
        for (old, code) in entries {
            if let Some(next) = new_row(*old).and_then(|row| counts.get_mut(row as usize)) {
                if let Some(slot) = codes.get_mut(*next as usize) {
                    *slot = *code;
                }
                *next += 1;
            }
        }
        Some(Self { values, codes, offsets: Some(offsets), keyed })
    }

    /// The column as searches use it.
    pub(crate) fn into_column(self) -> Column {
        Column {
            dictionary: self.values.iter().map(Box::from).collect(),
            codes: self.codes,
            offsets: self.offsets,
        }
    }
}

/// Finished rows, sorted by (`@timestamp`, arrival).
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) timestamps: Arc<[i64]>,
    pub(crate) ingested: Arc<[i64]>,
    pub(crate) ids: Texts,
    pub(crate) sources: Texts,
    pub(crate) originals: Texts,
    pub(crate) has_original: Vec<bool>,
    /// By path, sorted.
    pub(crate) columns: Vec<(Arc<str>, Coded)>,
}

impl Group {
    pub(crate) fn rows(&self) -> usize {
        self.timestamps.len()
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds::of(&self.timestamps, &self.ingested)
    }
}

/// How many rows, and their smallest and largest times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) rows: u64,
    /// Over all rows; [`NO_TIME`] when a row has none.
    pub(crate) timestamp: (i64, i64),
    /// Over rows that have one; ([`NO_TIME`], [`NO_TIME`]) when none has.
    pub(crate) ingested: (i64, i64),
    /// Rows without `event.ingested`.
    pub(crate) not_ingested: u64,
}

impl Bounds {
    fn of(timestamps: &[i64], ingested: &[i64]) -> Self {
        let known = || ingested.iter().copied().filter(|ms| *ms != NO_TIME);
        Self {
            rows: timestamps.len() as u64,
            timestamp: (
                timestamps.first().copied().unwrap_or(NO_TIME),
                timestamps.last().copied().unwrap_or(NO_TIME),
            ),
            ingested: (known().min().unwrap_or(NO_TIME), known().max().unwrap_or(NO_TIME)),
            not_ingested: (ingested.len() - known().count()) as u64,
        }
    }

    /// The bounds of two runs of rows together.
    pub(crate) fn join(self, other: Self) -> Self {
        let ingested = match (self.ingested.0 == NO_TIME, other.ingested.0 == NO_TIME) {
            (true, _) => other.ingested,
            (_, true) => self.ingested,
            _ => (self.ingested.0.min(other.ingested.0), self.ingested.1.max(other.ingested.1)),
        };
        Self {
            rows: self.rows + other.rows,
            timestamp: (self.timestamp.0.min(other.timestamp.0), self.timestamp.1.max(other.timestamp.1)),
            ingested,
            not_ingested: self.not_ingested + other.not_ingested,
        }
    }
}

impl Coded {
    /// Whether every value is the row's time written in `form`, so that it need not be stored.
    pub(crate) fn rebuilt(&self, form: super::instant::Form, times: &[i64]) -> bool {
        if self.offsets.is_some() {
            return false;
        }
        // One check a distinct text; then a row's time must be that text's time, which holds for
        // every row because times are read from these very texts.
        let mut used = vec![false; self.values.len()];
        for (code, time) in self.codes.iter().zip(times) {
            match used.get_mut(*code as usize) {
                Some(seen) if !*seen => {
                    *seen = true;
                    if super::instant::Form::of(self.values.get(*code as usize), *time) != Some(form) {
                        return false;
                    }
                }
                _ => {}
            }
        }
        true
    }
}

impl Coded {
    /// The codes of one row.
    pub(crate) fn row(&self, row: usize) -> &[u32] {
        match &self.offsets {
            None => match self.codes.get(row) {
                Some(&code) if code != MISSING => self.codes.get(row..=row).unwrap_or(&[]),
                _ => &[],
            },
            Some(offsets) => match (offsets.get(row), offsets.get(row + 1)) {
                (Some(&a), Some(&b)) => self.codes.get(a as usize..b as usize).unwrap_or(&[]),
                _ => &[],
            },
        }
    }
}

impl Group {
    /// The rows that `keep` says yes to.
    pub(crate) fn retain(&self, keep: &[bool]) -> Self {
        let order: Vec<usize> = (0..self.rows()).filter(|row| keep.get(*row) == Some(&true)).collect();
        let times = |times: &[i64]| -> Arc<[i64]> {
            order.iter().map(|row| times.get(*row).copied().unwrap_or(NO_TIME)).collect()
        };
        let texts = |texts: &Texts| {
            let mut out = Texts::default();
            for row in &order {
                out.push(texts.get(*row));
            }
            out
        };
        let column = |coded: &Coded| -> Option<Coded> {
            let mut entries = Vec::new();
            for (new, row) in order.iter().enumerate() {
                let new = u32::try_from(new).unwrap_or(MISSING);
                entries.extend(coded.row(*row).iter().map(|code| (new, *code)));
            }
            let place: Vec<u32> = (0..u32::try_from(order.len()).unwrap_or(0)).collect();
            Coded::build(coded.values.clone(), &entries, &place, order.len(), coded.keyed)
        };
        Self {
            timestamps: times(&self.timestamps),
            ingested: times(&self.ingested),
            ids: texts(&self.ids),
            sources: texts(&self.sources),
            originals: texts(&self.originals),
            has_original: order.iter().map(|row| self.has_original.get(*row) == Some(&true)).collect(),
            columns: self
                .columns
                .iter()
                .filter_map(|(path, coded)| column(coded).map(|coded| (Arc::clone(path), coded)))
                .collect(),
        }
    }
}

/// Stored rows as they come back from a segment, sorted by time.
pub(crate) struct Piece {
    pub(crate) timestamps: Vec<i64>,
    pub(crate) ingested: Vec<i64>,
    pub(crate) ids: Texts,
    pub(crate) sources: Texts,
    pub(crate) originals: Texts,
    pub(crate) has_original: Vec<bool>,
    pub(crate) columns: Vec<(Arc<str>, Coded)>,
}

impl Rows {
    /// Adds stored rows; one whose id is here already is left out. Returns how many were added.
    pub(crate) fn extend(&mut self, piece: &Piece, keep: impl Fn(usize) -> bool) -> usize {
        let before = self.timestamps.len();
        let mut place = vec![MISSING; piece.timestamps.len()];
        for (row, slot) in place.iter_mut().enumerate() {
            if !keep(row) || !self.ids.insert(piece.ids.get(row)).1 {
                continue;
            }
            *slot = u32::try_from(self.timestamps.len()).unwrap_or(MISSING);
            self.timestamps.push(piece.timestamps.get(row).copied().unwrap_or(NO_TIME));
            self.ingested.push(piece.ingested.get(row).copied().unwrap_or(NO_TIME));
            self.sources.push(piece.sources.get(row));
            self.originals.push(piece.originals.get(row));
            self.has_original.push(piece.has_original.get(row) == Some(&true));
        }
        for (path, coded) in &piece.columns {
            let at = self.column(path);
            let Some(column) = self.columns.get_mut(at as usize) else { continue };
            column.keyed |= coded.keyed;
            let mut codes = vec![MISSING; coded.values.len()];
            for (row, new) in place.iter().enumerate().filter(|(_, new)| **new != MISSING) {
                for code in coded.row(row) {
                    let Some(known) = codes.get_mut(*code as usize) else { continue };
                    if *known == MISSING {
                        *known = column.values.insert(coded.values.get(*code as usize)).0;
                    }
                    column.entries.push((*new, *known));
                }
            }
        }
        self.timestamps.len() - before
    }
}
