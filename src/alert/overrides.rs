//! What an event changes of its rule: severity, risk score, name.

use serde_json::Value;

use super::lookup::texts;
use crate::rule::model::{Rule, Severity};

/// Severity, risk score and name of an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Overrides {
    /// Severity.
    pub severity: Severity,
    /// The field that changed the severity.
    pub severity_field: Option<String>,
    /// Risk score.
    pub risk_score: f64,
    /// Whether an event's field changed the risk score.
    pub risk_score_overridden: bool,
    /// Name.
    pub name: String,
    /// Whether an event's field changed the name.
    pub name_overridden: bool,
}

impl Overrides {
    /// What the rule itself says.
    pub fn none(rule: &Rule) -> Self {
        Self {
            severity: rule.severity,
            severity_field: None,
            risk_score: rule.risk_score,
            risk_score_overridden: false,
            name: rule.name.clone(),
            name_overridden: false,
        }
    }
}

/// What holds for an alert of `rule` on `event`. The highest matching severity wins; risk scores
/// outside 0 to 100 are no risk scores.
pub fn overrides(rule: &Rule, event: &Value) -> Overrides {
    let severity = rule
        .severity_mapping
        .iter()
        .filter(|mapping| texts(event, &mapping.field).contains(&mapping.value))
        .max_by_key(|mapping| mapping.severity);
    let risk_score = rule.risk_score_mapping.iter().find_map(|mapping| {
        let values = texts(event, &mapping.field);
        if !mapping.value.is_empty() && !values.contains(&mapping.value) {
            return None;
        }
        match mapping.risk_score {
            Some(score) if !values.is_empty() => Some(score),
            _ => values
                .iter()
                .filter_map(|value| value.trim().parse::<f64>().ok())
                .filter(|score| (0.0..=100.0).contains(score))
                .max_by(f64::total_cmp),
        }
    });
    let name = rule
        .rule_name_override
        .as_deref()
        .and_then(|field| texts(event, field).into_iter().next())
        .filter(|name| !name.is_empty());
    Overrides {
        severity: severity.map_or(rule.severity, |mapping| mapping.severity),
        severity_field: severity.map(|mapping| mapping.field.clone()),
        risk_score: risk_score.unwrap_or(rule.risk_score),
        risk_score_overridden: risk_score.is_some(),
        name_overridden: name.is_some(),
        name: name.unwrap_or_else(|| rule.name.clone()),
    }
}
