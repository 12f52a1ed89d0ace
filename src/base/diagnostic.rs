//! What tocsin says about a user's text (query, rule file, configuration): always with a place,
//! always collected, never only the first.

use std::fmt;
use std::path::PathBuf;

use super::span::{Span, line_column};

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Works, but probably not as meant.
    Warning,
    /// Does not work.
    Error,
}

/// One finding about a user's text.
///
/// `code` is stable (`KQL001`, `RULE003`, `CONF002` …). `message` is lower case without a full
/// stop and names the user's words in backticks; advice belongs in `help`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Diagnostic {
    /// Stable identifier of the kind of finding.
    pub code: String,
    /// How bad it is.
    pub level: Level,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The file it is about.
    pub path: Option<PathBuf>,
    /// One-based line in the file (or query), when known.
    pub line: Option<usize>,
    /// One-based column in characters, when known.
    pub column: Option<usize>,
    /// Byte range in the text that `line` and `column` were computed from.
    pub span: Option<Span>,
}

impl Diagnostic {
    /// An error without a place.
    pub fn error(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Level::Error, code, message)
    }

    /// A warning without a place.
    pub fn warning(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Level::Warning, code, message)
    }

    /// A finding of the given level without a place.
    pub fn new(level: Level, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            level,
            message: message.into(),
            help: None,
            path: None,
            line: None,
            column: None,
            span: None,
        }
    }

    /// Adds advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the file.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Adds the place: `span` in `text`, from which line and column follow.
    #[must_use]
    pub fn at(mut self, text: &str, span: Span) -> Self {
        let (line, column) = line_column(text, span.start);
        self.line = Some(line);
        self.column = Some(column);
        self.span = Some(span);
        self
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}:", path.display())?;
        }
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}:")?;
        }
        if self.path.is_some() || self.line.is_some() {
            write!(f, " ")?;
        }
        write!(f, "{} [{}]", self.message, self.code)?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}
