//! Many texts in one buffer behind a hash table: about ten bytes a text beside the text itself.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

/// More text than a set can hold: 4 GiB, or four thousand million texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a set of values holds at most 4 GiB of text")]
pub struct TooLarge;

/// A set of texts that keeps the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct TextSet {
    text: String,
    /// Where each text ends; it starts where the one before ends.
    ends: Vec<u32>,
    /// Numbers of texts by hash.
    table: HashTable<u32>,
}

impl TextSet {
    /// Adds a text; whether it is new.
    ///
    /// # Errors
    /// When the set is full.
    pub fn insert(&mut self, text: &str) -> Result<bool, TooLarge> {
        let hash = FxBuildHasher.hash_one(text);
        let Self { text: all, ends, table } = self;
        if table.find(hash, |number| slice(all, ends, *number) == text).is_some() {
            return Ok(false);
        }
        let end = u32::try_from(all.len() + text.len()).map_err(|_| TooLarge)?;
        let number = u32::try_from(ends.len()).map_err(|_| TooLarge)?;
        all.push_str(text);
        ends.push(end);
        table.insert_unique(hash, number, |number| FxBuildHasher.hash_one(slice(all, ends, *number)));
        Ok(true)
    }

    /// The number of `text`, counted from 0 in the order in which the texts came.
    pub fn position(&self, text: &str) -> Option<u32> {
        let hash = FxBuildHasher.hash_one(text);
        self.table.find(hash, |number| slice(&self.text, &self.ends, *number) == text).copied()
    }

    /// Whether `text` is in the set.
    pub fn contains(&self, text: &str) -> bool {
        self.position(text).is_some()
    }

    /// The texts, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..u32::try_from(self.ends.len()).unwrap_or(u32::MAX))
            .map(|number| slice(&self.text, &self.ends, number))
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Approximate size in memory, bytes.
    pub fn size(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 4 + self.table.allocation_size()
    }
}

fn slice<'t>(text: &'t str, ends: &[u32], number: u32) -> &'t str {
    let number = number as usize;
    let start = number.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |end| *end as usize);
    ends.get(number).and_then(|end| text.get(start..*end as usize)).unwrap_or_default()
}
