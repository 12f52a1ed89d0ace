//! Rule files: Elastic's own load and fire, broken ones are explained, the cache changes nothing,
//! the shipped rules pass the tests beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tocsin::backend::memory::MemoryBackend;
use tocsin::backend::{SearchRequest, TimeField};
use tocsin::base::diagnostic::{Diagnostic, Level};
use tocsin::ecs::document::{Document, NewDocument};
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::ingest::decode::Decoder;
use tocsin::ingest::formats::Format;
use tocsin::ingest::reader::{DocumentSink, ReadOptions, Reader, Reject};
use tocsin::query::eval::Matcher;
use tocsin::rule::cache::CacheDir;
use tocsin::rule::load::ExportKind;
use tocsin::rule::load::files::load_paths;
use tocsin::rule::load::{ndjson, toml};
use tocsin::rule::model::{RuleKind, Schedule};
use tocsin::rule::set::RuleSet;
use tocsin::rule::{docs, shipped, testfile};

use crate::shared::shared_dir;

fn elastic() -> Option<(PathBuf, RuleSet)> {
    let dir = shared_dir()?.join("data/elastic-rules");
    let set = load_paths(&[dir.join("rules"), dir.join("rules_building_block")], None);
    Some((dir, set))
}

/// Diagnostics as a person reads them, the folder left out.
fn shown(diagnostics: &[Diagnostic], least: Level, dir: &Path) -> String {
    let wanted = diagnostics.iter().filter(|found| found.level >= least);
    let lines: Vec<String> = wanted.map(|found| format!("{:?} {found}\n", found.level)).collect();
    lines.concat().replace(&format!("{}/", dir.display()), "")
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("writable");
    path
}

/// What loading one file says.
fn said(name: &str, text: &str) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let path = write(dir.path(), name, text);
    shown(&load_paths(&[path], None).diagnostics, Level::Info, dir.path())
}

/// A rule file with `extra` in its `[rule]` table.
fn rule(extra: &str) -> String {
    format!(
        "[rule]\nname = \"A rule\"\ndescription = \"What it finds.\"\nrisk_score = 21\nseverity = \"low\"\ntype = \"query\"\nrule_id = \"a-1\"\n{extra}\n"
    )
}

#[test]
fn every_rule_of_elastics_loads() {
    let Some((dir, set)) = elastic() else { return };
    assert_eq!(shown(&set.diagnostics, Level::Warning, &dir), "");
    assert_eq!(set.rules.len(), 530);
    assert_eq!(set.files.len(), 530);
    let runs = |rule: &RuleKind| {
        // These two depend on what a cluster has.
        !matches!(rule, RuleKind::Esql(_) | RuleKind::MachineLearning(_))
    };
    let all = set.rules.iter().filter(|rule| runs(&rule.kind));
    let lost: Vec<_> = all.filter(|rule| set.plan(&rule.rule_id).is_none()).map(|rule| &rule.name).collect();
    assert!(lost.is_empty(), "these do not compile: {lost:?}");
    assert!(set.compiled.len() > 400);
    let said: BTreeSet<&str> = set.diagnostics.iter().map(|found| found.code.as_str()).collect();
    assert_eq!(said, BTreeSet::from(["RULE011"]), "types that do not run yet, and nothing else");
}

/// Every field of a file is in the rule's parameters or its tables, with the value it had.
#[test]
fn no_field_of_elastics_rules_is_lost() {
    let Some((_, set)) = elastic() else { return };
    for rule in &set.rules {
        let text = std::fs::read_to_string(&rule.origin.path).expect("readable");
        let file: ::toml::Table = text.parse().expect("TOML");
        let mut expected = serde_json::to_value(&file).expect("JSON");
        let kept = rule.parameters.object();
        let fields = expected.as_object_mut().and_then(|file| file.remove("rule")).expect("a rule");
        for (key, value) in fields.as_object().expect("a table") {
            match key.as_str() {
                "new_terms" => {
                    assert_eq!(kept["new_terms_fields"], value["value"]);
                    assert_eq!(kept["history_window_start"], value["history_window_start"][0]["value"]);
                }
                "note" if text.contains("$osquery_") || text.contains("$investigate_") => {
                    let note = kept["note"].as_str().expect("text");
                    assert!(note.contains("!{osquery{") || note.contains("!{investigate{"), "{}", rule.name);
                }
                _ => assert_eq!(&kept[key], value, "{key} of {}", rule.name),
            }
        }
        assert_eq!(Value::Object(rule.tables.object()), expected, "{}", rule.name);
    }
}

