//! What a shell script sees: help, versions, formats, exit codes, pipes.

use super::{folder, ran, run, tocsin};

#[test]
fn help_lists_commands_that_are_there_and_goes_to_stdout() {
    let dir = folder();
    let help = run(dir.path(), &["--help"]).code(0);
    for word in ["doctor", "config", "completions", "version", "Exit codes", "--data-dir", "TOCSIN_FORMAT"] {
        assert!(help.stdout.contains(word), "`{word}` is not in: {}", help.stdout);
    }
    // Every listed command has help of its own, and none of it is a stub.
    let listed: Vec<&str> = help
        .stdout
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(listed.len() >= 4, "{listed:?}");
    for command in listed {
        let own = run(dir.path(), &[command, "--help"]).code(0);
        assert!(own.stdout.contains("Usage:"), "{command}: {}", own.stdout);
    }
}

#[test]
fn usage_errors_are_exit_code_2_with_a_message_on_stderr() {
    let dir = folder();
    let cases: [(&[&str], &str); 7] = [
        (&["frobnicate"], "unrecognized subcommand"),
        (&["version", "--format", "yaml"], "possible values"),
        (&["version", "--backend", "ftp://x"], "https://es1:9200"),
        (&["version", "--at", "yesterday"], "--at: "),
        (&["version", "--config", "nowhere.toml"], "nowhere.toml"),
        (&["store", "stats", "--backend", "http://127.0.0.1:9200"], "embedded store only"),
        (&["version", "--format", "sarif"], "sarif"),
    ];
    for (arguments, message) in cases {
        let ran = run(dir.path(), arguments).code(2).says(&[message]);
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
    // Without arguments: the help, as an error.
    run(dir.path(), &[]).code(2).says(&["Usage: tocsin"]);
}

#[test]
fn a_time_that_cannot_be_read_is_marked() {
    let dir = folder();
    run(dir.path(), &["version", "--at", "now-5x"]).code(2).says(&["now-5x", "^", "help:"]);
}

#[test]
fn the_version_is_a_document_for_machines_and_lines_for_people() {
    let dir = folder();
    let machine = run(dir.path(), &["version"]).code(0).json();
    assert_eq!(machine["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(machine["name"], "tocsin");
    let person = run(dir.path(), &["version", "--format", "human"]).code(0);
    assert!(
        person.stdout.starts_with(&format!("tocsin {}\n", env!("CARGO_PKG_VERSION"))),
        "{}",
        person.stdout
    );
    let by_variable = ran(tocsin(dir.path()).arg("version").env("TOCSIN_FORMAT", "human")).code(0);
    assert_eq!(by_variable.stdout, person.stdout);
    let csv = run(dir.path(), &["version", "--format", "csv"]).code(0);
    assert!(csv.stdout.starts_with("name,version,"), "{}", csv.stdout);
}

#[test]
fn colour_is_for_terminals_or_when_asked() {
    let dir = folder();
    let plain = run(dir.path(), &["doctor", "--format", "human"]).code(0);
    assert!(!plain.stdout.contains('\u{1b}'));
    let painted = run(dir.path(), &["doctor", "--format", "human", "--color", "always"]).code(0);
    assert!(painted.stdout.contains("\u{1b}[32m"));
    let machine = run(dir.path(), &["doctor", "--format", "ndjson", "--color", "always"]).code(0);
    assert!(!machine.stdout.contains('\u{1b}'));
}

#[test]
fn completions_complete_every_shell() {
    let dir = folder();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(dir.path(), &["completions", shell]).code(0);
        assert!(script.stdout.contains("doctor") && script.stdout.contains("tocsin"), "{shell}");
    }
}

/// `tocsin … | head` is nobody's mistake.
#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_error() {
    let dir = folder();
    let binary = assert_cmd::cargo::cargo_bin("tocsin");
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("{{ {} completions bash; echo $? >&2; }} | head -c 10", binary.display()))
        .current_dir(dir.path())
        .output()
        .expect("sh runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "0\n");
}
