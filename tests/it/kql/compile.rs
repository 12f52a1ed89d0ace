//! `tocsin compile`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

fn tocsin(arguments: &[&str]) -> std::process::Output {
    assert_cmd::Command::cargo_bin("tocsin")
        .unwrap()
        .args(arguments)
        .env("TOCSIN_FORMAT", "json")
        .env("HOME", "/nonexistent")
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap()
}

fn compiled(arguments: &[&str]) -> Value {
    let output = tocsin(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Writes `text` to a file of its own.
fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

const RULE: &str = r#"
[rule]
type = "query"
name = "Trail stopped"
description = "A trail was stopped."
rule_id = "6b1f5e0a-1f0b-4b67-9a6c-111111111111"
risk_score = 47
severity = "medium"
language = "kuery"
index = ["logs-aws.cloudtrail-*", "<logs-{now/d}>"]
from = "now-60m"
interval = "10m"
timestamp_override = "event.ingested"
query = 'event.action: StopLogging and not user.name: "terraform"'
"#;

#[test]
fn a_query_alone() {
    let found = compiled(&["compile", "--query", "event.action: Stop*", "--language", "kuery"]);
    let query = json!({"bool": {"should": [{"query_string": {"fields": ["event.action"], "query": "Stop*"}}], "minimum_should_match": 1}});
    assert_eq!(
        found,
        json!({
            "query": query,
            "requests": [{"method": "POST", "path": "/_search", "body": {"query": query}}],
            "pushdown": "exact",
            "residue": null,
        })
    );
}

#[test]
fn with_field_types() {
    let folder = tempfile::tempdir().unwrap();
    let mapping = file(
        folder.path(),
        "m.json",
        r#"{"mappings": {"properties": {"event": {"properties": {"action": {"type": "keyword"}}}}}}"#,
    );
    let found = compiled(&["compile", "--query", "event.action: x", "--mapping", mapping.to_str().unwrap()]);
    assert_eq!(found["query"]["bool"]["should"][0], json!({"term": {"event.action": {"value": "x"}}}));
}

#[test]
fn a_pattern_of_field_names_needs_the_names() {
    let query = ["compile", "--query", "event.*: x and a: 1"];
    let found = compiled(&query);
    assert_eq!(found["pushdown"], "none", "a cluster finds nothing by it");
    assert_eq!(found["residue"], "(event.*: x AND a: 1)");
    let folder = tempfile::tempdir().unwrap();
    let mapping = r#"{"properties": {"event": {"properties": {"action": {"type": "keyword"}}}}}"#;
    let mapping = file(folder.path(), "m.json", mapping);
    let found = compiled(&[&query[..], &["--mapping", mapping.to_str().unwrap()]].concat());
    assert_eq!(found["pushdown"], "exact");
}

#[test]
fn the_embedded_store_judges_what_it_does_not_skip() {
    let found = compiled(&["compile", "--query", "a: 1 and b: 2", "--target", "embedded"]);
    assert_eq!(found["pushdown"], "superset");
    assert_eq!(found["residue"], "(a: 1 AND b: 2)");
    assert_eq!(found["requests"], json!([]));
}

#[test]
fn a_rule_becomes_the_request_of_its_execution() {
    let folder = tempfile::tempdir().unwrap();
    let rule = file(folder.path(), "rule.toml", RULE);
    let found = compiled(&[
        "compile",
        rule.to_str().unwrap(),
        "--at",
        "2026-11-01T12:00:00Z",
        "--target",
        "opensearch",
    ]);
    assert_eq!(found["pushdown"], "exact");
    let request = &found["requests"][0];
    assert_eq!(
        request["path"],
        "/logs-aws.cloudtrail-*,%3Clogs-%7Bnow%2Fd%7D%3E/_search?allow_no_indices=true&ignore_unavailable=true"
    );
    let body = &request["body"];
    assert_eq!(body["size"], 100);
    assert_eq!(
        body["query"]["bool"]["filter"][0],
        json!({"bool": {"must": [], "filter": [found["query"]], "should": [], "must_not": []}})
    );
    let range = |field: &str| {
        json!({"range": {field: {
            "gte": "2026-11-01T11:00:00.000Z", "lte": "2026-11-01T12:00:00.000Z", "format": "strict_date_optional_time"
        }}})
    };
    assert_eq!(
        body["query"]["bool"]["filter"][1],
        json!({"bool": {"minimum_should_match": 1, "should": [
            range("event.ingested"),
            {"bool": {"filter": [range("@timestamp"), {"bool": {"must_not": {"exists": {"field": "event.ingested"}}}}]}},
        ]}})
    );
    assert_eq!(
        body["sort"],
        json!([
            {"event.ingested": {"order": "asc", "unmapped_type": "date"}},
            {"@timestamp": {"order": "asc", "unmapped_type": "date"}},
        ])
    );
    assert_eq!(body["fields"][0], json!({"field": "*", "include_unmapped": true}));
}

#[test]
fn what_is_wrong_is_shown_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let bad_mapping = file(folder.path(), "m.json", "{\n  \"properties\": oops\n}");
    let bad_rule = file(folder.path(), "rule.toml", &RULE.replace("StopLogging and", "Stop:Logging and"));
    for (arguments, expected) in [
        (vec!["compile", "--query", "foo:ba:r"], "KQL001"),
        (vec!["compile", "--query", "a: null"], "KQL006"),
        (vec!["compile", "--query", "a: 1", "--mapping", bad_mapping.to_str().unwrap()], "MAP001"),
        (vec!["compile", "--query", "a: 1", "--mapping", "/no/such/file"], "/no/such/file"),
        (vec!["compile", bad_rule.to_str().unwrap()], "KQL001"),
        (vec!["compile", "--query", "a: 1", "--language", "esql"], "kuery"),
        (vec!["compile"], "RULE"),
    ] {
        let output = tocsin(&arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}
