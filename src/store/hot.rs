//! Hot rows: events that are durable and searchable but not yet sealed.
//!
//! Each row's body is one compressed blob: source, original and leaves, so that rows become
//! columns again without parsing JSON a second time.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use rustc_hash::FxHashMap;
use zstd::bulk::{Compressor, Decompressor};

use super::batch::{Batch, ReadError};
use super::document;
use super::manifest::Index;
use super::rows::{Bounds, Group, Rows};
use crate::base::limits;
use crate::ecs::columns::{Column, ColumnSet};
use crate::ecs::document::{Document, NewDocument};
use crate::ecs::flat::{FlatDoc, LeafKind, LeafSink};
use crate::ecs::mapping::Mapping;

/// Largest body once decompressed: source, original and leaves of one event.
const BODY_BYTES: usize = limits::EVENT_BYTES * 8;

/// A row as it lies in the database.
#[derive(Debug, Clone)]
pub(crate) struct HotRow {
    pub(crate) seq: i64,
    pub(crate) id: Arc<str>,
    pub(crate) body: Arc<[u8]>,
}

thread_local! {
    // Making a context takes several times as long as an event takes it.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => {
                let mut compressor = Compressor::new(1)?;
                // A damaged row is to be an error, never another event.
                compressor.include_checksum(true)?;
                kept.insert(compressor)
            }
        };
        compressor.compress(bytes)
    })
}

fn decompress(body: &[u8]) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(Decompressor::new()?),
        };
        decompressor.decompress(body, BODY_BYTES)
    })
}

/// The body of an event.
pub(crate) fn encode(doc: &NewDocument) -> Result<Vec<u8>, String> {
    let mut out =
        Vec::with_capacity(doc.source.len() * 2 + doc.original.as_ref().map_or(0, String::len) + 4096);
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    text(&mut out, &doc.source);
    out.push(u8::from(doc.original.is_some()));
    text(&mut out, doc.original.as_deref().unwrap_or(""));
    for leaf in doc.flat.iter() {
        out.push(match leaf.kind {
            LeafKind::String => 0,
            LeafKind::Number => 1,
            LeafKind::Boolean => 2,
        });
        text(&mut out, leaf.path);
        text(&mut out, leaf.value);
    }
    if out.len() > BODY_BYTES {
        return Err(format!("it takes {} bytes, more than the {BODY_BYTES} an event may have", out.len()));
    }
    compress(&out).map_err(|e| e.to_string())
}

/// The event behind a body.
pub(crate) fn decode(index: &Arc<str>, id: &str, body: &[u8]) -> Result<NewDocument, String> {
    let damaged = || "its stored form is damaged".to_owned();
    let bytes = decompress(body).map_err(|e| e.to_string())?;
    let mut rest: &[u8] = &bytes;
    fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let (text, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        *rest = tail;
        std::str::from_utf8(text).ok()
    }
    let source = text(&mut rest).ok_or_else(damaged)?.to_owned();
    let (has, tail) = rest.split_first().ok_or_else(damaged)?;
    rest = tail;
    let original = text(&mut rest).ok_or_else(damaged)?;
    let original = (*has == 1).then(|| original.to_owned());
    let mut flat = FlatDoc::default();
    while let Some((kind, tail)) = rest.split_first() {
        rest = tail;
        let kind = match kind {
            0 => LeafKind::String,
            1 => LeafKind::Number,
            2 => LeafKind::Boolean,
            _ => return Err(damaged()),
        };
        let path = text(&mut rest).ok_or_else(damaged)?;
        let value = text(&mut rest).ok_or_else(damaged)?;
        flat.leaf(path, kind, value);
    }
    Ok(NewDocument { index: Arc::clone(index), id: id.to_owned(), source, original, flat })
}

/// Hot rows of an index after `after`, in order.
pub(crate) fn read(
    c: &Connection,
    index: i64,
    after: i64,
    up_to: i64,
) -> Result<Vec<HotRow>, rusqlite::Error> {
    let mut statement = c.prepare_cached(
        "SELECT seq, id, body FROM hot WHERE idx = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq",
    )?;
    let rows = statement.query_map([index, after, up_to], |row| {
        Ok(HotRow {
            seq: row.get(0)?,
            id: Arc::from(row.get::<_, String>(1)?),
            body: Arc::from(row.get::<_, Vec<u8>>(2)?),
        })
    })?;
    rows.collect()
}

/// The last sequence there is; 0 when there are no hot rows.
pub(crate) fn last(c: &Connection) -> Result<i64, rusqlite::Error> {
    c.prepare_cached("SELECT ifnull(max(seq), 0) FROM hot")?.query_row([], |row| row.get(0))
}

