//! Lucene's regular expressions, in the syntax of the `regex` crate.
//!
//! Lucene's dialect is its own: patterns are anchored at both ends, `^` and `$` are plain
//! characters, `"…"` quotes, `@` is any text, `#` is no text at all. What has no counterpart in a
//! linear-time matcher (`~` complement, `&` intersection, `<1-9>` numbers) is refused by name.

use std::fmt::Write as _;

use crate::base::limits::{QUERY_NESTING, REGEXP_CHARS};
use crate::base::span::Span;

/// A regular expression of Lucene's that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RegexpError {
    /// What is wrong.
    pub message: String,
    /// The way out, where there is one.
    pub help: Option<&'static str>,
    /// Where, in bytes of the pattern.
    pub span: Span,
    /// Whether it is sound, and a cluster could answer it.
    pub only_cluster: bool,
}

/// A regular expression in the `regex` crate's syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// The expression, anchored at both ends.
    pub pattern: String,
    /// Texts that every match contains, in the pattern's case.
    pub literals: Vec<Box<str>>,
}

/// Translates a pattern in Lucene's syntax (all of its flags on, as Elasticsearch has them).
///
/// # Errors
/// A pattern that is not well formed, too long ([`REGEXP_CHARS`]) or too deeply nested, and an
/// operator without a counterpart; with its place.
pub fn translate(pattern: &str) -> Result<Translated, RegexpError> {
    if pattern.chars().count() > REGEXP_CHARS {
        let message = format!("the regular expression is longer than {REGEXP_CHARS} characters");
        let span = Span::new(0, pattern.len());
        return Err(RegexpError { message, help: None, span, only_cluster: false });
    }
    let mut reader = Reader { pattern, at: 0, out: String::with_capacity(pattern.len() + 16), depth: 0 };
    reader.out.push_str(r"\A(?:");
    let literals = reader.union()?;
    if reader.at < pattern.len() {
        return Err(reader.error(reader.at, "`)` without `(`", Some("write `\\)` for the character")));
    }
    reader.out.push_str(r")\z");
    Ok(Translated { pattern: reader.out, literals })
}

/// Whether two runs of plain characters are joined, and what they say.
struct Runs {
    runs: Vec<Box<str>>,
    open: String,
}

impl Runs {
    fn cut(&mut self) {
        if !self.open.is_empty() {
            self.runs.push(std::mem::take(&mut self.open).into());
        }
    }
}

struct Reader<'p> {
    pattern: &'p str,
    at: usize,
    out: String,
    depth: usize,
}

