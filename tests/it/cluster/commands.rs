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
