//! Dates as a document has them, in the formats a mapping names.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveTime, TimeZone, Utc};

/// Nanoseconds since the epoch.
pub type Nanos = i128;

const SECOND: Nanos = 1_000_000_000;
const MILLI: Nanos = 1_000_000;

/// Reads `text` by `format` (names of formats joined by `||`; `None`: Elasticsearch's default,
/// `strict_date_optional_time||epoch_millis`). The first format that reads it wins.
pub fn parse(text: &str, format: Option<&str>) -> Option<Nanos> {
    match format {
        None => optional_time(text).or_else(|| epoch(text, MILLI)),
        Some(formats) => formats.split("||").find_map(|format| by_name(text, format.trim())),
    }
}

fn by_name(text: &str, format: &str) -> Option<Nanos> {
    match format {
        "epoch_second" => epoch(text, SECOND),
        "epoch_millis" => epoch(text, MILLI),
        "date_optional_time"
        | "strict_date_optional_time"
        | "strict_date_optional_time_nanos"
        | "iso8601"
        | "date_time"
        | "strict_date_time"
        | "date_time_no_millis"
        | "strict_date_time_no_millis"
        | "date_hour_minute_second"
        | "strict_date_hour_minute_second"
        | "date"
        | "strict_date"
        | "year_month_day"
        | "strict_year_month_day"
        | "year_month"
        | "strict_year_month"
        | "year"
        | "strict_year" => optional_time(text),
        "basic_date" => pattern(text, "yyyyMMdd"),
        "basic_date_time_no_millis" => pattern(text, "yyyyMMdd'T'HHmmssX"),
        custom => pattern(text, custom),
    }
}

/// A number of `unit` nanoseconds since the epoch, with an optional fraction.
fn epoch(text: &str, unit: Nanos) -> Option<Nanos> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 18 || fraction.len() > 9 || !plain(whole) || !plain(fraction) {
        return None;
    }
    let mut value: Nanos = whole.parse::<Nanos>().ok()? * unit;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        value += Nanos::from(digit - b'0') * place;
    }
    Some(if text.starts_with('-') { -value } else { value })
}

/// `yyyy[-MM[-dd['T'[HH[:mm[:ss[.fraction]]]][zone]]]]`; without a zone it is UTC.
pub fn optional_time(text: &str) -> Option<Nanos> {
    let mut scan = Scan { rest: text.as_bytes() };
    let negative = scan.take(b'-');
    let mut year = i64::from(scan.digits(4, 4)?);
    if negative {
        year = -year;
    }
    let (mut month, mut day) = (1, 1);
    let (mut hour, mut minute, mut second, mut nanos) = (0, 0, 0, 0);
    let mut offset = 0;
    if scan.take(b'-') {
        month = scan.digits(2, 2)?;
        if scan.take(b'-') {
            day = scan.digits(2, 2)?;
        }
    }
    if scan.take(b'T') && !scan.rest.is_empty() {
        hour = scan.digits(2, 2)?;
        if scan.take(b':') {
            minute = scan.digits(2, 2)?;
            if scan.take(b':') {
                second = scan.digits(2, 2)?;
                if scan.take(b'.') || scan.take(b',') {
                    nanos = scan.fraction()?;
                }
            }
        }
        offset = scan.zone()?;
    }
    if !scan.rest.is_empty() {
        return None;
    }
    instant(year, month, day, hour, minute, second, nanos, offset)
}

#[expect(clippy::too_many_arguments, reason = "the parts of an instant")]
fn instant(
    year: i64,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    offset: i32,
) -> Option<Nanos> {
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    // `24:00` is the end of the day.
    let (date, hour) = if hour == 24 && minute == 0 && second == 0 && nanos == 0 {
        (date.succ_opt()?, 0)
    } else {
        (date, hour)
    };
    let time = NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)?;
    let at = Utc.from_utc_datetime(&date.and_time(time));
    Some(of(at) - Nanos::from(offset) * SECOND)
}

/// Nanoseconds since the epoch of an instant.
pub fn of(at: DateTime<Utc>) -> Nanos {
    Nanos::from(at.timestamp()) * SECOND + Nanos::from(at.timestamp_subsec_nanos())
}

/// The millisecond, rounded down, as a `date` field keeps it.
pub fn millis(nanos: Nanos) -> i64 {
    i64::try_from(nanos.div_euclid(MILLI)).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

struct Scan<'a> {
    rest: &'a [u8],
}

