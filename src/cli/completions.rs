//! `tocsin completions`: what a shell needs to complete commands and flags.

use clap::CommandFactory;
use std::io::Write;

use super::args::Cli;
use super::{CliError, Context, Outcome};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin completions bash > ~/.local/share/bash-completion/completions/tocsin
  tocsin completions zsh  > ~/.zfunc/_tocsin
  tocsin completions fish > ~/.config/fish/completions/tocsin.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Runs the command.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: CompletionsArgs, context: &Context) -> Result<Outcome, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tocsin", &mut script);
    context.out().write_all(&script)?;
    Ok(Outcome::Fine)
}
