use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{event, everywhere, minutes, noon, rule};

/// A rule whose query is `query`; `more` are further fields.
fn eql(query: &str, more: &str) -> tocsin::rule::load::LoadedRule {
    rule(&format!("type = \"eql\"\nlanguage = \"eql\"\n{more}query = '''{query}'''\n"))
}

fn did(id: &str, minute: i64, user: &str, action: &str) -> tocsin::ecs::document::Document {
    let fields = json!({"event": {"category": ["iam"], "action": action}, "user": {"name": user}, "tags": [action, "t"]});
    event(id, noon() - minutes(30) + minutes(minute), fields)
}

const TWO: &str = "sequence by user.name with maxspan=10m\n  [iam where event.action == \"make\"]\n  [iam where event.action == \"use\"]";

#[test]
fn a_single_event_is_an_alert_like_that_of_any_query() {
    everywhere(|mut house| {
        house.add([did("1", 0, "a", "Make"), did("2", 1, "b", "use")]);
        let record =
            house.run(&eql("iam where event.action : \"MA*\" and length(user.name) == 1", ""), noon());
        assert_eq!((record.candidates, record.alerts), (1, 1));
        let alerts = house.alerts();
        assert_eq!(alerts[0].source["kibana.alert.ancestors"][0]["id"], "1");
        assert_eq!(alerts[0].source["kibana.alert.rule.type"], "eql");
    });
}

#[test]
fn a_sequence_is_a_shell_over_building_blocks_and_is_found_once() {
    everywhere(|mut house| {
        house.add([did("1", 0, "a", "make"), did("2", 1, "b", "use"), did("3", 2, "a", "use")]);
        house.add([did("4", 4, "b", "make"), did("5", 15, "b", "use")]);
        let rule = eql(TWO, "");
        let record = house.run(&rule, noon());
        assert_eq!((record.candidates, record.alerts), (1, 1), "the blocks are not counted");
        let alerts = house.alerts();
        assert_eq!(alerts.len(), 3);
        let (blocks, shells): (Vec<_>, Vec<_>) = alerts
            .iter()
            .map(|a| &a.source)
            .partition(|a| a.get("kibana.alert.building_block_type").is_some());
        let shell = shells[0];
        assert_eq!(shell["kibana.alert.depth"], 2);
        assert_eq!(shell["user"]["name"], "a");
        assert_eq!(shell["tags"], json!(["t"]));
        assert!(shell["event"].get("action").is_none(), "{shell}");
        assert!(shell.get("kibana.alert.group.index").is_none());
        let group = &shell["kibana.alert.group.id"];
        assert_eq!(*group, shell["kibana.alert.uuid"]);
        let positions: BTreeSet<i64> =
            blocks.iter().map(|b| b["kibana.alert.group.index"].as_i64().unwrap()).collect();
        assert_eq!(positions, BTreeSet::from([0, 1]));
        assert!(blocks.iter().all(|block| block["kibana.alert.group.id"] == *group));
        let ancestors: Vec<&Value> =
            shell["kibana.alert.ancestors"].as_array().unwrap().iter().map(|a| &a["type"]).collect();
        assert_eq!(ancestors, ["event", "signal", "event", "signal"]);
        // The same window again, and one that overlaps.
        assert_eq!(house.run(&rule, noon()).duplicates, 1);
        assert_eq!(house.run(&rule, noon() + minutes(5)).duplicates, 1);
        assert_eq!(house.alerts().len(), 3);
    });
}

#[test]
fn missing_events_runs_until_and_filters_decide() {
    everywhere(|mut house| {
        house.add([did("1", 0, "a", "make"), did("2", 1, "a", "use"), did("3", 2, "b", "make")]);
        let missing = "sequence by user.name with maxspan=5m [iam where event.action == \"make\"] ![iam where event.action == \"use\"]";
        assert_eq!(house.run(&eql(missing, ""), noon()).candidates, 1);
        let runs = "sequence by tags [iam where true] with runs=3";
        assert_eq!(house.run(&eql(runs, ""), noon()).candidates, 1);
        let until = format!("{TWO} until [iam where event.action == \"make\" and user.name == \"b\"]");
        assert_eq!(house.run(&eql(&until, ""), noon()).candidates, 1, "another key's event ends nothing");
        let filter = "filters = [{ query = { term = { \"user.name\" = \"b\" } } }]\n";
        assert_eq!(house.run(&eql(TWO, filter), noon()).candidates, 0);
        let sample =
            "sample by user.name [iam where event.action == \"use\"] [iam where event.action == \"make\"]";
        assert_eq!(house.run(&eql(sample, ""), noon()).candidates, 1);
    });
}

