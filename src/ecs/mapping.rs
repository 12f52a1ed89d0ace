//! Mappings: which type a field has, and where its values lie.

use std::sync::Arc;

use super::types::FieldType;

/// A field as a mapping resolves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// Path whose leaves hold the values: the parent for a multi-field (`process.name.text` →
    /// `process.name`), the root for a key of a flattened object.
    pub path: Arc<str>,
    /// Key below a flattened root (`flattened.request_parameters` + `bucketName`).
    pub key: Option<Arc<str>>,
    /// Type the values are read with.
    pub kind: FieldType,
    /// Longer values (in characters) are neither searchable nor existing.
    pub ignore_above: Option<u32>,
    /// Values and terms are lower-cased (a `lowercase` normalizer).
    pub lowercase: bool,
    /// The nested object it lies in.
    pub nested: Option<Arc<str>>,
}

/// Field types of an index: ECS, then what a user's mapping says, then what was learned from the
/// documents by the rules of `ecs@mappings`.
#[derive(Debug, Clone, Default)]
pub struct Mapping {}

impl Mapping {
    /// The ECS mapping with the fields of the CloudTrail data stream and of alerts.
    pub fn ecs() -> Self {
        Self::default()
    }

    /// The field `path` names; `None` when nothing is known of it.
    pub fn resolve(&self, path: &str) -> Option<Field> {
        let _ = path;
        None
    }
}
