//! Where an alert comes from: the events, and the alerts made of them.

use serde_json::{Map, Value, json};

use super::lookup::lookup;
use crate::ecs::document::Document;

/// What an event or alert passes on to the alert made from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ancestry {
    /// `kibana.alert.ancestors` of the new alert: those of its parent, then the parent.
    pub ancestors: Vec<Value>,
    /// `kibana.alert.depth` of the new alert.
    pub depth: u64,
}

/// The ancestry of an alert made from `parent`.
pub fn ancestry(parent: &Document) -> Ancestry {
    let Some(rule) = alert_rule(&parent.source) else {
        let ancestor = json!({"id": &*parent.id, "type": "event", "index": &*parent.index, "depth": 0});
        return Ancestry { ancestors: vec![ancestor], depth: 1 };
    };
    let depth = lookup(&parent.source, "kibana.alert.depth").and_then(Value::as_u64).unwrap_or(1);
    let mut ancestors = match lookup(&parent.source, "kibana.alert.ancestors") {
        Some(Value::Array(ancestors)) => ancestors.clone(),
        _ => Vec::new(),
    };
    let mut ancestor = Map::new();
    ancestor.insert("id".to_owned(), (&*parent.id).into());
    ancestor.insert("type".to_owned(), "signal".into());
    ancestor.insert("index".to_owned(), (&*parent.index).into());
    ancestor.insert("depth".to_owned(), depth.into());
    ancestor.insert("rule".to_owned(), rule.into());
    ancestors.push(Value::Object(ancestor));
    Ancestry { ancestors, depth: depth + 1 }
}

/// Whether the document is an alert of the rule with this object id, or was made from one: such
/// a document gives no alert, or the rule would feed on itself.
pub fn descends_from(document: &Document, rule_uuid: &str) -> bool {
    let Some(rule) = alert_rule(&document.source) else { return false };
    rule == rule_uuid
        || lookup(&document.source, "kibana.alert.ancestors").and_then(Value::as_array).is_some_and(
            |ancestors| ancestors.iter().any(|a| a.get("rule").and_then(Value::as_str) == Some(rule_uuid)),
        )
}

/// The object id of the rule that made this document, when it is an alert.
fn alert_rule(source: &Value) -> Option<&str> {
    lookup(source, "kibana.alert.rule.uuid")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_depth_zero_and_alerts_chain() {
        let event = Document::new("logs", "1", json!({"a": 1}));
        let first = ancestry(&event);
        assert_eq!(first.depth, 1);
        assert_eq!(first.ancestors, [json!({"id": "1", "type": "event", "index": "logs", "depth": 0})]);
        let alert = Document::new(
            ".alerts",
            "A",
            json!({"kibana.alert.rule.uuid": "R", "kibana.alert.depth": 1, "kibana.alert.ancestors": first.ancestors}),
        );
        let second = ancestry(&alert);
        assert_eq!(second.depth, 2);
        assert_eq!(
            second.ancestors[1],
            json!({"id": "A", "type": "signal", "index": ".alerts", "depth": 1, "rule": "R"})
        );
        assert!(descends_from(&alert, "R") && !descends_from(&alert, "Q") && !descends_from(&event, "R"));
        let grandchild = Document::new(
            ".alerts",
            "B",
            json!({"kibana": {"alert": {"rule": {"uuid": "Q"}, "ancestors": second.ancestors}}}),
        );
        assert!(descends_from(&grandchild, "R"));
    }
}
