//! Runs `tests/spec/lucene/*.md` and `tests/spec/dsl/*.md`: each section holds a query and what
//! becomes of it.
//!
//! Blocks of a section, by the word after the fence: `lucene`, `query` (query DSL) or `filter` (a
//! Kibana filter object) for the query, `printed`, `sent` (what is sent to a cluster when the plan is compiled), `finding` (the diagnostic of loading it as a
//! rule's query, or of searching with it), `hits` (the names of the file's `events` that match
//! under its `mapping`, decided by the reference evaluator and by a search alike). With
//! `TOCSIN_BLESS=1` the files are rewritten with what was found.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tocsin::backend::memory::MemoryBackend;
use tocsin::backend::{SearchRequest, TimeField};
use tocsin::ecs::document::Document;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::compile::elastic::filter_query;
use tocsin::query::eval::Matcher;
use tocsin::query::lang::{dsl, lucene};
use tocsin::query::plan::Filter;

/// What the sections of a file share.
#[derive(Default)]
struct World {
    mapping: Mapping,
    events: Vec<Document>,
}

/// "Now" of date math in the files.
fn now() -> DateTime<Utc> {
    "2026-11-18T12:00:00Z".parse().unwrap()
}

/// A query and the language it is in.
struct Query {
    language: String,
    text: String,
}

impl Query {
    /// Its plan, or what is said against it.
    fn plan(&self) -> Result<Filter, String> {
        let text = &self.text;
        match self.language.as_str() {
            "lucene" => lucene::parse_filter(text).map_err(|found| found.to_string()),
            "query" => dsl::parse_text(text).map_err(|found| found.to_string()),
            _ => match tocsin::rule::filters::filter(&json(text)) {
                Ok(Some(filter)) => Ok(filter),
                Ok(None) => Err("disabled".to_owned()),
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

fn hits(query: &Query, world: &World) -> String {
    let filter = match query.plan() {
        Ok(filter) => Arc::new(filter),
        Err(found) => return found,
    };
    let matcher = Matcher::compile(&filter, &world.mapping, now());
    let expected: Vec<&str> = world
        .events
        .iter()
        .filter(|event| matcher.matches(&event.flat(), Some(&event.source)))
        .map(|event| &*event.id)
        .collect();
    let request = SearchRequest {
        indices: Arc::from([String::from("*")]),
        filter,
        now: now(),
        window: None,
        time: TimeField::timestamp(),
        event_clock: false,
        size: 1_000,
        after: None,
        descending: false,
    };
    let page = MemoryBackend::new(world.events.clone(), world.mapping.clone()).search_now(&request).unwrap();
    let mut found: Vec<&str> = page.hits.iter().map(|hit| &*hit.document.id).collect();
    found.sort_unstable();
    assert_eq!(found, expected, "{}: the search and the reference evaluator disagree", query.text);
    if found.is_empty() { "none".to_owned() } else { found.join(" ") }
}

fn outcome(words: &str, query: &Query, world: &World) -> String {
    match words {
        "printed" => {
            lucene::parse(&query.text).map_or_else(|error| error.to_string(), |parsed| parsed.to_string())
        }
        "sent" => query.plan().map_or_else(|found| found, |filter| filter_query(&filter).to_string()),
        "finding" => match query.plan() {
            Err(found) => found,
            Ok(filter) => {
                let found = Matcher::compile(&filter, &world.mapping, now()).diagnostics();
                found.first().map_or_else(|| "nothing".to_owned(), ToString::to_string)
            }
        },
        "hits" => hits(query, world),
        other => panic!("no such block: {other}"),
    }
}

fn run(path: &Path, failures: &mut String) -> usize {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut world = World::default();
    let mut query: Option<Query> = None;
    let mut rewritten: Vec<String> = Vec::new();
    let (mut copied, mut checked) = (0, 0);
    let mut open: Option<(String, usize)> = None;
    for (at, line) in lines.iter().enumerate() {
        let Some(fence) = line.strip_prefix("```") else { continue };
        let Some((words, from)) = open.take() else {
            open = Some((fence.trim().to_owned(), at + 1));
            continue;
        };
        let content = lines[from..at].join("\n").replace('·', " ");
        match words.as_str() {
            "mapping" => world.mapping = Mapping::from_elasticsearch(&json(&content)).unwrap(),
            "events" => {
                world.events = content
                    .lines()
                    .map(|line| {
                        let (name, source) = line.split_once(' ').expect("a name before each event");
                        Document::new("events", name, json(source))
                    })
                    .collect();
            }
            "lucene" | "query" | "filter" => query = Some(Query { language: words, text: content }),
            words => {
                let query = query.as_ref().expect("a query comes first");
                let found = outcome(words, query, &world);
                checked += 1;
                if found != content {
                    writeln!(
                        failures,
                        "{}:{from}\n{}\n  expected: {content}\n  found:    {found}\n",
                        path.display(),
                        query.text
                    )
                    .unwrap();
                    rewritten.extend(lines[copied..from].iter().map(|line| (*line).to_owned()));
                    rewritten.extend(found.lines().map(str::to_owned));
                    copied = at;
                }
            }
        }
    }
    assert!(open.is_none(), "{}: a block is not closed", path.display());
    if copied > 0 && std::env::var_os("TOCSIN_BLESS").is_some() {
        rewritten.extend(lines[copied..].iter().map(|line| (*line).to_owned()));
        std::fs::write(path, rewritten.join("\n") + "\n").unwrap();
    }
    checked
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn specifications_hold() {
    for (folder, least) in [("lucene", 100), ("dsl", 60)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec").join(folder);
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let mut failures = String::new();
        let checked: usize = paths.iter().map(|path| run(path, &mut failures)).sum();
        assert!(checked > least, "only {checked} blocks");
        assert!(failures.is_empty(), "{failures}");
    }
}
