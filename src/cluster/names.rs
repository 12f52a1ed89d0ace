//! Names of the indices that tocsin keeps on a cluster, and the three ways to keep alerts there.

use serde_json::{Map, Value, json};

use crate::alert::lookup::lookup;

/// How alerts are kept on a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// In an index of tocsin's own, behind a write alias.
    #[default]
    Own,
    /// In Kibana's `.alerts-security.alerts-<space>`, so that they show on its Alerts page.
    Kibana,
    /// As `event.kind: alert` documents that Kibana's external-alerts rule promotes.
    External,
}

/// The alert index of one space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertIndex {
    /// How alerts are kept.
    pub mode: Mode,
    /// The alias (or data stream) that is written to and searched.
    pub name: String,
    /// Kibana space.
    pub space: String,
}

impl AlertIndex {
    /// The index that the configuration's `alerts.index` means; `{space}` stands for the space.
    /// Kibana's own index has a fixed name.
    pub fn new(mode: Mode, pattern: &str, space: &str) -> Self {
        let name = match mode {
            Mode::Kibana => format!(".alerts-security.alerts-{space}"),
            Mode::Own | Mode::External => pattern.replace("{space}", space),
        };
        Self { mode, name, space: space.to_owned() }
    }

    /// Why the name cannot be used; `None`: it can.
    pub fn wrong(&self) -> Option<String> {
        let name = &self.name;
        let reserved = [".alerts-", ".internal.alerts-"].iter().any(|start| name.starts_with(start));
        if reserved && self.mode != Mode::Kibana {
            return Some(format!(
                "`{name}` belongs to Kibana, which manages every index of that name: choose another \
                 `alerts.index`, or set `alerts.mode = \"kibana\"`"
            ));
        }
        let bad = |c: char| c.is_uppercase() || c.is_whitespace() || "\\/*?\"<>|,#:".contains(c);
        if name.is_empty() || name.len() > 200 || name.starts_with(['-', '_', '+']) || name.contains(bad) {
            return Some(format!(
                "`{name}` is no name of an index: use lower case letters, digits, `-`, `_` and `.`"
            ));
        }
        None
    }

    /// What a rule's index pattern means on this cluster: `.alerts-security*` and the older
    /// `.siem-signals*` are the alerts of this space, whatever their index is called.
    pub fn resolve(&self, pattern: &str) -> Option<&str> {
        let asks = [".alerts-security", ".siem-signals"].iter().any(|start| pattern.starts_with(start));
        (asks && self.mode != Mode::Kibana).then_some(self.name.as_str())
    }

    /// The alert as this index keeps it.
    pub fn shaped(&self, alert: Map<String, Value>) -> Map<String, Value> {
        let alert = super::gather::gathered(alert);
        match self.mode {
            Mode::Own | Mode::Kibana => alert,
            Mode::External => external(alert),
        }
    }
}

/// An alert with what Kibana's external-alerts promotion rule reads: `event.kind: alert`, the
/// rule's name for `rule_name_override`, severity and risk for its mappings, and
/// `event.ingested` for its `timestamp_override`.
fn external(mut alert: Map<String, Value>) -> Map<String, Value> {
    let source = Value::Object(alert.clone());
    let get = |name: &str| lookup(&source, name).cloned().unwrap_or(Value::Null);
    let severity = match get("kibana.alert.severity").as_str() {
        Some("critical") => 99,
        Some("high") => 73,
        Some("medium") => 47,
        _ => 21,
    };
    for (name, value) in [
        ("event.kind", json!("alert")),
        ("event.severity", json!(severity)),
        ("event.risk_score", get("kibana.alert.risk_score")),
        ("event.ingested", get("@timestamp")),
        ("message", get("kibana.alert.reason")),
        ("rule.name", get("kibana.alert.rule.name")),
        ("rule.id", get("kibana.alert.rule.rule_id")),
        ("rule.uuid", get("kibana.alert.rule.uuid")),
        ("rule.description", get("kibana.alert.rule.description")),
    ] {
        super::reduce::remove(&mut alert, name);
        if !value.is_null() {
            alert.insert(name.to_owned(), value);
        }
    }
    alert
}

/// Names of everything that tocsin keeps on a cluster for one space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Alerts.
    pub alerts: AlertIndex,
    /// The execution log: an alias.
    pub executions: String,
    /// Rule state, the backlog: an index.
    pub state: String,
}

impl Names {
    /// The names that go with an alert index.
    pub fn new(alerts: AlertIndex) -> Self {
        let space = &alerts.space;
        let (executions, state) = (format!("tocsin-executions-{space}"), format!("tocsin-state-{space}"));
        Self { alerts, executions, state }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_has_its_name_and_own_names_keep_out_of_kibanas() {
        let own = AlertIndex::new(Mode::Own, "tocsin-alerts-{space}", "soc");
        assert_eq!((own.name.as_str(), own.wrong()), ("tocsin-alerts-soc", None));
        assert_eq!(own.resolve(".alerts-security.alerts-soc"), Some("tocsin-alerts-soc"));
        assert_eq!(own.resolve(".siem-signals-*"), Some("tocsin-alerts-soc"));
        assert_eq!(own.resolve("logs-*"), None);
        let kibana = AlertIndex::new(Mode::Kibana, "ignored", "soc");
        assert_eq!((kibana.name.as_str(), kibana.wrong()), (".alerts-security.alerts-soc", None));
        assert_eq!(kibana.resolve(".alerts-security*"), None, "it is the index of that name");
        for wrong in [".alerts-security.alerts-soc", ".internal.alerts-x", "Upper", "a,b", "-a", ""] {
            assert!(AlertIndex::new(Mode::Own, wrong, "soc").wrong().is_some(), "{wrong}");
        }
    }

    #[test]
    fn an_external_alert_carries_what_the_promotion_rule_reads() {
        let index = AlertIndex::new(Mode::External, "logs-tocsin.alerts-{space}", "default");
        let alert = json!({
            "@timestamp": "2026-11-01T00:00:00.000Z", "event": {"action": "x"}, "event.kind": "signal",
            "kibana.alert.severity": "high", "kibana.alert.risk_score": 71, "kibana.alert.reason": "why",
            "kibana.alert.rule.name": "N", "rule": {"name": "the event's own"},
        });
        let shaped = Value::Object(index.shaped(alert.as_object().unwrap().clone()));
        assert_eq!(lookup(&shaped, "event.kind"), Some(&json!("alert")));
        assert_eq!(lookup(&shaped, "event.action"), Some(&json!("x")));
        assert_eq!(lookup(&shaped, "event.severity"), Some(&json!(73)));
        assert_eq!(shaped["rule.name"], "N");
        assert!(shaped.get("rule").is_none(), "one value for one field: {shaped}");
    }
}
