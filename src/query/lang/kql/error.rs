//! Why a text is not KQL, in Kibana's words.

use crate::base::diagnostic::Diagnostic;
use crate::base::limits;
use crate::base::span::Span;

/// A text that is not KQL, or too much of it.
///
/// Its [`Display`](std::fmt::Display) form is Kibana's: the message, the text, and a line of dashes
/// up to the failure with a caret below it (counted in UTF-16 units from the start of the text).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{short}\n{text}\n{}^", "-".repeat(*.utf16))]
pub struct SyntaxError {
    code: &'static str,
    short: String,
    help: Option<String>,
    text: String,
    at: usize,
    utf16: usize,
}

impl SyntaxError {
    fn new(code: &'static str, short: String, help: Option<&str>, text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let utf16 = before.encode_utf16().count();
        Self { code, short, help: help.map(str::to_owned), text: text.to_owned(), at, utf16 }
    }

    pub(super) fn unexpected(text: &str, at: usize, expected: &[&str]) -> Self {
        let found = text.get(at..).and_then(|rest| rest.chars().next());
        let named = found.map_or_else(|| "end of input".to_owned(), |c| format!("\"{c}\""));
        let help = match found {
            Some(':' | '(' | ')' | '{' | '}' | '<' | '>') => Some(
                "a value with `( ) : < > { }` in it must be quoted, or each of them escaped with a backslash",
            ),
            Some('"') => Some("close the quote, or write `\\\"` for one that belongs to the value"),
            Some('\\') => Some("write `\\\\` for a backslash, or quote the value"),
            Some('n' | 'N') if text.get(at..at + 3).is_some_and(|word| word.eq_ignore_ascii_case("not")) => {
                Some("`not` ends an unquoted value, even in the middle of a word: quote the value")
            }
            _ => None,
        };
        Self::new("KQL001", format!("Expected {} but {named} found.", expected.join(", ")), help, text, at)
    }

    pub(super) fn leading_wildcard(text: &str, at: usize) -> Self {
        let short = "Leading wildcards are disabled. See query:allowLeadingWildcards in Advanced Settings.";
        Self::new("KQL005", short.to_owned(), None, text, at)
    }

    pub(super) fn too_long(text: &str) -> Self {
        let short = format!("query of {} bytes is longer than {}", text.len(), limits::QUERY_BYTES);
        let mut error = Self::new("KQL003", short, Some("split the rule, or use an exception list"), "", 0);
        "(not shown)".clone_into(&mut error.text);
        error
    }

    pub(super) fn too_deep(text: &str, at: usize) -> Self {
        let short = format!("brackets are nested deeper than {}", limits::QUERY_NESTING);
        Self::new("KQL002", short, Some("remove brackets that change nothing"), text, at)
    }

    pub(super) fn too_complex(text: &str, at: usize) -> Self {
        Self::new("KQL004", "query takes too much work to read".to_owned(), Some("split the query"), text, at)
    }

    /// The message alone, without the text and the caret.
    pub fn short_message(&self) -> &str {
        &self.short
    }

    /// Byte offset of the failure.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The finding for the text that was parsed.
    pub fn diagnostic(&self, text: &str) -> Diagnostic {
        let end = text
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
            .map_or(self.at, |c| self.at + c.len_utf8());
        let mut diagnostic = Diagnostic::error(self.code, &self.short).at(text, Span::new(self.at, end));
        diagnostic.help.clone_from(&self.help);
        diagnostic
    }
}
