//! Dates of ranges in a format of their own, rewritten in the one that plans have.

use std::sync::Arc;

use chrono::DateTime;

use super::parse::DslError;
use crate::ecs::value::date;

/// A date or date math in `format` (names or patterns joined by `||`) as `strict_date_optional_time`
/// writes it, no more exact than it was: what is missing is filled in by who compares. `up` says
/// whether the end of a span is meant.
pub(super) fn canonical(text: &str, format: &str, up: bool) -> Result<Arc<str>, DslError> {
    if text.starts_with("now") {
        return Ok(Arc::from(text));
    }
    let (anchor, math) = match text.split_once("||") {
        Some((anchor, math)) => (anchor, Some(math)),
        None => (text, None),
    };
    let read = format.split("||").map(str::trim).find_map(|format| one(anchor, format, up));
    let Some(anchor) = read else {
        return Err(DslError::new(format!("`{anchor}` is not a date in the format `{format}`")));
    };
    Ok(match math {
        Some(math) => format!("{anchor}||{math}").into(),
        None => anchor.into(),
    })
}

fn one(text: &str, format: &str, up: bool) -> Option<String> {
    let at = date::parse(text, Some(format))?;
    // Names that read the same dates as plans do, whatever is left out.
    let family = format.contains("optional_time")
        || matches!(format, "iso8601" | "epoch_millis")
        || ["date", "year", "strict_date", "strict_year"].iter().any(|name| format.starts_with(name));
    if family {
        return Some(text.to_owned());
    }
    let at = DateTime::from_timestamp_millis(date::millis(at))?;
    let pattern = match format {
        // A second is a span too.
        "epoch_second" if !text.contains('.') && up => "%Y-%m-%dT%H:%M:%S",
        "basic_date" => "%Y-%m-%d",
        _ if format.contains('S') || format.starts_with("epoch") => "%Y-%m-%dT%H:%M:%S%.3fZ",
        _ if format.contains('s') => "%Y-%m-%dT%H:%M:%S",
        _ if format.contains('m') => "%Y-%m-%dT%H:%M",
        _ if format.contains('H') => "%Y-%m-%dT%H",
        _ if format.contains('d') => "%Y-%m-%d",
        _ if format.contains('M') => "%Y-%m",
        _ => "%Y",
    };
    let mut out = at.format(pattern).to_string();
    // A date that named its zone was read in it.
    if format.contains(['X', 'x', 'Z']) && pattern.contains('T') && !out.ends_with('Z') {
        out.push('Z');
    }
    Some(out)
}
