//! From a filter to a necessary condition that an index can check without reading events.
//!
//! A batch of events for which the condition is false holds no match and may be skipped; one for
//! which it is true has to be searched. Only conditions on single texts of a column are used: an
//! index can answer those from a dictionary or a Bloom filter.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::ecs::mapping::Mapping;
use crate::query::eval::leaf::LeafTest;
use crate::query::eval::target::targets;
use crate::query::eval::words;
use crate::query::plan::{Filter, Node};

/// What must be true of a batch for the filter to match some event in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Necessary {
    /// Nothing is known: every batch may hold a match.
    Always,
    /// No batch holds a match.
    Never,
    /// The column has one of these texts (of a flattened object: `key\0text`).
    Text {
        /// Path of the column.
        column: Arc<str>,
        /// The texts.
        texts: Box<[Box<str>]>,
    },
    /// The column has some value.
    Present {
        /// Path of the column.
        column: Arc<str>,
    },
    /// All of these.
    All(Box<[Necessary]>),
    /// One of these.
    Some(Box<[Necessary]>),
}

/// What names and values of a filter are read with.
#[derive(Clone, Copy)]
struct Scope<'a> {
    mapping: &'a Mapping,
    existing: &'a [Arc<str>],
    now: DateTime<Utc>,
    nested: Option<&'a str>,
}

/// What an index knows about a batch of events. Both answers may be "yes" for a thing that is not
/// there, never "no" for one that is.
pub trait Probe {
    /// Whether some event has exactly this text in the column.
    fn may_have(&self, column: &str, text: &str) -> bool;
    /// Whether some event has any value in the column.
    fn may_exist(&self, column: &str) -> bool;
}

impl Necessary {
    /// The condition that `filter` implies under `mapping`, with date math resolved at `now`.
    /// `existing` are the paths, sorted, that patterns of field names stand for.
    pub fn of(filter: &Filter, mapping: &Mapping, existing: &[Arc<str>], now: DateTime<Utc>) -> Self {
        Self::within(filter, &Scope { mapping, existing, now, nested: None })
    }

    fn within(filter: &Filter, scope: &Scope<'_>) -> Self {
        match &filter.node {
            Node::All | Node::Not(_) | Node::AtLeast { least: 0, .. } => Self::Always,
            Node::Nothing | Node::Foreign { .. } => Self::Never,
            Node::And(children) => Self::all(children.iter().map(|c| Self::within(c, scope)).collect()),
            Node::Or(children) => Self::some(children.iter().map(|c| Self::within(c, scope)).collect()),
            Node::AtLeast { of, .. } => Self::some(of.iter().map(|c| Self::within(c, scope)).collect()),
            Node::Words { field, text, least } => {
                Self::within(&words::expand(field, text, *least, scope.mapping), scope)
            }
            Node::Scalar { necessary, .. } => Self::within(necessary, scope),
            Node::Nested { path, inner } => Self::within(inner, &Scope { nested: Some(path), ..*scope }),
            Node::Exists { .. }
            | Node::Is { .. }
            | Node::Wildcard { .. }
            | Node::Regexp { .. }
            | Node::OneOf { .. }
            | Node::Range { .. } => Self::leaf(&filter.node, scope),
        }
    }

    /// Whether a batch may hold a match.
    pub fn may_match(&self, probe: &impl Probe) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Text { column, texts } => {
                probe.may_exist(column) && texts.iter().any(|text| probe.may_have(column, text))
            }
            Self::Present { column } => probe.may_exist(column),
            Self::All(children) => children.iter().all(|child| child.may_match(probe)),
            Self::Some(children) => children.iter().any(|child| child.may_match(probe)),
        }
    }

    fn leaf(node: &Node, scope: &Scope<'_>) -> Self {
        let of_field = |field: crate::ecs::mapping::Field| {
            let test = LeafTest::compile(node, &field, scope.now);
            if test.constant().is_some() {
                return Self::Always;
            }
            if test.is_never() {
                return Self::Never;
            }
            match test.exact() {
                Some(texts) => {
                    let texts = texts.iter().map(|text| match &field.key {
                        Some(key) => format!("{key}\0{text}").into(),
                        None => text.clone(),
                    });
                    // Any key of a flattened object may carry the text, so the column cannot be probed.
                    if field.kind == crate::ecs::types::FieldType::Flattened && field.key.is_none() {
                        Self::Present { column: field.path }
                    } else {
                        Self::Text { column: field.path, texts: texts.collect() }
                    }
                }
                None => Self::Present { column: field.path },
            }
        };
        Self::some(
            targets(node, scope.mapping, scope.existing, scope.nested).into_iter().map(of_field).collect(),
        )
    }

    fn all(children: Vec<Self>) -> Self {
        let mut out = Vec::with_capacity(children.len());
        for child in children {
            match child {
                Self::Always => {}
                Self::Never => return Self::Never,
                other => out.push(other),
            }
        }
        match out.len() {
            0 => Self::Always,
            1 => out.pop().unwrap_or(Self::Always),
            _ => Self::All(out.into()),
        }
    }

    fn some(children: Vec<Self>) -> Self {
        let mut out = Vec::with_capacity(children.len());
        for child in children {
            match child {
                Self::Never => {}
                Self::Always => return Self::Always,
                other => out.push(other),
            }
        }
        match out.len() {
            0 => Self::Never,
            1 => out.pop().unwrap_or(Self::Never),
            _ => Self::Some(out.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use serde_json::json;

    use super::{Necessary, Probe};
    use crate::ecs::mapping::Mapping;
    use crate::query::lang::kql::parse_filter;

    /// A batch with these (column, text) pairs.
    struct Known(&'static [(&'static str, &'static str)]);

    impl Probe for Known {
        fn may_have(&self, column: &str, text: &str) -> bool {
            self.0.contains(&(column, text))
        }

        fn may_exist(&self, column: &str) -> bool {
            self.0.iter().any(|(known, _)| *known == column)
        }
    }

    const BATCH: Known = Known(&[("a", "1"), ("a", "2"), ("n", "7"), ("flat", "x\0v"), ("flat", "y\0w")]);

    fn may_match(query: &str) -> bool {
        let mapping = Mapping::from_elasticsearch(&json!({"properties": {
            "a": {"type": "keyword"},
            "b": {"type": "keyword"},
            "n": {"type": "long"},
            "flat": {"type": "flattened"},
        }}))
        .expect("a mapping");
        let filter = parse_filter(query).expect("a query");
        Necessary::of(&filter, &mapping, &[], DateTime::<Utc>::UNIX_EPOCH).may_match(&BATCH)
    }

    #[test]
    fn what_may_be_there_is_searched() {
        for query in [
            "a: 1",
            "a: (9 or 2)",
            "a: 1 and n > 100",
            "not a: 1",
            "a: 9 or not b: 1",
            "flat.x: v",
            "flat: w",
            "a: 9* or n: 8",
            "a: *",
            "",
        ] {
            assert!(may_match(query), "{query}");
        }
    }

    #[test]
    fn what_cannot_be_there_is_skipped() {
        for query in
            ["a: 9", "a: 1 and a: 9", "b: *", "a: 9 or b: x*", "flat.x: w", "unknown: 1", "not a: 1 and b: 1"]
        {
            assert!(!may_match(query), "{query}");
        }
    }
}
