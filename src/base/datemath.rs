//! Elasticsearch date math: `now-6m/m`, `2026-11-01||+1d`.
//!
//! What is read: `now` or a date (`strict_date_optional_time||epoch_millis`), then any number of
//! `+1d`, `-6m`, `/d`. Dates without an offset are UTC; rounding is UTC; weeks start on Monday.
//!
//! A text that names a span resolves to one of its ends, as Elasticsearch has it:
//!
//! | text | [`Rounding::Down`] | [`Rounding::Up`] |
//! |---|---|---|
//! | `2026-11-18` | `2026-11-18T00:00:00.000` | `2026-11-18T23:59:59.999` |
//! | `2026-11-18T14` | `…T14:00:00.000` | `…T14:59:59.999` |
//! | `2026-11` | `2026-11-01T00:00:00.000` | `2026-11-01T23:59:59.999` (a missing month or day is the first) |
//! | `2026-11-18\|\|/M` | `2026-11-01T00:00:00.000` | `2026-11-30T23:59:59.999` |
//! | `now/d` | today `00:00:00.000` | today `23:59:59.999` |

use std::str::FromStr;

use chrono::{
    DateTime, Datelike, Days, Duration, FixedOffset, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeZone,
    Timelike, Utc,
};
use pest::Parser;
use pest::iterators::Pair;

use super::diagnostic::Diagnostic;
use super::span::Span;

mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "grammar/datemath.pest"]
    pub(super) struct DateMathParser;
}

use grammar::{DateMathParser, Rule};

/// Longest text that is read, bytes; the longest sensible one is far shorter.
const TEXT_BYTES: usize = 256;

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
/// A diagnostic with the place in `text`: `DATE001` (not date math), `DATE002` (no such date or
/// time zone), `DATE003` (outside the years that can be represented).
pub fn resolve(text: &str, now: DateTime<Utc>, rounding: Rounding) -> Result<DateTime<Utc>, Diagnostic> {
    resolve_in(text, now, rounding, None)
}

/// As [`resolve`], with the time zone (`+02:00`, `Europe/Paris`) of dates that name none and of
/// rounding; `None`: UTC.
///
/// # Errors
/// As [`resolve`], and `DATE002` for a zone that there is not.
pub fn resolve_in(
    text: &str,
    now: DateTime<Utc>,
    rounding: Rounding,
    zone: Option<&str>,
) -> Result<DateTime<Utc>, Diagnostic> {
    let zone = match zone {
        None => Zone::UTC,
        Some(name) => Zone::read(name).ok_or_else(|| {
            Diagnostic::error("DATE002", format!("no such time zone: `{}`", shown(name)))
                .with_help("an offset (`+02:00`) or a name (`Europe/Paris`)")
        })?,
    };
    let root = read(text)?;
    let mut at = now;
    let has_operations = root.clone().into_inner().any(|pair| pair.as_rule() == Rule::operation);
    for pair in root.into_inner() {
        match pair.as_rule() {
            // An anchor before operations is a point: `2026-11||+1d` moves the first of November.
            Rule::date => {
                at = date(text, pair, if has_operations { Rounding::Down } else { rounding }, zone)?;
            }
            Rule::epoch_millis => at = epoch_millis(text, &pair)?,
            Rule::operation => at = operation(text, pair, at, rounding, zone)?,
            _ => {}
        }
    }
    Ok(at)
}

/// First and last instant (in milliseconds) that `text` names: equal for a full instant, a day for
/// `2026-11-18` or `now/d`. This is what a date in a term position means.
///
/// # Errors
/// As [`resolve`].
pub fn span_of(text: &str, now: DateTime<Utc>) -> Result<(DateTime<Utc>, DateTime<Utc>), Diagnostic> {
    Ok((resolve(text, now, Rounding::Down)?, resolve(text, now, Rounding::Up)?))
}

