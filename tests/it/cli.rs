//! The command line from the outside: the binary, its output, its exit codes.

mod bad_input;
mod configuration;
mod doctor;
mod eql;
mod ingest;
mod notify;
mod service;
mod shell;
mod workflow;

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// The binary in `dir`, without anything of the caller's environment that would change it.
pub(crate) fn tocsin(dir: &Path) -> Command {
    let mut command = Command::cargo_bin("tocsin").expect("the binary is built with the tests");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("TOCSIN_")) {
            command.env_remove(name);
        }
    }
    command.current_dir(dir).env("HOME", dir).env_remove("XDG_CONFIG_HOME").env("TZ", "UTC");
    command.env_remove("NO_COLOR").env_remove("COLUMNS").timeout(std::time::Duration::from_mins(3));
    command
}

/// What a run printed and how it ended.
pub(crate) struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// Stdout as JSON, one document.
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.stdout, self.stderr))
    }

    /// Stdout as JSON, one document a line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}\n{}", self.stderr)))
            .collect()
    }

    /// Fails unless it ended with `code`.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Fails unless stderr has all of `parts`.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in: {}", self.stderr);
        }
        self
    }
}

/// Runs the binary in `dir`.
pub(crate) fn run(dir: &Path, arguments: &[&str]) -> Ran {
    ran(tocsin(dir).args(arguments))
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("the binary starts");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}
