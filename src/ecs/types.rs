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

impl FieldType {
    /// The type a mapping calls `name`; `None` for types that are not kept apart.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "keyword" => Self::Keyword,
            "wildcard" => Self::Wildcard,
            "constant_keyword" => Self::ConstantKeyword,
            "text" | "annotated_text" | "search_as_you_type" => Self::Text,
            "match_only_text" => Self::MatchOnlyText,
            "long" => Self::Long,
            "integer" => Self::Integer,
            "short" => Self::Short,
            "byte" => Self::Byte,
            "unsigned_long" => Self::UnsignedLong,
            "double" => Self::Double,
            "float" => Self::Float,
            "half_float" => Self::HalfFloat,
            "scaled_float" => Self::ScaledFloat,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "date_nanos" => Self::DateNanos,
            "ip" => Self::Ip,
            "flattened" | "flat_object" => Self::Flattened,
            "nested" => Self::Nested,
            "object" | "passthrough" => Self::Object,
            "geo_point" => Self::GeoPoint,
            "version" => Self::Version,
            "other" => Self::Other,
            _ => return None,
        })
    }

    /// The name a mapping has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Wildcard => "wildcard",
            Self::ConstantKeyword => "constant_keyword",
            Self::Text => "text",
            Self::MatchOnlyText => "match_only_text",
            Self::Long => "long",
            Self::Integer => "integer",
            Self::Short => "short",
            Self::Byte => "byte",
            Self::UnsignedLong => "unsigned_long",
            Self::Double => "double",
            Self::Float => "float",
            Self::HalfFloat => "half_float",
            Self::ScaledFloat => "scaled_float",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateNanos => "date_nanos",
            Self::Ip => "ip",
            Self::Flattened => "flattened",
            Self::Nested => "nested",
            Self::Object => "object",
            Self::GeoPoint => "geo_point",
            Self::Version => "version",
            Self::Other => "other",
        }
    }

    /// The type that stands for its family: types of one family are searched alike, so that
    /// indices which differ only within a family are not in conflict.
    #[must_use]
    pub fn family(self) -> Self {
        match self {
            Self::Wildcard | Self::ConstantKeyword => Self::Keyword,
            Self::MatchOnlyText => Self::Text,
            other => other,
        }
    }

    /// Whether values are compared as whole texts.
    pub fn is_keyword_like(self) -> bool {
        matches!(self, Self::Keyword | Self::Wildcard | Self::ConstantKeyword | Self::Flattened)
    }

    /// Whether values are analysed into tokens.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::MatchOnlyText)
    }

    /// Whether values are whole numbers.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Long | Self::Integer | Self::Short | Self::Byte | Self::UnsignedLong)
    }

    /// Whether values are numbers.
    pub fn is_number(self) -> bool {
        self.is_integer() || matches!(self, Self::Double | Self::Float | Self::HalfFloat | Self::ScaledFloat)
    }

    /// Whether values are instants.
    pub fn is_date(self) -> bool {
        matches!(self, Self::Date | Self::DateNanos)
    }

    /// Whether it holds fields instead of values.
    pub fn is_object(self) -> bool {
        matches!(self, Self::Object | Self::Nested)
    }
}
