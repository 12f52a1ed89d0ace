//! Cron expressions as POSIX has them, with time zones.
//!
//! The `cron` crate has a dialect of its own (weekdays count from Sunday = 1, a day of the month
//! and a weekday must both match, summer time skips or doubles slots). So each field is expanded
//! here to the values it means, weekdays by name, the two kinds of days become two schedules, and
//! the crate only ever steps through wall-clock time without a zone. From wall-clock time to
//! instants:
//!
//! - a time that the change to summer time skips runs at the moment of the change;
//! - a time that the change back repeats runs once, the first time;
//! - but an expression with `*` (or `*/n`) as its hour follows elapsed time: it skips nothing that
//!   exists and runs in both of the repeated hours, so that no time goes unsearched.

use std::str::FromStr;

use chrono::offset::LocalResult;
use chrono::{DateTime, Duration, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

/// Longest clock change that is looked for, hours.
const CHANGE: i64 = 3;

/// A cron expression with its time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    schedules: Vec<cron::Schedule>,
    zone: Tz,
    /// The hour is `*` or `*/n`.
    hourly: bool,
}

/// Why an expression is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields (or six with seconds first).
    #[error("a cron expression has five fields, or six with seconds first; `{0}` has {1}")]
    Fields(String, usize),
    /// A field cannot be read.
    #[error("`{text}` is no {field} of a cron expression")]
    Field {
        /// Which.
        field: &'static str,
        /// Its text.
        text: String,
    },
    /// No such name.
    #[error("`{0}` is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly")]
    Name(String),
    /// No such zone.
    #[error("`{0}` is not a time zone: use an IANA name such as `Europe/Berlin`")]
    Zone(String),
}

struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const SECOND: Field = Field { name: "second", least: 0, most: 59, names: &[] };
const MINUTE: Field = Field { name: "minute", least: 0, most: 59, names: &[] };
const HOUR: Field = Field { name: "hour", least: 0, most: 23, names: &[] };
const DAY: Field = Field { name: "day of the month", least: 1, most: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Field =
    Field { name: "weekday", least: 0, most: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Field {
    fn wrong(&self, text: &str) -> CronError {
        CronError::Field { field: self.name, text: text.to_owned() }
    }

    fn number(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let number = match named {
            Some(place) => u32::try_from(place).ok()? + self.least,
            None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
            None => return None,
        };
        (self.least..=self.most).contains(&number).then_some(number)
    }

    /// The values that a field's text means, sorted.
    fn expand(&self, text: &str) -> Result<Vec<u32>, CronError> {
        let mut values = Vec::new();
        for item in text.split(',') {
            let (range, step) = match item.split_once('/') {
                Some((range, step)) => (range, step.parse::<u32>().ok().filter(|step| *step > 0)),
                None => (item, Some(1)),
            };
            let step = step.ok_or_else(|| self.wrong(text))?;
            let ends = match range.split_once('-') {
                _ if range == "*" => Some((self.least, self.most)),
                Some((first, last)) => self.number(first).zip(self.number(last)),
                // `5/15` counts from 5 to the end.
                None if item.contains('/') => self.number(range).map(|first| (first, self.most)),
                None => self.number(range).map(|only| (only, only)),
            };
            let (first, last) = ends.filter(|(first, last)| first <= last).ok_or_else(|| self.wrong(text))?;
            values.extend((first..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX)));
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn list(&self, text: &str) -> Result<String, CronError> {
        let values = self.expand(text)?;
        Ok(values.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }
}

/// Weekdays by name: the crate numbers them differently.
fn weekdays(text: &str) -> Result<String, CronError> {
    let mut days: Vec<&str> = Vec::new();
    for number in WEEKDAY.expand(text)? {
        let name = usize::try_from(number % 7).ok().and_then(|n| WEEKDAY.names.get(n)).copied();
        let name = name.ok_or_else(|| WEEKDAY.wrong(text))?;
        if !days.contains(&name) {
            days.push(name);
        }
    }
    Ok(days.join(","))
}

impl Cron {
    /// Reads an expression: five POSIX fields, six with seconds first, or an `@` name; `zone` is
    /// an IANA name, UTC without one.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn parse(expression: &str, zone: Option<&str>) -> Result<Self, CronError> {
        let zone = match zone {
            Some(name) => name.parse().map_err(|_| CronError::Zone(name.to_owned()))?,
            None => Tz::UTC,
        };
        let expression = expression.trim();
        let expanded = if expression.starts_with('@') { named(expression)? } else { expression };
        let fields: Vec<&str> = expanded.split_ascii_whitespace().collect();
        let (second, minute, hour, day, month, weekday) = match fields.as_slice() {
            [minute, hour, day, month, weekday] => ("0", *minute, *hour, *day, *month, *weekday),
            [second, minute, hour, day, month, weekday] => (*second, *minute, *hour, *day, *month, *weekday),
            other => return Err(CronError::Fields(expression.to_owned(), other.len())),
        };
        let times = format!("{} {} {}", SECOND.list(second)?, MINUTE.list(minute)?, HOUR.list(hour)?);
        let (days, months, weekdays) = (DAY.list(day)?, MONTH.list(month)?, weekdays(weekday)?);
        // POSIX: where both days are restricted, either suffices.
        let texts = match (day.starts_with('*'), weekday.starts_with('*')) {
            (false, false) => {
                vec![format!("{times} {days} {months} *"), format!("{times} * {months} {weekdays}")]
            }
            _ => vec![format!("{times} {days} {months} {weekdays}")],
        };
        let schedules = texts.iter().map(|text| cron::Schedule::from_str(text));
        let schedules = schedules
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CronError::Field { field: "part", text: expression.to_owned() })?;
        Ok(Self { schedules, zone, hourly: hour.starts_with('*') })
    }

    /// The first slot after `at`; `None` when there is none before the year 2100.
    pub fn after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.schedules.iter().filter_map(|schedule| self.next(schedule, at)).min()
    }

    fn next(&self, schedule: &cron::Schedule, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let wall = at.with_timezone(&self.zone).naive_local();
        if self.zone == Tz::UTC {
            return schedule.after(&at).next();
        }
        // Wall-clock time runs unevenly only around a clock change: what is found within its
        // reach may come in another order than the instants it means.
        let start = (wall - Duration::hours(CHANGE)).and_utc();
        let end = wall + Duration::hours(CHANGE);
        let mut best: Option<DateTime<Utc>> = None;
        for slot in schedule.after(&start) {
            let slot = slot.naive_utc();
            if slot > end && best.is_some() {
                break;
            }
            best = self.instants(slot).into_iter().filter(|instant| *instant > at).chain(best).min();
        }
        best
    }

    /// The instants that a wall-clock time means.
    fn instants(&self, wall: NaiveDateTime) -> Vec<DateTime<Utc>> {
        match self.zone.from_local_datetime(&wall) {
            LocalResult::Single(instant) => vec![instant.to_utc()],
            LocalResult::Ambiguous(first, second) if self.hourly => vec![first.to_utc(), second.to_utc()],
            LocalResult::Ambiguous(first, _) => vec![first.to_utc()],
            LocalResult::None if self.hourly => Vec::new(),
            LocalResult::None => self.change_after(wall).into_iter().collect(),
        }
    }

    /// The moment of the clock change that skips `wall`.
    fn change_after(&self, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
        // The last minute before the gap is also, as elapsed time, one minute before its end.
        (1..=CHANGE * 60).find_map(|minutes| {
            let whole = wall - Duration::seconds(i64::from(chrono::Timelike::second(&wall)));
            let before = self.zone.from_local_datetime(&(whole - Duration::minutes(minutes))).latest()?;
            Some(before.to_utc() + Duration::minutes(1))
        })
    }
}

fn named(name: &str) -> Result<&'static str, CronError> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return Err(CronError::Name(name.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(expression: &str, zone: Option<&str>, from: &str, count: usize) -> Vec<String> {
        let cron = Cron::parse(expression, zone).unwrap();
        let mut at = DateTime::parse_from_rfc3339(from).unwrap().to_utc();
        let mut found = Vec::new();
        for _ in 0..count {
            let Some(slot) = cron.after(at) else { break };
            assert!(slot > at);
            found.push(slot.format("%a %Y-%m-%d %H:%M:%S").to_string());
            at = slot;
        }
        found
    }

    #[test]
    fn weekdays_are_those_of_posix() {
        // 2026-11-01 is a Sunday.
        let from = "2026-11-01T00:00:00Z";
        let days = |expression: &str| -> Vec<String> {
            slots(expression, None, from, 3).into_iter().map(|s| s.chars().take(3).collect()).collect()
        };
        assert_eq!(days("0 12 * * 1-5"), ["Mon", "Tue", "Wed"]);
        assert_eq!(days("0 12 * * 0"), ["Sun", "Sun", "Sun"]);
        assert_eq!(days("0 12 * * 7"), ["Sun", "Sun", "Sun"]);
        assert_eq!(days("0 12 * * 5-7"), ["Sun", "Fri", "Sat"]);
        assert_eq!(days("0 12 * * mon,WED"), ["Mon", "Wed", "Mon"]);
    }

    #[test]
    fn day_of_month_or_weekday() {
        let found = slots("0 0 13 * 5", None, "2026-11-01T00:00:00Z", 4);
        assert_eq!(
            found,
            [
                "Fri 2026-11-06 00:00:00",
                "Fri 2026-11-13 00:00:00",
                "Fri 2026-11-20 00:00:00",
                "Fri 2026-11-27 00:00:00"
            ]
        );
        assert_eq!(slots("0 0 15 * 5", None, "2026-11-13T00:00:00Z", 1), ["Sun 2026-11-15 00:00:00"]);
    }

    #[test]
    fn names_steps_and_seconds() {
        let from = "2026-11-01T10:07:03Z";
        assert_eq!(slots("@daily", None, from, 1), ["Mon 2026-11-02 00:00:00"]);
        assert_eq!(slots("@weekly", None, from, 1), ["Sun 2026-11-08 00:00:00"]);
        assert_eq!(
            slots("*/10 * * * *", None, from, 2),
            ["Sun 2026-11-01 10:10:00", "Sun 2026-11-01 10:20:00"]
        );
        assert_eq!(
            slots("5/20 10 * * *", None, from, 2),
            ["Sun 2026-11-01 10:25:00", "Sun 2026-11-01 10:45:00"]
        );
        assert_eq!(slots("30 */5 * * * *", None, from, 1), ["Sun 2026-11-01 10:10:30"]);
        assert_eq!(slots("0 0 30 2 *", None, from, 1), Vec::<String>::new());
    }

    #[test]
    fn the_hour_lost_to_summer_time() {
        // Berlin, 2027-03-28: 02:00 becomes 03:00, which is 01:00 UTC.
        let berlin = Some("Europe/Berlin");
        let found = slots("30 2 * * *", berlin, "2027-03-26T12:00:00Z", 3);
        assert_eq!(found, ["Sat 2027-03-27 01:30:00", "Sun 2027-03-28 01:00:00", "Mon 2027-03-29 00:30:00"]);
        let found = slots("*/30 * * * *", berlin, "2027-03-28T00:15:00Z", 3);
        assert_eq!(found, ["Sun 2027-03-28 00:30:00", "Sun 2027-03-28 01:00:00", "Sun 2027-03-28 01:30:00"]);
    }

    #[test]
    fn the_hour_gained_from_summer_time() {
        // Berlin, 2026-10-25: 03:00 becomes 02:00, which is 01:00 UTC.
        let berlin = Some("Europe/Berlin");
        let found = slots("30 2 * * *", berlin, "2026-10-24T12:00:00Z", 2);
        assert_eq!(found, ["Sun 2026-10-25 00:30:00", "Mon 2026-10-26 01:30:00"]);
        let found = slots("*/30 * * * *", berlin, "2026-10-25T00:00:00Z", 4);
        assert_eq!(
            found,
            [
                "Sun 2026-10-25 00:30:00",
                "Sun 2026-10-25 01:00:00",
                "Sun 2026-10-25 01:30:00",
                "Sun 2026-10-25 02:00:00"
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let error = |text: &str| Cron::parse(text, None).unwrap_err();
        assert_eq!(error("* * * *"), CronError::Fields("* * * *".into(), 4));
        assert_eq!(error("60 * * * *"), CronError::Field { field: "minute", text: "60".into() });
        assert_eq!(error("* * * * 5-1"), CronError::Field { field: "weekday", text: "5-1".into() });
        assert_eq!(error("*/0 * * * *"), CronError::Field { field: "minute", text: "*/0".into() });
        assert_eq!(error("@reboot"), CronError::Name("@reboot".into()));
        assert!(matches!(Cron::parse("@daily", Some("Mars/Base")), Err(CronError::Zone(_))));
    }
}
