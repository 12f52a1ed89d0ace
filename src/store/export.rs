//! Taking events out again, as lines of JSON or as Parquet files of the store's own layout.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::Batch;
use super::error::StoreError;
use super::rows::{Group, Rows};
use super::segment::layout::Plan;
use super::segment::write::{Effort, SegmentWriter};
use super::snapshot::{Snapshot, TimeBounds};
use crate::ecs::document::NewDocument;
use crate::ecs::flat::FlatDoc;

/// Rows read at a time.
const CHUNK: usize = 2_048;
/// Rows of one exported Parquet file.
const FILE_ROWS: usize = super::options::GROUP_ROWS;

impl Snapshot {
    /// Writes the events of `indices` within `bounds` as `{"_index","_id","_source"}`, a line
    /// each, batch by batch. Returns how many.
    ///
    /// # Errors
    /// When a segment cannot be read or `out` cannot be written.
    pub fn export_ndjson(
        &self,
        indices: &[Arc<str>],
        bounds: TimeBounds,
        out: &mut impl Write,
    ) -> Result<u64, StoreError> {
        let failed = |e| StoreError::io("write", Path::new("the export"), e);
        let mut written = 0;
        for batch in self.for_one_pass().batches(indices, bounds) {
            let rows = within(&*batch, bounds)?;
            let index = text(batch.index());
            for rows in rows.chunks(CHUNK) {
                for (id, source) in batch.ids(rows)?.iter().zip(batch.sources(rows)?) {
                    let id = text(id);
                    writeln!(out, "{{\"_index\":{index},\"_id\":{id},\"_source\":{source}}}")
                        .map_err(failed)?;
                    written += 1;
                }
            }
        }
        out.flush().map_err(failed)?;
        Ok(written)
    }

    /// Writes the events of `indices` within `bounds` as Parquet files into the folder `dir`.
    /// Returns how many events, and the files.
    ///
    /// # Errors
    /// When a segment cannot be read or a file cannot be written.
    pub fn export_parquet(
        &self,
        indices: &[Arc<str>],
        bounds: TimeBounds,
        dir: &Path,
    ) -> Result<(u64, Vec<PathBuf>), StoreError> {
        let mut written = 0;
        let mut files = Vec::new();
        for index in indices {
            let mapping = self.mapping(std::slice::from_ref(index));
            let mut rows = Rows::new(&mapping);
            for batch in self.for_one_pass().batches(std::slice::from_ref(index), bounds) {
                for chunk in within(&*batch, bounds)?.chunks(CHUNK) {
                    for document in batch.documents(chunk)? {
                        let mut source = (*document.source).clone();
                        let original = take_original(&mut source);
                        let doc = NewDocument {
                            index: Arc::clone(&document.index),
                            id: document.id.to_string(),
                            flat: FlatDoc::from_value(&source),
                            source: source.to_string(),
                            original,
                        };
                        rows.push(&doc, true);
                    }
                    if rows.len() >= FILE_ROWS || rows.text_bytes() >= super::options::GROUP_TEXT {
                        let full = std::mem::replace(&mut rows, Rows::new(&mapping));
                        let group = full.finish(None);
                        written += group.rows() as u64;
                        files.push(write(dir, index, files.len(), &group)?);
                    }
                }
            }
            if rows.len() > 0 {
                let group = rows.finish(None);
                written += group.rows() as u64;
                files.push(write(dir, index, files.len(), &group)?);
            }
        }
        Ok((written, files))
    }
}

/// A text as JSON.
fn text(text: &str) -> serde_json::Value {
    serde_json::Value::from(text)
}

fn write(dir: &Path, index: &str, number: usize, group: &Group) -> Result<PathBuf, StoreError> {
    let name = format!("{}-{number:05}.parquet", super::seal::folder_name(index));
    let path = dir.join(&name);
    let mut writer = SegmentWriter::create(dir, name, Plan::of(group), Effort::Thorough)?;
    writer.write(group)?;
    writer.finish()?.keep();
    Ok(path)
}

/// Rows of a batch within bounds.
fn within(batch: &dyn Batch, bounds: TimeBounds) -> Result<Vec<u32>, StoreError> {
    let timestamps = batch.timestamps()?;
    let ingested = if bounds.ingested.is_some() { Some(batch.ingested()?) } else { None };
    let inside = |at: i64, bounds: (i64, i64)| bounds.0 <= at && at <= bounds.1;
    Ok((0_u32..)
        .zip(timestamps.iter())
        .filter(|(row, at)| {
            bounds.timestamp.is_none_or(|bounds| inside(**at, bounds))
                && bounds.ingested.is_none_or(|bounds| {
                    let arrived = ingested.as_ref().and_then(|times| times.get(*row as usize)).copied();
                    let arrived = arrived.filter(|ms| *ms != super::batch::NO_TIME).unwrap_or(**at);
                    inside(arrived, bounds)
                })
        })
        .map(|(row, _)| row)
        .collect())
}

fn take_original(source: &mut serde_json::Value) -> Option<String> {
    let root = source.as_object_mut()?;
    let mut found = root.shift_remove("event.original");
    if found.is_none()
        && let Some(event) = root.get_mut("event").and_then(serde_json::Value::as_object_mut)
    {
        found = event.shift_remove("original");
        if event.is_empty() && found.is_some() {
            root.shift_remove("event");
        }
    }
    match found? {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    }
}
