//! Documents by name, and documents that were hits lately. Overlapping windows return the same events again and again;
//! reading and parsing them each time would cost more than finding them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{BackendError, DocumentRef};
use crate::ecs::document::Document;
use crate::store::RESTS;
use crate::store::batch::Batch;

/// The documents of these names, in the order asked. Reads the ids of every batch of their
/// indices: for a few documents at a time.
pub(super) fn by_name(
    batches: &[Arc<dyn Batch>],
    names: &[DocumentRef],
) -> Result<Vec<Option<Document>>, BackendError> {
    let mut places: FxHashMap<&DocumentRef, Vec<usize>> = FxHashMap::default();
    for (place, name) in names.iter().enumerate() {
        places.entry(name).or_default().push(place);
    }
    let mut found = vec![None; names.len()];
    for batch in batches {
        if !names.iter().any(|name| name.index == *batch.index()) {
            continue;
        }
        let rows: Vec<u32> = (0..u32::try_from(batch.rows()).unwrap_or(u32::MAX)).collect();
        let mut wanted = Vec::new();
        for (row, id) in rows.iter().zip(batch.ids(&rows)?) {
            let name = DocumentRef { index: Arc::clone(batch.index()), id };
            if let Some(places) = places.get(&name) {
                wanted.push((*row, places));
            }
        }
        let rows: Vec<u32> = wanted.iter().map(|(row, _)| *row).collect();
        for ((_, places), document) in wanted.into_iter().zip(batch.documents(&rows)?) {
            for place in places {
                if let Some(slot) = found.get_mut(*place) {
                    *slot = Some(document.clone());
                }
            }
        }
    }
    Ok(found)
}

/// Bounded in bytes; when full, everything not used since the last time it was full goes.
#[derive(Debug)]
pub(super) struct DocumentCache {
    young: FxHashMap<(u64, u32), (Document, usize)>,
    old: FxHashMap<(u64, u32), (Document, usize)>,
    young_bytes: usize,
    limit: usize,
    rests: usize,
}

impl DocumentCache {
    /// An empty cache of at most `limit` bytes (approximately); 0 remembers nothing.
    pub(super) fn new(limit: usize) -> Self {
        Self { young: FxHashMap::default(), old: FxHashMap::default(), young_bytes: 0, limit, rests: 0 }
    }

    /// Forgets what was not used since the last time; every so many rests.
    pub(super) fn rest(&mut self) {
        self.rests += 1;
        if self.rests.is_multiple_of(RESTS / 2) {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
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
