//! Judging one value of one field.

use std::ops::Bound;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::analysis::tokens;
use super::regexp::regexp;
use super::set::one_of;
use super::test::{Dates, Ends, Test, Type};
use super::wildcard::{Wildcard, fold};
use crate::base::datemath::{self, Rounding};
use crate::base::diagnostic::Diagnostic;
use crate::ecs::mapping::Field;
use crate::ecs::types::FieldType;
use crate::ecs::value::number::{self, Number};
use crate::ecs::value::version::Version;
use crate::ecs::value::{boolean, date, ip};
use crate::query::plan::{Bounds, Case, Node, Pattern, Piece};

/// A leaf predicate of a [`crate::query::plan::Filter`] compiled for one resolved field.
///
/// The text it is given is a leaf's text as [`crate::ecs::flat::Leaf::value`] has it (without the
/// key for flattened fields).
#[derive(Debug, Clone)]
pub struct LeafTest {
    test: Test,
    /// Longer values (in UTF-16 units) do not exist.
    ignore_above: Option<u32>,
    /// Values are lower-cased first.
    lowercase: bool,
    exact: Option<Vec<Box<str>>>,
    literals: Vec<Box<str>>,
    folded: bool,
    constant: Option<bool>,
}

impl LeafTest {
    /// Compiles a leaf ([`super::target::is_leaf`]) for `field`; other nodes, and values
    /// that the field's type cannot have, match nothing ([`LeafTest::try_compile`] says why).
    pub fn compile(node: &Node, field: &Field, now: DateTime<Utc>) -> Self {
        Self::try_compile(node, field, now).unwrap_or_else(|_| Self::never())
    }

    /// As [`LeafTest::compile`], with the reason when Elasticsearch would refuse the query.
    ///
    /// # Errors
    /// `TYPE001`: the value is none of the field's type. `TYPE002`: the field's type has no
    /// wildcards. `TYPE003`: the field's type cannot be compared. `TYPE007`: the regular expression
    /// is none, or too large.
    pub fn try_compile(node: &Node, field: &Field, now: DateTime<Utc>) -> Result<Self, Diagnostic> {
        let main = Self::for_kind(node, field, field.kind, now);
        let mut leaf = match &field.others {
            None => main?,
            Some(others) => {
                // A value that is none of one index's type is refused by that index alone.
                let others = others.iter().map(|kind| Self::for_kind(node, field, *kind, now));
                let all: Vec<_> = std::iter::once(main).chain(others).collect();
                if all.iter().all(Result::is_err) {
                    return all.into_iter().next().unwrap_or_else(|| Ok(Self::never()));
                }
                Self::of(Test::AnyOf(all.into_iter().flatten().map(|leaf| leaf.test).collect()))
            }
        };
        if field.kind.is_keyword_like() || field.others.is_some() {
            leaf.ignore_above = field.ignore_above;
        }
        leaf.lowercase = field.lowercase && field.kind.is_keyword_like();
        if leaf.lowercase {
            leaf.folded = true;
        }
        if matches!(leaf.test, Test::Never) {
            leaf.exact = Some(Vec::new());
        } else if leaf.lowercase || field.others.is_some() {
            leaf.exact = None;
        } else if let Some(exact) = &mut leaf.exact {
            exact.retain(|text| fits(text, field.ignore_above));
        }
        if let (FieldType::ConstantKeyword, Some(value)) = (field.kind, &field.constant) {
            leaf.constant = Some(leaf.test(value));
        }
        Ok(leaf)
    }

    /// Matches nothing.
    pub fn never() -> Self {
        Self {
            test: Test::Never,
            ignore_above: None,
            lowercase: false,
            exact: Some(Vec::new()),
            literals: Vec::new(),
            folded: false,
            constant: None,
        }
    }

    pub(super) fn of(test: Test) -> Self {
        Self { test, exact: None, ..Self::never() }
    }