/// Reads a rule's duration, `<integer><s|m|h|d>` above zero (`5m`, `24h`), as milliseconds.
///
/// # Errors
/// `DATE004` when it is not one.
pub fn interval(text: &str) -> Result<i64, Diagnostic> {
    let bad = || {
        Diagnostic::error("DATE004", format!("not a duration: `{text}`"))
            .with_help("a whole number above zero and a unit: `30s`, `5m`, `24h`, `1d`")
            .at(text, Span::new(0, text.len()))
    };
    let unit = text.chars().next_back().ok_or_else(bad)?;
    let factor = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return Err(bad()),
    };
    let number = text.strip_suffix(unit).ok_or_else(bad)?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let count: i64 = number.parse().map_err(|_| bad())?;
    count.checked_mul(factor).filter(|ms| *ms > 0).ok_or_else(bad)
}

fn read(text: &str) -> Result<Pair<'_, Rule>, Diagnostic> {
    let bad = |at: usize| {
        Diagnostic::error("DATE001", format!("not a date or date math: `{}`", shown(text)))
            .with_help(
                "for example `now-5m`, `now/d`, `2026-11-01`, `2026-11-01T10:00:00Z`, `2026-11-01||+1d/d`",
            )
            .at(text, Span::new(at, text.len()))
    };
    if text.len() > TEXT_BYTES {
        return Err(bad(0));
    }
    let mut pairs = DateMathParser::parse(Rule::datemath, text).map_err(|error| {
        bad(match error.location {
            pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
        })
    })?;
    pairs.next().ok_or_else(|| bad(0))
}

fn shown(text: &str) -> String {
    if text.chars().count() <= 64 { text.to_owned() } else { text.chars().take(64).chain(['…']).collect() }
}

fn place(pair: &Pair<'_, Rule>) -> Span {
    let span = pair.as_span();
    Span::new(span.start(), span.end())
}

fn no_such(text: &str, span: Span, what: &str) -> Diagnostic {
    Diagnostic::error("DATE002", format!("no such {what} in `{}`", shown(text))).at(text, span)
}

fn out_of_range(text: &str, span: Span) -> Diagnostic {
    Diagnostic::error("DATE003", format!("`{}` is outside the years that can be represented", shown(text)))
        .at(text, span)
}

/// The parts of a date as they were written; what is missing is filled by the rounding.
#[derive(Default)]
struct Parts {
    year: i32,
    month: Option<u32>,
    day: Option<u32>,
    hour: Option<u32>,
    minute: Option<u32>,
    second: Option<u32>,
    nanos: Option<u32>,
}

/// A time zone.
#[derive(Debug, Clone, Copy)]
enum Zone {
    Offset(FixedOffset),
    Named(chrono_tz::Tz),
}

impl Zone {
    const UTC: Self = Self::Named(chrono_tz::UTC);

    fn read(name: &str) -> Option<Self> {
        match name {
            // Java's names of UTC that the zone database has not.
            "Z" => Some(Self::UTC),
            name => {
                offset(name).map(Self::Offset).or_else(|| chrono_tz::Tz::from_str(name).ok().map(Self::Named))
            }
        }
    }

    /// The instant at which clocks of the zone show `local`; of two the earlier, of none the next
    /// one there is.
    fn instant(self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        fn earliest(zone: &impl TimeZone, local: NaiveDateTime) -> Option<DateTime<Utc>> {
            let at = zone.from_local_datetime(&local).earliest();
            at.map(|at| at.to_utc()).or_else(|| {
                // Clocks that go forward skip an hour: as if they had not been moved yet.
                let before = zone.from_local_datetime(&local.checked_sub_signed(Duration::hours(3))?);
                before.earliest()?.to_utc().checked_add_signed(Duration::hours(3))
            })
        }
        match self {
            Self::Offset(zone) => earliest(&zone, local),
            Self::Named(zone) => earliest(&zone, local),
        }
    }

    fn local(self, at: DateTime<Utc>) -> NaiveDateTime {
        match self {
            Self::Offset(zone) => at.with_timezone(&zone).naive_local(),
            Self::Named(zone) => at.with_timezone(&zone).naive_local(),
        }
    }
}

