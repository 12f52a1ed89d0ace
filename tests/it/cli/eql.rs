//! `search --language eql`.

use serde_json::{Value, json};

use super::{folder, run};

fn stored() -> tempfile::TempDir {
    let dir = folder();
    let mut lines = String::new();
    for (id, minute, user, action) in [
        ("1", 0, "a", "make"),
        ("2", 1, "b", "make"),
        ("3", 2, "a", "use"),
        ("4", 9, "b", "use"),
        ("5", 10, "b", "use"),
    ] {
        let source = json!({
            "@timestamp": format!("2026-11-01T12:{minute:02}:00Z"),
            "event": {"category": ["iam"], "action": action},
            "user": {"name": user},
        });
        lines += &json!({"_index": "logs-x", "_id": id, "_source": source}).to_string();
        lines += "\n";
    }
    std::fs::write(dir.path().join("events.ndjson"), lines).unwrap();
    run(dir.path(), &["ingest", "--input", "hits", "events.ndjson"]).code(0);
    dir
}

fn search(dir: &std::path::Path, query: &str, more: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["search", query, "--language", "eql", "--format", "ndjson"];
    arguments.extend(more);
    run(dir, &arguments).code(0).lines()
}

fn ids(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().map(|event| event["_id"].as_str().unwrap()).collect()
}

#[test]
fn events_come_oldest_first_and_sequences_with_their_keys() {
    let dir = stored();
    let found = search(dir.path(), "iam where event.action : \"US*\"", &["--size", "2"]);
    assert_eq!(ids(&Value::Array(found)), ["3", "4"]);
    let sequence = "sequence by user.name with maxspan=5m [iam where event.action == \"make\"] [iam where event.action == \"use\"]";
    let found = search(dir.path(), sequence, &[]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["join_keys"], json!(["a"]));
    assert_eq!(ids(&found[0]["events"]), ["1", "3"]);
    let missing = "sequence by user.name with maxspan=5m [iam where event.action == \"make\"] ![iam where event.action == \"use\"]";
    let found = search(dir.path(), missing, &[]);
    assert_eq!(found[0]["events"][1], json!({"_index": "", "_id": "", "missing": true}));
    assert_eq!(search(dir.path(), sequence, &["--from", "2026-11-01T12:01:00Z"]).len(), 0);
    let other = sequence.replace("[iam", "[make").replace("maxspan=5m", "maxspan=10m");
    assert_eq!(search(dir.path(), &other, &["--event-category-field", "event.action"]).len(), 0);
}

#[test]
fn pipes_count() {
    let dir = stored();
    let rows = search(dir.path(), "iam where true | count user.name", &[]);
    assert_eq!(
        rows,
        [
            json!({"count": 2, "percent": 0.4, "key": ["a"]}),
            json!({"count": 3, "percent": 0.6, "key": ["b"]})
        ]
    );
    let found = search(dir.path(), "iam where true | tail 2 | head 1", &[]);
    assert_eq!(ids(&Value::Array(found)), ["4"]);
}

#[test]
fn errors_have_a_place() {
    let dir = stored();
    let query = "iam where startWith(user.name, \"a\")";
    run(dir.path(), &["search", query, "--language", "eql"]).code(2).says(&[
        "EQL006",
        "startsWith",
        "startWith",
    ]);
    run(dir.path(), &["search", "iam where source.ip == \"home\"", "--language", "eql"])
        .code(2)
        .says(&["TYPE001"]);
}

#[test]
fn compile_shows_what_each_place_is_sent() {
    let dir = folder();
    let compile = |query: &str, target: &str| {
        let arguments =
            ["compile", "--query", query, "--language", "eql", "--target", target, "--format", "json"];
        run(dir.path(), &arguments).code(0).json()
    };
    let event = "iam where user.name : \"a*\"";
    let native = compile(event, "elasticsearch");
    assert_eq!(native["requests"][0]["path"], "/_eql/search");
    assert_eq!(native["requests"][0]["body"]["query"], event);
    assert_eq!(native["pushdown"], "exact");
    assert_eq!(compile(event, "opensearch")["pushdown"], "exact");
    let computed = compile("iam where length(user.name) > 3", "opensearch");
    assert_eq!(computed["pushdown"], "superset");
    assert_eq!(computed["query"]["bool"]["filter"][1], json!({"exists": {"field": "user.name"}}));
    assert_eq!(computed["residue"], "\"iam\" where length(user.name) > 3");
    let sequence = compile("sequence by user.name [iam where true] [any where true]", "opensearch");
    assert_eq!(sequence["pushdown"], "superset");
}
