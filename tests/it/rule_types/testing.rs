//! Tests beside rules that judge a window as a whole.

use std::sync::Arc;

use tocsin::ecs::document::NewDocument;
use tocsin::ecs::flat::FlatDoc;
use tocsin::engine::ruletest::RuleTest;
use tocsin::rule::compiled::CompiledRule;
use tocsin::rule::exceptions::RuleExceptions;
use tocsin::rule::testfile;

use super::rule;

/// Failures of each case, by its name.
fn failures(more: &str, cases: &str) -> Vec<(String, Vec<String>)> {
    let loaded = rule(more);
    let plan = loaded.plan.unwrap();
    let compiled =
        CompiledRule { rule: Arc::clone(&loaded.rule), plan, exceptions: RuleExceptions::default() };
    let file = testfile::parse(cases);
    assert_eq!(file.diagnostics, []);
    let mut normalize = |lines: &str| -> Result<Vec<NewDocument>, String> {
        let document = |(number, line): (usize, &str)| {
            let source: serde_json::Value = serde_json::from_str(line).unwrap();
            NewDocument {
                index: "logs-generic-default".into(),
                id: number.to_string(),
                source: source.to_string(),
                original: None,
                flat: FlatDoc::from_value(&source),
            }
        };
        Ok(lines.lines().enumerate().map(document).collect())
    };
    let test = RuleTest::new(&compiled, &["logs-*".to_owned()], &file, &mut normalize);
    let case = |case: tocsin::engine::ruletest::CaseReport| {
        (case.name, case.failures.into_iter().map(|failure| failure.message).collect())
    };
    test.run().into_iter().map(case).collect()
}

fn line(minute: u32, user: &str) -> String {
    format!(
        "{{\"@timestamp\": \"2026-11-01T12:{minute:02}:00Z\", \"event\": {{\"action\": \"x\"}}, \"user\": {{\"name\": \"{user}\"}}}}"
    )
}

fn case(name: &str, lines: &[String]) -> String {
    format!("### {name}\n\n```json\n{}\n```\n\n", lines.join("\n"))
}

#[test]
fn a_case_is_judged_as_a_whole() {
    let enough = case("Three of one user", &[line(1, "a"), line(2, "a"), line(3, "a")]);
    let few = case("Three of two users", &[line(1, "a"), line(2, "b"), line(3, "a")]);
    let threshold = "type = \"threshold\"\nquery = \"event.action:x\"\n[rule.threshold]\nfield = [\"user.name\"]\nvalue = 3\n";
    let file = |alerts: &str, quiet: &str| format!("## Alerts\n\n{alerts}## Stays quiet\n\n{quiet}");
    let passed = failures(threshold, &file(&enough, &few));
    assert!(passed.iter().all(|(_, failures)| failures.is_empty()), "{passed:?}");
    let failed = failures(threshold, &file(&few, &enough));
    assert_eq!(
        failed[0].1,
        ["no alert on these events, searched from 2026-11-01T11:03:00.000Z to 2026-11-01T12:03:00.000Z"]
    );
    assert_eq!(failed[1].1, ["1 alert on these events, none was expected"]);
}

#[test]
fn older_events_of_a_case_are_its_history() {
    let terms = "type = \"new_terms\"\nquery = \"event.action:x\"\nnew_terms_fields = [\"user.name\"]\nhistory_window_start = \"now-7d\"\n";
    let old = line(0, "a").replace("2026-11-01T12", "2026-10-30T12");
    let cases = format!(
        "## Alerts\n\n{}## Stays quiet\n\n{}",
        case("A first time", &[line(1, "a")]),
        case("Seen two days before", &[old, line(1, "a")]),
    );
    let passed = failures(terms, &cases);
    assert_eq!(passed.len(), 2);
    assert!(passed.iter().all(|(_, failures)| failures.is_empty()), "{passed:?}");
}
