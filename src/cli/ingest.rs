//! `tocsin ingest`.

use super::{CliError, Context, Outcome};

/// Arguments of `tocsin ingest`.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct IngestArgs {}

/// Runs the command.
///
/// # Errors
/// Always: the command is not there yet, and not listed.
pub fn run(_args: IngestArgs, _context: &Context) -> Result<Outcome, CliError> {
    Err(CliError::usage("`tocsin ingest` is not there yet"))
}
