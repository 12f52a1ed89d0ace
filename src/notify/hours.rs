//! Times of day: quiet hours, and when a route is in force.

use std::str::FromStr;

use chrono::{DateTime, Datelike, Duration, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;

use crate::config::HoursConfig;

/// A part of the day, on some days.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hours {
    from: NaiveTime,
    to: NaiveTime,
    /// Monday first.
    days: [bool; 7],
    zone: Tz,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Hours {
    /// From the configuration; an error names the key below it and says what is wrong.
    pub(super) fn new(config: &HoursConfig) -> Result<Self, (&'static str, String)> {
        let time = |name: &'static str, text: &Option<String>| match text.as_deref() {
            None | Some("24:00") => Ok(NaiveTime::MIN),
            Some(text) => NaiveTime::parse_from_str(text, "%H:%M")
                .map_err(|_| (name, format!("`{text}` is no time of day: write `22:00`"))),
        };
        let mut days = [config.days.is_empty(); 7];
        for day in &config.days {
            let place = DAYS.iter().position(|name| day.eq_ignore_ascii_case(name));
            let slot = place.and_then(|place| days.get_mut(place));
            *slot.ok_or_else(|| ("days", format!("`{day}` is none of `{}`", DAYS.join("`, `"))))? = true;
        }
        let zone = config.timezone.as_deref().unwrap_or("UTC");
        let zone = Tz::from_str(zone)
            .map_err(|_| ("timezone", format!("`{zone}` is not a time zone: use an IANA name")))?;
        Ok(Self { from: time("from", &config.from)?, to: time("to", &config.to)?, days, zone })
    }

    /// Whether `at` lies in them. From 22:00 to 07:00 on `mon`: Monday evening to Tuesday morning.
    pub(super) fn contain(&self, at: DateTime<Utc>) -> bool {
        let local = at.with_timezone(&self.zone);
        let today = usize::try_from(local.weekday().num_days_from_monday()).unwrap_or(0);
        let on = |day: usize| self.days.get(day % 7).copied().unwrap_or(false);
        let time = local.time();
        if self.from < self.to {
            return on(today) && self.from <= time && time < self.to;
        }
        (on(today) && time >= self.from) || (on(today + 6) && time < self.to)
    }

    /// When the hours that contain `at` end; a day later at most per day in a row.
    pub(super) fn end_after(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let mut end = at;
        // Hours that follow each other without a gap end together, within a week.
        for _ in 0..8 {
            if !self.contain(end) {
                return end;
            }
            let local = end.with_timezone(&self.zone);
            let mut day = local.date_naive();
            if local.time() >= self.to {
                day = day.checked_add_days(chrono::Days::new(1)).unwrap_or(day);
            }
            let naive = day.and_time(self.to);
            // An end that summer time skips comes an hour later.
            let next = [0, 1].into_iter().find_map(|hours| {
                self.zone.from_local_datetime(&(naive + Duration::hours(hours))).earliest()
            });
            match next {
                Some(next) if next.to_utc() > end => end = next.to_utc(),
                _ => return end + Duration::days(1),
            }
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn hours(from: &str, to: &str, days: &[&str], zone: &str) -> Hours {
        Hours::new(&HoursConfig {
            from: Some(from.into()),
            to: Some(to.into()),
            days: days.iter().map(ToString::to_string).collect(),
            timezone: Some(zone.into()),
        })
        .unwrap()
    }

    #[test]
    fn nights_belong_to_the_day_they_begin_on() {
        let night = hours("22:00", "07:00", &["mon"], "UTC");
        assert!(night.contain(at("2026-11-02T22:00:00Z")) && night.contain(at("2026-11-03T06:59:59Z")));
        assert!(!night.contain(at("2026-11-02T06:00:00Z")) && !night.contain(at("2026-11-03T07:00:00Z")));
        assert_eq!(night.end_after(at("2026-11-02T23:00:00Z")), at("2026-11-03T07:00:00Z"));
        assert_eq!(night.end_after(at("2026-11-03T03:00:00Z")), at("2026-11-03T07:00:00Z"));
        let berlin = hours("22:00", "07:00", &[], "Europe/Berlin");
        assert!(berlin.contain(at("2026-11-02T21:30:00Z")) && !berlin.contain(at("2026-11-02T20:30:00Z")));
        assert_eq!(berlin.end_after(at("2026-11-02T21:30:00Z")), at("2026-11-03T06:00:00Z"));
    }

    #[test]
    fn a_weekend_ends_on_monday() {
        let weekend = hours("00:00", "24:00", &["sat", "sun"], "UTC");
        assert_eq!(weekend.end_after(at("2026-11-07T12:00:00Z")), at("2026-11-09T00:00:00Z"));
        assert!(!weekend.contain(at("2026-11-06T23:59:59Z")));
    }

    #[test]
    fn mistakes_are_named() {
        let wrong = |config: HoursConfig| Hours::new(&config).unwrap_err().0;
        assert_eq!(wrong(HoursConfig { from: Some("25:00".into()), ..HoursConfig::default() }), "from");
        assert_eq!(wrong(HoursConfig { days: vec!["someday".into()], ..HoursConfig::default() }), "days");
        assert_eq!(
            wrong(HoursConfig { timezone: Some("Mars".into()), ..HoursConfig::default() }),
            "timezone"
        );
    }
}
