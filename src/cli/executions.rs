//! `tocsin executions`: the execution log.

use chrono::DateTime;

use super::table::Cell;
use super::{CliError, Context, Outcome, Table};
use crate::base::datemath::Rounding;
use crate::store::state::{ExecutionQuery, ExecutionRecord, Status};

/// Executions shown to a person who names no number.
const HUMAN_SIZE: usize = 50;

/// Columns of CSV.
pub(super) const COLUMNS: &[&str] = &[
    "rule_id",
    "rule_name",
    "type",
    "status",
    "from",
    "to",
    "candidates",
    "alerts",
    "duplicates",
    "suppressed",
    "excepted",
    "capped",
    "warnings",
    "error",
    "took_ms",
    "execution_id",
    "slot",
    "started_at",
    "clock",
    "trigger",
];

/// Show the execution log: which rule ran when, over what, with what result
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin executions list                               the newest executions
  tocsin executions list --rule RULE_ID                those of one rule")]
pub struct ExecutionsArgs {
    #[command(subcommand)]
    command: ExecutionsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ExecutionsCommand {
    /// List executions, newest first
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those of this rule
    #[arg(long, value_name = "RULE_ID")]
    rule: Option<String>,
    /// Only those that ended so
    #[arg(long, value_enum)]
    status: Option<StatusArg>,
    /// Only those that started at this time or later
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// At most so many [default: 50 for people, all of them elsewhere]
    #[arg(long, value_name = "N")]
    size: Option<usize>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum StatusArg {
    Succeeded,
    PartialFailure,
    Failed,
    NoDataSource,
    NotRun,
}

impl From<StatusArg> for Status {
    fn from(status: StatusArg) -> Self {
        match status {
            StatusArg::Succeeded => Self::Succeeded,
            StatusArg::PartialFailure => Self::PartialFailure,
            StatusArg::Failed => Self::Failed,
            StatusArg::NoDataSource => Self::NoDataSource,
            StatusArg::NotRun => Self::NotRun,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the state cannot be read, or the arguments make no sense.
pub fn run(args: ExecutionsArgs, context: &Context) -> Result<Outcome, CliError> {
    let ExecutionsCommand::List(args) = args.command;
    let on_cluster = context.app().kept_on_cluster()?;
    if on_cluster.is_none() {
        context.require_data_dir()?;
    }
    let from = args.from.map(|text| context.resolve_time("--from", &text, Rounding::Down)).transpose()?;
    let shown = args.size.or(context.human().then_some(HUMAN_SIZE));
    let query = ExecutionQuery {
        rule: args.rule,
        status: args.status.map(Status::from),
        from,
        size: shown.map(|size| size.saturating_add(1)),
    };
    let records = match on_cluster {
        Some((state, _)) => context.block_on(state.executions(&query))?,
        None => context.app().state().map_err(CliError::failed)?.executions(&query),
    };
    let mut records = records.map_err(CliError::failed)?;
    let more = shown.is_some_and(|shown| records.len() > shown);
    records.truncate(shown.unwrap_or(usize::MAX));
    if !context.human() {
        let mut writer = context.records(COLUMNS);
        for record in &records {
            writer.write(record)?;
        }
        writer.finish()?;
        return Ok(Outcome::Fine);
    }
    if records.is_empty() {
        context.say("no executions");
        return Ok(Outcome::Fine);
    }
    context.table(&table(context, &records))?;
    if more {
        context.say(format!("older ones are not shown: --size N shows more than {}", records.len()));
    }
    Ok(Outcome::Fine)
}

/// Executions as a table.
pub(super) fn table<'r>(context: &Context, records: impl IntoIterator<Item = &'r ExecutionRecord>) -> Table {
    let mut table = Table::new(&[
        "started",
        "rule",
        "status",
        ">candidates",
        ">alerts",
        ">duplicates",
        ">capped",
        ">ms",
        "remarks",
    ]);
    for record in records {
        let started = DateTime::parse_from_rfc3339(&record.started_at).map(|at| context.time(at.to_utc()));
        table.row([
            Cell::from(started.unwrap_or_else(|_| record.started_at.clone())),
            Cell::from(record.rule_name.as_str()),
            Cell::styled(paint(context, record.status)),
            Cell::from(record.candidates),
            Cell::from(record.alerts),
            Cell::from(record.duplicates),
            Cell::from(record.capped),
            Cell::from(record.took_ms),
            Cell::from(remarks(record)),
        ]);
    }
    table
}

fn paint(context: &Context, status: Status) -> String {
    let style = context.style();
    match status {
        Status::Succeeded => style.green(status),
        Status::PartialFailure => style.yellow(status),
        Status::Failed => style.red(status),
        Status::NoDataSource | Status::NotRun => style.dim(status),
    }
}

/// Error and warnings in one line.
pub(super) fn remarks(record: &ExecutionRecord) -> String {
    record.error.iter().chain(&record.warnings).map(String::as_str).collect::<Vec<_>>().join("; ")
}