impl Scan<'_> {
    fn take(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// A number of at least `least` and at most `most` digits.
    fn digits(&mut self, least: usize, most: usize) -> Option<u32> {
        let mut value = 0;
        let mut count = 0;
        while count < most
            && let Some((first, rest)) = self.rest.split_first()
            && first.is_ascii_digit()
        {
            value = value * 10 + u32::from(first - b'0');
            self.rest = rest;
            count += 1;
        }
        (count >= least).then_some(value)
    }

    /// One to nine digits after the point, as nanoseconds.
    fn fraction(&mut self) -> Option<u32> {
        let before = self.rest.len();
        let value = self.digits(1, 9)?;
        let count = before - self.rest.len();
        Some(value * 10_u32.pow(u32::try_from(9_usize.saturating_sub(count)).ok()?))
    }

    /// `Z`, `+hh`, `+hhmm`, `+hh:mm`, or nothing; seconds east of UTC.
    fn zone(&mut self) -> Option<i32> {
        if self.rest.is_empty() || self.take(b'Z') {
            return Some(0);
        }
        let east = if self.take(b'+') {
            1
        } else if self.take(b'-') {
            -1
        } else {
            return None;
        };
        let hours = i32::try_from(self.digits(2, 2)?).ok()?;
        self.take(b':');
        let minutes = if self.rest.is_empty() { 0 } else { i32::try_from(self.digits(2, 2)?).ok()? };
        let seconds = east * (hours * 3_600 + minutes * 60);
        FixedOffset::east_opt(seconds).map(|_| seconds)
    }
}

/// Reads `text` by a Java date pattern: runs of `y M d H m s S` and `X`, `Z` or `z` for the zone;
/// other letters are not supported and read nothing.
fn pattern(text: &str, format: &str) -> Option<Nanos> {
    let mut scan = Scan { rest: text.as_bytes() };
    let (mut year, mut month, mut day) = (1970, 1, 1);
    let (mut hour, mut minute, mut second, mut nanos) = (0, 0, 0, 0);
    let mut offset = 0;
    let mut letters = format.bytes().peekable();
    while let Some(letter) = letters.next() {
        if letter == b'\'' {
            for quoted in letters.by_ref().take_while(|b| *b != b'\'') {
                scan.take(quoted).then_some(())?;
            }
            continue;
        }
        if !letter.is_ascii_alphabetic() {
            scan.take(letter).then_some(())?;
            continue;
        }
        let mut count = 1;
        while letters.next_if_eq(&letter).is_some() {
            count += 1;
        }
        match letter {
            b'y' | b'u' => year = i64::from(scan.digits(4, 4)?),
            b'M' if count <= 2 => month = scan.digits(count, 2)?,
            b'd' => day = scan.digits(count, 2)?,
            b'H' => hour = scan.digits(count, 2)?,
            b'm' => minute = scan.digits(count, 2)?,
            b's' => second = scan.digits(count, 2)?,
            b'S' => nanos = scan.fraction()?,
            b'X' | b'Z' | b'x' => offset = scan.zone()?,
            _ => return None,
        }
    }
    scan.rest.is_empty().then_some(())?;
    instant(year, month, day, hour, minute, second, nanos, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_documents() {
        let at = |text: &str| parse(text, None).map(millis);
        assert_eq!(at("2024-05-01T00:00:00.123Z"), Some(1_714_521_600_123));
        assert_eq!(at("2024-05-01T02:00:00.123+02:00"), Some(1_714_521_600_123));
        assert_eq!(at("2024-05-01T00:00:00.123999"), Some(1_714_521_600_123));
        assert_eq!(at("2024-05-01"), Some(1_714_521_600_000));
        assert_eq!(at("2024-05"), Some(1_714_521_600_000));
        assert_eq!(at("2024"), Some(1_704_067_200_000));
        assert_eq!(at("1714521600123"), Some(1_714_521_600_123));
        assert_eq!(at("20240501"), Some(20_240_501));
        assert_eq!(at("-1"), Some(-1));
        assert_eq!(at("2024-02-30"), None);
        assert_eq!(at("yesterday"), None);
        assert_eq!(at(""), None);
        assert_eq!(parse("1714521600", Some("epoch_second")).map(millis), Some(1_714_521_600_000));
        assert_eq!(
            parse("01/05/2024 10:11", Some("yyyy-MM-dd||dd/MM/yyyy HH:mm")).map(millis),
            Some(1_714_558_260_000)
        );
    }
}
