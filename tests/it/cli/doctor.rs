//! `tocsin doctor` from the outside.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use super::{folder, run};

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

/// Answers one request with `body` and hands back what was asked.
fn node(body: &'static str) -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 1024];
        while !request.windows(4).any(|window| window == b"\r\n\r\n") {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                read => request.extend_from_slice(&buffer[..read]),
            }
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (port, thread)
}

#[test]
fn a_cluster_that_answers_is_named_and_logged_in_to() {
    let dir = folder();
    let (port, thread) =
        node(r#"{"cluster_name":"prod-1","version":{"number":"2.19.3","distribution":"opensearch"}}"#);
    let text = format!(
        "[[backend]]\nname = \"prod\"\nurl = [\"http://127.0.0.1:{port}\"]\nauth = {{ api_key = {{ file = \"key\" }} }}\n"
    );
    std::fs::write(dir.path().join("tocsin.toml"), text).unwrap();
    std::fs::write(dir.path().join("key"), "c2VjcmV0\n").unwrap();
    let findings = run(dir.path(), &["doctor"]).code(0).lines();
    let found = finding(&findings, "backend");
    assert_eq!(found["status"], "warning");
    assert!(found["seen"].as_str().unwrap().contains("OpenSearch 2.19.3, cluster prod-1"), "{found}");
    assert!(found["advice"].as_str().unwrap().contains("not run on clusters in this version"), "{found}");
    let request = thread.join().unwrap().to_ascii_lowercase();
    assert!(
        request.starts_with("get / ") && request.contains("authorization: apikey c2vjcmv0\r\n"),
        "{request}"
    );
}

#[test]
fn a_folder_that_cannot_be_written_fails() {
    let dir = folder();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let findings = run(dir.path(), &["doctor", "--data-dir", "file/data"]).code(1).lines();
    assert_eq!(finding(&findings, "data folder")["status"], "failed");
}
