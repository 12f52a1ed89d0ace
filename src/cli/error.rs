//! Why a command could not do its work: always exit code 2.

use std::io;
use std::path::PathBuf;

use crate::base::diagnostic::Diagnostic;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments make no sense together.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// Findings about a text the user gave: a query, a rule, the configuration.
    #[error("{}", summary(.0))]
    Text(Vec<Finding>),
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried (`read`, `create` …).
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Results could not be written to stdout.
    #[error("cannot write results: {0}")]
    Output(io::Error),
    /// Anything else that failed.
    #[error("{message}")]
    Failed {
        /// What failed and why.
        message: String,
        /// What to do.
        help: Option<String>,
    },
}

/// A diagnostic with the text it is about, so that the place can be shown.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What is said.
    pub diagnostic: Diagnostic,
    /// The text its span lies in; `None`: the file it names is read when it is shown.
    pub text: Option<String>,
}

impl Finding {
    /// A finding about `text`, which has no file (a query on the command line).
    pub fn in_text(diagnostic: Diagnostic, text: impl Into<String>) -> Self {
        Self { diagnostic, text: Some(text.into()) }
    }
}

impl From<Diagnostic> for Finding {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { diagnostic, text: None }
    }
}

fn summary(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.diagnostic.to_string()).collect::<Vec<_>>().join("; ")
}

impl CliError {
    /// The arguments make no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), help: None }
    }

    /// Something failed, in the words of `error`.
    pub fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed { message: error.to_string(), help: None }
    }

    /// A file or folder could not be used: `action` is a verb (`read`).
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }

    /// A finding about a text that has no file.
    pub fn text(diagnostic: Diagnostic, text: impl Into<String>) -> Self {
        Self::Text(vec![Finding::in_text(diagnostic, text)])
    }

    /// Adds advice where there is none.
    #[must_use]
    pub fn with_help(mut self, advice: impl Into<String>) -> Self {
        if let Self::Usage { help, .. } | Self::Failed { help, .. } = &mut self {
            help.get_or_insert_with(|| advice.into());
        }
        self
    }

    /// Advice, when there is some.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Usage { help, .. } | Self::Failed { help, .. } => help.as_deref(),
            _ => None,
        }
    }

    /// Whether the reader of stdout went away (`tocsin … | head`): nothing to complain about.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Errors of writing results; use [`CliError::io`] for files.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Findings about files, whose texts are read when shown.
impl From<Diagnostic> for CliError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Text(vec![diagnostic.into()])
    }
}

/// A record that cannot be serialised (never the reader's fault), or a closed pipe below it.
impl From<serde_json::Error> for CliError {
    fn from(error: serde_json::Error) -> Self {
        Self::Output(error.into())
    }
}

/// Errors of the layers below, in their own words.
macro_rules! failures {
    ($($kind:ty),* $(,)?) => {$(
        impl From<$kind> for CliError {
            fn from(error: $kind) -> Self {
                Self::failed(error)
            }
        }
    )*};
}
failures!(
    crate::app::AppError,
    crate::backend::BackendError,
    crate::store::StoreError,
    crate::store::batch::ReadError,
    crate::store::state::StateError,
);