fn date(
    text: &str,
    pair: Pair<'_, Rule>,
    rounding: Rounding,
    default: Zone,
) -> Result<DateTime<Utc>, Diagnostic> {
    let span = place(&pair);
    let mut parts = Parts::default();
    let mut zone = None;
    for part in pair.into_inner() {
        let number = || u32::from_str(part.as_str()).ok();
        match part.as_rule() {
            Rule::year => parts.year = i32::from_str(part.as_str()).unwrap_or_default(),
            Rule::month => parts.month = number(),
            Rule::day => parts.day = number(),
            Rule::hour => parts.hour = number(),
            Rule::minute => parts.minute = number(),
            Rule::second => parts.second = number(),
            Rule::fraction => {
                let digits = part.as_str().trim_start_matches(['.', ',']);
                parts.nanos = u32::from_str(&format!("{digits:0<9}")).ok();
            }
            Rule::zone => zone = Some(part),
            _ => {}
        }
    }
    let (hour, minute, second, nanos) = match rounding {
        Rounding::Down => (0, 0, 0, 0),
        Rounding::Up => (23, 59, 59, 999_000_000),
    };
    let day = NaiveDate::from_ymd_opt(parts.year, parts.month.unwrap_or(1), parts.day.unwrap_or(1))
        .ok_or_else(|| no_such(text, span, "day"))?;
    let time = NaiveTime::from_hms_nano_opt(
        parts.hour.unwrap_or(hour),
        parts.minute.unwrap_or(minute),
        parts.second.unwrap_or(second),
        parts.nanos.unwrap_or(nanos),
    )
    .ok_or_else(|| no_such(text, span, "time of day"))?;
    let local = day.and_time(time);
    match zone {
        None => default.instant(local).ok_or_else(|| out_of_range(text, span)),
        Some(zone) => {
            let missing = || no_such(text, place(&zone), "time zone");
            Zone::read(zone.as_str()).and_then(|zone| zone.instant(local)).ok_or_else(missing)
        }
    }
}

