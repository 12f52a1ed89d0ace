//! Blackout windows: stretches of the week in which no rule runs (`Fri 18:00 to Mon 02:00`). What
//! they leave out is searched afterwards.

use std::str::FromStr;

use chrono::{DateTime, Datelike, Duration, LocalResult, NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const WEEK: i64 = 7 * 24 * 60;

/// A stretch of the week: minutes since Monday 00:00 on the wall clock, the end left out. One that
/// ends before it begins goes over the week's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    from: i64,
    until: i64,
}

/// Why a text is no blackout window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlackoutError {
    /// It cannot be read.
    #[error("`{0}` is no blackout window: write `Fri 18:00 to Mon 02:00`, or `22:00 to 04:00` for every day")]
    Text(String),
    /// No such zone.
    #[error("`{0}` is not a time zone: use an IANA name such as `Europe/Berlin`")]
    Zone(String),
    /// Nothing would ever run.
    #[error("the blackout windows leave no minute of the week in which rules run")]
    Everything,
}

/// The blackout windows of an installation.
#[derive(Debug, Clone, Default)]
pub struct Blackouts {
    stretches: Vec<Stretch>,
    zone: Tz,
}

impl Blackouts {
    /// Reads windows (`Fri 18:00 to Mon 02:00`, `22:00 to 04:00`) on the wall clock of `zone`, an
    /// IANA name; UTC without one.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn parse(texts: &[String], zone: Option<&str>) -> Result<Self, BlackoutError> {
        let zone = match zone {
            Some(name) => Tz::from_str(name).map_err(|_| BlackoutError::Zone(name.to_owned()))?,
            None => Tz::UTC,
        };
        let mut stretches = Vec::new();
        for text in texts {
            stretches.extend(stretch(text).ok_or_else(|| BlackoutError::Text(text.clone()))?);
        }
        let blackouts = Self { stretches, zone };
        if (0..WEEK).all(|minute| blackouts.holds(minute)) {
            return Err(BlackoutError::Everything);
        }
        Ok(blackouts)
    }

    fn holds(&self, minute: i64) -> bool {
        self.stretches.iter().any(|stretch| {
            let (begun, before_end) = (minute >= stretch.from, minute < stretch.until);
            if stretch.from <= stretch.until { begun && before_end } else { begun || before_end }
        })
    }

    /// Whether no rule runs at `at`.
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        !self.stretches.is_empty() && self.holds(minute(at.with_timezone(&self.zone).naive_local()))
    }

    /// When the blackout that holds `at` ends; `None`: there is none.
    pub fn end(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if !self.contains(at) {
            return None;
        }
        let wall = at.with_timezone(&self.zone).naive_local();
        let whole = wall - Duration::seconds(i64::from(wall.second())) - nanos(wall);
        // By the wall clock, and by the instants it means: a clock change may lie between.
        (1..=WEEK).map(|minutes| whole + Duration::minutes(minutes)).find_map(|wall| {
            let instant = match self.zone.from_local_datetime(&wall) {
                LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => instant.to_utc(),
                LocalResult::None => return None,
            };
            (instant > at && !self.contains(instant)).then_some(instant)
        })
    }
}

fn nanos(wall: NaiveDateTime) -> Duration {
    Duration::nanoseconds(i64::from(wall.nanosecond()))
}

fn minute(wall: NaiveDateTime) -> i64 {
    let day = i64::from(wall.weekday().num_days_from_monday());
    (day * 24 + i64::from(wall.hour())) * 60 + i64::from(wall.minute())
}

/// The stretches that a text means: one, or one a day.
fn stretch(text: &str) -> Option<Vec<Stretch>> {
    let (from, until) = text.split_once(" to ")?;
    match (moment(from.trim())?, moment(until.trim())?) {
        ((Some(first), from), (Some(last), until)) => {
            Some(vec![Stretch { from: first * 1_440 + from, until: (last * 1_440 + until) % WEEK }])
        }
        ((None, from), (None, until)) if from != until => {
            let over = i64::from(until <= from) * 1_440;
            Some(
                (0..7)
                    .map(|day| Stretch {
                        from: day * 1_440 + from,
                        until: (day * 1_440 + until + over) % WEEK,
                    })
                    .collect(),
            )
        }
        _ => None,
    }
}

/// `Fri 18:00` or `18:00`: the weekday from Monday on, and the minute of the day.
fn moment(text: &str) -> Option<(Option<i64>, i64)> {
    let (day, time) = match text.split_once(char::is_whitespace) {
        Some((day, time)) => {
            let day = DAYS.iter().position(|name| name.eq_ignore_ascii_case(day))?;
            (Some(i64::try_from(day).ok()?), time.trim())
        }
        None => (None, text),
    };
    let (hour, minute) = time.split_once(':')?;
    let number = |text: &str, most: i64| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| digits && *number <= most)
    };
    let minutes = number(hour, 24)? * 60 + number(minute, 59)?;
    (minutes <= 1_440).then_some((day, minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn blackouts(text: &str, zone: Option<&str>) -> Blackouts {
        Blackouts::parse(&[text.to_owned()], zone).unwrap()
    }

    #[test]
    fn a_weekend_goes_over_the_end_of_the_week() {
        // 2026-11-06 is a Friday.
        let weekend = blackouts("Fri 18:00 to Mon 02:00", None);
        for (time, inside) in [
            ("2026-11-06T17:59:59Z", false),
            ("2026-11-06T18:00:00Z", true),
            ("2026-11-08T12:00:00Z", true),
            ("2026-11-09T01:59:59Z", true),
            ("2026-11-09T02:00:00Z", false),
        ] {
            assert_eq!(weekend.contains(at(time)), inside, "{time}");
        }
        assert_eq!(weekend.end(at("2026-11-07T03:04:05Z")), Some(at("2026-11-09T02:00:00Z")));
        assert_eq!(weekend.end(at("2026-11-09T02:00:00Z")), None);
    }

    #[test]
    fn nights_follow_the_wall_clock_through_the_clock_change() {
        let nights = blackouts("22:00 to 04:00", Some("Europe/Berlin"));
        // Berlin is at +02:00 until 2026-10-25 01:00 UTC, then at +01:00.
        assert!(nights.contains(at("2026-10-24T20:00:00Z")) && !nights.contains(at("2026-10-24T19:59:00Z")));
        assert_eq!(nights.end(at("2026-10-24T21:00:00Z")), Some(at("2026-10-25T03:00:00Z")));
        assert_eq!(nights.end(at("2026-10-25T22:00:00Z")), Some(at("2026-10-26T03:00:00Z")));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for text in
            ["Fri 18:00", "Fri 18:00 to 20:00", "Fry 18:00 to Mon 02:00", "25:00 to 26:00", "1:00 to 2:00"]
        {
            let error = Blackouts::parse(&[text.to_owned()], None).unwrap_err();
            assert_eq!(error, BlackoutError::Text(text.to_owned()));
        }
        assert_eq!(
            Blackouts::parse(&["00:00 to 12:00".into(), "12:00 to 24:00".into()], None).unwrap_err(),
            BlackoutError::Everything
        );
        assert!(matches!(Blackouts::parse(&[], Some("Mars/Base")), Err(BlackoutError::Zone(_))));
    }
}
