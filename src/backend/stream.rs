//! Hits as text, one after the other, however many there are: only a page of them is held.
//!
//! In the order of time, batches are taken by their bounds, and what no later batch can come before
//! is handed over. In the order of a field, the field's column gives the order, and only the
//! documents wanted are read.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::search::{Found, Searcher, by_key, by_time, with_ids};
use super::source::Source;
use super::times::{INGESTED, TIMESTAMP, millis};
use super::{Backend, BackendError, Hit, SearchRequest, SortKey, TimeField};
use crate::ecs::flat::FlatDoc;
use crate::ecs::mapping::{Field, Mapping};
use crate::ecs::types::FieldType;
use crate::store::batch::{Batch, NO_TIME, ReadError};

/// A hit whose source is JSON text, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextHit {
    /// Its place in the order of time, its index and `_id`.
    pub sort: SortKey,
    /// Its `_source`, complete with `event.original`.
    pub source: String,
}

/// What is told of each hit; it may stop the stream.
pub type EachText<'a> = dyn FnMut(TextHit) -> ControlFlow<()> + 'a;

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Streamed {
    /// Number of events that match in the whole window, as far as the stream came.
    pub total: u64,
    /// How many concrete indices the patterns named.
    pub indices: usize,
}

/// An order of hits other than time: numbers and dates by their value, text by its characters;
/// events without the field last, equal ones by time.
#[derive(Debug, Clone)]
pub struct FieldOrder {
    /// The field.
    pub field: Arc<str>,
    /// Largest first. Of several values the largest counts, else the smallest, as in Elasticsearch.
    pub descending: bool,
}

/// Hands the events that `request` finds to `each` in the order of time, or of `order`,
/// `request.size` at most, and counts all: from the embedded store as [`LocalBackend::stream`] does,
/// from others page by page.
///
/// # Errors
/// As [`Backend::search`].
///
/// [`LocalBackend::stream`]: super::local::LocalBackend::stream
pub async fn stream_hits(
    backend: &dyn Backend,
    request: &SearchRequest,
    order: Option<&FieldOrder>,
    each: &mut EachText<'_>,
) -> Result<Streamed, BackendError> {
    if let Some(local) = backend.embedded(&request.indices) {
        return local.stream(request, order, each);
    }
    let mut end = Streamed::default();
    let mut page = SearchRequest { size: PAGE.min(request.size), ..request.clone() };
    let Some(order) = order else {
        let mut left = request.size;
        loop {
            let found = backend.search(page.clone()).await?;
            (end.total, end.indices) = (found.total, found.indices);
            // A page that is not full is the last: a cluster has closed what it was read from.
            let full = found.hits.len() >= page.size;
            page.after = found.hits.last().map(|hit| hit.sort.clone()).filter(|_| full);
            for Hit { document, sort } in found.hits {
                left -= 1;
                if each(TextHit { sort, source: document.source.to_string() }).is_break() || left == 0 {
                    return Ok(end);
                }
            }
            if page.after.is_none() {
                return Ok(end);
            }
        }
    };
    let keys = Keys::of(order, &*backend.mapping(&request.indices).await?);
    let mut first: Vec<(Option<Key>, TextHit)> = Vec::new();
    page.size = PAGE;
    loop {
        let found = backend.search(page.clone()).await?;
        (end.total, end.indices) = (found.total, found.indices);
        let full = found.hits.len() >= page.size;
        page.after = found.hits.last().map(|hit| hit.sort.clone()).filter(|_| full);
        first.extend(found.hits.into_iter().map(|Hit { document, sort }| {
            let key = keys.of_source(&document.source);
            (key, TextHit { sort, source: document.source.to_string() })
        }));
        // Stable, so that equal values stay in the order of time.
        first.sort_by(|(a, _), (b, _)| compare(a.as_ref(), b.as_ref(), order.descending));
        first.truncate(request.size);
        if page.after.is_none() {
            break;
        }
    }
    for (_, hit) in first {
        if each(hit).is_break() {
            break;
        }
    }
    Ok(end)
}

/// Documents read at once in the order of time, where neighbours lie together.
const PAGE: usize = 1_000;
/// Documents read at once in another order: a page of stored documents is read for each that is
/// far from the others.
const WIDE_PAGE: usize = 16_000;

/// Hands pages of hits over, up to as many as were asked for.
struct Out<'e, 'f> {
    left: usize,
    stopped: bool,
    each: &'e mut EachText<'f>,
}

