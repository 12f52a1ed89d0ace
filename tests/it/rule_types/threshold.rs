use serde_json::json;

use super::{event, everywhere, minutes, noon, rule};

const RULE: &str = "type = \"threshold\"\nquery = \"event.action:x\"\n";

fn by_user(value: u32) -> String {
    format!("{RULE}[rule.threshold]\nfield = [\"user.name\"]\nvalue = {value}\n")
}

#[test]
fn each_group_that_is_large_enough_is_one_alert() {
    everywhere(|mut house| {
        for (n, user) in (0..).zip(["a", "a", "a", "b", "b", "c"]) {
            let at = noon() - minutes(30) + minutes(n);
            house.add([event(&n.to_string(), at, json!({"event": {"action": "x"}, "user": {"name": user}}))]);
        }
        house.add([event("other", noon(), json!({"event": {"action": "y"}, "user": {"name": "c"}}))]);
        let record = house.run(&rule(&by_user(2)), noon());
        assert_eq!((record.candidates, record.alerts), (2, 2));
        let alerts = house.alerts();
        let first = &alerts[0].source;
        assert_eq!(first["user.name"], "a");
        assert_eq!(first["kibana.alert.original_time"], "2026-11-01T11:32:00.000Z");
        assert_eq!(
            first["kibana.alert.threshold_result"],
            json!({"terms": [{"field": "user.name", "value": "a"}], "count": 3, "from": "2026-11-01T11:30:00.000Z"})
        );
        assert_eq!(first["kibana.alert.ancestors"][0]["index"], house.named("logs-*"));
        assert_eq!(alerts[1].source["kibana.alert.threshold_result"]["count"], 2);
    });
}

#[test]
fn no_event_counts_twice_and_new_ones_reach_the_threshold_alone() {
    everywhere(|mut house| {
        let rule = rule(&by_user(2));
        let add = |house: &mut super::House, id: &str, minute: i64| {
            let fields = json!({"event": {"action": "x"}, "user": {"name": "a"}});
            house.add([event(id, noon() + minutes(minute), fields)]);
        };
        add(&mut house, "1", -10);
        add(&mut house, "2", -9);
        assert_eq!(house.run(&rule, noon()).alerts, 1);
        assert_eq!(house.run(&rule, noon() + minutes(5)).candidates, 0);
        add(&mut house, "3", 6);
        assert_eq!(house.run(&rule, noon() + minutes(10)).candidates, 0, "one more is not two");
        // What the rule remembers is lost: the alerts still say it.
        let state = house.state();
        let connection = rusqlite::Connection::open(state.path()).unwrap();
        connection.execute("DELETE FROM rule_memory", []).unwrap();
        assert_eq!(house.run(&rule, noon() + minutes(15)).candidates, 0);
        add(&mut house, "4", 16);
        assert_eq!(house.run(&rule, noon() + minutes(20)).alerts, 1);
        // A window of the past in which nothing was counted yet counts by itself.
        add(&mut house, "5", -130);
        add(&mut house, "6", -129);
        assert_eq!(house.run(&rule, noon() - minutes(100)).alerts, 1);
        // The same slot again: nothing is left to count.
        assert_eq!(house.run(&rule, noon() + minutes(20)).alerts, 0);
    });
}

#[test]
fn without_fields_all_events_are_one_group() {
    everywhere(|mut house| {
        let events = (0..4).map(|n| event(&n.to_string(), noon(), json!({"event": {"action": "x"}})));
        house.add(events);
        let none = |value: u32| format!("{RULE}[rule.threshold]\nfield = []\nvalue = {value}\n");
        assert_eq!(house.run(&rule(&none(5)), noon()).candidates, 0);
        assert_eq!(house.run(&rule(&none(4)), noon()).alerts, 1);
        let result = &house.alerts()[0].source["kibana.alert.threshold_result"];
        assert_eq!(*result, json!({"terms": [], "count": 4, "from": "2026-11-01T12:00:00.000Z"}));
    });
}

#[test]
fn distinct_values_of_a_field_may_be_needed_besides() {
    everywhere(|mut house| {
        for (n, (user, address)) in
            [("a", "10.0.0.1"), ("a", "10.0.0.2"), ("a", "10.0.0.2"), ("b", "10.0.0.1"), ("b", "10.0.0.1")]
                .into_iter()
                .enumerate()
        {
            let fields = json!({"event": {"action": "x"}, "user": {"name": user}, "source": {"ip": address}});
            house.add([event(&n.to_string(), noon(), fields)]);
        }
        let more = "[[rule.threshold.cardinality]]\nfield = \"source.ip\"\nvalue = 2\n";
        assert_eq!(house.run(&rule(&(by_user(1) + more)), noon()).alerts, 1);
        let result = &house.alerts()[0].source["kibana.alert.threshold_result"];
        assert_eq!(result["cardinality"], json!([{"field": "source.ip", "value": 2}]));
        assert_eq!(result["terms"][0]["value"], "a");
    });
}
