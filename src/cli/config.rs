//! `tocsin config`.

use super::{CliError, Context, Outcome};

/// Show the effective configuration, its reference and its JSON schema
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct ConfigArgs {}

/// Runs the command.
///
/// # Errors
/// Always: the command is not there yet, and not listed.
pub fn run(_args: ConfigArgs, _context: &Context) -> Result<Outcome, CliError> {
    Err(CliError::usage("`tocsin config` is not there yet"))
}