    /// The same test, which is satisfied by exactly these texts.
    pub(super) fn exactly(self, texts: Vec<Box<str>>) -> Self {
        Self { exact: Some(texts), ..self }
    }

    /// The test without its shortcuts.
    pub(super) fn into_test(self) -> Test {
        self.test
    }

    /// The same test, of which it is known that every value that satisfies it contains `literals`
    /// (in lower case when `folded`).
    pub(super) fn containing(self, literals: Vec<Box<str>>, folded: bool) -> Self {
        Self { literals, folded, ..self }
    }

    fn for_kind(node: &Node, field: &Field, kind: FieldType, now: DateTime<Utc>) -> Result<Self, Diagnostic> {
        match node {
            Node::Exists { .. } => Ok(exists(field, kind)),
            Node::Is { value, phrase, case, .. } => is(value, *phrase, *case, field, kind, now),
            Node::Wildcard { pattern, case, .. } => wildcard(pattern, *case, field, kind, now),
            Node::Regexp { pattern, case, .. } => regexp(pattern, *case, field, kind),
            Node::OneOf { values, .. } => one_of(values, field, kind, now),
            Node::Range { bounds, .. } => range(bounds, field, kind, now),
            _ => Ok(Self::never()),
        }
    }

    /// Whether one value satisfies the leaf. A value the type cannot hold (malformed, over
    /// `ignore_above`) satisfies nothing, not even `Exists`.
    pub fn test(&self, value: &str) -> bool {
        if !fits(value, self.ignore_above) {
            return false;
        }
        if self.lowercase { self.test.test(&fold(value)) } else { self.test.test(value) }
    }

    /// When the leaf is satisfied by exactly these texts and no others (a term on a keyword, a
    /// boolean), they are returned, so that a hash probe can replace the test. Empty: nothing
    /// satisfies it.
    pub fn exact(&self) -> Option<&[Box<str>]> {
        self.exact.as_deref()
    }

    /// Texts that every value which satisfies the leaf contains; in lower case when
    /// [`LeafTest::folded`]. Empty: nothing is known.
    pub fn literals(&self) -> &[Box<str>] {
        &self.literals
    }

    /// Whether values are judged without case: [`LeafTest::literals`] are to be looked for in the
    /// value as [`super::wildcard::fold`] has it.
    pub fn folded(&self) -> bool {
        self.folded
    }

    /// The verdict on every document, whatever values it has: the field is one value for the
    /// whole index.
    pub fn constant(&self) -> Option<bool> {
        self.constant
    }

    /// Whether nothing can satisfy the leaf.
    pub fn is_never(&self) -> bool {
        matches!(self.test, Test::Never) && self.constant != Some(true)
    }
}

/// Whether a value is short enough to exist.
fn fits(value: &str, ignore_above: Option<u32>) -> bool {
    match ignore_above {
        None => true,
        Some(limit) => {
            let limit = limit as usize;
            // A UTF-16 unit is at least a byte of UTF-8.
            value.len() <= limit || value.encode_utf16().count() <= limit
        }
    }
}

fn dates(field: &Field, kind: FieldType) -> Dates {
    Dates { format: field.format.clone(), nanos: kind == FieldType::DateNanos }
}

fn exists(field: &Field, kind: FieldType) -> LeafTest {
    let kind = match kind {
        FieldType::Other | FieldType::Object | FieldType::Nested => return LeafTest::never(),
        FieldType::Boolean => Type::Boolean,
        FieldType::Ip => Type::Ip,
        kind if kind.is_integer() => Type::Whole(kind),
        kind if kind.is_number() => Type::Float(kind, field.scaling_factor),
        kind if kind.is_date() => Type::Date(dates(field, kind)),
        _ => Type::Text,
    };
    LeafTest::of(Test::Readable(kind))
}

