//! [`Parameters`]: a JSON object kept as compressed text.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use zstd::bulk::Compressor;

/// A JSON object kept as compressed text and parsed when it is looked at.
///
/// Thousands of rules lie idle most of the time, and most of what they hold are guides for people:
/// as compressed text they take a tenth of the memory of a parsed tree. Equal objects are kept as
/// equal bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Parameters {
    /// Length of the text, bytes; 0 where `kept` is the text itself.
    unpacked: u32,
    kept: Arc<[u8]>,
}

/// Texts shorter than this gain nothing by compression, bytes.
const SHORT: usize = 256;
/// Longest text that unpacking believes in, bytes.
const LONGEST: usize = 64 << 20;

thread_local! {
    /// Making a compressor costs more than compressing a rule.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::new(1).ok());
}

impl Default for Parameters {
    fn default() -> Self {
        Self::of(b"{}")
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl Serialize for Parameters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.unpacked, Bytes(&self.kept)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (unpacked, ByteBuf(kept)) = Deserialize::deserialize(deserializer)?;
        Ok(Self { unpacked, kept })
    }
}

impl Parameters {
    /// Keeps `object`.
    pub fn new(object: &Map<String, Value>) -> Self {
        serde_json::to_vec(object).map_or_else(|_| Self::default(), |text| Self::of(&text))
    }

    fn of(text: &[u8]) -> Self {
        let packed = (SHORT..LONGEST)
            .contains(&text.len())
            .then(|| COMPRESSOR.with_borrow_mut(|compressor| compressor.as_mut()?.compress(text).ok()));
        match (packed.flatten(), u32::try_from(text.len())) {
            (Some(packed), Ok(unpacked)) if packed.len() < text.len() => {
                Self { unpacked, kept: packed.into() }
            }
            _ => Self { unpacked: 0, kept: text.into() },
        }
    }

    /// The object as compact JSON text.
    fn text(&self) -> Cow<'_, [u8]> {
        let length = self.unpacked as usize;
        if length == 0 || length > LONGEST {
            return Cow::Borrowed(&self.kept);
        }
        Cow::Owned(zstd::bulk::decompress(&self.kept, length).unwrap_or_default())
    }

    /// The object, parsed. Costs a parse each time: keep the result while it is needed.
    pub fn object(&self) -> Map<String, Value> {
        serde_json::from_slice(&self.text()).unwrap_or_default()
    }

    /// One field of the object, without building the others.
    pub fn get(&self, key: &str) -> Option<Value> {
        let text = self.text();
        let mut deserializer = serde_json::Deserializer::from_slice(&text);
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
        &*self.kept == b"{}"
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

/// Written as bytes, not as a list of numbers.
struct Bytes<'b>(&'b [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Read as bytes.
struct ByteBuf(Arc<[u8]>);

impl<'de> Deserialize<'de> for ByteBuf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(ReadBytes).map(Self)
    }
}

struct ReadBytes;

impl Visitor<'_> for ReadBytes {
    type Value = Arc<[u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(bytes.into())
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

    #[test]
    fn long_objects_are_packed_and_survive_the_cache() {
        let object = Map::from_iter([("note".to_owned(), json!("look at the trail ".repeat(200)))]);
        let kept = Parameters::new(&object);
        assert!(kept.kept.len() < 200, "{}", kept.kept.len());
        assert_eq!(kept.object(), object);
        assert_eq!(kept.string("note").as_deref(), object["note"].as_str());
        let written = rmp_serde::to_vec(&kept).unwrap();
        let read: Parameters = rmp_serde::from_slice(&written).unwrap();
        assert_eq!((&read, read.object()), (&kept, object));
        assert_eq!(read, Parameters::new(&kept.object()));
    }
}
