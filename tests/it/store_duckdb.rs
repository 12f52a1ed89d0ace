//! The store's files as others read them: DuckDB opens them as they lie.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use tocsin::ecs::mapping::Mapping;
use tocsin::store::Store;

use crate::store::{event, new_document, quiet};

/// Runs `query` over `{FILES}`; the rows as JSON. `None` when Python or DuckDB is not here.
fn duckdb(files: &str, query: &str) -> Option<Value> {
    let script = "import sys, json\n\
                  try:\n    import duckdb\n\
                  except ImportError:\n    sys.exit(77)\n\
                  rows = duckdb.sql(sys.argv[1]).fetchall()\n\
                  print(json.dumps(rows, default=str))\n";
    let query = query.replace("{FILES}", &format!("read_parquet('{files}', union_by_name=true)"));
    let output = Command::new("python3").args(["-c", script, &query]).output();
    let output = match output {
        Ok(output) if output.status.code() != Some(77) => output,
        _ => {
            assert!(
                std::env::var_os("TOCSIN_REQUIRE_SHARED").is_none(),
                "python3 with the package `duckdb` is required"
            );
            eprintln!("skipped: python3 with the package `duckdb` is not here");
            return None;
        }
    };
    assert!(output.status.success(), "{query}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn duckdb_reads_segments_as_they_lie() {
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
    bulk.finish().unwrap();
    let files = dir.path().join("events/segments/*/*.parquet").display().to_string();

    let query = "SELECT \"event.action\", count(*), epoch_ms(min(\"@timestamp\")) FROM {FILES} \
                 WHERE \"@timestamp\" < TIMESTAMPTZ '2026-11-21 00:00:00+00' GROUP BY 1 ORDER BY 1";
    let Some(rows) = duckdb(&files, query) else { return };
    assert_eq!(rows.as_array().unwrap().len(), 7);
    assert_eq!((&rows[0][0], &rows[0][1]), (&json!("Action0"), &json!(15)));
    assert_eq!(rows[0][2], json!(1_795_132_800_000_i64));

    let rows = duckdb(
        &files,
        "SELECT tags, \"event.original\", _source->>'$.user.name' FROM {FILES} WHERE _id = 'id-4'",
    );
    assert_eq!(rows.unwrap(), json!([[["a", "t1"], "original of 4", "user-4"]]));
    let rows = duckdb(
        &files,
        "SELECT e.value FROM (SELECT unnest(\"aws.params\") AS e FROM {FILES}) WHERE e.key = 'n' ORDER BY 1",
    );
    assert_eq!(rows.unwrap(), json!([["1"], ["2"]]));
    let rows = duckdb(&files, "SELECT count(*), count(DISTINCT _id), count(\"event.ingested\") FROM {FILES}");
    assert_eq!(rows.unwrap(), json!([[101, 101, 100]]));
}