/// KQL rules fire on the events that were made for them.
#[test]
fn elastics_rules_fire_on_their_events() {
    let Some((_, set)) = elastic() else { return };
    let Some(dir) = shared_dir() else { return };
    let file = std::fs::File::open(dir.join("data/elastic-rules-events.ndjson")).expect("events");
    let (mut fired, mut unlike) = (0, 0);
    let mut wrong = Vec::new();
    for line in std::io::BufReader::new(file).lines() {
        let case: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        let Some(rule) = set.plan(case["rule_id"].as_str().expect("an id")) else { continue };
        let over = Mapping::from_elasticsearch(&case["mappings"]).expect("a mapping");
        let mut mapping = Mapping::ecs().overlay(&over);
        let mut documents = Vec::new();
        for source in case["solutions"]
            .as_array()
            .expect("solutions")
            .iter()
            .flat_map(|s| s.as_array().expect("events"))
        {
            mapping.learn_document(&FlatDoc::from_value(source));
            documents.push(Document::new("logs-test-default", documents.len().to_string(), source.clone()));
        }
        let now = "2026-11-22T01:00:00Z".parse().expect("a time");
        // EQL has its own, which knows what the generator makes of backquoted names.
        if rule.rule.rule_type() == "eql" {
            continue;
        }
        let Some(filter) = rule.plan.filter() else { continue };
        let matcher = Matcher::compile(filter, &mapping, now);
        let backend = MemoryBackend::new(documents.clone(), mapping.clone());
        let request = SearchRequest {
            indices: Arc::from([String::from("logs-*")]),
            filter: Arc::clone(filter),
            now,
            window: None,
            time: TimeField::timestamp(),
            event_clock: true,
            size: documents.len(),
            after: None,
            descending: false,
        };
        let page = backend.search_now(&request).expect("a search");
        for document in &documents {
            let reference = matcher.matches(&FlatDoc::from_value(&document.source), Some(&document.source));
            let found = page.hits.iter().any(|hit| hit.document.id == document.id);
            // Events of one rule lack fields that its query names; the other evaluator says so too.
            let made_wrong = case["peer_ok"].as_array().is_some_and(|ok| ok.iter().all(|ok| ok == false));
            if made_wrong && !reference && !found {
                unlike += 1;
            } else if !(reference && found) {
                wrong.push(format!("{}: {reference} {found} {}", rule.rule.name, document.source));
            }
        }
        fired += 1;
    }
    assert!(wrong.is_empty(), "{} events do not match:\n{}", wrong.len(), wrong.join("\n"));
    assert!(fired > 120, "{fired}");
    assert!(unlike <= 6, "{unlike}");
}

#[test]
fn shipped_rules_are_those_of_the_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = load_paths(&[root.join("rules")], None);
    let shipped = shipped::load();
    assert_eq!(shown(&folder.diagnostics, Level::Info, root), "");
    assert_eq!(shipped.hash, folder.hash);
    assert_eq!(shipped.compiled.len(), 23);
    for rule in &shipped.rules {
        assert!(rule.enabled && rule.note().is_some() && rule.setup().is_some(), "{}", rule.name);
        assert!(
            !rule.threat().is_empty() && !rule.references().is_empty() && !rule.false_positives().is_empty()
        );
        assert_eq!(rule.license.as_deref(), Some("Apache-2.0"));
    }
    let stopped =
        shipped.rules.iter().find(|rule| rule.name == "AWS CloudTrail logging stopped").expect("it");
    assert_eq!(stopped.schedule, Schedule::Every { interval_ms: 600_000, text: String::from("10m") });
    assert_eq!((stopped.from.as_str(), stopped.to.as_str(), stopped.max_signals), ("now-60m", "now", 100));
}

fn tocsin(dir: &Path) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::cargo_bin("tocsin").expect("the binary");
    command.current_dir(dir).env_remove("TOCSIN_FORMAT");
    command
}

