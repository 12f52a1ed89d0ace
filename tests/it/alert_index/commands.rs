//! The commands, as a user types them: events here, alerts here and on a cluster.

use serde_json::{Value, json};
use tocsin::store::state::AlertQuery;
use tocsin::store::state::AlertSink;

use super::{Place, on_every_node};
use crate::cli::tocsin;

const RULE: &str = r#"
[metadata]
creation_date = "2026/10/01"
updated_date = "2026/10/01"

[rule]
rule_id = "r"
name = "Logging stopped"
description = "Finds it."
risk_score = 73
severity = "high"
type = "query"
language = "kuery"
index = ["logs-*"]
from = "now-60m"
query = "event.action:StopLogging"
"#;

#[test]
fn events_in_the_data_folder_and_alerts_in_the_index_of_a_cluster() {
    on_every_node(async |url| {
        let place = Place::own(url);
        let dir = tempfile::tempdir().unwrap();
        let events = dir.path().join("events.ndjson");
        let lines: Vec<String> = (0..3)
            .map(|n| {
                json!({"_id": n.to_string(), "_index": "logs-x", "@timestamp": "2026-11-01T11:30:00.000Z",
                       "event": {"action": "StopLogging"}, "user": {"name": "mallory"}})
                .to_string()
            })
            .collect();
        std::fs::write(&events, lines.join("\n")).unwrap();
        let rule = dir.path().join("rule.toml");
        std::fs::write(&rule, RULE).unwrap();
        let config = dir.path().join("tocsin.toml");
        let text = format!(
            "data_dir = \"data\"\n[[backend]]\nname = \"node\"\nurl = [\"{url}\"]\n\
             [alerts]\nto = [\"local\", \"node\"]\nspace = \"{}\"\n",
            place.space()
        );
        std::fs::write(&config, text).unwrap();
        let run = |arguments: &[&str]| {
            let output = tocsin(dir.path())
                .arg("--config")
                .arg(&config)
                .args(["--format", "ndjson", "--at", "2026-11-01T12:00:00Z"])
                .args(arguments)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{arguments:?}: {said}");
            let lines = String::from_utf8(output.stdout).unwrap();
            let values: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            (values, said)
        };
        run(&["ingest", "--input", "ecs", events.to_str().unwrap()]);
        // Before anything is set up alerts are written here, and wait for the cluster.
        let (executions, said) = run(&["run", "--once", "--rules", rule.to_str().unwrap()]);
        assert_eq!(executions[0]["alerts"], 3);
        assert!(said.contains("refused") || said.contains("wait"), "{said}");
        let forwarding = || -> Value {
            let output = tocsin(dir.path())
                .arg("--config")
                .arg(&config)
                .args(["--format", "ndjson", "doctor"])
                .output();
            let lines = String::from_utf8(output.unwrap().stdout).unwrap();
            let findings = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            findings.filter(|finding| finding["check"] == "forwarding").collect::<Vec<_>>().into()
        };
        let waiting = forwarding();
        assert_eq!(
            (&waiting[0]["subject"], &waiting[0]["status"]),
            (&json!("node"), &json!("failed")),
            "{waiting}"
        );
        assert!(waiting[0]["seen"].as_str().unwrap().starts_with("3 alerts and changes wait: "), "{waiting}");
        let (steps, _) = run(&["setup"]);
        assert!(steps.iter().any(|step| step["what"] == "write alias" && step["outcome"] == "installed"));
        let (again, _) = run(&["setup"]);
        assert!(again.iter().all(|step| step["outcome"] == "unchanged" || step["outcome"] == "unavailable"));

        let (alerts, _) = run(&["alerts", "list"]);
        assert_eq!(alerts.len(), 3);
        let id = alerts[0]["_id"].as_str().unwrap();
        // What waits is tried again some seconds later; `--at` stands still, so another instant.
        let later = tocsin(dir.path())
            .arg("--config")
            .arg(&config)
            .args(["--at", "2026-11-01T12:10:00Z", "alerts", "close", id])
            .output()
            .unwrap();
        assert!(later.status.success(), "{}", String::from_utf8_lossy(&later.stderr));
        assert_eq!(forwarding()[0]["seen"], "nothing waits");
        let on_cluster = |arguments: &[&str]| {
            let mut all = vec!["--backend", url];
            all.extend(arguments);
            // `alerts.to` is set, so the backend alone would leave alerts here.
            let output = tocsin(dir.path())
                .env("TOCSIN_ALERTS__TO", "node")
                .env("TOCSIN_ALERTS__SPACE", place.space())
                .arg("--config")
                .arg(&config)
                .args(["--format", "ndjson"])
                .args(all)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let lines = String::from_utf8(output.stdout).unwrap();
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
        };
        let there = on_cluster(&["alerts", "list"]);
        assert_eq!(there.len(), 3);
        assert_eq!(there[0]["_index"], place.names.alerts.name.as_str());
        let closed = on_cluster(&["alerts", "list", "--status", "closed"]);
        assert_eq!(closed.len(), 1);
        assert_eq!(closed[0]["_id"], id);
        assert_eq!(closed[0]["_source"]["user"]["name"], "mallory");
        on_cluster(&["alerts", "tag", id, "--add", "from the cluster"]);
        on_cluster(&["alerts", "reopen", &id[..12]]);
        let shown = on_cluster(&["alerts", "show", id]);
        assert_eq!(shown[0]["_source"]["kibana.alert.workflow_status"], "open");
        assert_eq!(shown[0]["_source"]["kibana.alert.workflow_tags"], json!(["from the cluster"]));
        let found = place.alerts().find(&AlertQuery::default()).await.unwrap();
        assert_eq!(found.len(), 3, "each alert once");
    });
}
