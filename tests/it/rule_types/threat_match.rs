use std::sync::Arc;

use serde_json::{Value, json};
use tocsin::backend::Backend;
use tocsin::backend::local::LocalBackend;
use tocsin::base::clock::ManualClock;
use tocsin::ecs::document::{Document, NewDocument};
use tocsin::ecs::flat::FlatDoc;
use tocsin::engine::{Due, Engine, Settings, Trigger};
use tocsin::store::state::StateDb;
use tocsin::store::{Store, StoreOptions};

use super::{House, event, everywhere, minutes, noon, rule};

/// Events whose `entries` equal those of an indicator; `mapping` is TOML, a list of groups.
fn matching(mapping: &str) -> String {
    format!(
        "type = \"threat_match\"\nquery = \"event.action:x\"\nthreat_index = [\"indicators-*\"]\n\
         threat_query = \"not threat.indicator.type:retired\"\nthreat_mapping = {mapping}\n"
    )
}

const BY_ADDRESS: &str =
    "[{ entries = [{ field = \"source.ip\", type = \"mapping\", value = \"threat.indicator.ip\" }] }]";

fn indicator(id: &str, fields: Value) -> Document {
    let mut source = json!({"@timestamp": "2020-01-01T00:00:00Z"});
    source.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Document::new("indicators-feed", id, source)
}

fn connection(id: &str, minute: i64, fields: Value) -> Document {
    let mut all = json!({"event": {"action": "x"}});
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    event(id, noon() + minutes(minute - 30), all)
}

/// Ids of the events alerted on.
fn alerted(house: &House) -> Vec<String> {
    let id = |source: &Value| source["kibana.alert.ancestors"][0]["id"].as_str().unwrap().to_owned();
    let mut ids: Vec<String> = house.alerts().iter().map(|alert| id(&alert.source)).collect();
    ids.sort();
    ids
}

#[test]
fn an_event_with_an_indicators_value_alerts_and_tells_of_it() {
    everywhere(|mut house| {
        house.add([
            indicator("tor-1", json!({"threat": {"feed": {"name": "exits"}, "indicator": {"ip": "203.0.113.7", "type": "ipv4-addr"}}})),
            indicator("old", json!({"threat": {"indicator": {"ip": "203.0.113.8", "type": "retired"}}})),
            connection("1", 1, json!({"source": {"ip": "203.0.113.7"}, "threat": {"enrichments": [{"indicator": {}}]}})),
            connection("2", 2, json!({"source": {"ip": "203.0.113.8"}})),
            connection("3", 3, json!({"source": {"ip": "198.51.100.1"}})),
            connection("4", 4, json!({"destination": {"ip": "203.0.113.7"}})),
        ]);
        let record = house.run(&rule(&matching(BY_ADDRESS)), noon());
        assert_eq!((record.alerts, record.candidates), (1, 1));
        let alert = &house.alerts()[0].source;
        let enrichments = tocsin::alert::lookup::lookup(alert, "threat.enrichments").expect("enrichments");
        assert_eq!(
            enrichments,
            &json!([
                {"indicator": {}},
                {
                    "indicator": {"ip": "203.0.113.7", "type": "ipv4-addr"},
                    "feed": {"name": "exits"},
                    "matched": {
                        "atomic": "203.0.113.7", "field": "source.ip", "id": "tor-1",
                        "index": house.named("indicators-feed"), "type": "indicator_match_rule",
                    },
                },
            ])
        );
        assert_eq!(house.run(&rule(&matching(BY_ADDRESS)), noon()).duplicates, 1, "again is a duplicate");
    });
}

#[test]
fn groups_are_alternatives_and_entries_belong_together() {
    let mapping = "[{ entries = [\
         { field = \"user.name\", type = \"mapping\", value = \"threat.indicator.name\" },\
         { field = \"source.ip\", type = \"mapping\", value = \"threat.indicator.ip\" }] },\
         { entries = [\
         { field = \"host.name\", type = \"mapping\", value = \"threat.indicator.name\" },\
         { field = \"source.ip\", type = \"mapping\", value = \"threat.indicator.ip\", negate = true }] }]";
    everywhere(|mut house| {
        house.add([
            indicator("a", json!({"threat": {"indicator": {"name": "eve", "ip": "203.0.113.1"}}})),
            indicator(
                "b",
                json!({"threat": {"indicator": {"name": "mallory", "ip": ["203.0.113.2", "203.0.113.3"]}}}),
            ),
            connection("both", 1, json!({"user": {"name": "eve"}, "source": {"ip": "203.0.113.1"}})),
            connection("of-two", 2, json!({"user": {"name": "eve"}, "source": {"ip": "203.0.113.2"}})),
            connection(
                "array",
                3,
                json!({"user": {"name": ["x", "mallory"]}, "source": {"ip": "203.0.113.3"}}),
            ),
            connection("not-there", 4, json!({"host": {"name": "mallory"}, "source": {"ip": "203.0.113.9"}})),
            connection("there", 5, json!({"host": {"name": "mallory"}, "source": {"ip": "203.0.113.3"}})),
        ]);
        house.run(&rule(&matching(mapping)), noon());
        assert_eq!(alerted(&house), ["array", "both", "not-there"]);
        let both = &house.alerts().into_iter().find(|a| a.source["user"]["name"] == "eve").unwrap().source;
        let fields: Vec<&Value> = tocsin::alert::lookup::lookup(both, "threat.enrichments")
            .and_then(Value::as_array)
            .unwrap()
            .iter()
            .map(|e| &e["matched"]["field"])
            .collect();
        assert_eq!(fields, ["user.name", "source.ip"], "each entry says what it matched");
    });
}

