//! A document as a list of leaves.

/// What a leaf was in JSON. `null`, `[]` and `{}` are no leaves: they are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum LeafKind {
    /// A string.
    String,
    /// A number, kept as the text it had.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// One value of one field. Arrays give several leaves with one path; dotted and nested spelling
/// give the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf<'a> {
    /// Dotted path.
    pub path: &'a str,
    /// What it was in JSON.
    pub kind: LeafKind,
    /// Its text: the string's content, or the number or boolean as written.
    pub value: &'a str,
}

/// Takes the leaves of one document, in any order.
pub trait LeafSink {
    /// Takes one leaf.
    fn leaf(&mut self, path: &str, kind: LeafKind, value: &str);
}

/// The leaves of one document, in the order they were met.
///
/// All text lies in one buffer: a document has some sixty leaves, and two allocations for each
/// would cost more than reading it.
#[derive(Clone, Default)]
pub struct FlatDoc {
    text: String,
    entries: Vec<Entry>,
}

/// Where a leaf lies in [`FlatDoc::text`]: path, then value.
#[derive(Debug, Clone, Copy)]
struct Entry {
    path: u32,
    path_length: u32,
    value: u32,
    value_length: u32,
    kind: LeafKind,
}

impl LeafSink for FlatDoc {
    fn leaf(&mut self, path: &str, kind: LeafKind, value: &str) {
        // Values of one array follow each other: they share the text of their path.
        let (path_start, path_length) = match self.entries.last() {
            Some(last) if self.slice(last.path, last.path_length) == path => (last.path, last.path_length),
            _ => self.put(path),
        };
        let (value, value_length) = self.put(value);
        self.entries.push(Entry { path: path_start, path_length, value, value_length, kind });
    }
}

impl FlatDoc {
    /// The leaves of a JSON object. Nesting deeper than [`crate::base::limits::JSON_NESTING`] is
    /// left out.
    pub fn from_value(value: &serde_json::Value) -> Self {
        let mut out = Self::default();
        let mut path = String::new();
        flatten(value, &mut path, 0, &mut out);
        out
    }

    /// An empty document with room for `leaves` leaves of `bytes` bytes of text in all.
    pub fn with_capacity(leaves: usize, bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), entries: Vec::with_capacity(leaves) }
    }

    /// All leaves, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Leaf<'_>> {
        self.entries.iter().map(|entry| Leaf {
            path: self.slice(entry.path, entry.path_length),
            kind: entry.kind,
            value: self.slice(entry.value, entry.value_length),
        })
    }

    /// The values of `path`, in order.
    pub fn values<'a>(&'a self, path: &'a str) -> impl Iterator<Item = Leaf<'a>> {
        self.iter().filter(move |leaf| leaf.path == path)
    }

    /// Number of leaves.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no leaf.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Approximate heap size, bytes.
    pub fn size(&self) -> usize {
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Appends `text` and says where it lies. An event is far below the 4 GiB that `u32` reaches
    /// ([`crate::base::limits::EVENT_BYTES`]).
    fn put(&mut self, text: &str) -> (u32, u32) {
        let start = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        self.text.push_str(text);
        (start, u32::try_from(text.len()).unwrap_or(0))
    }

    fn slice(&self, start: u32, length: u32) -> &str {
        let start = start as usize;
        self.text.get(start..start + length as usize).unwrap_or_default()
    }
}

impl std::fmt::Debug for FlatDoc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for FlatDoc {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for FlatDoc {}

/// Sends every leaf of `value` below `path` to `sink`.
pub fn flatten(value: &serde_json::Value, path: &mut String, depth: usize, sink: &mut impl LeafSink) {
    use serde_json::Value;
    if depth > crate::base::limits::JSON_NESTING {
        return;
    }
    match value {
        Value::Null => {}
        Value::Bool(b) => sink.leaf(path, LeafKind::Boolean, if *b { "true" } else { "false" }),
        Value::Number(n) => sink.leaf(path, LeafKind::Number, &n.to_string()),
        Value::String(s) => sink.leaf(path, LeafKind::String, s),
        Value::Array(items) => {
            for item in items {
                flatten(item, path, depth + 1, sink);
            }
        }
        Value::Object(map) => {
            let length = path.len();
            for (key, item) in map {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
                flatten(item, path, depth + 1, sink);
                path.truncate(length);
            }
        }
    }
}
