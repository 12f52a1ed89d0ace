//! The commands against a real node: a backend in the configuration, and one chosen alone.

use serde_json::{Value, json};

use crate::cli::{folder, run};
use crate::nodes::running;

#[test]
fn rules_run_and_events_are_searched_on_a_node() {
    for node in running() {
        let mappings = json!({"properties": {
            "@timestamp": {"type": "date"},
            "event": {"properties": {"action": {"type": "keyword"}, "ingested": {"type": "date"}}},
        }});
        let index = node.index("commands", &mappings);
        let event = |n: i64| json!({"@timestamp": format!("2026-11-01T11:5{n}:00Z"), "event": {"action": (if n % 2 == 0 { "even" } else { "odd" })}});
        let events: Vec<(String, Value)> = (0..10).map(|n| (format!("e{n}"), event(n))).collect();
        index.fill(events.iter().map(|(id, source)| (id.as_str(), source)));

        let dir = folder();
        let rule = format!(
            "[rule]\nrule_id = \"r-1\"\nname = \"Even\"\ndescription = \"Finds.\"\nrisk_score = 47\nseverity = \"medium\"\n\
             type = \"query\"\nlanguage = \"kuery\"\nindex = [\"{}\"]\ninterval = \"5m\"\nfrom = \"now-60m\"\nquery = \"event.action: even\"\n",
            index.name
        );
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        std::fs::write(dir.path().join("rules/even.toml"), rule).unwrap();
        let at = ["--at", "2026-11-01T12:00:00Z", "--clock", "event"];

        // Events on the cluster, alerts in the data folder.
        let text = format!("[[backend]]\nname = \"lab\"\nurl = [\"{}\"]\npatterns = [\"t-*\"]\n", node.url);
        std::fs::write(dir.path().join("tocsin.toml"), text).unwrap();
        let records =
            run(dir.path(), &[&["run", "--once", "--rules", "rules"], &at[..]].concat()).code(0).lines();
        assert_eq!(
            (&records[0]["status"], &records[0]["alerts"]),
            (&json!("succeeded"), &json!(5)),
            "{records:?}"
        );
        assert_eq!(run(dir.path(), &["alerts", "list"]).code(0).lines().len(), 5);
        let hits = run(dir.path(), &["search", "event.action: odd", "--index", &index.name]).code(0).lines();
        let ids: Vec<&str> = hits.iter().map(|hit| hit["_id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["e9", "e7", "e5", "e3", "e1"], "{}", node.name);

        // The cluster alone: nothing is left on this machine.
        let alone = folder();
        let hits = run(
            alone.path(),
            &["search", "event.action: odd", "--index", &index.name, "--backend", &node.url],
        );
        assert_eq!(hits.code(0).lines().len(), 5);
        assert_eq!(std::fs::read_dir(alone.path()).unwrap().count(), 0);
        let findings = run(dir.path(), &["doctor"]).lines();
        let seen: Vec<&str> = findings
            .iter()
            .filter(|finding| finding["check"] == "backend")
            .map(|finding| finding["status"].as_str().unwrap())
            .collect();
        assert!(!seen.is_empty() && seen.iter().all(|status| *status == "ok"), "{findings:?}");
    }
}

#[test]
fn a_cluster_chosen_alone_runs_rules_and_keeps_their_alerts() {
    for node in running() {
        let mappings = json!({"properties": {
            "@timestamp": {"type": "date"}, "event": {"properties": {"action": {"type": "keyword"}}},
        }});
        let index = node.index("alone", &mappings);
        let event =
            |n: i64| json!({"@timestamp": format!("2026-11-01T11:5{n}:00Z"), "event": {"action": "x"}});
        let events: Vec<(String, Value)> = (0..4).map(|n| (format!("e{n}"), event(n))).collect();
        index.fill(events.iter().map(|(id, source)| (id.as_str(), source)));
        let (dir, space) = (folder(), crate::alert_index::a_space());
        let rule = format!(
            "[rule]\nrule_id = \"r-1\"\nname = \"X\"\ndescription = \"Finds.\"\nrisk_score = 47\nseverity = \"medium\"\n\
             type = \"query\"\nindex = [\"{}\"]\ninterval = \"5m\"\nfrom = \"now-60m\"\nquery = \"event.action: x\"\n",
            index.name
        );
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        std::fs::write(dir.path().join("rules/x.toml"), rule).unwrap();
        let lines = |arguments: &[&str]| -> Vec<Value> {
            let output = crate::cli::tocsin(dir.path())
                .env("TOCSIN_ALERTS__SPACE", &space)
                .args(["--backend", &node.url, "--format", "ndjson", "--at", "2026-11-01T12:00:00Z"])
                .args(arguments)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{}: {arguments:?}: {said}", node.name);
            let text = String::from_utf8(output.stdout).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        lines(&["setup"]);
        let run = ["run", "--once", "--rules", "rules", "--clock", "event"];
        let first = lines(&run);
        assert_eq!((&first[0]["status"], &first[0]["alerts"]), (&json!("succeeded"), &json!(4)), "{first:?}");
        // Another process knows what the first one wrote.
        let again = lines(&run);
        assert_eq!((&again[0]["alerts"], &again[0]["duplicates"]), (&json!(0), &json!(4)), "{again:?}");
        let alerts = lines(&["alerts", "list"]);
        assert_eq!(alerts.len(), 4);
        let id = alerts[0]["_id"].as_str().unwrap().to_owned();
        lines(&["alerts", "ack", &id]);
        assert_eq!(lines(&["alerts", "list", "--status", "acknowledged"]).len(), 1);
        assert_eq!(lines(&["executions", "list"]).len(), 2);
        let left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["rules"], "nothing is left on this machine");
    }
}

#[test]
fn a_query_is_compiled_with_the_types_of_a_clusters_fields() {
    for node in running() {
        let mappings = json!({"properties": {
            "@timestamp": {"type": "date"}, "word": {"type": "keyword"}, "prose": {"type": "text"},
            "items": {"type": "nested", "properties": {"name": {"type": "keyword"}}},
        }});
        let index = node.index("types", &mappings);
        index.fill([("1", &json!({"@timestamp": 1, "word": "a", "prose": "a", "items": [{"name": "a"}]}))]);
        let dir = folder();
        std::fs::write(dir.path().join("mapping.json"), mappings.to_string()).unwrap();
        let query = "word: *a* and prose: *a* and @timestamp > 2026 and items: { name: a }";
        let compile = |more: &[&str]| {
            run(dir.path(), &[&["compile", "--query", query], more].concat()).code(0).lines().remove(0)["query"]
                .clone()
        };
        let told = compile(&["--backend", &node.url, "--index", &index.name]);
        assert_eq!(told, compile(&["--mapping", "mapping.json"]), "{}", node.name);
        assert_ne!(told, compile(&[]), "types make a difference to this query");
        let missing = run(
            dir.path(),
            &["compile", "--query", query, "--backend", &node.url, "--index", "t-there-is-none-*"],
        );
        missing.code(2).says(&["no index of the cluster matches `t-there-is-none-*`"]);
    }
}