pub(super) fn is(
    value: &Arc<str>,
    phrase: bool,
    case: Case,
    field: &Field,
    kind: FieldType,
    now: DateTime<Utc>,
) -> Result<LeafTest, Diagnostic> {
    let test = match kind {
        kind if kind.is_keyword_like() || kind == FieldType::Version => {
            let folded = case == Case::Insensitive || (field.lowercase && kind.is_keyword_like());
            let literal: Box<str> = if folded { fold(value).into() } else { (**value).into() };
            let literals = if literal.is_empty() { Vec::new() } else { vec![literal.clone()] };
            if folded {
                return Ok(LeafTest { literals, folded, ..LeafTest::of(Test::EqualFolded(literal)) });
            }
            let exact = Some(vec![literal.clone()]);
            return Ok(LeafTest { exact, literals, ..LeafTest::of(Test::Equal(literal)) });
        }
        kind if kind.is_text() => {
            let words = tokens(value);
            if phrase || words.len() == 1 {
                let literals = words.iter().map(|word| word.as_str().into()).collect();
                let test = if words.is_empty() { Test::Never } else { Test::Phrase(words) };
                return Ok(LeafTest { literals, folded: true, ..LeafTest::of(test) });
            }
            if words.is_empty() { Test::Never } else { Test::Tokens(words) }
        }
        kind if kind.is_integer() => {
            let wanted = number::parse(value).ok_or_else(|| mismatch(value, field, kind, "a number"))?;
            match wanted {
                Number::Whole(_) => Test::Whole(kind, point(wanted)),
                // No whole number has a fraction.
                Number::Float(_) => Test::Never,
            }
        }
        kind if kind.is_number() => {
            let wanted = number::float(value, kind, field.scaling_factor)
                .ok_or_else(|| mismatch(value, field, kind, "a number"))?;
            Test::Float(kind, field.scaling_factor, point(wanted))
        }
        FieldType::Boolean => {
            let wanted = boolean(value).ok_or_else(|| mismatch(value, field, kind, "`true` or `false`"))?;
            let texts: &[&str] = if wanted { &["true"] } else { &["false", ""] };
            let exact = Some(texts.iter().map(|text| Box::from(*text)).collect());
            return Ok(LeafTest { exact, ..LeafTest::of(Test::Boolean { no: !wanted, yes: wanted }) });
        }
        FieldType::Ip => {
            let ends = match ip::parse(value) {
                Some(address) => Some((address, address)),
                None => ip::network(value),
            };
            let (first, last) =
                ends.ok_or_else(|| mismatch(value, field, kind, "an address or a network"))?;
            Test::Ip((Bound::Included(first), Bound::Included(last)))
        }
        kind if kind.is_date() => {
            let low = instant(value, field, kind, now, Rounding::Down, None)?;
            let high = instant(value, field, kind, now, Rounding::Up, None)?;
            Test::Date(dates(field, kind), (Bound::Included(low), Bound::Included(high)))
        }
        FieldType::GeoPoint => return Err(incomparable(field, kind)),
        _ => Test::Never,
    };
    Ok(LeafTest::of(test))
}

