//! A value that is one of many.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustc_hash::FxHashSet;

use super::analysis::tokens;
use super::leaf::{LeafTest, is, mismatch};
use super::test::Test;
use crate::base::diagnostic::Diagnostic;
use crate::ecs::mapping::Field;
use crate::ecs::types::FieldType;
use crate::ecs::value::number::{self, Number};
use crate::query::plan::Case;
use crate::query::plan::values::{TextSet, ValueSet};

/// Up to so many texts are put beside the exact terms of a column, so that a batch without any of
/// them is skipped; more are asked of each value instead.
const EXACT: usize = 256;

/// Compiles `values` for a field of type `kind`.
pub(super) fn one_of(
    values: &Arc<ValueSet>,
    field: &Field,
    kind: FieldType,
    now: DateTime<Utc>,
) -> Result<LeafTest, Diagnostic> {
    let keyword = kind.is_keyword_like() || kind == FieldType::Version;
    if values.as_words().is_some() {
        let readable = keyword || kind.is_text() || kind == FieldType::Ip;
        return Ok(LeafTest::of(if readable { Test::Words(Arc::clone(values)) } else { Test::Never }));
    }
    let Some(texts) = values.as_texts() else {
        let readable = keyword || kind.is_text() || kind == FieldType::Ip;
        let test = if readable { Test::Addresses(Arc::clone(values)) } else { Test::Never };
        return Ok(LeafTest::of(test));
    };
    if texts.is_empty() {
        return Ok(LeafTest::never());
    }
    let test = match kind {
        _ if keyword && field.lowercase => Test::OneOfFolded(Arc::clone(values)),
        _ if keyword => {
            let test = LeafTest::of(Test::OneOf(Arc::clone(values)));
            let few = texts.len() <= EXACT;
            return Ok(if few { test.exactly(texts.iter().map(Box::from).collect()) } else { test });
        }
        FieldType::Ip => match values.read_addresses() {
            Ok(_) => Test::Addresses(Arc::clone(values)),
            Err(text) => return Err(mismatch(text, field, kind, "an address or a network")),
        },
        kind if kind.is_text() => words(texts),
        kind if kind.is_integer() => {
            let mut wanted = FxHashSet::default();
            for text in texts.iter() {
                match number::parse(text).ok_or_else(|| mismatch(text, field, kind, "a number"))? {
                    Number::Whole(value) => {
                        wanted.insert(value);
                    }
                    // No whole number has a fraction.
                    Number::Float(_) => {}
                }
            }
            Test::WholeOneOf(kind, wanted)
        }
        kind => {
            let each = |text: &str| is(&Arc::from(text), true, Case::Field, field, kind, now);
            let tests: Result<Vec<Test>, Diagnostic> =
                texts.iter().map(|text| each(text).map(LeafTest::into_test)).collect();
            Test::AnyOf(tests?)
        }
    };
    Ok(LeafTest::of(test))
}

/// Texts on an analysed field: those of one word in a set, the others as phrases.
fn words(texts: &TextSet) -> Test {
    let mut single = TextSet::default();
    let mut phrases = Vec::new();
    for text in texts.iter() {
        let words = tokens(text);
        match words.as_slice() {
            [] => {}
            // A set that is full keeps the rest as phrases.
            [word] if single.insert(word).is_ok() => {}
            _ => phrases.push(words),
        }
    }
    if single.is_empty() && phrases.is_empty() { Test::Never } else { Test::TokenOneOf(single, phrases) }
}
