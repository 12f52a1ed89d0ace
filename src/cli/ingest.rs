//! `tocsin ingest`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{CliError, Context, Outcome};
use crate::base::diagnostic::Diagnostic;
use crate::base::window::iso_millis;
use crate::ecs::document::NewDocument;
use crate::ecs::mapping::Mapping;
use crate::ingest::formats::Format as Input;
use crate::ingest::pipeline::{self, Progress, Report, Target};
use crate::ingest::reader::{ReadOptions, Reject};
use crate::ingest::sources::{self, Source};
use crate::store::{BulkWriter, Store, StoreError};

/// Rejects that are shown on stderr; machine output lists more.
const REJECTS_SHOWN: usize = 20;

/// Read events from files into the store
///
/// Reads CloudTrail files as they lie in S3 (`.json.gz`), and events that are in ECS already.
/// Reading a file again adds nothing. What cannot be read is reported with file, line and reason,
/// and does not stop the rest; the exit code is 1 then.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin ingest ./AWSLogs/                                a folder, with all folders in it
  aws s3 cp s3://bucket/file.json.gz - | tocsin ingest -  standard input
  tocsin ingest --input ecs --index logs-app-default events.ndjson
  tocsin ingest --format json ./AWSLogs/                  a report for scripts")]
pub struct IngestArgs {
    /// Files, folders, or `-` for standard input; gzip and zstd are told by content
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What the input is
    #[arg(long, value_enum, default_value_t = InputFormat::Auto)]
    input: InputFormat,
    /// Index all documents go to [default: logs-aws.cloudtrail-default for CloudTrail; else what
    /// documents say by `_index` or `data_stream`, else logs-generic-default]
    #[arg(long, value_name = "NAME")]
    index: Option<String>,
    /// An Elasticsearch mapping (`{"properties":…}`) for the index, or for every index that
    /// documents name, over the ECS one
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
}

/// What the input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum InputFormat {
    /// Told by the records of each file
    Auto,
    /// Files of `{"Records":[…]}`, or one record a line
    Cloudtrail,
    /// One ECS document a line, with `_id` and `_index` when it carries them
    Ecs,
    /// `{"_index","_id","_source"}` a line
    Hits,
    /// A body of Elasticsearch's bulk API
    Bulk,
}

impl From<InputFormat> for Input {
    fn from(format: InputFormat) -> Self {
        match format {
            InputFormat::Auto => Self::Auto,
            InputFormat::Cloudtrail => Self::CloudTrail,
            InputFormat::Ecs => Self::Ecs,
            InputFormat::Hits => Self::Hits,
            InputFormat::Bulk => Self::Bulk,
        }
    }
}

/// The store at the end of the pipeline.
struct StoreTarget<'a> {
    store: &'a Store,
    writer: BulkWriter,
    /// Laid over the mapping of each index before its first document.
    mapping: Option<Mapping>,
    mapped: BTreeSet<Arc<str>>,
    context: &'a Context,
    progress: &'a Progress,
    bar: super::progress::Progress,
}

