//! `tocsin demo`: a day of sample events, the shipped rules, what they find.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::style::visible;
use super::table::{Cell, grouped};
use super::{CliError, Context, Format, Outcome, Table, alerts};
use crate::app::replay::Agenda;
use crate::app::{App, EngineMode};
use crate::base::clock::ManualClock;
use crate::base::window::iso_millis;
use crate::ecs::document::NewDocument;
use crate::engine::Trigger;
use crate::ingest::pipeline::{self, Report, Target};
use crate::ingest::reader::ReadOptions;
use crate::ingest::sources;
use crate::store::state::{AlertQuery, ExecutionRecord, Status, StoredAlert};
use crate::store::{BulkWriter, Snapshot, StoreError, TimeBounds};

/// See it work: a day of sample CloudTrail, the shipped rules, their alerts
///
/// Needs nothing but this binary. A day of made-up CloudTrail events, with an attack among them, is
/// read into a throw-away store; the rules shipped with tocsin run over it, each on its own
/// interval and look-back window, as the service would have run them that day; the alerts are
/// listed and one is shown in full with its investigation guide.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin demo                          everything, and nothing is left behind
  tocsin demo --keep ./demo            keep the store, to look around in it afterwards
  tocsin demo --format json            the same as one JSON document")]
pub struct DemoArgs {
    /// Keep sample, store and alerts in this folder, which must be empty or not exist
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// The sample day: names and contents of CloudTrail files.
const SAMPLE: &[(&str, &[u8])] = include!("../../assets/sample-day/files.rs");

/// What the demo did, for machines.
#[derive(Debug, Serialize)]
struct Summary {
    data_dir: Option<String>,
    ingest: Report,
    rules: usize,
    from: String,
    to: String,
    executions: Executions,
    alerts: Vec<Value>,
    took_ms: u128,
}

/// The executions, counted.
#[derive(Debug, Default, Serialize)]
struct Executions {
    total: u64,
    failed: u64,
    candidates: u64,
    alerts: u64,
    duplicates: u64,
    suppressed: u64,
    capped: u64,
}

impl Executions {
    fn add(&mut self, record: &ExecutionRecord) {
        self.total += 1;
        self.failed += u64::from(record.status == Status::Failed);
        self.candidates += record.candidates;
        self.alerts += record.alerts;
        self.duplicates += record.duplicates;
        self.suppressed += record.suppressed;
        self.capped += record.capped;
    }
}

/// Runs the command.
///
/// # Errors
/// When the folder cannot be used, or store or state fail.
pub fn run(args: DemoArgs, context: &Context) -> Result<Outcome, CliError> {
    let started = Instant::now();
    let folder = Folder::new(args.keep)?;
    let mut config = context.config().clone();
    config.data_dir = folder.data_dir();
    config.rules.paths.clear();
    config.rules.overrides.clear();
    "default".clone_into(&mut config.alerts.space);
    let clock = Arc::new(ManualClock::new(context.now()));
    let app = App::new(config, clock.clone());

    let ingest = read_sample(&app, context, &folder.path.join("sample"))?;
    let (from, to) = day(&app.store()?.snapshot()?)?;
    let rules = app.rules(&[]);
    let agenda = Agenda::between(&rules.compiled, from, to);
    let engine =
        context.block_on(app.engine(EngineMode { event_clock: true, trigger: Trigger::Scheduled }))??;
    let progress = context.progress("running the rules over the day", Some(agenda.len() as u64));
    let mut executions = Executions::default();
    let signals = context.signals()?;
    context.block_on(agenda.run(&engine, &clock, |records| {
        for record in &records {
            executions.add(record);
        }
        progress.advance(1);
        !signals.stopping()
    }))?;
    drop(progress);

    let alerts = app.state()?.alerts(&AlertQuery { ascending: true, ..AlertQuery::default() })?;
    let failed = executions.failed;
    let summary = Summary {
        data_dir: folder.kept().map(|path| path.display().to_string()),
        ingest,
        rules: rules.compiled.len(),
        from: iso_millis(from),
        to: iso_millis(to),
        executions,
        alerts: Vec::new(),
        took_ms: started.elapsed().as_millis(),
    };
    match context.format() {
        Format::Human => human(context, &folder, &summary, &alerts)?,
        Format::Json => {
            let alerts = alerts.iter().map(|alert| alerts::record(alert, context)).collect();
            context.document(&Summary { alerts, ..summary }, &[])?;
        }
        _ => {
            let mut records = context.records(alerts::COLUMNS);
            for alert in &alerts {
                records.write(&alerts::record(alert, context))?;
            }
            records.finish()?;
        }
    }
    Ok(context.finish(if failed == 0 { Outcome::Fine } else { Outcome::Findings }))
}

/// Where the demo's data is, and whether it stays.
struct Folder {
    path: PathBuf,
    throw_away: bool,
}

impl Folder {
    fn new(keep: Option<PathBuf>) -> Result<Self, CliError> {
        let throw_away = keep.is_none();
        let path =
            keep.unwrap_or_else(|| std::env::temp_dir().join(format!("tocsin-demo-{}", std::process::id())));
        let in_use = path.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if in_use {
            return Err(CliError::usage(format!("the folder `{}` is not empty", path.display()))
                .with_help("name one that is empty or does not exist"));
        }
        // A throw-away folder must be new: nobody else has put anything in its place.
        let made = if throw_away { std::fs::create_dir(&path) } else { std::fs::create_dir_all(&path) };
        made.map_err(|error| CliError::io("create", &path, error))?;
        Ok(Self { path, throw_away })
    }

