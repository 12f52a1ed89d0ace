//! `tocsin kibana` against a server that answers as Kibana and Dashboards do (recorded protocol:
//! there is no Kibana here). What it checks of the upload is what those products check of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cli::tocsin;
use crate::elastic::server::{Asked, Reply, Server};

/// The form of each type that a product of that age takes; an older one it migrates.
fn newest(version: &str, kind: &str) -> Option<&'static str> {
    match (version, kind) {
        (_, "index-pattern") => Some("7.6.0"),
        (_, "search" | "dashboard") => Some("7.9.3"),
        (_, "visualization") => Some("7.10.0"),
        ("9.2.1", "lens") => Some("7.16.0"),
        _ => None,
    }
}

/// Imports as the products do: all objects are read, unknown types and missing references are
/// named, an object from the future ends it all.
fn import(version: &str, asked: &Asked) -> Reply {
    if asked.header("kbn-xsrf").is_none() && asked.header("osd-xsrf").is_none() {
        return Reply::json(400, &json!({"message": "Request must contain a kbn-xsrf header."}));
    }
    let kind = asked.header("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("a multipart upload");
    let part = asked.body.split(&format!("--{boundary}")).nth(1).unwrap();
    let (head, body) = part.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("name=\"file\"") && head.contains(".ndjson"), "{head}");
    let objects: Vec<Value> = body
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let key = |object: &Value| {
        (object["type"].as_str().unwrap().to_owned(), object["id"].as_str().unwrap().to_owned())
    };
    let all: BTreeSet<_> = objects.iter().map(key).collect();
    let mut errors = Vec::new();
    for object in &objects {
        let (kind, id) = key(object);
        let Some(newest) = newest(version, &kind) else {
            errors.push(json!({"id": id, "type": kind, "error": {"type": "unsupported_type"}}));
            continue;
        };
        if object["migrationVersion"][&kind] != newest {
            return Reply::json(
                422,
                &json!({"statusCode": 422, "message": "belongs to a more recent version"}),
            );
        }
        let missing: Vec<&Value> =
            object["references"].as_array().unwrap().iter().filter(|r| !all.contains(&key(r))).collect();
        if !missing.is_empty() {
            errors.push(json!({"id": id, "type": kind,
                "error": {"type": "missing_references", "references": missing}}));
        }
    }
    let done = objects.len() - errors.len();
    Reply::json(200, &json!({"success": errors.is_empty(), "successCount": done, "errors": errors}))
}

fn site(version: &'static str) -> Server {
    Server::start(move |asked, _| match asked.path() {
        "/api/status" => Reply::json(200, &json!({"name": "site", "version": {"number": version}})),
        path if path.ends_with("/api/saved_objects/_import") => import(version, asked),
        path => Reply::json(404, &json!({"statusCode": 404, "message": path})),
    })
}

fn run(arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let dir = tempfile::tempdir().unwrap();
    let output = tocsin(dir.path()).args(["--format", "ndjson"]).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let values = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code(), values, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn each_product_is_given_the_form_it_takes() {
    for (version, name, form) in [
        ("9.2.1", "Kibana 9.2.1", "lens"),
        ("7.10.2", "Kibana 7.10.2", "visualization"),
        ("2.19.1", "OpenSearch Dashboards 2.19.1", "visualization"),
    ] {
        let server = site(version);
        let (code, done, said) = run(&["kibana", "setup", "--url", &server.url]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(done[0]["site"], name);
        assert!(done[0]["imported"].as_u64().unwrap() > 20 && done[0]["refused"] == json!([]), "{done:?}");
        let asked = server.asked();
        let import = asked.iter().find(|asked| asked.method == "POST").unwrap();
        assert!(import.target.starts_with("/api/saved_objects/_import?overwrite=true"));
        assert!(import.body.contains(&format!("\"type\":\"{form}\"")));
    }
}

#[test]
fn a_space_has_its_path_and_what_is_refused_is_named() {
    let server = site("2.19.1");
    let (code, done, said) =
        run(&["kibana", "setup", "--url", &server.url, "--space", "soc", "--form", "lens"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("unsupported_type"), "{said}");
    assert!(!done[0]["refused"].as_array().unwrap().is_empty());
    let asked = server.asked();
    assert!(asked.iter().any(|asked| asked.path() == "/s/soc/api/saved_objects/_import"));
    let dead = Server::start(|_, _| Reply::html(200, "<html><title>Sign in</title></html>"));
    let (code, _, said) = run(&["kibana", "setup", "--url", &dead.url]);
    assert_eq!(code, Some(2));
    assert!(said.contains("Sign in"), "{said}");
}

#[test]
fn printed_objects_are_what_is_imported_and_rules_are_exported() {
    let (code, objects, said) = run(&["kibana", "objects"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(objects.iter().any(|object| object["type"] == "dashboard"));
    let (code, rules, said) = run(&["export", "--to", "kibana"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        rules.len() >= 15 && rules.iter().all(|rule| rule["enabled"] == false && rule["rule_id"].is_string())
    );
}