/// Why hot rows could not be read.
#[derive(Debug)]
pub(crate) enum HotError {
    Sqlite(rusqlite::Error),
    Read(ReadError),
}

impl From<rusqlite::Error> for HotError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<ReadError> for HotError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

/// Batches of one size class that are joined into one.
const FAN: usize = 8;

/// The hot batches of an index now, given those that were there before: rows that were sealed go,
/// new ones make a batch of their own, and many small batches become one.
pub(crate) fn chunks(
    c: &Connection,
    index: &Index,
    known: &[Arc<HotBatch>],
) -> Result<Vec<Arc<HotBatch>>, HotError> {
    let bounds: (Option<i64>, Option<i64>) = c
        .prepare_cached(
            "SELECT (SELECT min(seq) FROM hot WHERE idx = ?1), (SELECT max(seq) FROM hot WHERE idx = ?1)",
        )?
        .query_row([index.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(first), Some(last)) = bounds else { return Ok(Vec::new()) };
    let build = |rows: Vec<HotRow>| -> Result<Arc<HotBatch>, HotError> {
        Ok(Arc::new(HotBatch::new(&index.name, rows, &index.mapping)?))
    };
    let mut out: Vec<Arc<HotBatch>> = Vec::new();
    for batch in known {
        if batch.first() >= first {
            out.push(Arc::clone(batch));
        } else if batch.last() >= first {
            // Sealing takes the oldest rows; what is left of this batch starts at `first`.
            let left = batch.rows.iter().filter(|row| row.seq >= first).cloned().collect();
            out.push(build(left)?);
        }
    }
    let seen = known.last().map_or(0, |batch| batch.last());
    if last > seen {
        let rows = read(c, index.id, seen, last)?;
        if !rows.is_empty() {
            out.push(build(rows)?);
        }
    }
    let class = |batch: &Arc<HotBatch>| batch.rows.len().max(1).ilog(FAN);
    while let Some(smallest) = out.last().map(class) {
        let same = out.iter().rev().take_while(|batch| class(batch) <= smallest).count();
        if same < FAN {
            break;
        }
        let joined = out.split_off(out.len() - same);
        out.push(build(joined.iter().flat_map(|batch| batch.rows.iter().cloned()).collect())?);
    }
    Ok(out)
}

/// How many hot rows each index has: (index, count, first sequence, last sequence, oldest arrival).
pub(crate) fn counts(c: &Connection) -> Result<Vec<(i64, u64, i64, i64, i64)>, rusqlite::Error> {
    let mut statement =
        c.prepare_cached("SELECT idx, count(*), min(seq), max(seq), min(at) FROM hot GROUP BY idx")?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get(0)?,
            u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
        ))
    })?;
    rows.collect()
}

/// Keys of hot batches: above all keys of segments, never used twice in a process.
static NEXT: AtomicU64 = AtomicU64::new(1 << 63);

/// Hot rows of one index as a batch. It never changes; rows that arrive later are another one.
pub(crate) struct HotBatch {
    key: u64,
    index: Arc<str>,
    /// As they were appended.
    rows: Vec<HotRow>,
    content: Content,
}

/// What the rows are as columns.
struct Content {
    bounds: Bounds,
    timestamps: Arc<[i64]>,
    ingested: Arc<[i64]>,
    /// Row of the batch → place in `rows`.
    order: Vec<u32>,
    columns: FxHashMap<Arc<str>, Arc<Column>>,
    paths: Arc<[Arc<str>]>,
}

impl HotBatch {
    pub(crate) fn new(
        index: &Arc<str>,
        rows: Vec<HotRow>,
        mapping: &Arc<Mapping>,
    ) -> Result<Self, ReadError> {
        let mut building = Rows::new(mapping);
        for row in &rows {
            let mut doc = decode(index, &row.id, &row.body).map_err(|reason| ReadError {
                batch: format!("hot rows of {index}"),
                reason: format!("event `{}`: {reason}", row.id),
            })?;
            // Texts stay compressed in the row.
            doc.source.clear();
            doc.original = None;
            building.push(&doc, false);
        }
        let (group, order) = building.finish_with_order(None);
        let bounds = group.bounds();
        let Group { timestamps, ingested, columns, .. } = group;
        let paths: Arc<[Arc<str>]> = columns.iter().map(|(path, _)| Arc::clone(path)).collect();
        let columns =
            columns.into_iter().map(|(path, coded)| (path, Arc::new(coded.into_column()))).collect();
        let content = Content { bounds, timestamps, ingested, order, columns, paths };
        let key = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Self { key, index: Arc::clone(index), rows, content })
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.content.bounds
    }

    pub(crate) fn first(&self) -> i64 {
        self.rows.first().map_or(i64::MAX, |row| row.seq)
    }

    pub(crate) fn last(&self) -> i64 {
        self.rows.last().map_or(i64::MIN, |row| row.seq)
    }

    fn row(&self, row: u32) -> Result<&HotRow, ReadError> {
        let at = self.content.order.get(row as usize);
        at.and_then(|at| self.rows.get(*at as usize)).ok_or_else(|| ReadError {
            batch: format!("hot rows of {}", self.index),
            reason: format!("there is no row {row}"),
        })
    }
}

