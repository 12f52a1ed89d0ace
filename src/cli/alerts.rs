//! `tocsin alerts`.

use super::{CliError, Context, Outcome};

/// Arguments of `tocsin alerts`.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct AlertsArgs {}

/// Runs the command.
///
/// # Errors
/// Always: the command is not there yet, and not listed.
pub fn run(_args: AlertsArgs, _context: &Context) -> Result<Outcome, CliError> {
    Err(CliError::usage("`tocsin alerts` is not there yet"))
}
