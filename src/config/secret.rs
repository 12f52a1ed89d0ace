//! Secrets by reference: `{ env = "X" }`, `{ file = "…" }`, `{ command = […] }`.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize, Serializer};

/// Longest secret that is read, bytes.
const LONGEST: u64 = 64 * 1024;

/// Where a secret is. Printing it never shows the secret.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum SecretRef {
    /// In the file itself: accepted with a warning.
    Literal(String),
    /// Elsewhere.
    Reference(Reference),
}

/// Where a secret is, outside of the file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Reference {
    /// An environment variable.
    Env(String),
    /// A file; a line break at its end does not belong to the secret.
    File(PathBuf),
    /// A program and its arguments; what it prints is the secret, without a line break at its end.
    Command(Vec<String>),
}

/// A resolved secret. Printing it never shows it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the one who sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("redacted"),
            Self::Reference(Reference::Env(name)) => write!(f, "{{ env = {name:?} }}"),
            Self::Reference(Reference::File(path)) => {
                write!(f, "{{ file = {:?} }}", path.display().to_string())
            }
            // Arguments may hold secrets of their own.
            Self::Reference(Reference::Command(words)) => {
                write!(f, "{{ command = [{:?}, …] }}", words.first().map_or("", String::as_str))
            }
        }
    }
}

impl Serialize for SecretRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a secret could not be had. Never holds the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("environment variable `{0}` is not set or not UTF-8")]
    Env(String),
    /// The file could not be read.
    #[error("cannot read secret file `{}`: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The program failed.
    #[error("secret command `{program}` failed: {reason}")]
    Command {
        /// The program.
        program: String,
        /// What happened.
        reason: String,
    },
    /// Nothing there.
    #[error("the secret is empty")]
    Empty,
}

impl SecretRef {
    /// A reference to an environment variable.
    pub fn env(name: &str) -> Self {
        Self::Reference(Reference::Env(name.to_owned()))
    }

    /// Fetches the secret.
    ///
    /// # Errors
    /// Where it is not, or why it cannot be read.
    pub fn resolve(&self) -> Result<Secret, SecretError> {
        let text = match self {
            Self::Literal(text) => text.clone(),
            Self::Reference(Reference::Env(name)) => std::env::var_os(name)
                .and_then(|value| value.into_string().ok())
                .ok_or_else(|| SecretError::Env(name.clone()))?,
            Self::Reference(Reference::File(path)) => {
                let failed = |reason: String| SecretError::File { path: path.clone(), reason };
                let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
                bounded(file).map_err(failed)?
            }
            Self::Reference(Reference::Command(words)) => run(words)?,
        };
        let text =
            text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() { Err(SecretError::Empty) } else { Ok(Secret(text.to_owned())) }
    }
}

fn bounded(reader: impl Read) -> Result<String, String> {
    let mut text = String::new();
    reader.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST { Err(format!("longer than {LONGEST} bytes")) } else { Ok(text) }
}

fn run(words: &[String]) -> Result<String, SecretError> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| SecretError::Command { program: String::new(), reason: "no program named".into() })?;
    let failed = |reason: String| SecretError::Command { program: program.clone(), reason };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let text = match child.stdout.take() {
        Some(stdout) => bounded(stdout),
        None => Err("no output".to_owned()),
    };
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    text.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_print() {
        let literal: SecretRef = serde_json::from_str("\"hunter2\"").unwrap();
        assert!(!format!("{literal:?} {literal}").contains("hunter2"));
        assert!(!serde_json::to_string(&literal).unwrap().contains("hunter2"));
        assert!(!format!("{:?}", literal.resolve().unwrap()).contains("hunter2"));
        assert_eq!(literal.resolve().unwrap().expose(), "hunter2");
    }

    #[test]
    fn references_resolve_or_say_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "abc\n").unwrap();
        let file = SecretRef::Reference(Reference::File(path));
        assert_eq!(file.resolve().unwrap().expose(), "abc");
        let command: SecretRef = serde_json::from_str(r#"{"command":["echo","xyz"]}"#).unwrap();
        assert_eq!(command.resolve().unwrap().expose(), "xyz");
        let missing: SecretRef = serde_json::from_str(r#"{"env":"TOCSIN_TEST_NOT_THERE"}"#).unwrap();
        assert!(missing.resolve().unwrap_err().to_string().contains("TOCSIN_TEST_NOT_THERE"));
        let failing: SecretRef = serde_json::from_str(r#"{"command":["false"]}"#).unwrap();
        assert!(failing.resolve().is_err());
    }
}
