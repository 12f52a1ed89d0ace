//! Numbers: whole numbers exactly, floats at the width of their type.

use crate::ecs::types::FieldType;

/// A number as a query or a document has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number.
    Whole(i128),
    /// A number with a fraction, or beyond the whole ones.
    Float(f64),
}

/// Reads a number; infinities and NaN are none.
pub fn parse(text: &str) -> Option<Number> {
    if let Ok(whole) = text.parse::<i128>() {
        return Some(Number::Whole(whole));
    }
    // Rust reads `inf` and `nan`; Elasticsearch does not index them.
    if !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let float: f64 = text.parse().ok().filter(|float: &f64| float.is_finite())?;
    if float.fract() == 0.0 && float.abs() < 1e30 {
        return Some(Number::Whole(truncate(float)));
    }
    Some(Number::Float(float))
}

/// The whole part.
#[expect(clippy::cast_possible_truncation, reason = "an `as` cast of a finite float saturates")]
fn truncate(float: f64) -> i128 {
    float as i128
}

impl Number {
    /// As a double.
    #[expect(clippy::cast_precision_loss, reason = "Elasticsearch converts to double as well")]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Float(float) => float,
        }
    }

    /// The whole part.
    pub fn truncated(self) -> i128 {
        match self {
            Self::Whole(whole) => whole,
            Self::Float(float) => truncate(float),
        }
    }
}

/// Smallest and largest value of a whole-number type.
pub fn limits(kind: FieldType) -> (i128, i128) {
    match kind {
        FieldType::Byte => (i128::from(i8::MIN), i128::from(i8::MAX)),
        FieldType::Short => (i128::from(i16::MIN), i128::from(i16::MAX)),
        FieldType::Integer => (i128::from(i32::MIN), i128::from(i32::MAX)),
        FieldType::UnsignedLong => (0, i128::from(u64::MAX)),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    }
}

/// A value of a whole-number field: text is coerced and fractions are cut off, as Elasticsearch
/// does by default; out of range is malformed.
pub fn whole(text: &str, kind: FieldType) -> Option<i128> {
    let value = parse(text)?.truncated();
    let (least, most) = limits(kind);
    (least <= value && value <= most).then_some(value)
}

/// A value of a float field, at the width of its type; scaled floats are multiplied and rounded.
pub fn float(text: &str, kind: FieldType, scaling_factor: Option<u32>) -> Option<f64> {
    let value = narrow(parse(text)?.as_f64(), kind);
    let value = if kind == FieldType::ScaledFloat { scale(value, scaling_factor).round() } else { value };
    value.is_finite().then_some(value)
}

/// `value` times the factor of a scaled float.
pub fn scale(value: f64, scaling_factor: Option<u32>) -> f64 {
    value * f64::from(scaling_factor.unwrap_or(1).max(1))
}

/// `value` at the width of `kind`.
pub fn narrow(value: f64, kind: FieldType) -> f64 {
    match kind {
        #[expect(clippy::cast_possible_truncation, reason = "this is the rounding that is wanted")]
        FieldType::Float => f64::from(value as f32),
        FieldType::HalfFloat => half(value),
        _ => value,
    }
}

/// Rounds to 16-bit floating point (11 significant bits, largest 65,504), ties to even.
fn half(value: f64) -> f64 {
    const LARGEST: f64 = 65_504.0;
    const SMALLEST_NORMAL: f64 = 1.0 / 16_384.0;
    if value == 0.0 {
        return value;
    }
    let magnitude = value.abs();
    // The distance between neighbours: 2^(exponent - 10), and 2^-24 below the normal numbers.
    let step = if magnitude < SMALLEST_NORMAL {
        SMALLEST_NORMAL / 1_024.0
    } else {
        let exponent = magnitude.log2().floor();
        (exponent - 10.0).exp2()
    };
    let rounded = (magnitude / step).round_ties_even() * step;
    if rounded > LARGEST { f64::INFINITY.copysign(value) } else { rounded.copysign(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_coerce_text_and_cut_fractions() {
        assert_eq!(whole("4624", FieldType::Long), Some(4624));
        assert_eq!(whole("5.7", FieldType::Long), Some(5));
        assert_eq!(whole("1e3", FieldType::Long), Some(1000));
        assert_eq!(whole("", FieldType::Long), None);
        assert_eq!(whole("abc", FieldType::Long), None);
        assert_eq!(whole("true", FieldType::Long), None);
        assert_eq!(whole("300", FieldType::Byte), None);
        assert_eq!(whole("18446744073709551615", FieldType::UnsignedLong), Some(i128::from(u64::MAX)));
        assert_eq!(whole("-1", FieldType::UnsignedLong), None);
        assert_eq!(whole("9223372036854775807", FieldType::Long), Some(i128::from(i64::MAX)));
    }

    #[test]
    fn floats_have_the_width_of_their_type() {
        assert_eq!(float("0.1", FieldType::Float, None), Some(f64::from(0.1_f32)));
        assert_eq!(float("0.1", FieldType::Double, None), Some(0.1));
        assert_eq!(float("1e39", FieldType::Float, None), None);
        assert_eq!(float("0.123", FieldType::ScaledFloat, Some(100)), Some(12.0));
        assert_eq!(float("1.1", FieldType::HalfFloat, None), Some(1.099_609_375));
        assert_eq!(float("70000", FieldType::HalfFloat, None), None);
        assert_eq!(float("inf", FieldType::Double, None), None);
    }
}