/// The tests beside the shipped rules pass, and notice every condition turned round.
#[test]
fn shipped_rules_pass_their_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = tocsin(root)
        .args(["test", "rules", "--mutate", "--require-tests", "--format", "ndjson"])
        .output()
        .expect("run");
    let text = String::from_utf8(run.stdout).expect("text");
    let reports: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(reports.len(), 23);
    for report in &reports {
        assert_eq!(report["status"], "passed", "{report}");
        let count = |kind: &str| {
            let cases = report["cases"].as_array().expect("cases");
            cases.iter().filter(|case| case["expectation"] == kind).count()
        };
        assert!(count("alerts") >= 2 && count("quiet") >= 2, "{}", report["name"]);
    }
    assert_eq!(run.status.code(), Some(0));
}

#[test]
fn a_failing_test_says_why() {
    let dir = tempfile::tempdir().expect("a folder");
    write(
        dir.path(),
        "r.toml",
        &rule("index = [\"logs-*\"]\nquery = 'event.action:StopLogging and not user.name:(ci or deploy)'"),
    );
    write(
        dir.path(),
        "r.md",
        "# r\n\n## Alerts\n\n### by ci\n\n```json\n{\"@timestamp\": \"2026-11-01T00:00:00Z\", \"event\": {\"action\": \"StopLogging\"}, \"user.name\": \"ci\"}\n```\n\n## Stays quiet\n\n### other\n\n```json\n{\"@timestamp\": \"2026-11-01T00:00:00Z\", \"event.action\": \"Other\"}\n```\n",
    );
    let run = tocsin(dir.path())
        .args(["test", ".", "--format", "human", "--color", "never"])
        .output()
        .expect("run");
    assert_eq!(run.status.code(), Some(1));
    let text = String::from_utf8(run.stdout).expect("text");
    assert!(text.contains("r.md:8: no alert, one was expected"), "{text}");
    assert!(text.contains("no  not") && text.contains("yes user.name"), "{text}");
    let run = tocsin(dir.path()).args(["test", "r.md", "--format", "junit"]).output().expect("run");
    let text = String::from_utf8(run.stdout).expect("text");
    assert!(text.contains("<failure message=\"no alert, one was expected\">"), "{text}");
    assert!(text.contains("tests=\"2\" failures=\"1\""), "{text}");
    let fine = rule("index = [\"logs-*\"]\nquery = 'event.action:StopLogging and not user.name:deploy'");
    write(dir.path(), "r.toml", &fine);
    assert_eq!(tocsin(dir.path()).args(["test", "."]).output().expect("run").status.code(), Some(0));
    let run = tocsin(dir.path()).args(["test", ".", "--mutate", "--format", "human"]).output().expect("run");
    let text = String::from_utf8(run.stdout).expect("text");
    assert_eq!(run.status.code(), Some(0), "{text}");
}

#[test]
fn broken_files_are_explained() {
    let many = "[rule]\nname = 3\nrisk_score = 101\nseverity = \"hihg\"\ntype = \"qurey\"\nenabled = \"yes\"\ntags = [\"a\", 1]\nmax_signals = 0\ninterval = \"5 minutes\"\ntimeline_id = \"t\"\n\n[[rule.threat]]\nframework = \"MITRE ATT&CK\"\n\n[[rule.threat.technique]]\nid = \"T1\"\n";
    let files = [
        ("unclosed.toml", String::from("[rule]\nname = \"x\ntype = 1\n")),
        ("no-rule.toml", String::from("[metadata]\nmaturity = \"production\"\n")),
        ("many.toml", many.to_owned()),
        ("dates.toml", rule("from = \"now-5x\"\nto = \"now+\"\nquery = 'a:1'")),
        (
            "unknown.toml",
            rule("interval = \"10m\"\nfrom = \"now-5m\"\nquery = \"a:1\"\nfoo = 1\nseverty = \"low\""),
        ),
        ("query-lines.toml", rule("query = '''\nevent.action:a and\n  event.outcome:(b or\n'''")),
        ("query-escapes.toml", rule("query = \"\\u0041:\\\"x\\\" and (b\"")),
        (
            "schedule.toml",
            rule(
                "query = \"a:1\"\nindex = [\"logs-*\", \"Logs Bad\"]\nschedule = { cron = \"61 * * * *\", timezone = \"Mars/Base\" }",
            ),
        ),
        (
            "filter.toml",
            rule("query = \"a:1\"\n[[rule.filters]]\n[rule.filters.query.script]\nsource = \"x\"\n"),
        ),
        (
            "export.ndjson",
            String::from(
                "{\"rule_id\": \"a\", \"name\": \"A\", \"query\": \"x:(\"}\n\n{\"rule_id\": \"b\",, }\n[]\n",
            ),
        ),
        ("control.toml", String::from("\u{1}")),
    ];
    let all: String = files.iter().map(|(name, text)| said(name, text) + "\n").collect();
    insta::assert_snapshot!("broken_rule_files", all);
}

