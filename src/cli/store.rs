//! `tocsin store`: what is stored, merging, checking, exporting.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::output::Format;
use super::table::{Cell, Table};
use super::{CliError, Context, Outcome};
use crate::base::datemath::Rounding;
use crate::store::{Checked, Compacted, Stats, Store, StoreError, TimeBounds};

/// Look after the event store: sizes, compaction, integrity, export
#[derive(Debug, clap::Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, clap::Subcommand)]
enum StoreCommand {
    /// Show events, segments and sizes by index
    Stats,
    /// Seal hot rows, merge small segments, apply the configured retention
    Compact,
    /// Read everything stored and report damage
    Check,
    /// Write events as lines of JSON or as Parquet files
    Export(ExportArgs),
}

/// Arguments of `tocsin store export`.
#[derive(Debug, clap::Args)]
struct ExportArgs {
    /// Index patterns
    #[arg(long, value_name = "PATTERNS", default_value = "*")]
    index: String,
    /// First `@timestamp` to export
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Last `@timestamp` to export
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// What to write
    #[arg(long = "as", value_name = "FORMAT", default_value = "ndjson")]
    kind: ExportKind,
    /// File (ndjson) or folder (parquet) to write; stdout for ndjson when left out
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ExportKind {
    /// `{"_index","_id","_source"}`, a line each; `tocsin ingest --input hits` reads it back
    Ndjson,
    /// Parquet files in the layout of the store's segments
    Parquet,
}

/// Runs the command.
///
/// # Errors
/// When the store cannot be opened, read or written.
pub fn run(args: StoreArgs, context: &Context) -> Result<Outcome, CliError> {
    context.require_embedded("store")?;
    let events = context.data_dir().join("events");
    if !events.is_dir() {
        return Err(CliError::failed(format!("there are no events in `{}`", context.data_dir().display()))
            .with_help("`tocsin ingest PATH` reads some; `--data-dir` names another folder"));
    }
    let store = context.app().store()?;
    match args.command {
        StoreCommand::Stats => stats(&store, context),
        StoreCommand::Compact => compact(&store, context),
        StoreCommand::Check => check(&store, context),
        StoreCommand::Export(args) => export(&store, &args, context),
    }
}

fn stats(store: &Store, context: &Context) -> Result<Outcome, CliError> {
    let stats = store.stats()?;
    if !context.human() {
        context.document(&stats, &["events", "bytes", "database_bytes", "waiting"])?;
        return Ok(Outcome::Fine);
    }
    let Stats { indices, events, bytes, database_bytes, waiting } = &stats;
    let mut table =
        Table::new(&["index", ">events", ">hot", ">segments", ">size", ">learned fields", "first", "last"]);
    let time = |text: &Option<String>| {
        let at = text.as_deref().and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
        at.map_or_else(String::new, |at| context.time(at.to_utc()))
    };
    for index in indices {
        table.row([
            Cell::from(index.index.as_str()),
            index.events.into(),
            index.hot.into(),
            index.segments.into(),
            size(index.bytes).into(),
            index.learned_fields.into(),
            time(&index.first).into(),
            time(&index.last).into(),
        ]);
    }
    context.table(&table)?;
    context.say(format_args!(
        "{events} events, {} in segments, {} in the database{}",
        size(*bytes),
        size(*database_bytes),
        if *waiting > 0 {
            format!("; {waiting} merged or retired files wait to be deleted")
        } else {
            String::new()
        }
    ));
    Ok(Outcome::Fine)
}

#[derive(Serialize)]
struct CompactReport {
    compacted: Compacted,
    retired: u64,
}

fn compact(store: &Store, context: &Context) -> Result<Outcome, CliError> {
    let retired = context.app().sweep(context.now())?.events;
    let compacted = store.compact()?;
    if !context.human() {
        context.document(
            &CompactReport { compacted, retired },
            &["compacted.merged", "compacted.into", "compacted.events", "retired"],
        )?;
        return Ok(Outcome::Fine);
    }
    context.say(match compacted.merged {
        0 => "nothing to merge".to_owned(),
        merged => {
            format!("merged {merged} segments with {} events into {}", compacted.events, compacted.into)
        }
    });
    if retired > 0 {
        context.say(format_args!("retired {retired} events"));
    }
    Ok(Outcome::Fine)
}

fn check(store: &Store, context: &Context) -> Result<Outcome, CliError> {
    let segments = store.stats()?.indices.iter().map(|index| index.segments).sum();
    let progress = context.progress("checking segments", Some(segments));
    let found = store.check(|done, _| progress.set(done))?;
    drop(progress);
    let outcome = if found.problems.is_empty() { Outcome::Fine } else { Outcome::Findings };
    if !context.human() {
        context.document(&found, &["segments", "events", "hot", "without_sums"])?;
        return Ok(outcome);
    }
    let Checked { segments, events, hot, without_sums, problems, leftovers } = &found;
    if !problems.is_empty() {
        let mut table = Table::new(&["file", "problem"]);
        for problem in problems {
            table.row([Cell::text(problem.path.display().to_string()), Cell::text(&problem.reason)]);
        }
        context.table(&table)?;
    }
    context.say(format_args!("read {segments} segments with {events} events and {hot} hot rows"));
    if *without_sums > 0 {
        context.say(format_args!(
            "{without_sums} segments of an earlier version have no checksums: `tocsin store compact` writes them anew"
        ));
    }
    if !leftovers.is_empty() {
        context.say(format_args!("{} files left by a crash will be deleted", leftovers.len()));
    }
    match problems.len() {
        0 => context.say("everything is readable"),
        damaged => context.warn(format_args!(
            "{damaged} problems; what is not named here is readable. Restore a named file from a backup, or move it \
             away and ingest its events again"
        )),
    }
    Ok(outcome)
}

fn export(store: &Store, args: &ExportArgs, context: &Context) -> Result<Outcome, CliError> {
    let snapshot = store.snapshot()?;
    let indices = snapshot.resolve(std::slice::from_ref(&args.index), context.now());
    if indices.is_empty() {
        context.warn(format_args!("no index matches `{}`", args.index));
    }
    let from =
        args.from.as_deref().map(|text| context.resolve_time("--from", text, Rounding::Down)).transpose()?;
    let to = args.to.as_deref().map(|text| context.resolve_time("--to", text, Rounding::Up)).transpose()?;
    let timestamp = (from.is_some() || to.is_some()).then(|| {
        (from.map_or(i64::MIN, |at| at.timestamp_millis()), to.map_or(i64::MAX, |at| at.timestamp_millis()))
    });
    let bounds = TimeBounds { timestamp, ingested: None };
    let written = match (args.kind, &args.output) {
        (ExportKind::Ndjson, None) => {
            if context
                .requested_format()
                .is_some_and(|format| !matches!(format, Format::Ndjson | Format::Human))
            {
                return Err(CliError::usage("events are exported to stdout as ndjson only"));
            }
            snapshot.export_ndjson(&indices, bounds, &mut context.out()).map_err(|error| match error {
                // A reader that has seen enough (`| head`) is no failure.
                StoreError::Io { source, .. } => CliError::from(source),
                other => CliError::from(other),
            })?
        }
        (ExportKind::Ndjson, Some(path)) => {
            let file = File::create(path).map_err(|e| CliError::io("create", path, e))?;
            snapshot.export_ndjson(&indices, bounds, &mut BufWriter::new(file))?
        }
        (ExportKind::Parquet, Some(folder)) => {
            let (written, files) = snapshot.export_parquet(&indices, bounds, folder)?;
            context.say(format_args!("{} files in {}", files.len(), shown(folder)));
            written
        }
        (ExportKind::Parquet, None) => {
            return Err(CliError::usage("`--as parquet` needs a folder to write to")
                .with_help("name one with `--output DIR`"));
        }
    };
    context.say(format_args!("exported {written} events"));
    Ok(Outcome::Fine)
}

fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes, 0_usize);
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut rest = 0;
    while value >= 1024 && unit + 1 < units.len() {
        rest = value % 1024 * 10 / 1024;
        value /= 1024;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or("B");
    if unit == 0 || value >= 100 { format!("{value} {name}") } else { format!("{value}.{rest} {name}") }
}
