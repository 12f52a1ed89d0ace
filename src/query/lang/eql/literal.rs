//! Texts, names, numbers and spans of time as they are written.

use std::sync::Arc;

use super::ast::Literal;
use super::error::error;
use crate::base::diagnostic::Diagnostic;
use crate::base::span::Span;

/// The content of a text in one pair of double quotes; `at` is where it stands in `source`.
pub(super) fn text(token: &str, source: &str, at: usize) -> Result<Arc<str>, Diagnostic> {
    let inner = token.get(1..token.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains('\\') {
        return Ok(Arc::from(inner));
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(c) = rest.chars().next() {
        let here = at + 1 + (inner.len() - rest.len());
        let mut after = rest.get(c.len_utf8()..).unwrap_or_default();
        if c == '\\' {
            let escaped = after.chars().next().unwrap_or('\\');
            after = after.get(escaped.len_utf8()..).unwrap_or_default();
            match escaped {
                'b' => out.push('\u{8}'),
                't' => out.push('\t'),
                'n' => out.push('\n'),
                'f' => out.push('\u{c}'),
                'r' => out.push('\r'),
                '"' | '\'' | '\\' => out.push(escaped),
                'u' => {
                    let (c, length) = unicode(after).ok_or_else(|| {
                        let help = "write two to eight hexadecimal digits in braces, `\\u{200f}`";
                        error("EQL005", "no character", source, Span::new(here, here + 2), Some(help))
                    })?;
                    out.push(c);
                    after = after.get(length..).unwrap_or_default();
                }
                other => {
                    let help = "write `\\\\` for a backslash, or the text in `\"\"\"`, where it is none";
                    let message = format!("`\\{other}` is no escape");
                    let span = Span::new(here, here + 1 + other.len_utf8());
                    return Err(error("EQL005", message, source, span, Some(help)));
                }
            }
        } else {
            out.push(c);
        }
        rest = after;
    }
    Ok(out.into())
}

/// `{hex}`: the character and how long its spelling is.
fn unicode(text: &str) -> Option<(char, usize)> {
    let digits = text.strip_prefix('{')?.split_once('}')?.0;
    if !(2..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some((char::from_u32(u32::from_str_radix(digits, 16).ok()?)?, digits.len() + 2))
}

/// The content of a text in three double quotes; one or two more may end it.
pub(super) fn raw(token: &str) -> Arc<str> {
    Arc::from(token.get(3..token.len().saturating_sub(3)).unwrap_or_default())
}

/// A name without its backquotes.
pub(super) fn name(token: &str) -> Arc<str> {
    if !token.contains('`') {
        return Arc::from(token);
    }
    let mut out = String::with_capacity(token.len());
    let mut chars = token.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        if c != '`' {
            out.push(c);
        } else if quoted && chars.next_if_eq(&'`').is_some() {
            out.push('`');
        } else {
            quoted = !quoted;
        }
    }
    out.into()
}

/// A number; `None` when it is too large to be one.
pub(super) fn number(token: &str) -> Option<Literal> {
    if token.bytes().all(|b| b.is_ascii_digit()) {
        return token.parse().ok().map(Literal::Whole);
    }
    token.parse().ok().filter(|float: &f64| float.is_finite()).map(Literal::Float)
}

/// Units of time, longest first, with their milliseconds.
pub(super) const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A span of time in milliseconds.
pub(super) fn duration(number: &str, unit: &str) -> Option<u64> {
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor).filter(|ms| i64::try_from(*ms).is_ok())
}
