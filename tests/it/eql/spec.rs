//! Runs `tests/spec/eql/*.md`.
//!
//! Blocks of a section, by the word after the fence: `mapping` and `events` (a JSON object a line,
//! its `id` names it; both hold for the rest of the file), `conditions` (a table of conditions and
//! the ids of the events they match, `condition -> ids`), `eql` (a query), then `printed`, `finding`
//! (the diagnostic of reading it) or `found` (a line for each result: `keys: ids`). With
//! `TOCSIN_BLESS=1` the files are rewritten with what was found.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::lang::eql::{parse, parse_plan};

use super::support::{Event, events, run};

struct Block {
    words: String,
    from: usize,
    to: usize,
}

fn blocks(lines: &[&str]) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(String, usize)> = None;
    for (at, line) in lines.iter().enumerate() {
        match (&open, line.strip_prefix("```")) {
            (None, Some(words)) => open = Some((words.trim().to_owned(), at + 1)),
            (Some(_), Some(_)) => {
                let (words, from) = open.take().unwrap();
                found.push(Block { words, from, to: at });
            }
            _ => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

/// What queries of a file run on.
#[derive(Default)]
struct World {
    mapping: Mapping,
    events: Vec<Event>,
}

impl World {
    fn id(&self, number: usize) -> String {
        self.events[number].doc.values("id").next().expect("an id").value.to_owned()
    }

    /// The results of a query, a line each.
    fn found(&self, query: &str) -> Vec<String> {
        let query = match parse_plan(query) {
            Ok(query) => query,
            Err(error) => return vec![error.to_string()],
        };
        let line = |joined: &tocsin::query::eval::eql::Joined<usize>| {
            let keys: Vec<String> = joined.key.iter().map(|value| value.json().to_string()).collect();
            let ids = joined.events.iter().map(|event| event.map_or_else(|| "!".to_owned(), |n| self.id(n)));
            format!("{}: {}", keys.join(" "), ids.collect::<Vec<_>>().join(" "))
        };
        run(&query, &self.mapping, &self.events).iter().map(line).collect()
    }

    /// The ids that a condition matches.
    fn matching(&self, condition: &str) -> String {
        let query = match parse_plan(&format!("any where {condition}")) {
            Ok(query) => query,
            Err(error) => return error.to_string(),
        };
        let ids = run(&query, &self.mapping, &self.events);
        let ids: Vec<String> = ids.iter().flat_map(|j| &j.events).map(|n| self.id(n.unwrap())).collect();
        if ids.is_empty() { "-".to_owned() } else { ids.join(" ") }
    }
}

fn run_file(path: &Path, failures: &mut String) -> usize {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut world = World::default();
    let mut query = String::new();
    let mut rewritten: Vec<String> = Vec::new();
    let mut copied = 0;
    let mut checked = 0;
    for block in blocks(&lines) {
        let content = &lines[block.from..block.to];
        let found: Vec<String> = match block.words.as_str() {
            "mapping" => {
                let mapping: Value = serde_json::from_str(&content.join("\n")).expect("a mapping");
                world.mapping = Mapping::from_elasticsearch(&mapping).expect("a mapping");
                continue;
            }
            "events" => {
                let sources: Vec<Value> =
                    content.iter().map(|line| serde_json::from_str(line).expect("an event")).collect();
                for source in &sources {
                    world.mapping.learn_document(&FlatDoc::from_value(source));
                }
                world.events = events(&sources, &world.mapping, None);
                continue;
            }
            "eql" => {
                query = content.join("\n");
                continue;
            }
            "conditions" => content
                .iter()
                .map(|line| {
                    let condition = line.rsplit_once("  -> ").map_or(*line, |(condition, _)| condition);
                    let wide = condition.trim_end();
                    let pad = line.rfind("  -> ").unwrap_or(wide.len());
                    format!("{wide:pad$}  -> {}", world.matching(wide))
                })
                .collect(),
            "printed" => {
                let printed = parse(&query).map_or_else(|error| error.to_string(), |query| query.to_string());
                printed.lines().map(str::to_owned).collect()
            }
            "finding" => {
                let found = parse_plan(&query).map_or_else(|found| found.to_string(), |_| "none".to_owned());
                found.lines().map(str::to_owned).collect()
            }
            "found" => world.found(&query),
            other => panic!("no such block: {other}"),
        };
        checked += found.len().max(1);
        if found != content {
            for (at, line) in
                found.iter().enumerate().filter(|(at, line)| content.get(*at) != Some(&line.as_str()))
            {
                writeln!(failures, "{}:{}: {line}", path.display(), block.from + at + 1).unwrap();
            }
            if found.len() < content.len() {
                writeln!(failures, "{}:{}: too many lines", path.display(), block.to).unwrap();
            }
            rewritten.extend(lines[copied..block.from].iter().map(|line| (*line).to_owned()));
            rewritten.extend(found);
            copied = block.to;
        }
    }
    if copied > 0 && std::env::var_os("TOCSIN_BLESS").is_some() {
        rewritten.extend(lines[copied..].iter().map(|line| (*line).to_owned()));
        std::fs::write(path, rewritten.join("\n") + "\n").unwrap();
    }
    checked
}

#[test]
fn specifications_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec/eql");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut failures = String::new();
    let checked: usize = paths.iter().map(|path| run_file(path, &mut failures)).sum();
    assert!(checked > 150, "only {checked} lines");
    assert!(failures.is_empty(), "{failures}");
}
