//! Whether the machine's clock can be right, seen from the newest stored event.

use chrono::{DateTime, Duration, Utc};

use super::{Context, Finding};
use crate::base::clock::{Clock, SystemClock};

const CHECK: &str = "clock";
/// Events may be this much newer than the machine's time: clocks differ.
const SKEW: Duration = Duration::minutes(5);
/// Older than this, the newest event says that ingest stands still.
const STALE: Duration = Duration::hours(24);

/// Compares the newest `@timestamp` with the machine's time.
pub(super) fn check(context: &Context) -> Vec<Finding> {
    let now = SystemClock.now();
    vec![match newest(context) {
        None => Finding::skipped(
            CHECK,
            format!("it is {} here; no stored event to compare with", context.time(now)),
        ),
        Some(event) => judge(context, now, event),
    }]
}

fn newest(context: &Context) -> Option<DateTime<Utc>> {
    if !context.data_dir().join("events").is_dir() {
        return None;
    }
    let snapshot = context.app().store().ok()?.snapshot().ok()?;
    let batches = snapshot.batches(&snapshot.indices(), crate::store::TimeBounds::default());
    batches.iter().map(|batch| batch.timestamp_bounds().1).max().and_then(DateTime::from_timestamp_millis)
}

fn judge(context: &Context, now: DateTime<Utc>, event: DateTime<Utc>) -> Finding {
    let seen = format!("it is {} here, the newest event is of {}", context.time(now), context.time(event));
    if event - now > SKEW {
        let advice = "set the machine's clock (NTP), or look for a source that writes times of the future";
        return Finding::failed(CHECK, seen, advice);
    }
    if now - event > STALE {
        let advice =
            "fine for events of the past (`run --once --at TIME`); else see why no newer events are ingested";
        return Finding::warning(CHECK, seen, advice);
    }
    Finding::ok(CHECK, seen)
}
