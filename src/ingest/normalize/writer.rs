//! Writes an ECS document twice in one pass: as JSON text and as leaves.

use std::borrow::Cow;

use crate::ecs::flat::{FlatDoc, LeafKind, LeafSink};
use crate::ingest::tape::{Kind, Value, push_escaped};

/// A document being written.
///
/// Callers give each field its key in the object that is open and its whole path; the two must
/// agree, which [`super::cloudtrail`]'s tests check for every event they read.
#[derive(Debug)]
pub struct EcsWriter {
    source: String,
    flat: FlatDoc,
    /// For each open object: where its member starts and where its content does.
    open: Vec<(usize, usize)>,
}

impl EcsWriter {
    /// An empty document with room for `bytes` of JSON.
    pub fn new(bytes: usize) -> Self {
        let mut source = String::with_capacity(bytes);
        source.push('{');
        Self { source, flat: FlatDoc::with_capacity(96, bytes + bytes / 2), open: Vec::with_capacity(8) }
    }

    /// The JSON text and the leaves.
    pub fn finish(mut self) -> (String, FlatDoc) {
        while !self.open.is_empty() {
            self.end();
        }
        self.source.push('}');
        (self.source, self.flat)
    }

    fn separate(&mut self) {
        if !self.source.ends_with(['{', '[']) {
            self.source.push(',');
        }
    }

    fn member(&mut self, key: &str) {
        self.separate();
        self.source.push('"');
        self.source.push_str(key);
        self.source.push_str("\":");
    }

    /// As [`Self::member`], for keys that come from a record.
    fn member_escaped(&mut self, key: &str) {
        self.separate();
        self.source.push('"');
        push_escaped(&mut self.source, key);
        self.source.push_str("\":");
    }

    /// Opens an object. `key` must need no escaping.
    pub fn begin(&mut self, key: &str) {
        let start = self.source.len();
        self.member(key);
        self.source.push('{');
        self.open.push((start, self.source.len()));
    }

    /// Closes the object opened last; one without content leaves no trace.
    pub fn end(&mut self) {
        if let Some((start, content)) = self.open.pop() {
            if self.source.len() == content {
                self.source.truncate(start);
            } else {
                self.source.push('}');
            }
        }
    }

    /// A text field; an empty text leaves no trace.
    pub fn text(&mut self, key: &str, path: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        self.member(key);
        self.source.push('"');
        push_escaped(&mut self.source, text);
        self.source.push('"');
        self.flat.leaf(path, LeafKind::String, text);
    }

    /// A boolean field.
    pub fn boolean(&mut self, key: &str, path: &str, value: bool) {
        let text = if value { "true" } else { "false" };
        self.member(key);
        self.source.push_str(text);
        self.flat.leaf(path, LeafKind::Boolean, text);
    }

    /// A field with several texts; none leaves no trace.
    pub fn texts<T: AsRef<str>>(&mut self, key: &str, path: &str, texts: &[T]) {
        if texts.is_empty() {
            return;
        }
        self.member(key);
        self.source.push('[');
        for text in texts {
            self.separate();
            self.source.push('"');
            push_escaped(&mut self.source, text.as_ref());
            self.source.push('"');
            self.flat.leaf(path, LeafKind::String, text.as_ref());
        }
        self.source.push(']');
    }

    /// A scalar as the record has it; null, `""`, arrays and objects leave no trace.
    pub fn scalar(&mut self, key: &str, path: &str, value: Option<Value<'_>>) {
        let Some(value) = value else { return };
        if value.is_empty() || matches!(value.kind(), Kind::Array | Kind::Object) {
            return;
        }
        self.member(key);
        self.value(value, path);
    }

    /// A scalar of the tape: its JSON text is copied, its content becomes the leaf.
    fn value(&mut self, value: Value<'_>, path: &str) {
        match value.kind() {
            Kind::String => {
                let text = value.as_str().unwrap_or_default();
                self.source.push('"');
                // Escapes are written anew: halves of surrogate pairs pass as JSON text but not as
                // text.
                match &text {
                    Cow::Borrowed(plain) => self.source.push_str(plain),
                    Cow::Owned(text) => push_escaped(&mut self.source, text),
                }
                self.source.push('"');
                self.flat.leaf(path, LeafKind::String, &text);
            }
            Kind::Number if readable(value.raw()) => {
                self.source.push_str(value.raw());
                self.flat.leaf(path, LeafKind::Number, value.raw());
            }
            Kind::Number => {
                self.source.push('"');
                self.source.push_str(value.raw());
                self.source.push('"');
                self.flat.leaf(path, LeafKind::String, value.raw());
            }
            Kind::Boolean => {
                self.source.push_str(value.raw());
                self.flat.leaf(path, LeafKind::Boolean, value.raw());
            }
            Kind::Null | Kind::Array | Kind::Object => self.source.push_str("null"),
        }
    }

