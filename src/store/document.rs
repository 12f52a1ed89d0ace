//! From stored text back to documents.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ecs::document::Document;

/// The document of a stored source and its original, which is put back to `event.original`.
pub(crate) fn build(
    index: &Arc<str>,
    id: &Arc<str>,
    source: &str,
    original: Option<&str>,
) -> Result<Document, String> {
    let mut source: Value =
        serde_json::from_str(source).map_err(|e| format!("the source of `{id}` is not JSON: {e}"))?;
    if let (Some(original), Value::Object(root)) = (original, &mut source) {
        let original = Value::String(original.to_owned());
        let dotted = root.keys().any(|key| key.starts_with("event."));
        match root.get_mut("event") {
            Some(Value::Object(event)) => {
                event.insert("original".to_owned(), original);
            }
            // `event` holds something else, or fields are spelled with dots.
            Some(_) => {
                root.insert("event.original".to_owned(), original);
            }
            None if dotted => {
                root.insert("event.original".to_owned(), original);
            }
            None => {
                root.insert("event".to_owned(), serde_json::json!({ "original": original }));
            }
        }
    }
    Ok(Document { index: Arc::clone(index), id: Arc::clone(id), source: Arc::new(source) })
}

/// The members of an object, in their order, unread.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                let mut places: BTreeMap<Cow<'de, str>, usize> = BTreeMap::new();
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &RawValue>()? {
                    // Of a repeated key the last value counts.
                    match places.get(&key).and_then(|place| members.get_mut(*place)) {
                        Some(member) => member.1 = value,
                        None => {
                            places.insert(key.clone(), members.len());
                            members.push((key, value));
                        }
                    }
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Object)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl Members<'_> {
    fn write(&self, out: &mut String, last: Option<(&str, &str)>) -> Result<(), serde_json::Error> {
        out.push('{');
        let members = self.0.iter().map(|(key, value)| (&**key, value.get()));
        for (number, (key, value)) in members.chain(last).enumerate() {
            if number > 0 {
                out.push(',');
            }
            out.push_str(&serde_json::to_string(key)?);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        Ok(())
    }
}

/// The source of [`build`] as JSON text, without reading its values.
pub(crate) fn text(id: &str, source: &str, original: Option<&str>) -> Result<String, String> {
    let Some(original) = original else { return Ok(source.to_owned()) };
    let with = || -> Result<String, serde_json::Error> {
        let Members(mut root) = serde_json::from_str(source)?;
        let original = serde_json::to_string(original)?;
        let mut out = String::with_capacity(source.len() + original.len() + 32);
        let inner;
        let at = root.iter().position(|(key, _)| key == "event");
        let dotted = root.iter().any(|(key, _)| key.starts_with("event."));
        match at.and_then(|at| root.get_mut(at)) {
            Some((_, value)) => match serde_json::from_str::<Members<'_>>(value.get()) {
                Ok(Members(mut members)) => {
                    members.retain(|(key, _)| key != "original");
                    let mut text = String::with_capacity(value.get().len() + original.len() + 16);
                    Members(members).write(&mut text, Some(("original", &original)))?;
                    inner = RawValue::from_string(text)?;
                    *value = &inner;
                    Members(root).write(&mut out, None)?;
                }
                // `event` holds something else.
                Err(_) => Members(root).write(&mut out, Some(("event.original", &original)))?,
            },
            None if dotted => Members(root).write(&mut out, Some(("event.original", &original)))?,
            None => {
                Members(root).write(&mut out, Some(("event", &format!("{{\"original\":{original}}}"))))?;
            }
        }
        Ok(out)
    };
    with().map_err(|e| format!("the source of `{id}` is not JSON: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_document() {
        let index = Arc::from("i");
        for source in [
            "{}",
            r#"{"a":1.50,"event":{"action":"x","n":[1,{"b":null}]},"z":"\u00e9"}"#,
            r#"{"event":"text","b":[]}"#,
            r#"{"event.action":"x","b":{"c":"d\"e"}}"#,
            r#"{"event":{}}"#,
            r#"{"a\nb":1,"event":null}"#,
            r#"{"a":1,"a":2}"#,
        ] {
            for original in [None, Some("line \"one\"\nline two")] {
                let document = build(&index, &Arc::from("id"), source, original).unwrap();
                let text = text("id", source, original).unwrap();
                assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), *document.source, "{source}");
                if original.is_some() {
                    let keys = |value: &Value| -> Vec<String> {
                        value.as_object().unwrap().keys().cloned().collect()
                    };
                    assert_eq!(keys(&serde_json::from_str(&text).unwrap()), keys(&document.source));
                }
            }
        }
        assert!(text("id", "[]", Some("x")).is_err());
    }
}
