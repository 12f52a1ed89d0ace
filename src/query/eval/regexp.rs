//! Regular expressions on the values of a field.

use regex::RegexBuilder;

use super::leaf::LeafTest;
use super::test::Test;
use super::wildcard::fold;
use crate::base::diagnostic::Diagnostic;
use crate::base::limits::{QUERY_NESTING, REGEXP_BYTES};
use crate::ecs::mapping::Field;
use crate::ecs::types::FieldType;
use crate::query::plan::Case;
use crate::query::plan::regexp::translate;

/// Compiles `pattern`, which is in Lucene's syntax, for a field of type `kind`.
pub(super) fn regexp(
    pattern: &str,
    case: Case,
    field: &Field,
    kind: FieldType,
) -> Result<LeafTest, Diagnostic> {
    let text = kind.is_text();
    if matches!(kind, FieldType::Object | FieldType::Nested | FieldType::Other) {
        return Ok(LeafTest::never());
    }
    if !text && !kind.is_keyword_like() && kind != FieldType::Version {
        let message = format!(
            "regular expressions cannot be used on `{}`, which is of type {}",
            field.path,
            kind.name()
        );
        return Err(Diagnostic::error("TYPE002", message).with_help(
            "they work on keyword, wildcard and text fields; use a range, or a network for addresses",
        ));
    }
    let translated = translate(pattern).map_err(|error| {
        let found = Diagnostic::error("TYPE007", format!("`{pattern}` cannot be run: {error}"));
        match error.help {
            Some(help) => found.with_help(help),
            None => found,
        }
    })?;
    let folded = case == Case::Insensitive;
    let regex = RegexBuilder::new(&translated.pattern)
        .case_insensitive(folded)
        .size_limit(REGEXP_BYTES)
        .dfa_size_limit(REGEXP_BYTES)
        .nest_limit(u32::try_from(4 * QUERY_NESTING).unwrap_or(u32::MAX))
        .build()
        .map_err(|_| {
            let message = format!(
                "the regular expression `{pattern}` is too large once its repetitions are written out"
            );
            Diagnostic::error("TYPE007", message).with_help("use `*` or `+` instead of large counts")
        })?;
    let literals = if folded {
        translated.literals.iter().map(|text| fold(text).into()).collect()
    } else {
        translated.literals
    };
    // Tokens are in lower case already, so a text with other letters may still hold one that matches.
    let test = if text { Test::TokenRegexp(regex) } else { Test::Regexp(regex) };
    Ok(LeafTest::of(test).containing(if text && !folded { Vec::new() } else { literals }, folded || text))
}
