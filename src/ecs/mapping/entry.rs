//! What a mapping says of one path.

use std::sync::Arc;

use crate::ecs::types::FieldType;

/// What a mapping says of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Type of the values.
    pub kind: FieldType,
    /// Longer values are neither searchable nor existing.
    pub ignore_above: Option<u32>,
    /// Values and terms are lower-cased.
    pub lowercase: bool,
    /// Formats of a date, as the mapping spells them.
    pub format: Option<Arc<str>>,
    /// Factor of a scaled float.
    pub scaling_factor: Option<u32>,
    /// The one value of a constant keyword.
    pub constant: Option<Arc<str>>,
    /// Whether it is indexed at all.
    pub searchable: bool,
    /// A multi-field: its values are those of the parent path.
    pub multi: bool,
    /// An alias: the path it stands for.
    pub alias: Option<Arc<str>>,
}

impl Entry {
    /// A field of the given type with that type's defaults.
    pub fn new(kind: FieldType) -> Self {
        Self {
            kind,
            ignore_above: None,
            lowercase: false,
            format: None,
            scaling_factor: None,
            constant: None,
            searchable: true,
            multi: false,
            alias: None,
        }
    }

    /// The same with `ignore_above`.
    #[must_use]
    pub fn ignore_above(mut self, characters: u32) -> Self {
        self.ignore_above = Some(characters);
        self
    }

    /// The same as a multi-field of the path above it.
    #[must_use]
    pub fn multi(mut self) -> Self {
        self.multi = true;
        self
    }

    /// The same, kept but not indexed.
    #[must_use]
    pub fn unsearchable(mut self) -> Self {
        self.searchable = false;
        self
    }
}
