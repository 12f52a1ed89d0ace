//! The command line: arguments, output, exit codes.
//!
//! What it is: one file per command, the only place that prints.
//! What it is not: logic; a command wires layers together and shows the result.
//! Invariant: results go to stdout, everything else to stderr; exit codes are those of
//! [`Outcome`], and 2 for every [`CliError`].

pub mod alerts;
pub mod args;
pub mod backfill;
pub mod compile;
pub mod completions;
pub mod config;
pub mod context;
pub mod coverage;
pub mod demo;
pub mod doctor;
pub mod error;
pub mod executions;
pub mod export;
pub mod ingest;
pub mod kibana;
mod markdown;
pub mod notify;
pub mod output;
pub mod progress;
pub mod render;
pub mod rules;
pub mod run;
pub mod search;
pub mod setup;
pub mod signals;
pub mod silence;
pub mod store;
pub mod style;
pub mod table;
pub mod test;
pub mod version;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
pub use context::Context;
pub use error::CliError;
pub use output::{Format, RecordWriter};
pub use table::Table;

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

impl Outcome {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Findings => 1,
            Self::Interrupted => 130,
        }
    }
}

/// Exit code of usage, configuration and I/O errors.
const FAILED: u8 = 2;

/// Parses the process's arguments, runs the command, maps the result to an exit code.
pub fn main() -> ExitCode {
    ExitCode::from(run_from(std::env::args_os()))
}

/// Runs the command line `arguments` (the program's name first) and returns the exit code.
fn run_from(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, usage errors to stderr; a closed pipe is no news.
            drop(error.print());
            return if error.use_stderr() { FAILED } else { 0 };
        }
    };
    let style = style::Style::stderr(cli.globals.color);
    match start(cli) {
        Ok(outcome) => outcome.code(),
        Err(error) if error.is_broken_pipe() => 0,
        Err(error) => {
            // Nobody is left to tell when stderr is gone too.
            drop(render::error(&mut std::io::stderr().lock(), &error, style));
            FAILED
        }
    }
}

fn start(cli: Cli) -> Result<Outcome, CliError> {
    let Cli { globals, command } = cli;
    let context = Context::build(&globals)?;
    crate::telemetry::init(&context.telemetry(command.is_service()));
    context.say_warnings(command.is_service());
    if command.needs_events() {
        context.require_embedded(command.name())?;
    }
    let outcome = dispatch(command, &context)?;
    context.out().flush()?;
    Ok(outcome)
}

fn dispatch(command: Command, context: &Context) -> Result<Outcome, CliError> {
    match command {
        Command::Demo(args) => demo::run(args, context),
        Command::Ingest(args) => ingest::run(args, context),
        Command::Search(args) => search::run(args, context),
        Command::Compile(args) => compile::run(args, context),
        Command::Rules(args) => rules::run(args, context),
        Command::Test(args) => test::run(args, context),
        Command::Run(args) => run::run(args, context),
        Command::Serve(args) => run::serve(args, context),
        Command::Alerts(args) => alerts::run(args, context),
        Command::Notify(args) => notify::run(args, context),
        Command::Silence(args) => silence::run(args, context),
        Command::Executions(args) => executions::run(args, context),
        Command::Coverage(args) => coverage::run(args, context),
        Command::Backfill(args) => backfill::run(args, context),
        Command::Store(args) => store::run(args, context),
        Command::Setup(args) => setup::run(&args, context),
        Command::Kibana(args) => kibana::run(args, context),
        Command::Export(args) => export::run(&args, context),
        Command::Config(args) => config::run(args, context),
        Command::Doctor(args) => doctor::run(args, context),
        Command::Completions(args) => completions::run(args, context),
        Command::Version(args) => version::run(args, context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_tree_of_commands_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn outcomes_have_the_promised_codes() {
        assert_eq!(Outcome::Fine.code(), 0);
        assert_eq!(Outcome::Findings.code(), 1);
        assert_eq!(Outcome::Interrupted.code(), 130);
    }
}
