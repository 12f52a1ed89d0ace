//! Value lists: a value a line.

use std::path::Path;
use std::sync::Arc;

use crate::base::diagnostic::Diagnostic;
use crate::ecs::value::{boolean, date, number};
use crate::query::plan::values::{AddressSetBuilder, TextSet, ValueSet, range_of};
use crate::rule::codes;

/// How the lines of a value list are read: Elasticsearch's field types, as far as single values
/// can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListType {
    /// Exact texts.
    Keyword,
    /// Texts, looked for by their words.
    Text,
    /// Addresses.
    Ip,
    /// Networks (`10.0.0.0/8`), ranges (`10.0.0.1-10.0.0.9`) and addresses.
    IpRange,
    /// Numbers of any kind.
    Number,
    /// Ranges of numbers (`1-5`), both ends included.
    NumberRange,
    /// Dates.
    Date,
    /// `true` or `false`.
    Boolean,
}

/// Most lines of one list that are complained about one by one.
const SAID: usize = 20;

impl ListType {
    /// The type of this name; `None` for types whose values cannot be compared one by one.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "keyword" => Self::Keyword,
            "text" => Self::Text,
            "ip" => Self::Ip,
            "ip_range" => Self::IpRange,
            "byte" | "short" | "integer" | "long" | "half_float" | "float" | "double" => Self::Number,
            "integer_range" | "long_range" | "float_range" | "double_range" => Self::NumberRange,
            "date" | "date_nanos" => Self::Date,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Keyword | Self::Text => "a text",
            Self::Ip => "an address",
            Self::IpRange => "a network, a range of addresses or an address",
            Self::Number => "a number",
            Self::NumberRange => "a range of numbers",
            Self::Date => "a date",
            Self::Boolean => "`true` or `false`",
        }
    }
}

/// The ends of `1-5`, `-5--1` or `1.5-2`; a number alone is both.
pub(super) fn ends(text: &str) -> Option<(&str, &str)> {
    if number::parse(text).is_some() {
        return Some((text, text));
    }
    text.match_indices('-').filter(|(at, _)| *at > 0).find_map(|(at, _)| {
        let (low, high) = (text.get(..at)?.trim(), text.get(at + 1..)?.trim());
        let order = number::parse(low)?.as_f64() <= number::parse(high)?.as_f64();
        order.then_some((low, high))
    })
}

/// Reads the lines of the list at `path`; empty ones are skipped. What is wrong with a line goes to
/// `said` with its number, and the line is left out.
///
/// # Errors
/// More values than a list can hold.
pub fn read(
    text: &str,
    kind: ListType,
    path: &Path,
    said: &mut Vec<Diagnostic>,
) -> Result<Arc<ValueSet>, String> {
    let mut texts = TextSet::default();
    let mut addresses = AddressSetBuilder::default();
    let mut bad = 0_usize;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let fits = match kind {
            ListType::Keyword | ListType::Text => true,
            ListType::Ip | ListType::IpRange => match range_of(line) {
                Some((first, last)) => {
                    addresses.insert(first, last);
                    continue;
                }
                None => false,
            },
            ListType::Number => number::parse(line).is_some(),
            ListType::NumberRange => ends(line).is_some(),
            ListType::Date => date::parse(line, None).is_some(),
            ListType::Boolean => boolean(line).is_some(),
        };
        if fits {
            texts.insert(line).map_err(|error| error.to_string())?;
            continue;
        }
        bad += 1;
        if bad <= SAID {
            let shown: String = line.chars().take(64).collect();
            let mut found = Diagnostic::error(
                codes::BAD_VALUE_LIST,
                format!("`{shown}` is not {}: left out of the value list", kind.wanted()),
            )
            .with_path(path);
            found.line = Some(number + 1);
            found.column = Some(1);
            said.push(found);
        }
    }
    if bad > SAID {
        let message = format!("{} more lines are not {}", bad - SAID, kind.wanted());
        said.push(Diagnostic::error(codes::BAD_VALUE_LIST, message).with_path(path));
    }
    Ok(Arc::new(match kind {
        ListType::Ip | ListType::IpRange => ValueSet::addresses(addresses.finish()),
        ListType::Text => ValueSet::words(texts),
        _ => ValueSet::texts(texts),
    }))
}
