//! `tocsin executions`.

use super::{CliError, Context, Outcome};

/// Arguments of `tocsin executions`.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct ExecutionsArgs {}

/// Runs the command.
///
/// # Errors
/// Always: the command is not there yet, and not listed.
pub fn run(_args: ExecutionsArgs, _context: &Context) -> Result<Outcome, CliError> {
    Err(CliError::usage("`tocsin executions` is not there yet"))
}
