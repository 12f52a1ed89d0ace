//! Cuts a stream into JSON records, whatever its layout: `{"Records":[…]}`, a list, one value a
//! line, values spread over lines, or several of these after one another.
//!
//! Memory is bounded by the largest record allowed. A record that cannot be read is reported with
//! its place, and reading goes on with the next one.

use crate::base::limits::EVENT_BYTES;
use crate::ingest::decode::{DecodeError, Decoder};
use crate::ingest::tape::{JsonError, Tape, Value};

/// Where a record lies in the decoded stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// One-based line on which it starts.
    pub line: u64,
    /// Byte at which it starts.
    pub offset: u64,
    /// One-based number of the record in the stream.
    pub number: u64,
    /// Whether it stands in the list of `{"Records":[…]}`, which only CloudTrail writes.
    pub wrapped: bool,
}

/// Takes what is found in a stream.
pub trait RecordSink {
    /// Takes one record: its value, its JSON text, its place. `false` ends the reading.
    fn record(&mut self, value: Value<'_>, text: &str, place: Place) -> bool;
    /// Takes the news of a record that cannot be read. `false` ends the reading.
    fn reject(&mut self, place: Place, reason: String) -> bool;
}

/// Bytes read at once.
const CHUNK: usize = 512 * 1024;

/// Where in the layout the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// Between values of the stream.
    Top,
    /// Inside a list of records; `wrapped` when the list is a member of an object.
    List { wrapped: bool },
}

/// How an attempt to read ended.
enum Step {
    Go,
    End,
}

/// A stream being cut into records.
pub struct Records {
    decoder: Decoder,
    buffer: Vec<u8>,
    /// The unread part of `buffer` is `start..end`.
    start: usize,
    end: usize,
    /// Offset of `start` in the stream.
    offset: u64,
    line: u64,
    number: u64,
    /// Whether reading is inside the list of `{"Records":[…]}`.
    wrapped: bool,
    finished: bool,
    failure: Option<DecodeError>,
    tape: Tape,
}

impl Records {
    /// A reader of `decoder`'s content.
    pub fn new(decoder: Decoder) -> Self {
        Self {
            decoder,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            offset: 0,
            line: 1,
            number: 0,
            wrapped: false,
            finished: false,
            failure: None,
            tape: Tape::new(),
        }
    }

    /// Reads everything and hands it to `sink`.
    pub fn read(mut self, sink: &mut impl RecordSink) {
        self.fill();
        if self.unread().starts_with(&[0xef, 0xbb, 0xbf]) {
            self.consume(3);
        }
        if self.holds_no_json() {
            let reason = match self.failure.take() {
                Some(failure) => failure.to_string(),
                None => "no JSON: no line starts with `{` or `[`".to_owned(),
            };
            sink.reject(self.here(), reason);
            return;
        }
        let mut level = Level::Top;
        loop {
            self.skip_space();
            if self.unread().is_empty() {
                break;
            }
            let step = match level {
                Level::Top => self.top(&mut level, sink),
                Level::List { wrapped } => self.item(wrapped, &mut level, sink),
            };
            if matches!(step, Step::End) {
                return;
            }
        }
        // A cut-off file is one piece of news, whether or not the cut lies inside a list.
        if let Some(failure) = self.failure.take() {
            sink.reject(self.here(), failure.to_string());
        } else if matches!(level, Level::List { .. }) {
            sink.reject(self.here(), "truncated: the list of records has no end".to_owned());
        }
    }

    /// Whether what was read first is something else altogether: a picture, a table, a program. One
    /// piece of news is enough for that.
    fn holds_no_json(&mut self) -> bool {
        self.skip_space();
        let unread = self.unread();
        let opens = |line: &[u8]| matches!(line.trim_ascii_start().first(), Some(b'{' | b'['));
        !unread.is_empty() && !unread.split(|byte| *byte == b'\n').any(opens)
    }

    fn here(&self) -> Place {
        Place { line: self.line, offset: self.offset, number: self.number + 1, wrapped: self.wrapped }
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Passes `count` unread bytes.
    fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        let passed = self.buffer.get(self.start..self.start + count).unwrap_or_default();
        self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
        self.start += count;
        self.offset += count as u64;
    }

