//! A stored event.

use std::sync::Arc;

use serde_json::Value;

use super::flat::{FlatDoc, LeafKind, LeafSink};

/// The name under which filters ask for [`Document::id`].
pub const ID: &str = "_id";
/// The name under which filters ask for [`Document::index`].
pub const INDEX: &str = "_index";

/// An event as it lies in an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Concrete index it is stored in.
    pub index: Arc<str>,
    /// Its `_id`.
    pub id: Arc<str>,
    /// Its `_source`.
    pub source: Arc<Value>,
}

impl Document {
    /// A document of the given index and id.
    pub fn new(index: impl Into<Arc<str>>, id: impl Into<Arc<str>>, source: Value) -> Self {
        Self { index: index.into(), id: id.into(), source: Arc::new(source) }
    }

    /// The leaves of the source, and [`ID`] and [`INDEX`] beside them, as filters see a document.
    pub fn flat(&self) -> FlatDoc {
        let mut flat = FlatDoc::from_value(&self.source);
        flat.leaf(ID, LeafKind::String, &self.id);
        flat.leaf(INDEX, LeafKind::String, &self.index);
        flat
    }
}

/// An event on its way into an index.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDocument {
    /// Index it goes to.
    pub index: Arc<str>,
    /// Its `_id`: the source's own identity, so that reading it again adds nothing.
    pub id: String,
    /// The `_source` as JSON text, without `event.original`.
    pub source: String,
    /// `event.original`, when there is one: stored once, beside the source.
    pub original: Option<String>,
    /// The leaves of the source (without `event.original`, which ECS does not index).
    pub flat: super::flat::FlatDoc,
}
