//! `tocsin rules`.

use super::{CliError, Context, Outcome};

/// Arguments of `tocsin rules`.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct RulesArgs {}

/// Runs the command.
///
/// # Errors
/// Always: the command is not there yet, and not listed.
pub fn run(_args: RulesArgs, _context: &Context) -> Result<Outcome, CliError> {
    Err(CliError::usage("`tocsin rules` is not there yet"))
}