#[test]
fn sequences_are_folded_by_their_shells_and_blocks_go_with_them() {
    everywhere(|mut house| {
        house.add([did("1", 0, "a", "make"), did("2", 1, "a", "use"), did("3", 2, "a", "make")]);
        house.add([did("4", 3, "a", "use"), did("5", 4, "b", "make"), did("6", 5, "b", "use")]);
        let rule = eql(
            TWO,
            "alert_suppression = { group_by = [\"user.name\"], duration = { value = 2, unit = \"h\" } }\n",
        );
        let record = house.run(&rule, noon());
        assert_eq!((record.candidates, record.alerts, record.suppressed), (3, 2, 1));
        let alerts = house.alerts();
        assert_eq!(alerts.len(), 6, "a shell and its two blocks for each user");
        let (blocks, shells): (Vec<_>, Vec<_>) = alerts
            .iter()
            .map(|a| &a.source)
            .partition(|a| a.get("kibana.alert.building_block_type").is_some());
        let of_a = shells.iter().find(|shell| shell["user"]["name"] == "a").expect("a shell");
        assert_eq!(of_a["kibana.alert.suppression.docs_count"], 1);
        assert_eq!(of_a["kibana.alert.suppression.start"], "2026-11-01T11:30:00.000Z");
        assert_eq!(of_a["kibana.alert.suppression.end"], "2026-11-01T11:33:00.000Z");
        let mine = blocks.iter().filter(|b| b["kibana.alert.group.id"] == of_a["kibana.alert.group.id"]);
        let events: Vec<&Value> = mine.map(|b| &b["kibana.alert.ancestors"][0]["id"]).collect();
        assert_eq!(events, ["1", "2"], "those of the sequence that became the alert");
        assert!(blocks.iter().all(|b| b.get("kibana.alert.suppression.docs_count").is_none()));
        // A later execution adds to the shell, and makes no blocks.
        house.add([did("7", 32, "a", "make"), did("8", 33, "a", "use")]);
        let record = house.run(&rule, noon() + minutes(10));
        assert_eq!((record.alerts, record.suppressed), (0, 1));
        let alerts = house.alerts();
        assert_eq!(alerts.len(), 6);
        let of_a =
            alerts.iter().find(|a| a.source["user"]["name"] == "a" && a.source["kibana.alert.depth"] == 2);
        assert_eq!(of_a.expect("a shell").source["kibana.alert.suppression.docs_count"], 2);
    });
}

#[test]
fn an_event_of_too_many_keys_is_joined_by_some_and_that_is_said() {
    everywhere(|mut house| {
        let many: Vec<String> = (0..40).map(|n| format!("k{n:02}")).collect();
        let act = |id: &str, minute: i64, action: &str| {
            let fields = json!({"event": {"category": ["iam"], "action": action}, "tags": many, "labels": {"a": many}});
            event(id, noon() - minutes(30) + minutes(minute), fields)
        };
        house.add([act("1", 0, "make"), act("2", 1, "use")]);
        let two = "sequence by tags, labels.a [iam where event.action == \"make\"] [iam where event.action == \"use\"]";
        let record = house.run(&eql(two, "max_signals = 1000\n"), noon());
        assert_eq!(record.candidates, 1_024);
        assert!(
            record.warnings.iter().any(|w| w.contains("1152 combinations of key values were not joined")),
            "{:?}",
            record.warnings
        );
    });
}

#[test]
fn events_of_one_time_are_in_the_order_of_the_tiebreaker() {
    everywhere(|mut house| {
        let at = noon() - minutes(5);
        let fields = |action: &str, number: i64| json!({"event": {"category": "iam", "action": action, "sequence": number}, "user": {"name": "a"}});
        // Their ids say the opposite of their numbers.
        house.add([event("b", at, fields("make", 1)), event("a", at, fields("use", 2))]);
        assert_eq!(house.run(&eql(TWO, ""), noon()).candidates, 0);
        assert_eq!(house.run(&eql(TWO, "tiebreaker_field = \"event.sequence\"\n"), noon()).candidates, 1);
        // Ordered by one field, searched on another.
        let more = "timestamp_override = \"event.ingested\"\ntiebreaker_field = \"event.sequence\"\n";
        assert_eq!(house.run(&eql(TWO, more), noon()).candidates, 1);
    });
}

#[test]
fn pipes_are_refused_where_they_would_hide_events() {
    let file = tocsin::rule::load::toml::read(
        "[rule]\nrule_id = \"r\"\nname = \"R\"\ndescription = \"d\"\nrisk_score = 1\nseverity = \"low\"\n\
         type = \"eql\"\nlanguage = \"eql\"\nquery = '''any where true | unique user.name'''\n",
        "hash",
    );
    let found = file.diagnostics.iter().find(|found| found.code == "EQL013").expect("a finding");
    assert_eq!(found.line, Some(9));
}
