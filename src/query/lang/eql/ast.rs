//! The syntax tree of EQL.

use std::sync::Arc;

use crate::base::span::Span;
use crate::query::plan::FunctionCall;
pub use crate::query::plan::{Arithmetic, Comparison};

/// A whole query. Equality ignores places.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What is looked for.
    pub shape: Shape,
    /// What becomes of the results, in order.
    pub pipes: Vec<Pipe>,
}

/// The kinds of query.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Single events.
    Event(EventQuery),
    /// Events in order of time.
    Sequence(Sequence),
    /// Events in any order that share keys.
    Sample(Sample),
}

/// `category where condition`.
#[derive(Debug, Clone, PartialEq)]
pub struct EventQuery {
    /// The event's category.
    pub category: Category,
    /// What the event must satisfy.
    pub condition: Expr,
}

/// The category of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Category {
    /// `any`: whatever it is, also none.
    Any,
    /// This one.
    Name(Arc<str>),
}

/// `sequence … [stage] [stage] … until [stage]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// Keys that all stages share.
    pub by: Vec<Field>,
    /// Longest time from the first event to the last, milliseconds.
    pub maxspan: Option<u64>,
    /// The stages, in order of time.
    pub stages: Vec<Stage>,
    /// An event that ends an unfinished sequence.
    pub until: Option<Box<Stage>>,
}

/// `sample by … [stage] [stage] …`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Keys that all stages share.
    pub by: Vec<Field>,
    /// The stages.
    pub stages: Vec<Stage>,
}

/// `![event] by … with runs=N`. Equality ignores places.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Whether no such event may occur (`!`).
    pub missing: bool,
    /// The event.
    pub event: EventQuery,
    /// Keys of this stage, behind those that all share.
    pub by: Vec<Field>,
    /// How many such events follow each other.
    pub runs: u32,
    /// Where it stands.
    pub span: Span,
}

impl PartialEq for Stage {
    fn eq(&self, other: &Self) -> bool {
        (self.missing, &self.event, &self.by, self.runs)
            == (other.missing, &other.event, &other.by, other.runs)
    }
}

/// `| name arguments`. Equality ignores places.
#[derive(Debug, Clone)]
pub struct Pipe {
    /// `head`, `tail`, `count`, `unique`, `unique_count`, `filter` or `sort`.
    pub name: Arc<str>,
    /// Its arguments.
    pub arguments: Vec<Expr>,
    /// Where its name stands.
    pub span: Span,
}

impl PartialEq for Pipe {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.arguments) == (&other.name, &other.arguments)
    }
}

/// A field. Equality ignores places.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its full name, unescaped.
    pub name: Arc<str>,
    /// Whether it may be unknown (`?`), and as a join key may be missing.
    pub optional: bool,
    /// Where it stands.
    pub span: Span,
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.optional) == (&other.name, other.optional)
    }
}

/// An expression with its place. Equality ignores places.
#[derive(Debug, Clone)]
pub struct Expr {
    /// What it says.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
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

/// The kinds of [`Expr`].
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// All hold; at least two.
    And(Vec<Expr>),
    /// Some holds; at least two.
    Or(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// `left == right` and its kin.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `left + right` and its kin.
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    /// `-value`.
    Negate(Box<Expr>),
    /// `value in (…)`, `value : "…"`, `value like (…)` …; at least one of `list`.
    Test {
        /// What is tested.
        value: Box<Expr>,
        /// How.
        operator: Operator,
        /// What with.
        list: Vec<Expr>,
    },
    /// `function(arguments)`.
    Call(FunctionCall, Vec<Expr>),
    /// A field.
    Field(Field),
    /// A constant.
    Literal(Literal),
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// Text, unescaped.
    Text(Arc<str>),
}

/// The operators of [`Kind::Test`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Operator {
    /// `in`: one of the values.
    In,
    /// `in~`: one of the values, without case.
    InInsensitive,
    /// `:`: one of the patterns, without case.
    Colon,
    /// `like`: one of the patterns.
    Like,
    /// `like~`: one of the patterns, without case.
    LikeInsensitive,
    /// `regex`: one of the regular expressions.
    Regex,
    /// `regex~`: one of the regular expressions, without case.
    RegexInsensitive,
}

impl Operator {
    /// The operator as it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::InInsensitive => "in~",
            Self::Colon => ":",
            Self::Like => "like",
            Self::LikeInsensitive => "like~",
            Self::Regex => "regex",
            Self::RegexInsensitive => "regex~",
        }
    }

    /// Whether letters match without case.
    pub fn insensitive(self) -> bool {
        matches!(self, Self::InInsensitive | Self::Colon | Self::LikeInsensitive | Self::RegexInsensitive)
    }
}
