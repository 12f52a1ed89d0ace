use serde_json::json;

use super::{event, everywhere, minutes, noon, rule};

fn terms(fields: &str) -> String {
    format!(
        "type = \"new_terms\"\nquery = \"event.action:x\"\nnew_terms_fields = [{fields}]\nhistory_window_start = \"now-7d\"\n"
    )
}

#[test]
fn values_without_history_are_alerts_on_their_oldest_event() {
    everywhere(|mut house| {
        let seen = |id: &str, at, user: &str| {
            event(id, at, json!({"event": {"action": "x"}, "user": {"name": user}}))
        };
        house.add([
            seen("old", noon() - minutes(60 * 24 * 3), "a"),
            seen("older than the history", noon() - minutes(60 * 24 * 8), "b"),
            seen("1", noon() - minutes(5), "a"),
            seen("2", noon() - minutes(5), "b"),
            seen("3", noon() - minutes(4), "b"),
            seen("4", noon() - minutes(1), "c"),
            event(
                "of another action",
                noon() - minutes(600),
                json!({"event": {"action": "y"}, "user": {"name": "c"}}),
            ),
        ]);
        let record = house.run(&rule(&terms("\"user.name\"")), noon());
        assert_eq!((record.candidates, record.alerts), (2, 2));
        assert_eq!(house.field("kibana.alert.new_terms"), [json!(["b"]), json!(["c"])]);
        let ids: Vec<_> =
            house.alerts().iter().map(|a| a.source["kibana.alert.ancestors"][0]["id"].clone()).collect();
        assert_eq!(ids, ["2", "4"]);
        let again = house.run(&rule(&terms("\"user.name\"")), noon() + minutes(5));
        assert_eq!(
            (again.candidates, again.duplicates),
            (2, 2),
            "still new in an overlapping window, alerted once"
        );
    });
}

#[test]
fn a_term_first_seen_at_the_very_start_of_the_window_is_not_new() {
    everywhere(|mut house| {
        let seen = |id: &str, ms: i64, user: &str| {
            let at = noon() - minutes(60) + chrono::Duration::milliseconds(ms);
            event(id, at, json!({"event": {"action": "x"}, "user": {"name": user}}))
        };
        house.add([seen("1", 0, "a"), seen("2", 1, "b")]);
        house.run(&rule(&terms("\"user.name\"")), noon());
        assert_eq!(house.field("kibana.alert.new_terms"), [json!(["b"])]);
    });
}

#[test]
fn several_values_and_several_fields_are_combined() {
    everywhere(|mut house| {
        let both = |id: &str, at, users: serde_json::Value, ports: serde_json::Value| {
            event(
                id,
                at,
                json!({"event": {"action": "x"}, "user": {"name": users}, "source": {"port": ports}}),
            )
        };
        house.add([
            both("old", noon() - minutes(100), json!("a"), json!(80)),
            both("new", noon() - minutes(1), json!(["a", "b"]), json!([80, "443"])),
            both("missing", noon() - minutes(1), json!("z"), json!(null)),
        ]);
        house.run(&rule(&terms("\"user.name\", \"source.port\"")), noon());
        assert_eq!(
            house.field("kibana.alert.new_terms"),
            [json!(["a", 443]), json!(["b", 443]), json!(["b", 80])],
            "numbers stay numbers, a missing value makes no term"
        );
    });
}