    fn data_dir(&self) -> PathBuf {
        self.path.join("tocsin-data")
    }

    fn kept(&self) -> Option<&Path> {
        (!self.throw_away).then_some(self.path.as_path())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.throw_away {
            // What cannot be removed is the system's to sweep: it is in its temporary folder.
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}

/// The store at the end of the pipeline.
struct Into(BulkWriter);

impl Target for Into {
    type Error = StoreError;

    fn push(&mut self, documents: Vec<NewDocument>) -> Result<(), StoreError> {
        self.0.push_many(documents)
    }
}

/// Writes the sample's files to `folder` and ingests them as `tocsin ingest` would.
fn read_sample(app: &App, context: &Context, folder: &Path) -> Result<Report, CliError> {
    std::fs::create_dir_all(folder).map_err(|error| CliError::io("create", folder, error))?;
    for (name, bytes) in SAMPLE {
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(|error| CliError::io("write", &path, error))?;
    }
    let found = sources::find(&[folder.to_path_buf()]).map_err(CliError::failed)?;
    let options = ReadOptions {
        format: crate::ingest::formats::Format::CloudTrail,
        index: None,
        ingested: iso_millis(context.now()),
    };
    let progress = pipeline::Progress::default();
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let mut target = Into(app.store()?.bulk());
    let mut report = pipeline::run(&found.list, &options, workers, &progress, &mut target)?;
    debug_assert!(!progress.stop.load(Ordering::Relaxed), "nobody stops the demo's reading");
    let appended = target.0.finish()?;
    (report.indexed, report.duplicates) = (appended.indexed, appended.duplicates);
    Ok(report)
}

/// First and last `@timestamp` stored.
fn day(snapshot: &Snapshot) -> Result<(DateTime<Utc>, DateTime<Utc>), CliError> {
    let batches = snapshot.batches(&snapshot.indices(), TimeBounds::default());
    let bounds = batches.iter().map(|batch| batch.timestamp_bounds());
    let (from, to) = bounds
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        .ok_or_else(|| CliError::failed("the sample is empty"))?;
    let at = |ms: i64| {
        DateTime::from_timestamp_millis(ms).ok_or_else(|| CliError::failed("the sample has no times"))
    };
    // The last window has to reach past the last event.
    Ok((at(from)?, at(to)? + chrono::Duration::hours(1)))
}

/// Alerts of one rule that are listed; the rest is counted.
const LISTED: usize = 3;

fn human(
    context: &Context,
    folder: &Folder,
    summary: &Summary,
    alerts: &[StoredAlert],
) -> Result<(), CliError> {
    let style = context.style();
    let ran = &summary.executions;
    let mut out = context.out();
    writeln!(out, "{}", style.bold("A day of a made-up company's AWS account, with an attack in it"))?;
    writeln!(out)?;
    writeln!(
        out,
        "  read   {} CloudTrail records in {} files of {}",
        grouped(summary.ingest.read),
        summary.ingest.files,
        summary.from.get(..10).unwrap_or(&summary.from)
    )?;
    writeln!(
        out,
        "  ran    {} rules through the day, each on its own interval and look-back window: {} executions, {} failed",
        summary.rules,
        grouped(ran.total),
        ran.failed
    )?;
    writeln!(
        out,
        "  found  {} candidates, of which {} were alerts already (windows overlap) and {} are alerts",
        grouped(ran.candidates),
        grouped(ran.duplicates),
        grouped(ran.alerts)
    )?;
    if ran.capped + ran.suppressed > 0 {
        writeln!(
            out,
            "         {} over the cap, {} suppressed",
            grouped(ran.capped),
            grouped(ran.suppressed)
        )?;
    }
    writeln!(out)?;
    drop(out);
    let (listed, more) = listed(alerts);
    context.table(&table(context, &listed))?;
    for (rule, count) in more {
        let note = format!("… and {count} more of {}", visible(rule));
        writeln!(context.out(), "{}", style.dim(note))?;
    }
    if let Some(alert) = alerts.iter().rev().max_by(|a, b| risk(a).total_cmp(&risk(b))) {
        writeln!(context.out(), "\n{}\n", style.bold("The one with the highest risk score, in full"))?;
        alerts::show::draw(alert, context)?;
    }
    next_steps(context, folder)
}

/// Alerts as the story of the day: when, how bad, what, by whom.
fn table(context: &Context, listed: &[&StoredAlert]) -> Table {
    let mut table = Table::new(&["event time", "severity", ">risk", "rule", "user", "source", "id"]);
    for alert in listed {
        let time = text(alert, "kibana.alert.original_time");
        let time = DateTime::parse_from_rfc3339(time)
            .map_or_else(|_| time.to_owned(), |at| context.time(at.to_utc()));
        let severity = context.style().severity(&visible(text(alert, "kibana.alert.severity")));
        table.row([
            time.into(),
            Cell::styled(severity),
            format!("{:.0}", risk(alert)).into(),
            text(alert, "kibana.alert.rule.name").into(),
            text(alert, "user.name").into(),
            text(alert, "source.ip").into(),
            alert.id.chars().take(12).collect::<String>().into(),
        ]);
    }
    table
}

/// The first alerts of each rule in the order of time, and how many more which rule has.
fn listed(alerts: &[StoredAlert]) -> (Vec<&StoredAlert>, BTreeMap<&str, usize>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut first = Vec::new();
    for alert in alerts {
        let count = counts.entry(text(alert, "kibana.alert.rule.name")).or_default();
        *count += 1;
        if *count <= LISTED {
            first.push(alert);
        }
    }
    first.sort_by_key(|alert| text(alert, "kibana.alert.original_time"));
    let more =
        counts.into_iter().filter(|(_, count)| *count > LISTED).map(|(rule, count)| (rule, count - LISTED));
    (first, more.collect())
}

fn text<'a>(alert: &'a StoredAlert, path: &str) -> &'a str {
    super::output::lookup(&alert.source, path).and_then(Value::as_str).unwrap_or("")
}

fn risk(alert: &StoredAlert) -> f64 {
    super::output::lookup(&alert.source, "kibana.alert.risk_score").and_then(Value::as_f64).unwrap_or(0.0)
}

fn next_steps(context: &Context, folder: &Folder) -> Result<(), CliError> {
    let style = context.style();
    let mut out = context.out();
    writeln!(out, "\n{}\n", style.bold("Next"))?;
    if let Some(path) = folder.kept() {
        let data = folder.data_dir();
        let data = data.display();
        writeln!(out, "  Everything stays in {}. Look around in it:", path.display())?;
        writeln!(out, "    tocsin --data-dir {data} alerts list")?;
        writeln!(out, "    tocsin --data-dir {data} search 'source.ip:203.0.113.66' --size 20")?;
        writeln!(out, "    tocsin --data-dir {data} executions list")?;
    } else {
        writeln!(out, "  Keep the store, to look around in it:")?;
        writeln!(out, "    tocsin demo --keep ./demo")?;
    }
    writeln!(out, "  Read your own CloudTrail files, as they lie in S3, and run the rules over them:")?;
    writeln!(out, "    tocsin ingest ./AWSLogs/")?;
    writeln!(out, "    tocsin run --once --at 2026-11-01T12:00:00Z")?;
    writeln!(out, "  Run rules as a service, the shipped ones or your own:")?;
    writeln!(out, "    tocsin run")?;
    writeln!(out, "    tocsin run --rules ./my-rules/")?;
    Ok(())
}
