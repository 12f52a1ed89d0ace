//! What is written is found again, once, whoever writes it; triage; state that survives.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::json;
use tocsin::cluster::{Mode, StepOutcome};
use tocsin::ecs::document::Document;
use tocsin::store::state::{
    AlertQuery, AlertSink, BacklogEntry, Created, ExecutionQuery, Lookup, Memory, RuleState, StateStore,
    Status, WorkflowStatus,
};

use super::{Place, commit, on_every_node, time};

#[test]
fn an_alert_is_created_once_found_and_triaged() {
    on_every_node(async |url| {
        let place = Place::own(url);
        place.set_up().await;
        let sink = place.alerts();
        let other = |mut row: tocsin::store::state::AlertRow| {
            row.document = row.document.replace("\"execution\"", "\"another execution\"");
            row
        };
        let rows = vec![place.alert("aa1", json!({})), place.alert("aa2", json!({}))];
        assert_eq!(sink.create(rows.clone()).await.unwrap(), [Created::New, Created::New]);
        // The same execution, whose answer got lost, and another one.
        let again = vec![rows[0].clone(), other(rows[1].clone()), place.alert("b3", json!({}))];
        assert_eq!(sink.create(again).await.unwrap(), [Created::New, Created::Duplicate, Created::New]);
        let ids: Vec<Arc<str>> = vec!["aa1".into(), "zz".into()];
        assert_eq!(sink.existing(ids).await.unwrap(), HashSet::from(["aa1".into()]));
        assert_eq!(sink.find(&AlertQuery::default()).await.unwrap().len(), 3);
        assert!(matches!(sink.lookup("aa").await.unwrap(), Lookup::Several(ids) if ids.len() == 2));
        assert!(matches!(sink.lookup("b").await.unwrap(), Lookup::One(found) if &*found.id == "b3"));
        assert_eq!(sink.lookup("c").await.unwrap(), Lookup::Nothing);

        let now = time("2026-11-02T00:00:00Z");
        let changed =
            sink.set_workflow_status(vec!["aa1".into(), "nobody".into()], WorkflowStatus::Closed, now).await;
        assert_eq!(changed.unwrap(), 1);
        sink.tag(vec!["aa1".into()], vec!["x".into(), "y".into()], vec![]).await.unwrap();
        sink.tag(vec!["aa1".into()], vec!["y".into()], vec!["x".into()]).await.unwrap();
        let closed = AlertQuery { status: Some(WorkflowStatus::Closed), ..AlertQuery::default() };
        let closed = sink.find(&closed).await.unwrap();
        assert_eq!(closed.len(), 1);
        assert_eq!(closed[0].status, "closed");
        assert_eq!(closed[0].source["kibana.alert.workflow_status_updated_at"], "2026-11-02T00:00:00.000Z");
        assert_eq!(closed[0].source["kibana.alert.workflow_tags"], json!(["y"]));
    });
}

#[test]
fn every_alert_is_paged_through_when_all_have_one_timestamp() {
    on_every_node(async |url| {
        let place = Place::own(url);
        place.set_up().await;
        let sink = place.alerts();
        let rows = (0..2_300).map(|n| place.alert(&format!("{n:05}"), json!({}))).collect();
        let created = sink.create(rows).await.unwrap();
        assert!(created.iter().all(|c| *c == Created::New));
        for ascending in [true, false] {
            let found = sink.find(&AlertQuery { ascending, ..AlertQuery::default() }).await.unwrap();
            let ids: HashSet<_> = found.iter().map(|alert| Arc::clone(&alert.id)).collect();
            assert_eq!((found.len(), ids.len()), (2_300, 2_300));
        }
        let some = AlertQuery { size: Some(1_500), ..AlertQuery::default() };
        assert_eq!(sink.find(&some).await.unwrap().len(), 1_500);
    });
}

#[test]
fn external_alerts_carry_event_kind_alert() {
    on_every_node(async |url| {
        let place = Place::new(url, Mode::External, "logs-tocsin.alerts-{space}");
        let steps = place.set_up().await;
        if let Some(step) = steps.iter().find(|s| matches!(s.outcome, StepOutcome::Failed(_))) {
            // A build without the module has no data streams, and says so.
            assert_eq!(step.what, "index template", "{step:?}");
            assert_eq!(place.client.flavour().await.unwrap().version.major, 7, "{step:?}");
            return;
        }
        let sink = place.alerts();
        let rows = vec![place.alert("e1", json!({"event": {"action": "x"}}))];
        assert_eq!(sink.create(rows.clone()).await.unwrap(), [Created::New]);
        let found = sink.find(&AlertQuery::default()).await.unwrap();
        assert_eq!(found[0].source["event.kind"], "alert");
        assert_eq!(found[0].source["event.severity"], 21);
        let now = time("2026-11-02T00:00:00Z");
        let changed = sink.set_workflow_status(vec!["e1".into()], WorkflowStatus::Acknowledged, now).await;
        assert_eq!(changed.unwrap(), 1);
        assert_eq!(sink.find(&AlertQuery::default()).await.unwrap()[0].status, "acknowledged");
    });
}