impl Batch for HotBatch {
    fn key(&self) -> u64 {
        self.key
    }

    fn index(&self) -> &Arc<str> {
        &self.index
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn timestamp_bounds(&self) -> (i64, i64) {
        self.content.bounds.timestamp
    }

    fn ingested_bounds(&self) -> (i64, i64) {
        self.content.bounds.ingested
    }

    fn timestamps(&self) -> Result<Arc<[i64]>, ReadError> {
        Ok(Arc::clone(&self.content.timestamps))
    }

    fn ingested(&self) -> Result<Arc<[i64]>, ReadError> {
        Ok(Arc::clone(&self.content.ingested))
    }

    fn paths(&self) -> Arc<[Arc<str>]> {
        Arc::clone(&self.content.paths)
    }

    fn columns(&self, paths: &[Arc<str>]) -> Result<ColumnSet, ReadError> {
        let columns = paths
            .iter()
            .filter_map(|path| self.content.columns.get_key_value(path))
            .map(|(path, column)| (Arc::clone(path), Arc::clone(column)))
            .collect();
        Ok(ColumnSet { rows: self.rows(), columns, paths: self.paths() })
    }

    fn ids(&self, rows: &[u32]) -> Result<Vec<Arc<str>>, ReadError> {
        rows.iter().map(|row| self.row(*row).map(|row| Arc::clone(&row.id))).collect()
    }

    fn sources(&self, rows: &[u32]) -> Result<Vec<String>, ReadError> {
        rows.iter()
            .map(|row| {
                let row = self.row(*row)?;
                decode(&self.index, &row.id, &row.body)
                    .and_then(|doc| document::text(&row.id, &doc.source, doc.original.as_deref()))
                    .map_err(|reason| ReadError { batch: format!("hot rows of {}", self.index), reason })
            })
            .collect()
    }

    fn documents(&self, rows: &[u32]) -> Result<Vec<Document>, ReadError> {
        rows.iter()
            .map(|row| {
                let row = self.row(*row)?;
                decode(&self.index, &row.id, &row.body)
                    .and_then(|doc| {
                        document::build(&self.index, &row.id, &doc.source, doc.original.as_deref())
                    })
                    .map_err(|reason| ReadError { batch: format!("hot rows of {}", self.index), reason })
            })
            .collect()
    }
}

/// Inserts a row; `false` when the index has a hot row with this id.
pub(crate) fn insert(
    c: &Connection,
    index: i64,
    id: &str,
    at: i64,
    body: &[u8],
) -> Result<bool, rusqlite::Error> {
    let changed = c
        .prepare_cached("INSERT OR IGNORE INTO hot (idx, id, at, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute(rusqlite::params![index, id, at, body])?;
    Ok(changed == 1)
}

/// Ids of an index's hot rows after a sequence.
pub(crate) fn ids_after(c: &Connection, index: i64, after: i64) -> Result<Vec<String>, rusqlite::Error> {
    let mut statement = c.prepare_cached("SELECT id FROM hot WHERE idx = ?1 AND seq > ?2")?;
    let rows = statement.query_map([index, after], |row| row.get(0))?;
    rows.collect()
}

/// The last sequence that was ever given.
pub(crate) fn last_given(c: &Connection) -> Result<i64, rusqlite::Error> {
    c.prepare_cached("SELECT ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'hot'), 0)")?
        .query_row([], |row| row.get(0))
}

/// The oldest hot rows of an index.
pub(crate) fn read_first(c: &Connection, index: i64, most: usize) -> Result<Vec<HotRow>, rusqlite::Error> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let last: Option<i64> = c
        .prepare_cached("SELECT max(seq) FROM (SELECT seq FROM hot WHERE idx = ?1 ORDER BY seq LIMIT ?2)")?
        .query_row([index, most], |row| row.get(0))?;
    read(c, index, 0, last.unwrap_or(0))
}
