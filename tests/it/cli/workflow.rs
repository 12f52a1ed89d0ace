//! What a person does on the first day: the demo, then ingest, search, run, alerts, executions,
//! store.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{folder, run};

/// The sample day's files, copied to `dir/cloudtrail`.
pub(super) fn sample(dir: &Path) -> PathBuf {
    let to = dir.join("cloudtrail");
    std::fs::create_dir_all(&to).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sample-day");
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "gz") {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
    to
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn the_demo_finds_the_attack_and_leaves_nothing_behind() {
    let dir = folder();
    let temporary = dir.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = super::tocsin(dir.path());
    let ran = super::ran(command.args(["demo", "--format", "json"]).env("TMPDIR", &temporary)).code(0);
    let summary = ran.json();
    assert_eq!(summary["ingest"]["rejected"], 0, "{summary}");
    assert_eq!(summary["ingest"]["indexed"], summary["ingest"]["read"]);
    assert_eq!(summary["executions"]["failed"], 0);
    let alerts = summary["alerts"].as_array().unwrap();
    assert_eq!(alerts.len() as u64, number(&summary["executions"]["alerts"]));
    let e = &summary["executions"];
    assert_eq!(
        number(&e["candidates"]),
        number(&e["alerts"]) + number(&e["duplicates"]) + number(&e["suppressed"]) + number(&e["capped"]),
        "every candidate is counted once: {e}"
    );
    let found: std::collections::BTreeSet<&str> =
        alerts.iter().map(|alert| alert["_source"]["kibana.alert.rule.name"].as_str().unwrap()).collect();
    for rule in ["AWS CloudTrail logging stopped", "AWS CloudTrail trail deleted", "AWS S3 bucket deleted"] {
        assert!(found.contains(rule), "{rule} is not in {found:?}");
    }
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "the throw-away store is gone");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "and nothing else was made");
}

#[test]
fn the_demo_tells_a_person_what_happened_and_what_to_do_next() {
    let dir = folder();
    let ran = run(dir.path(), &["demo", "--keep", "kept", "--format", "human", "--utc"]).code(0);
    for part in [
        "7,109 CloudTrail records",
        "23 rules",
        "Investigation guide",
        "MITRE ATT&CK",
        "Next",
        "203.0.113.66",
    ] {
        assert!(ran.stdout.contains(part), "`{part}` is not in {}", ran.stdout);
    }
    insta::assert_snapshot!("demo", ran.stdout);
    // What is kept can be used by the commands that it names.
    let data = dir.path().join("kept/tocsin-data");
    let data = data.to_str().unwrap();
    let alerts = run(dir.path(), &["--data-dir", data, "alerts", "list"]).code(0).lines();
    assert!(!alerts.is_empty());
    run(dir.path(), &["demo", "--keep", "kept"]).code(2).says(&["is not empty"]);
}

