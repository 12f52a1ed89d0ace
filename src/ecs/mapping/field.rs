//! A field as a mapping resolves it.

use std::sync::Arc;

use crate::ecs::types::FieldType;

/// A field as a mapping resolves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// Path whose leaves hold the values: the parent for a multi-field (`process.name.text` →
    /// `process.name`), the root for a key of a flattened object.
    pub path: Arc<str>,
    /// Key below a flattened root (`flattened.request_parameters` + `bucketName`).
    pub key: Option<Arc<str>>,
    /// Type the values are read with. [`FieldType::Object`] and [`FieldType::Nested`] hold fields
    /// instead of values; [`FieldType::Other`] is kept and never matched.
    pub kind: FieldType,
    /// Longer values (in UTF-16 units) are neither searchable nor existing.
    pub ignore_above: Option<u32>,
    /// Values and terms are lower-cased (a `lowercase` normalizer).
    pub lowercase: bool,
    /// The nested object it lies in.
    pub nested: Option<Arc<str>>,
    /// Formats of a date, as the mapping spells them; `None`: Elasticsearch's default.
    pub format: Option<Arc<str>>,
    /// Factor of a scaled float.
    pub scaling_factor: Option<u32>,
    /// The one value that every document has (a `constant_keyword` with a value).
    pub constant: Option<Arc<str>>,
    /// Types it has in other indices of a merged mapping: a value matches when it does under one
    /// of them.
    pub others: Option<Arc<[FieldType]>>,
}

impl Field {
    /// A field whose values lie at its own path, with its type's defaults.
    pub fn new(path: &str, kind: FieldType) -> Self {
        Self {
            path: Arc::from(path),
            key: None,
            kind,
            ignore_above: None,
            lowercase: false,
            nested: None,
            format: None,
            scaling_factor: None,
            constant: None,
            others: None,
        }
    }

    /// The path of its leaves in a document: `path`, with the key for a flattened field.
    pub fn leaf_path(&self) -> Arc<str> {
        match &self.key {
            Some(key) => Arc::from(format!("{}.{key}", self.path)),
            None => Arc::clone(&self.path),
        }
    }

    /// Whether it has different types in the indices of a merged mapping.
    pub fn conflicting(&self) -> bool {
        self.others.is_some()
    }
}
