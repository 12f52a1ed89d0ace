//! Appending events to the hot rows: one commit for all callers that wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::error::StoreError;
use super::manifest::{self, Manifest};
use super::mappings::{self, Learning};
use super::open::{Inner, Store};
use super::probe::Probe;
use super::rows::TIMESTAMP;
use super::{Appended, hot, instant};
use crate::ecs::document::NewDocument;
use crate::ecs::mapping::{Learned, Mapping};

/// Most bytes of one commit; callers beyond it wait for the next.
const COMMIT_BYTES: usize = 8 * 1024 * 1024;

/// An event ready to be inserted.
struct Entry {
    index: Arc<str>,
    id: String,
    timestamp: i64,
    body: Vec<u8>,
    /// What it teaches the mapping of its index.
    learned: Vec<Learning>,
}

/// Callers that wait for a commit.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<Waiting>,
    turn: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Someone is committing.
    committing: bool,
    next: u64,
    pending: Vec<(u64, Vec<Entry>)>,
    done: BTreeMap<u64, Result<Appended, Arc<StoreError>>>,
}

impl Store {
    /// Adds events to the hot rows; when this returns they are durable, and every snapshot taken from
    /// now on has them. Events whose `_id` the index has already are counted and left out.
    ///
    /// # Errors
    /// When an event cannot be stored or the database cannot be written; then none of `docs` is
    /// stored.
    pub fn append(&self, docs: Vec<NewDocument>) -> Result<Appended, StoreError> {
        if docs.is_empty() {
            return Ok(Appended::default());
        }
        let manifest = self.inner.manifest()?;
        let mut mappings = BTreeMap::new();
        let entries = docs
            .into_iter()
            .map(|doc| {
                let mapping = mappings.entry(Arc::clone(&doc.index)).or_insert_with(|| {
                    manifest
                        .indices
                        .get(&doc.index)
                        .map_or_else(Mapping::ecs, |index| Mapping::clone(&index.mapping))
                });
                self.inner.entry(doc, mapping)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let result = self.inner.enqueue(entries);
        if result.is_ok() {
            self.maintain();
        }
        result
    }
}

/// `@timestamp` of an event, ms.
pub(crate) fn timestamp(doc: &NewDocument) -> i64 {
    doc.flat.values(TIMESTAMP).next().map_or(super::batch::NO_TIME, |leaf| instant::parse(leaf.value))
}

impl Inner {
    fn entry(&self, mut doc: NewDocument, mapping: &mut Mapping) -> Result<Entry, StoreError> {
        if !self.options.originals {
            doc.original = None;
        }
        let body = hot::encode(&doc).map_err(|reason| StoreError::Event {
            index: doc.index.to_string(),
            id: doc.id.clone(),
            reason,
        })?;
        let new =
            doc.flat.iter().filter(|leaf| mapping.learn(leaf.path, leaf.kind, leaf.value) == Learned::Added);
        let learned = new.map(Learning::of).collect();
        Ok(Entry { timestamp: timestamp(&doc), index: doc.index, id: doc.id, body, learned })
    }

    /// Waits for a turn, commits for all who wait, or finds that another caller did.
    fn enqueue(&self, entries: Vec<Entry>) -> Result<Appended, StoreError> {
        let mut state = self.queue.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = state.next;
        state.next += 1;
        state.pending.push((ticket, entries));
        loop {
            if let Some(result) = state.done.remove(&ticket) {
                return result.map_err(|e| StoreError::clone_of(&e));
            }
            if state.committing {
                state = self.queue.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.committing = true;
            let mut bytes = 0;
            let mut take = 0;
            for (_, entries) in &state.pending {
                bytes += entries.iter().map(|entry| entry.body.len()).sum::<usize>();
                take += 1;
                if bytes > COMMIT_BYTES {
                    break;
                }
            }
            let group: Vec<(u64, Vec<Entry>)> = state.pending.drain(..take).collect();
            drop(state);
            let results = self.commit(&group);
            state = self.queue.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.committing = false;
            match results {
                Ok(results) => {
                    for ((ticket, _), appended) in group.iter().zip(results) {
                        state.done.insert(*ticket, Ok(appended));
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    for (ticket, _) in &group {
                        state.done.insert(*ticket, Err(Arc::clone(&error)));
                    }
                }
            }
            self.queue.turn.notify_all();
        }
    }

    /// One transaction for several callers.
    fn commit(&self, group: &[(u64, Vec<Entry>)]) -> Result<Vec<Appended>, StoreError> {
        let manifest = self.manifest()?;
        let mut known: Vec<Vec<bool>> = Vec::with_capacity(group.len());
        let sealed =
            |manifest: &Manifest, after: i64, known: &mut Vec<Vec<bool>>| -> Result<(), StoreError> {
                let mut probes: BTreeMap<Arc<str>, Probe> = BTreeMap::new();
                known.resize_with(group.len(), Vec::new);
                for ((_, entries), known) in group.iter().zip(known.iter_mut()) {
                    known.resize(entries.len(), false);
                    for (entry, known) in entries.iter().zip(known.iter_mut()) {
                        if *known {
                            continue;
                        }
                        let probe = probes
                            .entry(Arc::clone(&entry.index))
                            .or_insert_with(|| Probe::new(self, manifest, &entry.index, None, after));
                        *known = probe.contains(entry.timestamp, &entry.id)?;
                    }
                }
                Ok(())
            };
        sealed(&manifest, 0, &mut known)?;
        let database = self.writer();
        let failed = |e| StoreError::sqlite(&database.path, &e);
        let tx = database.write()?;
        if manifest::version(&tx).map_err(failed)? != manifest.version {
            // Someone sealed meanwhile; only what is new has to be looked at.
            let newer = manifest::load(&tx, &manifest).map_err(failed)?;
            sealed(&newer, manifest.version, &mut known)?;
        }
        let now = self.now();
        let mut results = Vec::with_capacity(group.len());
        let mut indices: BTreeMap<Arc<str>, i64> = BTreeMap::new();
        for ((_, entries), known) in group.iter().zip(&known) {
            let mut appended = Appended::default();
            for (entry, known) in entries.iter().zip(known) {
                let index = match indices.get(&entry.index) {
                    Some(index) => *index,
                    None => {
                        let index = manifest::index_id(&tx, &entry.index).map_err(failed)?;
                        indices.insert(Arc::clone(&entry.index), index);
                        index
                    }
                };
                let inserted =
                    !*known && hot::insert(&tx, index, &entry.id, now, &entry.body).map_err(failed)?;
                if inserted {
                    mappings::learn(&tx, index, &entry.learned).map_err(failed)?;
                    appended.indexed += 1;
                } else {
                    appended.duplicates += 1;
                }
            }
            results.push(appended);
        }
        tx.commit().map_err(failed)?;
        Ok(results)
    }
}
