//! The public Python engine finds the same on random streams, where its dialect is the same.
//!
//! `docs/eql.md` lists what is another thing there: texts compare without case, and what is compared
//! with a missing field is `null`, so that its negation does not match either. So texts here are in
//! lower case, and a field that may be missing is asked for before it is negated, and is no key;
//! patterns have no `?`, and regular expressions cover whole texts.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::lang::eql::parse_plan;

use super::support::{events, run};

const QUERIES: usize = 150;
const STREAMS: usize = 12;

/// A condition on fields that are never missing (`path`, `n`), or on `user`, which may be.
fn atom() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec!["a", "b", "ab", "abc", "ba"]);
    let number = 0..6_i64;
    let comparison = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let pattern = prop::sample::select(vec!["a*", "*b", "*a*", "a*c", "*"]);
    let certain = prop_oneof![
        (comparison.clone(), number.clone()).prop_map(|(c, n)| format!("n {c} {n}")),
        (number.clone(), comparison.clone()).prop_map(|(n, c)| format!("{n} {c} n")),
        (comparison, number.clone()).prop_map(|(c, n)| format!("length(path) {c} {n}")),
        (number.clone(), number.clone()).prop_map(|(a, b)| format!("n + {a} == {b}")),
        number.clone().prop_map(|n| format!("n * 2 - {n} > 3")),
        (number.clone(), number).prop_map(|(a, b)| format!("n in ({a}, {b})")),
        word.clone().prop_map(|w| format!("path == \"{w}\"")),
        pattern.clone().prop_map(|p| format!("path : \"{p}\"")),
        (pattern.clone(), word.clone()).prop_map(|(p, w)| format!("path like (\"{p}\", \"{w}\")")),
        word.clone().prop_map(|w| format!("startsWith(path, \"{w}\")")),
        word.clone().prop_map(|w| format!("endsWith~(path, \"{w}\")")),
        word.clone().prop_map(|w| format!("stringContains(path, \"{w}\")")),
        word.clone().prop_map(|w| format!("indexOf(path, \"{w}\") == 1")),
        word.clone().prop_map(|w| format!("substring(path, 0, 2) == \"{w}\"")),
        word.clone().prop_map(|w| format!("concat(path, string(n)) : \"{w}*\"")),
        Just("path regex \".*(a|b)b.*\"".to_owned()),
    ];
    let certain = certain.prop_flat_map(|c| prop_oneof![Just(c.clone()), Just(format!("not ({c})"))]);
    let uncertain = prop_oneof![
        word.clone().prop_map(|w| format!("user == \"{w}\"")),
        pattern.prop_map(|p| format!("user : \"{p}\"")),
        word.clone().prop_map(|w| format!("user != null and not user == \"{w}\"")),
        word.prop_map(|w| format!("(user != null and user != \"{w}\")")),
        Just("user == null".to_owned()),
        Just("user != null".to_owned()),
        Just("length(user) == 1".to_owned()),
        Just("length(user) != null".to_owned()),
    ];
    prop_oneof![3 => certain, 1 => uncertain]
}

fn condition() -> impl Strategy<Value = String> {
    atom().prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|all| format!("({})", all.join(" and "))),
            prop::collection::vec(inner, 2..4).prop_map(|all| format!("({})", all.join(" or "))),
        ]
    })
}

pub(super) fn query() -> impl Strategy<Value = String> {
    let category = prop::sample::select(vec!["any", "process", "file"]);
    let event = (category, condition()).prop_map(|(c, condition)| format!("{c} where {condition}")).boxed();
    let stages = prop::collection::vec((event.clone(), prop::option::weighted(0.2, 2..4)), 2..4);
    let by = prop::sample::select(vec!["", " by path", " by other", " by path, n"]);
    let span = prop::sample::select(vec!["", " with maxspan=3s", " with maxspan=1m"]);
    let until = prop::sample::select(vec!["", " until [stop where true]"]);
    let sequence = (by, span, stages, until).prop_map(|(by, span, stages, until)| {
        let stages: Vec<String> = stages
            .into_iter()
            .map(|(event, runs)| {
                // Events that end sequences are no stages: the engines take them in another order.
                let event = event.replacen("any where ", "any where event_type != \"stop\" and ", 1);
                format!("[{event}]{}", runs.map(|runs: i32| format!(" with runs={runs}")).unwrap_or_default())
            })
            .collect();
        format!("sequence{by}{span} {}{until}", stages.join(" "))
    });
    prop_oneof![event, sequence]
}

