//! [`Filter`]: a two-valued predicate over one document.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::span::Span;

/// A predicate over one document, with the place in the query it came from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Filter {
    /// What it says.
    pub node: Node,
    /// Where it stands in the query; not part of equality.
    pub span: Option<Span>,
}

/// The kinds of predicate. Every leaf holds for a document when *any* value of the field makes it
/// true; a field without values makes it false.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Node {
    /// Matches everything.
    All,
    /// Matches nothing.
    Nothing,
    /// All children match. Empty: matches everything.
    And(Vec<Filter>),
    /// Some child matches. Empty: matches nothing.
    Or(Vec<Filter>),
    /// The child does not match.
    Not(Box<Filter>),
    /// The field has a value.
    Exists {
        /// Field or pattern of fields.
        field: FieldPattern,
    },
    /// KQL's `field: value`: by the field's type a term, a match of analysed text, a number, an
    /// address or a network, a date or a span of dates (date math as well).
    Is {
        /// Field or pattern of fields; `None`: any field (a bare value).
        field: Option<FieldPattern>,
        /// The value as typed.
        value: Arc<str>,
        /// Whether it was quoted: a phrase on text fields.
        phrase: bool,
        /// Whether letters match without case.
        case: Case,
    },
    /// A pattern with `*` (and `?` where the language has it).
    Wildcard {
        /// Field or pattern of fields; `None`: any field.
        field: Option<FieldPattern>,
        /// The pattern.
        pattern: Pattern,
        /// Whether letters match without case.
        case: Case,
    },
    /// A regular expression in Lucene's syntax ([`super::regexp`]) on a whole value (of analysed
    /// text: on one token).
    Regexp {
        /// Field or pattern of fields; `None`: any field.
        field: Option<FieldPattern>,
        /// The expression as typed.
        pattern: Arc<str>,
        /// Whether letters match without case.
        case: Case,
    },
    /// Some value lies in the range.
    Range {
        /// Field or pattern of fields.
        field: FieldPattern,
        /// Its ends, as typed (numbers, dates, date math, text by the field's type).
        bounds: Bounds,
    },
    /// Some object of the nested field `path` matches `inner`, whose field names are full paths.
    Nested {
        /// The nested field.
        path: Arc<str>,
        /// The predicate on one of its objects.
        inner: Box<Filter>,
    },
}

/// Whether letters match without case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Case {
    /// As the field's type has it: exact on keyword, folded on analysed text.
    #[default]
    Field,
    /// Always without case.
    Insensitive,
}

/// A field name, or a pattern of names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FieldPattern {
    /// One field, or the object above several (for `Exists`).
    Name(Arc<str>),
    /// A pattern with `*`: every field whose whole name matches.
    Pattern(Pattern),
}

/// A wildcard pattern, already unescaped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pattern(pub Vec<Piece>);

/// A part of a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Piece {
    /// Exactly this text.
    Literal(Arc<str>),
    /// Any run of characters (`*`).
    Any,
    /// Exactly one character (`?`, where the language has it; KQL does not).
    One,
}

/// The ends of a range; at most one lower and one upper.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Bounds {
    /// Greater than.
    pub gt: Option<Arc<str>>,
    /// Greater than or equal.
    pub gte: Option<Arc<str>>,
    /// Less than.
    pub lt: Option<Arc<str>>,
    /// Less than or equal.
    pub lte: Option<Arc<str>>,
}

impl Filter {
    /// A predicate without a place.
    pub fn new(node: Node) -> Self {
        Self { node, span: None }
    }

    /// A predicate at a place of the query.
    pub fn at(node: Node, span: Span) -> Self {
        Self { node, span: Some(span) }
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl Eq for Filter {}

impl std::hash::Hash for Filter {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.node.hash(state);
    }
}
