//! Texts that are asked for by their words: which of many texts holds all words of another.

use super::texts::TextSet;

/// The words of many texts, and for each word the numbers of the texts that have it.
#[derive(Debug, Default)]
pub(super) struct WordIndex {
    words: TextSet,
    /// By word: numbers of texts, ascending.
    holders: Vec<Vec<u32>>,
}

impl WordIndex {
    pub(super) fn new(texts: &TextSet, words_of: impl Fn(&str) -> Vec<String>) -> Self {
        let mut index = Self::default();
        for (number, text) in (0_u32..).zip(texts.iter()) {
            for word in words_of(text) {
                // The words of a set are no longer than the set itself, which has room.
                if index.words.insert(&word).is_err() {
                    continue;
                }
                let Some(place) = index.words.position(&word).map(|place| place as usize) else { continue };
                if place == index.holders.len() {
                    index.holders.push(Vec::new());
                }
                if let Some(holders) = index.holders.get_mut(place)
                    && holders.last() != Some(&number)
                {
                    holders.push(number);
                }
            }
        }
        index
    }

    /// Whether one text has all of `words`; of none: no.
    pub(super) fn holds(&self, words: &[String]) -> bool {
        let mut lists = Vec::with_capacity(words.len());
        for word in words {
            let holders = self.words.position(word).and_then(|place| self.holders.get(place as usize));
            let Some(holders) = holders else { return false };
            lists.push(holders);
        }
        // The rarest word says which texts can be meant.
        lists.sort_unstable_by_key(|list| list.len());
        let Some((rarest, others)) = lists.split_first() else { return false };
        rarest.iter().any(|text| others.iter().all(|list| list.binary_search(text).is_ok()))
    }

    pub(super) fn size(&self) -> usize {
        let lists: usize = self.holders.iter().map(|list| list.capacity() * 4).sum();
        self.words.size() + lists + self.holders.capacity() * size_of::<Vec<u32>>()
    }
}
