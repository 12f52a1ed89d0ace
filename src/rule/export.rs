//! Rules for other programs: Kibana's import, ATT&CK Navigator.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::load::{ExportKind, known};
use super::model::{Rule, Schedule};
use super::set::RuleSet;

/// Fields that belong to the rule in the installation it came from, not to the rule.
const OF_AN_INSTALLATION: [&str; 12] = [
    "id",
    "actions",
    "throttle",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "execution_summary",
    "immutable",
    "outcome",
    "revision",
    "rule_source",
];
/// Interval of rules that run at the times of a cron expression, which Kibana does not know.
const INSTEAD_OF_CRON: &str = "5m";

/// What an export wrote, and what it could not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exported {
    /// NDJSON.
    pub text: String,
    /// What was left out, in words.
    pub lost: Vec<String>,
}

/// The rules as Kibana imports them, then the exception lists that they refer to with their items.
/// They are switched off unless `enabled`: two engines that run one rule alert twice.
pub fn kibana(set: &RuleSet, enabled: bool) -> Exported {
    let mut lost = Vec::new();
    let lists = lists(set);
    let mut used = BTreeSet::new();
    let mut lines: Vec<Value> =
        set.rules.iter().map(|rule| exported(rule, enabled, &lists, &mut used, &mut lost)).collect();
    for kind in [ExportKind::ExceptionList, ExportKind::ExceptionItem] {
        for (_, object) in set.objects.iter().filter(|(_, object)| object.kind == kind) {
            let fields = object.object.object();
            if fields.get("list_id").and_then(Value::as_str).is_some_and(|id| used.contains(id)) {
                lines.push(Value::Object(fields));
            }
        }
    }
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    Exported { text: lines.join("\n") + "\n", lost }
}

/// Ids of the exception lists that are at hand.
fn lists(set: &RuleSet) -> BTreeSet<String> {
    set.objects
        .iter()
        .filter(|(_, object)| object.kind == ExportKind::ExceptionList)
        .filter_map(|(_, object)| object.object.string("list_id"))
        .collect()
}

fn exported(
    rule: &Rule,
    enabled: bool,
    lists: &BTreeSet<String>,
    used: &mut BTreeSet<String>,
    lost: &mut Vec<String>,
) -> Value {
    let mut fields = rule.parameters.object();
    let name = rule.name.clone();
    let mut gone = Vec::new();
    fields.retain(|field, value| {
        let ours = known::FIELDS.contains(&field.as_str()) && field != "schedule";
        let of_an_installation = OF_AN_INSTALLATION.contains(&field.as_str());
        let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if (!ours || field == "actions") && !empty {
            gone.push(format!("`{field}`"));
        }
        ours && !of_an_installation && !value.is_null()
    });
    if !gone.is_empty() {
        lost.push(format!("{name}: Kibana has no place for {}: left out", gone.join(", ")));
    }
    let interval = match &rule.schedule {
        Schedule::Every { text, .. } => text.clone(),
        Schedule::Cron { expression, .. } => {
            lost.push(format!(
                "{name}: Kibana knows no cron expressions: instead of `{expression}` it runs every {INSTEAD_OF_CRON}"
            ));
            INSTEAD_OF_CRON.to_owned()
        }
    };
    let references = fields.remove("exceptions_list").unwrap_or_default();
    let (kept, missing): (Vec<Value>, Vec<Value>) =
        references.as_array().cloned().unwrap_or_default().into_iter().partition(|reference| {
            reference.get("list_id").and_then(Value::as_str).is_some_and(|id| lists.contains(id))
        });
    for reference in &kept {
        used.extend(reference.get("list_id").and_then(Value::as_str).map(str::to_owned));
    }
    for reference in missing {
        let id = reference.get("list_id").and_then(Value::as_str).unwrap_or("without id").to_owned();
        lost.push(format!("{name}: the exception list `{id}` is not among these files: left out"));
    }
    complete(&mut fields, rule);
    fields.insert("exceptions_list".to_owned(), Value::Array(kept));
    fields.insert("interval".to_owned(), interval.into());
    fields.insert("enabled".to_owned(), enabled.into());
    Value::Object(fields)
}

/// What Kibana requires of a rule and files may leave out.
fn complete(fields: &mut Map<String, Value>, rule: &Rule) {
    for (name, value) in [
        ("rule_id", json!(&*rule.rule_id)),
        ("name", json!(rule.name)),
        ("description", json!(rule.description)),
        ("risk_score", number(rule.risk_score)),
        ("severity", json!(rule.severity.as_str())),
        ("type", json!(rule.rule_type())),
        ("from", json!(rule.from)),
        ("to", json!(rule.to)),
    ] {
        fields.entry(name).or_insert(value);
    }
}

/// A whole number where it is one: `47`, not `47.0`.
fn number(value: f64) -> Value {
    let text = value.to_string();
    text.parse::<i64>().map_or_else(|_| json!(value), |whole| json!(whole))
}

