//! Why a text is not a query string.

use crate::base::diagnostic::Diagnostic;
use crate::base::limits;
use crate::base::span::Span;

/// A text that is not a query string, or too much of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    code: &'static str,
    message: String,
    help: Option<&'static str>,
    at: usize,
}

impl SyntaxError {
    pub(super) fn unexpected(text: &str, at: usize, expected: &[&str]) -> Self {
        let found = text.get(at..).and_then(|rest| rest.chars().next());
        let rest = text.get(at..).unwrap_or_default();
        let help = match found {
            Some('"') => Some("close the quote, or write `\\\"` for one that belongs to the value"),
            Some('/') => Some("close the regular expression with `/`, or write `\\/` for the character"),
            Some('[' | '{') => Some("a range is written `[low TO high]`, with `*` for an open end"),
            Some(':') => Some("a value with `:` in it must be quoted, or the colon escaped: `\\:`"),
            Some('A' | 'O' | '&' | '|') if ["AND", "OR", "&&", "||"].iter().any(|w| rest.starts_with(w)) => {
                Some("`AND` and `OR` stand between two clauses; quote the word to look for it")
            }
            Some(c) if "+-!()^]}~*?\\".contains(c) => Some(
                "a value with `+ - ! ( ) ^ [ ] { } ~ * ? \\ /` in it must be quoted, or each of them escaped with a backslash",
            ),
            _ => None,
        };
        let found = found.map_or_else(|| "the end".to_owned(), |c| format!("`{c}`"));
        let message = match expected {
            [] => format!("{found} was not expected"),
            expected => format!("expected {}, found {found}", expected.join(" or ")),
        };
        Self { code: "LUC001", message, help, at }
    }

    pub(super) fn too_long(text: &str) -> Self {
        let message = format!("query of {} bytes is longer than {}", text.len(), limits::QUERY_BYTES);
        Self { code: "LUC003", message, help: Some("split the rule, or use an exception list"), at: 0 }
    }

    pub(super) fn too_deep(at: usize) -> Self {
        let message = format!("brackets are nested deeper than {}", limits::QUERY_NESTING);
        Self { code: "LUC002", message, help: Some("remove brackets that change nothing"), at }
    }

    pub(super) fn too_complex(at: usize) -> Self {
        let message = "query takes too much work to read".to_owned();
        Self { code: "LUC004", message, help: Some("split the query"), at }
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
        let found = Diagnostic::error(self.code, &self.message).at(text, Span::new(self.at, end));
        match self.help {
            Some(help) => found.with_help(help),
            None => found,
        }
    }
}
