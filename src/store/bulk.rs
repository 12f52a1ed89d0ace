//! Bulk ingest: events go to segments without being hot first.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::batch::NO_TIME;
use super::error::StoreError;
use super::manifest::Manifest;
use super::mappings::Learning;
use super::open::Inner;
use super::options::{GROUP_ROWS, GROUP_TEXT};
use super::probe::Probe;
use super::rows::{Group, Rows};
use super::segment::write::Sealed;
use super::{Appended, append, hot, instant, manifest, mappings};
use crate::ecs::document::NewDocument;
use crate::ecs::mapping::Mapping;

/// Writes many events straight to sealed segments, one index and day each.
///
/// What was pushed is durable and visible when [`BulkWriter::finish`] returns; parts of it may be
/// so earlier. A writer that is dropped forgets what it has not sealed.
pub struct BulkWriter {
    inner: Arc<Inner>,
    open: Vec<Building>,
    /// The segment that is being written while the next one fills.
    sealing: Option<JoinHandle<Result<Appended, StoreError>>>,
    appended: Appended,
}

/// A segment in the making.
struct Building {
    index: Arc<str>,
    day: i64,
    rows: Rows,
    /// Segments that may hold the same events, as of `checked`.
    probe: Probe,
    checked: i64,
}

impl Building {
    /// Whether an event is stored already. Segments known to a writer that takes long may have been
    /// merged and deleted since; then those of now are looked at.
    fn knows(&mut self, inner: &Inner, timestamp: i64, id: &str) -> Result<bool, StoreError> {
        match self.probe.contains(timestamp, id) {
            Ok(known) => Ok(known),
            Err(_) => {
                let manifest = inner.manifest()?;
                self.probe = Probe::new(inner, &manifest, &self.index, Some(self.day), -1);
                Ok(self.probe.contains(timestamp, id)?)
            }
        }
    }
}

impl std::fmt::Debug for BulkWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkWriter").field("appended", &self.appended).finish_non_exhaustive()
    }
}

impl BulkWriter {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, open: Vec::new(), sealing: None, appended: Appended::default() }
    }

    /// Takes an event. One whose `_id` its index has already is counted and left out.
    ///
    /// # Errors
    /// When a segment could not be read or written. Events pushed before may be lost with the
    /// writer, none that another call acknowledged.
    pub fn push(&mut self, doc: &NewDocument) -> Result<(), StoreError> {
        let timestamp = append::timestamp(doc);
        let at = self.building(&doc.index, instant::day(timestamp))?;
        let Some(building) = self.open.get_mut(at) else { return Ok(()) };
        if !building.rows.fits(doc) {
            return Err(StoreError::Event {
                index: doc.index.to_string(),
                id: doc.id.clone(),
                reason: "it is too large".to_owned(),
            });
        }
        let known = !building.rows.contains(&doc.id) && building.knows(&self.inner, timestamp, &doc.id)?;
        if known || !building.rows.push(doc, self.inner.options.originals) {
            self.appended.duplicates += 1;
            return Ok(());
        }
        let text: usize = self.open.iter().map(|building| building.rows.text_bytes()).sum();
        let full = self.open.get(at).is_some_and(|building| building.rows.len() >= GROUP_ROWS);
        if full {
            self.seal(at)?;
        } else if text >= GROUP_TEXT {
            let largest =
                (0..self.open.len()).max_by_key(|at| self.open.get(*at).map(|b| b.rows.text_bytes()));
            self.seal(largest.unwrap_or(at))?;
        }
        Ok(())
    }

    /// Takes several events, see [`BulkWriter::push`].
    ///
    /// # Errors
    /// As [`BulkWriter::push`].
    pub fn push_many(&mut self, docs: Vec<NewDocument>) -> Result<(), StoreError> {
        docs.iter().try_for_each(|doc| self.push(doc))
    }

    /// Seals what is left; when this returns, all that was pushed is durable and visible.
    ///
    /// # Errors
    /// When a segment could not be read or written.
    pub fn finish(mut self) -> Result<Appended, StoreError> {
        while !self.open.is_empty() {
            self.seal(0)?;
        }
        self.join()?;
        if self.inner.options.background {
            self.inner.merge_due()?;
        }
        Ok(self.appended)
    }

    /// What became of the events so far; those not yet sealed are not among the indexed ones.
    pub fn so_far(&self) -> Appended {
        self.appended
    }

    fn building(&mut self, index: &Arc<str>, day: i64) -> Result<usize, StoreError> {
        let found = self.open.iter().position(|building| {
            building.day == day && (Arc::ptr_eq(&building.index, index) || building.index == *index)
        });
        if let Some(at) = found {
            return Ok(at);
        }
        let manifest = self.inner.manifest()?;
        let mapping = match manifest.indices.get(index) {
            Some(known) => Arc::clone(&known.mapping),
            None => Arc::new(Mapping::ecs()),
        };
        self.open.push(Building {
            index: Arc::clone(index),
            day,
            rows: Rows::new(&mapping),
            probe: Probe::new(&self.inner, &manifest, index, Some(day), -1),
            checked: manifest.version,
        });
        Ok(self.open.len() - 1)
    }

    fn seal(&mut self, at: usize) -> Result<(), StoreError> {
        if at >= self.open.len() {
            return Ok(());
        }
        let building = self.open.swap_remove(at);
        self.join()?;
        let inner = Arc::clone(&self.inner);
        let thread = std::thread::Builder::new().name("tocsin-seal".to_owned());
        let spawned = thread.spawn(move || inner.seal_bulk(building));
        self.sealing =
            Some(spawned.map_err(|e| StoreError::io("start a thread for", &self.inner.segments(), e))?);
        Ok(())
    }

    /// Waits for the segment that is being written.
    fn join(&mut self) -> Result<(), StoreError> {
        if let Some(sealing) = self.sealing.take() {
            self.appended += sealing.join().unwrap_or_else(|_| {
                Err(StoreError::Segment {
                    path: self.inner.segments(),
                    reason: "writing it ended unexpectedly; please report this".to_owned(),
                })
            })?;
        }
        Ok(())
    }
}

