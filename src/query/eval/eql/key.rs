//! The values that join events.

use std::cmp::Ordering;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::ecs::flat::FlatDoc;
use crate::ecs::mapping::Mapping;
use crate::query::eval::scalar::{Scalar, Value};
use crate::query::plan::{Expr, JoinKey};

/// Most combinations of values by which one event is joined.
const COMBINATIONS: usize = 1_024;

/// What events share: a value of each key.
pub type Key = Arc<[KeyValue]>;

/// A value of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyValue {
    /// No value (only of an optional key).
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Whole(i128),
    /// A number with a fraction, by its bits.
    Float(u64),
    /// Anything else.
    Text(Arc<str>),
}

impl KeyValue {
    fn of(value: &Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Whole(value) => Self::Whole(*value),
            Value::Float(value) => Self::Float(value.to_bits()),
            other => other.spelled().map_or(Self::Null, |text| Self::Text(text.into())),
        }
    }

    /// As JSON.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Whole(value) => i64::try_from(*value).map_or_else(|_| value.to_string().into(), Into::into),
            Self::Float(bits) => f64::from_bits(*bits).into(),
            Self::Text(text) => text.to_string().into(),
        }
    }

    /// Approximate heap size, bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len() + 16,
            _ => 0,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Whole(_) | Self::Float(_) => 2,
            Self::Text(_) => 3,
        }
    }

    fn number(&self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "an order of keys, not arithmetic")]
            Self::Whole(value) => *value as f64,
            Self::Float(bits) => f64::from_bits(*bits),
            _ => 0.0,
        }
    }
}

impl PartialOrd for KeyValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyValue {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Whole(a), Self::Whole(b)) => a.cmp(b),
            (Self::Whole(_) | Self::Float(_), Self::Whole(_) | Self::Float(_)) => {
                self.number().total_cmp(&other.number())
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// The keys of a stage, compiled for a mapping.
#[derive(Debug, Clone)]
pub struct JoinKeys {
    keys: Vec<(Scalar, bool)>,
}

impl JoinKeys {
    /// Compiles keys.
    pub fn compile(keys: &[JoinKey], mapping: &Mapping, now: DateTime<Utc>) -> Self {
        let compile = |key: &JoinKey| {
            let expr = Expr::Field { name: Arc::clone(&key.name), optional: key.optional };
            (Scalar::compile(&expr, mapping, now), key.optional)
        };
        Self { keys: keys.iter().map(compile).collect() }
    }

    /// The keys of an event: every combination of its values, each once, in order of the values.
    /// None when it lacks a key that is not optional. Combinations beyond 1,024 are left out, and
    /// counted in `left_out`.
    pub fn of(&self, doc: &FlatDoc, left_out: &mut u64) -> Vec<Key> {
        let mut all: Vec<Vec<KeyValue>> = vec![Vec::new()];
        let mut count = 1_u64;
        for (scalar, optional) in &self.keys {
            let mut values: Vec<KeyValue> = scalar.choices(doc).iter().map(KeyValue::of).collect();
            values.sort();
            values.dedup();
            if !optional {
                values.retain(|value| *value != KeyValue::Null);
            }
            let longer = all.iter().flat_map(|head| {
                values.iter().map(move |value| head.iter().chain([value]).cloned().collect::<Vec<_>>())
            });
            all = longer.take(COMBINATIONS).collect();
            count = count.saturating_mul(values.len() as u64);
        }
        *left_out = left_out.saturating_add(count.saturating_sub(all.len() as u64));
        all.into_iter().map(Key::from).collect()
    }
}