#[test]
fn a_broken_file_stops_no_other() {
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), "a.toml", "[rule\n");
    write(dir.path(), "b.toml", &rule("query = 'a:('"));
    std::fs::write(dir.path().join("c.toml"), b"[rule]\nname = \"\xff\"\n").expect("writable");
    write(dir.path(), "d.toml", &rule("query = 'a:1'"));
    write(dir.path(), "e.toml", &rule("query = 'a:2'"));
    write(dir.path(), "f.toml", &format!("# {}", "x".repeat(5 << 20)));
    write(dir.path(), "Cargo.toml", "[package]\nname = \"x\"\n");
    let set = load_paths(&[dir.path().to_owned(), dir.path().join("missing")], None);
    assert_eq!(set.rules.len(), 1);
    assert_eq!(set.compiled.len(), 1);
    insta::assert_snapshot!("broken_folder", shown(&set.diagnostics, Level::Warning, dir.path()));
}

#[test]
fn an_export_is_read_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let base = json!({"name": "n", "description": "d", "risk_score": 1, "severity": "low", "type": "query", "rule_id": "r1", "id": "7e6a", "enabled": false, "query": "a:1", "immutable": false, "revision": 3, "x_custom": {"deep": [1, null]}});
    let mut other = base.clone();
    other["rule_id"] = json!("r2");
    other["language"] = json!("lucene");
    let lines = [
        base,
        other,
        json!({"list_id": "l", "name": "list", "type": "detection", "namespace_type": "single"}),
        json!({"list_id": "l", "item_id": "i", "name": "item", "entries": []}),
        json!({"exported_count": 4, "exported_rules_count": 2}),
    ];
    let text = lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n";
    let set = load_paths(&[write(dir.path(), "export.ndjson", &text)], None);
    assert_eq!(set.rules.len(), 2);
    let rule = &set.rules[0];
    assert_eq!((rule.id.as_deref(), rule.enabled, rule.origin.line), (Some("7e6a"), false, 1));
    assert_eq!(&*rule.object_id("default"), "7e6a");
    assert_eq!(Value::Object(rule.parameters.object()), lines[0]);
    assert_eq!(set.rules[1].origin.line, 2);
    assert_eq!(set.compiled.len(), 2);
    let kinds: Vec<ExportKind> = set.objects.iter().map(|(_, object)| object.kind).collect();
    assert_eq!(kinds, [ExportKind::ExceptionList, ExportKind::ExceptionItem, ExportKind::Summary]);
    assert_eq!(Value::Object(set.objects[1].1.object.object()), lines[3]);
    insta::assert_snapshot!("export", shown(&set.diagnostics, Level::Info, dir.path()));
}

/// Everything of a set that can be compared.
fn whole(set: &RuleSet) -> (Vec<String>, Vec<String>, &[Diagnostic], &str) {
    let rules = set.rules.iter().map(|rule| format!("{rule:?}")).collect();
    let plans = set.compiled.iter().map(|plan| format!("{plan:?}")).collect();
    (rules, plans, &set.diagnostics, &set.hash)
}

#[test]
fn the_cache_changes_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let dir = tempfile::tempdir().expect("a folder");
    let broken = write(dir.path(), "broken.toml", &rule("query = 'a:('\nfoo = 1"));
    let mut paths = vec![root, broken.clone()];
    if let Some(shared) = shared_dir() {
        paths.push(shared.join("data/elastic-rules/rules"));
    }
    let cache = CacheDir::new(dir.path().join("cache"), None);
    let fresh = load_paths(&paths, None);
    let cold = load_paths(&paths, Some(&cache));
    let size = std::fs::metadata(cache.file()).expect("written").len();
    let warm = load_paths(&paths, Some(&cache));
    assert!(size > 10_000);
    assert!(whole(&fresh) == whole(&cold) && whole(&fresh) == whole(&warm));

    // A changed file is read anew, whatever the cache holds of it.
    write(dir.path(), "broken.toml", &rule("query = 'a:1'"));
    let mended = load_paths(&paths, Some(&cache));
    assert_eq!(mended.rules.len(), fresh.rules.len() + 1);
    assert_eq!(mended.hash, load_paths(&paths, None).hash);

    // Damage anywhere costs time, never truth.
    let bytes = std::fs::read(cache.file()).expect("readable");
    for at in [0, 20, 45, 100, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x20;
        std::fs::write(cache.file(), &damaged).expect("writable");
        assert!(whole(&load_paths(&paths, Some(&cache))) == whole(&mended), "damage at {at}");
    }
    std::fs::write(cache.file(), &bytes[..bytes.len() / 3]).expect("writable");
    assert!(whole(&load_paths(&paths, Some(&cache))) == whole(&mended));
    // Another program's cache is not believed.
    let other = CacheDir::new(dir.path().join("cache"), Some(broken));
    assert!(whole(&load_paths(&paths, Some(&other))) == whole(&mended));
}

