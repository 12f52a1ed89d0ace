//! When a rule runs and what time it looks at: `interval` or `schedule`, `from`, `to`.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::base::datemath::{self, Rounding};
use crate::base::diagnostic::Diagnostic;
use crate::base::window::Window;
use crate::rule::codes;
use crate::rule::model::Schedule;

use super::cron;
use super::fields::{Reader, Table};

/// Kibana's default interval.
const INTERVAL: &str = "5m";
/// Longest interval, milliseconds: ten years.
const LONGEST: i64 = 10 * 366 * 24 * 3_600_000;

/// Reads `interval`, or the extension `schedule = { cron = "…", timezone = "…" }`.
pub(super) fn schedule(reader: &mut Reader<'_>, rule: Table<'_>) -> Schedule {
    if let Some(value) = rule.get("schedule") {
        let path = rule.path_to("schedule");
        match value {
            Value::Object(fields) if fields.contains_key("cron") => {
                if rule.get("interval").is_some() {
                    reader.report_key(
                        Diagnostic::warning(codes::PAIR, "`interval` has no effect beside `schedule`"),
                        &rule.path_to("interval"),
                    );
                }
                return cron_schedule(reader, Table { fields, path: &path });
            }
            Value::Object(_) => reader.report(
                Diagnostic::error(codes::BAD_SCHEDULE, "`schedule` has no `cron`").with_help(
                    "write `schedule = { cron = \"*/10 * * * *\", timezone = \"Europe/Berlin\" }`",
                ),
                &path,
            ),
            other => reader.wrong_type(&path, "a table", other),
        }
    }
    let text = reader.text(rule, "interval").unwrap_or(INTERVAL);
    let interval_ms = datemath::interval(text).ok().filter(|ms| *ms <= LONGEST).unwrap_or_else(|| {
        reader.report(
            Diagnostic::error(codes::BAD_SCHEDULE, format!("`{text}` is not an interval"))
                .with_help("a whole number and one of s, m, h, d, as in `5m`; ten years at most"),
            &rule.path_to("interval"),
        );
        300_000
    });
    Schedule::Every { interval_ms, text: text.to_owned() }
}

fn cron_schedule(reader: &mut Reader<'_>, table: Table<'_>) -> Schedule {
    let expression = reader.required_text(table, "cron").unwrap_or("").to_owned();
    if !expression.is_empty()
        && let Err(reason) = cron::check(&expression)
    {
        reader.report(Diagnostic::error(codes::BAD_SCHEDULE, reason), &table.path_to("cron"));
    }
    let timezone = reader.text(table, "timezone").map(str::to_owned);
    if let Some(zone) = &timezone
        && zone.parse::<chrono_tz::Tz>().is_err()
    {
        reader.report(
            Diagnostic::error(codes::BAD_SCHEDULE, format!("`{zone}` is not a time zone"))
                .with_help("use an IANA name such as `Europe/Berlin`; without one it is UTC"),
            &table.path_to("timezone"),
        );
    }
    for key in table.fields.keys().filter(|key| !matches!(key.as_str(), "cron" | "timezone")) {
        let finding =
            Diagnostic::warning(codes::UNKNOWN_FIELD, format!("unknown field `{key}`: kept, without effect"));
        reader.report_key(finding, &table.path_to(key));
    }
    Schedule::Cron { expression, timezone }
}

/// Reads `from` and `to`; a wrong one is reported at its place, as is a window that leaves gaps.
pub(super) fn window(reader: &mut Reader<'_>, rule: Table<'_>, schedule: &Schedule) -> (String, String) {
    let from = reader.text(rule, "from").unwrap_or("now-6m");
    let to = reader.text(rule, "to").unwrap_or("now");
    // Any instant serves: only the syntax and the distance of the two are looked at.
    let now = DateTime::<Utc>::from_timestamp_millis(1_800_000_000_000).unwrap_or_default();
    let start = time(reader, rule, "from", from, now, Rounding::Down);
    let end = time(reader, rule, "to", to, now, Rounding::Up);
    if let (Some(start), Some(end)) = (start, end) {
        let length = Window::new(start, end).length().num_milliseconds();
        if length < 0 {
            reader.report(
                Diagnostic::error(
                    codes::BAD_VALUE,
                    format!("the window ends (`{to}`) before it begins (`{from}`)"),
                ),
                &rule.path_to("from"),
            );
        } else if let Schedule::Every { interval_ms, text } = schedule
            && length < *interval_ms
        {
            let gap = (*interval_ms - length) / 1_000;
            reader.report(
                Diagnostic::warning(
                    codes::GAP,
                    format!("it looks back less far than its interval of {text}: {gap} s of each are never searched"),
                )
                .with_help("move `from` back by at least the interval, and some more for late events"),
                &rule.path_to("from"),
            );
        }
    }
    (from.to_owned(), to.to_owned())
}

fn time<'v>(
    reader: &mut Reader<'_>,
    rule: Table<'v>,
    key: &'v str,
    text: &str,
    now: DateTime<Utc>,
    rounding: Rounding,
) -> Option<DateTime<Utc>> {
    match datemath::resolve(text, now, rounding) {
        Ok(at) => Some(at),
        Err(found) => {
            let path = rule.path_to(key);
            let mut placed = Diagnostic::error(codes::BAD_DATE_MATH, format!("`{key}`: {}", found.message));
            placed.help = found.help;
            let span = match found.span {
                Some(part) => reader.places.inside(&path, part),
                None => reader.places.value(&path),
            };
            let placed = reader.places.at(placed, span);
            reader.push(placed);
            None
        }
    }
}
