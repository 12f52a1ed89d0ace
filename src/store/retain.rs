//! Retention: old segments leave as a whole.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::batch::NO_TIME;
use super::error::StoreError;
use super::manifest::{self, Segment};
use super::open::Store;

/// What retention removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Retained {
    /// Segments taken out of the manifest.
    pub segments: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes that are free once the grace time is over.
    pub bytes: u64,
}

impl Store {
    /// Retires segments whose newest event is older than `age`, then the oldest ones until what is
    /// left takes at most `size` bytes. An event older than `age` stays as long as its segment has
    /// a younger one: a day at most. Hot rows are not counted and never retired.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    pub fn retain(
        &self,
        age: Option<Duration>,
        size: Option<u64>,
        now: DateTime<Utc>,
    ) -> Result<Retained, StoreError> {
        let manifest = self.inner.manifest()?;
        let mut live: Vec<&Arc<Segment>> =
            manifest.indices.values().flat_map(|index| &index.segments).collect();
        live.sort_by_key(|segment| std::cmp::Reverse((newest(segment), segment.id)));
        let oldest = age.and_then(|age| {
            let age = i64::try_from(age.as_millis()).ok()?;
            now.timestamp_millis().checked_sub(age)
        });
        let mut kept = 0_u64;
        let mut retired = Vec::new();
        for segment in live {
            let too_old = oldest.is_some_and(|oldest| newest(segment) != NO_TIME && newest(segment) < oldest);
            let too_much = size.is_some_and(|size| kept.saturating_add(segment.bytes) > size);
            if too_old || too_much {
                retired.push(segment);
            }
            // Once there is no room, everything older goes too, however small.
            kept = kept.saturating_add(segment.bytes);
        }
        if retired.is_empty() {
            return Ok(Retained::default());
        }
        let mut done = Retained::default();
        {
            let database = self.inner.writer();
            let failed = |e| StoreError::sqlite(&database.path, &e);
            let tx = database.write()?;
            manifest::next_version(&tx).map_err(failed)?;
            for segment in retired {
                if manifest::remove(&tx, segment.id, self.inner.now()).map_err(failed)? {
                    done.segments += 1;
                    done.events += segment.bounds.rows;
                    done.bytes += segment.bytes;
                }
            }
            tx.commit().map_err(failed)?;
        }
        self.inner.sweep()?;
        Ok(done)
    }
}

/// The time a segment is retired by: its newest event's, else when its newest was ingested.
fn newest(segment: &Segment) -> i64 {
    match segment.bounds.timestamp.1 {
        NO_TIME => segment.bounds.ingested.1,
        timestamp => timestamp,
    }
}
