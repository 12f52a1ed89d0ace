//! Which rows of a batch lie in a window, and where they stand in time.

use std::ops::Range;
use std::sync::Arc;

use super::{SearchRequest, TimeField};
use crate::base::window::Window;
use crate::ecs::columns::Column;
use crate::ecs::value::date;
use crate::store::batch::{Batch, NO_TIME, ReadError};

/// The event's own time.
pub(super) const TIMESTAMP: &str = "@timestamp";
/// When the event arrived.
pub(super) const INGESTED: &str = "event.ingested";

/// What of a request decides which rows are in time. Requests that agree in it share the work.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TimeSpec {
    pub(super) window: Option<Window>,
    pub(super) time: TimeField,
    pub(super) event_clock: bool,
}

impl TimeSpec {
    pub(super) fn of(request: &SearchRequest) -> Self {
        Self { window: request.window, time: request.time.clone(), event_clock: request.event_clock }
    }

    /// The window in whole milliseconds, ends included.
    fn millis(&self) -> Option<(i64, i64)> {
        self.window.map(|w| (w.from.timestamp_millis(), w.to.timestamp_millis()))
    }

    /// Whether `batch` may hold a row in time, from its bounds alone.
    pub(super) fn may_hold(&self, batch: &dyn Batch) -> bool {
        let Some((from, to)) = self.millis() else { return true };
        if batch.rows() == 0 || from > to {
            return false;
        }
        let by = |name: &str| {
            let (low, high) = match name {
                TIMESTAMP => batch.timestamp_bounds(),
                INGESTED => batch.ingested_bounds(),
                _ => return true,
            };
            low <= to && from <= high && high != NO_TIME
        };
        by(&self.time.primary) || self.time.fallback.as_deref().is_some_and(by)
    }
}

/// The values of one time field of a batch.
enum Values {
    /// One a row, [`NO_TIME`] where missing.
    Single(Arc<[i64]>),
    /// Of a column with several values a row.
    Column { column: Arc<Column>, parsed: Vec<i64> },
    /// No row has any.
    Missing,
}

impl Values {
    fn read(batch: &dyn Batch, name: &Arc<str>) -> Result<Self, ReadError> {
        match &**name {
            TIMESTAMP => Ok(Self::Single(batch.timestamps()?)),
            INGESTED => Ok(Self::Single(batch.ingested()?)),
            _ => {
                let set = batch.columns(std::slice::from_ref(name))?;
                let Some(column) = set.columns.get(name).cloned() else { return Ok(Self::Missing) };
                let parsed = column.dictionary.iter().map(|text| millis(text)).collect();
                Ok(Self::Column { column, parsed })
            }
        }
    }

    /// The row's first time; `None` where missing.
    fn first(&self, row: u32) -> Option<i64> {
        match self {
            Self::Single(times) => times.get(row as usize).copied().filter(|t| *t != NO_TIME),
            Self::Column { column, parsed } => {
                let codes = column.row(row as usize).iter();
                codes.filter_map(|c| parsed.get(*c as usize).copied()).filter(|t| *t != NO_TIME).min()
            }
            Self::Missing => None,
        }
    }

    /// The row's first time, and whether some time of it lies in the window. Times after `latest`
    /// do not count.
    fn look(&self, row: u32, from: i64, to: i64, latest: i64) -> (Option<i64>, bool) {
        match self {
            Self::Column { column, parsed } => {
                let codes = column.row(row as usize).iter();
                let times = codes
                    .filter_map(|c| parsed.get(*c as usize).copied())
                    .filter(|t| *t != NO_TIME && *t <= latest);
                times.fold((None, false), |(first, hit), t| {
                    (Some(first.map_or(t, |f: i64| f.min(t))), hit || (from <= t && t <= to))
                })
            }
            _ => {
                let first = self.first(row).filter(|t| *t <= latest);
                (first, first.is_some_and(|t| from <= t && t <= to))
            }
        }
    }
}

/// A stored date as Elasticsearch reads it; [`NO_TIME`] when it is none.
pub(super) fn millis(text: &str) -> i64 {
    date::parse(text, None).map_or(NO_TIME, date::millis)
}

/// The rows of one batch that are in time for a [`TimeSpec`].
pub(super) struct Selection {
    /// All rows in time lie in this range.
    pub(super) hull: Range<u32>,
    /// Every row of `hull` is in time.
    contiguous: bool,
    from: i64,
    to: i64,
    latest: i64,
    primary: Values,
    fallback: Option<Values>,
    timestamps: Arc<[i64]>,
}

impl Selection {
    /// Reads the times of `batch` and selects its rows.
    pub(super) fn new(batch: &dyn Batch, spec: &TimeSpec) -> Result<Self, ReadError> {
        let rows = u32::try_from(batch.rows()).unwrap_or(u32::MAX);
        let timestamps = batch.timestamps()?;
        let primary = if &*spec.time.primary == TIMESTAMP {
            Values::Single(timestamps.clone())
        } else {
            Values::read(batch, &spec.time.primary)?
        };
        let fallback = match &spec.time.fallback {
            Some(name) if *name == spec.time.primary => None,
            Some(name) => Some(Values::read(batch, name)?),
            None => None,
        };
        let Some((from, to)) = spec.millis() else {
            return Ok(Self {
                hull: 0..rows,
                contiguous: true,
                from: i64::MIN,
                to: i64::MAX,
                latest: i64::MAX,
                primary,
                fallback,
                timestamps,
            });
        };
        // On the `event` clock an event ingested after the window had not been seen in it.
        let latest = if spec.event_clock && &*spec.time.primary == INGESTED { to } else { i64::MAX };
        let mut out = Self { hull: 0..0, contiguous: false, from, to, latest, primary, fallback, timestamps };
        if &*spec.time.primary == TIMESTAMP {
            // Rows are sorted by `@timestamp`; what has none lies at NO_TIME, before every window.
            let start = out.timestamps.partition_point(|t| *t < from);
            let end = out.timestamps.partition_point(|t| *t <= to);
            out.hull = index(start)..index(end.max(start));
            out.contiguous = true;
        } else {
            let first = (0..rows).find(|row| out.in_time(*row));
            let last = (0..rows).rev().find(|row| out.in_time(*row));
            if let (Some(first), Some(last)) = (first, last) {
                out.hull = first..last + 1;
            }
        }
        Ok(out)
    }

    fn in_time(&self, row: u32) -> bool {
        let (first, hit) = self.primary.look(row, self.from, self.to, self.latest);
        match (&self.fallback, first) {
            (_, Some(_)) => hit,
            (Some(fallback), None) => fallback.look(row, self.from, self.to, i64::MAX).1,
            (None, None) => false,
        }
    }

    /// Whether a row is in time.
    pub(super) fn contains(&self, row: u32) -> bool {
        self.hull.contains(&row) && (self.contiguous || self.in_time(row))
    }

    /// Whether every row of the hull is in time.
    pub(super) fn is_contiguous(&self) -> bool {
        self.contiguous
    }

    /// Where a row stands: primary time (`i64::MAX` where missing), `@timestamp`.
    pub(super) fn place(&self, row: u32) -> (i64, i64) {
        let primary = self.primary.first(row).filter(|t| *t <= self.latest).unwrap_or(i64::MAX);
        (primary, self.timestamps.get(row as usize).copied().unwrap_or(NO_TIME))
    }
}

fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
