//! `tocsin search`.

use super::{CliError, Context, Outcome};

/// Arguments of `tocsin search`.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct SearchArgs {}

/// Runs the command.
///
/// # Errors
/// Always: the command is not there yet, and not listed.
pub fn run(_args: SearchArgs, _context: &Context) -> Result<Outcome, CliError> {
    Err(CliError::usage("`tocsin search` is not there yet"))
}