/// Events a second or less apart, some at the same time.
pub(super) fn stream() -> impl Strategy<Value = Vec<Value>> {
    let word = || prop::sample::select(vec!["a", "b", "ab", "abc", "ba"]);
    let category = prop_oneof![5 => Just("process"), 5 => Just("file"), 1 => Just("stop")];
    let one = (category, 0..3_i64, prop::option::weighted(0.8, word()), word(), word(), 0..6_i64);
    prop::collection::vec(one, 40..80).prop_map(|all| {
        let mut at = 1_700_000_000_000_i64;
        let event = |(id, (category, step, user, path, other, n)): (usize, (&str, i64, Option<&str>, &str, &str, i64))| {
            at += step * 500;
            let mut event = json!({"id": id, "@timestamp": at, "event_type": category, "path": path, "other": other, "n": n});
            if let Some(user) = user {
                event["user"] = user.into();
            }
            event
        };
        all.into_iter().enumerate().map(event).collect()
    })
}

pub(super) fn several<T>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>, count: usize) -> Vec<T>
where
    T: std::fmt::Debug,
{
    (0..count).map(|_| strategy.new_tree(runner).expect("a tree").current()).collect()
}

/// What the Python engine answers; `None` when it is not here.
fn ask(asked: &Value) -> Option<Vec<Value>> {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/eql/python_engine.py");
    let here = Command::new("python3").args(["-c", "import eql"]).stderr(Stdio::null()).status();
    if !here.is_ok_and(|status| status.success()) {
        assert!(
            std::env::var_os("TOCSIN_REQUIRE_SHARED").is_none(),
            "python3 with the package `eql` is required but not here"
        );
        eprintln!("skipped: no python3 with the package `eql`");
        return None;
    }
    let mut child = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    child.stdin.take().expect("stdin").write_all(asked.to_string().as_bytes()).expect("it listens");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the Python engine failed");
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn the_python_engine_finds_the_same() {
    let mut runner = TestRunner::deterministic();
    let queries = several(&mut runner, &query(), QUERIES);
    let streams = several(&mut runner, &stream(), STREAMS);
    let asked: Vec<Value> = streams
        .iter()
        .map(|stream| {
            let event = |source: &Value| {
                // Hundreds of nanoseconds, as that engine counts.
                let time = source["@timestamp"].as_i64().unwrap() * 10_000;
                json!({"type": source["event_type"], "time": time, "data": source})
            };
            stream.iter().map(event).collect()
        })
        .collect();
    let Some(answers) = ask(&json!({"queries": queries, "streams": asked})) else { return };
    let mut failures = Vec::new();
    let mut hits = 0;
    for (text, answer) in queries.iter().zip(&answers) {
        let Some(theirs) = answer.get("streams") else {
            failures.push(format!("{text}: {}", answer["error"]));
            continue;
        };
        let ours = text.replace("event_type", "event.category");
        let query = parse_plan(&ours).unwrap_or_else(|error| panic!("{ours}: {error}"));
        for (stream, theirs) in streams.iter().zip(theirs.as_array().expect("answers")) {
            let sources: Vec<Value> = stream
                .iter()
                .map(|source| {
                    let mut source = source.clone();
                    source["event"] = json!({"category": source["event_type"]});
                    source
                })
                .collect();
            let mut mapping = Mapping::empty();
            for source in &sources {
                mapping.learn_document(&FlatDoc::from_value(source));
            }
            let events = events(&sources, &mapping, Some("id"));
            let found = run(&query, &mapping, &events);
            let id = |number: &usize| {
                let id: i64 =
                    events[*number].doc.values("id").next().expect("an id").value.parse().expect("a number");
                id
            };
            let mut found: Vec<Vec<i64>> =
                found.iter().map(|joined| joined.events.iter().flatten().map(id).collect()).collect();
            let mut theirs: Vec<Vec<i64>> = serde_json::from_value(theirs.clone()).expect("ids");
            hits += found.len();
            found.sort();
            theirs.sort();
            if found != theirs {
                failures.push(format!("{text}\n  here  {found:?}\n  there {theirs:?}"));
                break;
            }
        }
    }
    assert!(hits > 1_000, "only {hits} results");
    assert!(failures.is_empty(), "{} of {QUERIES}:\n{}", failures.len(), failures.join("\n"));
}