impl Reader<'_> {
    fn error(&self, at: usize, message: impl Into<String>, help: Option<&'static str>) -> RegexpError {
        let length = self.pattern.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let span = Span::new(at, at + length);
        RegexpError { message: message.into(), help, span, only_cluster: false }
    }

    /// An operator that has no counterpart here.
    fn beyond(&self, at: usize, message: &str, help: &'static str) -> RegexpError {
        RegexpError { only_cluster: true, ..self.error(at, message, Some(help)) }
    }

    fn peek(&self) -> Option<char> {
        self.pattern.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Alternatives; the texts that every match contains (none when there are several).
    fn union(&mut self) -> Result<Vec<Box<str>>, RegexpError> {
        self.depth += 1;
        if self.depth > QUERY_NESTING {
            return Err(self.error(
                self.at,
                format!("groups are nested more than {QUERY_NESTING} deep"),
                None,
            ));
        }
        let mut literals = self.concatenation()?;
        while self.take('|') {
            self.out.push('|');
            self.concatenation()?;
            literals.clear();
        }
        self.depth -= 1;
        Ok(literals)
    }

    fn concatenation(&mut self) -> Result<Vec<Box<str>>, RegexpError> {
        let mut runs = Runs { runs: Vec::new(), open: String::new() };
        while let Some(c) = self.peek() {
            match c {
                '|' | ')' => break,
                '&' => {
                    let help = "write `\\&` for the character, or two conditions joined by `and`";
                    return Err(self.beyond(self.at, "`&` (intersection) is not supported", help));
                }
                _ => {}
            }
            let start = self.out.len();
            let plain = self.simple(&mut runs)?;
            let repeated = self.repetitions(start)?;
            match plain {
                Some(c) if !repeated => runs.open.push(c),
                _ => runs.cut(),
            }
        }
        runs.cut();
        Ok(runs.runs)
    }

    /// `?`, `*`, `+`, `{n}`, `{n,}`, `{n,m}` after the item that was written from `start` on;
    /// whether there were any.
    fn repetitions(&mut self, start: usize) -> Result<bool, RegexpError> {
        let mut repeated = false;
        while let Some(c) = self.peek().filter(|c| matches!(c, '?' | '*' | '+' | '{')) {
            let at = self.at;
            self.at += 1;
            let operator = match c {
                '{' => self.counts(at)?,
                other => other.to_string(),
            };
            // A group of its own, so that a second operator repeats the whole and no `??` arises.
            self.out.insert_str(start, "(?:");
            self.out.push(')');
            self.out.push_str(&operator);
            repeated = true;
        }
        Ok(repeated)
    }

    fn counts(&mut self, open: usize) -> Result<String, RegexpError> {
        let least = self.number().ok_or_else(|| {
            self.error(self.at, "a number is expected after `{`", Some("write `\\{` for the character"))
        })?;
        let mut text = format!("{{{least}");
        if self.take(',') {
            text.push(',');
            if let Some(most) = self.number() {
                if most < least {
                    return Err(self.error(
                        open,
                        format!("`{{{least},{most}}}` asks for more than it allows"),
                        None,
                    ));
                }
                write!(text, "{most}").ok();
            }
        }
        if !self.take('}') {
            return Err(self.error(open, "`{` is not closed", Some("write `\\{` for the character")));
        }
        text.push('}');
        Ok(text)
    }

    fn number(&mut self) -> Option<u32> {
        let rest = self.pattern.get(self.at..)?;
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = rest.get(..digits)?.parse().ok()?;
        self.at += digits;
        Some(number)
    }

    /// One item; the character it is, when it is one.
    fn simple(&mut self, runs: &mut Runs) -> Result<Option<char>, RegexpError> {
        let at = self.at;
        let Some(c) = self.next() else { return Ok(None) };
        match c {
            '.' => self.out.push_str("(?s:.)"),
            '@' => self.out.push_str("(?s:.*)"),
            '#' => self.out.push_str(r"[^\s\S]"),
            '~' => {
                let help = "write `\\~` for the character, or `not` around the condition";
                return Err(self.beyond(at, "`~` (complement) is not supported", help));
            }
            '<' => {
                let help = "write `\\<` for the character, or compare the number with `>=` and `<=`";
                return Err(self.beyond(at, "`<…>` (an interval of numbers) is not supported", help));
            }
            '[' => self.class(at)?,
            '"' => {
                let rest = self.pattern.get(self.at..).unwrap_or_default();
                let Some((text, _)) = rest.split_once('"') else {
                    return Err(self.error(at, "`\"` is not closed", Some("write `\\\"` for the character")));
                };
                self.at += text.len() + 1;
                write!(self.out, "(?:{})", regex::escape(text)).ok();
            }
            '(' => {
                self.out.push_str("(?:");
                runs.cut();
                self.union()?;
                if !self.take(')') {
                    return Err(self.error(at, "`(` is not closed", Some("write `\\(` for the character")));
                }
                self.out.push(')');
            }
            '\\' => {
                let Some(escaped) = self.next() else {
                    return Err(self.error(
                        at,
                        "nothing follows the last `\\`",
                        Some("write `\\\\` for a backslash"),
                    ));
                };
                match predefined(escaped) {
                    Some(class) => self.out.push_str(class),
                    None => return Ok(Some(self.plain(escaped))),
                }
            }
            other => return Ok(Some(self.plain(other))),
        }
        Ok(None)
    }

    fn plain(&mut self, c: char) -> char {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        c
    }

    /// `[abc]`, `[^a-z]`; everything between the brackets is plain but `\`, `-` and a first `^`.
    fn class(&mut self, open: usize) -> Result<(), RegexpError> {
        let unclosed =
            |reader: &Self| reader.error(open, "`[` is not closed", Some("write `\\[` for the character"));
        self.out.push('[');
        if self.take('^') {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let at = self.at;
            let Some(c) = self.next() else { return Err(unclosed(self)) };
            if c == ']' && !first {
                self.out.push(']');
                return Ok(());
            }
            first = false;
            let from = match c {
                '\\' => {
                    let escaped = self.next().ok_or_else(|| unclosed(self))?;
                    if let Some(class) = predefined(escaped) {
                        self.out.push_str(class);
                        continue;
                    }
                    escaped
                }
                other => other,
            };
            let mut to = from;
            let rest = self.pattern.get(self.at..).unwrap_or_default();
            if rest.starts_with('-') && !rest.starts_with("-]") {
                self.at += 1;
                to = match self.next() {
                    Some('\\') => self.next().ok_or_else(|| unclosed(self))?,
                    Some(other) => other,
                    None => return Err(unclosed(self)),
                };
                if to < from {
                    let message = format!("the range `{from}-{to}` runs backwards");
                    return Err(self.error(at, message, None));
                }
            }
            write!(self.out, r"\x{{{:x}}}-\x{{{:x}}}", u32::from(from), u32::from(to)).ok();
        }
    }
}

