//! Runs an EQL query over documents, one after the other, with the reference evaluator.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::ecs::value::date;
use tocsin::query::eval::Matcher;
use tocsin::query::eval::eql::{
    JoinKeys, Joined, Key, Outcome, Piped, SampleMatcher, SequenceMatcher, pipes,
};
use tocsin::query::eval::scalar::{Scalar, Value as Scalars};
use tocsin::query::plan::{EqlPlan, EqlQuery, Expr, Filter};

/// An event, its time and its place among events of the same time.
pub(super) struct Event {
    pub doc: FlatDoc,
    pub at: i64,
}

pub(super) fn now() -> DateTime<Utc> {
    "2026-11-24T00:00:00Z".parse().unwrap()
}

/// Events in order of `@timestamp`, then of `tiebreaker`, then as given.
pub(super) fn events(sources: &[Value], mapping: &Mapping, tiebreaker: Option<&str>) -> Vec<Event> {
    let field = |name: &str| {
        let expr = Expr::Field { name: name.into(), optional: true };
        Scalar::compile(&expr, mapping, now())
    };
    let tie = tiebreaker.map(field);
    let mut all: Vec<(i64, i128, Event)> = sources
        .iter()
        .map(|source| {
            let doc = FlatDoc::from_value(source);
            let at = doc.values("@timestamp").next().and_then(|leaf| date::parse(leaf.value, None));
            let at = at.map_or(0, date::millis);
            let tie = match tie.as_ref().map(|tie| tie.first(&doc).into_owned()) {
                Some(Scalars::Whole(value)) => value,
                _ => 0,
            };
            (at, tie, Event { doc, at })
        })
        .collect();
    all.sort_by_key(|(at, tie, _)| (*at, *tie));
    all.into_iter().map(|(_, _, event)| event).collect()
}

/// What a query finds: the numbers of events, by result.
pub(super) fn run(query: &EqlQuery, mapping: &Mapping, events: &[Event]) -> Vec<Joined<usize>> {
    let found = match &query.plan {
        EqlPlan::Event(filter) => {
            let matcher = Matcher::compile(filter, mapping, now());
            let hit = |number: usize| Joined { key: Key::from([]), events: vec![Some(number)] };
            let hits = (0..events.len()).filter(|n| matcher.matches(&events[*n].doc, None)).map(hit);
            Outcome { found: hits.collect(), given_up: 0, left_out: 0 }
        }
        EqlPlan::Sequence(plan) => {
            let mut matcher = SequenceMatcher::new(plan);
            let asked = matcher.asked().to_vec();
            feed(&plan.searches, &asked, mapping, events, |at, number, keys| {
                matcher.event(at, &number, keys);
            });
            matcher.finish()
        }
        EqlPlan::Sample(plan) => {
            let mut matcher = SampleMatcher::new(plan);
            let asked = matcher.asked().to_vec();
            feed(&plan.searches, &asked, mapping, events, |_, number, keys| matcher.event(&number, keys));
            matcher.finish()
        }
    };
    assert_eq!((found.given_up, found.left_out), (0, 0));
    let first = |joined: &Joined<usize>| {
        joined
            .events
            .iter()
            .flatten()
            .next()
            .map_or_else(FlatDoc::default, |number| events[*number].doc.clone())
    };
    match pipes(found.found, &query.pipes, mapping, now(), first) {
        Piped::Results(found) => found,
        Piped::Counts(_) => panic!("counts are no events"),
    }
}

fn feed(
    searches: &[std::sync::Arc<Filter>],
    asked: &[tocsin::query::eval::eql::Asked],
    mapping: &Mapping,
    events: &[Event],
    mut event: impl FnMut(i64, usize, &[Vec<Key>]),
) {
    let searches: Vec<Matcher> = searches.iter().map(|f| Matcher::compile(f, mapping, now())).collect();
    let keys: Vec<JoinKeys> = asked.iter().map(|a| JoinKeys::compile(&a.keys, mapping, now())).collect();
    for (number, one) in events.iter().enumerate() {
        let keys: Vec<Vec<Key>> = asked
            .iter()
            .zip(&keys)
            .map(|(asked, keys)| {
                if searches[asked.search].matches(&one.doc, None) {
                    keys.of(&one.doc, &mut 0)
                } else {
                    Vec::new()
                }
            })
            .collect();
        if keys.iter().any(|keys| !keys.is_empty()) {
            event(one.at, number, &keys);
        }
    }
}
