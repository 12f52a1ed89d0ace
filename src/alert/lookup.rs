//! Values of a document by dotted path, however the document spells it.

use serde_json::Value;

/// The value at `path`; `{"a.b": 1}`, `{"a": {"b": 1}}` and mixtures are the same. Does not look
/// into arrays.
pub fn lookup<'v>(document: &'v Value, path: &str) -> Option<&'v Value> {
    let map = document.as_object()?;
    if let Some(value) = map.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(at, _)| {
        let (head, rest) = (path.get(..at)?, path.get(at + 1..)?);
        lookup(map.get(head)?, rest)
    })
}

/// The scalars at `path` as text: one for a scalar, several for an array, none for what is
/// missing or an object.
pub fn texts(document: &Value, path: &str) -> Vec<String> {
    match lookup(document, path) {
        Some(Value::Array(items)) => items.iter().filter_map(text).collect(),
        Some(value) => text(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// A scalar's text as JavaScript prints it.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Number(number) if number.is_f64() => number.as_f64().map(super::number::javascript),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_every_spelling() {
        for document in [
            json!({"a": {"b": {"c": 1}}}),
            json!({"a.b.c": 1}),
            json!({"a.b": {"c": 1}}),
            json!({"a": {"b.c": 1}}),
        ] {
            assert_eq!(lookup(&document, "a.b.c"), Some(&json!(1)), "{document}");
        }
        assert_eq!(lookup(&json!({"a": [{"b": 1}]}), "a.b"), None);
        assert_eq!(texts(&json!({"a": [1, "x", null, 1.5]}), "a"), ["1", "x", "1.5"]);
    }
}
