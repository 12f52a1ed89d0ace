//! The typed predicates behind a leaf test.

use std::ops::{Bound, RangeBounds};

use std::sync::Arc;

use regex::Regex;
use rustc_hash::FxHashSet;

use super::analysis::tokens;
use super::wildcard::{Wildcard, fold};
use crate::ecs::types::FieldType;
use crate::ecs::value::number::Number;
use crate::ecs::value::version::Version;
use crate::ecs::value::{boolean, date, ip, number};
use crate::query::plan::values::{TextSet, ValueSet};

/// The ends of a range.
pub(super) type Ends<T> = (Bound<T>, Bound<T>);

/// A predicate on one text.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// Nothing.
    Never,
    /// Everything the type can hold.
    Readable(Type),
    /// The whole text.
    Equal(Box<str>),
    /// The whole text is in a set.
    OneOf(Arc<ValueSet>),
    /// The whole text without case is in a set of folded texts.
    OneOfFolded(Arc<ValueSet>),
    /// A token is in a set, or the tokens hold one of several phrases.
    TokenOneOf(TextSet, Vec<Vec<String>>),
    /// Some text of a set has all tokens.
    Words(Arc<ValueSet>),
    /// An address in a set.
    Addresses(Arc<ValueSet>),
    /// One of many whole numbers.
    WholeOneOf(FieldType, FxHashSet<i128>),
    /// The whole text without case.
    EqualFolded(Box<str>),
    /// A pattern on the whole text.
    Wildcard(Wildcard),
    /// A regular expression on the whole text.
    Regexp(Regex),
    /// A regular expression on one of the tokens.
    TokenRegexp(Regex),
    /// Order of bytes.
    Between(Ends<Box<str>>),
    /// One of the tokens.
    Tokens(Vec<String>),
    /// All tokens, adjacent.
    Phrase(Vec<String>),
    /// A pattern on one of the tokens.
    TokenWildcards(Vec<Wildcard>, Vec<String>),
    /// A token in a range.
    TokenBetween(Ends<Box<str>>),
    /// Whole numbers; the ends may have fractions.
    Whole(FieldType, Ends<Number>),
    /// Floats (scaled ones in units of the scale).
    Float(FieldType, Option<u32>, Ends<f64>),
    /// Whether false and true match.
    Boolean { no: bool, yes: bool },
    /// Addresses.
    Ip(Ends<u128>),
    /// Nanoseconds since the epoch, after rounding down to the field's resolution.
    Date(Dates, Ends<date::Nanos>),
    /// Versions.
    Version(Ends<Version>),
    /// One of several, for a field whose type differs between indices.
    AnyOf(Vec<Test>),
}

/// How texts are read as a type.
#[derive(Debug, Clone)]
pub(super) enum Type {
    Text,
    Whole(FieldType),
    Float(FieldType, Option<u32>),
    Boolean,
    Ip,
    Date(Dates),
}

/// How texts are read as dates.
#[derive(Debug, Clone)]
pub(super) struct Dates {
    pub format: Option<std::sync::Arc<str>>,
    pub nanos: bool,
}

impl Dates {
    /// The instant, at the field's resolution.
    fn read(&self, text: &str) -> Option<date::Nanos> {
        let at = date::parse(text, self.format.as_deref())?;
        Some(if self.nanos { at } else { at - at.rem_euclid(1_000_000) })
    }
}

impl Type {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Whole(kind) => number::whole(text, *kind).is_some(),
            Self::Float(kind, scale) => number::float(text, *kind, *scale).is_some(),
            Self::Boolean => boolean(text).is_some(),
            Self::Ip => ip::parse(text).is_some(),
            Self::Date(dates) => dates.read(text).is_some(),
        }
    }
}