#[test]
fn networks_among_the_indicators_hold_addresses() {
    let mapping =
        "[{ entries = [{ field = \"source.ip\", type = \"mapping\", value = \"threat.indicator.name\" }] }]";
    everywhere(|mut house| {
        house.add([
            indicator("net", json!({"threat": {"indicator": {"name": "203.0.113.0/24"}}})),
            indicator("one", json!({"threat": {"indicator": {"name": "2001:db8::1"}}})),
            connection("1", 1, json!({"source": {"ip": "203.0.113.200"}})),
            connection("2", 2, json!({"source": {"ip": "203.0.114.1"}})),
            connection("3", 3, json!({"source": {"ip": "2001:0db8:0::1"}})),
        ]);
        house.run(&rule(&matching(mapping)), noon());
        assert_eq!(alerted(&house), ["1", "3"]);
    });
}

#[test]
fn many_events_are_narrowed_by_the_values_of_the_indicators() {
    everywhere(|mut house| {
        house.add((0..300).map(|n| {
            indicator(
                &format!("i{n}"),
                json!({"threat": {"indicator": {"ip": format!("203.0.113.{}", n % 250)}}}),
            )
        }));
        house.add((0..3_000).map(|n| {
            connection(
                &format!("e{n:04}"),
                n % 29,
                json!({"source": {"ip": format!("198.51.{}.{}", n / 250, n % 250)}}),
            )
        }));
        house.add([connection("hit", 5, json!({"source": {"ip": "203.0.113.4"}}))]);
        let record = house.run(&rule(&matching(BY_ADDRESS)), noon());
        assert_eq!(alerted(&house), ["hit"], "{record:?}");
        let alert = &house.alerts()[0].source;
        let enrichments =
            tocsin::alert::lookup::lookup(alert, "threat.enrichments").and_then(Value::as_array);
        assert_eq!(enrichments.unwrap().len(), 2, "two indicators have the address");
    });
}

#[test]
fn missing_indicators_are_said() {
    everywhere(|mut house| {
        house.add([connection("1", 1, json!({"source": {"ip": "203.0.113.7"}}))]);
        let record = house.run(&rule(&matching(BY_ADDRESS)), noon());
        assert_eq!((record.alerts, record.status.as_str()), (0, "no data source"));
        let indicators = house.named("indicators-*");
        let missing = format!("no index of indicators matches `{indicators}`: nothing can be found");
        assert_eq!(record.warnings, [missing]);
    });
}

/// One service: the values of indicators that it keeps between executions are never old ones.
#[test]
fn what_is_kept_of_indicators_follows_them() {
    let dir = tempfile::TempDir::new().unwrap();
    let store = Arc::new(Store::open(dir.path(), StoreOptions::default()).unwrap());
    let append = |documents: Vec<Document>| {
        let new = documents.iter().map(|document| NewDocument {
            index: Arc::clone(&document.index),
            id: document.id.to_string(),
            source: document.source.to_string(),
            original: None,
            flat: FlatDoc::from_value(&document.source),
        });
        store.append(new.collect()).unwrap();
    };
    // More events than a page holds, so that the indicators' values narrow them.
    let address = |n: i64| format!("198.51.{}.{}", n / 250, n % 250);
    append(
        (0..1_500)
            .map(|n| connection(&n.to_string(), n % 29, json!({"source": {"ip": address(n)}})))
            .collect(),
    );
    let known = |id: &str, n: i64, at: &str| {
        let fields = json!({"threat": {"indicator": {"ip": address(n), "type": "ipv4-addr"}}});
        let mut indicator = indicator(id, fields);
        Arc::make_mut(&mut indicator.source)["@timestamp"] = json!(at);
        indicator
    };
    append(vec![known("a", 7, "2026-11-01T11:30:00Z"), known("b", 1_100, "2026-10-31T12:20:00Z")]);
    let text =
        matching(BY_ADDRESS).replace("not threat.indicator.type:retired", "@timestamp >= \\\"now-1d\\\"");
    let rule = rule(&text);
    let state = Arc::new(StateDb::open(dir.path()).unwrap());
    let backend: Arc<dyn Backend> = Arc::new(LocalBackend::new(Arc::clone(&store), None));
    let settings = Settings { trigger: Trigger::Manual, ..Settings::default() };
    let engine = Engine::new(backend, state, Arc::new(ManualClock::new(noon())), settings).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let run = |minute: i64| {
        let due = Due { plan: rule.plan.clone(), ..Due::not_run(&rule.rule, noon() + minutes(minute)) };
        let record = runtime.block_on(engine.run(vec![due])).remove(0);
        assert_eq!((record.error.as_deref(), &record.warnings), (None, &Vec::new()));
        record.candidates
    };
    assert_eq!(run(0), 2);
    assert_eq!(run(0), 2, "nothing has changed");
    append(vec![known("c", 1_400, "2026-11-01T11:59:00Z")]);
    assert_eq!(run(0), 3, "an indicator came");
    assert_eq!(run(30), 2, "one is older than a day now");
    append(vec![connection("new", 29, json!({"source": {"ip": address(7)}}))]);
    assert_eq!(run(30), 3, "an event came");
}
