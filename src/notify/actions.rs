//! The `actions` that rules exported from Kibana bring.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::matcher::When;
use super::route::{Digest, Route};
use crate::alert::lookup::texts;

/// Name of the route that actions take.
pub(super) const ROUTE: &str = "rule actions";

/// Kibana's action types, and the types of connector that stand for them.
const TYPES: &[(&str, &str)] = &[
    (".slack", "slack"),
    (".slack_api", "slack"),
    (".email", "email"),
    (".pagerduty", "pagerduty"),
    (".webhook", "webhook"),
    (".teams", "teams"),
    (".opsgenie", "opsgenie"),
    (".jira", "jira"),
    (".servicenow", "servicenow"),
    (".servicenow-sir", "servicenow"),
    (".servicenow-itom", "servicenow"),
    (".thehive", "thehive"),
    (".server-log", "stdout"),
];

/// An action with the connector that carries it out.
pub(super) struct Action {
    pub(super) connector: String,
    group: String,
    action: Value,
}

impl Action {
    /// The action, where a connector of its kind is configured: the one named like its connector id,
    /// else the first (by name) of its type.
    pub(super) fn of(action: &Value, types: &HashMap<String, String>, alert: &Value) -> Option<Self> {
        let text = |name: &str| action.get(name).and_then(Value::as_str).unwrap_or_default();
        // Episodes tell of recovery themselves.
        if text("group") == "recovered" {
            return None;
        }
        let (id, kind) = (text("id"), text("action_type_id"));
        let (_, wanted) = TYPES.iter().find(|(kibana, _)| *kibana == kind)?;
        let connector = if types.get(id).is_some_and(|own| own == wanted) {
            id.to_owned()
        } else {
            let mut same: Vec<&String> =
                types.iter().filter(|(_, own)| own == wanted).map(|(name, _)| name).collect();
            same.sort();
            (*same.first()?).clone()
        };
        let rule = texts(alert, "kibana.alert.rule.uuid").join(",");
        Some(Self {
            connector,
            group: format!("{ROUTE}\u{1f}{rule}\u{1f}{}", text("uuid")),
            action: action.clone(),
        })
    }

    /// The route it takes: everything that it is told of.
    pub(super) fn route(&self) -> Route {
        Route {
            name: self.group.clone(),
            when: When::default(),
            to: vec![self.connector.clone()],
            on: None,
            digest: None,
            throttle: None,
            group_by: Vec::new(),
            quiet: None,
            last: false,
        }
    }

    /// Its own frequency: a summary every so often.
    pub(super) fn digest(&self) -> Option<Digest> {
        let frequency = self.action.get("frequency")?;
        if frequency.get("notifyWhen").and_then(Value::as_str) != Some("onThrottleInterval") {
            return None;
        }
        let length: crate::config::TimeSpan = frequency.get("throttle")?.as_str()?.parse().ok()?;
        let length = i64::try_from(length.duration().as_millis()).ok().filter(|length| *length > 0)?;
        Some(Digest::Every(length))
    }

    /// What is told: the alert, and the action's own words.
    pub(super) fn document(&self, alert: &Value) -> String {
        let params = self.action.get("params").cloned().unwrap_or(Value::Null);
        json!({"alerts": [alert], "count": 1, "action": {"params": params}}).to_string()
    }
}
