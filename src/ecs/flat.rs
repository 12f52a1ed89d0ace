//! A document as a list of leaves.

use std::sync::Arc;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Dotted path.
    pub path: Arc<str>,
    /// What it was in JSON.
    pub kind: LeafKind,
    /// Its text: the string's content, or the number or boolean as written.
    pub value: Box<str>,
}

/// Takes the leaves of one document, in any order.
pub trait LeafSink {
    /// Takes one leaf.
    fn leaf(&mut self, path: &str, kind: LeafKind, value: &str);
}

/// The leaves of one document, in the order they were met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlatDoc {
    /// All leaves.
    pub leaves: Vec<Leaf>,
}

impl LeafSink for FlatDoc {
    fn leaf(&mut self, path: &str, kind: LeafKind, value: &str) {
        self.leaves.push(Leaf { path: Arc::from(path), kind, value: Box::from(value) });
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

    /// The values of `path`, in order.
    pub fn values<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Leaf> + 'a {
        self.leaves.iter().filter(move |leaf| &*leaf.path == path)
    }
}

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
