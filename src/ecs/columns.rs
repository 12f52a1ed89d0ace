//! Dictionary-coded columns of leaves: each distinct value is stored, and judged, once.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// Marks a row without a value in [`Column::codes`] of a single-valued column.
pub const MISSING: u32 = u32::MAX;

/// One field of a batch of documents.
///
/// A column of a `flattened` object is stored at the object's root, its entries being
/// `key\0value`.
#[derive(Debug, Clone, Default)]
pub struct Column {
    /// Distinct values, in order of first appearance.
    pub dictionary: Vec<Box<str>>,
    /// Codes into `dictionary`. Single-valued: one a row, [`MISSING`] where there is none.
    /// Multi-valued: all values of row 0, then of row 1 …
    pub codes: Vec<u32>,
    /// Multi-valued only: `offsets[row]..offsets[row + 1]` are the row's positions in `codes`;
    /// rows + 1 entries.
    pub offsets: Option<Vec<u32>>,
}

impl Column {
    /// The codes of one row, without [`MISSING`].
    pub fn row(&self, row: usize) -> &[u32] {
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

    /// The value behind `code`.
    pub fn value(&self, code: u32) -> &str {
        self.dictionary.get(code as usize).map_or("", |v| v)
    }

    /// Approximate heap size, bytes.
    pub fn size(&self) -> usize {
        self.dictionary.iter().map(|v| v.len() + 16).sum::<usize>()
            + self.codes.len() * 4
            + self.offsets.as_ref().map_or(0, |o| o.len() * 4)
    }
}

/// The columns of a batch of documents that a caller asked for.
///
/// Only columns that were asked for need be present; `paths` names all that exist.
#[derive(Debug, Clone, Default)]
pub struct ColumnSet {
    /// Number of documents.
    pub rows: usize,
    /// Loaded columns by path.
    pub columns: FxHashMap<Arc<str>, Arc<Column>>,
    /// Every path that has a value in this batch, sorted.
    pub paths: Arc<[Arc<str>]>,
}

/// Builds a [`ColumnSet`] document by document.
#[derive(Debug, Default)]
pub struct ColumnsBuilder {
    rows: usize,
    columns: FxHashMap<Arc<str>, ColumnBuilder>,
}

#[derive(Debug, Default)]
struct ColumnBuilder {
    index: FxHashMap<Box<str>, u32>,
    dictionary: Vec<Box<str>>,
    /// (row, code), rows ascending.
    entries: Vec<(u32, u32)>,
}

impl ColumnsBuilder {
    /// Starts the next document; its leaves follow by [`ColumnsBuilder::push`].
    pub fn next_row(&mut self) {
        self.rows += 1;
    }

    /// Adds one leaf to the current document.
    pub fn push(&mut self, path: &str, value: &str) {
        let row = u32::try_from(self.rows.saturating_sub(1)).unwrap_or(u32::MAX);
        let column = match self.columns.get_mut(path) {
            Some(column) => column,
            None => self.columns.entry(Arc::from(path)).or_default(),
        };
        let code = match column.index.get(value) {
            Some(code) => *code,
            None => {
                let code = u32::try_from(column.dictionary.len()).unwrap_or(MISSING - 1);
                column.dictionary.push(Box::from(value));
                column.index.insert(Box::from(value), code);
                code
            }
        };
        column.entries.push((row, code));
    }

    /// The columns of all documents so far.
    pub fn finish(self) -> ColumnSet {
        let rows = self.rows;
        let mut paths: Vec<Arc<str>> = self.columns.keys().cloned().collect();
        paths.sort();
        let columns = self.columns.into_iter().map(|(path, c)| (path, Arc::new(c.finish(rows)))).collect();
        ColumnSet { rows, columns, paths: paths.into() }
    }
}

impl ColumnBuilder {
    fn finish(self, rows: usize) -> Column {
        let single = self.entries.windows(2).all(|pair| match pair {
            [a, b] => a.0 != b.0,
            _ => true,
        });
        if single {
            let mut codes = vec![MISSING; rows];
            for (row, code) in self.entries {
                if let Some(slot) = codes.get_mut(row as usize) {
                    *slot = code;
                }
            }
            return Column { dictionary: self.dictionary, codes, offsets: None };
        }
        let mut offsets = Vec::with_capacity(rows + 1);
        let mut codes = Vec::with_capacity(self.entries.len());
        let mut entries = self.entries.into_iter().peekable();
        offsets.push(0);
        for row in 0..rows {
            while let Some((_, code)) = entries.next_if(|(r, _)| *r as usize == row) {
                codes.push(code);
            }
            offsets.push(u32::try_from(codes.len()).unwrap_or(u32::MAX));
        }
        Column { dictionary: self.dictionary, codes, offsets: Some(offsets) }
    }
}
