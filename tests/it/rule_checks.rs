//! What `rules check` says about rules that load.

use std::path::Path;

use serde_json::Value;

const HEAD: &str = "[rule]\nname = \"R\"\ndescription = \"d\"\nrisk_score = 47\nseverity = \"medium\"\nindex = [\"logs-*\"]\n\
                    interval = \"5m\"\nfrom = \"now-30m\"\nnote = \"n\"\n";

/// What is said about each file of a folder: `code: message (help)`, and how the command ended.
fn checked(dir: &Path) -> (Vec<String>, Option<i32>) {
    let run = assert_cmd::Command::cargo_bin("tocsin")
        .unwrap()
        .current_dir(dir)
        .env_remove("TOCSIN_FORMAT")
        .args(["rules", "check", ".", "--format", "ndjson"])
        .output()
        .unwrap();
    let mut said = Vec::new();
    for line in String::from_utf8(run.stdout).unwrap().lines() {
        let file: Value = serde_json::from_str(line).unwrap();
        for found in file["diagnostics"].as_array().unwrap() {
            let (code, message) = (found["code"].as_str().unwrap(), found["message"].as_str().unwrap());
            if !["RULE021", "RULE022"].contains(&code) {
                said.push(format!(
                    "{code} {}: {message} ({})",
                    found["line"],
                    found["help"].as_str().unwrap_or("")
                ));
            }
        }
    }
    (said, run.status.code())
}

fn rule(dir: &Path, name: &str, more: &str) {
    let text = format!("{HEAD}rule_id = \"{name}\"\n{more}\n");
    std::fs::write(dir.join(format!("{name}.toml")), text).unwrap();
}

fn about(more: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    rule(dir.path(), "r", more);
    checked(dir.path()).0
}

fn eql(query: &str) -> Vec<String> {
    about(&format!("type = \"eql\"\nlanguage = \"eql\"\nquery = '''{query}'''"))
}

#[test]
fn sequences_that_are_longer_than_the_window_or_endless() {
    let stages = "[iam where event.action == \"a\"] [iam where event.action == \"b\"]";
    let said = eql(&format!("sequence by user.name with maxspan=1h {stages}"));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("RULE029 13: `maxspan` is 3600 s, and a window only 1800 s"), "{said:?}");
    assert!(said[0].contains("let `from` look back at least as far"), "{said:?}");
    let said = eql(&format!("sequence by user.name {stages}"));
    assert!(
        said[0].contains("without `maxspan` unfinished sequences are remembered for every value of its keys")
    );
    let said = eql(&format!("sequence {stages}"));
    assert!(said[0].contains("without `maxspan` unfinished sequences are remembered for the whole window"));
    assert!(eql(&format!("sequence by user.name with maxspan=30m {stages}")).is_empty());
}

#[test]
fn values_that_a_field_cannot_have() {
    let said =
        about("type = \"query\"\nlanguage = \"kuery\"\nquery = '''source.port: http and event.action: x'''");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("RULE030 13: ") && said[0].contains("source.port"), "{said:?}");
    let said = eql("network where source.ip == \"here\"");
    assert!(said[0].starts_with("RULE030 13: ") && said[0].contains("source.ip"), "{said:?}");
    assert!(eql("network where source.ip == \"10.0.0.1\" and source.port == 443").is_empty());
}

#[test]
fn categories_that_ecs_does_not_have() {
    let said = eql("sequence by user.name with maxspan=1m [proces where true] [network where true]");
    assert_eq!(said, ["RULE035 13: `proces` is no `event.category` of ECS (did you mean `process`?)"]);
    assert_eq!(eql("widgets where true"), ["RULE035 13: `widgets` is no `event.category` of ECS ()"]);
    assert!(eql("any where event.action == \"x\"").is_empty());
    let own = "type = \"eql\"\nlanguage = \"eql\"\nevent_category_override = \"event.type\"\nquery = '''proces where true'''";
    assert!(about(own).is_empty(), "another field has values of its own");
}

#[test]
fn an_exception_that_silences_a_test_of_its_rule_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let list = "exceptions_list = [{ id = \"1\", list_id = \"mine\", type = \"detection\", namespace_type = \"single\" }]";
    rule(
        dir.path(),
        "r",
        &format!("type = \"query\"\nlanguage = \"kuery\"\nquery = 'event.action: x'\n{list}"),
    );
    let tests = "# R\n\n## Alerts\n\n### By ann\n\n```json\n{\"@timestamp\": \"2026-11-01T00:00:00Z\", \"event\": {\"action\": \"x\"}, \
                 \"user\": {\"name\": \"ann\"}}\n```\n\n## Stays quiet\n\n### Another\n\n```json\n{\"@timestamp\": \
                 \"2026-11-01T00:00:00Z\", \"event\": {\"action\": \"y\"}, \"user\": {\"name\": \"bob\"}}\n```\n";
    std::fs::write(dir.path().join("r.md"), tests).unwrap();
    let except = |user: &str| {
        let item = format!(
            "[[exceptions]]\n[exceptions.container]\nlist_id = \"mine\"\nname = \"Mine\"\n[[exceptions.items]]\nname = \"known\"\n\
             type = \"simple\"\n[[exceptions.items.entries]]\nfield = \"user.name\"\noperator = \"included\"\ntype = \"match\"\n\
             value = \"{user}\"\n"
        );
        std::fs::write(dir.path().join("exceptions.toml"), item).unwrap();
    };
    except("bob");
    assert_eq!(checked(dir.path()), (Vec::new(), Some(0)), "what stays quiet anyway may be excepted");
    except("ann");
    let (said, code) = checked(dir.path());
    assert_eq!(code, Some(1));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("RULE034 "), "{said:?}");
    assert!(
        said[0].contains("exception `known` silences `R`: its test `By ann` would not alert"),
        "{said:?}"
    );
}