    /// Reads more of the stream; `false` when there is no more.
    fn fill(&mut self) -> bool {
        if self.finished {
            return false;
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() < self.end + CHUNK {
            self.buffer.resize(self.end + CHUNK, 0);
        }
        // Decoders hand out little at a time; a full chunk keeps records from being tried twice.
        let wanted = self.end + CHUNK;
        let before = self.end;
        while self.end < wanted {
            match self.decoder.read(self.buffer.get_mut(self.end..wanted).unwrap_or_default()) {
                Ok(0) => {
                    self.finished = true;
                    break;
                }
                Ok(read) => self.end += read,
                Err(error) => {
                    self.failure = Some(error);
                    self.finished = true;
                    break;
                }
            }
        }
        self.end > before
    }

    fn skip_space(&mut self) {
        loop {
            let unread = self.unread();
            let space = unread.iter().take_while(|b| b.is_ascii_whitespace()).count();
            let all = space == unread.len();
            self.consume(space);
            if !all || !self.fill() {
                return;
            }
        }
    }

    /// At a value of the stream.
    fn top(&mut self, level: &mut Level, sink: &mut impl RecordSink) -> Step {
        // Enough to see the start of a list, white space included.
        while self.unread().len() < 256 && self.fill() {}
        let unread = self.unread();
        if unread.first() == Some(&b'[') {
            self.consume(1);
            *level = Level::List { wrapped: false };
            return Step::Go;
        }
        if let Some(opening) = list_opening(unread) {
            self.consume(opening);
            *level = Level::List { wrapped: true };
            self.wrapped = true;
            return Step::Go;
        }
        self.value(false, sink)
    }

    /// Inside a list of records.
    fn item(&mut self, wrapped: bool, level: &mut Level, sink: &mut impl RecordSink) -> Step {
        match self.unread().first() {
            Some(b',') => {
                self.consume(1);
                Step::Go
            }
            Some(b']') => {
                self.consume(1);
                *level = Level::Top;
                if wrapped {
                    self.wrapped = false;
                    self.skip_brackets(1);
                }
                Step::Go
            }
            _ => self.value(true, sink),
        }
    }

    /// Reads one value and hands it over.
    fn value(&mut self, in_list: bool, sink: &mut impl RecordSink) -> Step {
        loop {
            let mut tape = std::mem::take(&mut self.tape);
            let parsed = tape.parse(self.unread());
            self.tape = tape;
            match parsed {
                Ok((_, length)) if length > EVENT_BYTES => return self.too_large(in_list, sink),
                Ok((_, length)) => return self.hand_over(length, sink),
                Err(JsonError::Incomplete) => {
                    if self.unread().len() > EVENT_BYTES {
                        return self.too_large(in_list, sink);
                    }
                    if self.fill() {
                        continue;
                    }
                    return self.cut_off(in_list, sink);
                }
                Err(error) => return self.broken(error, in_list, sink),
            }
        }
    }

    fn hand_over(&mut self, length: usize, sink: &mut impl RecordSink) -> Step {
        let place = self.here();
        self.number += 1;
        let bytes = self.buffer.get(self.start..self.start + length).unwrap_or_default();
        let go = match std::str::from_utf8(bytes) {
            Ok(text) => sink.record(self.tape.root(text), text, place),
            Err(error) => {
                let at = place.offset + error.valid_up_to() as u64;
                sink.reject(place, format!("not UTF-8 at byte {at}"))
            }
        };
        self.consume(length);
        if go { Step::Go } else { Step::End }
    }

    fn report(&mut self, place: Place, reason: String, sink: &mut impl RecordSink) -> Step {
        self.number += 1;
        if sink.reject(place, reason) { Step::Go } else { Step::End }
    }

    fn too_large(&mut self, in_list: bool, sink: &mut impl RecordSink) -> Step {
        let place = self.here();
        if in_list {
            self.skip_brackets(0);
        } else {
            self.skip_line();
        }
        self.report(place, format!("larger than {EVENT_BYTES} bytes"), sink)
    }

    /// The stream ends inside a value.
    fn cut_off(&mut self, in_list: bool, sink: &mut impl RecordSink) -> Step {
        let place = self.here();
        if in_list {
            self.consume(usize::MAX);
        } else {
            // An open line swallows the lines after it: they get their own chance.
            self.skip_to_next_start();
        }
        let reason = match self.failure.as_ref().filter(|_| self.unread().is_empty()) {
            Some(failure) => format!("truncated record: {failure}"),
            None => "truncated: ends inside a JSON value".to_owned(),
        };
        if self.unread().is_empty() {
            self.failure = None;
            self.number += 1;
            sink.reject(place, reason);
            return Step::End;
        }
        self.report(place, reason, sink)
    }

    /// The value violates JSON's grammar or nests too deep.
    fn broken(&mut self, error: JsonError, in_list: bool, sink: &mut impl RecordSink) -> Step {
        let place = self.here();
        let reason = match error {
            JsonError::Syntax { offset, reason } => {
                format!("invalid JSON at byte {}: {reason}", place.offset + offset as u64)
            }
            other => other.to_string(),
        };
        let (JsonError::Syntax { offset, .. } | JsonError::TooDeep { offset }) = error else {
            return self.report(place, reason, sink);
        };
        let before = self.unread().get(..offset).unwrap_or_default();
        let same_line = memchr::memchr(b'\n', before).is_none();
        if in_list {
            let from = self.offset;
            self.skip_brackets(0);
            if self.offset == from {
                // No bracket to skip by: at least one byte, or this would not end.
                self.consume(1);
            }
        } else if same_line {
            self.skip_line();
        } else {
            self.skip_to_next_start();
        }
        self.report(place, reason, sink)
    }

    /// Passes the rest of the line, however long.
    fn skip_line(&mut self) {
        loop {
            match memchr::memchr(b'\n', self.unread()) {
                Some(at) => {
                    self.consume(at + 1);
                    return;
                }
                None => {
                    self.consume(usize::MAX);
                    if !self.fill() {
                        return;
                    }
                }
            }
        }
    }

    /// Passes lines up to one that starts with a bracket: the next value of the stream.
    fn skip_to_next_start(&mut self) {
        loop {
            self.skip_line();
            if self.unread().is_empty() && !self.fill() {
                return;
            }
            if matches!(self.unread().first(), None | Some(b'{' | b'[')) {
                return;
            }
        }
    }

    /// Passes bytes until as many brackets are closed as are open, `depth` of them already; looks
    /// at nothing but brackets and strings. With none open it stops before `,` and closing ones.
    fn skip_brackets(&mut self, depth: usize) {
        let mut depth = depth;
        let mut in_string = false;
        let mut escaped = false;
        loop {
            let mut done = None;
            for (at, &byte) in self.unread().iter().enumerate() {
                if escaped {
                    escaped = false;
                } else if in_string {
                    match byte {
                        b'\\' => escaped = true,
                        b'"' => in_string = false,
                        _ => {}
                    }
                } else {
                    match byte {
                        b'}' | b']' | b',' if depth == 0 => done = Some(at),
                        b'"' => in_string = true,
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => {
                            depth -= 1;
                            if depth == 0 {
                                done = Some(at + 1);
                            }
                        }
                        _ => {}
                    }
                }
                if done.is_some() {
                    break;
                }
            }
            if let Some(count) = done {
                self.consume(count);
                return;
            }
            self.consume(usize::MAX);
            if !self.fill() {
                return;
            }
        }
    }
}

/// Length of `{"Records":[` at the start of `text`, with any white space between.
fn list_opening(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for token in [&b"{"[..], b"\"Records\"", b":", b"["] {
        at += text.get(at..)?.iter().take_while(|b| b.is_ascii_whitespace()).count();
        if !text.get(at..)?.starts_with(token) {
            return None;
        }
        at += token.len();
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[derive(Default)]
    struct Seen {
        records: Vec<String>,
        rejects: Vec<(u64, String)>,
    }

    impl RecordSink for Seen {
        fn record(&mut self, _: Value<'_>, text: &str, _: Place) -> bool {
            self.records.push(text.to_owned());
            true
        }
        fn reject(&mut self, place: Place, reason: String) -> bool {
            self.rejects.push((place.line, reason));
            true
        }
    }

    fn read(data: impl Into<Vec<u8>>) -> Seen {
        let mut seen = Seen::default();
        Records::new(Decoder::new(Box::new(Cursor::new(data.into()))).unwrap()).read(&mut seen);
        seen
    }

    #[test]
    fn layouts() {
        let (a, b) = (r#"{"a":1}"#, r#"{"b":"]}\"{"}"#);
        for text in [
            format!(r#"{{"Records":[{a},{b}]}}"#),
            format!("{{ \"Records\" :\n [ {a} ,\n {b} ], \"more\": [{{}}] }}\n"),
            format!(r#"{{"Records":[{a}]}}{{"Records":[{b}]}}"#),
            format!("{a}\n{b}\n"),
            format!("\u{feff}{a}\r\n\r\n{b}"),
            format!("[{a},{b}]"),
            format!("{a}{b}"),
        ] {
            let seen = read(text.clone());
            assert_eq!(seen.records, [a, b], "{text}");
            assert_eq!(seen.rejects, [], "{text}");
        }
        let pretty = "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n";
        assert_eq!(read(pretty).records, [pretty.trim_end()]);
        assert_eq!(read("").records, [""; 0]);
        assert_eq!(read(r#"{"Records":[]}"#).rejects, []);
    }

    #[test]
    fn a_broken_line_is_named_and_the_rest_read() {
        let seen = read("{\"a\":1}\n{\"b\":\n{\"c\":3}\nnonsense\n{\"d\":4}\n{\"e\":\"\u{1}\"}\n{\"f\":");
        assert_eq!(seen.records, ["{\"a\":1}", "{\"c\":3}", "{\"d\":4}"]);
        let lines: Vec<u64> = seen.rejects.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 4, 6, 7]);
        assert!(seen.rejects[3].1.contains("truncated"), "{:?}", seen.rejects);
    }

    #[test]
    fn a_broken_record_in_a_list_is_named_and_the_rest_read() {
        let seen = read("{\"Records\":[{\"a\":1},\n{\"b\":nope},{\"c\":3}, 5x, {\"d\":4}]}");
        assert_eq!(seen.records, ["{\"a\":1}", "{\"c\":3}", "5", "{\"d\":4}"]);
        assert_eq!(seen.rejects[0].0, 2);
        assert!(seen.rejects[0].1.contains("invalid JSON at byte 26"), "{:?}", seen.rejects);
    }

    #[test]
    fn a_list_without_end_is_told_and_its_records_kept() {
        let seen = read("{\"Records\":[{\"a\":1},{\"b\":");
        assert_eq!(seen.records, ["{\"a\":1}"]);
        assert_eq!(seen.rejects.len(), 1);
        assert!(seen.rejects[0].1.contains("truncated"));
        let seen = read("{\"Records\":[{\"a\":1}");
        assert_eq!((seen.records.len(), seen.rejects.len()), (1, 1));
    }

    #[test]
    fn something_else_altogether_is_told_once() {
        for data in [&b"# Notes\n\nno records here\nnor here"[..], b"\x89PNG\r\n\x1a\n\0\0", b"5"] {
            let seen = read(data);
            assert_eq!((seen.records.len(), seen.rejects.len()), (0, 1), "{:?}", seen.rejects);
            assert!(seen.rejects[0].1.contains("no JSON"), "{:?}", seen.rejects);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_named_and_the_rest_read() {
        let seen = read(b"{\"a\":1}\n{\"b\":\"\xff\"}\n{\"c\":3}".to_vec());
        assert_eq!(seen.records, ["{\"a\":1}", "{\"c\":3}"]);
        assert_eq!(seen.rejects, [(2, "not UTF-8 at byte 14".to_owned())]);
    }

    #[test]
    fn a_record_that_is_too_large_is_passed() {
        let huge = format!("{{\"x\":\"{}\"}}", "y".repeat(EVENT_BYTES * 3));
        for text in [
            format!("{{\"a\":1}}\n{huge}\n{{\"b\":2}}"),
            format!("{{\"Records\":[{{\"a\":1}},{huge},{{\"b\":2}}]}}"),
        ] {
            let seen = read(text);
            assert_eq!(seen.records, ["{\"a\":1}", "{\"b\":2}"]);
            assert_eq!(seen.rejects.len(), 1);
            assert!(seen.rejects[0].1.contains("larger than"), "{:?}", seen.rejects);
        }
    }

    #[test]
    fn too_deep_is_told() {
        let deep = format!("{}{}\n{{\"a\":1}}", "{\"a\":[".repeat(200), "]}".repeat(200));
        let seen = read(deep);
        assert_eq!(seen.records, ["{\"a\":1}"]);
        assert!(seen.rejects[0].1.contains("nested deeper"), "{:?}", seen.rejects);
    }

    #[test]
    fn a_very_long_line_takes_bounded_memory() {
        struct Endless(usize);
        impl std::io::Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let count = buffer.len().min(self.0);
                buffer[..count].fill(b'{');
                self.0 -= count;
                Ok(count)
            }
        }
        let start = Cursor::new(b"{\"a\":\"".to_vec());
        let line = std::io::Read::chain(start, Endless(1 << 28));
        let decoder =
            Decoder::new(Box::new(std::io::Read::chain(line, Cursor::new(b"\n{\"b\":2}".to_vec())))).unwrap();
        let mut records = Records::new(decoder);
        records.fill();
        let mut seen = Seen::default();
        while seen.records.is_empty() {
            records.skip_space();
            let mut level = Level::Top;
            records.top(&mut level, &mut seen);
            assert!(records.buffer.capacity() < EVENT_BYTES * 4);
        }
        assert_eq!(seen.records, ["{\"b\":2}"]);
        assert_eq!(seen.rejects, [(1, format!("larger than {EVENT_BYTES} bytes"))]);
    }
}
