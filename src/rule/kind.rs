//! What a rule searches for, by rule type.

use serde::{Deserialize, Serialize};

/// What a rule searches for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RuleKind {
    /// A query, each hit an alert.
    Query(QueryParams),
    /// A query kept elsewhere under an id; the rule carries a copy of it.
    SavedQuery(SavedQueryParams),
    /// Event correlation: single events, or sequences of them.
    Eql(EqlParams),
    /// ES|QL.
    Esql(EsqlParams),
    /// As many events as a threshold, with equal values of some fields.
    Threshold(ThresholdParams),
    /// Values of some fields that were not seen before.
    NewTerms(NewTermsParams),
    /// Events that share values with indicators.
    ThreatMatch(ThreatMatchParams),
    /// Anomalies that a machine learning job recorded.
    MachineLearning(MachineLearningParams),
}

impl RuleKind {
    /// The rule's `type` as Elastic writes it.
    pub fn rule_type(&self) -> &'static str {
        match self {
            Self::Query(_) => "query",
            Self::SavedQuery(_) => "saved_query",
            Self::Eql(_) => "eql",
            Self::Esql(_) => "esql",
            Self::Threshold(_) => "threshold",
            Self::NewTerms(_) => "new_terms",
            Self::ThreatMatch(_) => "threat_match",
            Self::MachineLearning(_) => "machine_learning",
        }
    }

    /// The text of its query, where it has one.
    pub fn query(&self) -> Option<&str> {
        match self {
            Self::Eql(params) => Some(&params.query),
            Self::Esql(params) => Some(&params.query),
            _ => self.events().map(|query| query.query.as_str()),
        }
    }

    /// The query for events, of types that have one in KQL or Lucene.
    pub fn events(&self) -> Option<&QueryParams> {
        match self {
            Self::Query(query) => Some(query),
            Self::SavedQuery(params) => Some(&params.query),
            Self::Threshold(params) => Some(&params.query),
            Self::NewTerms(params) => Some(&params.query),
            Self::ThreatMatch(params) => Some(&params.query),
            Self::Eql(_) | Self::Esql(_) | Self::MachineLearning(_) => None,
        }
    }

    /// The language of its query as Elastic writes it.
    pub fn language(&self) -> Option<&'static str> {
        match self {
            Self::Eql(_) => Some("eql"),
            Self::Esql(_) => Some("esql"),
            _ => self.events().map(|query| query.language.as_str()),
        }
    }
}

/// A query in KQL or Lucene.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryParams {
    /// Query text; empty matches everything.
    pub query: String,
    /// `kuery` or `lucene`.
    pub language: Language,
}

/// Query language of [`QueryParams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// KQL.
    Kuery,
    /// Lucene query string.
    Lucene,
}

impl Language {
    /// Its name as Elastic writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kuery => "kuery",
            Self::Lucene => "lucene",
        }
    }
}

/// Parameters of a `saved_query` rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedQueryParams {
    /// Kibana's id of the saved query.
    pub saved_id: String,
    /// The rule's own copy: what runs, as saved queries live in Kibana alone.
    pub query: QueryParams,
}

/// Parameters of an `eql` rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EqlParams {
    /// Query text.
    pub query: String,
    /// Field that holds the event's category, instead of `event.category`.
    pub event_category_override: Option<String>,
    /// Field that orders events of equal time.
    pub tiebreaker_field: Option<String>,
    /// Field that sequences are ordered by, instead of `@timestamp`.
    pub timestamp_field: Option<String>,
}

/// Parameters of an `esql` rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EsqlParams {
    /// Query text.
    pub query: String,
}

/// Parameters of a `threshold` rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThresholdParams {
    /// Which events count.
    pub query: QueryParams,
    /// Fields whose values events are grouped by, 0 to 5; none: all events are one group.
    pub fields: Vec<String>,
    /// How many events a group needs, at least 1.
    pub value: u64,
    /// How many distinct values of a field it needs besides.
    pub cardinality: Option<Cardinality>,
}

/// A least number of distinct values of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cardinality {
    /// The field.
    pub field: String,
    /// The number.
    pub value: u64,
}

/// Parameters of a `new_terms` rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTermsParams {
    /// Which events are looked at.
    pub query: QueryParams,
    /// Fields whose values together make a term, 1 to 3.
    pub fields: Vec<String>,
    /// Since when a term must not have been seen, date math, as in `now-10d`.
    pub history_start: String,
}

/// Parameters of a `threat_match` rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreatMatchParams {
    /// Which events are looked at.
    pub query: QueryParams,
    /// Index patterns of the indicators.
    pub threat_index: Vec<String>,
    /// Which indicators count.
    pub threat_query: QueryParams,
    /// Kibana filter objects on indicators.
    pub threat_filters: Vec<serde_json::Value>,
    /// What must be equal: some group of entries, in it all entries.
    pub mapping: Vec<Vec<ThreatMapping>>,
    /// Object of an indicator's document that the alert is enriched with.
    pub indicator_path: String,
}

/// An event's field that must (or, negated, must not) equal an indicator's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreatMapping {
    /// Field of the event.
    pub field: String,
    /// Field of the indicator.
    pub value: String,
    /// Whether they must not be equal.
    pub negate: bool,
}

/// Parameters of a `machine_learning` rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineLearningParams {
    /// Least score of an anomaly, 0 to 100.
    pub anomaly_threshold: u32,
    /// Ids of the jobs that record anomalies.
    pub jobs: Vec<String>,
}

/// Which alerts are folded into one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// Fields whose values alerts of a group share, 1 to 5; none on threshold rules, which group by
    /// their own fields.
    pub group_by: Vec<String>,
    /// For how long a group stays one alert, milliseconds; `None`: within one execution.
    pub duration_ms: Option<i64>,
    /// What becomes of events without one of the fields.
    pub missing: MissingFields,
}

/// What suppression does with events that lack a field of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissingFields {
    /// They form a group of their own.
    #[default]
    Suppress,
    /// Each is an alert.
    DoNotSuppress,
}
