//! From the text of a token to its value: escapes and wildcards.

use std::sync::Arc;

use crate::query::plan::{Pattern, Piece};

/// Characters that a term must escape.
pub(super) fn is_special(c: char) -> bool {
    matches!(
        c,
        '+' | '-' | '!' | '(' | ')' | ':' | '^' | '[' | ']' | '"' | '{' | '}' | '~' | '*' | '?' | '\\' | '/'
    )
}

/// Space between tokens.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{3000}')
}

/// Characters one after another, each with whether it was escaped. `\uXXXX` is one; two of them
/// that name the halves of a character are that character.
fn characters(raw: &str) -> Vec<(char, bool)> {
    let mut out = Vec::with_capacity(raw.len());
    let mut high: Option<u16> = None;
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        let rest = chars.as_str();
        let unit = if c == '\\' { unicode(rest) } else { None };
        if let Some(unit) = unit {
            chars.nth(4);
            let pair = high.take().and_then(|high| {
                char::decode_utf16([high, unit])
                    .next()
                    .and_then(Result::ok)
                    .filter(|c| u32::from(*c) > 0xffff)
            });
            match (pair, char::from_u32(u32::from(unit))) {
                (Some(c), _) | (None, Some(c)) => out.push((c, true)),
                (None, None) if (0xd800..0xdc00).contains(&unit) => high = Some(unit),
                (None, None) => out.push((char::REPLACEMENT_CHARACTER, true)),
            }
            continue;
        }
        if high.take().is_some() {
            out.push((char::REPLACEMENT_CHARACTER, true));
        }
        match c {
            '\\' => out.extend(chars.next().map(|escaped| (escaped, true))),
            plain => out.push((plain, false)),
        }
    }
    if high.is_some() {
        out.push((char::REPLACEMENT_CHARACTER, true));
    }
    out
}

/// `uXXXX` at the start of `rest`.
fn unicode(rest: &str) -> Option<u16> {
    let digits = rest.strip_prefix('u')?.get(..4)?;
    if digits.bytes().all(|b| b.is_ascii_hexdigit()) { u16::from_str_radix(digits, 16).ok() } else { None }
}

/// The text without its escapes.
pub(super) fn text(raw: &str) -> Arc<str> {
    characters(raw).into_iter().map(|(c, _)| c).collect::<String>().into()
}

/// The text in quotes without its escapes.
pub(super) fn quoted(raw: &str) -> Option<Arc<str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    Some(text(inner))
}

/// The term with its wildcards; neighbouring characters are one piece.
pub(super) fn pattern(raw: &str) -> Pattern {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let flush = |literal: &mut String, pieces: &mut Vec<Piece>| {
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(literal).into()));
        }
    };
    for (c, escaped) in characters(raw) {
        match (c, escaped) {
            ('*', false) => {
                flush(&mut literal, &mut pieces);
                pieces.push(Piece::Any);
            }
            ('?', false) => {
                flush(&mut literal, &mut pieces);
                pieces.push(Piece::One);
            }
            _ => literal.push(c),
        }
    }
    flush(&mut literal, &mut pieces);
    Pattern(pieces)
}
