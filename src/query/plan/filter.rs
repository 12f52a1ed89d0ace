//! [`Filter`]: a two-valued predicate over one document.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::expr::Expr;
use super::values::ValueSet;
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
    /// At least so many of the children match.
    AtLeast {
        /// How many.
        least: u32,
        /// Of these.
        of: Vec<Filter>,
    },
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
    /// A term equal to one of many: [`Node::Is`] on each as a phrase, at the cost of one.
    OneOf {
        /// Field or pattern of fields.
        field: FieldPattern,
        /// The values, shared.
        values: Arc<ValueSet>,
    },
    /// Enough of the words of a text, in whatever order, on an analysed field; the whole text on
    /// any other. The words may stand in different values of the field.
    Words {
        /// The field.
        field: Arc<str>,
        /// The text.
        text: Arc<str>,
        /// How many of its words.
        least: Least,
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
    /// A scalar expression that is true for some choice of one value of each of its fields.
    Scalar {
        /// The expression.
        expr: Arc<Expr>,
        /// A predicate that every document for which it is true satisfies.
        necessary: Box<Filter>,
    },
    /// A query that only a cluster can answer (a script, a distance between words): its DSL goes
    /// there as it is. Nothing else may search with it ([`Filter::foreign`]).
    Foreign {
        /// What it is, for people: `fuzzy search`.
        what: Arc<str>,
        /// The query, JSON text.
        dsl: Arc<str>,
    },
}

/// How many of several clauses must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Least {
    /// So many; negative: all but so many.
    Count(i32),
    /// So many per cent, rounded down; negative: all but so many per cent.
    Percent(i32),
}

impl Least {
    /// All of them.
    pub const ALL: Self = Self::Percent(100);

    /// Reads `2`, `-1`, `75%`, `-25%`; other forms are `None`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().strip_suffix('%') {
            Some(percent) => percent.parse().ok().map(Self::Percent),
            None => text.trim().parse().ok().map(Self::Count),
        }
    }

    /// The number for so many clauses, which may be more than there are.
    pub fn of(self, clauses: usize) -> usize {
        let clauses = i64::try_from(clauses).unwrap_or(i64::MAX);
        let number = match self {
            Self::Count(count) => i64::from(count),
            Self::Percent(percent) => clauses.saturating_mul(i64::from(percent)) / 100,
        };
        usize::try_from(if number < 0 { clauses + number } else { number }).unwrap_or(0)
    }
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
    /// One field in its exact form: values of analysed text are whole, as those of its keyword
    /// multi-field are.
    Exact {
        /// Its full name.
        name: Arc<str>,
        /// Whether nobody is surprised when it is unknown.
        optional: bool,
    },
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
    /// Time zone of dates without one and of rounding (`+02:00`, `Europe/Paris`); `None`: UTC.
    pub zone: Option<Arc<str>>,
}

impl Filter {
    /// A predicate without a place.
    pub fn new(node: Node) -> Self {
        Self { node, span: None }
    }

    /// Where some of `children` are enough; simplified.
    pub fn at_least(least: usize, mut children: Vec<Self>) -> Self {
        match (least, children.len()) {
            (0, _) => Self::new(Node::All),
            (least, count) if least > count => Self::new(Node::Nothing),
            (1, 1) => children.pop().unwrap_or_else(|| Self::new(Node::Nothing)),
            (1, _) => Self::new(Node::Or(children)),
            (least, count) if least == count => Self::new(Node::And(children)),
            (least, _) => {
                let least = u32::try_from(least).unwrap_or(u32::MAX);
                Self::new(Node::AtLeast { least, of: children })
            }
        }
    }

    /// The filters right below this one.
    pub fn children(&self) -> &[Self] {
        match &self.node {
            Node::And(children) | Node::Or(children) | Node::AtLeast { of: children, .. } => children,
            Node::Not(child) | Node::Nested { inner: child, .. } => std::slice::from_ref(child),
            _ => &[],
        }
    }

    /// The first part that only a cluster can answer: what it is, and where it stands.
    pub fn foreign(&self) -> Option<(&str, Option<Span>)> {
        match &self.node {
            Node::Foreign { what, .. } => Some((what, self.span)),
            _ => self.children().iter().find_map(Self::foreign),
        }
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
