//! Sets of rows as bitmaps.

#![expect(clippy::indexing_slicing, reason = "words are allocated for `rows` and every row is below it")]

/// A set of rows below a fixed number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bitmap {
    words: Vec<u64>,
    rows: u32,
}

impl Bitmap {
    /// No row.
    pub(super) fn empty(rows: u32) -> Self {
        Self { words: vec![0; (rows as usize).div_ceil(64)], rows }
    }

    /// Every row.
    pub(super) fn full(rows: u32) -> Self {
        let mut out = Self { words: vec![u64::MAX; (rows as usize).div_ceil(64)], rows };
        out.clear_tail();
        out
    }

    /// Adds rows.
    pub(super) fn insert_all(&mut self, rows: &[u32]) {
        for row in rows {
            self.words[*row as usize / 64] |= 1 << (row % 64);
        }
    }

    /// Keeps the rows that are in `other` as well.
    pub(super) fn and(&mut self, other: &Self) {
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a &= b;
        }
    }

    /// Removes the rows that are in `other`.
    pub(super) fn and_not(&mut self, other: &Self) {
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a &= !b;
        }
    }

    /// Adds the rows that are in `other`.
    pub(super) fn or(&mut self, other: &Self) {
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a |= b;
        }
    }

    /// The rows that are not in the set.
    pub(super) fn negate(&mut self) {
        for word in &mut self.words {
            *word = !*word;
        }
        self.clear_tail();
    }

    fn clear_tail(&mut self) {
        let used = self.rows % 64;
        if used != 0
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << used) - 1;
        }
    }

    /// The rows, ascending, that satisfy `keep`.
    pub(super) fn filter(&self, mut keep: impl FnMut(u32) -> bool) -> Vec<u32> {
        let mut out = Vec::new();
        let mut base = 0u32;
        for word in &self.words {
            let mut rest = *word;
            while rest != 0 {
                let row = base + rest.trailing_zeros();
                if keep(row) {
                    out.push(row);
                }
                rest &= rest - 1;
            }
            base = base.saturating_add(64);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::Bitmap;

    #[test]
    fn complement_stays_within_the_rows() {
        for rows in [0, 1, 63, 64, 65, 130] {
            let mut set = Bitmap::empty(rows);
            set.negate();
            assert_eq!(set.filter(|_| true).len(), rows as usize);
            assert_eq!(set, Bitmap::full(rows));
        }
    }
}
