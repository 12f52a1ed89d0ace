//! Pipes: what becomes of results.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use rustc_hash::FxHashMap;

use crate::ecs::flat::FlatDoc;
use crate::ecs::mapping::Mapping;
use crate::query::eval::Matcher;
use crate::query::eval::scalar::{Scalar, Value};
use crate::query::plan::{Expr, PipeStep};

/// A row of `count` or `unique_count`.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted<T> {
    /// The values counted.
    pub key: Vec<serde_json::Value>,
    /// How often they occur.
    pub count: usize,
    /// Share of all results, 0 to 1.
    pub share: f64,
    /// The first result that has them (`unique_count`).
    pub first: Option<T>,
}

/// What pipes leave of results.
#[derive(Debug, Clone, PartialEq)]
pub enum Piped<T> {
    /// Results.
    Results(Vec<T>),
    /// Counts.
    Counts(Vec<Counted<T>>),
}

/// Sends `results` through pipes. `document` gives the first event of a result, which expressions
/// are about. Pipes behind `count` see its rows and can only take the first or last of them.
pub fn pipes<T: Clone>(
    results: Vec<T>,
    steps: &[PipeStep],
    mapping: &Mapping,
    now: DateTime<Utc>,
    document: impl Fn(&T) -> FlatDoc,
) -> Piped<T> {
    let mut piped = Piped::Results(results);
    for step in steps {
        piped = match piped {
            Piped::Counts(rows) => Piped::Counts(cut(rows, step)),
            Piped::Results(results) => match step {
                PipeStep::Head(_) | PipeStep::Tail(_) => Piped::Results(cut(results, step)),
                PipeStep::Filter(filter) => {
                    let matcher = Matcher::compile(filter, mapping, now);
                    let holds = |result: &T| matcher.matches(&document(result), None);
                    Piped::Results(results.into_iter().filter(holds).collect())
                }
                PipeStep::Sort(exprs) => {
                    let keys = Keys::compile(exprs, mapping, now);
                    let mut keyed: Vec<(Vec<Value<'static>>, T)> =
                        results.into_iter().map(|result| (keys.values(&document(&result)), result)).collect();
                    keyed.sort_by(|(a, _), (b, _)| order(a, b));
                    Piped::Results(keyed.into_iter().map(|(_, result)| result).collect())
                }
                PipeStep::Unique(exprs) => {
                    let keys = Keys::compile(exprs, mapping, now);
                    let groups = groups(results, &keys, &document);
                    Piped::Results(groups.into_iter().map(|(_, _, first)| first).collect())
                }
                PipeStep::UniqueCount(exprs) | PipeStep::Count(exprs) => {
                    let unique = matches!(step, PipeStep::UniqueCount(_));
                    Piped::Counts(count(results, exprs, unique, mapping, now, &document))
                }
            },
        };
    }
    piped
}

fn cut<T>(mut all: Vec<T>, step: &PipeStep) -> Vec<T> {
    match step {
        PipeStep::Head(count) => all.truncate(*count),
        PipeStep::Tail(count) => {
            all.drain(..all.len().saturating_sub(*count));
        }
        _ => {}
    }
    all
}

struct Keys(Vec<Scalar>);

impl Keys {
    fn compile(exprs: &[Expr], mapping: &Mapping, now: DateTime<Utc>) -> Self {
        Self(exprs.iter().map(|expr| Scalar::compile(expr, mapping, now)).collect())
    }

    fn values(&self, doc: &FlatDoc) -> Vec<Value<'static>> {
        self.0.iter().map(|scalar| scalar.first(doc).into_owned()).collect()
    }
}

/// Orders keys, `null` last.
fn order(a: &[Value<'_>], b: &[Value<'_>]) -> Ordering {
    let pairs = a.iter().zip(b).map(|(a, b)| match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (a, b) => a.order(b).unwrap_or(Ordering::Equal),
    });
    pairs.fold(Ordering::Equal, Ordering::then)
}

/// Results by key in the order they came: key, count, first.
fn groups<T>(
    results: Vec<T>,
    keys: &Keys,
    document: &impl Fn(&T) -> FlatDoc,
) -> Vec<(Vec<Value<'static>>, usize, T)> {
    let mut numbers: FxHashMap<String, usize> = FxHashMap::default();
    let mut groups: Vec<(Vec<Value<'static>>, usize, T)> = Vec::new();
    for result in results {
        let values = keys.values(&document(&result));
        let next = groups.len();
        let number = *numbers.entry(format!("{values:?}")).or_insert(next);
        match groups.get_mut(number) {
            Some((_, count, _)) => *count += 1,
            None => groups.push((values, 1, result)),
        }
    }
    groups
}

fn count<T>(
    results: Vec<T>,
    exprs: &[Expr],
    unique: bool,
    mapping: &Mapping,
    now: DateTime<Utc>,
    document: &impl Fn(&T) -> FlatDoc,
) -> Vec<Counted<T>> {
    let all = results.len();
    if exprs.is_empty() {
        return vec![Counted { key: Vec::new(), count: all, share: 1.0, first: None }];
    }
    let mut groups = groups(results, &Keys::compile(exprs, mapping, now), document);
    groups.sort_by(|(a, x, _), (b, y, _)| x.cmp(y).then_with(|| order(a, b)));
    let row = |(key, count, first): (Vec<Value<'static>>, usize, T)| Counted {
        key: key.iter().map(json).collect(),
        count,
        #[expect(clippy::cast_precision_loss, reason = "a share that people read")]
        share: count as f64 / all as f64,
        first: unique.then_some(first),
    };
    groups.into_iter().map(row).collect()
}

fn json(value: &Value<'_>) -> serde_json::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Whole(value) => i64::try_from(*value).map_or_else(|_| value.to_string().into(), Into::into),
        Value::Float(value) => (*value).into(),
        other => other.spelled().map_or(serde_json::Value::Null, Into::into),
    }
}