impl Out<'_, '_> {
    fn done(&self) -> bool {
        self.stopped || self.left == 0
    }

    fn hand_over(&mut self, source: &Source, page: Vec<(Found, SortKey)>) -> Result<(), BackendError> {
        let mut rows: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        for (found, _) in &page {
            rows.entry(found.batch).or_default().push(found.row);
        }
        let mut texts = FxHashMap::default();
        for (position, batch) in (0_u32..).zip(&source.batches) {
            let Some(mut rows) = rows.remove(&position) else { continue };
            rows.sort_unstable();
            for (row, text) in rows.iter().zip(batch.sources(&rows)?) {
                texts.insert((position, *row), text);
            }
        }
        for (found, sort) in page {
            if self.done() {
                break;
            }
            let Some(source) = texts.remove(&(found.batch, found.row)) else {
                let reason = format!("row {} has no document", found.row);
                return Err(ReadError { batch: sort.index.to_string(), reason }.into());
            };
            self.left -= 1;
            self.stopped = (self.each)(TextHit { sort, source }).is_break();
        }
        Ok(())
    }

    /// Hits in the order of time; all that are equally old must be among them.
    fn by_time(
        &mut self,
        source: &Source,
        mut found: Vec<Found>,
        descending: bool,
    ) -> Result<(), BackendError> {
        let place = |found: &Found| (found.primary, found.timestamp);
        found.sort_unstable_by(|a, b| by_time(place(a), place(b), descending));
        let mut rest = &found[..];
        while !rest.is_empty() && !self.done() {
            // A page ends where time moves on: what is equally old is ordered by index and id.
            let last = rest.get(PAGE.min(self.left).min(rest.len()) - 1).map(place);
            let end = rest.partition_point(|found| {
                last.is_some_and(|last| by_time(place(found), last, descending) != Ordering::Greater)
            });
            let (head, tail) = rest.split_at(end);
            rest = tail;
            let mut page = with_ids(source, head.to_vec())?;
            page.sort_by(|(_, a), (_, b)| by_key(a, b, descending));
            page.truncate(self.left);
            self.hand_over(source, page)?;
        }
        Ok(())
    }
}

/// The first place in the order of time that an event of `batch` may have.
fn edge(batch: &dyn Batch, time: &TimeField, descending: bool) -> i64 {
    let (low, high) = match &*time.primary {
        TIMESTAMP => batch.timestamp_bounds(),
        INGESTED => batch.ingested_bounds(),
        _ => (i64::MIN, i64::MAX),
    };
    if descending { high } else { low }
}

impl Searcher {
    /// Hands hits to `each` in the order of time, `request.size` at most, and counts all.
    pub(super) fn stream(
        &self,
        mut source: Source,
        request: &SearchRequest,
        each: &mut EachText<'_>,
    ) -> Result<Streamed, BackendError> {
        let descending = request.descending;
        source.batches.sort_by(|a, b| {
            let (a, b) = (edge(&**a, &request.time, descending), edge(&**b, &request.time, descending));
            if descending { b.cmp(&a) } else { a.cmp(&b) }
        });
        let prepared = self.prepared(&source, &[request]);
        super::search::refuse_foreign(&prepared)?;
        let mut end = Streamed { total: 0, indices: source.indices };
        let mut out = Out { left: request.size, stopped: false, each };
        let mut waiting: Vec<Found> = Vec::new();
        self.visit(&source, request, &prepared, |_, position, batch, selection, judge| {
            if out.stopped {
                return Ok(());
            }
            if !out.done() {
                // Neither this batch nor a later one has anything before its edge; what has no time
                // is last in either direction.
                let edge = edge(batch, &request.time, descending);
                let ready = |found: &Found| {
                    if descending {
                        found.primary != i64::MAX && found.primary > edge
                    } else {
                        found.primary < edge
                    }
                };
                let (now, later) = waiting.iter().partition(|found| ready(found));
                waiting = later;
                out.by_time(&source, now, descending)?;
            }
            let rows = judge()?;
            end.total += rows.len() as u64;
            if !out.done() {
                waiting.extend(rows.into_iter().map(|row| {
                    let (primary, timestamp) = selection.place(row);
                    Found { primary, timestamp, batch: position, row }
                }));
            }
            Ok(())
        })?;
        out.by_time(&source, waiting, descending)?;
        Ok(end)
    }

