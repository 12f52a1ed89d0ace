//! Values, how they compare, and how they are computed with.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::ecs::mapping::Field;
use crate::ecs::types::FieldType;
use crate::ecs::value::number::Number;
use crate::ecs::value::version::Version;
use crate::ecs::value::{boolean, date, ip, number};
use crate::query::plan::{Arithmetic, Comparison};

/// A value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'d> {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Whole(i128),
    /// A number.
    Float(f64),
    /// Text.
    Text(Cow<'d, str>),
    /// An address, and as it was written.
    Ip(u128, Cow<'d, str>),
    /// An instant, nanoseconds since the epoch.
    Date(i128),
    /// A version.
    Version(Cow<'d, str>),
}

impl<'d> Value<'d> {
    /// What a document's text says in a field; `null` where the field's type cannot hold it.
    pub fn read(text: &'d str, field: &Field) -> Self {
        let read = match field.kind {
            kind if kind.is_integer() => number::whole(text, kind).map(Self::Whole),
            kind if kind.is_number() => {
                number::parse(text).map(|n| Self::Float(number::narrow(n.as_f64(), kind)))
            }
            FieldType::Boolean => boolean(text).map(Self::Bool),
            FieldType::Ip => ip::parse(text).map(|address| Self::Ip(address, Cow::Borrowed(text))),
            kind if kind.is_date() => date::parse(text, field.format.as_deref()).map(|at| {
                Self::Date(if kind == FieldType::DateNanos { at } else { at - at.rem_euclid(1_000_000) })
            }),
            FieldType::Version => Some(Self::Version(Cow::Borrowed(text))),
            _ => Some(Self::Text(Cow::Borrowed(text))),
        };
        read.unwrap_or(Self::Null)
    }

    /// The same without copying text.
    pub(super) fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
            Self::Ip(address, text) => Value::Ip(*address, Cow::Borrowed(text)),
            Self::Version(text) => Value::Version(Cow::Borrowed(text)),
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Whole(value) => Value::Whole(*value),
            Self::Float(value) => Value::Float(*value),
            Self::Date(value) => Value::Date(*value),
        }
    }

    /// The same with text of its own.
    pub fn into_owned<'o>(self) -> Value<'o> {
        match self {
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Ip(address, text) => Value::Ip(address, Cow::Owned(text.into_owned())),
            Self::Version(text) => Value::Version(Cow::Owned(text.into_owned())),
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Whole(value) => Value::Whole(value),
            Self::Float(value) => Value::Float(value),
            Self::Date(value) => Value::Date(value),
        }
    }

    /// The text of a value that is text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Ip(_, text) | Self::Version(text) => Some(text),
            _ => None,
        }
    }

    /// The value as text; `None` for `null`.
    pub fn spelled(&self) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(value) => value.to_string(),
            Self::Whole(value) => value.to_string(),
            Self::Float(value) => float(*value),
            Self::Text(text) | Self::Ip(_, text) | Self::Version(text) => text.to_string(),
            Self::Date(nanos) => {
                let millis = i64::try_from(nanos.div_euclid(1_000_000)).unwrap_or(0);
                let at = chrono::DateTime::from_timestamp_millis(millis).unwrap_or_default();
                crate::base::window::iso_millis(at)
            }
        })
    }

    fn number(&self) -> Option<Number> {
        match self {
            Self::Whole(value) => Some(Number::Whole(*value)),
            Self::Float(value) => Some(Number::Float(*value)),
            _ => None,
        }
    }

    /// The order of two values; `None` when they cannot be compared. A text is read as what it is
    /// compared with.
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Whole(a), Self::Whole(b)) | (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Ip(a, _), Self::Ip(b, _)) => a.cmp(b),
            (Self::Ip(a, _), Self::Text(b)) => a.cmp(&ip::parse(b)?),
            (Self::Date(a), Self::Text(b)) => a.cmp(&date::parse(b, None)?),
            (Self::Version(a), Self::Version(b) | Self::Text(b)) => Version::new(a).cmp(&Version::new(b)),
            (Self::Text(_), Self::Ip(..) | Self::Date(_) | Self::Version(_)) => other.order(self)?.reverse(),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => self.number()?.as_f64().partial_cmp(&other.number()?.as_f64())?,
        })
    }
}

/// A number as Java writes it, for common magnitudes.
fn float(value: f64) -> String {
    format!("{value:?}")
}

/// The verdict of a comparison; `null` when one side is, or when they cannot be compared.
pub(super) fn compare<'o>(comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> Value<'o> {
    match left.order(right) {
        None => Value::Null,
        Some(order) => Value::Bool(match comparison {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }),
    }
}

/// The result of an operation; `null` when a side is no number, on division by zero and beyond
/// what numbers can hold.
pub(super) fn arithmetic<'o>(operation: Arithmetic, left: &Value<'_>, right: &Value<'_>) -> Value<'o> {
    let result = match (left.number(), right.number()) {
        (Some(Number::Whole(a)), Some(Number::Whole(b))) => match operation {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Subtract => a.checked_sub(b),
            Arithmetic::Multiply => a.checked_mul(b),
            Arithmetic::Divide => a.checked_div(b),
            Arithmetic::Modulo => a.checked_rem(b),
        }
        .filter(|whole| i64::try_from(*whole).is_ok())
        .map(Value::Whole),
        (Some(a), Some(b)) => {
            let (a, b) = (a.as_f64(), b.as_f64());
            let float = match operation {
                Arithmetic::Add => a + b,
                Arithmetic::Subtract => a - b,
                Arithmetic::Multiply => a * b,
                Arithmetic::Divide => a / b,
                Arithmetic::Modulo => a % b,
            };
            float.is_finite().then_some(Value::Float(float))
        }
        _ => None,
    };
    result.unwrap_or(Value::Null)
}
