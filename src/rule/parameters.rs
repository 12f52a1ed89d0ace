//! [`Parameters`]: a JSON object kept as text.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A JSON object kept as compact text and parsed when it is looked at.
///
/// Thousands of rules lie idle most of the time; as text they take a third of the memory of a
/// parsed tree, and their guides are not held twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters(Arc<str>);

impl Default for Parameters {
    fn default() -> Self {
        Self(Arc::from("{}"))
    }
}

impl Parameters {
    /// Keeps `object`.
    pub fn new(object: &Map<String, Value>) -> Self {
        Self(Arc::from(serde_json::to_string(object).unwrap_or_else(|_| String::from("{}"))))
    }

    /// The object as compact JSON text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The object, parsed. Costs a parse each time: keep the result while it is needed.
    pub fn object(&self) -> Map<String, Value> {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// One field of the object, without building the others.
    pub fn get(&self, key: &str) -> Option<Value> {
        let mut deserializer = serde_json::Deserializer::from_str(&self.0);
        deserializer.deserialize_map(OneField(key)).ok().flatten()
    }

    /// A field that is text.
    pub fn string(&self, key: &str) -> Option<String> {
        match self.get(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether the object has no field.
    pub fn is_empty(&self) -> bool {
        &*self.0 == "{}"
    }
}

/// Reads one key of a JSON object and steps over all others.
struct OneField<'k>(&'k str);

impl<'de> Visitor<'de> for OneField<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn gives_back_what_it_keeps() {
        let Value::Object(map) = json!({"b": 1, "note": "line\nline", "a": {"note": "inner"}}) else {
            unreachable!()
        };
        let kept = Parameters::new(&map);
        assert_eq!(kept.object(), map);
        assert_eq!(kept.string("note").as_deref(), Some("line\nline"));
        assert_eq!(kept.string("b"), None);
        assert_eq!(kept.get("b"), Some(json!(1)));
        assert_eq!(kept.get("c"), None);
        assert!(!kept.is_empty() && Parameters::default().is_empty());
    }
}
