//! Holds the layer rule: which module of `src/` may use which.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Each module with those it may use besides itself. What is not listed is not allowed.
const ALLOWED: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("ecs", &["base"]),
    ("query", &["base", "ecs"]),
    ("rule", &["base", "ecs", "query"]),
    ("store", &["base", "ecs", "query"]),
    ("elastic", &["base"]),
    ("backend", &["base", "ecs", "query", "store", "elastic"]),
    ("alert", &["base", "ecs", "query", "rule", "store", "elastic"]),
    ("cluster", &["base", "ecs", "store", "alert", "elastic"]),
    ("kibana", &["base", "cluster", "elastic"]),
    ("ingest", &["base", "ecs", "store"]),
    ("engine", &["base", "ecs", "query", "rule", "store", "backend", "alert"]),
    ("schedule", &["base", "rule", "store", "backend", "alert", "engine"]),
    ("config", &["base", "rule"]),
    ("notify", &["base", "ecs", "query", "rule", "store", "elastic", "alert", "config", "schedule"]),
    ("telemetry", &["base", "config"]),
    ("server", &["telemetry"]),
    (
        "app",
        &[
            "base",
            "ecs",
            "query",
            "rule",
            "store",
            "elastic",
            "backend",
            "alert",
            "cluster",
            "engine",
            "schedule",
            "ingest",
            "notify",
            "telemetry",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "base",
            "ecs",
            "query",
            "rule",
            "store",
            "elastic",
            "backend",
            "alert",
            "cluster",
            "kibana",
            "engine",
            "schedule",
            "ingest",
            "notify",
            "telemetry",
            "server",
            "config",
            "app",
        ],
    ),
];

/// Words that must not occur in the pure layers: they do no I/O, know no runtime, read no clock.
const IMPURE: &[&str] = &[
    "tokio::",
    "std::net",
    "reqwest",
    "rusqlite",
    "Utc::now",
    "SystemTime::now",
    "Instant::now",
    "std::env::",
];

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The names that follow `crate::` in a line, braces included: `crate::{base::x, ecs}`.
fn uses(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let list = rest.strip_prefix('{').map_or(rest, |inner| inner);
        let parts: Vec<&str> = if rest.starts_with('{') { list.split(',').collect() } else { vec![list] };
        for part in parts {
            let name: String = part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(name);
        }
    }
    found
}

#[test]
fn modules_use_only_lower_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in files {
        let relative = file.strip_prefix(&root).expect("below src");
        let top = relative.components().next().expect("a name").as_os_str().to_string_lossy();
        let module = top.trim_end_matches(".rs");
        if module == "lib" || module == "main" {
            continue;
        }
        let may =
            allowed.get(module).unwrap_or_else(|| panic!("src/{top} is in no layer: add it to ALLOWED"));
        let text = std::fs::read_to_string(&file).expect("a readable source");
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for name in uses(line) {
                if allowed.contains_key(name.as_str()) {
                    seen += 1;
                    if name != module && !may.contains(&name.as_str()) {
                        wrong.push(format!(
                            "{}:{}: `{module}` uses `{name}`",
                            relative.display(),
                            number + 1
                        ));
                    }
                }
            }
        }
    }
    assert!(seen > 20, "the scan found next to nothing: {seen} uses");
    assert!(wrong.is_empty(), "layer rule broken:\n{}", wrong.join("\n"));
}

#[test]
fn pure_layers_do_no_io() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for layer in ["base", "ecs", "query", "rule"] {
        let mut files = Vec::new();
        sources(&root.join(layer), &mut files);
        for file in files {
            let relative = file.strip_prefix(&root).expect("below src").display().to_string();
            // The one place that reads the machine's clock; the one place that reads rule files.
            if relative == "base/clock.rs" {
                continue;
            }
            let text = std::fs::read_to_string(&file).expect("a readable source");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                if line.trim_start().starts_with("//") {
                    continue;
                }
                let file_io = line.contains("std::fs")
                    && !relative.starts_with("rule/load/files")
                    && !relative.starts_with("rule/cache");
                if file_io || IMPURE.iter().any(|word| line.contains(word)) {
                    wrong.push(format!("{relative}:{}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "I/O, runtime or clock in a pure layer:\n{}", wrong.join("\n"));
}

#[test]
fn the_scan_reads_every_spelling() {
    assert_eq!(uses("use crate::store::Store;"), ["store"]);
    assert_eq!(uses("use crate::{base::span, ecs};"), ["base", "ecs"]);
    assert_eq!(uses("fn f(x: crate::cli::X) -> crate::app::Y"), ["cli", "app"]);
}
