//! Which alerts a `when` means.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::hours::Hours;
use crate::alert::lookup::texts;
use crate::config::WhenConfig;
use crate::ecs::flat::FlatDoc;
use crate::ecs::mapping::Mapping;
use crate::query::eval::Matcher;
use crate::query::lang::kql;
use crate::rule::model::Severity;

/// A `when`, ready to look at alerts; the default takes all.
#[derive(Debug, Clone, Default)]
pub struct When {
    severity: Vec<String>,
    rule: Vec<String>,
    tag: Vec<String>,
    field: Vec<(String, Vec<String>)>,
    query: Option<Arc<Matcher>>,
    hours: Option<Hours>,
}

impl When {
    /// From the configuration; an error names the key below `when` and says what is wrong.
    ///
    /// # Errors
    /// When a severity, the query or a time cannot be read.
    pub fn new(config: &WhenConfig) -> Result<Self, (String, String)> {
        let severities =
            [Severity::Low, Severity::Medium, Severity::High, Severity::Critical].map(Severity::as_str);
        if let Some(wrong) = config.severity.iter().find(|severity| !severities.contains(&severity.as_str()))
        {
            let known = severities.join("`, `");
            return Err(("severity".to_owned(), format!("`{wrong}` is none of `{known}`")));
        }
        let query = match &config.query {
            None => None,
            Some(text) => {
                let filter = kql::parse_filter(text).map_err(|error| ("query".to_owned(), error.message))?;
                let matcher = Matcher::compile(&filter, &Mapping::ecs(), DateTime::<Utc>::UNIX_EPOCH);
                Some(Arc::new(matcher))
            }
        };
        let hours = config.time.as_ref().map(Hours::new).transpose();
        Ok(Self {
            severity: config.severity.clone(),
            rule: config.rule.clone(),
            tag: config.tag.clone(),
            field: config.field.iter().map(|(name, values)| (name.clone(), values.all().to_vec())).collect(),
            query,
            hours: hours.map_err(|(name, error)| (format!("time.{name}"), error))?,
        })
    }

    /// Whether it takes an alert that was made at `at`.
    pub fn takes(&self, alert: &Value, at: DateTime<Utc>) -> bool {
        let any = |wanted: &[String], fields: &[&str]| {
            wanted.is_empty()
                || fields
                    .iter()
                    .flat_map(|field| texts(alert, field))
                    .any(|value| wanted.iter().any(|pattern| glob(pattern, &value)))
        };
        any(&self.severity, &["kibana.alert.severity"])
            && any(
                &self.rule,
                &["kibana.alert.rule.rule_id", "kibana.alert.rule.uuid", "kibana.alert.rule.name"],
            )
            && any(&self.tag, &["kibana.alert.rule.tags"])
            && self.field.iter().all(|(field, values)| any(values, &[field]))
            && self.hours.as_ref().is_none_or(|hours| hours.contain(at))
            && self.query.as_ref().is_none_or(|query| query.matches(&FlatDoc::from_value(alert), Some(alert)))
    }
}

/// Whether `text` is `pattern`, in which `*` stands for anything.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    if !pattern.contains('*') {
        return rest.is_empty();
    }
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    let mut rest = rest;
    for part in middle {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, matches) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b*d", "abcd", true),
            ("*b*d", "abc", false),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn everything_named_must_hold() {
        let when = |text: &str| When::new(&serde_json::from_str::<WhenConfig>(text).unwrap());
        let alert = json!({
            "kibana.alert.severity": "high", "kibana.alert.rule.name": "Root login",
            "kibana.alert.rule.tags": ["Domain: Cloud"], "cloud": {"account": {"id": "1111"}},
        });
        let at = DateTime::parse_from_rfc3339("2026-11-02T12:00:00Z").unwrap().to_utc();
        for (text, takes) in [
            ("{}", true),
            (r#"{"severity": ["low", "high"]}"#, true),
            (r#"{"severity": ["low"]}"#, false),
            (r#"{"rule": ["Root*"], "tag": ["Domain: *"]}"#, true),
            (r#"{"field": {"cloud.account.id": ["1111", "2222"]}}"#, true),
            (r#"{"field": {"cloud.account.id": "2222"}}"#, false),
            (r#"{"query": "cloud.account.id: 1111 and not user.name: *"}"#, true),
            (r#"{"query": "kibana.alert.rule.name: \"Root login\""}"#, true),
            (r#"{"query": "user.name: *"}"#, false),
            (r#"{"time": {"from": "08:00", "to": "18:00"}}"#, true),
            (r#"{"time": {"from": "18:00", "to": "08:00"}}"#, false),
        ] {
            assert_eq!(when(text).unwrap().takes(&alert, at), takes, "{text}");
        }
        assert_eq!(when(r#"{"severity": ["severe"]}"#).unwrap_err().0, "severity");
        assert_eq!(when(r#"{"query": "a: ("}"#).unwrap_err().0, "query");
        assert_eq!(when(r#"{"time": {"from": "noon"}}"#).unwrap_err().0, "time.from");
    }
}