    /// Hands hits to `each` in the order of a field, `request.size` at most, and counts all.
    pub(super) fn stream_ordered(
        &self,
        source: &Source,
        request: &SearchRequest,
        order: &FieldOrder,
        each: &mut EachText<'_>,
    ) -> Result<Streamed, BackendError> {
        let prepared = self.prepared(source, &[request]);
        super::search::refuse_foreign(&prepared)?;
        let keys = Keys::of(order, &source.mapping);
        let mut end = Streamed { total: 0, indices: source.indices };
        let mut first: Vec<(Option<Key>, Found)> = Vec::new();
        let rank = |a: &(Option<Key>, Found), b: &(Option<Key>, Found)| {
            let place = |found: &Found| (found.primary, found.timestamp, found.batch, found.row);
            compare(a.0.as_ref(), b.0.as_ref(), order.descending).then_with(|| place(&a.1).cmp(&place(&b.1)))
        };
        self.visit(source, request, &prepared, |_, position, batch, selection, judge| {
            let rows = judge()?;
            end.total += rows.len() as u64;
            if rows.is_empty() {
                return Ok(());
            }
            let key = keys.read(batch)?;
            first.extend(rows.into_iter().map(|row| {
                let (primary, timestamp) = selection.place(row);
                (key(row), Found { primary, timestamp, batch: position, row })
            }));
            if first.len() > request.size {
                first.sort_unstable_by(rank);
                first.truncate(request.size);
            }
            Ok(())
        })?;
        first.sort_unstable_by(rank);
        let mut out = Out { left: request.size, stopped: false, each };
        for page in first.chunks(WIDE_PAGE) {
            if out.done() {
                break;
            }
            let found = page.iter().map(|(_, found)| *found).collect();
            // Ids come in the order asked.
            out.hand_over(source, with_ids(source, found)?)?;
        }
        Ok(end)
    }
}

/// What a hit is ordered by.
#[derive(Debug, Clone)]
enum Key {
    Number(f64),
    Text(Arc<str>),
}

impl Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

fn compare(a: Option<&Key>, b: Option<&Key>, descending: bool) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) if descending => b.cmp(a),
        (Some(a), Some(b)) => a.cmp(b),
    }
}

/// Reads keys from columns.
struct Keys<'o> {
    order: &'o FieldOrder,
    field: Field,
}

impl<'o> Keys<'o> {
    fn of(order: &'o FieldOrder, mapping: &Mapping) -> Self {
        let field = mapping.resolve(&order.field);
        Self { order, field: field.unwrap_or_else(|| Field::new(&order.field, FieldType::Keyword)) }
    }

    fn key(&self, text: &str) -> Option<Key> {
        match &self.field.key {
            Some(key) => self.typed(text.strip_prefix(&**key)?.strip_prefix('\0')?),
            None => self.typed(text),
        }
    }

    fn typed(&self, text: &str) -> Option<Key> {
        match self.field.kind {
            FieldType::Date | FieldType::DateNanos => {
                Some(millis(text)).filter(|ms| *ms != NO_TIME).map(|ms| Key::Number(ms as f64))
            }
            FieldType::Long
            | FieldType::Integer
            | FieldType::Short
            | FieldType::Byte
            | FieldType::UnsignedLong
            | FieldType::Double
            | FieldType::Float
            | FieldType::HalfFloat
            | FieldType::ScaledFloat => text.parse().ok().map(Key::Number),
            _ => Some(Key::Text(Arc::from(text))),
        }
    }

    /// The key of an event.
    fn of_source(&self, source: &serde_json::Value) -> Option<Key> {
        let flat = FlatDoc::from_value(source);
        let keys = flat.values(&self.order.field).filter_map(|leaf| self.typed(leaf.value));
        if self.order.descending { keys.max_by(Key::cmp) } else { keys.min_by(Key::cmp) }
    }

    /// The key of each row of a batch.
    fn read(&self, batch: &dyn Batch) -> Result<impl Fn(u32) -> Option<Key>, ReadError> {
        let mut set = batch.named_columns(std::slice::from_ref(&self.field.path))?;
        let column = set.columns.remove(&self.field.path);
        let values: Vec<Option<Key>> =
            column.iter().flat_map(|column| &column.dictionary).map(|text| self.key(text)).collect();
        let descending = self.order.descending;
        Ok(move |row: u32| {
            let codes = column.as_ref()?.row(row as usize).iter();
            let keys = codes.filter_map(|code| values.get(*code as usize)?.as_ref());
            if descending { keys.max_by(|a, b| a.cmp(b)) } else { keys.min_by(|a, b| a.cmp(b)) }.cloned()
        })
    }
}