impl Test {
    pub(super) fn test(&self, text: &str) -> bool {
        match self {
            Self::Never => false,
            Self::Readable(kind) => kind.holds(text),
            Self::Equal(wanted) => **wanted == *text,
            Self::OneOf(set) => set.as_texts().is_some_and(|texts| texts.contains(text)),
            Self::OneOfFolded(set) => {
                set.folded(|text| fold(text).into_owned()).is_some_and(|texts| texts.contains(&fold(text)))
            }
            Self::TokenOneOf(words, phrases) => {
                let tokens = tokens(text);
                tokens.iter().any(|token| words.contains(token))
                    || phrases.iter().any(|phrase| tokens.windows(phrase.len()).any(|run| run == phrase))
            }
            Self::Words(set) => set.has_words(&tokens(text), tokens),
            Self::Addresses(set) => ip::parse(text)
                .is_some_and(|address| set.read_addresses().is_ok_and(|set| set.contains(address))),
            Self::WholeOneOf(kind, wanted) => {
                number::whole(text, *kind).is_some_and(|value| wanted.contains(&value))
            }
            Self::EqualFolded(wanted) => **wanted == *fold(text),
            Self::Wildcard(pattern) => pattern.matches(text),
            Self::Regexp(regex) => regex.is_match(text),
            Self::TokenRegexp(regex) => tokens(text).iter().any(|token| regex.is_match(token)),
            Self::Between(ends) => within(ends, text),
            Self::Tokens(wanted) => tokens(text).iter().any(|token| wanted.contains(token)),
            Self::Phrase(wanted) => match wanted.as_slice() {
                [] => false,
                wanted => tokens(text).windows(wanted.len()).any(|run| run == wanted),
            },
            Self::TokenWildcards(patterns, words) => tokens(text)
                .iter()
                .any(|token| words.contains(token) || patterns.iter().any(|pattern| pattern.matches(token))),
            Self::TokenBetween(ends) => tokens(text).iter().any(|token| within(ends, token)),
            Self::Whole(kind, ends) => {
                number::whole(text, *kind).is_some_and(|value| whole_within(ends, value))
            }
            Self::Float(kind, scale, ends) => {
                number::float(text, *kind, *scale).is_some_and(|value| ends.contains(&value))
            }
            Self::Boolean { no, yes } => boolean(text).is_some_and(|value| if value { *yes } else { *no }),
            Self::Ip(ends) => ip::parse(text).is_some_and(|address| ends.contains(&address)),
            Self::Date(dates, ends) => dates.read(text).is_some_and(|at| ends.contains(&at)),
            Self::Version(ends) => ends.contains(&Version::new(text)),
            Self::AnyOf(tests) => tests.iter().any(|test| test.test(text)),
        }
    }
}

/// Whether `text` lies between the ends, by bytes.
fn within(ends: &Ends<Box<str>>, text: &str) -> bool {
    let low = match &ends.0 {
        Bound::Included(low) => **low <= *text,
        Bound::Excluded(low) => **low < *text,
        Bound::Unbounded => true,
    };
    let high = match &ends.1 {
        Bound::Included(high) => *text <= **high,
        Bound::Excluded(high) => *text < **high,
        Bound::Unbounded => true,
    };
    low && high
}

/// Whether a whole number lies between ends that may have fractions; exact for all whole ends.
fn whole_within(ends: &Ends<Number>, value: i128) -> bool {
    let order = |end: &Number| match end {
        Number::Whole(end) => value.cmp(end),
        Number::Float(end) => {
            Number::Whole(value).as_f64().partial_cmp(end).unwrap_or(std::cmp::Ordering::Less)
        }
    };
    let low = match &ends.0 {
        Bound::Included(end) => order(end).is_ge(),
        Bound::Excluded(end) => order(end).is_gt(),
        Bound::Unbounded => true,
    };
    let high = match &ends.1 {
        Bound::Included(end) => order(end).is_le(),
        Bound::Excluded(end) => order(end).is_lt(),
        Bound::Unbounded => true,
    };
    low && high
}
