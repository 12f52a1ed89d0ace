//! Syntax tree to text.
//!
//! Operands that are not a single word come back in brackets, texts in one pair of quotes, spans
//! of time in their largest whole unit.

use std::fmt::{self, Display, Formatter, Write};

use super::ast::{
    Category, EventQuery, Expr, Field, Kind, Literal, Pipe, Query, Sample, Sequence, Shape, Stage,
};
use super::literal::UNITS;

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.shape {
            Shape::Event(event) => write!(f, "{event}")?,
            Shape::Sequence(sequence) => write!(f, "{sequence}")?,
            Shape::Sample(sample) => write!(f, "{sample}")?,
        }
        self.pipes.iter().try_for_each(|pipe| write!(f, " {pipe}"))
    }
}

impl Display for EventQuery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.category {
            Category::Any => f.write_str("any")?,
            Category::Name(name) => text(f, name)?,
        }
        write!(f, " where {}", Bare(&self.condition))
    }
}

impl Display for Sequence {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("sequence")?;
        keys(f, &self.by)?;
        if let Some(maxspan) = self.maxspan {
            let (unit, factor) = UNITS
                .iter()
                .find(|(_, factor)| maxspan.is_multiple_of(*factor))
                .copied()
                .unwrap_or(("ms", 1));
            write!(f, " with maxspan={}{unit}", maxspan / factor)?;
        }
        self.stages.iter().try_for_each(|stage| write!(f, " {stage}"))?;
        self.until.iter().try_for_each(|stage| write!(f, " until {stage}"))
    }
}

impl Display for Sample {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("sample")?;
        keys(f, &self.by)?;
        self.stages.iter().try_for_each(|stage| write!(f, " {stage}"))
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", if self.missing { "!" } else { "" }, self.event)?;
        keys(f, &self.by)?;
        if self.runs == 1 { Ok(()) } else { write!(f, " with runs={}", self.runs) }
    }
}

impl Display for Pipe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "| {}", self.name)?;
        separated(f, " ", &self.arguments)
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.optional {
            f.write_char('?')?;
        }
        // Backquotes throughout, unless the name plainly needs none: keywords and odd characters.
        let plain = !self.name.is_empty()
            && self.name.split('.').all(|part| {
                part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '@')
                    && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '@')
            });
        if plain && self.name.contains('.') {
            return f.write_str(&self.name);
        }
        if plain && !KEYWORDS.contains(&&*self.name) {
            return f.write_str(&self.name);
        }
        write!(f, "`{}`", self.name.replace('`', "``"))
    }
}

const KEYWORDS: [&str; 18] = [
    "and", "any", "by", "false", "in", "like", "maxspan", "not", "null", "of", "or", "regex", "sample",
    "sequence", "true", "until", "where", "with",
];

fn keys(f: &mut Formatter<'_>, fields: &[Field]) -> fmt::Result {
    for (at, field) in fields.iter().enumerate() {
        write!(f, "{}{field}", if at == 0 { " by " } else { ", " })?;
    }
    Ok(())
}

fn separated(f: &mut Formatter<'_>, before: &str, all: &[Expr]) -> fmt::Result {
    for (at, expr) in all.iter().enumerate() {
        write!(f, "{}{}", if at == 0 { before } else { ", " }, Bare(expr))?;
    }
    Ok(())
}

/// An expression that needs no brackets around it.
struct Bare<'e>(&'e Expr);

impl Display for Bare<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::And(all) => joined(f, all, " and "),
            Kind::Or(all) => joined(f, all, " or "),
            Kind::Not(inner) => write!(f, "not {inner}"),
            Kind::Compare(comparison, left, right) => write!(f, "{left} {} {right}", comparison.symbol()),
            Kind::Arithmetic(operation, left, right) => write!(f, "{left} {} {right}", operation.symbol()),
            Kind::Negate(inner) => write!(f, "-{inner}"),
            Kind::Test { value, operator, list } => {
                write!(f, "{value} {} (", operator.symbol())?;
                separated(f, "", list)?;
                f.write_char(')')
            }
            Kind::Call(call, arguments) => {
                write!(f, "{}{}(", call.function.name(), if call.insensitive { "~" } else { "" })?;
                separated(f, "", arguments)?;
                f.write_char(')')
            }
            Kind::Field(field) => write!(f, "{field}"),
            Kind::Literal(literal) => write!(f, "{literal}"),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Call(..) | Kind::Field(_) | Kind::Literal(_) => write!(f, "{}", Bare(self)),
            _ => write!(f, "({})", Bare(self)),
        }
    }
}

fn joined(f: &mut Formatter<'_>, all: &[Expr], word: &str) -> fmt::Result {
    for (at, expr) in all.iter().enumerate() {
        write!(f, "{}{expr}", if at == 0 { "" } else { word })?;
    }
    Ok(())
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Whole(value) => write!(f, "{value}"),
            // The shortest text that reads back, always with a fraction or an exponent.
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(value) => text(f, value),
        }
    }
}

fn text(f: &mut Formatter<'_>, value: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in value.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{{{:04x}}}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}
