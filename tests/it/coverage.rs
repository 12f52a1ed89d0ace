//! Coverage and backfill as a person uses them, and that a stretch of the past gives what the
//! service would have given.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tocsin::base::window::iso_millis;

/// A data folder with rules.
struct House(tempfile::TempDir);

impl House {
    fn new() -> Self {
        let house = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(house.path("rules")).unwrap();
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> (i32, Vec<Value>) {
        let output = Command::new(assert_cmd::cargo::cargo_bin!("tocsin"))
            .current_dir(self.0.path())
            .args(["--format", "ndjson", "--data-dir", "data"])
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code().unwrap_or(-1);
        assert!(code == 0 || code == 1, "{arguments:?}: {code}\n{said}");
        (code, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    fn rule(&self, id: &str, interval: &str) {
        let text = format!(
            "[rule]\nrule_id = \"{id}\"\nname = \"Rule {id}\"\ndescription = \"d\"\ntype = \"query\"\n\
             language = \"kuery\"\nrisk_score = 73\nseverity = \"high\"\nindex = [\"logs-*\"]\n\
             from = \"now-{interval}\"\ninterval = \"{interval}\"\nquery = '''event.action:x'''\n"
        );
        std::fs::write(self.path(&format!("rules/{id}.toml")), text).unwrap();
    }

    fn events(&self, times: impl IntoIterator<Item = DateTime<Utc>>) {
        let lines: Vec<String> = times
            .into_iter()
            .enumerate()
            .map(|(n, at)| {
                json!({"_index": "logs-test", "_id": format!("e{n}"), "@timestamp": iso_millis(at), "event": {"action": "x"}})
                    .to_string()
            })
            .collect();
        std::fs::write(self.path("events.ndjson"), lines.join("\n")).unwrap();
        self.run(&["ingest", "--input", "ecs", "events.ndjson"]);
    }

    fn alert_ids(&self) -> BTreeSet<String> {
        let alerts = self.run(&["alerts", "list"]).1;
        let ids: BTreeSet<String> = alerts.iter().map(|a| a["_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), alerts.len());
        ids
    }
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

#[test]
fn holes_are_listed_and_filled_and_nothing_is_alerted_twice() {
    let house = House::new();
    house.rule("r", "10m");
    let start = at("2026-11-01T00:00:00Z");
    house.events((0..36).map(|n| start + chrono::Duration::minutes(10 * n)));
    // Nothing was ever searched: asked for a stretch, all of it is a hole.
    let asked = ["--rules", "rules", "--from", "2026-11-01T00:00:00Z", "--to", "2026-11-01T05:59:59Z"];
    let coverage = |more: &[&str]| house.run(&[&["coverage"], &asked[..], more].concat());
    let (code, found) = coverage(&[]);
    assert_eq!(
        (code, &found[0]["complete"], &found[0]["holes"][0]["seconds"]),
        (1, &json!(false), &json!(21_600))
    );

    // A window of the past by hand is coverage too, and splits the hole.
    house.run(&["run", "--once", "--rules", "rules", "--at", "2026-11-01T02:00:00Z"]);
    let holes = coverage(&[]).1[0]["holes"].as_array().unwrap().clone();
    let ends: Vec<_> = holes.iter().map(|hole| (hole["from"].clone(), hole["to"].clone())).collect();
    assert_eq!(
        ends,
        [
            (json!("2026-11-01T00:00:00.000Z"), json!("2026-11-01T01:49:59.999Z")),
            (json!("2026-11-01T02:00:00.001Z"), json!("2026-11-01T05:59:59.999Z")),
        ]
    );
    assert_eq!(house.alert_ids().len(), 2, "both ends belong to the window");

    let (code, records) = house.run(&[&["backfill"], &asked[..]].concat());
    assert_eq!(code, 0);
    assert!(records.iter().all(|record| record["trigger"] == "backfill" && record["clock"] == "event"));
    assert!(records.len() >= 36, "a slot each, as on the schedule: {}", records.len());
    assert_eq!(house.alert_ids().len(), 36);
    let (code, found) = coverage(&[]);
    assert_eq!((code, &found[0]["complete"], &found[0]["holes"]), (0, &json!(true), &json!([])));

    // Again: the same windows, no alert more.
    let (_, records) = house.run(&[&["backfill"], &asked[..]].concat());
    assert_eq!(records.iter().map(|record| record["alerts"].as_u64().unwrap()).sum::<u64>(), 0);

    // Another text of the rule: what the old one has searched stays searched, under its hash.
    let path = house.path("rules/r.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("event.action:x", "event.action:(x or y)")).unwrap();
    house.run(&["run", "--once", "--rules", "rules", "--at", "2026-11-01T06:10:00Z"]);
    let (code, found) = house.run(&["coverage", "--rules", "rules", "--from", "2026-11-01T00:00:00Z"]);
    let hashes: BTreeSet<_> =
        found[0]["searched"].as_array().unwrap().iter().map(|s| s["hash"].as_str().unwrap()).collect();
    assert_eq!((code, hashes.len()), (1, 2), "{found:?}");
}