#[test]
fn from_files_to_triaged_alerts() {
    let dir = folder();
    let path = dir.path();
    sample(path);

    let report = run(path, &["ingest", "cloudtrail"]).code(0).json();
    assert_eq!((number(&report["files"]), number(&report["rejected"])), (25, 0), "{report}");
    assert_eq!(report["indexed"], report["read"]);
    let again = run(path, &["ingest", "cloudtrail"]).code(0).json();
    assert_eq!((number(&again["indexed"]), &again["duplicates"]), (0, &report["read"]), "{again}");

    let hits = run(path, &["search", "event.action:StopLogging and event.outcome:success"]).code(0).lines();
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0]["_index"], "logs-aws.cloudtrail-default");
    assert_eq!(hits[0]["_source"]["source"]["ip"], "203.0.113.66");

    let once = ["run", "--once", "--at", "2026-06-17T03:35:00Z"];
    let executions = run(path, &once).code(0).lines();
    assert_eq!(executions.len(), 23);
    for execution in &executions {
        for key in [
            "rule_id",
            "rule_name",
            "type",
            "status",
            "from",
            "to",
            "candidates",
            "alerts",
            "duplicates",
            "suppressed",
            "excepted",
            "capped",
            "warnings",
            "error",
            "took_ms",
        ] {
            assert!(execution.get(key).is_some(), "`{key}` is not in {execution}");
        }
        // There is no feed of indicators here.
        let expected = if execution["type"] == "threat_match" { "no data source" } else { "succeeded" };
        assert_eq!(execution["status"], expected, "{execution}");
        assert_eq!(execution["clock"], "event");
    }
    let written: u64 = executions.iter().map(|execution| number(&execution["alerts"])).sum();
    let repeated = run(path, &once).code(0).lines();
    assert_eq!(
        repeated.iter().map(|execution| number(&execution["alerts"])).sum::<u64>(),
        0,
        "nothing twice"
    );

    let alerts = run(path, &["alerts", "list", "--size", "1000"]).code(0).lines();
    // The parts of a sequence are listed and not counted.
    let blocks =
        alerts.iter().filter(|alert| !alert["_source"]["kibana.alert.building_block_type"].is_null());
    assert_eq!((alerts.len() - blocks.count()) as u64, written);
    let id = alerts[0]["_id"].as_str().unwrap();
    let shown = run(path, &["alerts", "show", id, "--format", "human", "--utc"]).code(0).stdout;
    assert!(shown.contains("Investigation guide") && shown.contains(id), "{shown}");
    run(path, &["alerts", "ack", id]).code(0);
    let acknowledged = run(path, &["alerts", "list", "--status", "acknowledged"]).code(0).lines();
    assert_eq!(acknowledged.len(), 1);
    assert_eq!(acknowledged[0]["_id"], id);
    run(path, &["alerts", "show", "no-such-alert"]).code(2).says(&["no-such-alert"]);

    let log = run(path, &["executions", "list"]).code(0).lines();
    assert_eq!(log.len(), 2 * executions.len());
    let stats = run(path, &["store", "stats"]).code(0);
    assert!(stats.stdout.contains("logs-aws.cloudtrail-default"), "{}", stats.stdout);
    let health = run(path, &["doctor", "--format", "json"]);
    let store =
        health.json()["findings"].as_array().unwrap().iter().find(|f| f["check"] == "store").unwrap().clone();
    assert!(store["seen"].as_str().unwrap().contains("7109 events"), "{store}");
}

#[test]
fn formats_are_documents_lines_and_rows() {
    let dir = folder();
    let path = dir.path();
    std::fs::create_dir(path.join("in")).unwrap();
    let name = "111122223333_CloudTrail_eu-west-1_20260617T0300Z_D73VACRXCKQRP3DK.json.gz";
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sample-day");
    let file = std::fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("T0300Z"))
        .expect(name);
    std::fs::copy(&file, path.join("in/a.json.gz")).unwrap();
    run(path, &["ingest", "in"]).code(0);
    let query = ["search", "event.action:(DeleteBucket or StopLogging)", "--format"];
    let with = |format: &str| run(path, &[&query[..], &[format]].concat()).code(0);
    let array = with("json").json();
    let lines = with("ndjson").lines();
    assert_eq!(array.as_array().unwrap(), &lines);
    let rows = with("csv").stdout;
    assert_eq!(rows.lines().count(), lines.len() + 1, "{rows}");
    assert!(with("human").stdout.contains("StopLogging"));
}

#[test]
fn a_snoozed_rule_is_silenced_until_its_time_or_until_that_is_ended() {
    let dir = folder();
    let rule = "AWS CloudTrail logging stopped";
    run(dir.path(), &["rules", "snooze", rule]).code(2);
    let snoozed =
        run(dir.path(), &["rules", "snooze", rule, "--for", "2h", "--format", "json"]).code(0).json();
    let silences = run(dir.path(), &["silence", "list", "--format", "ndjson"]).code(0).lines();
    assert_eq!(silences.len(), 1, "{silences:?}");
    assert_eq!(silences[0]["ends"], snoozed["snoozed_until"]);
    assert_eq!(silences[0]["when"]["rule"], serde_json::json!([snoozed["rule_id"]]));
    run(dir.path(), &["rules", "snooze", rule, "--end"]).code(0);
    assert_eq!(run(dir.path(), &["silence", "list", "--format", "ndjson"]).code(0).lines().len(), 0);
}