fn wildcard(
    pattern: &Pattern,
    case: Case,
    field: &Field,
    kind: FieldType,
    now: DateTime<Utc>,
) -> Result<LeafTest, Diagnostic> {
    if !pattern.0.is_empty() && pattern.0.iter().all(|piece| *piece == Piece::Any) {
        return Ok(exists(field, kind));
    }
    if pattern.0.iter().all(|piece| matches!(piece, Piece::Literal(_))) {
        let text: String =
            pattern.0.iter().map(|piece| if let Piece::Literal(text) = piece { text } else { "" }).collect();
        return is(&text.into(), false, case, field, kind, now);
    }
    match kind {
        kind if kind.is_keyword_like() || kind == FieldType::Version => {
            let folded = case == Case::Insensitive || (field.lowercase && kind.is_keyword_like());
            let wildcard = Wildcard::new(pattern, folded);
            let literals = wildcard.literals().to_vec();
            Ok(LeafTest { literals, folded, ..LeafTest::of(Test::Wildcard(wildcard)) })
        }
        kind if kind.is_text() => {
            let (patterns, words) = by_word(pattern);
            // With one pattern its texts are necessary; several are alternatives.
            let literals = match (patterns.as_slice(), words.as_slice()) {
                ([only], []) => only.literals().to_vec(),
                _ => Vec::new(),
            };
            Ok(LeafTest { literals, folded: true, ..LeafTest::of(Test::TokenWildcards(patterns, words)) })
        }
        FieldType::Object | FieldType::Nested | FieldType::Other => Ok(LeafTest::never()),
        kind => Err(Diagnostic::error(
            "TYPE002",
            format!("wildcards cannot be used on `{}`, which is of type {}", field.path, kind.name()),
        )
        .with_help(
            "wildcards work on keyword, wildcard and text fields; use a range, or a network for addresses",
        )),
    }
}

/// A pattern on analysed text: every word of it is an alternative, as Elasticsearch's
/// `query_string` reads it; words without wildcards are analysed.
fn by_word(pattern: &Pattern) -> (Vec<Wildcard>, Vec<String>) {
    let mut patterns: Vec<Vec<Piece>> = vec![Vec::new()];
    for piece in &pattern.0 {
        let Piece::Literal(text) = piece else {
            if let Some(last) = patterns.last_mut() {
                last.push(piece.clone());
            }
            continue;
        };
        for (number, word) in text.split(char::is_whitespace).enumerate() {
            if number > 0 {
                patterns.push(Vec::new());
            }
            if !word.is_empty()
                && let Some(last) = patterns.last_mut()
            {
                last.push(Piece::Literal(word.into()));
            }
        }
    }
    let mut wildcards = Vec::new();
    let mut words = Vec::new();
    for pieces in patterns.into_iter().filter(|pieces| !pieces.is_empty()) {
        match pieces.as_slice() {
            [Piece::Literal(text)] => words.extend(tokens(text)),
            _ => wildcards.push(Wildcard::new(&Pattern(pieces), true)),
        }
    }
    (wildcards, words)
}

fn range(
    bounds: &Bounds,
    field: &Field,
    kind: FieldType,
    now: DateTime<Utc>,
) -> Result<LeafTest, Diagnostic> {
    let test = match kind {
        kind if kind.is_keyword_like() => {
            let folded = field.lowercase;
            let read = |text: &Arc<str>| -> Result<Box<str>, Diagnostic> {
                Ok(if folded { fold(text).into() } else { (**text).into() })
            };
            Test::Between(ends(bounds, read)?)
        }
        kind if kind.is_text() => Test::TokenBetween(ends(bounds, |text| Ok(Box::from(&*fold(text))))?),
        kind if kind.is_integer() => {
            let read =
                |text: &Arc<str>| number::parse(text).ok_or_else(|| mismatch(text, field, kind, "a number"));
            Test::Whole(kind, ends(bounds, read)?)
        }
        kind if kind.is_number() => {
            let scale = field.scaling_factor;
            let read = |text: &Arc<str>| {
                let value =
                    number::parse(text).ok_or_else(|| mismatch(text, field, kind, "a number"))?.as_f64();
                Ok(match kind {
                    FieldType::ScaledFloat => number::scale(value, scale),
                    kind => number::narrow(value, kind),
                })
            };
            Test::Float(kind, scale, ends(bounds, read)?)
        }
        FieldType::Boolean => {
            let read = |text: &Arc<str>| {
                boolean(text).ok_or_else(|| mismatch(text, field, kind, "`true` or `false`"))
            };
            let ends = ends(bounds, read)?;
            let holds = |value: bool| std::ops::RangeBounds::contains(&ends, &value);
            Test::Boolean { no: holds(false), yes: holds(true) }
        }
        FieldType::Ip => {
            let read =
                |text: &Arc<str>| ip::parse(text).ok_or_else(|| mismatch(text, field, kind, "an address"));
            Test::Ip(ends(bounds, read)?)
        }
        kind if kind.is_date() => {
            let at = |text: &Option<Arc<str>>, rounding| {
                text.as_ref()
                    .map(|text| instant(text, field, kind, now, rounding, bounds.zone.as_deref()))
                    .transpose()
            };
            // A span lies wholly inside `gte` and `lte`, and wholly outside `gt` and `lt`.
            let gt = at(&bounds.gt, Rounding::Up)?.map(Bound::Excluded);
            let gte = at(&bounds.gte, Rounding::Down)?.map(Bound::Included);
            let lt = at(&bounds.lt, Rounding::Down)?.map(Bound::Excluded);
            let lte = at(&bounds.lte, Rounding::Up)?.map(Bound::Included);
            Test::Date(
                dates(field, kind),
                (gt.or(gte).unwrap_or(Bound::Unbounded), lt.or(lte).unwrap_or(Bound::Unbounded)),
            )
        }
        FieldType::Version => Test::Version(ends(bounds, |text| Ok(Version::new(text)))?),
        FieldType::GeoPoint => return Err(incomparable(field, kind)),
        _ => Test::Never,
    };
    Ok(LeafTest::of(test))
}

