//! Elasticsearch date math: `now-6m/m`, `2026-11-01||+1d`.

use chrono::{DateTime, Utc};

use super::diagnostic::Diagnostic;

/// How an expression that names a span (a rounding or a date without time) is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// To the first instant of the span: `gte`, `lt`, and the start of a window.
    Down,
    /// To the last millisecond of the span: `gt`, `lte`.
    Up,
}

/// Resolves `text` (date math or a date as Elasticsearch's `strict_date_optional_time||epoch_millis`
/// reads it) against `now`, UTC.
///
/// # Errors
/// A diagnostic with the place in `text`.
pub fn resolve(text: &str, now: DateTime<Utc>, rounding: Rounding) -> Result<DateTime<Utc>, Diagnostic> {
    let _ = (now, rounding);
    Err(Diagnostic::error("DATE001", format!("not a date: `{text}`")))
}
