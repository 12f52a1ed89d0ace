//! Bad input: each kind gets a clear message that names file and place, and nothing accepted
//! before is lost.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{Ran, folder, run};

fn record(id: u32) -> Value {
    json!({
        "eventVersion": "1.11", "eventID": format!("00000000-0000-4000-8000-{id:012}"), "eventTime": "2026-06-17T10:00:00Z",
        "eventSource": "s3.amazonaws.com", "eventName": "DeleteBucket", "awsRegion": "eu-west-1",
        "sourceIPAddress": "203.0.113.66", "userAgent": "aws-cli/2.1", "eventType": "AwsApiCall", "eventCategory": "Management",
        "recipientAccountId": "111122223333", "managementEvent": true, "readOnly": false,
        "userIdentity": {"type": "IAMUser", "userName": "alice", "accountId": "111122223333", "arn": "arn:aws:iam::111122223333:user/alice"},
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn file(records: &[Value]) -> Vec<u8> {
    json!({ "Records": records }).to_string().into_bytes()
}

/// Ingests one file beside a good one; the good one has to be there afterwards whatever happens.
#[track_caller]
fn ingest(name: &str, bytes: &[u8]) -> (Value, Ran) {
    let dir = folder();
    let input = dir.path().join("in");
    std::fs::create_dir(&input).unwrap();
    std::fs::write(input.join("a-good.json.gz"), gzip(&file(&[record(1), record(2)]))).unwrap();
    std::fs::write(input.join(name), bytes).unwrap();
    let ran = run(dir.path(), &["ingest", "in"]);
    let report: Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", ran.stdout, ran.stderr));
    let kept = run(
        dir.path(),
        &[
            "search",
            "event.id:(00000000-0000-4000-8000-000000000001 or 00000000-0000-4000-8000-000000000002)",
        ],
    );
    assert_eq!(kept.code(0).lines().len(), 2, "the good file's events are there");
    (report, ran.code(1))
}

#[track_caller]
fn rejected(name: &str, bytes: &[u8], line: Option<u64>, reason: &str) -> Value {
    let (report, ran) = ingest(name, bytes);
    let rejects = report["rejects"].as_array().unwrap();
    let found = rejects.iter().find(|reject| {
        reject["path"].as_str().unwrap().ends_with(name)
            && reject["reason"].as_str().unwrap().to_lowercase().contains(reason)
            && line.is_none_or(|line| reject["line"] == line)
    });
    assert!(found.is_some(), "`{reason}` at {name}:{line:?} is not in {rejects:?}");
    assert!(ran.stderr.contains(name), "the file is named for people, too: {}", ran.stderr);
    report
}

#[test]
fn corrupt_gzip() {
    let mut bytes = gzip(&file(&(10..60).map(record).collect::<Vec<_>>()));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    rejected("corrupt.json.gz", &bytes, None, "gzip");
}

#[test]
fn half_written_gzip_keeps_its_whole_records() {
    // Records of their own, so that compression cannot fold them into the part that is there.
    let bytes = gzip(&file(&(10..400).map(record).collect::<Vec<_>>()));
    let report = rejected("half.json.gz", &bytes[..bytes.len() / 2], None, "");
    assert!(report["indexed"].as_u64().unwrap() > 2, "{report}");
}

#[test]
fn truncated_json() {
    let bytes = file(&[record(10), record(11)]);
    let report = rejected("truncated.json", &bytes[..bytes.len() - 40], None, "");
    assert_eq!(report["indexed"], 3, "the whole record before the break is taken: {report}");
}

#[test]
fn a_line_without_end() {
    let mut bytes = record(10).to_string().into_bytes();
    bytes.push(b'\n');
    bytes.extend_from_slice(b"{\"eventVersion\":\"1.11\",\"x\":\"");
    bytes.resize(bytes.len() + (64 << 20), b'x');
    bytes.extend_from_slice(b"\"}\n");
    bytes.extend_from_slice(record(11).to_string().as_bytes());
    let report = rejected("endless.json", &bytes, Some(2), "");
    assert_eq!(report["indexed"], 4, "the lines around it are taken: {report}");
}

#[test]
fn a_bomb() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..1_100 {
        encoder.write_all(&chunk).unwrap();
    }
    let bytes = encoder.finish().unwrap();
    assert!(bytes.len() < 2 << 20);
    rejected("bomb.json.gz", &bytes, None, "");
}

#[test]
fn bytes_that_are_no_text() {
    let mut bytes = record(10).to_string().into_bytes();
    bytes.extend_from_slice(b"\n{\"eventVersion\":\"1.11\",\"eventName\":\"\xff\xfe\"}\n");
    bytes.extend_from_slice(record(11).to_string().as_bytes());
    let report = rejected("latin.json", &bytes, Some(2), "utf-8");
    assert_eq!(report["indexed"], 4, "{report}");
}

#[test]
fn wrong_types() {
    let mut bytes = record(10).to_string().into_bytes();
    bytes.extend_from_slice(b"\n\"text\"\n42\nnull\n");
    let report = rejected("types.json", &bytes, Some(2), "");
    assert_eq!(report["indexed"], 3, "{report}");
    assert_eq!(report["rejected"], 3, "{report}");
}

#[test]
fn a_path_that_is_not_there() {
    let dir = folder();
    run(dir.path(), &["ingest", "nowhere/"]).code(2).says(&["nowhere"]);
}

#[test]
fn a_broken_rule_does_not_stop_the_others() {
    let dir = folder();
    let path = dir.path();
    super::service::write_rule(path, "good", "event.action:DeleteBucket", "1m");
    std::fs::write(
        path.join("rules/broken.toml"),
        "[rule]\nname = \"Broken\"\nquery = 'event.action:(a or'\n",
    )
    .unwrap();
    std::fs::write(path.join("one.json"), record(1).to_string()).unwrap();
    run(path, &["ingest", "one.json"]).code(0);
    let ran = run(path, &["run", "--once", "--at", "2026-06-17T10:01:00Z", "--rules", "rules"]);
    let lines = ran.lines();
    assert!(lines.iter().any(|line| line["rule_id"] == "good" && line["alerts"] == 1), "{lines:?}");
    assert!(ran.stderr.contains("broken.toml"), "{}", ran.stderr);
}

#[test]
fn mistakes_in_rules_have_file_line_column_and_advice() {
    let dir = folder();
    let path = dir.path();
    super::service::write_rule(path, "syntax", "event.action:(StopLogging or", "1m");
    super::service::write_rule(path, "date", "@timestamp >= now-5x", "1m");
    let text = std::fs::read_to_string(path.join("rules/date.toml")).unwrap().replace("now-2m", "now-2q");
    std::fs::write(path.join("rules/window.toml"), text.replace("\"date\"", "\"window\"")).unwrap();
    let ran = run(path, &["rules", "check", "rules"]).code(1);
    let lines = ran.lines();
    let about = |file: &str| {
        let found = lines.iter().find(|line| line["path"].as_str().unwrap().ends_with(file)).unwrap();
        found["diagnostics"]
            .as_array()
            .unwrap()
            .iter()
            .find(|d| d["severity"] == "error")
            .unwrap_or_else(|| panic!("{found}"))
            .clone()
    };
    for file in ["syntax.toml", "window.toml"] {
        let found = about(file);
        assert!(found["line"].as_u64().is_some() && found["column"].as_u64().is_some(), "{file}: {found}");
        assert!(found["message"].as_str().is_some_and(|message| !message.is_empty()), "{found}");
    }
}

#[test]
fn an_unknown_field_is_no_error_and_matches_nothing() {
    let dir = folder();
    std::fs::write(dir.path().join("one.json"), record(1).to_string()).unwrap();
    run(dir.path(), &["ingest", "one.json"]).code(0);
    let ran = run(dir.path(), &["search", "event.aktion:DeleteBucket"]).code(0);
    assert_eq!(ran.stdout, "");
    let ran = run(dir.path(), &["search", "event.aktion:DeleteBucket", "--format", "human"]).code(0);
    assert!(ran.stderr.contains("event.aktion") && ran.stderr.contains("event.action"), "{}", ran.stderr);
}

#[test]
fn a_query_and_a_time_that_cannot_be_read_are_marked() {
    let dir = folder();
    run(dir.path(), &["search", "event.action:(a or"]).code(2).says(&["^"]);
    run(dir.path(), &["search", "*", "--from", "now-5x"]).code(2).says(&["--from", "now-5x", "^"]);
}

#[test]
fn a_data_folder_of_a_newer_version() {
    let dir = folder();
    let path = dir.path();
    std::fs::write(path.join("one.json"), record(1).to_string()).unwrap();
    run(path, &["ingest", "one.json"]).code(0);
    run(path, &["run", "--once", "--at", "2026-06-17T10:01:00Z"]).code(0);
    for (file, command) in
        [("events/events.sqlite", &["search", "*"][..]), ("state.sqlite", &["alerts", "list"])]
    {
        let database = path.join("tocsin-data").join(file);
        let connection = rusqlite::Connection::open(&database).unwrap();
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        connection.pragma_update(None, "user_version", version + 1_000).unwrap();
        run(path, command).code(2).says(&["has format", "tocsin-data", &(version + 1_000).to_string()]);
        connection.pragma_update(None, "user_version", version).unwrap();
        run(path, command).code(0);
    }
}

#[test]
fn a_data_folder_that_cannot_be_made_or_is_damaged() {
    let dir = folder();
    let path: &Path = dir.path();
    std::fs::write(path.join("file"), "").unwrap();
    run(path, &["search", "*", "--data-dir", "file/data"]).code(2).says(&["file/data"]);
    std::fs::create_dir_all(path.join("damaged/events")).unwrap();
    std::fs::write(path.join("damaged/events/events.sqlite"), vec![b'x'; 8192]).unwrap();
    run(path, &["search", "*", "--data-dir", "damaged"]).code(2).says(&["events.sqlite"]);
}
