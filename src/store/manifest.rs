//! The manifest: which segments are live, which indices there are and how their fields are mapped.
//!
//! It lives in SQLite (`events.sqlite`), next to the hot rows, so that sealing rows, adding a
//! segment and removing others is one transaction. Every change of it has a version; a reader
//! keeps the version it read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use rustc_hash::FxHashMap;

use super::error::StoreError;
use super::rows::Bounds;
use super::segment::read::GROUPS;
use super::segment::sums::{self, Sums};
use crate::ecs::mapping::Mapping;

/// Format of the data folder; a newer one is refused.
pub(crate) const FORMAT: i64 = 1;

/// How long a writer waits for another process, ms. Transactions are short: files are written
/// before they begin.
const BUSY: Duration = Duration::from_secs(30);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS idx (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    mapping TEXT NOT NULL DEFAULT '', mapping_version INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS path (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS segment (
    id INTEGER PRIMARY KEY AUTOINCREMENT, idx INTEGER NOT NULL, file TEXT NOT NULL UNIQUE,
    day INTEGER NOT NULL, bytes INTEGER NOT NULL, bounds BLOB NOT NULL, paths BLOB NOT NULL,
    added INTEGER NOT NULL, removed_at INTEGER, sums BLOB);
CREATE TABLE IF NOT EXISTS hot (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, idx INTEGER NOT NULL, id TEXT NOT NULL,
    at INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (idx, id));
CREATE INDEX IF NOT EXISTS hot_order ON hot (idx, seq);
";

/// A sealed segment as the manifest knows it.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) id: i64,
    pub(crate) index: Arc<str>,
    /// Below the folder of segments.
    pub(crate) file: String,
    /// Day of its events, see [`super::instant::day`].
    pub(crate) day: i64,
    pub(crate) bytes: u64,
    pub(crate) groups: Vec<Bounds>,
    pub(crate) bounds: Bounds,
    /// Field paths with values, sorted.
    pub(crate) paths: Arc<[Arc<str>]>,
    /// Manifest version that added it.
    pub(crate) added: i64,
    /// Checksums of its file; `None`: it was written by a version that took none.
    pub(crate) sums: Option<Sums>,
}

impl Segment {
    /// The key its batches' keys start from.
    pub(crate) fn key(&self) -> u64 {
        u64::try_from(self.id).unwrap_or(0).saturating_mul(GROUPS)
    }
}

/// One index.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) id: i64,
    pub(crate) name: Arc<str>,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) mapping_version: i64,
    /// By smallest timestamp.
    pub(crate) segments: Vec<Arc<Segment>>,
}

/// One version of the manifest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manifest {
    pub(crate) version: i64,
    pub(crate) indices: BTreeMap<Arc<str>, Index>,
}

/// A segment to be added.
#[derive(Debug)]
pub(crate) struct NewSegment<'a> {
    pub(crate) index: i64,
    pub(crate) file: &'a str,
    pub(crate) day: i64,
    pub(crate) bytes: u64,
    pub(crate) groups: &'a [Bounds],
    pub(crate) paths: &'a [Arc<str>],
    pub(crate) sums: &'a [u64],
}

/// The database file and one connection to it.
pub(crate) struct Database {
    pub(crate) path: PathBuf,
    pub(crate) connection: Connection,
}

impl Database {
    /// Opens or creates the database of `<data-dir>/events`.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |e: &rusqlite::Error| StoreError::sqlite(path, e);
        let connection = Connection::open(path).map_err(|e| failed(&e))?;
        connection.busy_timeout(BUSY).map_err(|e| failed(&e))?;
        let database = Self { path: path.to_owned(), connection };
        let found: i64 = database.run(|c| c.pragma_query_value(None, "user_version", |row| row.get(0)))?;
        if found > FORMAT {
            let folder = path.parent().and_then(Path::parent).unwrap_or(path);
            return Err(StoreError::Newer { path: folder.to_owned(), found, known: FORMAT });
        }
        database.run(|c| {
            c.pragma_update(None, "journal_mode", "WAL")?;
            c.pragma_update(None, "synchronous", "FULL")?;
            c.pragma_update(None, "cache_size", -4096)?;
            c.set_prepared_statement_cache_capacity(64);
            Ok(())
        })?;
        if found < FORMAT {
            database.run(|c| {
                let tx = rusqlite::Transaction::new_unchecked(c, TransactionBehavior::Immediate)?;
                tx.execute_batch(SCHEMA)?;
                tx.execute("INSERT OR IGNORE INTO meta VALUES ('version', 0)", [])?;
                tx.pragma_update(None, "user_version", FORMAT)?;
                tx.commit()
            })?;
        }
        database.run(|c| {
            let has = |c: &Connection| {
                c.query_row("SELECT 1 FROM pragma_table_info('segment') WHERE name = 'sums'", [], |_| Ok(()))
                    .optional()
            };
            if has(c)?.is_none() {
                let tx = rusqlite::Transaction::new_unchecked(c, TransactionBehavior::Immediate)?;
                if has(&tx)?.is_none() {
                    tx.execute("ALTER TABLE segment ADD COLUMN sums BLOB", [])?;
                }
                tx.commit()?;
            }
            Ok(())
        })?;
        Ok(database)
    }

    /// Runs statements, naming the database in an error.
    pub(crate) fn run<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        work(&self.connection).map_err(|e| StoreError::sqlite(&self.path, &e))
    }

    /// A transaction that writes.
    pub(crate) fn write(&self) -> Result<rusqlite::Transaction<'_>, StoreError> {
        rusqlite::Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)
            .map_err(|e| StoreError::sqlite(&self.path, &e))
    }

    /// A transaction that reads one version of everything.
    pub(crate) fn read(&self) -> Result<rusqlite::Transaction<'_>, StoreError> {
        rusqlite::Transaction::new_unchecked(&self.connection, TransactionBehavior::Deferred)
            .map_err(|e| StoreError::sqlite(&self.path, &e))
    }
}

