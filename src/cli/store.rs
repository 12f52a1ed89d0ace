//! `tocsin store`.

use super::{CliError, Context, Outcome};

/// Arguments of `tocsin store`.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct StoreArgs {}

/// Runs the command.
///
/// # Errors
/// Always: the command is not there yet, and not listed.
pub fn run(_args: StoreArgs, _context: &Context) -> Result<Outcome, CliError> {
    Err(CliError::usage("`tocsin store` is not there yet"))
}
