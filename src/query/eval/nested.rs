//! The objects of a nested field in a source.

use serde_json::Value;

use crate::base::limits::JSON_NESTING;

/// The objects at `path` below `value`, through arrays, in dotted and nested spelling.
pub(super) fn objects<'v>(value: &'v Value, path: &str, depth: usize, found: &mut Vec<&'v Value>) {
    if depth > JSON_NESTING {
        return;
    }
    match value {
        Value::Array(items) => {
            for item in items {
                objects(item, path, depth + 1, found);
            }
        }
        Value::Object(_) if path.is_empty() => found.push(value),
        Value::Object(map) => {
            for (key, item) in map {
                let rest = match path.strip_prefix(key.as_str()) {
                    Some("") => "",
                    Some(rest) => match rest.strip_prefix('.') {
                        Some(rest) => rest,
                        None => continue,
                    },
                    None => continue,
                };
                objects(item, rest, depth + 1, found);
            }
        }
        _ => {}
    }
}