/// A layer of ATT&CK Navigator: each technique scored by how many enabled rules are about it.
pub fn navigator(set: &RuleSet) -> Value {
    let mut techniques: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for rule in set.rules.iter().filter(|rule| rule.enabled) {
        let mut own = BTreeSet::new();
        for threat in rule.threat().iter().filter(|threat| threat.framework.contains("ATT&CK")) {
            // Navigator names tactics as ATT&CK's own data do: `defense-evasion`.
            let tactic = threat.tactic.name.to_lowercase().replace(' ', "-");
            for technique in &threat.technique {
                own.insert((technique.entry.id.clone(), tactic.clone()));
                own.extend(technique.subtechnique.iter().map(|sub| (sub.id.clone(), tactic.clone())));
            }
        }
        for key in own {
            techniques.entry(key).or_default().push(&rule.name);
        }
    }
    let most = techniques.values().map(Vec::len).max().unwrap_or(1);
    let techniques: Vec<Value> = techniques
        .into_iter()
        .map(|((id, tactic), rules)| {
            json!({
                "techniqueID": id,
                "tactic": tactic,
                "score": rules.len(),
                "comment": rules.join("\n"),
                "enabled": true,
                "showSubtechniques": true,
            })
        })
        .collect();
    json!({
        "name": "tocsin rules",
        "versions": {"layer": "4.5", "navigator": "4.9.1"},
        "domain": "enterprise-attack",
        "description": format!("Techniques that {} rules are about", set.rules.iter().filter(|r| r.enabled).count()),
        "techniques": techniques,
        "gradient": {"colors": ["#ffffff", "#66b1ff"], "minValue": 0, "maxValue": most},
        "legendItems": [],
        "hideDisabled": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::shipped;

    #[test]
    fn what_is_exported_is_read_as_the_same_rules() {
        let set = shipped::load();
        let exported = kibana(&set, false);
        assert_eq!(exported.lost, Vec::<String>::new());
        let back = crate::rule::load::ndjson::read(&exported.text, |_| "hash".to_owned());
        let errors: Vec<_> = back.diagnostics.iter().filter(|d| d.is_error()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(back.rules.len(), set.rules.len());
        for (rule, again) in set.rules.iter().zip(&back.rules) {
            let again = &again.rule;
            assert_eq!(
                (&rule.rule_id, &rule.kind, &rule.index, &rule.schedule, rule.threat(), rule.note()),
                (&again.rule_id, &again.kind, &again.index, &again.schedule, again.threat(), again.note())
            );
            assert!(!again.enabled);
        }
    }

    #[test]
    fn exception_lists_travel_with_their_rules_and_what_is_lost_is_said() {
        let rule = |id: &str, list: &str| {
            json!({"rule_id": id, "name": id, "description": "d", "risk_score": 1, "severity": "low",
                "type": "query", "language": "kuery", "query": "a:b", "index": ["logs-*"], "interval": "5m",
                "from": "now-6m", "to": "now", "id": "00000000-0000-0000-0000-000000000000", "revision": 3,
                "x_own": 1, "exceptions_list": [
                    {"id": "i", "list_id": list, "type": "detection", "namespace_type": "single"}]})
        };
        let list = json!({"list_id": "here", "type": "detection", "name": "n", "description": "d",
            "namespace_type": "single", "_version": "x", "id": "i"});
        let item = json!({"list_id": "here", "item_id": "1", "type": "simple", "name": "n", "description": "d",
            "namespace_type": "single", "entries": [
                {"field": "a", "operator": "included", "type": "match", "value": "b"}]});
        let other = json!({"list_id": "unused", "type": "detection", "name": "n", "description": "d"});
        let dir = tempfile::tempdir().unwrap();
        let lines = [rule("one", "here"), rule("two", "gone"), list, item, other];
        let text = lines.map(|line| line.to_string()).join("\n");
        std::fs::write(dir.path().join("rules.ndjson"), text).unwrap();
        let set = crate::rule::load::files::load_paths(&[dir.path().to_owned()], None);
        let exported = kibana(&set, true);
        let lines: Vec<Value> =
            exported.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4, "{}", exported.text);
        assert_eq!(lines[0]["exceptions_list"][0]["list_id"], "here");
        assert_eq!(lines[1]["exceptions_list"], json!([]));
        assert!(lines[0].get("id").is_none() && lines[0].get("revision").is_none());
        assert!(lines[0].get("x_own").is_none());
        assert_eq!(lines[3]["item_id"], "1");
        assert!(exported.lost.iter().any(|lost| lost.contains("`gone`")), "{:?}", exported.lost);
        assert!(exported.lost.iter().any(|lost| lost.contains("x_own")), "{:?}", exported.lost);
    }

    #[test]
    fn a_layer_scores_techniques_by_their_rules() {
        let layer = navigator(&shipped::load());
        let techniques = layer["techniques"].as_array().unwrap();
        assert!(!techniques.is_empty());
        for technique in techniques {
            assert!(technique["techniqueID"].as_str().unwrap().starts_with('T'), "{technique}");
            let tactic = technique["tactic"].as_str().unwrap();
            assert!(tactic.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{tactic}");
            assert!(technique["score"].as_u64().unwrap() >= 1);
        }
    }
}