    /// A value of any shape below the path `path`, without the values that `keep` refuses.
    /// `path` is used to build the paths of members and is left as it was.
    pub fn tree(
        &mut self,
        key: &str,
        path: &mut String,
        value: Value<'_>,
        keep: &impl Fn(Value<'_>) -> bool,
    ) {
        if keep(value) {
            self.member_escaped(key);
            self.subtree(path, value, keep);
        }
    }

    fn subtree(&mut self, path: &mut String, value: Value<'_>, keep: &impl Fn(Value<'_>) -> bool) {
        match value.kind() {
            Kind::Object => {
                self.source.push('{');
                let length = path.len();
                for member in value.children().filter(|member| keep(*member)) {
                    let key = member.key();
                    self.member_escaped(&key);
                    path.push('.');
                    path.push_str(&key);
                    self.subtree(path, member, keep);
                    path.truncate(length);
                }
                self.source.push('}');
            }
            Kind::Array => {
                self.source.push('[');
                for item in value.children().filter(|item| keep(*item)) {
                    self.separate();
                    self.subtree(path, item, keep);
                }
                self.source.push(']');
            }
            Kind::String | Kind::Number | Kind::Boolean | Kind::Null => self.value(value, path),
        }
    }

    /// A value of any shape whose keys are changed by `rename`, without empty members.
    pub fn renamed(
        &mut self,
        key: &str,
        path: &mut String,
        value: Value<'_>,
        rename: &impl Fn(&str) -> String,
    ) {
        self.member_escaped(key);
        self.renamed_value(path, value, rename);
    }

    fn renamed_value(&mut self, path: &mut String, value: Value<'_>, rename: &impl Fn(&str) -> String) {
        match value.kind() {
            Kind::Object => {
                self.source.push('{');
                let length = path.len();
                for member in value.children().filter(|member| !member.is_empty()) {
                    let key = rename(&member.key());
                    path.push('.');
                    path.push_str(&key);
                    self.renamed(&key, path, member, rename);
                    path.truncate(length);
                }
                self.source.push('}');
            }
            Kind::Array => {
                self.source.push('[');
                for item in value.children().filter(|item| !item.is_empty()) {
                    self.separate();
                    self.renamed_value(path, item, rename);
                }
                self.source.push(']');
            }
            Kind::String | Kind::Number | Kind::Boolean | Kind::Null => self.value(value, path),
        }
    }

    /// The members of `object` inside the object that is open, without those whose whole path
    /// `skip` refuses. `path` is the object's own path, empty at the root; it is left as it was.
    pub fn members(&mut self, path: &mut String, object: Value<'_>, skip: &impl Fn(&str) -> bool) {
        let length = path.len();
        for member in object.children() {
            if length > 0 {
                path.push('.');
            }
            let key = member.key();
            path.push_str(&key);
            if !skip(path) {
                self.member_escaped(&key);
                self.whole(path, member, skip);
            }
            path.truncate(length);
        }
    }

    /// A value of any shape, as it is but for what `skip` refuses.
    fn whole(&mut self, path: &mut String, value: Value<'_>, skip: &impl Fn(&str) -> bool) {
        match value.kind() {
            Kind::Object => {
                self.source.push('{');
                self.members(path, value, skip);
                self.source.push('}');
            }
            Kind::Array => {
                self.source.push('[');
                for item in value.children() {
                    self.separate();
                    self.whole(path, item, skip);
                }
                self.source.push(']');
            }
            Kind::String | Kind::Number | Kind::Boolean | Kind::Null => self.value(value, path),
        }
    }

    /// Opens an array of objects.
    pub fn begin_list(&mut self, key: &str) {
        let start = self.source.len();
        self.member(key);
        self.source.push('[');
        self.open.push((start, self.source.len()));
    }

    /// Opens an object in an array.
    pub fn begin_item(&mut self) {
        let start = self.source.len();
        self.separate();
        self.source.push('{');
        self.open.push((start, self.source.len()));
    }

    /// Closes the array opened last; one without items leaves no trace.
    pub fn end_list(&mut self) {
        if let Some((start, content)) = self.open.pop() {
            if self.source.len() == content {
                self.source.truncate(start);
            } else {
                self.source.push(']');
            }
        }
    }
}

/// Whether everybody can read a number: one beyond `f64` is JSON, but few parsers take it.
fn readable(number: &str) -> bool {
    let large = number.len() > 300 || number.bytes().any(|b| matches!(b, b'e' | b'E'));
    !large || number.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::tape::Tape;

    #[test]
    fn what_is_written_can_be_read() {
        let long = "9".repeat(400);
        let json = format!(
            r#"{{"half":"\ud83d","pair":"\ud83d\ude00","k\"\ud800":1,"e":1e400,"long":{long},"fine":1e30,"nul":"\u0000"}}"#
        );
        let mut tape = Tape::new();
        tape.parse(json.as_bytes()).unwrap();
        let mut out = EcsWriter::new(64);
        out.members(&mut String::new(), tape.root(&json), &|_| false);
        let (source, flat) = out.finish();
        let value: serde_json::Value = serde_json::from_str(&source).unwrap();
        assert_eq!(value["half"], "\u{fffd}");
        assert_eq!(value["pair"], "😀");
        assert_eq!(value["k\"\u{fffd}"], 1);
        assert_eq!(value["e"], "1e400");
        assert_eq!(value["long"], long);
        assert_eq!(value["fine"], 1e30);
        assert_eq!(flat.len(), 7);
    }
}
