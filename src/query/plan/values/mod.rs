//! [`ValueSet`]: many values that a field is compared with at once.
//!
//! What it is: texts behind a hash table, by whole or by word, or addresses in sorted tables; built once and shared by
//! every filter, kernel and matcher that uses it.
//! What it is not: typed; what a text means on a field is decided when a filter is compiled.
//! Invariant: sets with equal values in equal order are equal, and cheap to compare and to hash.

mod addresses;
mod texts;
mod words;

use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

pub use addresses::{AddressSet, AddressSetBuilder, range_of};
pub use texts::{TextSet, TooLarge};
use words::WordIndex;

use crate::ecs::value::ip;

/// Many values of one field.
#[derive(Debug)]
pub struct ValueSet {
    content: Content,
    digest: [u8; 16],
    folded: OnceLock<TextSet>,
    addresses: OnceLock<Result<AddressSet, Box<str>>>,
    words: OnceLock<WordIndex>,
}

#[derive(Debug)]
enum Content {
    Texts(TextSet),
    Addresses(AddressSet),
    Words(TextSet),
}

impl ValueSet {
    /// A set of texts, each of which is read by the type of the field it is compared with.
    pub fn texts(texts: TextSet) -> Self {
        let mut hasher = Sha256::new();
        for text in texts.iter() {
            hasher.update(text.len().to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Self::new(Content::Texts(texts), hasher)
    }

    /// A set of addresses; values are read as addresses whatever the field's type is.
    pub fn addresses(addresses: AddressSet) -> Self {
        let mut hasher = Sha256::new_with_prefix(b"addresses");
        for (first, last) in addresses.iter() {
            hasher.update(first.to_le_bytes());
            hasher.update(last.to_le_bytes());
        }
        Self::new(Content::Addresses(addresses), hasher)
    }

    /// A set of texts that a value is looked for in by its words, as Kibana's lists of type `text`
    /// are: a value is in the set when some text has all of its words, in whatever order.
    pub fn words(texts: TextSet) -> Self {
        let mut hasher = Sha256::new_with_prefix(b"words");
        for text in texts.iter() {
            hasher.update(text.len().to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Self::new(Content::Words(texts), hasher)
    }

    /// A set of texts from an iterator.
    ///
    /// # Errors
    /// More text than a set can hold.
    pub fn of<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, TooLarge> {
        let mut set = TextSet::default();
        for text in texts {
            set.insert(text.as_ref())?;
        }
        Ok(Self::texts(set))
    }

    fn new(content: Content, hasher: Sha256) -> Self {
        let hash: [u8; 32] = hasher.finalize().into();
        let mut digest = [0; 16];
        for (to, from) in digest.iter_mut().zip(hash) {
            *to = from;
        }
        Self { content, digest, folded: OnceLock::new(), addresses: OnceLock::new(), words: OnceLock::new() }
    }

    /// Its texts, unless it is a set of addresses.
    pub fn as_texts(&self) -> Option<&TextSet> {
        match &self.content {
            Content::Texts(texts) => Some(texts),
            Content::Addresses(_) | Content::Words(_) => None,
        }
    }

    /// Its addresses, unless it is a set of texts.
    pub fn as_addresses(&self) -> Option<&AddressSet> {
        match &self.content {
            Content::Texts(_) | Content::Words(_) => None,
            Content::Addresses(addresses) => Some(addresses),
        }
    }

    /// Its values as addresses and networks, read once.
    ///
    /// # Errors
    /// The first text that is neither.
    pub fn read_addresses(&self) -> Result<&AddressSet, &str> {
        let texts = match &self.content {
            Content::Addresses(addresses) => return Ok(addresses),
            Content::Texts(texts) | Content::Words(texts) => texts,
        };
        let read = self.addresses.get_or_init(|| {
            let mut builder = AddressSetBuilder::default();
            for text in texts.iter() {
                let (first, last) = match ip::parse(text) {
                    Some(address) => (address, address),
                    None => ip::network(text).ok_or(text)?,
                };
                builder.insert(first, last);
            }
            Ok(builder.finish())
        });
        read.as_ref().map_err(|text| &**text)
    }

    /// Its texts as `fold` has them, computed once; `fold` must always be the same function.
    pub fn folded(&self, fold: impl Fn(&str) -> String) -> Option<&TextSet> {
        let texts = self.as_texts()?;
        Some(self.folded.get_or_init(|| {
            let mut folded = TextSet::default();
            for text in texts.iter() {
                // Folding makes no text longer than three times itself; a set that is full stays so.
                if folded.insert(&fold(text)).is_err() {
                    break;
                }
            }
            folded
        }))
    }

    /// Its texts, when values are looked for in them by their words.
    pub fn as_words(&self) -> Option<&TextSet> {
        match &self.content {
            Content::Words(texts) => Some(texts),
            Content::Texts(_) | Content::Addresses(_) => None,
        }
    }

    /// Whether one of its texts ([`Self::as_words`]) has all of `words`; `words_of` cuts a text and
    /// must always be the same function.
    pub fn has_words(&self, words: &[String], words_of: impl Fn(&str) -> Vec<String>) -> bool {
        let Some(texts) = self.as_words() else { return false };
        self.words.get_or_init(|| WordIndex::new(texts, words_of)).holds(words)
    }

    /// Number of values (of addresses: of separate ranges).
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Texts(texts) | Content::Words(texts) => texts.len(),
            Content::Addresses(addresses) => addresses.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Approximate size in memory, bytes.
    pub fn size(&self) -> usize {
        let own = match &self.content {
            Content::Texts(texts) | Content::Words(texts) => texts.size(),
            Content::Addresses(addresses) => addresses.size(),
        };
        let read = self.addresses.get().and_then(|read| read.as_ref().ok()).map_or(0, AddressSet::size);
        let words = self.words.get().map_or(0, WordIndex::size);
        own + read + words + self.folded.get().map_or(0, TextSet::size)
    }
}

impl PartialEq for ValueSet {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for ValueSet {}

impl Hash for ValueSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

/// A set as it is written: texts, or the first and last addresses of ranges.
#[derive(Serialize, Deserialize)]
enum Written {
    Texts(Vec<Arc<str>>),
    Words(Vec<Arc<str>>),
    Ranges(Vec<([u8; 16], [u8; 16])>),
}

impl Serialize for ValueSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match &self.content {
            Content::Texts(texts) => Written::Texts(texts.iter().map(Arc::from).collect()),
            Content::Words(texts) => Written::Words(texts.iter().map(Arc::from).collect()),
            Content::Addresses(addresses) => {
                Written::Ranges(addresses.iter().map(|(a, b)| (a.to_be_bytes(), b.to_be_bytes())).collect())
            }
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ValueSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Texts(texts) => Self::of(texts).map_err(D::Error::custom),
            Written::Words(texts) => {
                let mut set = TextSet::default();
                for text in texts {
                    set.insert(&text).map_err(D::Error::custom)?;
                }
                Ok(Self::words(set))
            }
            Written::Ranges(ranges) => {
                let mut builder = AddressSetBuilder::default();
                for (first, last) in ranges {
                    builder.insert(u128::from_be_bytes(first), u128::from_be_bytes(last));
                }
                Ok(Self::addresses(builder.finish()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sets_are_equal_by_content_and_survive_writing() {
        let texts = ValueSet::of(["b", "a", "b"]).expect("small");
        assert_eq!(texts.len(), 2);
        assert_eq!(texts, ValueSet::of(["b", "a"]).expect("small"));
        assert_ne!(texts, ValueSet::of(["ba"]).expect("small"));
        let mut builder = AddressSetBuilder::default();
        for text in ["10.0.0.0/8", "1.2.3.4-1.2.3.9", "2001:db8::/32", "1.2.3.10"] {
            let (first, last) = range_of(text).expect("a range");
            builder.insert(first, last);
        }
        let addresses = ValueSet::addresses(builder.finish());
        assert_eq!(addresses.len(), 3, "neighbours are one range");
        let mut words = TextSet::default();
        words.insert("b").expect("small");
        words.insert("a").expect("small");
        let words = ValueSet::words(words);
        assert_ne!(words, texts, "they are asked in other ways");
        for set in [texts, addresses, words] {
            let written = rmp_serde::to_vec(&set).expect("written");
            assert_eq!(rmp_serde::from_slice::<ValueSet>(&written).expect("read"), set);
        }
        let mixed = ValueSet::of(["1.2.3.4", "x"]).expect("small");
        assert_eq!(mixed.read_addresses().err(), Some("x"));
    }

    proptest! {
        #[test]
        fn addresses_are_found_as_by_looking_at_each_range(
            ranges in prop::collection::vec((0u32..300, 0u32..20, any::<bool>()), 0..30),
            asked in prop::collection::vec((0u32..320, any::<bool>()), 0..40),
        ) {
            // Around both ends of the block in which IPv4 lies.
            let place = |n: u32, above: bool| {
                let base: u128 = if above { 0xffff_ffff_ffff } else { 0xffff_0000_0000 };
                base - 150 + u128::from(n)
            };
            let mut builder = AddressSetBuilder::default();
            for (start, length, above) in &ranges {
                builder.insert(place(*start, *above), place(*start, *above) + u128::from(*length));
            }
            let set = builder.finish();
            for (n, above) in asked {
                let at = place(n, above);
                let expected = ranges.iter().any(|(start, length, above)| {
                    (place(*start, *above)..=place(*start, *above) + u128::from(*length)).contains(&at)
                });
                prop_assert_eq!(set.contains(at), expected);
            }
        }
    }
}
