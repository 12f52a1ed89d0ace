//! A stretch of the past searched at once (`tocsin backfill --from … --to …`) gives what the slots
//! in it gave one by one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;
use serde_json::json;
use tocsin::app::coverage::filling;
use tocsin::app::replay::Agenda;
use tocsin::backend::memory::MemoryBackend;
use tocsin::base::clock::ManualClock;
use tocsin::base::intervals::Interval;
use tocsin::base::window::iso_millis;
use tocsin::ecs::document::Document;
use tocsin::ecs::mapping::Mapping;
use tocsin::engine::{Due, Engine, Settings, window};
use tocsin::rule::load::toml;
use tocsin::rule::set::RuleSet;
use tocsin::schedule::owed::Policy;
use tocsin::schedule::slots::Slots;
use tocsin::store::state::{AlertQuery, AlertSink as _, EphemeralState};

const QUERY: &str = "query = 'event.action:a'\ntype = \"query\"\nlanguage = \"kuery\"\n";
/// Types of rules, and whether each judges single events.
const TYPES: [(&str, bool); 6] = [
    (QUERY, true),
    ("query = 'any where event.action == \"a\"'\ntype = \"eql\"\nlanguage = \"eql\"\n", true),
    (
        "query = 'sequence by user.name [any where event.action == \"a\"] [any where event.action == \"b\"]'\n\
         type = \"eql\"\nlanguage = \"eql\"\n",
        false,
    ),
    (
        "query = 'event.action:a'\ntype = \"threshold\"\nlanguage = \"kuery\"\n\
         threshold = { field = [\"user.name\"], value = 2 }\n",
        false,
    ),
    (
        "query = 'event.action:a'\ntype = \"new_terms\"\nlanguage = \"kuery\"\n\
         new_terms = { field = \"new_terms_fields\", value = [\"user.name\"], \
         history_window_start = [{ field = \"history_window_start\", value = \"now-3h\" }] }\n",
        false,
    ),
    (
        "query = 'event.action:a'\ntype = \"query\"\nlanguage = \"kuery\"\n\
         [rule.alert_suppression]\ngroup_by = [\"user.name\"]\n",
        false,
    ),
];

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_571_200_000).unwrap()
}

/// An event: seconds after the start, action, user.
type Event = (i64, bool, u8);

fn documents(events: &[Event]) -> Vec<Document> {
    let document = |(n, (second, first, user)): (usize, &Event)| {
        let source = json!({
            "@timestamp": iso_millis(start() + Duration::seconds(*second)),
            "event": {"action": if *first { "a" } else { "b" }, "category": ["process"]},
            "user": {"name": format!("u{user}")},
        });
        Document::new("logs-test", format!("e{n}"), source)
    };
    events.iter().enumerate().map(document).collect()
}

/// Alerts that are no building blocks, by id, with the time of their events where it is told.
fn alerts(state: &EphemeralState) -> BTreeMap<Arc<str>, Option<String>> {
    let found = crate::nodes::block(state.find(&AlertQuery::default())).unwrap();
    let time = |source: &serde_json::Value| source["kibana.alert.original_time"].as_str().map(str::to_owned);
    found.into_iter().map(|alert| (Arc::clone(&alert.id), time(&alert.source))).collect()
}

fn engine(events: &[Event], clock: &Arc<ManualClock>) -> (Engine, Arc<EphemeralState>) {
    let state = Arc::new(EphemeralState::default());
    let backend = Arc::new(MemoryBackend::new(documents(events), Mapping::ecs()));
    let clock = Arc::clone(clock);
    let opened = Engine::open(backend, state.clone(), state.clone(), clock, Settings::default());
    (crate::nodes::block(opened).unwrap(), state)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stretch_at_once_is_the_union_of_its_slots(
        events in prop::collection::vec((0i64..6 * 3_600, any::<bool>(), 0u8..4), 0..40),
        kind in 0..TYPES.len(),
        interval in prop_oneof![Just(5i64), Just(7), Just(30)],
        more in prop_oneof![Just(0i64), Just(3), Just(45)],
        (skipped, slots) in (0i64..8, 1i64..12),
    ) {
        let (body, by_event) = TYPES[kind];
        let text = format!(
            "[rule]\nrule_id = \"r\"\nname = \"R\"\ndescription = \"d\"\nrisk_score = 47\nseverity = \"low\"\n\
             index = [\"logs-*\"]\ninterval = \"{interval}m\"\nfrom = \"now-{}m\"\n{body}",
            interval + more
        );
        let set = RuleSet::new(vec![(PathBuf::from("r.toml"), toml::read(&text, "hash"))], Vec::new());
        prop_assert_eq!(set.compiled.len(), 1, "{}", text);
        let rule = &set.compiled[0];
        let first = Slots::of(&rule.rule).unwrap().after(start() + Duration::minutes(skipped * interval)).unwrap();
        let last = first + Duration::minutes(slots * interval);

        let clock = Arc::new(ManualClock::new(first));
        let (one_by_one, scheduled) = engine(&events, &clock);
        let agenda = Agenda::between(&set.compiled, first, last);
        prop_assert_eq!(agenda.len(), usize::try_from(slots).unwrap());
        crate::nodes::block(agenda.run(&one_by_one, &clock, |_| true));

        let clock = Arc::new(ManualClock::new(last));
        let (at_once, searched) = engine(&events, &clock);
        let end = |slot| window(&rule.rule, slot).unwrap().to.timestamp_millis() + 1;
        let stretch = Interval::new(end(first), end(last));
        for owed in filling(&rule.rule, &[stretch], Policy::default()) {
            let due = Due::on_errand(rule, owed.slot, owed.errand.unwrap());
            crate::nodes::block(at_once.run(vec![due]));
        }
        let mut expected = alerts(&scheduled);
        if by_event {
            // The first slots look back to before the stretch.
            let from = iso_millis(DateTime::from_timestamp_millis(stretch.from).unwrap());
            expected.retain(|_, time| time.as_ref().is_none_or(|time| *time >= from));
        }
        prop_assert_eq!(alerts(&searched), expected, "{}", text);
    }
}
