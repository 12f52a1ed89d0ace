//! The syntax tree of KQL.

use std::sync::Arc;

use crate::base::span::Span;
use crate::query::plan::{Pattern, Piece};

/// A KQL expression with its place in the text. Equality ignores places.
#[derive(Debug, Clone)]
pub struct Expr {
    /// What it says.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of [`Expr`].
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// All hold.
    And(Vec<Expr>),
    /// Some holds.
    Or(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// `path: { inner }`; field names of `inner` are relative to `path`.
    Nested {
        /// The nested field, relative to an enclosing group.
        path: Term,
        /// What one of its objects must satisfy.
        inner: Box<Expr>,
    },
    /// `field: value`, or a bare value.
    Is {
        /// The field; `None`: a bare value.
        field: Option<Term>,
        /// The value.
        value: Term,
    },
    /// `field > value` and its kin. The parser gives one bound; programs may give two.
    Range {
        /// The field.
        field: Term,
        /// Bounds, all of which hold for one value.
        bounds: Vec<(RangeOperator, Term)>,
    },
    /// The field exists. Has no text of its own (`field: *` is an [`Kind::Is`]); programs build it.
    Exists {
        /// The field.
        field: Term,
    },
}

/// Comparison of a [`Kind::Range`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RangeOperator {
    /// `>`
    Gt,
    /// `>=`
    Gte,
    /// `<`
    Lt,
    /// `<=`
    Lte,
}

/// A name or a value with its place in the text. Equality ignores places.
#[derive(Debug, Clone)]
pub struct Term {
    /// What it is.
    pub kind: TermKind,
    /// Where it stands, without surrounding space.
    pub span: Span,
}

/// The kinds of [`Term`].
#[derive(Debug, Clone, PartialEq)]
pub enum TermKind {
    /// Unquoted `null`.
    Null,
    /// Unquoted `true` or `false`.
    Bool(bool),
    /// A number. Never parsed (numbers stay text in KQL); programs may give one.
    Number(serde_json::Number),
    /// Text, unescaped.
    Text {
        /// The text.
        value: Arc<str>,
        /// Whether it was quoted.
        quoted: bool,
    },
    /// Unquoted text with at least one `*` (as [`Piece::Any`]).
    Wildcard(Pattern),
}

impl Expr {
    /// An expression at a place.
    pub fn new(kind: Kind, span: Span) -> Self {
        Self { kind, span }
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Term {
    /// A term at a place.
    pub fn new(kind: TermKind, span: Span) -> Self {
        Self { kind, span }
    }

    /// Whether it is exactly one `*`.
    pub fn is_lone_wildcard(&self) -> bool {
        matches!(&self.kind, TermKind::Wildcard(Pattern(pieces)) if pieces.as_slice() == [Piece::Any])
    }

    /// The text as Elasticsearch gets it where a plain text is needed: wildcards as `*`.
    pub fn text(&self) -> Arc<str> {
        match &self.kind {
            TermKind::Null => Arc::from("null"),
            TermKind::Bool(value) => Arc::from(if *value { "true" } else { "false" }),
            TermKind::Number(number) => Arc::from(number.to_string()),
            TermKind::Text { value, .. } => value.clone(),
            TermKind::Wildcard(Pattern(pieces)) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Literal(text) => text,
                    Piece::Any => "*",
                    Piece::One => "?",
                })
                .collect::<String>()
                .into(),
        }
    }
}

impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl RangeOperator {
    /// The key of Elasticsearch's `range` query.
    pub fn key(self) -> &'static str {
        match self {
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
        }
    }

    /// The operator in KQL.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Gt => ">",
            Self::Gte => ">=",
            Self::Lt => "<",
            Self::Lte => "<=",
        }
    }
}
