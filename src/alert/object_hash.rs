//! The hash of a JavaScript value as the npm package `object-hash` makes it with its defaults:
//! SHA-1 over a type-tagged text. Kibana's ids of new-terms, ES|QL and suppressed alerts are such
//! hashes, so ours have to be the same to the byte.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha1::{Digest as _, Sha1};

use super::number::javascript;
use crate::base::window::iso_millis;

/// A JavaScript value that can be hashed.
#[derive(Debug, Clone, PartialEq)]
pub enum Hashable {
    /// `undefined`.
    Undefined,
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A string.
    String(String),
    /// A `Date`.
    Date(DateTime<Utc>),
    /// An array.
    Array(Vec<Hashable>),
    /// A plain object; its keys are hashed in sorted order, whatever order they have here.
    Object(Vec<(String, Hashable)>),
}

impl From<&Value> for Hashable {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::Number(n) => Self::Number(n.as_f64().unwrap_or(f64::NAN)),
            Value::String(s) => Self::String(s.clone()),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(map) => Self::Object(map.iter().map(|(k, v)| (k.clone(), Self::from(v))).collect()),
        }
    }
}

impl From<&str> for Hashable {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

/// The hash, 40 hexadecimal digits.
pub fn object_hash(value: &Hashable) -> String {
    super::id::hex(&Sha1::digest(serialise(value).as_bytes()))
}

/// The text that is hashed.
pub fn serialise(value: &Hashable) -> String {
    let mut writer = Writer::default();
    writer.value(value);
    writer.out
}

/// Serialises; counts the objects met, because the package writes a second meeting of the same
/// object (here only ever `Object.prototype` and `Object`) as `[CIRCULAR:<place>]`.
#[derive(Default)]
struct Writer {
    out: String,
    met: usize,
    /// Places of `Object.prototype` and of the function `Object`, once met.
    builtins: Option<(usize, usize)>,
}

impl Writer {
    fn value(&mut self, value: &Hashable) {
        match value {
            Hashable::Undefined => self.out.push_str("Undefined"),
            Hashable::Null => self.out.push_str("Null"),
            Hashable::Bool(b) => self.out.push_str(if *b { "bool:true" } else { "bool:false" }),
            Hashable::Number(n) => {
                self.out.push_str("number:");
                self.out.push_str(&javascript(*n));
            }
            Hashable::String(s) => self.string(s),
            Hashable::Date(at) => {
                self.met += 1;
                self.out.push_str("date:");
                self.out.push_str(&iso_millis(*at));
            }
            Hashable::Array(items) => {
                self.met += 1;
                self.tag("array", items.len());
                for item in items {
                    self.value(item);
                }
            }
            Hashable::Object(entries) => self.object(entries),
        }
    }

    fn tag(&mut self, kind: &str, length: usize) {
        self.out.push_str(kind);
        self.out.push(':');
        self.out.push_str(&length.to_string());
        self.out.push(':');
    }

    fn string(&mut self, text: &str) {
        self.tag("string", text.encode_utf16().count());
        self.out.push_str(text);
    }

    fn object(&mut self, entries: &[(String, Hashable)]) {
        self.met += 1;
        // The package hashes these three inherited properties before the object's own keys.
        self.tag("object", entries.len() + 3);
        self.key("prototype");
        self.out.push_str("Undefined,");
        self.key("__proto__");
        self.prototype();
        self.out.push(',');
        self.key("constructor");
        self.constructor();
        self.out.push(',');
        let mut sorted: Vec<&(String, Hashable)> = entries.iter().collect();
        sorted.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
        for (key, value) in sorted {
            self.key(key);
            self.value(value);
            self.out.push(',');
        }
    }

    fn key(&mut self, key: &str) {
        self.string(key);
        self.out.push(':');
    }

    /// `Object.prototype`.
    fn prototype(&mut self) {
        if let Some((prototype, _)) = self.builtins {
            self.string(&format!("[CIRCULAR:{prototype}]"));
            return;
        }
        self.builtins = Some((self.met, self.met + 1));
        self.met += 2;
        self.out.push_str("object:3:");
        self.key("prototype");
        self.out.push_str("Undefined,");
        self.key("__proto__");
        self.out.push_str("Null,");
        self.key("constructor");
        self.function();
        self.out.push_str("object:0:,");
    }

    /// The function `Object`, met before.
    fn constructor(&mut self) {
        let place = self.builtins.map_or(0, |(_, function)| function);
        self.function();
        self.string(&format!("[CIRCULAR:{place}]"));
    }

    fn function(&mut self) {
        self.out.push_str("fn:");
        self.string("[native]");
        self.string("function-name:Object");
    }
}
