//! A filter as a boolean expression over predicate numbers.

use super::PredicateId;

/// A boolean expression over predicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr {
    /// Always true.
    True,
    /// Always false.
    False,
    /// A predicate holds.
    Is(PredicateId),
    /// All hold; two or more.
    And(Box<[Expr]>),
    /// Some holds; two or more.
    Or(Box<[Expr]>),
    /// Does not hold.
    Not(Box<Expr>),
}

impl Expr {
    /// The conjunction, simplified.
    pub(super) fn and(children: Vec<Self>) -> Self {
        let mut out = Vec::with_capacity(children.len());
        for child in children {
            match child {
                Self::True => {}
                Self::False => return Self::False,
                Self::And(inner) => out.extend(inner),
                other if out.contains(&other) => {}
                other => out.push(other),
            }
        }
        // Plain predicates are the cheapest to ask and the likeliest to be false.
        out.sort_by_key(Self::weight);
        match out.len() {
            0 => Self::True,
            1 => out.pop().unwrap_or(Self::True),
            _ => Self::And(out.into()),
        }
    }

    /// The disjunction, simplified.
    pub(super) fn or(children: Vec<Self>) -> Self {
        let mut out = Vec::with_capacity(children.len());
        for child in children {
            match child {
                Self::False => {}
                Self::True => return Self::True,
                Self::Or(inner) => out.extend(inner),
                other => out.push(other),
            }
        }
        match out.len() {
            0 => Self::False,
            1 => out.pop().unwrap_or(Self::False),
            _ => Self::Or(out.into()),
        }
    }

    /// The negation, simplified.
    pub(super) fn negate(child: Self) -> Self {
        match child {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::True | Self::False | Self::Is(_) => 0,
            Self::Not(inner) => 1 + inner.weight(),
            Self::And(children) | Self::Or(children) => {
                1 + children.len() + children.iter().map(Self::weight).sum::<usize>()
            }
        }
    }

    /// Calls `visit` with every predicate.
    pub(super) fn for_each(&self, visit: &mut impl FnMut(PredicateId)) {
        match self {
            Self::True | Self::False => {}
            Self::Is(id) => visit(*id),
            Self::Not(inner) => inner.for_each(visit),
            Self::And(children) | Self::Or(children) => {
                for child in children {
                    child.for_each(visit);
                }
            }
        }
    }
}
