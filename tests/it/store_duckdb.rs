//! The store's files as others read them: DuckDB opens all of them as one table, whatever the data.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use tocsin::ecs::mapping::Mapping;
use tocsin::store::{Store, TimeBounds};

use crate::shared::shared_dir;
use crate::store::{event, new_document, quiet};

/// The files of the store in the data folder `dir`.
fn files(dir: &Path) -> String {
    dir.join("events/segments/**/*.parquet").display().to_string()
}

/// Runs a program of DuckDB's Python module; what it prints as JSON.
fn python(program: &str, arguments: &[&str]) -> Value {
    let python = std::env::var("TOCSIN_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let program =
        format!("import sys, json, glob, duckdb\nduckdb.sql('SET enable_progress_bar = false')\n{program}");
    let output = Command::new(&python).args(["-c", &program]).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {python}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{python} with the package `duckdb` is needed (`cargo xtask test` sets it up): {said}"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The rows of a query over `{FILES}`, written as the documentation writes it.
fn duckdb(dir: &Path, query: &str) -> Value {
    let files = files(dir);
    let query = query.replace("{FILES}", &format!("read_parquet('{files}', union_by_name=true)"));
    python("print(json.dumps(duckdb.sql(sys.argv[1]).fetchall(), default=str))", &[&query])
}

/// Reads every value of every column, and holds that a column has one type in all files; types by
/// column.
fn one_table(dir: &Path, events: u64) -> BTreeMap<String, String> {
    let files = files(dir);
    let found = python(
        "whole = duckdb.sql(f\"SELECT * FROM read_parquet('{sys.argv[1]}', union_by_name=true)\")\n\
         rows = len(whole.fetchall())\n\
         types = {}\n\
         for file in glob.glob(sys.argv[1], recursive=True):\n\
         \x20   one = duckdb.sql(f\"SELECT * FROM read_parquet('{file}')\")\n\
         \x20   for name, kind in zip(one.columns, one.types):\n\
         \x20       types.setdefault(name, set()).add(str(kind))\n\
         print(json.dumps([rows, {name: sorted(kinds) for name, kinds in types.items()}]))",
        &[&files],
    );
    assert_eq!(found[0], json!(events));
    let types: BTreeMap<String, Vec<String>> = serde_json::from_value(found[1].clone()).unwrap();
    types
        .into_iter()
        .map(|(name, kinds)| match &kinds[..] {
            [kind] => (name, kind.clone()),
            _ => panic!("column {name} has the types {kinds:?}"),
        })
        .collect()
}

#[test]
fn days_of_mixed_data_are_one_table() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let index = "logs-test-default";
    let user = json!({"properties": {"aws.params": {"type": "flattened"}}});
    store.put_mapping(index, &Mapping::from_elasticsearch(&user).unwrap()).unwrap();
    let mut bulk = store.bulk();
    for n in 0..100 {
        bulk.push(&event(n, &format!("2026-11-20T{:02}:00:00Z", n % 24))).unwrap();
    }
    let source =
        json!({"@timestamp": "2026-11-21T00:00:00Z", "aws": {"params": {"bucket": "b\u{e9}", "n": [1, 2]}}});
    bulk.push(&new_document(index, "flat", &source, None)).unwrap();
    // One value on one day, several on another, none on a third; another index has no object where
    // the first has one; nearly every value differs; times in several spellings.
    for n in 0..6_000_u32 {
        let day = 22 + n % 3;
        let user = if day == 23 { json!([format!("u{n}"), "admin"]) } else { json!(format!("u{n}")) };
        let source = json!({
            "@timestamp": if n % 2 == 0 { json!(format!("2026-11-{day}T10:00:00.123456Z")) }
                else { json!(1_795_132_800_000_i64 + i64::from(day) * 86_400_000) },
            "user": {"name": user}, "aws": {"params": format!("p{n}")},
            "x": match n {
                7 => (0..1_200).map(|k| (format!("k{k}"), json!(k))).collect(),
                _ => json!({"k1": n}),
            },
        });
        let index = if n % 5 == 0 { "logs-other-default" } else { "logs-third-default" };
        bulk.push(&new_document(index, &format!("mixed-{n}"), &source, Some("o"))).unwrap();
    }
    bulk.finish().unwrap();

    let types = one_table(dir.path(), 6_101);
    assert_eq!(types["@timestamp"], "TIMESTAMP WITH TIME ZONE");
    assert_eq!((&*types["_id"], &*types["event.original"]), ("VARCHAR", "VARCHAR"));
    assert_eq!((&*types["user.name"], &*types["event.action"]), ("VARCHAR[]", "VARCHAR[]"));
    assert_eq!(types["_flattened.aws.params"], "STRUCT(\"key\" VARCHAR, \"value\" VARCHAR)[]");
    assert!(types.contains_key("_other"), "some files have more paths than columns");

    let rows = duckdb(
        dir.path(),
        "SELECT \"event.action\"[1], count(*), epoch_ms(min(\"@timestamp\")) FROM {FILES} \
         WHERE \"@timestamp\" < TIMESTAMPTZ '2026-11-21 00:00:00+00' GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(rows.as_array().unwrap().len(), 7);
    assert_eq!(rows[0], json!(["Action0", 15, 1_795_132_800_000_i64]));
    let query = "SELECT tags, \"event.original\", _source->>'$.user.name' FROM {FILES} WHERE _id = 'id-4'";
    assert_eq!(duckdb(dir.path(), query), json!([[["a", "t1"], "original of 4", "user-4"]]));
    let query = "SELECT e.value FROM (SELECT unnest(\"_flattened.aws.params\") AS e FROM {FILES}) \
                 WHERE e.key = 'n' ORDER BY 1";
    assert_eq!(duckdb(dir.path(), query), json!([["1"], ["2"]]));
    let query = "SELECT count(*) FROM {FILES} WHERE list_contains(\"user.name\", 'admin')";
    assert_eq!(duckdb(dir.path(), query), json!([[2_000]]));

    // Merged files replace those they were made of at once, though these stay for their readers.
    let before = store.snapshot().unwrap();
    let compacted = store.compact().unwrap();
    assert!(compacted.merged == 0 && store.stats().unwrap().waiting == 0, "each day was one file");
    let mut bulk = store.bulk();
    bulk.push(&event(7_000, "2026-11-20T03:00:00Z")).unwrap();
    bulk.finish().unwrap();
    assert_eq!(store.compact().unwrap().merged, 2);
    one_table(dir.path(), 6_102);
    let mut out = Vec::new();
    let exported = before.export_ndjson(&before.indices(), TimeBounds::default(), &mut out).unwrap();
    assert_eq!(exported, 6_101, "an older snapshot reads what it saw");
}

#[test]
fn recorded_cloudtrail_is_one_table() {
    let Some(shared) = shared_dir() else { return };
    let dir = TempDir::new().unwrap();
    let trail = dir.path().join("trail");
    std::fs::create_dir(&trail).unwrap();
    for name in ["invictus-aws_dataset", "otrf-security-datasets", "stratus-red-team"] {
        let lines = std::fs::read_to_string(shared.join(format!("data/cloudtrail/{name}.ndjson"))).unwrap();
        let records: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["raw"].take()).collect();
        std::fs::write(trail.join(format!("{name}.json")), json!({ "Records": records }).to_string())
            .unwrap();
    }
    let output = Command::new(assert_cmd::cargo::cargo_bin!("tocsin"))
        .args(["ingest", "--quiet", "--data-dir"])
        .args([dir.path(), &trail])
        .output()
        .unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.seal().unwrap();
    let stats = store.stats().unwrap();
    assert!(stats.events > 1_000, "{}", String::from_utf8_lossy(&output.stderr));
    let segments: u64 = store.stats().unwrap().indices.iter().map(|index| index.segments).sum();
    assert!(segments > 3, "several days");
    one_table(dir.path(), stats.events);
    let query = "SELECT count(DISTINCT _id), count(\"event.action\") FROM {FILES}";
    assert_eq!(duckdb(dir.path(), query), json!([[stats.events, stats.events]]));
}
