//! A JSON parser that builds no tree: it writes where each value of a text lies.
//!
//! One pass finds where a record ends, checks its grammar and gives access to every value, while
//! the text itself stays where it was read. The same [`Tape`] is used for record after record.

use std::borrow::Cow;

use crate::base::limits::JSON_NESTING;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    /// What it is in messages.
    pub fn words(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "text",
            Self::Array => "a list",
            Self::Object => "an object",
        }
    }
}

/// Why a text is no JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text ends inside the value: more of it may make it whole.
    #[error("ends inside a JSON value")]
    Incomplete,
    /// The grammar is violated at this byte.
    #[error("invalid JSON: {reason} at byte {offset}")]
    Syntax {
        /// Byte offset from the start of the text given.
        offset: usize,
        /// What was expected.
        reason: &'static str,
    },
    /// More brackets are open than [`JSON_NESTING`].
    #[error("nested deeper than {JSON_NESTING} levels at byte {offset}")]
    TooDeep {
        /// Byte offset from the start of the text given.
        offset: usize,
    },
}

/// Index standing for "no node".
const NONE: u32 = u32::MAX;

/// Where one value lies. Strings without their quotes.
#[derive(Debug, Clone, Copy)]
struct Node {
    start: u32,
    end: u32,
    key_start: u32,
    key_end: u32,
    /// Index of the first node after this value and all inside it.
    next: u32,
    parent: u32,
    kind: Kind,
    escaped: bool,
    key_escaped: bool,
}

/// The places of all values of one JSON text, in the order they occur.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the one value that `input` starts with (after white space) and returns where it
    /// starts and ends. What follows is not looked at. Bytes inside strings are not checked to be
    /// UTF-8: [`Tape::root`] takes text that was.
    ///
    /// # Errors
    /// When the text ends too early, violates the grammar or nests too deep.
    pub fn parse(&mut self, input: &[u8]) -> Result<(usize, usize), JsonError> {
        self.nodes.clear();
        let mut parser = Parser { input, at: 0, nodes: &mut self.nodes };
        parser.space();
        let start = parser.at;
        parser.value(NONE, (0, 0, false), 0)?;
        Ok((start, parser.at))
    }

    /// The value that was read last; `text` is the input up to its end, known to be UTF-8.
    pub fn root<'a>(&'a self, text: &'a str) -> Value<'a> {
        Value { tape: self, text, node: 0 }
    }

    /// Number of values on the tape.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

struct Parser<'a> {
    input: &'a [u8],
    at: usize,
    nodes: &'a mut Vec<Node>,
}

