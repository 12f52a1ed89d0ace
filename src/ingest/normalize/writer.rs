//! Writes an ECS document twice in one pass: as JSON text and as leaves.

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
                self.source.push('"');
                self.source.push_str(value.raw());
                self.source.push('"');
                self.flat.leaf(path, LeafKind::String, &value.as_str().unwrap_or_default());
            }
            Kind::Number => {
                self.source.push_str(value.raw());
                self.flat.leaf(path, LeafKind::Number, value.raw());
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
            self.member(key);
            self.subtree(path, value, keep);
        }
    }

    fn subtree(&mut self, path: &mut String, value: Value<'_>, keep: &impl Fn(Value<'_>) -> bool) {
        match value.kind() {
            Kind::Object => {
                self.source.push('{');
                let length = path.len();
                for member in value.children().filter(|member| keep(*member)) {
                    self.member(member.raw_key());
                    path.push('.');
                    path.push_str(&member.key());
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
        self.separate();
        self.source.push('"');
        push_escaped(&mut self.source, key);
        self.source.push_str("\":");
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
            path.push_str(&member.key());
            if !skip(path) {
                self.member(member.raw_key());
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
