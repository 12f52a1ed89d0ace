//! Sequences on random streams, against an enumerator that says what a sequence is.
//!
//! The enumerator knows no state machine. A sequence is a choice of events, one for each stage that
//! occurs, later and later, all of one key, within the longest time. Which of the choices are found
//! follows from two sentences: an event that ends a stage goes on with the latest unfinished
//! sequence of the stage before that ended before it, and an unfinished sequence goes on once, and
//! not after a later one of its stage did. `until` and missing events are judged on the events
//! between.

use std::sync::Arc;

use proptest::prelude::*;
use tocsin::query::eval::eql::{Key, KeyValue, SequenceMatcher};
use tocsin::query::plan::{Filter, JoinKey, Node, SequencePlan, StagePlan};

/// An event: time, which of the stages' searches it answers, its key.
#[derive(Debug, Clone)]
struct Event {
    at: i64,
    answers: Vec<bool>,
    key: u8,
}

#[derive(Debug, Clone)]
struct Shape {
    /// By stage: the search it asks for, whether it must be missing.
    stages: Vec<(usize, bool)>,
    until: Option<usize>,
    maxspan: Option<i64>,
}

const SEARCHES: usize = 3;

fn shape() -> impl Strategy<Value = Shape> {
    let stages = prop::collection::vec((0..SEARCHES, prop::bool::weighted(0.25)), 1..5);
    (stages, prop::option::weighted(0.3, 0..SEARCHES), prop::option::of(1..12_i64)).prop_filter_map(
        "some stage occurs, and missing events have a longest time",
        |(stages, until, maxspan)| {
            let occurs = stages.iter().any(|(_, missing)| !missing);
            let bounded = maxspan.is_some() || stages.iter().all(|(_, missing)| !missing);
            (occurs && bounded).then_some(Shape { stages, until, maxspan })
        },
    )
}

fn stream() -> impl Strategy<Value = Vec<Event>> {
    // Steps of zero make events of the same time.
    let event = (0..3_i64, prop::collection::vec(prop::bool::weighted(0.4), SEARCHES), 0..2_u8);
    prop::collection::vec(event, 0..24).prop_map(|events| {
        let mut at = 0;
        let timed = events.into_iter().map(|(step, answers, key)| {
            at += step;
            Event { at, answers, key }
        });
        timed.collect()
    })
}

/// A chain of events that ended a stage that occurs; `next` is the event that took it further.
#[derive(Debug, Clone)]
struct Chain {
    events: Vec<usize>,
    next: Option<usize>,
}