fn place(offset: usize) -> u32 {
    // Records are bounded by `EVENT_BYTES`, far below 4 GiB.
    u32::try_from(offset).unwrap_or(u32::MAX)
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn fail<T>(&self, reason: &'static str) -> Result<T, JsonError> {
        Err(JsonError::Syntax { offset: self.at, reason })
    }

    fn value(&mut self, parent: u32, key: (u32, u32, bool), depth: usize) -> Result<(), JsonError> {
        let Some(first) = self.peek() else { return Err(JsonError::Incomplete) };
        let index = self.nodes.len();
        let mut node = Node {
            start: place(self.at),
            end: 0,
            key_start: key.0,
            key_end: key.1,
            next: 0,
            parent,
            kind: Kind::Null,
            escaped: false,
            key_escaped: key.2,
        };
        match first {
            b'"' => {
                let (start, end, escaped) = self.string()?;
                node.kind = Kind::String;
                (node.start, node.end, node.escaped) = (start, end, escaped);
            }
            b'{' | b'[' => {
                if depth >= JSON_NESTING {
                    return Err(JsonError::TooDeep { offset: self.at });
                }
                node.kind = if first == b'{' { Kind::Object } else { Kind::Array };
                self.nodes.push(node);
                self.at += 1;
                if first == b'{' {
                    self.object(place(index), depth)?;
                } else {
                    self.array(place(index), depth)?;
                }
                let (end, next) = (place(self.at), place(self.nodes.len()));
                if let Some(node) = self.nodes.get_mut(index) {
                    (node.end, node.next) = (end, next);
                }
                return Ok(());
            }
            b't' => self.word(b"true", &mut node, Kind::Boolean)?,
            b'f' => self.word(b"false", &mut node, Kind::Boolean)?,
            b'n' => self.word(b"null", &mut node, Kind::Null)?,
            b'-' | b'0'..=b'9' => {
                self.number()?;
                node.kind = Kind::Number;
                node.end = place(self.at);
            }
            _ => return self.fail("expected a value"),
        }
        node.next = place(index + 1);
        self.nodes.push(node);
        Ok(())
    }

    fn object(&mut self, index: u32, depth: usize) -> Result<(), JsonError> {
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            match self.peek() {
                Some(b'"') => {}
                Some(_) => return self.fail("expected a key in quotes"),
                None => return Err(JsonError::Incomplete),
            }
            let key = self.string()?;
            self.space();
            match self.peek() {
                Some(b':') => self.at += 1,
                Some(_) => return self.fail("expected `:`"),
                None => return Err(JsonError::Incomplete),
            }
            self.space();
            self.value(index, key, depth + 1)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => return self.fail("expected `,` or `}`"),
                None => return Err(JsonError::Incomplete),
            }
        }
    }

    fn array(&mut self, index: u32, depth: usize) -> Result<(), JsonError> {
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            self.value(index, (0, 0, false), depth + 1)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => return self.fail("expected `,` or `]`"),
                None => return Err(JsonError::Incomplete),
            }
        }
    }

    fn word(&mut self, word: &'static [u8], node: &mut Node, kind: Kind) -> Result<(), JsonError> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.at += word.len();
            node.kind = kind;
            node.end = place(self.at);
            Ok(())
        } else if word.starts_with(rest) {
            Err(JsonError::Incomplete)
        } else {
            self.fail("expected a value")
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'0'..=b'9') => {}
            Some(_) => return self.fail("expected a digit"),
            None => return Err(JsonError::Incomplete),
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if let Some(b'0'..=b'9') = self.peek() {
                return self.fail("a number does not start with 0");
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Reads a string and returns where it lies without its quotes, and whether it has escapes.
    fn string(&mut self) -> Result<(u32, u32, bool), JsonError> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain(self.input.get(self.at..).unwrap_or_default());
            match self.peek() {
                None => return Err(JsonError::Incomplete),
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    return Ok((place(start), place(end), escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.fail("control character in a string"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.input.get(self.at + 1) {
            None => Err(JsonError::Incomplete),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                for i in 2..6 {
                    match self.input.get(self.at + i) {
                        None => return Err(JsonError::Incomplete),
                        Some(byte) if byte.is_ascii_hexdigit() => {}
                        Some(_) => return self.fail("`\\u` needs four hexadecimal digits"),
                    }
                }
                self.at += 6;
                Ok(())
            }
            Some(_) => self.fail("unknown escape"),
        }
    }
}

/// Number of bytes at the start of `text` that a string holds as they are: up to a quote, a
/// backslash or a control character, eight bytes at a time.
fn plain(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut count = 0;
    let (chunks, rest) = text.as_chunks::<8>();
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        // A borrow can only mark bytes above the first true one, and only the first is used.
        let found = ((word.wrapping_sub(ONES * 0x20) & !word)
            | (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash))
            & HIGHS;
        if found != 0 {
            return count + (found.trailing_zeros() / 8) as usize;
        }
        count += 8;
    }
    count + rest.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20).unwrap_or(rest.len())
}

/// One value of a [`Tape`], with the text it lies in.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    tape: &'a Tape,
    text: &'a str,
    node: u32,
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.raw())
    }
}

