//! Instants as the store sorts and prunes by them: milliseconds since the epoch, and back to the
//! text they had.

use chrono::{DateTime, Datelike, NaiveDate, Timelike};

use super::batch::NO_TIME;

/// Milliseconds of a day.
pub(crate) const DAY: i64 = 86_400_000;

/// How the texts of a time column can be rebuilt from milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `2026-11-20T12:00:00Z`
    Seconds,
    /// `2026-11-20T12:00:00.000Z`
    Millis,
}

impl Form {
    pub(crate) const ALL: [Self; 2] = [Self::Millis, Self::Seconds];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Millis => "millis",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }

    /// Writes `ms` in this form; nothing when it cannot be written.
    pub(crate) fn write(self, ms: i64, out: &mut String) {
        use std::fmt::Write;
        let Some(at) = DateTime::from_timestamp_millis(ms) else { return };
        let (year, month, day) = (at.year(), at.month(), at.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        let written = match self {
            Self::Seconds => write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
            Self::Millis => write!(
                out,
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
                at.timestamp_subsec_millis()
            ),
        };
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }

    /// Which form rebuilds exactly `text` from `ms`.
    pub(crate) fn of(text: &str, ms: i64) -> Option<Self> {
        let form = match text.len() {
            20 => Self::Seconds,
            24 => Self::Millis,
            _ => return None,
        };
        // Length and the closing letter leave only the canonical spelling once the text is known
        // to be a date and its zone to be UTC.
        let bytes = text.as_bytes();
        let whole = form == Self::Millis || ms.rem_euclid(1000) == 0;
        (whole
            && bytes.last() == Some(&b'Z')
            && bytes.get(10) == Some(&b'T')
            && (form == Self::Seconds || bytes.get(19) == Some(&b'.'))
            && fast(bytes) == Some(ms))
        .then_some(form)
    }
}

/// Milliseconds since the epoch of a date as Elasticsearch's `strict_date_optional_time ||
/// epoch_millis` reads it; [`NO_TIME`] for anything else.
pub(crate) fn parse(text: &str) -> i64 {
    if let Some(ms) = fast(text.as_bytes()) {
        return ms;
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return at.timestamp_millis();
    }
    if let Ok(ms) = text.parse::<i64>() {
        // Four digits are a year to Elasticsearch's first format.
        if text.len() != 4 {
            return ms;
        }
    }
    let day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let padded = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        _ => text.to_owned(),
    };
    if let Some(date) = day(&padded) {
        return date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"] {
        let text = text.strip_suffix('Z').unwrap_or(text);
        if let Ok(at) = chrono::NaiveDateTime::parse_from_str(text, form) {
            return at.and_utc().timestamp_millis();
        }
    }
    NO_TIME
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction]Z`, by far the most common.
fn fast(text: &[u8]) -> Option<i64> {
    let (head, tail) = text.split_at_checked(19)?;
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1] = head else {
        return None;
    };
    let two = |a: u8, b: u8| -> Option<u32> {
        (a.is_ascii_digit() && b.is_ascii_digit()).then(|| u32::from(a - b'0') * 10 + u32::from(b - b'0'))
    };
    let year = i32::try_from(two(y0, y1)? * 100 + two(y2, y3)?).ok()?;
    let millis = match tail {
        b"Z" => 0,
        [b'.', digits @ .., b'Z'] if !digits.is_empty() && digits.len() <= 9 => {
            let mut millis = 0;
            for place in 0..3 {
                let digit = digits.get(place).copied().unwrap_or(b'0');
                millis = millis * 10 + i64::from(digit.wrapping_sub(b'0'));
            }
            if !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            millis
        }
        _ => return None,
    };
    let (hour, minute, second) = (two(h0, h1)?, two(n0, n1)?, two(s0, s1)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(year, two(m0, m1)?, two(d0, d1)?)?;
    let days = i64::from(date.num_days_from_ce()) - 719_163;
    Some(
        ((days * 24 + i64::from(hour)) * 60 + i64::from(minute)) * 60_000 + i64::from(second) * 1000 + millis,
    )
}

/// The day (days since the epoch, UTC) a time belongs to; events without a time share one.
pub(crate) fn day(ms: i64) -> i64 {
    if ms == NO_TIME { i64::MIN } else { ms.div_euclid(DAY) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_elasticsearch_reads_them() {
        let noon = 1_763_640_000_000;
        for (text, ms) in [
            ("2025-11-20T12:00:00Z", noon),
            ("2025-11-20T12:00:00.5Z", noon + 500),
            ("2025-11-20T12:00:00.123456Z", noon + 123),
            ("2025-11-20T13:00:00.000+01:00", noon),
            ("2025-11-20T12:00", noon),
            ("2025-11-20", noon - 12 * 3_600_000),
            ("1763640000000", noon),
            ("yesterday", NO_TIME),
            ("2025-13-20T12:00:00Z", NO_TIME),
        ] {
            assert_eq!(parse(text), ms, "{text}");
        }
    }

    #[test]
    fn a_form_is_only_taken_when_it_gives_the_same_text_back() {
        for text in ["2025-11-20T12:00:00Z", "2025-11-20T12:00:00.120Z", "1969-12-31T23:59:59.999Z"] {
            let ms = parse(text);
            let form = Form::of(text, ms).unwrap();
            let mut out = String::new();
            form.write(ms, &mut out);
            assert_eq!(out, text);
        }
        for text in ["2025-11-20T12:00:00.1234Z", "2025-11-20T13:00:00+01:00", "1763640000000"] {
            assert_eq!(Form::of(text, parse(text)), None, "{text}");
        }
    }
}
