//! Lengths of time (`30d`, `1h30m`) and sizes (`50GiB`) as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time: numbers with `ms`, `s`, `m`, `h`, `d` or `w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(Duration);

const TIME_UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl TimeSpan {
    /// As the standard library has it.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no length of time: write `30d`, `12h`, `5m`, `90s` or `1h30m`");
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (number, tail) = split(rest, |c| c.is_ascii_digit());
            let (unit, tail) = split(tail, |c| c.is_ascii_alphabetic());
            let number: u64 = number.parse().map_err(|_| wrong())?;
            let (_, millis) = TIME_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
            total = number.checked_mul(*millis).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
            rest = tail;
        }
        // Beyond this, instants cannot be computed; a thousand years is for ever.
        if total > 1_000 * 366 * 86_400_000 {
            return Err(format!("`{text}` is longer than a thousand years"));
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (name, unit) = TIME_UNITS
            .iter()
            .skip(1)
            .find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit))
            .copied()
            .unwrap_or(("ms", 1));
        write!(f, "{}{name}", millis / unit)
    }
}

/// A number of bytes: `512MiB`, `50GiB`, `10GB`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

const SIZE_UNITS: [(&str, u64); 11] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
    ("", 1),
];

impl ByteSize {
    /// Bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no size: write `512MiB`, `50GiB` or a number of bytes");
        let (number, unit) = split(text.trim(), |c| c.is_ascii_digit());
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let unit = unit.trim();
        let (_, bytes) =
            SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(wrong)?;
        number.checked_mul(*bytes).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) = SIZE_UNITS
            .iter()
            .find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit))
            .copied()
            .unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

fn split(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !wanted(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

macro_rules! as_text {
    ($($kind:ty),*) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}
as_text!(TimeSpan, ByteSize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_print() {
        for (text, seconds) in [("30d", 2_592_000), ("1h30m", 5_400), ("90s", 90), ("2w", 1_209_600)] {
            assert_eq!(text.parse::<TimeSpan>().unwrap().duration().as_secs(), seconds, "{text}");
        }
        assert_eq!("90m".parse::<TimeSpan>().unwrap().to_string(), "90m");
        assert_eq!("48h".parse::<TimeSpan>().unwrap().to_string(), "2d");
        for text in ["", "5", "m", "5x", "-5m", "99999999999999999999d", "9999999w"] {
            assert!(text.parse::<TimeSpan>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_read_and_print() {
        assert_eq!("50GiB".parse::<ByteSize>().unwrap().bytes(), 50 << 30);
        assert_eq!("10 gb".parse::<ByteSize>().unwrap().bytes(), 10_000_000_000);
        assert_eq!("123".parse::<ByteSize>().unwrap().to_string(), "123B");
        assert_eq!("1024MiB".parse::<ByteSize>().unwrap().to_string(), "1GiB");
        for text in ["", "GiB", "5XB", "99999999999TiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