impl Target for StoreTarget<'_> {
    type Error = StoreError;

    fn push(&mut self, documents: Vec<NewDocument>) -> Result<(), StoreError> {
        if let Some(mapping) = &self.mapping {
            for document in &documents {
                if !self.mapped.contains(&document.index) {
                    self.store.put_mapping(&document.index, mapping)?;
                    self.mapped.insert(Arc::clone(&document.index));
                }
            }
        }
        self.writer.push_many(documents)?;
        self.bar.set(self.progress.bytes.load(Ordering::Relaxed));
        if self.context.signals().is_ok_and(super::signals::Signals::stopping) {
            self.progress.stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Runs the command.
///
/// # Errors
/// When a path does not exist, or the store cannot be opened or written.
pub fn run(args: IngestArgs, context: &Context) -> Result<Outcome, CliError> {
    if let Some(index) = &args.index {
        check_index(index)?;
    }
    let found = sources::find(&args.paths).map_err(CliError::failed)?;
    if found.digests > 0 {
        context.say(format!(
            "{} digest files passed over: they describe log files and hold no events",
            found.digests
        ));
    }
    let mapping = args.mapping.as_deref().map(|path| read_mapping(context, path)).transpose()?;
    context.signals()?;
    let options =
        ReadOptions { format: args.input.into(), index: args.index, ingested: iso_millis(context.now()) };
    let bytes = found.list.iter().map(|source| match source {
        Source::File { size, .. } => *size,
        Source::Stdin => 0,
    });
    let total = if found.list.contains(&Source::Stdin) { None } else { Some(bytes.sum()) };
    let workers = std::thread::available_parallelism().map_or(2, usize::from);

    let store = context.app().store()?;
    let mut mapped = BTreeSet::new();
    if let (Some(mapping), Some(index)) = (&mapping, &options.index) {
        store.put_mapping(index, mapping)?;
        mapped.insert(Arc::from(index.as_str()));
    }
    let progress = Progress::default();
    let mut target = StoreTarget {
        store: &store,
        writer: store.bulk(),
        mapping,
        mapped,
        context,
        progress: &progress,
        bar: context.progress_bytes("reading", total),
    };
    let mut report = pipeline::run(&found.list, &options, workers, &progress, &mut target)?;
    let appended = target.writer.finish()?;
    drop(target.bar);
    report.indexed = appended.indexed;
    for error in found.unreadable.into_iter().rev() {
        report.rejected += 1;
        report.rejects.insert(0, Reject { path: error.path, line: 0, reason: error.reason });
    }
    report.duplicates = appended.duplicates;

    show(context, &report)?;
    let outcome = if report.rejected > 0 { Outcome::Findings } else { Outcome::Fine };
    Ok(context.finish(outcome))
}

/// Reads a mapping; what is odd about it but no error is shown.
fn read_mapping(context: &Context, path: &Path) -> Result<Mapping, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| CliError::io("read", path, error))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
        let mut diagnostic = Diagnostic::error("MAP004", format!("no JSON: {error}")).with_path(path);
        diagnostic.line = Some(error.line());
        diagnostic.column = Some(error.column());
        CliError::from(diagnostic)
    })?;
    let mut findings = Vec::new();
    let mapping = Mapping::read(&value, &mut findings);
    for finding in &mut findings {
        finding.path.get_or_insert_with(|| path.to_owned());
    }
    if findings.iter().any(Diagnostic::is_error) {
        return Err(CliError::Text(findings.into_iter().map(Into::into).collect()));
    }
    context.diagnostics(&findings, None);
    Ok(mapping)
}

/// Index names follow Elasticsearch's rules, so that patterns can name them.
fn check_index(name: &str) -> Result<(), CliError> {
    let forbidden = |c: char| c.is_uppercase() || c.is_whitespace() || "\\/*?\"<>|,#:".contains(c);
    let problem = if name.is_empty() || name.len() > 255 {
        Some("it has to be 1 to 255 bytes long".to_owned())
    } else if name.starts_with(['-', '_', '+']) {
        Some("it cannot start with `-`, `_` or `+`".to_owned())
    } else {
        name.chars().find(|c| forbidden(*c)).map(|c| format!("`{c}` is not allowed in it"))
    };
    match problem {
        None => Ok(()),
        Some(problem) => Err(CliError::usage(format!("--index: `{name}` is no index name: {problem}"))
            .with_help("lower case, without spaces and without \\ / * ? \" < > | , # :")),
    }
}

fn show(context: &Context, report: &Report) -> Result<(), CliError> {
    for reject in report.rejects.iter().take(REJECTS_SHOWN) {
        let place =
            if reject.line > 0 { format!("{}:{}", reject.path, reject.line) } else { reject.path.clone() };
        context.warn(format!("{place}: {}", reject.reason));
    }
    let more = report.rejected.saturating_sub(REJECTS_SHOWN as u64);
    if more > 0 {
        context.warn(format!("{more} more were rejected; --format json lists them"));
    }
    if report.without_timestamp > 0 {
        context.warn(format!(
            "{} documents have no `@timestamp`: no rule's window holds them; if they are raw events, \
             say what they are with --input",
            report.without_timestamp
        ));
    }
    if context.human() {
        let mut out = context.out();
        writeln!(
            out,
            "{} records read from {} files: {} new, {} known already, {} rejected",
            report.read, report.files, report.indexed, report.duplicates, report.rejected
        )?;
        return Ok(());
    }
    context.document(report, &["files", "read", "indexed", "duplicates", "rejected"])
}
