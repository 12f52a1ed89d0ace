//! Places: where in a file a value of a rule stands.

use crate::base::diagnostic::Diagnostic;
use crate::base::span::Span;

/// One step down from a rule to one of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rule) enum Step<'a> {
    /// A key of a table.
    Key(&'a str),
    /// An element of an array.
    Index(usize),
}

/// How a file writes text between quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rule) enum Syntax {
    /// TOML's four kinds of string.
    Toml,
    /// JSON's one.
    Json,
}

/// A parsed file that can say where the values of its rule stand.
pub(in crate::rule) trait Places {
    /// The text that spans refer to.
    fn text(&self) -> &str;
    /// How this file writes text.
    fn syntax(&self) -> Syntax;
    /// Lines before [`Places::text`] in the file.
    fn lines_before(&self) -> usize {
        0
    }
    /// Where the value at `path` stands, or the nearest table or array above it.
    fn value(&self, path: &[Step<'_>]) -> Span;
    /// Where the key at the end of `path` stands, or the nearest thing above it.
    fn key(&self, path: &[Step<'_>]) -> Span;

    /// Puts a finding at a place of the file.
    fn at(&self, diagnostic: Diagnostic, span: Span) -> Diagnostic {
        let mut placed = diagnostic.at(self.text(), span);
        placed.line = placed.line.map(|line| line + self.lines_before());
        placed
    }

    /// Where `part` of the text value at `path` stands: quotes, first newlines and escapes are
    /// taken into account.
    fn inside(&self, path: &[Step<'_>], part: Span) -> Span {
        let whole = self.value(path);
        let raw = self.text().get(whole.start..whole.end).unwrap_or("");
        let start = written_offset(raw, self.syntax(), part.start);
        let end = written_offset(raw, self.syntax(), part.end).max(start);
        Span::new(start, end).shift(whole.start)
    }
}

/// The offset in `raw` (a string as written, quotes included) of the byte that stands at `offset`
/// in the string it means. Past the end is the closing quote.
pub(super) fn written_offset(raw: &str, syntax: Syntax, offset: usize) -> usize {
    let (opening, closing, escapes) = quotes(raw, syntax);
    let end = raw.len().saturating_sub(closing).max(opening);
    let mut meant = 0;
    let mut at = opening;
    while at < end && meant < offset {
        let rest = raw.get(at..end).unwrap_or("");
        let Some(first) = rest.chars().next() else { break };
        let (written, bytes) = if first == '\\' && escapes {
            escape(rest, syntax)
        } else {
            (first.len_utf8(), first.len_utf8())
        };
        at += written.max(1);
        meant += bytes;
    }
    if escapes && syntax == Syntax::Toml {
        at += continuation(raw.get(at..end).unwrap_or(""));
    }
    at.min(end)
}

/// Bytes of the opening quotes (with the newline TOML drops), of the closing ones, and whether a
/// backslash escapes.
fn quotes(raw: &str, syntax: Syntax) -> (usize, usize, bool) {
    if syntax == Syntax::Json {
        return (1, 1, true);
    }
    let triple = raw.starts_with("'''") || raw.starts_with("\"\"\"");
    let escapes = raw.starts_with('"');
    if !triple {
        return (1, 1, escapes);
    }
    let after = raw.get(3..).unwrap_or("");
    let newline = if after.starts_with("\r\n") { 2 } else { usize::from(after.starts_with('\n')) };
    (3 + newline, 3, escapes)
}

/// Length of the escape at the start of `rest` as written, and of what it means, in UTF-8 bytes.
fn escape(rest: &str, syntax: Syntax) -> (usize, usize) {
    let digits = match rest.as_bytes().get(1) {
        Some(b'u') => 4,
        Some(b'U') if syntax == Syntax::Toml => 8,
        Some(b'x') if syntax == Syntax::Toml => 2,
        Some(b' ' | b'\t' | b'\n' | b'\r') => return (continuation(rest), 0),
        _ => return (2, 1),
    };
    let code = |from: usize| rest.get(from..from + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let Some(first) = code(2) else { return (2, 1) };
    if syntax == Syntax::Json && (0xD800..0xDC00).contains(&first) && rest.get(6..8) == Some("\\u") {
        return (12, 4);
    }
    (2 + digits, char::from_u32(first).map_or(3, char::len_utf8))
}

/// Length of a backslash with the white space after it when it ends a line of a TOML string.
fn continuation(rest: &str) -> usize {
    let Some(after) = rest.strip_prefix('\\') else { return 0 };
    let blank = after.len() - after.trim_start_matches([' ', '\t', '\n', '\r']).len();
    let ends_line = after.get(..blank).is_some_and(|space| space.contains('\n'));
    if ends_line { 1 + blank } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character of the meaning is found at the character that wrote it.
    fn check(raw: &str, syntax: Syntax, offset: usize, expected: &str) {
        let at = written_offset(raw, syntax, offset);
        let rest = raw.get(at..).unwrap();
        assert!(rest.starts_with(expected), "{raw:?} at {offset}: {rest:?}");
    }

    #[test]
    fn follows_quotes_and_escapes() {
        check("'abc'", Syntax::Toml, 1, "bc'");
        check("'a\\c'", Syntax::Toml, 2, "c'");
        check("\"a\\tc\"", Syntax::Toml, 2, "c");
        check("\"a\\u00e9c\"", Syntax::Toml, 3, "c");
        check("\"a\\U0001F600c\"", Syntax::Toml, 5, "c");
        check("'''\nab\ncd'''", Syntax::Toml, 3, "cd");
        check("'''\r\nab'''", Syntax::Toml, 1, "b");
        check("\"\"\"a \\\n   b\"\"\"", Syntax::Toml, 2, "b");
        check("\"a\\\"c\"", Syntax::Json, 2, "c");
        check("\"\\ud83d\\ude00c\"", Syntax::Json, 4, "c");
        check("\"abc\"", Syntax::Json, 99, "\"");
        check("'''abc'''", Syntax::Toml, 3, "'''");
    }
}
