//! The syntax tree of Lucene's query strings.

use std::sync::Arc;

use crate::base::span::Span;
use crate::query::plan::Pattern;

/// The clauses of a query or of a group, in their order. Empty only for an empty text.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// The clauses.
    pub clauses: Vec<Clause>,
}

/// One clause with its place in the text. Equality ignores places; boosts are not kept, since they
/// change scores alone.
#[derive(Debug, Clone)]
pub struct Clause {
    /// What joins it to the clause before; the first has none.
    pub conjunction: Option<Conjunction>,
    /// What is asked of it.
    pub modifier: Modifier,
    /// Where it looks; `None`: where the group it is in looks.
    pub field: Option<Field>,
    /// What it looks for.
    pub body: Body,
    /// Where it stands.
    pub span: Span,
}

/// A word between two clauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conjunction {
    /// `AND`, `&&`.
    And,
    /// `OR`, `||`.
    Or,
}

/// A mark before a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Modifier {
    /// None.
    #[default]
    None,
    /// `+`: must match.
    Required,
    /// `-`, `NOT`, `!`: must not match.
    Prohibited,
}

/// The field of a clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// `*:`, any field.
    Any,
    /// `_exists_:`, whose value is the name of a field.
    Exists,
    /// A name; a `*` in it (written `\*`) stands for any characters.
    Named(Arc<str>),
}

/// What a clause looks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// `( … )`.
    Group(Expr),
    /// A word, with its escapes resolved; two pieces or a wildcard make it a pattern.
    Term(Pattern),
    /// `word~`, `word~1`.
    Fuzzy {
        /// The word.
        text: Arc<str>,
        /// Most edits, as written; `None`: by the length of the word.
        edits: Option<Arc<str>>,
    },
    /// `"some words"`, `"some words"~2`.
    Phrase {
        /// The words.
        text: Arc<str>,
        /// How far they may be apart, as written.
        slop: Option<Arc<str>>,
    },
    /// `/expression/`, as written but for `\/`.
    Regexp(Arc<str>),
    /// `[a TO b]`, `{a TO b}` and their mixtures.
    Range {
        /// The lower end.
        low: End,
        /// The upper end.
        high: End,
    },
}

/// An end of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The value; `None`: open (`*`).
    pub value: Option<Arc<str>>,
    /// Whether the value itself belongs to the range.
    pub included: bool,
}

impl PartialEq for Clause {
    fn eq(&self, other: &Self) -> bool {
        self.conjunction == other.conjunction
            && self.modifier == other.modifier
            && self.field == other.field
            && self.body == other.body
    }
}
