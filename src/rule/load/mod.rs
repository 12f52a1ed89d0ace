//! From rule files to [`Rule`]s.
//!
//! What it is: readers for Elastic's TOML and Kibana's NDJSON, one set of checks for both, places
//! in the file for everything that is said about it.
//! What it is not: a judge of what a rule detects; that is [`crate::rule::check`].
//! Invariant: reading is pure and total: any bytes give rules and diagnostics, never a panic; only
//! [`files`] touches the disk.

pub mod files;
pub mod ndjson;
pub mod toml;

mod build;
mod cron;
mod fields;
mod json_place;
mod kind;
pub(super) mod known;
mod place;
mod schedule;
mod threat;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::diagnostic::Diagnostic;

use super::compiled::CompiledPlan;
use super::model::{Origin, Rule};
use super::parameters::Parameters;

pub(super) use place::{Places, Step};

/// What one file holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadedFile {
    /// The heads of all its rules, broken ones too.
    pub heads: Vec<RuleHead>,
    /// Its rules that are whole.
    pub rules: Vec<LoadedRule>,
    /// Other objects of an export.
    pub objects: Vec<ExportObject>,
    /// What is to be said about it.
    pub diagnostics: Vec<Diagnostic>,
}

/// A rule with what it searches for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadedRule {
    /// The rule.
    pub rule: Arc<Rule>,
    /// What it searches for; `None` when this version does not run it.
    pub plan: Option<CompiledPlan>,
}

/// An object of a Kibana export that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportObject {
    /// What it is.
    pub kind: ExportKind,
    /// One-based line in the file.
    pub line: usize,
    /// The object.
    pub object: Parameters,
}

/// The kinds of [`ExportObject`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportKind {
    /// An exception list.
    ExceptionList,
    /// An item of an exception list.
    ExceptionItem,
    /// The counts at the end of an export.
    Summary,
    /// A connector.
    Connector,
}

/// Hands the places of a rule in its file's text to `f`; `None` when the rule is not there.
pub(super) fn with_places<R>(origin: &Origin, text: &str, f: impl FnOnce(&dyn Places) -> R) -> Option<R> {
    if files::Format::of(&origin.path) == Some(files::Format::Toml) {
        return toml::with_places(text, f);
    }
    let line = text.lines().nth(origin.line.checked_sub(1)?)?;
    Some(f(&json_place::JsonPlaces { text: line, lines_before: origin.line - 1 }))
}

/// What a rule calls itself, also when it is broken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHead {
    /// `rule_id`.
    pub rule_id: Option<String>,
    /// `name`.
    pub name: Option<String>,
    /// `type`.
    pub rule_type: Option<String>,
    /// `language`.
    pub language: Option<String>,
    /// One-based line it starts at.
    pub line: usize,
    /// One-based line of its `rule_id`.
    pub id_line: usize,
    /// One-based column of its `rule_id`.
    pub id_column: usize,
}

/// Bytes as lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
