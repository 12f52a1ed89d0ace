//! `tocsin compile`.

use super::{CliError, Context, Outcome};

/// Arguments of `tocsin compile`.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct CompileArgs {}

/// Runs the command.
///
/// # Errors
/// Always: the command is not there yet, and not listed.
pub fn run(_args: CompileArgs, _context: &Context) -> Result<Outcome, CliError> {
    Err(CliError::usage("`tocsin compile` is not there yet"))
}
