//! Checking what is stored.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::StoreError;
use super::hot;
use super::manifest::Segment;
use super::open::{Inner, Store};
use super::rows::TIMESTAMP;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Checked {
    /// Segments read.
    pub segments: u64,
    /// Events in them.
    pub events: u64,
    /// Hot rows read.
    pub hot: u64,
    /// Segments without checksums, written by an earlier version: damage of them is found only
    /// where they cannot be read. Compacting writes them anew.
    pub without_sums: u64,
    /// Damage.
    pub problems: Vec<Problem>,
    /// Files that belong to nothing, left by a crash; the next start deletes them.
    pub leftovers: Vec<PathBuf>,
}

impl Store {
    /// Reads everything stored and compares it with what the manifest says. `progress` is told
    /// how many segments of how many are done.
    ///
    /// # Errors
    /// When the manifest itself cannot be read; anything else is a [`Problem`].
    pub fn check(&self, mut progress: impl FnMut(u64, u64)) -> Result<Checked, StoreError> {
        let mut found = Checked::default();
        let inner = &self.inner;
        let database = inner.writer().path.clone();
        let verdicts: Vec<String> = inner.writer().run(|c| {
            let mut statement = c.prepare("PRAGMA quick_check")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect()
        })?;
        for verdict in verdicts.into_iter().filter(|verdict| verdict != "ok") {
            found.problems.push(Problem { path: database.clone(), reason: verdict });
        }
        let manifest = inner.manifest()?;
        let total = manifest.indices.values().map(|index| index.segments.len() as u64).sum();
        for index in manifest.indices.values() {
            let rows = inner.writer().run(|c| hot::read(c, index.id, 0, i64::MAX))?;
            for row in rows {
                found.hot += 1;
                if let Err(reason) = hot::decode(&index.name, &row.id, &row.body) {
                    let reason = format!("hot event `{}` of `{}`: {reason}", row.id, index.name);
                    found.problems.push(Problem { path: database.clone(), reason });
                }
            }
            for segment in &index.segments {
                found.segments += 1;
                found.events += segment.bounds.rows;
                found.without_sums += u64::from(segment.sums.is_none());
                if let Err(reason) = inner.check_segment(segment) {
                    let path = inner.segments().join(&segment.file);
                    found.problems.push(Problem { path, reason });
                }
                progress(found.segments, total);
            }
        }
        found.leftovers = inner.orphans()?.into_iter().map(|(path, _)| path).collect();
        Ok(found)
    }
}

impl Store {
    /// Segments whose files are missing or have another size than when they were written. Reads no
    /// file.
    ///
    /// # Errors
    /// When the manifest itself cannot be read.
    pub fn look_for_files(&self) -> Result<Vec<Problem>, StoreError> {
        let inner = &self.inner;
        let manifest = inner.manifest()?;
        let segments = manifest.indices.values().flat_map(|index| &index.segments);
        let found = segments.filter_map(|segment| {
            let reason = inner.look_for(segment).err()?;
            Some(Problem { path: inner.segments().join(&segment.file), reason })
        });
        Ok(found.collect())
    }
}

impl Inner {
    fn look_for(&self, segment: &Segment) -> Result<(), String> {
        let path = self.segments().join(&segment.file);
        let bytes = std::fs::metadata(&path).map_err(|e| e.to_string())?.len();
        if bytes != segment.bytes {
            return Err(format!("it has {bytes} bytes, the manifest says {}", segment.bytes));
        }
        Ok(())
    }

    fn check_segment(&self, segment: &Arc<Segment>) -> Result<(), String> {
        self.look_for(segment)?;
        let path = self.segments().join(&segment.file);
        // A cache of its own: what is on disk is to be read, and what searches use is not to go.
        let cache = Arc::new(super::cache::Cache::new(0));
        let (key, sums) = (segment.key(), segment.sums.clone());
        let aside = path.clone();
        let file = super::segment::read::SegmentFile { path, aside, cache, key, sums };
        file.verify().map_err(|e| e.reason)?;
        let stored = file.group_rows().map_err(|e| e.reason)?;
        let expected: Vec<u64> = segment.groups.iter().map(|bounds| bounds.rows).collect();
        if stored != expected {
            return Err(format!("its row groups have {stored:?} events, the manifest says {expected:?}"));
        }
        for (group, bounds) in segment.groups.iter().enumerate() {
            let rows = usize::try_from(bounds.rows).unwrap_or(usize::MAX);
            let piece = file.piece(group, 0, rows, &segment.paths).map_err(|e| e.reason)?;
            let times = &piece.timestamps;
            if !times.is_sorted() {
                return Err(format!("row group {group} is not sorted by `{TIMESTAMP}`"));
            }
            let ends = (times.first().copied(), times.last().copied());
            if ends != (Some(bounds.timestamp.0), Some(bounds.timestamp.1)) {
                return Err(format!("row group {group} has other bounds of `{TIMESTAMP}` than the manifest"));
            }
            let mut ids: BTreeMap<&str, usize> = BTreeMap::new();
            for (row, id) in piece.ids.iter().enumerate() {
                if let Some(before) = ids.insert(id, row) {
                    return Err(format!("row group {group} has `{id}` in rows {before} and {row}"));
                }
            }
            for (row, source) in piece.sources.iter().enumerate() {
                if serde_json::from_str::<serde::de::IgnoredAny>(source).is_err() {
                    return Err(format!("row {row} of row group {group} is not JSON"));
                }
            }
        }
        Ok(())
    }
}
