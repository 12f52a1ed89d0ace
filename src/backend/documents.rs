//! Documents that were hits lately. Overlapping windows return the same events again and again;
//! reading and parsing them each time would cost more than finding them.

use rustc_hash::FxHashMap;

use crate::ecs::document::Document;

/// Bounded in bytes; when full, everything not used since the last time it was full goes.
#[derive(Debug)]
pub(super) struct DocumentCache {
    young: FxHashMap<(u64, u32), (Document, usize)>,
    old: FxHashMap<(u64, u32), (Document, usize)>,
    young_bytes: usize,
    limit: usize,
}

impl DocumentCache {
    /// An empty cache of at most `limit` bytes (approximately); 0 remembers nothing.
    pub(super) fn new(limit: usize) -> Self {
        Self { young: FxHashMap::default(), old: FxHashMap::default(), young_bytes: 0, limit }
    }

    /// The document at a row of a batch, when it is remembered.
    pub(super) fn get(&mut self, batch: u64, row: u32) -> Option<Document> {
        let key = (batch, row);
        if let Some((document, _)) = self.young.get(&key) {
            return Some(document.clone());
        }
        let (document, bytes) = self.old.remove(&key)?;
        self.keep(key, document.clone(), bytes);
        Some(document)
    }

    /// Remembers a document.
    pub(super) fn put(&mut self, batch: u64, row: u32, document: &Document) {
        if self.limit == 0 {
            return;
        }
        let bytes = size(&document.source) + 128;
        self.keep((batch, row), document.clone(), bytes);
    }

    fn keep(&mut self, key: (u64, u32), document: Document, bytes: usize) {
        if self.young_bytes + bytes > self.limit / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(key, (document, bytes));
    }
}

/// Approximate heap size of a JSON value, bytes.
fn size(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 32,
        Value::String(text) => 32 + text.len(),
        Value::Array(items) => 32 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => 32 + map.iter().map(|(k, v)| 48 + k.len() + size(v)).sum::<usize>(),
    }
}