/// Java's predefined classes, which know ASCII only.
fn predefined(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => r"[ \t\n\r]",
        'S' => r"[^ \t\n\r]",
        'w' => "[0-9A-Z_a-z]",
        'W' => "[^0-9A-Z_a-z]",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::translate;

    fn matches(pattern: &str, text: &str) -> bool {
        let translated = translate(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let regex =
            regex::Regex::new(&translated.pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let found = regex.is_match(text);
        assert!(!found || translated.literals.iter().all(|l| text.contains(&**l)), "{pattern} on {text}");
        found
    }

    #[test]
    fn matches_what_lucene_matches() {
        for (pattern, text, expected) in [
            ("ab.*", "abc", true),
            ("ab.*", "xabc", false),
            ("b", "abc", false),
            ("a.c", "a\nc", true),
            ("^a$", "a", false),
            ("^a$", "^a$", true),
            ("a|bc", "bc", true),
            ("(a|b)c", "bc", true),
            ("a(b)?", "a", true),
            ("(ab)+c", "ababc", true),
            ("ab{2}", "abb", true),
            ("ab{2,}", "ab", false),
            ("ab{1,2}", "abbb", false),
            ("a{2}{3}", "aaaaaa", true),
            ("a{2}{3}", "aaaaa", false),
            ("[a-c]+", "abc", true),
            ("[^a-c]", "d", true),
            ("[a\\-c]", "b", false),
            ("[a-]", "-", true),
            ("[.*]", "*", true),
            ("[[&]", "&", true),
            ("\\d+\\w", "12x", true),
            ("[\\d.]+", "1.2", true),
            ("a\\.b", "axb", false),
            ("\"a.b\"", "axb", false),
            ("\"a.b\"c", "a.bc", true),
            ("a@", "abc", true),
            ("a#", "a", false),
            ("", "", true),
            ("()", "", true),
            ("a??", "", true),
            ("ü+", "üü", true),
            ("C:\\\\.+\\.exe", "C:\\x.exe", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn says_what_every_match_contains() {
        let literals = |pattern: &str| translate(pattern).map(|t| t.literals.join(","));
        assert_eq!(literals("abc.*def?g").as_deref(), Ok("abc,de,g"));
        assert_eq!(literals("abc|abd").as_deref(), Ok(""));
        assert_eq!(literals("x(abc|d)y").as_deref(), Ok("x,y"));
    }

    #[test]
    fn refuses_with_a_place() {
        for (pattern, at, part) in [
            ("a~b", 1, "complement"),
            ("a&b", 1, "intersection"),
            ("a<1-9>", 1, "interval"),
            ("a(b", 1, "`(` is not closed"),
            ("ab)", 2, "`)` without"),
            ("[ab", 0, "`[` is not closed"),
            ("[b-a]", 1, "backwards"),
            ("a{x}", 2, "a number is expected"),
            ("a{3,2}", 1, "asks for more"),
            ("a\\", 1, "nothing follows"),
            ("\"a", 0, "is not closed"),
        ] {
            let error = translate(pattern).expect_err(pattern);
            assert!(error.message.contains(part), "{pattern}: {error}");
            assert_eq!(error.span.start, at, "{pattern}: {error}");
        }
        assert!(translate(&"(".repeat(500)).is_err());
        assert!(translate(&"a".repeat(5_000)).is_err());
    }
}
