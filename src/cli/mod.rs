//! The command line: arguments, output, exit codes.
//!
//! What it is: one file per command, the only place that prints.
//! What it is not: logic; a command wires layers together and shows the result.
//! Invariant: results go to stdout, everything else to stderr; exit codes are those of
//! [`Outcome`].

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 0: fine.
    Fine,
    /// 1: findings (lint errors, failing rule tests, a failed rule, incomplete coverage).
    Findings,
    /// 130: interrupted.
    Interrupted,
}

/// Parses the arguments, runs the command, maps the result to an exit code.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
