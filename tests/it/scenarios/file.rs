//! What a scenario file says.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A scenario: documents, a rule, what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// What holds.
    pub(super) title: String,
    /// Indices with what is in them from the start.
    #[serde(default)]
    pub(super) index: Vec<IndexPart>,
    /// The rule as a rule file has it; what every rule needs may be left out.
    pub(super) rule: toml::Table,
    /// A rule that runs before it at each slot.
    pub(super) before: Option<toml::Table>,
    /// Items of an exception list that the rule refers to.
    #[serde(default)]
    pub(super) exception: Vec<toml::Table>,
    /// Value lists by id, as the text of their file.
    #[serde(default)]
    pub(super) lists: BTreeMap<String, String>,
    /// The executions, one after the other.
    pub(super) run: Vec<Run>,
    /// What is different, by backend.
    #[serde(default)]
    pub(super) differs: BTreeMap<String, Differs>,
}

/// An index.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexPart {
    pub(super) name: String,
    /// Its mapping as JSON; else that of `mapping.json` beside the scenarios.
    pub(super) mapping: Option<String>,
    #[serde(default)]
    pub(super) documents: String,
    #[serde(default)]
    pub(super) many: Vec<Many>,
}

/// Documents that differ in a number: `{n}`, counted from 0.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Many {
    pub(super) times: usize,
    pub(super) document: String,
}

/// One execution and what must come of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    /// The slot; noon of 2026-11-01 unless it says so.
    pub(super) at: Option<String>,
    /// Documents that arrive before it, by index.
    #[serde(default)]
    pub(super) arrive: BTreeMap<String, String>,
    /// Whether all alerts are closed before it.
    #[serde(default)]
    pub(super) close: bool,
    #[serde(default = "succeeded")]
    pub(super) status: String,
    /// What is shown of each alert: fields, or `events` for the ids of the events it is made of.
    #[serde(default = "events")]
    pub(super) show: Vec<String>,
    /// All alerts that there are afterwards, in any order: a row of what is shown, or the one value.
    pub(super) alerts: Option<Vec<Value>>,
    /// How many there are, where they are too many to name.
    pub(super) count: Option<usize>,
    pub(super) candidates: Option<u64>,
    pub(super) duplicates: Option<u64>,
    pub(super) suppressed: Option<u64>,
    pub(super) excepted: Option<u64>,
    pub(super) capped: Option<u64>,
    /// A part of each warning, in order.
    #[serde(default)]
    pub(super) warnings: Vec<String>,
    /// A part of the error.
    pub(super) error: Option<String>,
}

/// What is different on a backend.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Differs {
    /// Why.
    pub(super) reason: String,
    /// What comes of the executions there; none: the scenario cannot be shown there.
    pub(super) run: Option<Vec<Run>>,
}

fn succeeded() -> String {
    "succeeded".to_owned()
}

fn events() -> Vec<String> {
    vec!["events".to_owned()]
}

/// A document of a scenario.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) id: String,
    pub(super) source: Value,
}

/// Documents, one a line.
pub(super) fn documents(lines: &str) -> Vec<Document> {
    let document = |line: &str| {
        let mut source: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let id = source.as_object_mut().and_then(|fields| fields.remove("_id"));
        let id = id.and_then(|id| id.as_str().map(str::to_owned));
        Document { id: id.unwrap_or_else(|| panic!("a document without `_id`: {line}")), source }
    };
    lines.lines().filter(|line| !line.trim().is_empty()).map(document).collect()
}

impl IndexPart {
    /// All documents that it has from the start.
    pub(super) fn all(&self) -> Vec<Document> {
        let many = self.many.iter().flat_map(|many| {
            (0..many.times).flat_map(|n| documents(&many.document.replace("{n}", &format!("{n:05}"))))
        });
        documents(&self.documents).into_iter().chain(many).collect()
    }
}

impl Scenario {
    /// What is different on a backend, by its name or its group (`nodes`: all clusters).
    pub(super) fn differs(&self, backend: &str, is_node: bool) -> Option<&Differs> {
        self.differs.get(backend).or_else(|| self.differs.get("nodes").filter(|_| is_node))
    }
}
