//! Checks of single values against what their key holds.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::{join, json_words};
use crate::base::nearest::nearest;
use crate::config::keys::Kind;
use crate::config::units::{ByteSize, TimeSpan};

/// Checks a value against its kind; paths are placed below `base`.
pub(super) fn checked(kind: Kind, value: &Value, base: &Path) -> Result<Value, String> {
    let wrong = || format!("is {}", json_words(value));
    let text = || value.as_str().ok_or_else(wrong);
    let texts = || -> Result<Vec<&str>, String> {
        value.as_array().ok_or_else(wrong)?.iter().map(|item| item.as_str().ok_or_else(wrong)).collect()
    };
    match kind {
        Kind::Text => Ok(Value::String(text()?.to_owned())),
        Kind::Path => text().map(|path| place(path, base)),
        Kind::Flag => value.as_bool().map(Value::Bool).ok_or_else(wrong),
        Kind::Number(low, high) => match value.as_u64() {
            Some(number) if (low..=high).contains(&number) => Ok(value.clone()),
            _ => Err(format!("{value} is not a whole number from {low} to {high}")),
        },
        Kind::Duration => Ok(Value::String(text()?.parse::<TimeSpan>()?.to_string())),
        Kind::Size => {
            let text =
                value.as_u64().map_or_else(|| text().map(str::to_owned), |bytes| Ok(bytes.to_string()))?;
            Ok(Value::String(text.parse::<ByteSize>()?.to_string()))
        }
        Kind::Choice(words) => match text()? {
            word if words.contains(&word) => Ok(value.clone()),
            word => Err(match nearest(word, words.iter().copied()) {
                Some(meant) => format!("`{word}` is not known here; did you mean `{meant}`?"),
                None => format!("`{word}` is not known here"),
            }),
        },
        Kind::Texts => texts().map(|_| value.clone()),
        Kind::Paths => Ok(Value::Array(texts()?.into_iter().map(|path| place(path, base)).collect())),
        Kind::Urls => {
            let urls = texts()?;
            let bad = |url: &&&str| {
                !reqwest::Url::parse(url)
                    .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            };
            match urls.iter().find(bad) {
                Some(url) => Err(format!("`{url}` is no http or https URL")),
                None if urls.is_empty() => Err("names no URL".to_owned()),
                None => Ok(value.clone()),
            }
        }
        Kind::Secret => {
            let mut value = value.clone();
            if let Some(file) = value.get_mut("file")
                && let Some(path) = file.as_str()
            {
                *file = place(path, base);
            }
            serde_json::from_value::<crate::config::SecretRef>(value.clone()).map_err(|_| {
                "is neither text nor `{ env = \"NAME\" }`, `{ file = \"…\" }`, `{ command = [\"…\"] }`"
                    .to_owned()
            })?;
            Ok(value)
        }
        Kind::Endpoint => match value {
            Value::String(text) => match reqwest::Url::parse(text) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(value.clone()),
                _ => Err("is no http or https URL".to_owned()),
            },
            _ => checked(Kind::Secret, value, base),
        },
        Kind::Rate => Ok(Value::String(text()?.parse::<crate::config::Rate>()?.to_string())),
        Kind::Headers => {
            let table = value.as_object().ok_or_else(wrong)?;
            let read = table.iter().map(|(name, value)| {
                checked(Kind::Secret, value, base)
                    .map(|read| (name.clone(), read))
                    .map_err(|error| format!("`{name}` {error}"))
            });
            read.collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        Kind::Fields => {
            let table = value.as_object().ok_or_else(wrong)?;
            let flat = flattened(table);
            serde_json::from_value::<BTreeMap<String, crate::config::notify::OneOrMany>>(Value::Object(
                flat.clone(),
            ))
            .map_err(|_| "has a value that is neither text nor a list of texts".to_owned())?;
            Ok(Value::Object(flat))
        }
        Kind::Open => Ok(value.clone()),
    }
}

/// `{a = {b = "x"}}` as `{"a.b" = "x"}`: TOML reads `a.b = "x"` as a table in a table.
fn flattened(table: &Map<String, Value>) -> Map<String, Value> {
    let mut flat = Map::new();
    for (name, value) in table {
        match value {
            Value::Object(inner) => {
                flat.extend(flattened(inner).into_iter().map(|(rest, value)| (join(name, &rest), value)));
            }
            value => drop(flat.insert(name.clone(), value.clone())),
        }
    }
    flat
}

fn place(path: &str, base: &Path) -> Value {
    let path = Path::new(path);
    let placed = if base.as_os_str().is_empty() { path.to_path_buf() } else { base.join(path) };
    Value::String(placed.to_string_lossy().into_owned())
}

/// A variable's text as the value its kind needs; what cannot be read so stays text, which the
/// check then refuses with a reason.
pub(super) fn from_variable(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Value::Bool(true),
            "false" | "0" | "no" | "off" => Value::Bool(false),
            _ => Value::String(text.to_owned()),
        },
        Kind::Number(..) => text.parse::<u64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
        Kind::Texts | Kind::Paths | Kind::Urls => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
        _ => Value::String(text.to_owned()),
    }
}