/// Both ends of a range, read by `read`.
fn ends<T>(
    bounds: &Bounds,
    read: impl Fn(&Arc<str>) -> Result<T, Diagnostic>,
) -> Result<Ends<T>, Diagnostic> {
    let low = match (&bounds.gt, &bounds.gte) {
        (Some(end), _) => Bound::Excluded(read(end)?),
        (None, Some(end)) => Bound::Included(read(end)?),
        (None, None) => Bound::Unbounded,
    };
    let high = match (&bounds.lt, &bounds.lte) {
        (Some(end), _) => Bound::Excluded(read(end)?),
        (None, Some(end)) => Bound::Included(read(end)?),
        (None, None) => Bound::Unbounded,
    };
    Ok((low, high))
}

fn point<T: Copy>(at: T) -> Ends<T> {
    (Bound::Included(at), Bound::Included(at))
}

/// The instant a query's text names on a date field: date math, or a date in the field's format.
fn instant(
    text: &Arc<str>,
    field: &Field,
    kind: FieldType,
    now: DateTime<Utc>,
    rounding: Rounding,
    zone: Option<&str>,
) -> Result<date::Nanos, Diagnostic> {
    let own_format = field.format.as_deref().filter(|format| !format.contains("optional_time"));
    if let Some(format) = own_format
        && !text.starts_with("now")
    {
        return date::parse(text, Some(format))
            .ok_or_else(|| mismatch(text, field, kind, "a date of its format"));
    }
    let at = datemath::resolve_in(text, now, rounding, zone)
        .map_err(|cause| mismatch(text, field, kind, "a date").with_help(cause.message))?;
    let nanos = date::of(at);
    // The last millisecond of a span is the last nanosecond of it where nanoseconds are kept.
    let spans =
        rounding == Rounding::Up && !text.contains('.') && nanos.rem_euclid(1_000_000_000) == 999_000_000;
    Ok(if kind == FieldType::DateNanos && spans { nanos + 999_999 } else { nanos })
}

pub(super) fn mismatch(value: &str, field: &Field, kind: FieldType, wanted: &str) -> Diagnostic {
    Diagnostic::error(
        "TYPE001",
        format!("`{value}` is not {wanted}, but `{}` is of type {}", field.path, kind.name()),
    )
    .with_help("Elasticsearch refuses such a query, so the rule would fail there; here it matches nothing")
}

fn incomparable(field: &Field, kind: FieldType) -> Diagnostic {
    Diagnostic::error(
        "TYPE003",
        format!("`{}` is of type {} and cannot be compared", field.path, kind.name()),
    )
}