#[test]
fn state_backlog_memory_and_log_survive_and_the_higher_fence_wins() {
    on_every_node(async |url| {
        let place = Place::own(url);
        place.set_up().await;
        let state = place.state();
        let entry = |alert: &str, position: i64| BacklogEntry {
            rule: "rule-uuid".into(),
            alert: alert.into(),
            since: 7,
            position,
            event_time: 9,
            document: Document::new("logs-x", alert, json!({"a": {"b": [1, 2]}})),
        };
        let remember =
            |key: &str, value: Option<&str>| Memory { key: key.into(), value: value.map(str::to_owned) };
        let mut one = commit("e1", vec![place.alert("a", json!({})), place.alert("b", json!({}))], 1);
        one.kept = (0..700).rev().map(|n| entry(&format!("w{n}"), n)).collect();
        one.memory = vec![remember("kept", Some("1")), remember("dropped", Some("2"))];
        let written = state.commit(vec![one]).await.unwrap();
        assert_eq!((written[0].alerts, written[0].duplicates, written[0].status), (2, 0, Status::Succeeded));
        // The next execution, in the same runner: one alert was there.
        let mut two =
            commit("e2", vec![place.alert("b", json!({"kibana.alert.rule.execution.uuid": "e2"}))], 2);
        two.settled = vec!["w0".into(), "w1".into(), "never".into()];
        two.kept = vec![entry("w5", 999)];
        two.memory = vec![remember("kept", Some("3")), remember("dropped", None)];
        let written = state.commit(vec![two]).await.unwrap();
        assert_eq!((written[0].alerts, written[0].duplicates), (0, 1));

        let later = place.state();
        let states = later.rule_states().await.unwrap();
        assert_eq!(states["rule-uuid"].last_slot, Some(2));
        assert_eq!(later.backlog_rules().await.unwrap(), HashSet::from(["rule-uuid".to_owned()]));
        let waiting = later.backlog("rule-uuid").await.unwrap();
        assert_eq!(waiting.len(), 698);
        assert!(waiting.windows(2).all(|pair| pair[0].position < pair[1].position), "in time order");
        assert_eq!(waiting[0], entry("w2", 2));
        assert_eq!(waiting.iter().find(|e| &*e.alert == "w5").unwrap().position, 5, "it waited already");
        assert_eq!(later.memory("rule-uuid").await.unwrap(), [("kept".to_owned(), "3".to_owned())].into());
        let log = later.executions(&ExecutionQuery { rule: Some("rule".into()), ..Default::default() }).await;
        let log = log.unwrap();
        assert_eq!(log.len(), 2);
        assert!(log.iter().any(|record| record.execution_id == "e1" && record.alerts == 2));

        // A runner that took the rule over wrote a higher fence; the old one is told.
        let mut over = commit("e3", vec![], 3);
        over.state = Some(RuleState { fence: 5, last_slot: Some(3), ..RuleState::new("rule-uuid", "rule") });
        assert_eq!(later.commit(vec![over]).await.unwrap()[0].status, Status::Succeeded);
        let late = state.commit(vec![commit("e4", vec![], 4)]).await.unwrap();
        assert_eq!(late[0].status, Status::Failed, "{late:?}");
        assert_eq!(place.state().rule_states().await.unwrap()["rule-uuid"].last_slot, Some(3));
    });
}

#[test]
fn without_set_up_the_message_says_what_to_do() {
    on_every_node(async |url| {
        let place = Place::own(url);
        let error = place.state().rule_states().await.unwrap_err().to_string();
        assert!(error.contains("tocsin setup"), "{error}");
        let created = place.alerts().create(vec![place.alert("a", json!({}))]).await;
        let said = format!("{created:?}");
        assert!(said.contains("tocsin setup"), "{said}");
        let index = tocsin::elastic::Request::get(format!("/{}", place.names.alerts.name)).accept(404);
        let there = place.client.send(&index).await.unwrap();
        assert_eq!(there.status, 404, "no index without a mapping was made");
    });
}
