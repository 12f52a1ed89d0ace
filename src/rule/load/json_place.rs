//! Places in a JSON text that is known to be valid.

use crate::base::span::Span;

use super::place::{Places, Step, Syntax};

/// One JSON line of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonPlaces<'t> {
    /// The line.
    pub(super) text: &'t str,
    /// Lines before it.
    pub(super) lines_before: usize,
}

impl Places for JsonPlaces<'_> {
    fn text(&self) -> &str {
        self.text
    }

    fn syntax(&self) -> Syntax {
        Syntax::Json
    }

    fn lines_before(&self) -> usize {
        self.lines_before
    }

    fn value(&self, path: &[Step<'_>]) -> Span {
        self.find(path).1
    }

    fn key(&self, path: &[Step<'_>]) -> Span {
        self.find(path).0
    }
}

impl JsonPlaces<'_> {
    /// Spans of the key and of the value at `path`, or of the deepest value above it.
    fn find(&self, path: &[Step<'_>]) -> (Span, Span) {
        let mut scan = Scan { text: self.text.as_bytes(), at: 0 };
        scan.blank();
        let mut start = scan.at;
        let mut key = Span::new(start, start + 1);
        for step in path {
            let found = match step {
                Step::Key(name) => scan.member(name),
                Step::Index(index) => scan.element(*index),
            };
            let Some(found) = found else { break };
            start = scan.at;
            key = found;
        }
        scan.at = start;
        scan.value();
        (key, Span::new(start, scan.at))
    }
}

/// A position in valid JSON.
struct Scan<'t> {
    text: &'t [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Steps into the object here and stands at the value of `name`; gives the key's span.
    fn member(&mut self, name: &str) -> Option<Span> {
        if self.peek() != Some(b'{') {
            return None;
        }
        self.at += 1;
        loop {
            self.blank();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return None;
            }
            self.string();
            let key = Span::new(start, self.at);
            let same = std::str::from_utf8(self.text.get(start..self.at)?)
                .ok()
                .and_then(|raw| serde_json::from_str::<String>(raw).ok())
                .is_some_and(|text| text == name);
            self.blank();
            self.at += 1;
            self.blank();
            if same {
                return Some(key);
            }
            self.value();
            self.blank();
            if self.peek() != Some(b',') {
                return None;
            }
            self.at += 1;
        }
    }

    /// Steps into the array here and stands at an element; gives its first character.
    fn element(&mut self, index: usize) -> Option<Span> {
        if self.peek() != Some(b'[') {
            return None;
        }
        self.at += 1;
        for _ in 0..index {
            self.blank();
            self.value();
            self.blank();
            if self.peek() != Some(b',') {
                return None;
            }
            self.at += 1;
        }
        self.blank();
        (self.peek() != Some(b']')).then(|| Span::new(self.at, self.at + 1))
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return;
            }
        }
    }

    /// Steps over the value here.
    fn value(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'}' | b']' | b',' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return,
                b'"' => self.string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
            if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
                return;
            }
        }
        self.at = self.at.min(self.text.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_keys_and_values() {
        let text = r#"{"a": [1, {"b c": "x,}"}], "d":null}"#;
        let places = JsonPlaces { text, lines_before: 0 };
        let shown = |path: &[Step<'_>]| {
            let (key, value) = places.find(path);
            let part = |span: Span| text.get(span.start..span.end).unwrap();
            (part(key), part(value))
        };
        assert_eq!(shown(&[Step::Key("d")]), ("\"d\"", "null"));
        assert_eq!(shown(&[Step::Key("a"), Step::Index(0)]), ("1", "1"));
        assert_eq!(shown(&[Step::Key("a"), Step::Index(1), Step::Key("b c")]), ("\"b c\"", "\"x,}\""));
        assert_eq!(shown(&[Step::Key("a"), Step::Index(7)]).1, r#"[1, {"b c": "x,}"}]"#);
        assert_eq!(shown(&[Step::Key("none")]).1, text);
    }
}