#[test]
fn a_reload_is_all_or_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let paths = [dir.path().to_owned()];
    write(dir.path(), "a.toml", &rule("query = 'a:1'"));
    write(dir.path(), "b.toml", &rule("query = 'a:1'").replace("a-1", "b-1"));
    write(dir.path(), "old.toml", "[rule");
    let first = load_paths(&paths, None);
    assert_eq!(first.rules.len(), 2, "a file that is broken from the start stops no other");
    write(dir.path(), "a.toml", &rule("query = 'a:2'"));
    write(dir.path(), "c.toml", &rule("query = 'a:('").replace("a-1", "c-1"));
    let refused = first.replaced_by(load_paths(&paths, None)).expect_err("a new error");
    assert_eq!(refused.len(), 1);
    write(dir.path(), "c.toml", &rule("query = 'a:3'").replace("a-1", "c-1"));
    std::fs::remove_file(dir.path().join("b.toml")).expect("removable");
    let (second, changes) = first.replaced_by(load_paths(&paths, None)).expect("nothing new is broken");
    let ids = |ids: &[Arc<str>]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        (ids(&changes.added), ids(&changes.changed), ids(&changes.removed)),
        (vec![String::from("c-1")], vec![String::from("a-1")], vec![String::from("b-1")])
    );
    let (_, changes) = second.replaced_by(load_paths(&paths, None)).expect("the same");
    assert!(changes.is_empty());
}

#[test]
fn check_speaks_to_scripts() {
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), "good.toml", &rule("query = 'event.actoin:x'\nnote = 'n'"));
    write(dir.path(), "bad.toml", &rule("query = 'a:('").replace("a-1", "b-1"));
    let run = tocsin(dir.path()).args(["rules", "check", ".", "--format", "ndjson"]).output().expect("run");
    assert_eq!(run.status.code(), Some(1));
    let text = String::from_utf8(run.stdout).expect("text");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["ok"], &lines[1]["ok"]), (&json!(false), &json!(true)));
    assert_eq!(lines[0]["rule_id"], "b-1");
    assert_eq!((&lines[0]["type"], &lines[0]["language"]), (&json!("query"), &json!("kuery")));
    let found: BTreeMap<String, Value> = lines[1]["diagnostics"]
        .as_array()
        .expect("diagnostics")
        .iter()
        .map(|one| (one["code"].to_string(), one.clone()))
        .collect();
    let field = &found["\"RULE020\""];
    assert_eq!(
        (&field["severity"], &field["line"], &field["column"]),
        (&json!("warning"), &json!(8), &json!(10))
    );
    assert_eq!(field["help"], "did you mean `event.action`?");
    let strict = tocsin(dir.path()).args(["rules", "check", "good.toml"]).output().expect("run");
    assert_eq!(strict.status.code(), Some(0));
    let strict = tocsin(dir.path()).args(["rules", "check", "good.toml", "--strict"]).output().expect("run");
    assert_eq!(strict.status.code(), Some(1));
    let sarif = tocsin(dir.path()).args(["rules", "check", ".", "--format", "sarif"]).output().expect("run");
    let document: Value = serde_json::from_slice(&sarif.stdout).expect("JSON");
    assert_eq!(
        document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"],
        8
    );
}

