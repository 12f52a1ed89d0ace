//! From the text of a literal to its value: quotes, escapes, wildcards, typed words.

use std::sync::Arc;

use super::ast::{Term, TermKind};
use crate::base::span::Span;
use crate::query::plan::{Pattern, Piece};

/// Characters that an unquoted literal must escape.
pub(super) fn is_special(c: char) -> bool {
    matches!(c, '\\' | '(' | ')' | ':' | '<' | '>' | '"' | '*' | '{' | '}')
}

/// KQL's whitespace.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{a0}')
}

/// What JavaScript's `trim` removes; Kibana trims unquoted literals with it.
fn is_trimmed(c: char) -> bool {
    c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}')
}

/// The value of the literal `raw`, which stands at `start` and has the shape the grammar gives it.
pub(super) fn term(raw: &str, start: usize) -> Term {
    if let Some(inner) = raw.strip_prefix('"') {
        let inner = inner.strip_suffix('"').unwrap_or(inner);
        let kind = TermKind::Text { value: unquote(inner), quoted: true };
        return Term::new(kind, Span::new(start, start + raw.len()));
    }
    let lead = raw.len() - raw.trim_start_matches(is_space).len();
    let span = Span::new(start + lead, start + raw.trim_end_matches(is_space).len().max(lead));
    let pieces = unescape(raw);
    let kind = match pieces.as_slice() {
        [] => TermKind::Text { value: Arc::from(""), quoted: false },
        [Piece::Literal(text)] => match &**text {
            "null" => TermKind::Null,
            "true" => TermKind::Bool(true),
            "false" => TermKind::Bool(false),
            _ => TermKind::Text { value: text.clone(), quoted: false },
        },
        _ => TermKind::Wildcard(Pattern(pieces)),
    };
    Term::new(kind, span)
}

/// Text being put together from characters and `\uXXXX`, which names UTF-16 units: two of them may
/// make one character. A unit without its partner becomes U+FFFD.
#[derive(Default)]
struct Units(Vec<u16>);

impl Units {
    fn push(&mut self, c: char) {
        self.0.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }

    fn take(&mut self) -> String {
        String::from_utf16_lossy(&std::mem::take(&mut self.0))
    }
}

/// `uXXXX` at the start of `rest`.
fn unicode(rest: &str) -> Option<u16> {
    let digits = rest.strip_prefix('u')?.get(..4)?;
    if digits.bytes().all(|b| b.is_ascii_hexdigit()) { u16::from_str_radix(digits, 16).ok() } else { None }
}

fn control(c: char) -> Option<char> {
    match c {
        't' => Some('\t'),
        'r' => Some('\r'),
        'n' => Some('\n'),
        _ => None,
    }
}

fn unquote(inner: &str) -> Arc<str> {
    let mut units = Units::default();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let rest = chars.as_str();
        match (c, rest.chars().next()) {
            ('\\', Some(next)) => {
                if let Some(plain) = control(next) {
                    units.push(plain);
                    chars.next();
                } else if let Some(unit) = unicode(rest) {
                    units.0.push(unit);
                    chars.nth(4);
                } else if matches!(next, '\\' | '"') {
                    units.push(next);
                    chars.next();
                } else {
                    units.push(c);
                }
            }
            _ => units.push(c),
        }
    }
    units.take().into()
}

/// `not` at the start of `rest`, where it could be read as the keyword: before a space or at the end.
fn escaped_not(rest: &str) -> bool {
    rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("not"))
        && rest.get(3..).is_some_and(|after| after.chars().next().is_none_or(is_space))
}

fn unescape(raw: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut units = Units::default();
    let flush = |units: &mut Units, pieces: &mut Vec<Piece>| {
        let text = units.take();
        if !text.is_empty() {
            pieces.push(Piece::Literal(text.into()));
        }
    };
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        let rest = chars.as_str();
        match (c, rest.chars().next()) {
            ('*', _) => {
                flush(&mut units, &mut pieces);
                pieces.push(Piece::Any);
            }
            // `\not` begins with `\n`: Kibana reads a line feed and `ot`. Where only the keyword
            // can be meant, it is the keyword.
            ('\\', Some(_)) if escaped_not(rest) => {}
            ('\\', Some(next)) => {
                if let Some(plain) = control(next) {
                    units.push(plain);
                    chars.next();
                } else if let Some(unit) = unicode(rest) {
                    units.0.push(unit);
                    chars.nth(4);
                } else if is_special(next) {
                    units.push(next);
                    chars.next();
                }
                // Otherwise an escaped keyword: only the backslash goes.
            }
            _ => units.push(c),
        }
    }
    flush(&mut units, &mut pieces);
    trim(&mut pieces);
    pieces
}

fn trim(pieces: &mut Vec<Piece>) {
    if let Some(Piece::Literal(text)) = pieces.first_mut() {
        *text = Arc::from(text.trim_start_matches(is_trimmed));
    }
    if let Some(Piece::Literal(text)) = pieces.last_mut() {
        *text = Arc::from(text.trim_end_matches(is_trimmed));
    }
    pieces.retain(|piece| !matches!(piece, Piece::Literal(text) if text.is_empty()));
}
