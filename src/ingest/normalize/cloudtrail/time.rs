//! Times as CloudTrail writes them, in the form Elasticsearch stores them.

use chrono::{DateTime, NaiveDate, Utc};

use crate::base::window::iso_millis;

/// `text` (RFC 3339, or milliseconds since the epoch) as ISO 8601 with milliseconds and `Z`.
pub(super) fn millis(text: &str) -> Option<String> {
    if let Some(whole) = whole_seconds(text) {
        return Some(whole);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(iso_millis(at.with_timezone(&Utc)));
    }
    let epoch = text.parse::<i64>().ok().filter(|_| text.len() >= 12)?;
    DateTime::from_timestamp_millis(epoch).map(iso_millis)
}

/// The form nearly every record has, `2026-11-21T10:00:00Z`, without a round trip through a date.
fn whole_seconds(text: &str) -> Option<String> {
    let bytes: &[u8; 20] = text.as_bytes().try_into().ok()?;
    let pattern = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = bytes.iter().zip(pattern).all(|(byte, want)| match want {
        b'd' => byte.is_ascii_digit(),
        other => byte == other,
    });
    if !fits {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        bytes.get(range).unwrap_or_default().iter().fold(0u32, |n, b| n * 10 + u32::from(b - b'0'))
    };
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(0..4)).ok()?, number(5..7), number(8..10));
    date?.and_hms_opt(number(11..13), number(14..16), number(17..19))?;
    let mut out = String::with_capacity(24);
    out.push_str(text.get(..19)?);
    out.push_str(".000Z");
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn forms() {
        for (text, expected) in [
            ("2026-11-21T10:00:00Z", Some("2026-11-21T10:00:00.000Z")),
            ("2026-11-21T10:00:00.123456Z", Some("2026-11-21T10:00:00.123Z")),
            ("2026-11-21T10:00:00+02:00", Some("2026-11-21T08:00:00.000Z")),
            ("1700000000000", Some("2023-11-14T22:13:20.000Z")),
            ("2026-02-30T10:00:00Z", None),
            ("2026-11-21T24:00:00Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(millis(text).as_deref(), expected, "{text}");
        }
    }
}
