//! The definition of a rule, as its file says it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::parameters::Parameters;

pub use super::kind::{
    Cardinality, EqlParams, EsqlParams, Language, MachineLearningParams, MissingFields, NewTermsParams,
    QueryParams, RuleKind, SavedQueryParams, Suppression, ThreatMapping, ThreatMatchParams, ThresholdParams,
};

/// A detection rule. Definition only: whether it ran, and how, is state of the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The saved-object id a Kibana export carries (`id`); see [`Rule::object_id`].
    pub id: Option<Arc<str>>,
    /// The rule's stable signature id.
    pub rule_id: Arc<str>,
    /// Name shown to people.
    pub name: String,
    /// What it detects.
    pub description: String,
    /// Whether it runs. Files that do not say are enabled.
    pub enabled: bool,
    /// How bad a match is.
    pub severity: Severity,
    /// 0 to 100.
    pub risk_score: f64,
    /// What it searches for, by rule type.
    pub kind: RuleKind,
    /// Index patterns; `None`: Kibana's default list.
    pub index: Option<Vec<String>>,
    /// Kibana data view, where one is named.
    pub data_view_id: Option<String>,
    /// When it runs.
    pub schedule: Schedule,
    /// Start of the window, date math.
    pub from: String,
    /// End of the window, date math.
    pub to: String,
    /// Alerts an execution may write.
    pub max_signals: u32,
    /// Field whose time decides whether an event lies in the window, instead of `@timestamp`.
    pub timestamp_override: Option<String>,
    /// Do not fall back to `@timestamp` where the override is missing.
    pub timestamp_override_fallback_disabled: bool,
    /// Field whose value becomes the alert's rule name.
    pub rule_name_override: Option<String>,
    /// Field values that change the severity.
    pub severity_mapping: Vec<SeverityMapping>,
    /// Fields that change the risk score.
    pub risk_score_mapping: Vec<RiskScoreMapping>,
    /// Alerts of this rule are building blocks.
    pub building_block: bool,
    /// Free labels.
    pub tags: Vec<String>,
    /// Its licence.
    pub license: Option<String>,
    /// Version its author gave it.
    pub version: u32,
    /// Fields the investigation should look at first.
    pub investigation_fields: Vec<String>,
    /// Kibana filter objects.
    pub filters: Vec<Value>,
    /// Exception lists it refers to, as given.
    pub exceptions_list: Vec<Value>,
    /// Which of its alerts are folded into one.
    pub alert_suppression: Option<Suppression>,
    /// Every field of the rule in Kibana's `snake_case` form, unknown ones included: what
    /// `kibana.alert.rule.parameters` and exports are made of. What is for people alone ([`Rule::note`],
    /// [`Rule::threat`] and their like) is read from it when it is asked for.
    pub parameters: Parameters,
    /// What a TOML file has beside `[rule]`: `[metadata]`, `[transform]` and unknown tables.
    pub tables: Parameters,
    /// Where it was read.
    pub origin: Origin,
}

/// Index patterns of a rule that names none: Kibana's default (`securitySolution:defaultIndex`).
pub const DEFAULT_INDEX: [&str; 9] = [
    "apm-*-transaction*",
    "auditbeat-*",
    "endgame-*",
    "filebeat-*",
    "logs-*",
    "packetbeat-*",
    "traces-apm*",
    "winlogbeat-*",
    "-*elastic-cloud-logs-*",
];

/// When a rule runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// Every so many milliseconds.
    Every {
        /// Length of the interval, milliseconds.
        interval_ms: i64,
        /// As written (`5m`).
        text: String,
    },
    /// At the times of a cron expression (an extension: Kibana has intervals only).
    Cron {
        /// The expression.
        expression: String,
        /// IANA time zone, UTC when absent.
        timezone: Option<String>,
    },
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// 0–21.
    Low,
    /// 22–47.
    Medium,
    /// 48–73.
    High,
    /// 74–100.
    Critical,
}

impl Severity {
    /// Its name as Elastic writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Changes the severity where `field` has `value`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeverityMapping {
    /// Field looked at.
    pub field: String,
    /// Value it must have.
    pub value: String,
    /// Severity then.
    pub severity: Severity,
}

/// Changes the risk score: to `risk_score`, or to the field's own number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RiskScoreMapping {
    /// Field looked at.
    pub field: String,
    /// Value it must have; empty: any.
    pub value: String,
    /// Score then; `None`: the field's number.
    pub risk_score: Option<f64>,
}

/// One ATT&CK tactic with its techniques.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threat {
    /// `MITRE ATT&CK`.
    pub framework: String,
    /// The tactic.
    pub tactic: ThreatRef,
    /// Its techniques.
    #[serde(default)]
    pub technique: Vec<Technique>,
}

/// An entry of a threat framework.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThreatRef {
    /// `TA0005`.
    pub id: String,
    /// `Defense Evasion`.
    pub name: String,
    /// Link.
    pub reference: String,
}

/// A technique with its sub-techniques.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Technique {
    /// Id, name, link.
    #[serde(flatten)]
    pub entry: ThreatRef,
    /// Sub-techniques.
    #[serde(default)]
    pub subtechnique: Vec<ThreatRef>,
}

/// Where a rule was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// File.
    pub path: PathBuf,
    /// One-based line the rule starts at (NDJSON files hold several).
    pub line: usize,
    /// SHA-256 of the rule's text, hex.
    pub hash: String,
}

/// Namespace of the `UUIDv5` that stands in for a saved-object id.
const OBJECT_NAMESPACE: uuid::Uuid = uuid::Uuid::from_u128(0x6f0d_5c1e_8f53_5b0a_9d53_3f6f_2f6b_7a11);

impl Rule {
    /// The rule's part of alert ids: the export's `id`, else `UUIDv5` of space and `rule_id`; never
    /// random, so that any runner gives the same.
    pub fn object_id(&self, space: &str) -> Arc<str> {
        match &self.id {
            Some(id) => Arc::clone(id),
            None => {
                let name = format!("{space}:{}", self.rule_id);
                Arc::from(uuid::Uuid::new_v5(&OBJECT_NAMESPACE, name.as_bytes()).to_string())
            }
        }
    }

    /// The index patterns it searches: its own, else [`DEFAULT_INDEX`].
    pub fn index_patterns(&self) -> Vec<String> {
        self.index
            .clone()
            .unwrap_or_else(|| DEFAULT_INDEX.iter().map(|pattern| (*pattern).to_owned()).collect())
    }

    /// Investigation guide, Markdown.
    pub fn note(&self) -> Option<String> {
        self.parameters.string("note").filter(|text| !text.trim().is_empty())
    }

    /// Setup guide, Markdown.
    pub fn setup(&self) -> Option<String> {
        self.parameters.string("setup").filter(|text| !text.trim().is_empty())
    }

    /// ATT&CK.
    pub fn threat(&self) -> Vec<Threat> {
        self.part("threat")
    }

    /// Links.
    pub fn references(&self) -> Vec<String> {
        self.part("references")
    }

    /// Known false positives.
    pub fn false_positives(&self) -> Vec<String> {
        self.part("false_positives")
    }

    /// Who wrote it.
    pub fn author(&self) -> Vec<String> {
        self.part("author")
    }

    /// A field that loading has found to be in order, or its default.
    fn part<T: Default + DeserializeOwned>(&self, key: &str) -> T {
        self.parameters.get(key).and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
    }

    /// The rule's `type` as Elastic writes it.
    pub fn rule_type(&self) -> &'static str {
        self.kind.rule_type()
    }
}
