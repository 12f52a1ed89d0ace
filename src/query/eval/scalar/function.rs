//! What the functions of EQL give. Positions count UTF-16 units, as in Elasticsearch.

use std::borrow::Cow;

use super::value::Value;
use crate::ecs::value::ip;
use crate::ecs::value::number::{self, Number};
use crate::query::eval::wildcard::fold;
use crate::query::plan::{Function, FunctionCall};

/// The result of a call; `null` when an argument that is needed is `null` or of another type.
pub(super) fn call<'v>(call: FunctionCall, arguments: &[Value<'v>]) -> Value<'v> {
    evaluate(call, arguments).unwrap_or(Value::Null)
}

fn evaluate<'v>(call: FunctionCall, arguments: &[Value<'v>]) -> Option<Value<'v>> {
    let text = |at: usize| arguments.get(at).and_then(Value::text);
    let cased = |at: usize| {
        let text = text(at)?;
        Some(if call.insensitive { fold(text) } else { Cow::Borrowed(text) })
    };
    Some(match call.function {
        Function::Concat => {
            let parts: Option<Vec<String>> = arguments.iter().map(Value::spelled).collect();
            Value::Text(parts?.concat().into())
        }
        Function::String => Value::Text(arguments.first()?.spelled()?.into()),
        Function::Length => whole(units(text(0)?).count()),
        Function::StartsWith => Value::Bool(cased(0)?.starts_with(&*cased(1)?)),
        Function::EndsWith => Value::Bool(cased(0)?.ends_with(&*cased(1)?)),
        Function::StringContains => {
            let (source, wanted) = (cased(0)?, cased(1)?);
            Value::Bool(!wanted.is_empty() && source.contains(&*wanted))
        }
        Function::CidrMatch => cidr_match(arguments)?,
        Function::IndexOf => {
            let start = match arguments.get(2) {
                None => 0,
                Some(Value::Whole(start)) => usize::try_from(*start).unwrap_or(0),
                Some(_) => return None,
            };
            whole(index_of(&cased(0)?, &cased(1)?, start)?)
        }
        Function::Between => {
            let greedy = match arguments.get(3) {
                None | Some(Value::Null) => false,
                Some(Value::Bool(greedy)) => *greedy,
                Some(_) => return None,
            };
            let found = between(text(0)?, &cased(0)?, &cased(1)?, &cased(2)?, greedy);
            Value::Text(found.unwrap_or_default().into())
        }
        Function::Substring => {
            let position = |at: usize| match arguments.get(at) {
                None => Some(None),
                Some(Value::Whole(position)) => Some(Some(*position)),
                Some(_) => None,
            };
            Value::Text(substring(text(0)?, position(1)??, position(2)?).into())
        }
        Function::Number => {
            let base = match arguments.get(1) {
                None | Some(Value::Null) => None,
                Some(Value::Whole(base)) => Some(u32::try_from(*base).ok()?),
                Some(_) => return None,
            };
            to_number(text(0)?, base)?
        }
        // Lowered to operators.
        Function::Add | Function::Subtract | Function::Multiply | Function::Divide | Function::Modulo => {
            return None;
        }
    })
}

fn whole<'v>(value: usize) -> Value<'v> {
    i128::try_from(value).map_or(Value::Null, Value::Whole)
}

fn units(text: &str) -> impl Iterator<Item = u16> {
    text.encode_utf16()
}

fn cidr_match<'v>(arguments: &[Value<'_>]) -> Option<Value<'v>> {
    let (first, networks) = arguments.split_first()?;
    let address = match first {
        Value::Ip(address, _) => *address,
        Value::Text(text) => ip::parse(text)?,
        _ => return None,
    };
    let mut found = false;
    for network in networks {
        let text = network.text()?;
        let ends = ip::network(text).or_else(|| ip::parse(text).map(|only| (only, only)));
        found |= ends.is_some_and(|(first, last)| (first..=last).contains(&address));
    }
    Some(Value::Bool(found))
}

/// The first place of `wanted` in `source` at or after `start`.
fn index_of(source: &str, wanted: &str, start: usize) -> Option<usize> {
    let source: Vec<u16> = units(source).collect();
    let wanted: Vec<u16> = units(wanted).collect();
    let rest = source.get(start..)?;
    if wanted.is_empty() {
        return Some(start);
    }
    rest.windows(wanted.len()).position(|run| run == wanted).map(|at| start + at)
}

/// What lies between `left` and `right`: `cased` is `source` in the case that is compared. A
/// character may fold to one of another length, so places are found by counting characters.
fn between(source: &str, cased: &str, left: &str, right: &str, greedy: bool) -> Option<String> {
    let from = cased.find(left)? + left.len();
    let rest = cased.get(from..)?;
    let length = if greedy { rest.rfind(right)? } else { rest.find(right)? };
    let skip = cased.get(..from)?.chars().count();
    let take = rest.get(..length)?.chars().count();
    Some(source.chars().skip(skip).take(take).collect())
}

/// From `start` up to `end`; negative places count from the end.
fn substring(text: &str, start: i128, end: Option<i128>) -> String {
    let all: Vec<u16> = units(text).collect();
    let length = i128::try_from(all.len()).unwrap_or(i128::MAX);
    let place = |at: i128| {
        let at = if at < 0 { at.saturating_add(length) } else { at };
        usize::try_from(at.clamp(0, length)).unwrap_or(0)
    };
    let (start, end) = (place(start), end.map_or(all.len(), place));
    String::from_utf16_lossy(all.get(start..end).unwrap_or_default())
}

/// A number from text; what begins with `0x` is hexadecimal.
fn to_number<'v>(text: &str, base: Option<u32>) -> Option<Value<'v>> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let radix = match (base, hex) {
        (None, Some(_)) => 16,
        (None, None) => 10,
        (Some(base), _) => base,
    };
    if radix == 10 && hex.is_none() {
        return Some(match number::parse(text.strip_prefix('+').unwrap_or(text))? {
            Number::Whole(value) if digits.contains(['.', 'e', 'E']) => {
                Value::Float(Number::Whole(value).as_f64())
            }
            Number::Whole(value) => Value::Whole(value),
            Number::Float(value) => Value::Float(value),
        });
    }
    let digits = if radix == 16 { hex.unwrap_or(digits) } else { digits };
    if !(2..=36).contains(&radix) || digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from(i64::from_str_radix(digits, radix).ok()?);
    Some(Value::Whole(if negative { -value } else { value }))
}
