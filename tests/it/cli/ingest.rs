//! `tocsin ingest` from the outside.

use std::fs;

use serde_json::json;

use super::{folder, run, tocsin};

const EVENT: &str = r#"{"eventVersion":"1.10","eventTime":"2026-06-17T03:31:17Z","eventSource":"cloudtrail.amazonaws.com","eventName":"StopLogging","awsRegion":"eu-west-1","eventID":"e-1","recipientAccountId":"111122223333"}"#;

#[test]
fn reports_what_became_of_every_record() {
    let dir = folder();
    let records = format!("{{\"Records\":[{EVENT},{}]}}", EVENT.replace("e-1", "e-2"));
    fs::write(dir.path().join("good.json"), &records).unwrap();
    let report = run(dir.path(), &["ingest", "good.json", "--format", "json"]).code(0).json();
    let expected =
        json!({"files": 1, "read": 2, "indexed": 2, "duplicates": 0, "rejected": 0, "rejects": []});
    assert_eq!(report, expected);

    // Again, with a bad line beside: nothing new, the line named, and exit code 1.
    fs::write(dir.path().join("bad.ndjson"), format!("{EVENT}\n{{\"eventVersion\":\n")).unwrap();
    let ran = run(dir.path(), &["ingest", "good.json", "bad.ndjson"]).code(1).says(&["bad.ndjson:2: "]);
    let report = ran.json();
    assert_eq!(
        (&report["indexed"], &report["duplicates"], &report["rejected"]),
        (&json!(0), &json!(3), &json!(1))
    );
    assert_eq!(report["rejects"][0]["path"], "bad.ndjson");
    assert_eq!(report["rejects"][0]["line"], 2);
    assert!(report["rejects"][0]["reason"].as_str().is_some_and(|reason| reason.contains("truncated")));
}

#[test]
fn reads_standard_input() {
    let dir = folder();
    let mut command = tocsin(dir.path());
    let output = command.args(["ingest", "-", "--index", "mine"]).write_stdin(EVENT).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["files"], &report["indexed"]), (&json!(1), &json!(1)), "{output:?}");
}

#[test]
fn refuses_what_cannot_be() {
    let dir = folder();
    let d = dir.path();
    fs::write(d.join("e.json"), EVENT).unwrap();
    fs::write(d.join("m.json"), "{\"properties\": 5}").unwrap();
    fs::write(d.join("n.json"), "{\n  nonsense").unwrap();
    run(d, &["ingest"]).code(2).says(&["PATH"]);
    run(d, &["ingest", "nowhere"]).code(2).says(&["nowhere", "No such file"]);
    run(d, &["ingest", "e.json", "--index", "Up*"]).code(2).says(&["--index", "`Up*`", "`U`"]);
    run(d, &["ingest", "e.json", "--mapping", "m.json"]).code(2).says(&["m.json", "MAP001"]);
    run(d, &["ingest", "e.json", "--mapping", "n.json"]).code(2).says(&["n.json", "MAP004"]);
    assert!(!d.join("tocsin-data").exists(), "nothing was made before the arguments were right");
}

#[test]
fn lays_a_mapping_over_the_index() {
    let dir = folder();
    let d = dir.path();
    fs::write(d.join("m.json"), r#"{"properties":{"addr":{"type":"ip"}}}"#).unwrap();
    fs::write(d.join("d.ndjson"), "{\"@timestamp\":\"2026-06-17T00:00:00Z\",\"addr\":\"10.1.2.3\"}\n")
        .unwrap();
    let arguments = ["ingest", "d.ndjson", "--index", "mine", "--mapping", "m.json"];
    assert_eq!(run(d, &arguments).code(0).json()["indexed"], 1);
    // As `ip` the field takes a range of addresses; as the keyword it would be by itself, not.
    let found = run(d, &["search", "addr: \"10.1.0.0/16\"", "--index", "mine"]).code(0).lines();
    assert_eq!(found.len(), 1);
}