/// The version of the manifest.
pub(crate) fn version(c: &Connection) -> Result<i64, rusqlite::Error> {
    c.prepare_cached("SELECT value FROM meta WHERE key = 'version'")?.query_row([], |row| row.get(0))
}

/// Makes a new version; call it in the transaction that changes anything readers must see.
pub(crate) fn next_version(c: &Connection) -> Result<i64, rusqlite::Error> {
    c.execute("UPDATE meta SET value = value + 1 WHERE key = 'version'", [])?;
    version(c)
}

/// The number of an index, which is created when it is new.
pub(crate) fn index_id(c: &Connection, name: &str) -> Result<i64, rusqlite::Error> {
    let find = |c: &Connection| {
        c.prepare_cached("SELECT id FROM idx WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
    };
    if let Some(id) = find(c)? {
        return Ok(id);
    }
    c.execute("INSERT INTO idx (name) VALUES (?1)", [name])?;
    next_version(c)?;
    Ok(c.last_insert_rowid())
}

/// Adds a segment; the caller makes the version.
pub(crate) fn add(c: &Connection, segment: &NewSegment<'_>, version: i64) -> Result<i64, rusqlite::Error> {
    let mut paths = Vec::with_capacity(segment.paths.len() * 4);
    for path in segment.paths {
        let path = path_id(c, path)?;
        paths.extend_from_slice(&u32::try_from(path).unwrap_or(0).to_le_bytes());
    }
    c.prepare_cached(
        "INSERT INTO segment (idx, file, day, bytes, bounds, paths, added, sums)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        segment.index,
        segment.file,
        segment.day,
        i64::try_from(segment.bytes).unwrap_or(i64::MAX),
        encode_bounds(segment.groups),
        paths,
        version,
        sums::encode(segment.sums)
    ])?;
    Ok(c.last_insert_rowid())
}

