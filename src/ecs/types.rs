//! Elasticsearch field types.

/// The type of a mapped field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Exact text.
    Keyword,
    /// Exact text, indexed for wildcards.
    Wildcard,
    /// One value for the whole index.
    ConstantKeyword,
    /// Analysed text.
    Text,
    /// Analysed text without scores.
    MatchOnlyText,
    /// 64-bit integer.
    Long,
    /// 32-bit integer.
    Integer,
    /// 16-bit integer.
    Short,
    /// 8-bit integer.
    Byte,
    /// Unsigned 64-bit integer.
    UnsignedLong,
    /// 64-bit float.
    Double,
    /// 32-bit float.
    Float,
    /// 16-bit float.
    HalfFloat,
    /// Float stored as a scaled integer.
    ScaledFloat,
    /// `true` or `false`.
    Boolean,
    /// Milliseconds since the epoch.
    Date,
    /// Nanoseconds since the epoch.
    DateNanos,
    /// IPv4 or IPv6 address.
    Ip,
    /// An object whose leaves are all keywords.
    Flattened,
    /// An array of objects, each a document of its own.
    Nested,
    /// An inner object.
    Object,
    /// A point on the earth.
    GeoPoint,
    /// A semantic version.
    Version,
    /// Anything else: kept, never matched.
    Other,
}
