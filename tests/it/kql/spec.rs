//! Runs `tests/spec/kql/*.md`: each section holds a query and what becomes of it.
//!
//! Blocks of a section, by the word after the fence: `kql` (the query; `kql no-leading-wildcards`
//! reads it with that option), `printed`, `error` (message, text, caret), `finding` (the diagnostic
//! of loading it as a rule's query), `dsl` (without field types), `typed` (DSL with the file's
//! `mapping` block; `typed utc` adds the time zone). With `TOCSIN_BLESS=1` the files are rewritten
//! with what was found.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use tocsin::query::compile::elastic::{self, FieldList};
use tocsin::query::lang::kql::{self, Options};

/// A fenced block: its words, and where its content lies (lines, half-open).
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

/// What the block `words` must contain for the query.
fn outcome(words: &str, query: &str, options: Options, fields: &FieldList) -> String {
    let parsed = kql::parse(query, &options);
    let compiled = |fields: Option<&FieldList>, zone: Option<&str>| match &parsed {
        Err(error) => error.to_string(),
        Ok(expr) => {
            let options =
                elastic::Options { time_zone: zone.map(str::to_owned), ..elastic::Options::default() };
            match elastic::query(expr, fields, &options) {
                Ok(dsl) => serde_json::to_string(&dsl).unwrap(),
                Err(error) => error.to_string(),
            }
        }
    };
    match words {
        "printed" => parsed.map_or_else(|error| error.to_string(), |expr| expr.to_string()),
        "error" => parsed.map_or_else(|error| error.to_string(), |expr| format!("no error: {expr}")),
        "finding" => {
            kql::parse_filter(query).map_or_else(|found| found.to_string(), |filter| format!("{filter:?}"))
        }
        "dsl" => compiled(None, None),
        "typed" => compiled(Some(fields), None),
        "typed utc" => compiled(Some(fields), Some("UTC")),
        other => panic!("no such block: {other}"),
    }
}

fn run(path: &Path, failures: &mut String) -> usize {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let content = |block: &Block| lines[block.from..block.to].join("\n");
    let mut fields = FieldList::default();
    let mut query: Option<(String, Options)> = None;
    let mut rewritten: Vec<String> = Vec::new();
    let mut copied = 0;
    let mut checked = 0;
    for block in blocks(&lines) {
        match block.words.as_str() {
            "mapping" => {
                fields = FieldList::from_mapping(&serde_json::from_str::<Value>(&content(&block)).unwrap());
            }
            // `·` stands for a space at the end of a line, which editors remove.
            "kql" => query = Some((content(&block).replace('·', " "), Options::default())),
            "kql no-leading-wildcards" => {
                query = Some((content(&block).replace('·', " "), Options { allow_leading_wildcards: false }));
            }
            words => {
                let (query, options) = query.as_ref().expect("a `kql` block comes first");
                let found = outcome(words, query, *options, &fields);
                let expected = content(&block).replace('·', " ");
                checked += 1;
                if found != expected {
                    writeln!(
                        failures,
                        "{}:{}\n{query}\n  expected: {expected}\n  found:    {found}\n",
                        path.display(),
                        block.from
                    )
                    .unwrap();
                    rewritten.extend(lines[copied..block.from].iter().map(|line| (*line).to_owned()));
                    rewritten.extend(
                        found
                            .lines()
                            .map(|line| line.strip_suffix(' ').map_or(line.to_owned(), |l| format!("{l}·"))),
                    );
                    copied = block.to;
                }
            }
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec/kql");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut failures = String::new();
    let checked: usize = paths.iter().map(|path| run(path, &mut failures)).sum();
    assert!(checked > 50, "only {checked} blocks");
    assert!(failures.is_empty(), "{failures}");
}