/// `Z`, `+02`, `+0200`, `+02:00`.
fn offset(zone: &str) -> Option<FixedOffset> {
    if zone == "Z" {
        return FixedOffset::east_opt(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = digits.get(2..).filter(|m| !m.is_empty()).map_or(Some(0), |m| m.parse().ok())?;
    if hours > 18 || minutes > 59 {
        return None;
    }
    FixedOffset::east_opt(sign * (hours * 3_600 + minutes * 60))
}

fn epoch_millis(text: &str, pair: &Pair<'_, Rule>) -> Result<DateTime<Utc>, Diagnostic> {
    let whole = pair.as_str().split('.').next().unwrap_or_default();
    let millis = i64::from_str(whole).map_err(|_| out_of_range(text, place(pair)))?;
    DateTime::from_timestamp_millis(millis).ok_or_else(|| out_of_range(text, place(pair)))
}

fn operation(
    text: &str,
    pair: Pair<'_, Rule>,
    at: DateTime<Utc>,
    rounding: Rounding,
    zone: Zone,
) -> Result<DateTime<Utc>, Diagnostic> {
    let span = place(&pair);
    let mut negative = false;
    let mut rounds = false;
    let mut count = 1;
    let mut unit = 's';
    for part in pair.into_inner().flatten() {
        match part.as_rule() {
            Rule::round => rounds = true,
            Rule::sign => negative = part.as_str() == "-",
            Rule::count => {
                count = u32::from_str(part.as_str()).map_err(|_| out_of_range(text, place(&part)))?;
            }
            Rule::unit => unit = part.as_str().chars().next().unwrap_or('s'),
            _ => {}
        }
    }
    if rounds {
        if count != 1 {
            return Err(Diagnostic::error(
                "DATE001",
                format!("`/` rounds to one unit, not to {count} of them"),
            )
            .with_help(format!("write `/{unit}`"))
            .at(text, span));
        }
        round(at, unit, rounding, zone).ok_or_else(|| out_of_range(text, span))
    } else {
        shift(at, unit, count, negative).ok_or_else(|| out_of_range(text, span))
    }
}

fn shift(at: DateTime<Utc>, unit: char, count: u32, negative: bool) -> Option<DateTime<Utc>> {
    let months = |n: u32| {
        let months = Months::new(n);
        if negative { at.checked_sub_months(months) } else { at.checked_add_months(months) }
    };
    let seconds = |each: i64| {
        let length = Duration::try_seconds(i64::from(count) * each)?;
        if negative { at.checked_sub_signed(length) } else { at.checked_add_signed(length) }
    };
    match unit {
        'y' => months(count.checked_mul(12)?),
        'M' => months(count),
        'w' => seconds(7 * 86_400),
        'd' => seconds(86_400),
        'h' | 'H' => seconds(3_600),
        'm' => seconds(60),
        _ => seconds(1),
    }
}

fn round(at: DateTime<Utc>, unit: char, rounding: Rounding, zone: Zone) -> Option<DateTime<Utc>> {
    let local = zone.local(at);
    let day = local.date();
    let midnight = |day: NaiveDate| Some(day.and_time(NaiveTime::MIN));
    let time = |hour, minute, second| day.and_hms_opt(hour, minute, second);
    let start = match unit {
        'y' => midnight(NaiveDate::from_ymd_opt(day.year(), 1, 1)?)?,
        'M' => midnight(day.with_day(1)?)?,
        'w' => midnight(day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday())))?)?,
        'd' => midnight(day)?,
        'h' | 'H' => time(local.hour(), 0, 0)?,
        'm' => time(local.hour(), local.minute(), 0)?,
        _ => time(local.hour(), local.minute(), local.second())?,
    };
    match rounding {
        Rounding::Down => zone.instant(start),
        Rounding::Up => {
            let next = zone.instant(shift(start.and_utc(), unit, 1, false)?.naive_utc())?;
            next.checked_sub_signed(Duration::milliseconds(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::window::iso_millis;

    fn now() -> DateTime<Utc> {
        "2026-11-18T14:27:32.123Z".parse().unwrap()
    }

    fn both(text: &str) -> String {
        match span_of(text, now()) {
            Ok((from, to)) if from == to => iso_millis(from),
            Ok((from, to)) => format!("{} .. {}", iso_millis(from), iso_millis(to)),
            Err(diagnostic) => format!("{diagnostic}"),
        }
    }

    #[test]
    fn resolves_as_elasticsearch_does() {
        let cases = [
            ("now", "2026-11-18T14:27:32.123Z"),
            ("now-5m", "2026-11-18T14:22:32.123Z"),
            ("now+1h-30s", "2026-11-18T15:27:02.123Z"),
            ("now-d", "2026-11-17T14:27:32.123Z"),
            ("now-1M", "2026-10-18T14:27:32.123Z"),
            ("now+3M", "2027-02-18T14:27:32.123Z"),
            ("now-1y", "2025-11-18T14:27:32.123Z"),
            ("now-2w", "2026-11-04T14:27:32.123Z"),
            ("now/y", "2026-01-01T00:00:00.000Z .. 2026-12-31T23:59:59.999Z"),
            ("now/M", "2026-11-01T00:00:00.000Z .. 2026-11-30T23:59:59.999Z"),
            ("now/w", "2026-11-16T00:00:00.000Z .. 2026-11-22T23:59:59.999Z"),
            ("now/d", "2026-11-18T00:00:00.000Z .. 2026-11-18T23:59:59.999Z"),
            ("now/h", "2026-11-18T14:00:00.000Z .. 2026-11-18T14:59:59.999Z"),
            ("now/H", "2026-11-18T14:00:00.000Z .. 2026-11-18T14:59:59.999Z"),
            ("now-6m/m", "2026-11-18T14:21:00.000Z .. 2026-11-18T14:21:59.999Z"),
            ("now/s", "2026-11-18T14:27:32.000Z .. 2026-11-18T14:27:32.999Z"),
            ("now/1d", "2026-11-18T00:00:00.000Z .. 2026-11-18T23:59:59.999Z"),
            ("2026", "2026-01-01T00:00:00.000Z .. 2026-01-01T23:59:59.999Z"),
            ("2026-02", "2026-02-01T00:00:00.000Z .. 2026-02-01T23:59:59.999Z"),
            ("2026-11-18", "2026-11-18T00:00:00.000Z .. 2026-11-18T23:59:59.999Z"),
            ("2026-11-18T", "2026-11-18T00:00:00.000Z .. 2026-11-18T23:59:59.999Z"),
            ("2026-11-18T14", "2026-11-18T14:00:00.000Z .. 2026-11-18T14:59:59.999Z"),
            ("2026-11-18T14:27", "2026-11-18T14:27:00.000Z .. 2026-11-18T14:27:59.999Z"),
            ("2026-11-18T14:27:32", "2026-11-18T14:27:32.000Z .. 2026-11-18T14:27:32.999Z"),
            ("2026-11-18T14:27:32.5", "2026-11-18T14:27:32.500Z"),
            ("2026-11-18T14:27:32,123456789Z", "2026-11-18T14:27:32.123Z"),
            ("2026-11-18T14:27:32.5+02:00", "2026-11-18T12:27:32.500Z"),
            ("2026-11-18T14:27:32.5-0330", "2026-11-18T17:57:32.500Z"),
            ("2026-11-18T14:27:32.5+05", "2026-11-18T09:27:32.500Z"),
            ("2026-07-01T12:00:00.0Europe/Paris", "2026-07-01T10:00:00.000Z"),
            ("2026-11-18T23Z", "2026-11-18T23:00:00.000Z .. 2026-11-18T23:59:59.999Z"),
            ("2026-11-01||", "2026-11-01T00:00:00.000Z .. 2026-11-01T23:59:59.999Z"),
            ("2026-11-01||+1d", "2026-11-02T00:00:00.000Z"),
            ("2026-11-01||+1d/d", "2026-11-02T00:00:00.000Z .. 2026-11-02T23:59:59.999Z"),
            ("2026-11-18||/M", "2026-11-01T00:00:00.000Z .. 2026-11-30T23:59:59.999Z"),
            ("2026-01-31||+1M", "2026-02-28T00:00:00.000Z"),
            ("2024-02-29||+1y", "2025-02-28T00:00:00.000Z"),
            ("1763476052123", "2025-11-18T14:27:32.123Z"),
            ("1763476052123.9", "2025-11-18T14:27:32.123Z"),
            ("-1", "1969-12-31T23:59:59.999Z"),
            ("1763476052123||/d", "2025-11-18T00:00:00.000Z .. 2025-11-18T23:59:59.999Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(both(text), expected, "{text}");
        }
    }

    #[test]
    fn says_where_a_text_is_not_date_math() {
        let cases = [
            ("", "DATE001", 0),
            ("nowish", "DATE001", 3),
            ("now-5", "DATE001", 5),
            ("now-5x", "DATE001", 5),
            ("now/2d", "DATE001", 3),
            ("2026-13-01", "DATE002", 0),
            ("2026-02-30", "DATE002", 0),
            ("2026-02-03T25", "DATE002", 0),
            ("2026-02-03T10:00:00Mars/Olympus", "DATE002", 19),
            ("now+99999999999999y", "DATE003", 4),
            ("now+300000y", "DATE003", 3),
            ("now+4294967295w", "DATE003", 3),
            ("999999999999999999", "DATE003", 0),
            ("yesterday", "DATE001", 0),
        ];
        for (text, code, start) in cases {
            let error = resolve(text, now(), Rounding::Down).unwrap_err();
            assert_eq!((error.code.as_str(), error.span.unwrap().start), (code, start), "{text}: {error}");
        }
        assert!(resolve(&"now-1d".repeat(10_000), now(), Rounding::Down).is_err());
    }

    #[test]
    fn reads_intervals() {
        assert_eq!(interval("5m"), Ok(300_000));
        assert_eq!(interval("24h"), Ok(86_400_000));
        assert_eq!(interval("1d"), Ok(86_400_000));
        assert_eq!(interval("30s"), Ok(30_000));
        for bad in
            ["", "m", "5", "0m", "-5m", "5 m", "5w", "99999999999999999999d", "9223372036854775807d", "5µ"]
        {
            assert_eq!(interval(bad).unwrap_err().code, "DATE004", "{bad}");
        }
    }
}
