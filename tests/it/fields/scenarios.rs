//! Runs `tests/spec/fields/*.md`.
//!
//! A scenario is a `##` section: a block `mapping` (laid over ECS; what it does not name is learned
//! from the documents), a block `documents` (one a line, with `_id`), and a block `queries`, each
//! line `KQL => ids`, `none` for no document. `!CODE` after the ids names a finding that compiling
//! the query must report; a query without one must report no error.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::eval::{Matcher, explain};
use tocsin::query::lang::kql::parse_filter;

use super::{Event, backend, columns, now, reference};

#[test]
fn every_scenario_holds_in_the_reference_and_in_the_kernel() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec/fields");
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).expect("the folder").flatten().map(|e| e.path()).collect();
    files.sort();
    let mut queries = 0;
    let mut failures = Vec::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(file).expect("a scenario file");
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        for section in text.split("\n## ").skip(1) {
            let title = format!("{name}: {}", section.lines().next().unwrap_or_default());
            queries += run(&title, section, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert!(queries > 150, "only {queries} queries were run");
}

fn block<'a>(section: &'a str, kind: &str) -> Option<&'a str> {
    let (_, after) = section.split_once(&format!("```{kind}\n"))?;
    after.split_once("\n```").map(|(inside, _)| inside)
}

fn run(title: &str, section: &str, failures: &mut Vec<String>) -> usize {
    let mut mapping = Mapping::ecs();
    if let Some(text) = block(section, "mapping") {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{title}: mapping: {e}"));
        mapping = mapping.overlay(&Mapping::from_elasticsearch(&value).expect("a mapping"));
    }
    let documents = block(section, "documents").unwrap_or_else(|| panic!("{title}: no documents"));
    let mut events = Vec::new();
    for line in documents.lines().filter(|line| !line.is_empty()) {
        let mut source: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{title}: {line}: {e}"));
        let id = source.as_object_mut().and_then(|o| o.shift_remove("_id")).expect("an _id");
        let event = Event::new(id.as_str().expect("a text as _id").to_owned(), source);
        mapping.learn_document(&event.flat);
        events.push(event);
    }
    let memory = backend(&mapping, &events);
    let mut count = 0;
    let queries = block(section, "queries").unwrap_or_else(|| panic!("{title}: no queries"));
    for line in queries.lines().filter(|line| !line.is_empty()) {
        count += 1;
        let (query, expected) = line.rsplit_once("=>").unwrap_or_else(|| panic!("{title}: {line}"));
        let query = query.trim();
        let filter = match parse_filter(query) {
            Ok(filter) => filter,
            Err(error) => {
                failures.push(format!("{title}: `{query}`: {error}"));
                continue;
            }
        };
        let words: BTreeSet<String> = expected.split_whitespace().map(str::to_owned).collect();
        let (codes, ids): (BTreeSet<_>, BTreeSet<_>) =
            words.into_iter().partition(|word| word.starts_with('!'));
        let ids: BTreeSet<String> = ids.into_iter().filter(|id| id != "none").collect();
        let found = reference(&filter, &mapping, &events);
        if found != ids {
            failures.push(format!("{title}: `{query}`: expected {ids:?}, the evaluator found {found:?}"));
            for event in events.iter().filter(|event| ids.contains(&event.id) != found.contains(&event.id)) {
                let story = explain::explain(&filter, &mapping, now(), &event.flat, Some(&event.source));
                failures.push(format!("on {}:\n{story}", event.id));
            }
        }
        let by_columns = columns(&filter, &memory);
        if by_columns != found {
            failures.push(format!(
                "{title}: `{query}`: the evaluator found {found:?}, the kernel {by_columns:?}"
            ));
        }
        let matcher = Matcher::compile(&filter, &mapping, now());
        let told: BTreeSet<String> =
            matcher.diagnostics().iter().filter(|d| d.is_error()).map(|d| format!("!{}", d.code)).collect();
        if told != codes {
            failures.push(format!("{title}: `{query}`: expected findings {codes:?}, got {told:?}"));
        }
        for event in &events {
            let story = explain::explain(&filter, &mapping, now(), &event.flat, Some(&event.source));
            if story.holds != found.contains(&event.id) {
                failures.push(format!(
                    "{title}: `{query}`: the explanation contradicts on {}\n{story}",
                    event.id
                ));
            }
        }
    }
    count
}
