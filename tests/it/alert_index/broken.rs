//! Alerts that an index will not take as they are.

use serde_json::{Map, Value, json};
use tocsin::cluster::Setup;
use tocsin::store::state::{AlertQuery, AlertSink, Created, StateStore, Status};

use super::{Place, commit, on_every_node};

#[test]
fn text_where_ecs_has_an_object_goes_and_the_alert_says_so() {
    on_every_node(async |url| {
        let place = Place::own(url);
        place.set_up().await;
        let rows = vec![
            place.alert("whole", json!({"host": {"name": "h"}, "user": {"name": "u"}})),
            place.alert("text", json!({"host": "text", "user": {"name": "u"}, "source": {"ip": "x"}})),
            place.alert("two", json!({"host": "text", "cloud": 7, "user": {"name": "u"}})),
        ];
        let written = place.state().commit(vec![commit("e", rows, 1)]).await.unwrap();
        assert_eq!(written[0].alerts, 3, "{:?}", written[0]);
        assert_eq!(written[0].status, Status::PartialFailure);
        assert_eq!(written[0].warnings.len(), 2, "{:?}", written[0].warnings);
        assert!(written[0].warnings.iter().all(|w| w.contains("without") && w.contains("host")));
        let found = place.alerts().find(&AlertQuery::default()).await.unwrap();
        let of = |id: &str| found.iter().find(|alert| &*alert.id == id).unwrap().source.clone();
        assert!(of("whole").get("tocsin.removed_fields").is_none());
        assert_eq!(of("text")["tocsin.removed_fields"], json!(["host"]));
        assert_eq!(of("text")["user"]["name"], "u", "the rest stays");
        assert_eq!(of("text")["source"]["ip"], "x", "a malformed value is kept, as Kibana keeps it");
        assert_eq!(of("two")["tocsin.removed_fields"], json!(["host", "cloud"]));
    });
}

/// `count` fields that no mapping knows.
fn many(count: usize) -> Value {
    let fields: Map<String, Value> = (0..count).map(|n| (format!("f{n}"), n.into())).collect();
    json!({"vendor": fields, "user": {"name": "u"}})
}

#[test]
fn an_alert_of_thousands_of_fields_is_kept_whole_in_an_index_of_our_own() {
    on_every_node(async |url| {
        let place = Place::own(url);
        place.set_up().await;
        let created = place.alerts().create(vec![place.alert("many", many(6_000))]).await.unwrap();
        assert_eq!(created, [Created::New]);
        let found = place.alerts().find(&AlertQuery::default()).await.unwrap();
        assert_eq!(found[0].source["vendor"].as_object().unwrap().len(), 6_000);
    });
}

#[test]
fn over_the_field_limit_the_fields_outside_ecs_go() {
    on_every_node(async |url| {
        let place = Place::own(url);
        Setup::new(&place.client, &place.names, None, 90).run().await.unwrap();
        // Someone made the index learn fields.
        let name = &place.names.alerts.name;
        place.put(&format!("/{name}/_mapping"), &json!({"dynamic": true})).await;
        let written =
            place.state().commit(vec![commit("e", vec![place.alert("many", many(6_000))], 1)]).await;
        let written = written.unwrap();
        assert_eq!((written[0].alerts, written[0].status), (1, Status::PartialFailure), "{:?}", written[0]);
        let found = place.alerts().find(&AlertQuery::default()).await.unwrap();
        let source = &found[0].source;
        assert!(source.get("vendor").is_none(), "the fields that no mapping knows are gone");
        assert_eq!(source["user"]["name"], "u");
        assert!(!source["tocsin.removed_fields"].as_array().unwrap().is_empty());
        assert!(source["tocsin.removed_reason"].as_str().unwrap().contains("imit"), "{source}");
    });
}

#[test]
fn an_alert_that_cannot_be_written_at_all_fails_its_execution_alone() {
    on_every_node(async |url| {
        let place = Place::own(url);
        place.set_up().await;
        // What makes the alert an alert is wrong: nothing can be left out.
        let bad = place.alert("bad", json!({"kibana.alert.ancestors": "text", "user": {"name": "u"}}));
        let state = place.state();
        let mut other = commit("e2", vec![place.alert("good", json!({}))], 1);
        other.record.rule_uuid = "other".into();
        other.state = None;
        let written = state.commit(vec![commit("e1", vec![bad], 1), other]).await.unwrap();
        assert_eq!(written[0].status, Status::Failed);
        assert_eq!((written[0].alerts, written[0].candidates), (0, 0));
        assert!(written[0].error.as_deref().unwrap().contains("could not be written"), "{:?}", written[0]);
        assert_eq!((written[1].alerts, written[1].status), (1, Status::Succeeded));
        assert_eq!(place.state().rule_states().await.unwrap()["rule-uuid"].failures, 1);
    });
}
