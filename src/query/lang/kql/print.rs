//! Syntax tree to text.
//!
//! `and` and `or` come back in capitals and brackets, value lists spelled out, escapes in their
//! shortest form.

use std::fmt::{self, Display, Formatter, Write};

use super::ast::{Expr, Kind, Term, TermKind};
use super::literal::{is_space, is_special};
use crate::query::plan::{Pattern, Piece};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::And(all) if all.is_empty() => f.write_str("*: *"),
            Kind::Or(all) if all.is_empty() => f.write_str("NOT *: *"),
            Kind::And(all) => joined(f, all, " AND "),
            Kind::Or(all) => joined(f, all, " OR "),
            Kind::Not(inner) if matches!(inner.kind, Kind::Not(_)) => write!(f, "NOT ({inner})"),
            Kind::Not(inner) => write!(f, "NOT {inner}"),
            Kind::Nested { path, inner } => write!(f, "{path}: {{ {inner} }}"),
            Kind::Is { field: None, value } => write!(f, "{value}"),
            Kind::Is { field: Some(field), value } => write!(f, "{field}: {value}"),
            Kind::Range { field, bounds } => match bounds.as_slice() {
                [(operator, value)] => write!(f, "{field} {} {value}", operator.symbol()),
                _ => {
                    f.write_char('(')?;
                    for (at, (operator, value)) in bounds.iter().enumerate() {
                        let and = if at == 0 { "" } else { " AND " };
                        write!(f, "{and}{field} {} {value}", operator.symbol())?;
                    }
                    f.write_char(')')
                }
            },
            Kind::Exists { field } => write!(f, "{field}: *"),
        }
    }
}

fn joined(f: &mut Formatter<'_>, all: &[Expr], word: &str) -> fmt::Result {
    f.write_char('(')?;
    for (at, expr) in all.iter().enumerate() {
        if at > 0 {
            f.write_str(word)?;
        }
        write!(f, "{expr}")?;
    }
    f.write_char(')')
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TermKind::Null | TermKind::Bool(_) | TermKind::Number(_) => f.write_str(&self.text()),
            TermKind::Text { value, quoted: true } => {
                f.write_char('"')?;
                for c in value.chars() {
                    match c {
                        '"' | '\\' => write!(f, "\\{c}")?,
                        _ => control(f, c)?,
                    }
                }
                f.write_char('"')
            }
            // Only escapes can give an empty unquoted text: space around a value is not part of it.
            TermKind::Text { value, quoted: false } if value.is_empty() => f.write_str("\\t"),
            TermKind::Text { value, quoted: false } => unquoted(f, value, true, true),
            TermKind::Wildcard(Pattern(pieces)) => {
                let last = pieces.len().saturating_sub(1);
                for (at, piece) in pieces.iter().enumerate() {
                    match piece {
                        Piece::Literal(text) => unquoted(f, text, at == 0, at == last)?,
                        Piece::Any => f.write_char('*')?,
                        Piece::One => f.write_char('?')?,
                    }
                }
                Ok(())
            }
        }
    }
}

fn control(f: &mut Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\t' => f.write_str("\\t"),
        '\r' => f.write_str("\\r"),
        '\n' => f.write_str("\\n"),
        _ => f.write_char(c),
    }
}

/// Writes `text` so that it reads back as itself; `first` and `last` say whether it is the start
/// and the end of its literal (elsewhere a `*` stands beside it).
fn unquoted(f: &mut Formatter<'_>, text: &str, first: bool, last: bool) -> fmt::Result {
    let mut before: Option<char> = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let ends = |length: usize| match rest.get(length..).and_then(|after| after.chars().next()) {
            Some(after) => is_raw_space(after),
            None => last,
        };
        let word = |word: &str| {
            rest.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word)) && ends(word.len())
        };
        let begins = before.map_or(first, is_raw_space);
        if word("not") || (begins && (word("or") || word("and"))) || is_special(c) {
            f.write_char('\\')?;
        }
        // `\n` before `ot` would read back as the keyword.
        if c == '\n' && rest.get(1..3).is_some_and(|ot| ot.eq_ignore_ascii_case("ot")) && ends(3) {
            f.write_str("\\u000a")?;
        } else {
            control(f, c)?;
        }
        before = Some(c);
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    Ok(())
}

/// Space that is printed as it is; the others are printed as escapes, which no keyword reaches over.
fn is_raw_space(c: char) -> bool {
    is_space(c) && !matches!(c, '\t' | '\r' | '\n')
}
