//! `tocsin doctor` from the outside.

use serde_json::{Value, json};

use super::{folder, run};
use crate::elastic::server::{Reply, Server};

fn finding<'f>(findings: &'f [Value], check: &str) -> &'f Value {
    findings
        .iter()
        .find(|finding| finding["check"] == check)
        .unwrap_or_else(|| panic!("no {check}: {findings:?}"))
}

#[test]
fn a_fresh_machine_is_fine() {
    let dir = folder();
    let report = run(dir.path(), &["doctor", "--format", "json"]).code(0).json();
    assert_eq!(report["ok"], true);
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(finding(findings, "data folder")["status"], "ok");
    assert_eq!(finding(findings, "backend")["status"], "skipped");
    // Looking leaves nothing behind.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_missing_secret_and_a_dead_cluster_fail_with_advice() {
    let dir = folder();
    let text = "[[backend]]\nname = \"prod\"\nurl = [\"http://127.0.0.1:1\"]\nauth = { api_key = { env = \"NOT_SET_ANYWHERE\" } }\n";
    std::fs::write(dir.path().join("tocsin.toml"), text).unwrap();
    let ran = run(dir.path(), &["doctor", "--format", "human"]).code(1);
    assert!(
        ran.stdout.contains("NOT_SET_ANYWHERE") && ran.stdout.contains("2 checks failed"),
        "{}",
        ran.stdout
    );
    let findings = run(dir.path(), &["doctor"]).code(1).lines();
    assert!(
        findings.iter().filter(|f| f["status"] == "failed").all(|f| f["advice"].is_string()),
        "{findings:?}"
    );
}

#[test]
fn a_cluster_that_answers_is_named_and_logged_in_to() {
    let dir = folder();
    let server = Server::start(|asked, _| {
        let body = match asked.path() {
            "/" => json!({"cluster_name": "prod-1", "version": {"number": "8.19.2"}}),
            "/_nodes/stats/os" => json!({"nodes": {"n": {"timestamp": 1_000}}}),
            "/_security/user/_has_privileges" => json!({"has_all_requested": false,
                "index": {"logs-*": {"read": true, "view_index_metadata": false}}}),
            "/logs-%2A/_field_caps" => json!({"indices": ["logs-1"], "fields": {}}),
            "/logs-%2A/_mapping" => {
                json!({"logs-1": {"mappings": {"properties": {"@timestamp": {"type": "keyword"}}}}})
            }
            path => panic!("{path}"),
        };
        Reply::json(200, &body)
    });
    let text = format!(
        "[[backend]]\nname = \"prod\"\nurl = [\"{}\"]\npatterns = [\"logs-*\"]\nauth = {{ api_key = {{ file = \"key\" }} }}\n",
        server.url
    );
    std::fs::write(dir.path().join("tocsin.toml"), text).unwrap();
    std::fs::write(dir.path().join("key"), "c2VjcmV0\n").unwrap();
    let findings = run(dir.path(), &["doctor"]).code(1).lines();
    let seen: Vec<String> = findings
        .iter()
        .filter(|finding| finding["check"] == "backend")
        .map(|finding| {
            format!("{}: {}", finding["status"].as_str().unwrap(), finding["seen"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("ok", "answers: Elasticsearch 8.19.2, cluster prod-1"),
        ("warning", "its clock differs from this machine's by"),
        ("failed", "its user lacks `view_index_metadata` on `logs-*`"),
        ("warning", "`@timestamp` is not a date in every index that matches `logs-*`"),
    ];
    assert_eq!(seen.len(), expected.len(), "{seen:?}");
    for (seen, (status, text)) in seen.iter().zip(expected) {
        assert!(seen.starts_with(&format!("{status}: {text}")), "{seen}");
    }
    assert!(server.asked().iter().all(|asked| asked.header("authorization") == Some("ApiKey c2VjcmV0")));
}

#[test]
fn a_folder_that_cannot_be_written_fails() {
    let dir = folder();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let findings = run(dir.path(), &["doctor", "--data-dir", "file/data"]).code(1).lines();
    assert_eq!(finding(&findings, "data folder")["status"], "failed");
}
