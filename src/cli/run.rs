//! `tocsin run`.

use super::{CliError, Context, Outcome};

/// Arguments of `tocsin run`.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct RunArgs {}

/// Runs the command.
///
/// # Errors
/// Always: the command is not there yet, and not listed.
pub fn run(_args: RunArgs, _context: &Context) -> Result<Outcome, CliError> {
    Err(CliError::usage("`tocsin run` is not there yet"))
}
