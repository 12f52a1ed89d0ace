//! Judging one value of one field.

use chrono::{DateTime, Utc};

use crate::ecs::mapping::Field;
use crate::query::plan::Node;

/// A leaf predicate of a [`crate::query::plan::Filter`] compiled for one resolved field.
///
/// The text it is given is a leaf's text as [`crate::ecs::flat::Leaf::value`] has it (without the
/// key for flattened fields).
#[derive(Debug, Clone)]
pub struct LeafTest {}

impl LeafTest {
    /// Compiles a leaf (`Exists`, `Is`, `Wildcard`, `Range`) for `field`; other nodes match
    /// nothing.
    pub fn compile(node: &Node, field: &Field, now: DateTime<Utc>) -> Self {
        let _ = (node, field, now);
        Self {}
    }

    /// Whether one value satisfies the leaf. A value the type cannot hold (malformed, over
    /// `ignore_above`) satisfies nothing, not even `Exists`.
    pub fn test(&self, value: &str) -> bool {
        let _ = value;
        false
    }

    /// When the leaf is satisfied by exactly these texts and no others (a term on a keyword),
    /// they are returned, so that a hash probe can replace the test.
    pub fn exact(&self) -> Option<&[Box<str>]> {
        None
    }
}
