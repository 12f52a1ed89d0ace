//! Templates and lifecycles as a cluster takes them.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::fields::{Part, mapping};
use super::names::{AlertIndex, Mode};
use crate::alert::id::hex;

/// Name of the component template with the fields of ECS.
pub const ECS: &str = "tocsin-ecs-fields";
/// Name of the component template with the fields of alerts.
pub const ALERTS: &str = "tocsin-alert-fields";
/// Fields that an index may have: ECS with everything an alert adds fits well.
const FIELD_LIMIT: u32 = 5_000;
/// Who made a template, in its `_meta`.
pub const OWNER: &str = "tocsin";

/// When a new backing index is begun, and when an old one is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// Name of the policy.
    pub name: String,
    /// The alias that is rolled over.
    pub alias: String,
    /// Days after which an index that is no longer written to is deleted; `None`: never.
    pub delete_after_days: Option<u64>,
}

impl Lifecycle {
    /// The policy as index lifecycle management (Elasticsearch) takes it.
    pub fn ilm(&self) -> Value {
        let mut phases = json!({"hot": {
            "min_age": "0ms",
            "actions": {"rollover": {"max_age": "30d", "max_size": "50gb"}},
        }});
        if let (Some(days), Some(phases)) = (self.delete_after_days, phases.as_object_mut()) {
            let delete = json!({"min_age": format!("{days}d"), "actions": {"delete": {}}});
            phases.insert("delete".to_owned(), delete);
        }
        json!({"policy": {"phases": phases}})
    }

    /// The policy as index state management (`OpenSearch`) takes it.
    pub fn ism(&self) -> Value {
        let mut hot = json!({
            "name": "hot",
            "actions": [{"rollover": {"min_index_age": "30d", "min_size": "50gb"}}],
            "transitions": [],
        });
        let mut states = Vec::new();
        if let Some(days) = self.delete_after_days {
            if let Some(hot) = hot.as_object_mut() {
                let after =
                    json!([{"state_name": "delete", "conditions": {"min_rollover_age": format!("{days}d")}}]);
                hot.insert("transitions".to_owned(), after);
            }
            states.push(json!({"name": "delete", "actions": [{"delete": {}}], "transitions": []}));
        }
        states.insert(0, hot);
        let mut policy = json!({
            "default_state": "hot",
            "states": states,
            "ism_template": [{"index_patterns": [format!("{}-*", self.alias)], "priority": 100}],
        });
        let description = format!("{OWNER} {}", hash(&policy));
        if let Some(policy) = policy.as_object_mut() {
            policy.insert("description".to_owned(), description.into());
        }
        json!({"policy": policy})
    }
}

/// What a template is told apart by when it changes.
pub fn hash(content: &Value) -> String {
    let mut text = hex(&Sha256::digest(content.to_string()));
    text.truncate(16);
    text
}

/// A template with who made it and what it holds.
pub fn signed(mut template: Value) -> Value {
    let hash = hash(&template);
    if let Some(object) = template.as_object_mut() {
        object.insert("_meta".to_owned(), json!({"managed_by": OWNER, "hash": hash}));
    }
    template
}

/// A component template with one part of the alert mapping.
pub fn component(part: Part) -> Value {
    json!({"template": {
        "settings": {"index": {"mapping": {"total_fields": {"limit": FIELD_LIMIT}}}},
        "mappings": mapping(part),
    }})
}

/// Settings that every index of ours has; `lifecycle` is added where the cluster manages it.
fn settings(lifecycle: Option<&Value>) -> Value {
    let mut settings = json!({
        "number_of_shards": 1,
        "auto_expand_replicas": "0-1",
        "mapping": {"total_fields": {"limit": FIELD_LIMIT}, "ignore_malformed": true},
    });
    if let (Some(settings), Some(Value::Object(lifecycle))) = (settings.as_object_mut(), lifecycle) {
        settings.extend(lifecycle.clone());
    }
    json!({"index": settings})
}

/// The settings that tie an index to its lifecycle.
pub fn lifecycle_settings(lifecycle: &Lifecycle, opensearch: bool) -> Value {
    if opensearch {
        return json!({"plugins.index_state_management.rollover_alias": lifecycle.alias});
    }
    json!({"lifecycle": {"name": lifecycle.name, "rollover_alias": lifecycle.alias}})
}

/// Two templates whose patterns overlap must not have one priority: of two names the longer, which
/// is the narrower pattern, wins.
fn priority(name: &str) -> u64 {
    500 + u64::try_from(name.len()).unwrap_or(0)
}

/// The index template of the alert index: a write alias with numbered indices behind it, or a data
/// stream for external alerts.
pub fn alerts(index: &AlertIndex, lifecycle: Option<&Value>) -> Value {
    let mut template = json!({
        "index_patterns": [format!("{}-*", index.name)],
        "composed_of": [ECS, ALERTS],
        "priority": priority(&index.name),
        "template": {"settings": settings(lifecycle), "mappings": {"dynamic": false}},
    });
    if index.mode == Mode::External
        && let Some(object) = template.as_object_mut()
    {
        object.insert("index_patterns".to_owned(), json!([index.name]));
        object.insert("data_stream".to_owned(), json!({}));
    }
    template
}

/// The index template of the execution log.
pub fn executions(alias: &str, lifecycle: Option<&Value>) -> Value {
    json!({
        "index_patterns": [format!("{alias}-*")],
        "priority": priority(alias),
        "template": {"settings": settings(lifecycle), "mappings": super::executions::mapping()},
    })
}

/// The index template of rule state.
pub fn state(index: &str) -> Value {
    json!({
        "index_patterns": [index],
        "priority": priority(index),
        "template": {"settings": settings(None), "mappings": super::state::mapping()},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_changes_with_the_content_alone() {
        let one = signed(json!({"a": 1}));
        assert_eq!(one, signed(json!({"a": 1})));
        assert_ne!(one["_meta"]["hash"], signed(json!({"a": 2}))["_meta"]["hash"]);
    }

    #[test]
    fn overlapping_patterns_have_different_priorities_and_external_alerts_a_data_stream() {
        let space = |space: &str| alerts(&AlertIndex::new(Mode::Own, "tocsin-alerts-{space}", space), None);
        assert!(space("a-b")["priority"].as_u64() > space("a")["priority"].as_u64());
        let external = alerts(&AlertIndex::new(Mode::External, "logs-tocsin.alerts-{space}", "a"), None);
        assert_eq!(external["index_patterns"], json!(["logs-tocsin.alerts-a"]));
        assert_eq!(external["data_stream"], json!({}));
    }

    #[test]
    fn lifecycles_roll_over_and_delete_only_when_asked() {
        let keep = Lifecycle { name: "n".into(), alias: "a".into(), delete_after_days: None };
        assert!(keep.ilm()["policy"]["phases"].get("delete").is_none());
        assert_eq!(keep.ism()["policy"]["states"].as_array().unwrap().len(), 1);
        let drop = Lifecycle { delete_after_days: Some(90), ..keep };
        assert_eq!(drop.ilm()["policy"]["phases"]["delete"]["min_age"], "90d");
        let states = &drop.ism()["policy"]["states"];
        assert_eq!(states[0]["transitions"][0]["state_name"], states[1]["name"]);
    }
}
