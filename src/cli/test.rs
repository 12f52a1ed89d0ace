//! `tocsin test`.

use super::{CliError, Context, Outcome};

/// Arguments of `tocsin test`.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct TestArgs {}

/// Runs the command.
///
/// # Errors
/// Always: the command is not there yet, and not listed.
pub fn run(_args: TestArgs, _context: &Context) -> Result<Outcome, CliError> {
    Err(CliError::usage("`tocsin test` is not there yet"))
}