impl<'a> Value<'a> {
    fn get(&self) -> Option<&'a Node> {
        self.tape.nodes.get(self.node as usize)
    }

    fn slice(&self, start: u32, end: u32) -> &'a str {
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Its position on the tape; a value inside it has a larger one.
    pub fn index(&self) -> usize {
        self.node as usize
    }

    /// First position on the tape after this value and all inside it.
    pub fn end_index(&self) -> usize {
        self.get().map_or(0, |node| node.next as usize)
    }

    /// Position of the value it lies in; `None` for the root.
    pub fn parent_index(&self) -> Option<usize> {
        self.get().and_then(|node| (node.parent != NONE).then_some(node.parent as usize))
    }

    /// The value at a position of the same tape.
    #[must_use]
    pub fn at(&self, index: usize) -> Value<'a> {
        Value { node: place(index), ..*self }
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.get().map_or(Kind::Null, |node| node.kind)
    }

    /// Its JSON text: of a string the content between the quotes with its escapes.
    pub fn raw(&self) -> &'a str {
        self.get().map_or("", |node| self.slice(node.start, node.end))
    }

    /// Where its JSON text starts in the record, bytes (a string: after its quote).
    pub fn offset(&self) -> usize {
        self.get().map_or(0, |node| node.start as usize)
    }

    /// The content of a string, `None` for other kinds.
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        let node = self.get()?;
        (node.kind == Kind::String).then(|| self.content(node.start, node.end, node.escaped))
    }

    /// The text of a scalar as Elasticsearch would index it in a keyword: a string's content, a
    /// number or boolean as written; `None` for null, arrays and objects.
    pub fn scalar(&self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::String => self.as_str(),
            Kind::Number | Kind::Boolean => Some(Cow::Borrowed(self.raw())),
            Kind::Null | Kind::Array | Kind::Object => None,
        }
    }

    /// Its key, when it is a member of an object; else empty.
    pub fn key(&self) -> Cow<'a, str> {
        self.get()
            .map_or(Cow::Borrowed(""), |node| self.content(node.key_start, node.key_end, node.key_escaped))
    }

    /// The JSON text of its key, without quotes.
    pub fn raw_key(&self) -> &'a str {
        self.get().map_or("", |node| self.slice(node.key_start, node.key_end))
    }

    /// Members of an object or items of an array.
    pub fn children(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (first, end) = match self.get() {
            Some(node) if matches!(node.kind, Kind::Array | Kind::Object) => (self.node + 1, node.next),
            _ => (0, 0),
        };
        let this = *self;
        let mut at = first;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let child = Value { node: at, ..this };
            at = child.get().map_or(end, |node| node.next.max(at + 1));
            Some(child)
        })
    }

    /// The member of an object with this key; the last one when it is there twice.
    pub fn member(&self, key: &str) -> Option<Value<'a>> {
        if self.kind() != Kind::Object {
            return None;
        }
        self.children().filter(|child| child.key() == key).last()
    }

    /// Whether it is `null`, an empty string, array or object.
    pub fn is_empty(&self) -> bool {
        self.get().is_none_or(|node| match node.kind {
            Kind::Null => true,
            Kind::String => node.start == node.end,
            Kind::Array | Kind::Object => node.next == self.node + 1,
            Kind::Boolean | Kind::Number => false,
        })
    }

    fn content(&self, start: u32, end: u32, escaped: bool) -> Cow<'a, str> {
        let raw = self.slice(start, end);
        if escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) }
    }
}

