use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};
use tocsin::ecs::document::Document;
use tocsin::rule::load::LoadedRule;
use tocsin::store::state::WorkflowStatus;

use super::{House, Place, event, everywhere, minutes, noon, rule};

/// A query rule whose alerts are folded by user; `more` goes into `[rule.alert_suppression]`.
fn by_user(more: &str) -> LoadedRule {
    rule(&format!(
        "type = \"query\"\nquery = \"event.action:x\"\n[rule.alert_suppression]\ngroup_by = [\"user.name\"]\n{more}\n"
    ))
}

const TWO_HOURS: &str = "duration = { value = 2, unit = \"h\" }";

fn act(id: &str, at: DateTime<Utc>, user: &Value) -> Document {
    event(id, at, json!({"event": {"action": "x"}, "user": {"name": user}}))
}

/// `user: docs_count, start, end` of every alert.
fn shown(house: &House) -> Vec<String> {
    house
        .alerts()
        .iter()
        .map(|alert| {
            let field = |name: &str| alert.source[&format!("kibana.alert.suppression.{name}")].clone();
            let time =
                |name: &str| field(name).as_str().map_or("-".to_owned(), |text| text[11..16].to_owned());
            let user = field("terms").pointer("/0/value").cloned();
            format!(
                "{} +{} {}..{}",
                user.unwrap_or(json!("-")),
                field("docs_count"),
                time("start"),
                time("end")
            )
        })
        .collect()
}

#[test]
fn within_an_execution_a_group_is_one_alert() {
    everywhere(|mut house| {
        let a = json!("a");
        house.add([act("1", noon() - minutes(30), &a), act("2", noon() - minutes(20), &a)]);
        house.add([act("3", noon() - minutes(10), &json!("b"))]);
        let record = house.run(&by_user(""), noon());
        assert_eq!((record.candidates, record.alerts, record.suppressed), (3, 2, 1));
        assert_eq!(shown(&house), ["\"a\" +1 11:30..11:40", "\"b\" +0 11:50..11:50"]);
        // An overlapping window: what was folded before is known, what is new is a new alert.
        house.add([act("4", noon() + minutes(1), &a), act("5", noon() + minutes(2), &a)]);
        let record = house.run(&by_user(""), noon() + minutes(5));
        assert_eq!((record.candidates, record.alerts, record.suppressed, record.duplicates), (5, 1, 1, 3));
        assert_eq!(shown(&house)[2], "\"a\" +1 12:01..12:02");
    });
}

#[test]
fn within_a_period_later_executions_add_to_the_alert() {
    everywhere(|mut house| {
        let rule = by_user(TWO_HOURS);
        house.add([act("1", noon() - minutes(5), &json!("a"))]);
        house.run(&rule, noon());
        house.add([act("2", noon() + minutes(50), &json!("a"))]);
        let record = house.run(&rule, noon() + minutes(60));
        assert_eq!((record.alerts, record.suppressed), (0, 1));
        assert_eq!(shown(&house), ["\"a\" +1 11:55..12:50"]);
        assert_eq!(house.alerts()[0].source["kibana.alert.last_detected"], "2026-11-01T13:00:00.000Z");
        // The period is over.
        house.add([act("3", noon() + minutes(130), &json!("a"))]);
        assert_eq!(house.run(&rule, noon() + minutes(135)).alerts, 1);
        assert_eq!(shown(&house), ["\"a\" +1 11:55..12:50", "\"a\" +0 14:10..14:10"]);
    });
}

#[test]
fn a_closed_alert_takes_in_nothing_more() {
    everywhere(|mut house| {
        let rule = by_user(TWO_HOURS);
        house.add([act("1", noon(), &json!("a"))]);
        house.run(&rule, noon());
        let ids = house.alerts().into_iter().map(|alert| alert.id).collect();
        house.state().set_workflow_status(ids, WorkflowStatus::Closed, noon()).unwrap();
        house.add([act("2", noon() + minutes(1), &json!("a"))]);
        let record = house.run(&rule, noon() + minutes(5));
        assert_eq!((record.alerts, record.suppressed, record.duplicates), (1, 0, 1));
    });
}

#[test]
fn events_without_the_field_are_a_group_or_alerts_of_their_own() {
    everywhere(|mut house| {
        house.add([act("1", noon() - minutes(3), &Value::Null), act("2", noon() - minutes(2), &Value::Null)]);
        house.add([
            act("3", noon() - minutes(1), &json!(["b", "a", "b"])),
            act("4", noon(), &json!(["a", "b"])),
        ]);
        let record = house.run(&by_user("missing_fields_strategy = \"doNotSuppress\""), noon());
        assert_eq!((record.alerts, record.suppressed), (3, 1));
        assert_eq!(shown(&house)[0], "\"-\" +null -..-", "an alert as any other");
        assert_eq!(shown(&house)[2], "[\"a\",\"b\"] +1 11:59..12:00", "the order of values is no difference");
        let mut fresh = House::new(house.place.clone());
        fresh.add([act("1", noon() - minutes(3), &Value::Null), act("2", noon() - minutes(2), &Value::Null)]);
        let record = fresh.run(&by_user(""), noon());
        assert_eq!((record.alerts, record.suppressed), (1, 1));
        assert_eq!(shown(&fresh), ["null +1 11:57..11:58"]);
    });
}

