//! [`Expr`]: a scalar expression over the values of one document, with three-valued logic.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::filter::Pattern;
use super::function::FunctionCall;

/// A scalar expression. `null` is a value like another: what it is compared or computed with is
/// `null` again, except that `null and false` is false and `null or true` is true.
///
/// Each field stands for one value, or `null` when the document has none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Expr {
    /// A constant.
    Constant(Constant),
    /// A field.
    Field {
        /// Its full name.
        name: Arc<str>,
        /// Whether it may be unknown: it is then the constant `null`.
        optional: bool,
    },
    /// All hold.
    And(Vec<Expr>),
    /// Some holds.
    Or(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// It is `null`; never `null` itself.
    IsNull(Box<Expr>),
    /// `left == right` and its kin.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `left + right` and its kin.
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    /// `-value`
    Negate(Box<Expr>),
    /// It equals one of the values.
    In {
        /// What is looked for.
        value: Box<Expr>,
        /// The values.
        list: Vec<Expr>,
        /// Whether letters match without case.
        insensitive: bool,
    },
    /// It matches one of the patterns.
    Like {
        /// What is tested.
        value: Box<Expr>,
        /// The patterns.
        patterns: Vec<Pattern>,
        /// Whether letters match without case.
        insensitive: bool,
    },
    /// It matches one of the regular expressions ([`super::regexp`]).
    Regexp {
        /// What is tested.
        value: Box<Expr>,
        /// The regular expressions as typed.
        patterns: Vec<Arc<str>>,
        /// Whether letters match without case.
        insensitive: bool,
    },
    /// A function's result.
    Call(FunctionCall, Vec<Expr>),
}

/// A constant of an [`Expr`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Constant {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction.
    Float(Float),
    /// Text.
    Text(Arc<str>),
}

/// A finite number that can be a key: equal when its bits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Float(u64);

impl From<f64> for Float {
    fn from(value: f64) -> Self {
        Self(value.to_bits())
    }
}

impl From<Float> for f64 {
    fn from(value: Float) -> Self {
        Self::from_bits(value.0)
    }
}

impl Expr {
    /// Calls `f` with every field, by name and whether it is optional.
    pub fn for_each_field(&self, f: &mut impl FnMut(&Arc<str>, bool)) {
        match self {
            Self::Constant(_) => {}
            Self::Field { name, optional } => f(name, *optional),
            Self::And(all) | Self::Or(all) | Self::Call(_, all) => {
                for expr in all {
                    expr.for_each_field(f);
                }
            }
            Self::Not(inner) | Self::IsNull(inner) | Self::Negate(inner) => inner.for_each_field(f),
            Self::Compare(_, left, right) | Self::Arithmetic(_, left, right) => {
                left.for_each_field(f);
                right.for_each_field(f);
            }
            Self::In { value, list, .. } => {
                value.for_each_field(f);
                for expr in list {
                    expr.for_each_field(f);
                }
            }
            Self::Like { value, .. } | Self::Regexp { value, .. } => value.for_each_field(f),
        }
    }
}

/// The comparisons of [`Expr::Compare`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// The operator as it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The comparison that holds where this one, of the same two values, does not.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }

    /// The comparison that says the same with its sides exchanged.
    #[must_use]
    pub fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }
}

/// The operations of [`Expr::Arithmetic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`, which cuts off the fraction where both sides are whole.
    Divide,
    /// `%`
    Modulo,
}

impl Arithmetic {
    /// The operator as it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }
}
