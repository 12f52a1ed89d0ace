//! What `tocsin setup` installs, on whatever node there is, and that doing it again changes
//! nothing.

use serde_json::{Value, json};
use tocsin::cluster::{Mode, StepOutcome};
use tocsin::ecs::mapping::Mapping;

use super::{Place, on_every_node};

#[test]
fn setting_up_twice_installs_once_and_every_field_has_its_type() {
    on_every_node(async |url| {
        let place = Place::own(url);
        let first = place.set_up().await;
        let failed: Vec<_> = first.iter().filter(|s| matches!(s.outcome, StepOutcome::Failed(_))).collect();
        assert!(failed.is_empty(), "{failed:?}");
        assert!(first.iter().any(|s| s.what == "write alias" && s.outcome == StepOutcome::Installed));
        let second = place.set_up().await;
        for step in &second {
            assert!(
                matches!(step.outcome, StepOutcome::Stood | StepOutcome::Unavailable(_)),
                "not unchanged: {step:?}"
            );
        }
        let name = &place.names.alerts.name;
        let mapping = place.get(&format!("/{name}-000001/_mapping")).await;
        let mapping = &mapping[format!("{name}-000001")]["mappings"];
        assert!(mapping["dynamic"] == "false" || mapping["dynamic"] == false, "{}", mapping["dynamic"]);
        let read = Mapping::from_elasticsearch(mapping).unwrap();
        for (path, kinds) in [
            ("kibana.alert.workflow_status", ["keyword", "keyword"]),
            ("kibana.alert.risk_score", ["float", "float"]),
            ("kibana.alert.original_time", ["date", "date"]),
            ("kibana.alert.suppression.docs_count", ["long", "long"]),
            ("kibana.alert.group.index", ["integer", "integer"]),
            ("kibana.version", ["version", "keyword"]),
            ("source.ip", ["ip", "ip"]),
            ("user.name", ["keyword", "keyword"]),
            ("process.command_line", ["wildcard", "keyword"]),
        ] {
            let kind = serde_json::to_value(read.resolve(path).unwrap().kind).unwrap();
            assert!(kinds.iter().any(|k| kind == *k), "{path}: {kind}");
        }
        assert_eq!(
            mapping
                .pointer("/properties/signal/properties/rule/properties/name/path")
                .and_then(Value::as_str),
            Some("kibana.alert.rule.name")
        );
    });
}

#[test]
fn a_template_of_that_name_which_is_not_ours_is_left_alone() {
    on_every_node(async |url| {
        let place = Place::own(url);
        let name = &place.names.alerts.name;
        let theirs = json!({"index_patterns": [format!("{name}-*")], "priority": 1_000});
        place.put(&format!("/_index_template/{name}"), &theirs).await;
        let steps = place.set_up().await;
        let template = steps.iter().find(|s| s.what == "index template" && s.name == *name).unwrap();
        assert!(matches!(&template.outcome, StepOutcome::Failed(why) if why.contains("left alone")));
        let there = place.get(&format!("/_index_template/{name}")).await;
        assert_eq!(there["index_templates"][0]["index_template"]["priority"], 1_000);
    });
}

#[test]
fn kibanas_own_index_is_checked_and_never_made() {
    on_every_node(async |url| {
        let place = Place::new(url, Mode::Kibana, "");
        let name = place.names.alerts.name.clone();
        let alias = |steps: &[tocsin::cluster::Step]| {
            steps.iter().find(|s| s.what == "alias of Kibana").unwrap().outcome.clone()
        };
        let missing = alias(&place.set_up().await);
        assert!(matches!(&missing, StepOutcome::Failed(why) if why.contains("open it")), "{missing:?}");
        let found = place.client.send(&tocsin::elastic::Request::get(format!("/{name}")).accept(404)).await;
        assert_eq!(found.unwrap().status, 404, "it was not made");
        // As Kibana would have left it.
        let backing = format!(".internal.alerts-security.alerts-{}-000001", place.space());
        let keyword = json!({"type": "keyword"});
        let body = json!({
            "aliases": {&name: {"is_write_index": true}},
            "mappings": {"dynamic": false, "properties": {
                "kibana.alert.uuid": keyword, "kibana.alert.workflow_status": keyword,
                "kibana.alert.severity": keyword, "kibana.alert.rule.uuid": keyword,
                "kibana.alert.rule.rule_type_id": keyword,
            }},
        });
        place.put(&format!("/{backing}"), &body).await;
        let steps = place.set_up().await;
        assert_eq!(alias(&steps), StepOutcome::Stood);
        let fields = &steps.iter().find(|s| s.what == "fields of Kibana").unwrap().outcome;
        assert!(matches!(fields, StepOutcome::Failed(why) if why.contains("kibana.space_ids")), "{fields:?}");
    });
}