/// kibana#270212: what a window of the past finds is older than the end of an alert, and was not
/// counted.
#[test]
fn a_window_of_the_past_loses_nothing() {
    everywhere(|mut house| {
        let rule = by_user(TWO_HOURS);
        house.add([
            act("late", noon() - minutes(90), &json!("a")),
            act("2", noon() - minutes(80), &json!("a")),
        ]);
        house.add([act("3", noon(), &json!("a"))]);
        house.run(&rule, noon() + minutes(5));
        assert_eq!(shown(&house), ["\"a\" +0 12:00..12:00"]);
        let record = house.run(&rule, noon() - minutes(60));
        assert_eq!((record.candidates, record.alerts, record.suppressed), (2, 1, 1), "{record:?}");
        let mut alerts = shown(&house);
        alerts.sort();
        assert_eq!(alerts, ["\"a\" +0 12:00..12:00", "\"a\" +1 10:30..10:40"]);
        let again = house.run(&rule, noon() - minutes(60));
        assert_eq!((again.alerts, again.suppressed, again.duplicates), (0, 0, 2));
    });
}

#[test]
fn a_threshold_is_suppressed_by_its_own_fields() {
    everywhere(|mut house| {
        let rule = rule(
            "type = \"threshold\"\nquery = \"event.action:x\"\n[rule.threshold]\nfield = [\"user.name\"]\nvalue = 2\n\
             [rule.alert_suppression]\nduration = { value = 3, unit = \"h\" }\n",
        );
        let pair = |house: &mut House, name: &str, minute: i64| {
            let at = noon() + minutes(minute);
            house.add([
                act(&format!("{name}1"), at, &json!("a")),
                act(&format!("{name}2"), at + minutes(1), &json!("a")),
            ]);
        };
        pair(&mut house, "first", -10);
        assert_eq!(house.run(&rule, noon()).alerts, 1);
        pair(&mut house, "second", 30);
        let record = house.run(&rule, noon() + minutes(45));
        assert_eq!((record.alerts, record.suppressed), (0, 1));
        assert_eq!(shown(&house), ["\"a\" +1 11:50..12:31"]);
        assert_eq!(house.run(&rule, noon() + minutes(45)).candidates, 0);
    });
}

#[test]
fn the_cap_counts_a_group_with_all_that_it_would_have_taken_in() {
    everywhere(|mut house| {
        for n in 0..6 {
            house.add([act(&n.to_string(), noon() - minutes(10 - n), &json!(format!("u{}", n / 2)))]);
        }
        let mut rule = by_user("");
        std::sync::Arc::make_mut(&mut rule.rule).max_signals = 2;
        let record = house.run(&rule, noon());
        assert_eq!((record.candidates, record.alerts, record.suppressed, record.capped), (6, 2, 2, 2));
        // The third group comes again, and has room now.
        let record = house.run(&rule, noon() + minutes(5));
        assert_eq!((record.alerts, record.suppressed, record.duplicates), (1, 1, 4));
    });
}

/// What every alert has counted, by its id.
fn counts(house: &House) -> BTreeMap<String, (u64, String, String)> {
    let alert = |alert: &tocsin::store::state::StoredAlert| {
        let field = |name: &str| alert.source[&format!("kibana.alert.suppression.{name}")].clone();
        let text = |name: &str| field(name).as_str().unwrap_or_default().to_owned();
        (alert.id.to_string(), (field("docs_count").as_u64().unwrap_or(0), text("start"), text("end")))
    };
    house.alerts().iter().map(alert).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever slots run in whatever order: every event is counted exactly once, and running any
    /// of them again, or writing alerts without what goes with them, changes no count.
    #[test]
    fn every_event_is_counted_once(
        events in prop::collection::vec((0i64..300, 0usize..3), 1..25),
        slots in prop::collection::vec(0i64..30, 1..6),
        again in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        period in prop::bool::ANY,
        lost in any::<prop::sample::Index>(),
    ) {
        let rule = by_user(if period { TWO_HOURS } else { "" });
        let mut house = House::new(Place::Memory);
        for (n, (minute, user)) in events.iter().enumerate() {
            house.add([act(&n.to_string(), noon() + minutes(*minute), &json!(format!("u{user}")))]);
        }
        let slot = |n: &i64| noon() + minutes(30 + n * 10);
        let lost = lost.index(slots.len());
        for (n, at) in slots.iter().enumerate() {
            let before = memory(&house);
            house.run(&rule, slot(at));
            if n == lost {
                // Only the alerts were written: the execution runs again.
                let counted = counts(&house);
                restore(&house, &before);
                house.run(&rule, slot(at));
                prop_assert_eq!(counts(&house), counted);
            }
        }
        let counted = counts(&house);
        let total: u64 = counted.values().map(|(count, ..)| count + 1).sum();
        let seen = events.iter().filter(|(minute, _)| {
            let at = noon() + minutes(*minute);
            slots.iter().any(|n| slot(n) - minutes(60) <= at && at <= slot(n))
        });
        prop_assert_eq!(total, seen.count() as u64);
        for index in again {
            house.run(&rule, slot(index.get(&slots)));
            prop_assert_eq!(counts(&house), counted.clone());
        }
    }
}

fn memory(house: &House) -> Vec<(String, String, String)> {
    let connection = rusqlite::Connection::open(house.state().path()).unwrap();
    let mut statement = connection.prepare("SELECT rule, key, value FROM rule_memory").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn restore(house: &House, rows: &[(String, String, String)]) {
    let connection = rusqlite::Connection::open(house.state().path()).unwrap();
    connection.execute("DELETE FROM rule_memory", []).unwrap();
    for (rule, key, value) in rows {
        connection.execute("INSERT INTO rule_memory VALUES (?1, ?2, ?3)", [rule, key, value]).unwrap();
    }
}
