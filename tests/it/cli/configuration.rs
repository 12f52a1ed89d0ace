//! The configuration file from the outside.

use std::path::Path;

use super::{folder, ran, run, tocsin};

#[test]
fn the_reference_and_the_schema_in_docs_are_what_the_binary_prints() {
    let dir = folder();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (what, file) in [("reference", "docs/configuration.md"), ("schema", "docs/tocsin.schema.json")] {
        let printed = run(dir.path(), &["config", what]).code(0).stdout;
        let path = root.join(file);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &printed).expect("docs can be written");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == printed, "{file} is stale: run the tests with UPDATE=1");
    }
}

#[test]
fn every_mistake_is_shown_with_file_line_caret_and_advice() {
    let dir = folder();
    let text = "datadir = \"x\"\n\n[schedule]\nmax_concurrent_executions = \"four\"\n";
    std::fs::write(dir.path().join("tocsin.toml"), text).unwrap();
    run(dir.path(), &["version"]).code(2).says(&[
        "tocsin.toml:1:1",
        "unknown key `datadir`",
        "did you mean `data_dir`?",
        "tocsin.toml:4:29",
        "4 | max_concurrent_executions = \"four\"",
        "^^^^^^",
        "number, 1 to 1024",
    ]);
}

#[test]
fn a_flag_beats_the_environment_beats_the_file() {
    let dir = folder();
    std::fs::write(dir.path().join("tocsin.toml"), "data_dir = \"from-file\"\n").unwrap();
    let data_dir = |variable: Option<&str>, flags: &[&str]| {
        let mut command = tocsin(dir.path());
        command.args(["config", "show"]).args(flags);
        if let Some(value) = variable {
            command.env("TOCSIN_DATA_DIR", value);
        }
        let lines = ran(&mut command).code(0).lines();
        let line = lines.iter().find(|line| line["key"] == "data_dir").unwrap();
        format!("{} {}", line["value"].as_str().unwrap(), line["origin"].as_str().unwrap())
    };
    assert_eq!(data_dir(None, &[]), "from-file tocsin.toml:1");
    assert_eq!(data_dir(Some("from-env"), &[]), "from-env environment TOCSIN_DATA_DIR");
    assert_eq!(data_dir(Some("from-env"), &["--data-dir", "from-flag"]), "from-flag flag --data-dir");
}

#[test]
fn relative_paths_start_at_the_file() {
    let dir = folder();
    std::fs::create_dir(dir.path().join("etc")).unwrap();
    std::fs::write(dir.path().join("etc/t.toml"), "[rules]\npaths = [\"mine\"]\n").unwrap();
    let ran = run(dir.path(), &["config", "show", "--config", "etc/t.toml"]).code(0);
    let line = ran.lines().into_iter().find(|line| line["key"] == "rules.paths").unwrap();
    assert_eq!(line["value"][0], "etc/mine");
}

#[test]
fn the_file_is_found_in_the_users_folder() {
    let dir = folder();
    std::fs::create_dir_all(dir.path().join(".config/tocsin")).unwrap();
    std::fs::write(dir.path().join(".config/tocsin/tocsin.toml"), "[log]\nlevel = \"debug\"\n").unwrap();
    let ran = run(dir.path(), &["config", "show"]).code(0);
    let line = ran.lines().into_iter().find(|line| line["key"] == "log.level").unwrap();
    assert_eq!(line["value"], "debug");
    assert!(line["origin"].as_str().unwrap().ends_with(".config/tocsin/tocsin.toml:2"), "{line}");
}

#[test]
fn secrets_are_never_printed() {
    let dir = folder();
    let text = "[[backend]]\nname = \"prod\"\nurl = [\"http://127.0.0.1:1\"]\nauth = { api_key = \"hunter2\" }\n[[connector]]\nname = \"soc\"\ntype = \"slack\"\nwebhook_url = \"https://hunter2\"\nchannel = \"#soc\"\n";
    std::fs::write(dir.path().join("tocsin.toml"), text).unwrap();
    for arguments in
        [&["config", "show", "-v"][..], &["config", "show", "--format", "human"], &["doctor", "-v"]]
    {
        let ran = run(dir.path(), arguments);
        assert!(
            !ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"),
            "{}{}",
            ran.stdout,
            ran.stderr
        );
    }
    run(dir.path(), &["config", "show", "-v"]).code(0).says(&["CONF010", "plain text", "tocsin.toml:4:20"]);
}

#[test]
fn a_file_that_is_no_text_or_no_toml_says_where() {
    let dir = folder();
    let path = dir.path().join("tocsin.toml");
    std::fs::write(&path, b"[log]\nlevel = \"\xff\"\n").unwrap();
    run(dir.path(), &["version"]).code(2).says(&["tocsin.toml:2:10", "not UTF-8"]);
    std::fs::write(&path, "[log\nlevel = 1\n").unwrap();
    run(dir.path(), &["version"]).code(2).says(&["tocsin.toml:1:", "not TOML"]);
}
