//! Merging small segments of one index and day into one: fewer files to look at, row groups that
//! hold one stretch of time each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::ReadError;
use super::error::StoreError;
use super::manifest::{self, Index, Segment};
use super::open::{Inner, Store};
use super::options::{GROUP_ROWS, GROUP_TEXT, MERGE_AT, SEGMENT_BYTES};
use super::rows::Rows;
use super::seal::file_name;
use super::segment::layout::Plan;
use super::segment::write::{Effort, Sealed, SegmentWriter};

/// What merging did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Compacted {
    /// Segments that were merged.
    pub merged: u64,
    /// Segments they became.
    pub into: u64,
    /// Events in them.
    pub events: u64,
}

impl Store {
    /// Seals the hot rows and merges small segments of each index and day, however few; segments of
    /// an earlier version are written anew.
    ///
    /// # Errors
    /// When a segment cannot be read or written; what was stored stays as it is.
    pub fn compact(&self) -> Result<Compacted, StoreError> {
        self.seal()?;
        let compacted = self.inner.merge_small(2, true)?;
        self.inner.sweep()?;
        Ok(compacted)
    }
}

impl Inner {
    /// Merges days that have many small segments.
    pub(crate) fn merge_due(&self) -> Result<(), StoreError> {
        if self.merge_small(MERGE_AT, false)?.merged > 0 {
            self.sweep()?;
        }
        Ok(())
    }

    fn merge_small(&self, least: usize, renew: bool) -> Result<Compacted, StoreError> {
        let mut total = Compacted::default();
        let manifest = self.manifest()?;
        for index in manifest.indices.values() {
            let mut days: BTreeMap<i64, Vec<Arc<Segment>>> = BTreeMap::new();
            for segment in &index.segments {
                if segment.bytes < SEGMENT_BYTES / 2 || (renew && segment.sums.is_none()) {
                    days.entry(segment.day).or_default().push(Arc::clone(segment));
                }
            }
            for (day, segments) in days {
                let old = renew && segments.iter().any(|segment| segment.sums.is_none());
                if segments.len() < least && !old {
                    continue;
                }
                let done = self.merge(index, day, &segments)?;
                total.merged += done.merged;
                total.into += done.into;
                total.events += done.events;
            }
        }
        Ok(total)
    }

    fn merge(&self, index: &Index, day: i64, segments: &[Arc<Segment>]) -> Result<Compacted, StoreError> {
        let files = self.write_merged(index, day, segments)?;
        let database = self.writer();
        let failed = |e| StoreError::sqlite(&database.path, &e);
        let tx = database.write()?;
        for segment in segments {
            if !manifest::remove(&tx, segment.id, self.now()).map_err(failed)? {
                // Another process merged or retired it; what was written here is dropped.
                return Ok(Compacted::default());
            }
        }
        let version = manifest::next_version(&tx).map_err(failed)?;
        for file in &files {
            Self::add_segment(&tx, index.id, day, file, version).map_err(failed)?;
        }
        tx.commit().map_err(failed)?;
        let done = Compacted {
            merged: segments.len() as u64,
            into: files.len() as u64,
            events: files.iter().flat_map(|file| &file.groups).map(|bounds| bounds.rows).sum(),
        };
        files.into_iter().for_each(Sealed::keep);
        Ok(done)
    }

    /// Writes the rows of several segments in the order of time, a row group at a time, so that
    /// memory holds one row group however large the result is.
    fn write_merged(
        &self,
        index: &Index,
        day: i64,
        segments: &[Arc<Segment>],
    ) -> Result<Vec<Sealed>, StoreError> {
        let mut plan: Option<Plan> = None;
        for segment in segments {
            let found = self.file(segment).plan(&segment.paths)?;
            plan = Some(match plan {
                Some(plan) => plan.join(found),
                None => found,
            });
        }
        let Some(plan) = plan else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        let mut writer: Option<SegmentWriter> = None;
        for cut in self.cuts(segments)? {
            let mut rows = Rows::new(&index.mapping);
            for Range { segment, group, from, to } in cut {
                let Some(segment) = segments.get(segment) else { continue };
                let piece = self.file(segment).piece(group, from, to, &segment.paths)?;
                let added = rows.extend(&piece, |_| true);
                if added != to - from {
                    return Err(self.lost(segment, to - from, added).into());
                }
            }
            let mut open = match writer.take() {
                Some(writer) => writer,
                None => SegmentWriter::create(
                    &self.segments(),
                    file_name(&index.name, day),
                    plan.clone(),
                    Effort::Thorough,
                )?,
            };
            open.write(&rows.finish(None))?;
            if open.bytes() >= SEGMENT_BYTES {
                files.push(open.finish()?);
            } else {
                writer = Some(open);
            }
        }
        if let Some(writer) = writer {
            files.push(writer.finish()?);
        }
        Ok(files)
    }

    fn lost(&self, segment: &Segment, expected: usize, found: usize) -> ReadError {
        ReadError {
            batch: self.segments().join(&segment.file).display().to_string(),
            reason: format!("{found} of {expected} events could be merged: ids repeat; nothing was changed"),
        }
    }

    /// Which rows of which segments make each row group of the result. Rows of a row group are
    /// sorted, so what one of them gives to one row group of the result is one range.
    fn cuts(&self, segments: &[Arc<Segment>]) -> Result<Vec<Vec<Range>>, StoreError> {
        let mut inputs: Vec<(usize, usize)> = Vec::new();
        let mut rows: Vec<(i64, u32, u32)> = Vec::new();
        let mut bytes = 0;
        for (at, segment) in segments.iter().enumerate() {
            bytes += segment.bytes;
            for group in 0..segment.groups.len() {
                let input = u32::try_from(inputs.len()).unwrap_or(u32::MAX);
                inputs.push((at, group));
                let times = self.file(segment).times(group, super::rows::TIMESTAMP)?;
                rows.extend(times.iter().zip(0_u32..).map(|(time, row)| (*time, input, row)));
            }
        }
        rows.sort_unstable();
        // Compressed text is some five times smaller than in memory.
        let heavy = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_mul(5) / rows.len().max(1);
        let size = GROUP_ROWS.min(GROUP_TEXT / heavy.max(1)).max(1024);
        let cuts = rows.chunks(size).map(|chunk| {
            let mut ranges: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
            for (_, input, row) in chunk {
                let range = ranges.entry(*input).or_insert((*row, *row));
                *range = (range.0.min(*row), range.1.max(*row));
            }
            ranges
                .into_iter()
                .filter_map(|(input, (first, last))| {
                    let (segment, group) = *inputs.get(input as usize)?;
                    Some(Range { segment, group, from: first as usize, to: last as usize + 1 })
                })
                .collect()
        });
        Ok(cuts.collect())
    }
}

/// Some rows of a row group.
struct Range {
    segment: usize,
    group: usize,
    from: usize,
    to: usize,
}