/// `rules/README.md` is generated: `TOCSIN_UPDATE_DOCS=1 cargo test --test it catalogue`.
#[test]
fn the_catalogue_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/README.md");
    let catalogue = docs::catalogue(&shipped::load());
    if std::env::var_os("TOCSIN_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &catalogue).expect("writable");
    }
    assert_eq!(
        std::fs::read_to_string(&path).expect("readable"),
        catalogue,
        "run `tocsin rules list --markdown`"
    );
}

#[derive(Default)]
struct Collected(Vec<NewDocument>);

impl DocumentSink for Collected {
    fn document(&mut self, document: NewDocument) -> bool {
        self.0.push(document);
        true
    }

    fn reject(&mut self, reject: Reject) {
        panic!("{}", reject.reason);
    }
}

/// The shipped rules alert on the attack steps in real CloudTrail.
#[test]
fn shipped_rules_alert_on_real_attacks() {
    let Some(shared) = shared_dir() else { return };
    let mut raw = String::new();
    for name in ["invictus-aws_dataset", "otrf-security-datasets", "stratus-red-team"] {
        let text =
            std::fs::read_to_string(shared.join(format!("data/cloudtrail/{name}.ndjson"))).expect("events");
        for line in text.lines() {
            let case: Value = serde_json::from_str(line).expect("JSON");
            raw.push_str(&case["raw"].to_string());
            raw.push('\n');
        }
    }
    let options = ReadOptions {
        format: Format::CloudTrail,
        index: None,
        ingested: String::from("2026-11-22T00:00:00.000Z"),
    };
    let decoder = Decoder::new(Box::new(std::io::Cursor::new(raw.into_bytes()))).expect("text");
    let mut collected = Collected::default();
    Reader::new(options).read("-", decoder, &mut collected);
    let mapping = Mapping::ecs();
    let now = "2026-11-22T00:00:00Z".parse().expect("a time");
    let mut alerts: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for rule in &shipped::load().compiled {
        let filter = rule.plan.filter().expect("events");
        let matcher = Matcher::compile(filter, &mapping, now);
        for document in collected.0.iter().filter(|document| matcher.matches(&document.flat, None)) {
            let source: Value = serde_json::from_str(&document.source).expect("JSON");
            let action = source["event"]["action"].as_str().expect("an action").to_owned();
            *alerts.entry(rule.rule.name.clone()).or_default().entry(action).or_default() += 1;
        }
    }
    let lines: Vec<String> = alerts.iter().map(|(rule, actions)| format!("{rule}: {actions:?}")).collect();
    insta::assert_snapshot!("real_attacks", lines.join("\n"));
}

/// A rule that uses much of the format, for texts that are nearly rules.
fn seed_text() -> String {
    rule(
        "query = '''\nevent.action:\"x\" and\n  (user.name:a* or b:1)\n'''\nfrom = \"now-6m\"\ntags = [\"a\"]\nindex = [\"logs-*\"]\n[[rule.filters]]\n[rule.filters.meta]\nnegate = true\n[rule.filters.query.wildcard.\"a.b\"]\nvalue = \"x*\"\n[[rule.threat]]\nframework = \"MITRE ATT&CK\"\n[rule.threat.tactic]\nid = \"TA1\"\nname = \"n\"\nreference = \"r\"\n",
    )
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    /// Whatever is cut out of or put into a rule file: no panic, and every place lies in the text.
    #[test]
    fn no_text_breaks_the_readers(at in 0usize..700, cut in 0usize..40, put in "[\"'\\\\\\[\\]{}=.,: a-zé\n\u{0}]{0,12}") {
        let seed = seed_text();
        let chars: Vec<char> = seed.chars().collect();
        let at = at.min(chars.len());
        let text: String = chars[..at].iter().copied().chain(put.chars()).chain(chars[(at + cut).min(chars.len())..].iter().copied()).collect();
        let loaded = toml::read(&text, "0");
        for found in &loaded.diagnostics {
            if let Some(span) = found.span {
                proptest::prop_assert!(span.start <= span.end && span.end <= text.len() + 1, "{found:?}");
            }
        }
        proptest::prop_assert!(!loaded.rules.is_empty() || loaded.diagnostics.iter().any(Diagnostic::is_error));
        let line = json!({"rule_id": "a", "name": text.clone(), "query": put.clone(), "from": put.clone(), "type": "query"}).to_string();
        let broken: String = line.chars().take(at).collect();
        ndjson::read(&line, |_| String::from("0"));
        ndjson::read(&(broken + &put), |_| String::from("0"));
        testfile::parse(&text);
    }
}