/// Resolves the escapes of a JSON string that was parsed. Half a surrogate pair becomes U+FFFD.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = after.chars();
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let unit = |text: &str| text.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                let text = chars.as_str();
                let first = unit(text).unwrap_or(0xFFFD);
                let mut used = 4;
                let code = match first {
                    0xD800..=0xDBFF => match text.get(4..).and_then(|t| t.strip_prefix("\\u")).and_then(unit)
                    {
                        Some(low @ 0xDC00..=0xDFFF) => {
                            used = 10;
                            0x1_0000 + ((first - 0xD800) << 10) + (low - 0xDC00)
                        }
                        _ => 0xFFFD,
                    },
                    _ => first,
                };
                out.push(char::from_u32(code).unwrap_or('\u{FFFD}'));
                chars = text.get(used..).unwrap_or_default().chars();
            }
            Some(other) => out.push(other),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// Appends `text` to `out` as the content of a JSON string, escaped where JSON needs it.
pub fn push_escaped(out: &mut String, text: &str) {
    let mut rest = text;
    loop {
        let clean = plain(rest.as_bytes());
        let (before, after) = rest.split_at_checked(clean).unwrap_or((rest, ""));
        out.push_str(before);
        let mut chars = after.chars();
        match chars.next() {
            None => return,
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => {
                use std::fmt::Write as _;
                // Writing to a String cannot fail.
                let _ok = write!(out, "\\u{:04x}", control as u32).is_ok();
            }
        }
        rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(value: Value<'_>) -> serde_json::Value {
        match value.kind() {
            Kind::Null => serde_json::Value::Null,
            Kind::Boolean => serde_json::Value::Bool(value.raw() == "true"),
            Kind::Number => serde_json::from_str(value.raw()).unwrap(),
            Kind::String => serde_json::Value::String(value.as_str().unwrap().into_owned()),
            Kind::Array => value.children().map(tree).collect(),
            Kind::Object => serde_json::Value::Object(
                value.children().map(|child| (child.key().into_owned(), tree(child))).collect(),
            ),
        }
    }

    fn read(text: &str) -> Result<serde_json::Value, JsonError> {
        let mut tape = Tape::new();
        let (_, end) = tape.parse(text.as_bytes())?;
        Ok(tree(tape.root(text.get(..end).unwrap())))
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<i32>().prop_map(|n| serde_json::Value::from(f64::from(n) / 8.0)),
            ".*".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::vec((".{0,8}", inner), 0..6)
                    .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_serde_writes(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(read(&text).unwrap(), value);
        }

        #[test]
        fn agrees_with_serde_on_what_is_json(text in "[\\[\\]{}:,\" \\\\u0-9eE.+\\-truefalsn]{0,24}") {
            let mut tape = Tape::new();
            let whole = match tape.parse(text.as_bytes()) {
                Ok((_, end)) => text.get(end..).unwrap().trim_matches([' ', '\n', '\r', '\t']).is_empty(),
                Err(_) => false,
            };
            // serde_json refuses halves of surrogate pairs and numbers beyond f64, we do not.
            let serde = serde_json::from_str::<Box<serde_json::value::RawValue>>(&text).is_ok();
            prop_assert_eq!(whole, serde, "{}", text);
        }

        #[test]
        fn escapes_are_undone(text in ".*|[\\x00-\\x7f]*") {
            let mut out = String::from("\"");
            push_escaped(&mut out, &text);
            out.push('"');
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text.clone());
            prop_assert_eq!(read(&out).unwrap(), serde_json::Value::String(text));
        }

        #[test]
        fn no_prefix_is_taken_for_whole(value in json(), cut: prop::sample::Index) {
            let text = serde_json::json!([value]).to_string();
            let cut = cut.index(text.len());
            let mut tape = Tape::new();
            prop_assert_eq!(tape.parse(&text.as_bytes()[..cut]), Err(JsonError::Incomplete));
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "[".repeat(JSON_NESTING + 1);
        assert_eq!(read(&deep), Err(JsonError::TooDeep { offset: JSON_NESTING }));
        let allowed = "[".repeat(JSON_NESTING) + &"]".repeat(JSON_NESTING);
        assert!(read(&allowed).is_ok());
    }

    #[test]
    fn surrogates() {
        assert_eq!(read(r#""😀 \ud83d x""#).unwrap(), "😀 \u{FFFD} x");
    }
}