fn path_id(c: &Connection, path: &str) -> Result<i64, rusqlite::Error> {
    let found = c
        .prepare_cached("SELECT id FROM path WHERE path = ?1")?
        .query_row([path], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    c.prepare_cached("INSERT INTO path (path) VALUES (?1)")?.execute([path])?;
    Ok(c.last_insert_rowid())
}

/// Takes a segment out of the manifest; its file stays until the grace time is over. `false` when
/// another process already did.
pub(crate) fn remove(c: &Connection, id: i64, now: i64) -> Result<bool, rusqlite::Error> {
    let changed = c
        .prepare_cached("UPDATE segment SET removed_at = ?2 WHERE id = ?1 AND removed_at IS NULL")?
        .execute([id, now])?;
    Ok(changed == 1)
}

fn encode_bounds(groups: &[Bounds]) -> Vec<u8> {
    groups
        .iter()
        .flat_map(|b| {
            let rows = i64::try_from(b.rows).unwrap_or(i64::MAX);
            let not = i64::try_from(b.not_ingested).unwrap_or(i64::MAX);
            [rows, b.timestamp.0, b.timestamp.1, b.ingested.0, b.ingested.1, not]
        })
        .flat_map(i64::to_le_bytes)
        .collect()
}

fn decode_bounds(bytes: &[u8]) -> Vec<Bounds> {
    let (numbers, _) = bytes.as_chunks::<8>();
    let numbers: Vec<i64> = numbers.iter().map(|b| i64::from_le_bytes(*b)).collect();
    let (groups, _) = numbers.as_chunks::<6>();
    groups
        .iter()
        .map(|[rows, t0, t1, i0, i1, not]| Bounds {
            rows: u64::try_from(*rows).unwrap_or(0),
            timestamp: (*t0, *t1),
            ingested: (*i0, *i1),
            not_ingested: u64::try_from(*not).unwrap_or(0),
        })
        .collect()
}

/// Reads the manifest; `before` gives what need not be read again.
pub(crate) fn load(c: &Connection, before: &Manifest) -> Result<Manifest, rusqlite::Error> {
    let version = version(c)?;
    let mut indices: BTreeMap<Arc<str>, Index> = BTreeMap::new();
    let mut names: FxHashMap<i64, Arc<str>> = FxHashMap::default();
    let mut statement = c.prepare_cached("SELECT id, name, mapping_version FROM idx")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, name, mapping_version): (i64, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let name: Arc<str> = Arc::from(name);
        let known = before.indices.get(&name).filter(|index| index.mapping_version == mapping_version);
        let mapping = match known {
            Some(index) => Arc::clone(&index.mapping),
            None => Arc::new(super::mappings::load(c, id)?),
        };
        names.insert(id, Arc::clone(&name));
        let index = Index { id, name: Arc::clone(&name), mapping, mapping_version, segments: Vec::new() };
        indices.insert(name, index);
    }
    let mut known: FxHashMap<i64, Arc<Segment>> = FxHashMap::default();
    for segment in before.indices.values().flat_map(|index| &index.segments) {
        known.insert(segment.id, Arc::clone(segment));
    }
    let mut shapes = Shapes::default();
    let mut statement = c.prepare_cached("SELECT id, idx FROM segment WHERE removed_at IS NULL")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, index): (i64, i64) = (row.get(0)?, row.get(1)?);
        let Some(name) = names.get(&index) else { continue };
        let segment = match known.get(&id) {
            Some(segment) => Arc::clone(segment),
            None => Arc::new(shapes.segment(c, id, name)?),
        };
        if let Some(index) = indices.get_mut(name) {
            index.segments.push(segment);
        }
    }
    for index in indices.values_mut() {
        index.segments.sort_by_key(|segment| (segment.bounds.timestamp.0, segment.id));
    }
    Ok(Manifest { version, indices })
}

/// Reads segments; those with the same paths share them.
#[derive(Default)]
struct Shapes {
    paths: Option<FxHashMap<u32, Arc<str>>>,
    sets: FxHashMap<Vec<u8>, Arc<[Arc<str>]>>,
}

impl Shapes {
    fn segment(&mut self, c: &Connection, id: i64, index: &Arc<str>) -> Result<Segment, rusqlite::Error> {
        let mut statement = c.prepare_cached(
            "SELECT file, day, bytes, bounds, paths, added, sums FROM segment WHERE id = ?1",
        )?;
        statement.query_row([id], |row| {
            let (bytes, bounds, paths): (i64, Vec<u8>, Vec<u8>) = (row.get(2)?, row.get(3)?, row.get(4)?);
            let groups = decode_bounds(&bounds);
            let bounds = groups.iter().copied().reduce(Bounds::join).unwrap_or(Bounds {
                rows: 0,
                timestamp: (0, 0),
                ingested: (0, 0),
                not_ingested: 0,
            });
            Ok(Segment {
                id,
                index: Arc::clone(index),
                file: row.get(0)?,
                day: row.get(1)?,
                bytes: u64::try_from(bytes).unwrap_or(0),
                groups,
                bounds,
                paths: self.paths(c, paths)?,
                added: row.get(5)?,
                sums: row.get::<_, Option<Vec<u8>>>(6)?.map(|bytes| sums::decode(&bytes)),
            })
        })
    }

    fn paths(&mut self, c: &Connection, ids: Vec<u8>) -> Result<Arc<[Arc<str>]>, rusqlite::Error> {
        if let Some(paths) = self.sets.get(&ids) {
            return Ok(Arc::clone(paths));
        }
        let all = match &self.paths {
            Some(all) => all,
            None => {
                let mut statement = c.prepare_cached("SELECT id, path FROM path")?;
                let read =
                    statement.query_map([], |row| Ok((row.get(0)?, Arc::from(row.get::<_, String>(1)?))))?;
                self.paths.insert(read.collect::<Result<_, _>>()?)
            }
        };
        let (numbers, _) = ids.as_chunks::<4>();
        let mut paths: Vec<Arc<str>> =
            numbers.iter().filter_map(|b| all.get(&u32::from_le_bytes(*b)).cloned()).collect();
        paths.sort();
        let paths: Arc<[Arc<str>]> = paths.into();
        self.sets.insert(ids, Arc::clone(&paths));
        Ok(paths)
    }
}
