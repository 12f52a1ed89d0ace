//! Sealing: hot rows become segments.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use rusqlite::params;

use super::error::StoreError;
use super::manifest::{self, Index, NewSegment};
use super::open::{Inner, Store};
use super::options::{GROUP_ROWS, HOT_AGE, HOT_ROWS};
use super::rows::{Group, Rows};
use super::segment::layout::Plan;
use super::segment::write::{Effort, Sealed, SegmentWriter};
use super::{append, hot, instant};

impl Store {
    /// Seals all hot rows; returns how many there were.
    ///
    /// # Errors
    /// When a segment or the manifest cannot be written; the rows then stay hot.
    pub fn seal(&self) -> Result<u64, StoreError> {
        let manifest = self.inner.manifest()?;
        let mut sealed = 0;
        for index in manifest.indices.values() {
            while let rows @ 1.. = self.inner.seal_index(index)? {
                sealed += rows;
            }
        }
        Ok(sealed)
    }

    /// Seals what is due in the background, unless that is going on already.
    pub(crate) fn maintain(&self) {
        if !self.inner.options.background || self.inner.maintaining.swap(true, Ordering::AcqRel) {
            return;
        }
        let store = self.clone();
        let spawned = std::thread::Builder::new().name("tocsin-seal".to_owned()).spawn(move || {
            if let Err(error) = store.inner.seal_due().and_then(|()| store.inner.merge_due()) {
                tracing::warn!(%error, "hot rows could not be sealed; they stay searchable and are tried again");
            }
            store.inner.maintaining.store(false, Ordering::Release);
        });
        if spawned.is_err() {
            self.inner.maintaining.store(false, Ordering::Release);
        }
    }
}

impl Inner {
    /// Seals indices whose hot rows are many or old.
    fn seal_due(&self) -> Result<(), StoreError> {
        let counts = self.writer().run(hot::counts)?;
        let due: Vec<i64> = counts
            .into_iter()
            .filter(|(_, count, .., oldest)| {
                *count >= HOT_ROWS || self.now().saturating_sub(*oldest) >= HOT_AGE
            })
            .map(|(index, ..)| index)
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let manifest = self.manifest()?;
        for index in manifest.indices.values().filter(|index| due.contains(&index.id)) {
            self.seal_index(index)?;
        }
        Ok(())
    }

    /// Seals the oldest hot rows of an index, at most a segment's worth.
    fn seal_index(&self, index: &Index) -> Result<u64, StoreError> {
        let rows = {
            let database = self.writer();
            database.run(|c| hot::read_first(c, index.id, GROUP_ROWS))?
        };
        let Some(last) = rows.last().map(|row| row.seq) else { return Ok(0) };
        let mut days: BTreeMap<i64, Rows> = BTreeMap::new();
        for row in &rows {
            let doc = hot::decode(&index.name, &row.id, &row.body).map_err(|reason| StoreError::Event {
                index: index.name.to_string(),
                id: row.id.to_string(),
                reason,
            })?;
            let day = instant::day(append::timestamp(&doc));
            days.entry(day).or_insert_with(|| Rows::new(&index.mapping)).push(&doc, self.options.originals);
        }
        let files = days
            .into_iter()
            .map(|(day, rows)| Ok((day, self.write_segment(&index.name, day, &rows.finish(None))?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        let database = self.writer();
        let failed = |e| StoreError::sqlite(&database.path, &e);
        let tx = database.write()?;
        let gone = tx
            .execute("DELETE FROM hot WHERE idx = ?1 AND seq <= ?2", params![index.id, last])
            .map_err(failed)?;
        if gone != rows.len() {
            // Another process sealed some of them first; the files written here are dropped.
            return Ok(0);
        }
        let version = manifest::next_version(&tx).map_err(failed)?;
        for (day, sealed) in &files {
            Self::add_segment(&tx, index.id, *day, sealed, version).map_err(failed)?;
        }
        tx.commit().map_err(failed)?;
        for (_, sealed) in files {
            sealed.keep();
        }
        Ok(rows.len() as u64)
    }

    /// Writes one segment of one row group.
    pub(crate) fn write_segment(&self, index: &str, day: i64, group: &Group) -> Result<Sealed, StoreError> {
        let mut writer =
            SegmentWriter::create(&self.segments(), file_name(index, day), Plan::of(group), Effort::Quick)?;
        writer.write(group)?;
        writer.finish()
    }

    /// Names a written segment in the manifest.
    pub(crate) fn add_segment(
        tx: &rusqlite::Connection,
        index: i64,
        day: i64,
        sealed: &Sealed,
        version: i64,
    ) -> Result<i64, rusqlite::Error> {
        let segment = NewSegment {
            index,
            file: &sealed.file,
            day,
            bytes: sealed.bytes,
            groups: &sealed.groups,
            paths: &sealed.paths,
            sums: &sealed.sums,
        };
        manifest::add(tx, &segment, version)
    }
}

/// A folder's name for an index. Index names may come from an input file: nothing in them may mean
/// a path.
pub(crate) fn folder_name(index: &str) -> String {
    use std::fmt::Write;
    let mut folder = String::new();
    for byte in index.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && !folder.is_empty())
        {
            folder.push(char::from(byte));
        } else {
            let written = write!(folder, "%{byte:02X}");
            debug_assert!(written.is_ok(), "writing to a string cannot fail");
        }
    }
    if folder.len() > 200 || folder.is_empty() {
        folder =
            format!("index-{}", uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, index.as_bytes()).simple());
    }
    folder
}

/// A new name for a segment: `<index>/<day>-<random>.parquet`.
pub(crate) fn file_name(index: &str, day: i64) -> String {
    let folder = folder_name(index);
    let date = chrono::DateTime::from_timestamp_millis(day.saturating_mul(instant::DAY))
        .filter(|_| day != i64::MIN)
        .map_or_else(|| "undated".to_owned(), |at| at.format("%Y-%m-%d").to_string());
    format!("{folder}/{date}-{}.parquet", uuid::Uuid::new_v4().simple())
}
