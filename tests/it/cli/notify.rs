//! What people are told, by the commands a person types: silences, quiet hours, previews.

use serde_json::Value;

use super::workflow::sample;
use super::{folder, run};

const RULE: &str = "AWS CloudTrail logging stopped";
const AT: &str = "2026-06-17T03:35:00Z";

fn told(dir: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join("told.ndjson")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_is_silenced_is_written_and_not_told_until_the_silence_is_ended() {
    let dir = folder();
    let path = dir.path();
    sample(path);
    let configuration = "[[connector]]\nname = \"log\"\ntype = \"file\"\npath = \"told.ndjson\"\n\n\
        [[route]]\nto = [\"log\"]\n";
    std::fs::write(path.join("tocsin.toml"), configuration).unwrap();
    run(path, &["ingest", "cloudtrail"]).code(0);
    let silence = |length: &[&str]| {
        let start =
            ["silence", "add", "--rule", RULE, "--reason", "planned change", "--owner", "ann", "--at", AT];
        run(path, &[&start[..], length].concat())
    };
    silence(&[]).code(2).says(&["--for"]);
    let day = ["--from", "2026-06-17T00:00:00Z", "--until", "2026-06-18T00:00:00Z"];
    let added = silence(&day).code(0).json();
    let listed = run(path, &["silence", "list", "--at", AT]).code(0).lines();
    assert_eq!((listed.len(), &listed[0]["owner"], &listed[0]["active"]), (1, &"ann".into(), &true.into()));

    let once = |at: &str, rule: &str| {
        run(path, &["run", "--once", "--at", at, "--notify", "--only", rule]).code(0).lines()
    };
    assert_eq!(once(AT, "07937604-e2d6-54cc-85f7-d7e87af0ea88")[0]["alerts"], 1);
    assert_eq!(told(path), Vec::<Value>::new(), "the silence covers it");
    let kept = run(path, &["notify", "list", "--state", "silenced"]).code(0).lines();
    assert!(kept[0]["note"].as_str().unwrap().contains("of ann: planned change"), "{kept:?}");
    assert_eq!(run(path, &["alerts", "list"]).code(0).lines().len(), 1, "the alert is there all the same");

    let id = added["id"].as_str().unwrap();
    run(path, &["silence", "expire", &id[..4], "--at", "2026-06-17T03:36:00Z"]).code(0);
    assert_eq!(run(path, &["silence", "list", "--at", "2026-06-17T03:37:00Z"]).code(0).lines().len(), 0);
    let all = run(path, &["silence", "list", "--all", "--at", "2026-06-17T03:37:00Z"]).code(0).lines();
    assert_eq!((all.len(), &all[0]["active"]), (1, &false.into()));
    let more = run(path, &["run", "--once", "--at", "2026-06-17T03:40:00Z", "--notify"]).code(0).lines();
    let written: u64 = more.iter().map(|execution| execution["alerts"].as_u64().unwrap()).sum();
    assert!(written > 10, "{written}");
    let told = told(path);
    assert!(!told.is_empty());
    assert!(told.iter().all(|message| !message.to_string().contains(RULE)), "told before: {told:?}");
}

#[test]
fn quiet_hours_hold_alerts_back_and_tell_them_together() {
    let dir = folder();
    let path = dir.path();
    sample(path);
    let configuration = "[[connector]]\nname = \"log\"\ntype = \"file\"\npath = \"told.ndjson\"\n\n\
        [[route]]\nto = [\"log\"]\nquiet = { from = \"22:00\", to = \"06:00\" }\n";
    std::fs::write(path.join("tocsin.toml"), configuration).unwrap();
    run(path, &["ingest", "cloudtrail"]).code(0);
    run(path, &["run", "--once", "--at", AT, "--notify"]).code(0);
    let held = run(path, &["notify", "list", "--state", "held", "--size", "1000"]).code(0).lines();
    assert!(held.len() > 10 && held.iter().all(|one| one["due"] == "2026-06-17T06:00:00.000Z"), "{held:?}");
    run(path, &["notify", "deliver", "--at", "2026-06-17T05:59:00Z"]).code(0);
    assert_eq!(told(path), Vec::<Value>::new());
    run(path, &["notify", "deliver", "--at", "2026-06-17T06:00:30Z"]).code(0);
    let told = told(path);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["kind"], "digest");
    assert!(told[0]["title"].as_str().unwrap().contains(&format!("{} alerts", held.len())), "{told:?}");
}

#[test]
fn a_preview_is_what_would_be_said_and_sends_nothing() {
    let dir = folder();
    let path = dir.path();
    sample(path);
    let configuration = "[[connector]]\nname = \"log\"\ntype = \"file\"\npath = \"told.ndjson\"\n";
    std::fs::write(path.join("tocsin.toml"), configuration).unwrap();
    run(path, &["ingest", "cloudtrail"]).code(0);
    run(path, &["run", "--once", "--at", AT, "--only", "07937604-e2d6-54cc-85f7-d7e87af0ea88"]).code(0);
    let alerts = run(path, &["alerts", "list"]).code(0).lines();
    let id = &alerts[0]["_id"].as_str().unwrap()[..8];
    let shown = run(path, &["notify", "preview", "log", "--alert", id]).code(0).stdout;
    assert!(shown.contains(RULE) && shown.contains("203.0.113.66"), "{shown}");
    let worded = ["notify", "preview", "log", "--alert", id, "--template", "{{ user.name }} stopped it"];
    let own = run(path, &worded).code(0).stdout;
    assert!(own.contains("stopped it"), "{own}");
    run(path, &["notify", "preview", "log", "--alert", id, "--template", "{{ nope("])
        .code(2)
        .says(&["--template: syntax error"]);
    run(path, &["notify", "preview", "nobody"]).code(2).says(&["nobody"]);
    assert!(!path.join("told.ndjson").exists());
}
