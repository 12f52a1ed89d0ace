//! Many texts in one allocation.

use hashbrown::hash_table::{Entry, HashTable};
use std::hash::BuildHasher;

use super::options::GROUP_TEXT;

/// From this size on a buffer is given the room of a whole segment, bytes.
const LARGE: usize = 4 * 1024 * 1024;

/// A list of texts, one after the other in one buffer.
#[derive(Debug, Default, Clone)]
pub(crate) struct Texts {
    data: String,
    ends: Vec<u32>,
}

impl Texts {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Room for one more text of `bytes` in 32-bit offsets.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.data.len().saturating_add(bytes) < i32::MAX as usize
    }

    pub(crate) fn push(&mut self, text: &str) {
        let needed = self.data.len() + text.len();
        if needed > self.data.capacity() && needed > LARGE {
            // Doubling a buffer of tens of megabytes copies it, and the system clears the new pages
            // first; untouched room costs nothing.
            self.data.reserve_exact(GROUP_TEXT - GROUP_TEXT.min(self.data.len()) + text.len());
        }
        self.data.push_str(text);
        self.ends.push(u32::try_from(self.data.len()).unwrap_or(u32::MAX));
    }

    pub(crate) fn get(&self, index: usize) -> &str {
        let end = self.ends.get(index).map_or(0, |end| *end as usize);
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before).map_or(0, |end| *end as usize),
            None => 0,
        };
        self.data.get(start..end).unwrap_or("")
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }
}

/// Distinct texts with a number each, in order of first appearance.
///
/// The hasher is seeded at random: texts come from events, which an attacker may write.
#[derive(Debug, Default, Clone)]
pub(crate) struct Dictionary {
    pub(crate) texts: Texts,
    table: HashTable<u32>,
    hasher: hashbrown::DefaultHashBuilder,
}

impl Dictionary {
    /// The number of `text`, and whether it is new.
    pub(crate) fn insert(&mut self, text: &str) -> (u32, bool) {
        let Self { texts, table, hasher } = self;
        let hash = hasher.hash_one(text);
        let entry = table.entry(
            hash,
            |&code| texts.get(code as usize) == text,
            |&code| hasher.hash_one(texts.get(code as usize)),
        );
        match entry {
            Entry::Occupied(found) => (*found.get(), false),
            Entry::Vacant(free) => {
                let code = u32::try_from(texts.len()).unwrap_or(u32::MAX - 1);
                free.insert(code);
                texts.push(text);
                (code, true)
            }
        }
    }

    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        self.table.find(hash, |&code| self.texts.get(code as usize) == text).copied()
    }
}

impl Texts {
    /// The buffer and its offsets as Arrow has them.
    pub(crate) fn parts(
        &self,
    ) -> Result<(&[u8], arrow::buffer::OffsetBuffer<i32>), arrow::error::ArrowError> {
        let mut offsets = Vec::with_capacity(self.ends.len() + 1);
        offsets.push(0_i32);
        for end in &self.ends {
            let end = i32::try_from(*end).map_err(|_| {
                arrow::error::ArrowError::InvalidArgumentError(
                    "more than 2 GiB of text in one column".to_owned(),
                )
            })?;
            offsets.push(end);
        }
        Ok((self.data.as_bytes(), arrow::buffer::OffsetBuffer::new(offsets.into())))
    }
}
