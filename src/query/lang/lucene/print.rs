//! Syntax tree to text: words in capitals, escapes in their shortest form, no boosts.

use std::fmt::{self, Display, Formatter, Write};

use super::ast::{Body, Clause, Conjunction, End, Expr, Field, Modifier};
use super::literal::{is_space, is_special};
use crate::query::plan::{Pattern, Piece};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, clause) in self.clauses.iter().enumerate() {
            if at > 0 {
                f.write_char(' ')?;
            }
            write!(f, "{clause}")?;
        }
        Ok(())
    }
}

impl Display for Clause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.conjunction {
            Some(Conjunction::And) => "AND ",
            Some(Conjunction::Or) => "OR ",
            None => "",
        })?;
        f.write_str(match self.modifier {
            Modifier::None => "",
            Modifier::Required => "+",
            Modifier::Prohibited => "NOT ",
        })?;
        match &self.field {
            None => {}
            Some(Field::Any) => f.write_str("*:")?,
            Some(Field::Exists) => f.write_str("_exists_:")?,
            Some(Field::Named(name)) => {
                escaped(f, name)?;
                f.write_char(':')?;
            }
        }
        write!(f, "{}", self.body)
    }
}

impl Display for Body {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(inner) => write!(f, "({inner})"),
            Self::Term(pattern) => term(f, pattern),
            Self::Fuzzy { text, edits } => {
                escaped(f, text)?;
                write!(f, "~{}", edits.as_deref().unwrap_or_default())
            }
            Self::Phrase { text, slop } => {
                quoted(f, text)?;
                slop.as_ref().map_or(Ok(()), |slop| write!(f, "~{slop}"))
            }
            Self::Regexp(expression) => write!(f, "/{}/", expression.replace('/', "\\/")),
            Self::Range { low, high } => {
                f.write_char(if low.included { '[' } else { '{' })?;
                end(f, low)?;
                f.write_str(" TO ")?;
                end(f, high)?;
                f.write_char(if high.included { ']' } else { '}' })
            }
        }
    }
}

fn end(f: &mut Formatter<'_>, end: &End) -> fmt::Result {
    match &end.value {
        Some(value) => quoted(f, value),
        None => f.write_char('*'),
    }
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}

fn term(f: &mut Formatter<'_>, Pattern(pieces): &Pattern) -> fmt::Result {
    match pieces.as_slice() {
        [Piece::Literal(text)] => escaped(f, text),
        pieces => {
            for piece in pieces {
                match piece {
                    Piece::Any => f.write_char('*')?,
                    Piece::One => f.write_char('?')?,
                    Piece::Literal(text) => characters(f, text)?,
                }
            }
            Ok(())
        }
    }
}

/// A word that reads back as itself: one that is an operator has its first letter escaped.
fn escaped(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    if matches!(text, "AND" | "OR" | "NOT" | "&&" | "||") {
        f.write_char('\\')?;
        return f.write_str(text);
    }
    characters(f, text)
}

fn characters(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        if is_special(c) || is_space(c) {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    Ok(())
}
