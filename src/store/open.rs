//! The store's handle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::append::Queue;
use super::bulk::BulkWriter;
use super::cache::Cache;
use super::error::StoreError;
use super::hot::HotBatch;
use super::manifest::{Database, Manifest, Segment};
use super::mappings::Merged;
use super::options::StoreOptions;
use super::segment::read::SegmentFile;
use super::snapshot::Snapshot;
use super::{hot, manifest};

/// The embedded event store of one data folder.
///
/// Several processes may have the same folder open; each may read and write. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// `<data-dir>/events`.
    pub(crate) dir: PathBuf,
    pub(crate) options: StoreOptions,
    pub(crate) cache: Arc<Cache>,
    /// Held during a write transaction.
    writer: Mutex<Database>,
    reader: Mutex<Reader>,
    pub(crate) queue: Queue,
    pub(crate) mappings: Merged,
    /// A thread is sealing or merging.
    pub(crate) maintaining: AtomicBool,
}

struct Reader {
    database: Database,
    state: State,
}

/// Hot rows by index, as batches in order of arrival.
pub(crate) type HotBatches = BTreeMap<Arc<str>, Vec<Arc<HotBatch>>>;

/// What was read last.
#[derive(Clone, Default)]
struct State {
    manifest: Arc<Manifest>,
    hot: Arc<HotBatches>,
    last: i64,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

/// The folder of events in a data folder, and the database in it.
const EVENTS: &str = "events";
const DATABASE: &str = "events.sqlite";

/// Whether `dir` is a data folder: a store lies in it.
pub fn is_data_folder(dir: &Path) -> bool {
    dir.join(EVENTS).join(DATABASE).is_file()
}

impl Store {
    /// Opens the store in the data folder `dir`, creating it when it is new.
    ///
    /// # Errors
    /// When the folder cannot be created or read, or was written by a newer version.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let events = dir.join(EVENTS);
        let segments = events.join("segments");
        std::fs::create_dir_all(&segments).map_err(|e| StoreError::io("create", &segments, e))?;
        let database = events.join(DATABASE);
        let writer = Database::open(&database)?;
        let reader = Database::open(&database)?;
        let cache = Arc::new(Cache::new(options.cache_bytes));
        let inner = Inner {
            dir: events,
            options,
            cache,
            writer: Mutex::new(writer),
            reader: Mutex::new(Reader { database: reader, state: State::default() }),
            queue: Queue::default(),
            mappings: Merged::default(),
            maintaining: AtomicBool::new(false),
        };
        let store = Self { inner: Arc::new(inner) };
        store.inner.sweep()?;
        Ok(store)
    }

    /// A pinned version of everything stored.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let state = self.inner.refresh()?;
        Ok(Snapshot::new(Arc::clone(&self.inner), state.manifest, state.hot))
    }

    /// A writer that seals straight to segments; nothing is acknowledged before
    /// [`BulkWriter::finish`].
    pub fn bulk(&self) -> BulkWriter {
        BulkWriter::new(Arc::clone(&self.inner))
    }

    /// Forgets what was read and not used since [`RESTS`](super::RESTS) rests ago.
    pub fn rest(&self) {
        self.inner.cache.rest();
    }

    /// Bytes of decoded columns held in memory.
    pub fn cached_bytes(&self) -> usize {
        self.inner.cache.bytes()
    }
}

impl Inner {
    pub(crate) fn segments(&self) -> PathBuf {
        self.dir.join("segments")
    }

    /// Files that were merged or retired, until their grace time is over.
    pub(crate) fn retired(&self) -> PathBuf {
        self.dir.join("retired")
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Database> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> i64 {
        self.options.clock.now().timestamp_millis()
    }

    pub(crate) fn file(&self, segment: &Segment) -> SegmentFile {
        SegmentFile {
            path: self.segments().join(&segment.file),
            aside: self.retired().join(&segment.file),
            cache: Arc::clone(&self.cache),
            key: segment.key(),
            sums: segment.sums.clone(),
        }
    }

    /// The newest manifest.
    pub(crate) fn manifest(&self) -> Result<Arc<Manifest>, StoreError> {
        self.refresh().map(|state| state.manifest)
    }

    /// Reads what changed since the last time.
    fn refresh(&self) -> Result<State, StoreError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let before = reader.state.clone();
        let state = {
            let path = reader.database.path.clone();
            let tx = reader.database.read()?;
            let failed = |e| StoreError::sqlite(&path, &e);
            let version = manifest::version(&tx).map_err(failed)?;
            let last = hot::last(&tx).map_err(failed)?;
            if version == before.manifest.version && last == before.last {
                return Ok(before);
            }
            let manifest = if version == before.manifest.version {
                Arc::clone(&before.manifest)
            } else {
                Arc::new(manifest::load(&tx, &before.manifest).map_err(failed)?)
            };
            let mut batches = HotBatches::new();
            for index in manifest.indices.values() {
                let known = before.hot.get(&index.name).map_or(&[][..], Vec::as_slice);
                let chunks = hot::chunks(&tx, index, known).map_err(|e| match e {
                    hot::HotError::Sqlite(e) => failed(e),
                    hot::HotError::Read(e) => StoreError::from(e),
                })?;
                if !chunks.is_empty() {
                    batches.insert(Arc::clone(&index.name), chunks);
                }
            }
            State { manifest, hot: Arc::new(batches), last }
        };
        reader.state = state.clone();
        Ok(state)
    }
}