/// By definition: sequences as lists of events, in order of their last one.
fn enumerate(shape: &Shape, stream: &[Event]) -> Vec<(u8, Vec<Option<usize>>)> {
    let occur: Vec<usize> = (0..shape.stages.len()).filter(|s| !shape.stages[*s].1).collect();
    let mut found = Vec::new();
    for key in 0..2 {
        let mine: Vec<usize> = (0..stream.len()).filter(|e| stream[*e].key == key).collect();
        let answers = |event: usize, search: usize| stream[event].answers[search];
        // Chains by stage, all of one stage before the next.
        let mut chains: Vec<Chain> = mine
            .iter()
            .filter(|e| answers(**e, shape.stages[occur[0]].0))
            .map(|e| Chain { events: vec![*e], next: None })
            .collect();
        for stage in &occur[1..] {
            let mut longer = Vec::new();
            for event in mine.iter().copied().filter(|e| answers(*e, shape.stages[*stage].0)) {
                let before = |chain: &Chain| *chain.events.last().unwrap() < event;
                let Some(latest) = chains.iter().rposition(before) else { continue };
                // Taken by an earlier event, or passed over by one.
                if chains[latest..].iter().any(|chain| chain.next.is_some()) {
                    continue;
                }
                chains[latest].next = Some(event);
                let chain = &chains[latest];
                let (first, last) = (chain.events[0], *chain.events.last().unwrap());
                if shape.maxspan.is_some_and(|most| stream[event].at - stream[first].at > most) {
                    continue;
                }
                let ended = shape.until.is_some_and(|until| {
                    mine.iter().any(|e| (last..event).contains(e) && answers(*e, until))
                });
                if !ended {
                    let events = chain.events.iter().copied().chain([event]).collect();
                    longer.push(Chain { events, next: None });
                }
            }
            chains = longer;
        }
        for chain in chains {
            let last = *chain.events.last().unwrap();
            let most = shape.maxspan.unwrap_or(0);
            let spoiled = shape.stages.iter().enumerate().filter(|(_, (_, missing))| *missing).any(
                |(at, (search, _))| {
                    let before = occur.iter().rposition(|stage| *stage < at).map(|n| chain.events[n]);
                    let after = occur.iter().position(|stage| *stage > at).map(|n| chain.events[n]);
                    mine.iter().filter(|e| answers(**e, *search)).any(|e| match (before, after) {
                        (Some(before), Some(after)) => before < *e && *e < after,
                        (None, Some(after)) => *e < after && stream[*e].at >= stream[last].at - most,
                        (Some(before), None) => {
                            before < *e && stream[*e].at <= stream[chain.events[0]].at + most
                        }
                        (None, None) => false,
                    })
                },
            );
            if !spoiled {
                let mut events = chain.events.iter();
                let whole = shape.stages.iter().map(|(_, m)| if *m { None } else { events.next().copied() });
                found.push((last, key, whole.collect::<Vec<_>>()));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, key, events)| (key, events)).collect()
}

fn plan(shape: &Shape) -> SequencePlan {
    let keys = vec![JoinKey { name: "k".into(), optional: false }];
    let stage = |search: usize, missing: bool| StagePlan { search, keys: keys.clone(), missing };
    SequencePlan {
        searches: (0..SEARCHES).map(|_| Arc::new(Filter::new(Node::All))).collect(),
        stages: shape.stages.iter().map(|(search, missing)| stage(*search, *missing)).collect(),
        until: shape.until.map(|search| stage(search, false)),
        maxspan: shape.maxspan,
    }
}

fn matched(shape: &Shape, stream: &[Event], limit: usize) -> (Vec<(u8, Vec<Option<usize>>)>, u64) {
    let mut matcher = SequenceMatcher::within(&plan(shape), limit);
    let asked = matcher.asked().to_vec();
    for (number, event) in stream.iter().enumerate() {
        let key: Key = Key::from([KeyValue::Whole(event.key.into())]);
        let keys: Vec<Vec<Key>> = asked
            .iter()
            .map(|asked| if event.answers[asked.search] { vec![key.clone()] } else { Vec::new() })
            .collect();
        matcher.event(event.at, &number, &keys);
    }
    let outcome = matcher.finish();
    let key = |key: &Key| match key[0] {
        KeyValue::Whole(value) => u8::try_from(value).unwrap(),
        _ => panic!("another key"),
    };
    let found = outcome.found.iter().map(|joined| (key(&joined.key), joined.events.clone()));
    (found.collect(), outcome.given_up)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_matcher_finds_what_the_definition_says(shape in shape(), stream in stream()) {
        let (mut found, given_up) = matched(&shape, &stream, 1 << 20);
        // Of two keys that end with the same event the order does not matter; there are none here.
        found.sort_by_key(|(_, events)| events.iter().flatten().max().copied());
        prop_assert_eq!(found, enumerate(&shape, &stream));
        prop_assert_eq!(given_up, 0);
    }
}

/// A stream in which most sequences are never finished.
fn unfinished(count: u64, maxspan: Option<i64>, limit: usize) -> (usize, u64) {
    let shape = Shape { stages: vec![(0, false), (1, false)], until: None, maxspan };
    let mut matcher = SequenceMatcher::within(&plan(&shape), limit);
    for number in 0..count {
        let key: Key = Key::from([KeyValue::Whole(number.into())]);
        let at = i64::try_from(number).unwrap();
        matcher.event(at, &number, &[vec![key.clone()], Vec::new()]);
        if number % 1_000 == 0 {
            matcher.event(at, &number, &[Vec::new(), vec![key]]);
        }
    }
    let outcome = matcher.finish();
    (outcome.found.len(), outcome.given_up)
}

#[test]
fn memory_is_bounded_and_what_it_costs_is_counted() {
    let (found, given_up) = unfinished(50_000, None, 1 << 20);
    assert_eq!(found, 50, "the latest are kept");
    assert!(given_up > 30_000, "{given_up} given up");
    // What is too old to be finished costs nothing.
    assert_eq!(unfinished(50_000, Some(100), 1 << 20), (50, 0));
}

#[test]
fn complete_ones_are_bounded_too_and_those_left_out_are_counted() {
    let shape = Shape { stages: vec![(0, false), (1, false)], until: None, maxspan: None };
    let mut matcher = SequenceMatcher::within(&plan(&shape), 1 << 16);
    let key: Key = Key::from([KeyValue::Whole(1)]);
    for number in 0..5_000_u64 {
        let at = i64::try_from(number).unwrap();
        matcher.event(at, &number, &[vec![key.clone()], Vec::new()]);
        matcher.event(at, &number, &[Vec::new(), vec![key.clone()]]);
    }
    let outcome = matcher.finish();
    assert_eq!(outcome.found.len() as u64 + outcome.left_out, 5_000);
    assert!((500..2_000).contains(&outcome.found.len()), "{} kept", outcome.found.len());
    assert_eq!(outcome.found[0].events, [Some(0), Some(0)], "the first are kept");
}
