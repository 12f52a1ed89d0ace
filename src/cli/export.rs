//! `tocsin export`: rules for other programs.

use std::io::Write as _;
use std::path::PathBuf;

use super::{CliError, Context, Outcome};
use crate::rule::{docs, export};

/// Write rules for other programs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin export --to kibana rules/ -o rules.ndjson     for /api/detection_engine/rules/_import
  tocsin export --to navigator > layer.json            which ATT&CK techniques the rules cover
  tocsin export --to markdown > RULES.md               a catalogue")]
pub struct ExportArgs {
    /// Rule files and folders [default: those of the configuration, else the shipped ones]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// For what: `kibana` (rules, switched off, with their exception lists, as NDJSON), `navigator`
    /// (a layer of ATT&CK Navigator) or `markdown`
    #[arg(long, value_enum)]
    to: Target,
    /// Switch rules on in Kibana too: then Kibana runs them besides tocsin
    #[arg(long)]
    enabled: bool,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    Kibana,
    Navigator,
    Markdown,
}

/// Runs the command.
///
/// # Errors
/// When rules cannot be read or the file not be written.
pub fn run(args: &ExportArgs, context: &Context) -> Result<Outcome, CliError> {
    let paths = if args.paths.is_empty() { context.rule_paths() } else { &args.paths };
    for path in paths {
        std::fs::metadata(path).map_err(|error| CliError::io("read rules at", path, error))?;
    }
    let set = context.app().rules(&args.paths);
    let errors: Vec<_> = set.errors().cloned().collect();
    context.diagnostics(&errors, None);
    let text = match args.to {
        Target::Kibana => {
            let exported = export::kibana(&set, args.enabled);
            for lost in &exported.lost {
                context.warn(lost);
            }
            exported.text
        }
        Target::Navigator => format!("{:#}\n", export::navigator(&set)),
        Target::Markdown => docs::catalogue(&set),
    };
    match &args.output {
        Some(path) => {
            std::fs::write(path, text).map_err(|error| CliError::io("write", path, error))?;
        }
        None => context.out().write_all(text.as_bytes())?,
    }
    Ok(if errors.is_empty() { Outcome::Fine } else { Outcome::Findings })
}