/// What ids have been compared with.
struct Checked {
    manifest: Arc<Manifest>,
    hot: i64,
}

impl Inner {
    fn seal_bulk(&self, building: Building) -> Result<Appended, StoreError> {
        let Building { index, day, mut rows, checked, .. } = building;
        let learned = rows.learned();
        let mut appended = Appended::default();
        let (manifest, hot) = {
            let manifest = self.manifest()?;
            let hot = self.writer().run(hot::last_given)?;
            (manifest, hot)
        };
        let total = rows.len();
        let keep = {
            let newer = Probe::new(self, &manifest, &index, Some(day), checked);
            let hot_ids = self.hot_ids(&manifest, &index, 0)?;
            fresh(total, |row| (rows.timestamps().get(row).copied(), rows.ids().get(row)), &newer, &hot_ids)?
        };
        let mut group = rows.finish(keep.as_deref());
        let mut checked = Checked { manifest, hot };
        while group.rows() > 0 {
            let sealed = self.write_segment(&index, day, &group)?;
            match self.commit_bulk((&index, day), &group, &sealed, &learned, &mut checked)? {
                None => {
                    sealed.keep();
                    appended.indexed += group.rows() as u64;
                    break;
                }
                // Another writer was faster with some of these events.
                Some(keep) => group = group.retain(&keep),
            }
        }
        appended.duplicates = total as u64 - appended.indexed;
        Ok(appended)
    }

    /// Names a segment in the manifest, unless events were stored meanwhile that it has too: then
    /// which of its rows are still new.
    fn commit_bulk(
        &self,
        (index, day): (&Arc<str>, i64),
        group: &Group,
        sealed: &Sealed,
        learned: &[Learning],
        checked: &mut Checked,
    ) -> Result<Option<Vec<bool>>, StoreError> {
        let database = self.writer();
        let failed = |e| StoreError::sqlite(&database.path, &e);
        let tx = database.write()?;
        let id = manifest::index_id(&tx, index).map_err(failed)?;
        let mut newer = Probe::default();
        let mut manifest = Arc::clone(&checked.manifest);
        if manifest::version(&tx).map_err(failed)? != manifest.version {
            let now = Arc::new(manifest::load(&tx, &manifest).map_err(failed)?);
            newer = Probe::new(self, &now, index, Some(day), manifest.version);
            manifest = now;
        }
        let hot_ids: std::collections::HashSet<String> =
            hot::ids_after(&tx, id, checked.hot).map_err(failed)?.into_iter().collect();
        let hot = hot::last_given(&tx).map_err(failed)?;
        let row = |row: usize| (group.timestamps.get(row).copied(), group.ids.get(row));
        if let Some(keep) = fresh(group.rows(), row, &newer, &hot_ids)? {
            *checked = Checked { manifest, hot };
            return Ok(Some(keep));
        }
        mappings::learn(&tx, id, learned).map_err(failed)?;
        let version = manifest::next_version(&tx).map_err(failed)?;
        Self::add_segment(&tx, id, day, sealed, version).map_err(failed)?;
        tx.commit().map_err(failed)?;
        Ok(None)
    }

    fn hot_ids(
        &self,
        manifest: &Manifest,
        index: &str,
        after: i64,
    ) -> Result<std::collections::HashSet<String>, StoreError> {
        let Some(index) = manifest.indices.get(index) else { return Ok(std::collections::HashSet::new()) };
        let ids = self.writer().run(|c| hot::ids_after(c, index.id, after))?;
        Ok(ids.into_iter().collect())
    }
}

/// Which rows are neither in `newer` nor hot; `None` when all are new.
fn fresh<'a>(
    rows: usize,
    row: impl Fn(usize) -> (Option<i64>, &'a str),
    newer: &Probe,
    hot: &std::collections::HashSet<String>,
) -> Result<Option<Vec<bool>>, StoreError> {
    if newer.is_empty() && hot.is_empty() {
        return Ok(None);
    }
    let mut all = true;
    let mut keep = Vec::with_capacity(rows);
    for at in 0..rows {
        let (timestamp, id) = row(at);
        let new = !hot.contains(id) && !newer.contains(timestamp.unwrap_or(NO_TIME), id)?;
        all &= new;
        keep.push(new);
    }
    Ok((!all).then_some(keep))
}
