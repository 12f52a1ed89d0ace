//! The reference semantics: does a document match a [`Filter`] under a mapping?
//!
//! Invariant: the kernel over columns calls the same leaf test ([`leaf::LeafTest`]) on the same
//! text, so the two can differ only in how rows are combined.

pub mod leaf;

use chrono::{DateTime, Utc};

use crate::ecs::flat::FlatDoc;
use crate::ecs::mapping::Mapping;
use crate::query::plan::Filter;

/// A filter compiled against a mapping and a "now".
#[derive(Debug, Clone)]
pub struct Matcher {}

impl Matcher {
    /// Compiles `filter`: field names are resolved, values coerced, date math evaluated at `now`.
    pub fn compile(filter: &Filter, mapping: &Mapping, now: DateTime<Utc>) -> Self {
        let _ = (filter, mapping, now);
        Self {}
    }

    /// Whether the document with these leaves matches. `source` is needed only by nested filters.
    pub fn matches(&self, doc: &FlatDoc, source: Option<&serde_json::Value>) -> bool {
        let _ = (doc, source);
        false
    }
}
