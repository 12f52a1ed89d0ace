//! `tocsin alerts`: what was found, and triage.

pub(super) mod show;
mod triage;

use std::sync::Arc;

use serde_json::{Value, json};

use super::table::Cell;
use super::{CliError, Context, Outcome, Table};
use crate::alert::lookup::lookup;
use crate::base::datemath::Rounding;
use crate::store::state::{AlertQuery, AlertSink, Lookup, StoredAlert, WorkflowStatus, alerts_index};

/// Alerts shown to a person who names no number.
const HUMAN_SIZE: usize = 50;
/// Columns of CSV.
pub(super) const COLUMNS: &[&str] = &[
    "_id",
    "_index",
    "_source.@timestamp",
    "_source.kibana.alert.severity",
    "_source.kibana.alert.risk_score",
    "_source.kibana.alert.rule.name",
    "_source.kibana.alert.rule.rule_id",
    "_source.kibana.alert.workflow_status",
    "_source.kibana.alert.original_time",
    "_source.kibana.alert.reason",
];

/// List, show and triage alerts
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin alerts list --status open --from now-1d       what is new
  tocsin alerts show 93949a57                          one in full; the start of its id is enough
  tocsin alerts ack 93949a57                           somebody looks at it
  tocsin alerts list --format csv > alerts.csv")]
pub struct AlertsArgs {
    #[command(subcommand)]
    command: AlertsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum AlertsCommand {
    /// List alerts, newest first
    List(ListArgs),
    /// Show one alert in full, with its rule's investigation guide
    Show {
        /// Its id, or how its id begins
        id: String,
    },
    /// Someone is looking at these alerts
    Ack(triage::StatusArgs),
    /// These alerts are done with
    Close(triage::StatusArgs),
    /// These alerts are open again
    Reopen(triage::StatusArgs),
    /// Write a note about alerts
    Note(triage::NoteArgs),
    /// Say who looks at alerts
    Assign(triage::AssignArgs),
    /// Show what was done about an alert, and what went wrong telling of it
    History {
        /// Its id, or how its id begins
        id: String,
    },
    /// Add tags to alerts, or remove them
    Tag {
        #[command(flatten)]
        ids: Ids,
        /// Tag to add; may be repeated
        #[arg(long, value_name = "TAG", required_unless_present = "remove")]
        add: Vec<String>,
        /// Tag to remove; may be repeated
        #[arg(long, value_name = "TAG")]
        remove: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
struct Ids {
    /// Ids of alerts, or how they begin
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those of this rule
    #[arg(long, value_name = "RULE_ID")]
    rule: Option<String>,
    /// Only those with this workflow status: open, acknowledged or closed
    #[arg(long)]
    status: Option<WorkflowStatus>,
    /// Only those alerted at this time or later
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only those alerted at this time or earlier
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// At most so many [default: 50 for people, all of them elsewhere]
    #[arg(long, value_name = "N")]
    size: Option<usize>,
    /// Building blocks too, which tables leave out; machine formats always have them
    #[arg(long)]
    building_blocks: bool,
}

/// Runs the command.
///
/// # Errors
/// When the state cannot be read or written, or an id names no alert, or several.
pub fn run(args: AlertsArgs, context: &Context) -> Result<Outcome, CliError> {
    if context.app().alerts_local() {
        context.require_data_dir()?;
    }
    let alerts = context.app().alerts()?;
    let alerts = alerts.as_ref();
    match args.command {
        AlertsCommand::List(args) => list(args, context, alerts),
        AlertsCommand::Show { id } => show_one(&id, context, alerts),
        AlertsCommand::Ack(args) => triage::status(args, WorkflowStatus::Acknowledged, context, alerts),
        AlertsCommand::Close(args) => triage::status(args, WorkflowStatus::Closed, context, alerts),
        AlertsCommand::Reopen(args) => triage::status(args, WorkflowStatus::Open, context, alerts),
        AlertsCommand::Note(args) => triage::note(args, context, alerts),
        AlertsCommand::Assign(args) => triage::assign(args, context, alerts),
        AlertsCommand::History { id } => triage::history(&id, context, alerts),
        AlertsCommand::Tag { ids, add, remove } => {
            let ids = full_ids(&ids, context, alerts)?;
            let changed = context.block_on(alerts.tag(ids, add, remove))?.map_err(CliError::failed)?;
            super::run::forward::once(context)?;
            report(changed, "tagged", context)
        }
    }
}

/// An alert as machine output has it.
pub(super) fn record(alert: &StoredAlert, context: &Context) -> Value {
    let app = context.app();
    let index = match app.names() {
        Ok(names) if !app.alerts_local() => names.alerts.name,
        _ => alerts_index(&alert.space),
    };
    json!({"_id": &*alert.id, "_index": index, "_source": &alert.source})
}

fn list(args: ListArgs, context: &Context, sink: &dyn AlertSink) -> Result<Outcome, CliError> {
    let time = |flag: &str, text: Option<String>, rounding| {
        text.map(|text| context.resolve_time(flag, &text, rounding)).transpose()
    };
    let shown = args.size.or(context.human().then_some(HUMAN_SIZE));
    let query = AlertQuery {
        rule: args.rule,
        status: args.status,
        space: Some(context.config().alerts.space.clone()),
        from: time("--from", args.from, Rounding::Down)?,
        to: time("--to", args.to, Rounding::Up)?,
        building_blocks: args.building_blocks || !context.human(),
        size: shown.map(|size| size.saturating_add(1)),
        ascending: false,
    };
    let mut alerts = context.block_on(sink.find(&query))?.map_err(CliError::failed)?;
    let more = shown.is_some_and(|shown| alerts.len() > shown);
    alerts.truncate(shown.unwrap_or(usize::MAX));
    if !context.human() {
        let mut writer = context.records(COLUMNS);
        for alert in &alerts {
            writer.write(&record(alert, context))?;
        }
        writer.finish()?;
        return Ok(Outcome::Fine);
    }
    let blocks = if args.building_blocks { 0 } else { hidden(context, sink, query)? };
    if blocks > 0 {
        let plural = if blocks == 1 { "" } else { "s" };
        context.say(format!("{blocks} building block{plural} not shown: --building-blocks shows them"));
    }
    if alerts.is_empty() {
        context.say("no alerts");
        return Ok(Outcome::Fine);
    }
    context.table(&table(context, &alerts))?;
    if more {
        context.say(format!("older ones are not shown: --size N shows more than {}", alerts.len()));
    }
    Ok(Outcome::Fine)
}

/// How many building blocks a listing without them leaves out.
fn hidden(context: &Context, sink: &dyn AlertSink, query: AlertQuery) -> Result<usize, CliError> {
    let all = AlertQuery { building_blocks: true, size: None, ..query.clone() };
    let shown = AlertQuery { building_blocks: false, size: None, ..query };
    let count = |query: &AlertQuery| context.block_on(sink.count(query))?.map_err(CliError::failed);
    Ok(count(&all)?.saturating_sub(count(&shown)?))
}

/// Alerts as a table.
pub(super) fn table<'a>(context: &Context, alerts: impl IntoIterator<Item = &'a StoredAlert>) -> Table {
    let mut table = Table::new(&["event time", "severity", ">risk", "rule", "status", "reason", "id"]);
    for alert in alerts {
        let field = |name: &str| lookup(&alert.source, name);
        let text = |name: &str| field(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let time = show::time(context, field("kibana.alert.original_time"))
            .or_else(|| show::time(context, field("@timestamp")));
        table.row([
            Cell::from(time.unwrap_or_default()),
            Cell::styled(context.style().severity(&super::style::visible(&text("kibana.alert.severity")))),
            Cell::from(field("kibana.alert.risk_score").map(ToString::to_string).unwrap_or_default()),
            Cell::from(text("kibana.alert.rule.name")),
            Cell::from(alert.status.as_str()),
            Cell::from(text("kibana.alert.reason")),
            Cell::from(alert.id.chars().take(12).collect::<String>()),
        ]);
    }
    table
}

fn show_one(id: &str, context: &Context, sink: &dyn AlertSink) -> Result<Outcome, CliError> {
    let alert = find(id, context, sink)?;
    if context.human() {
        show::draw(&alert, context)?;
    } else {
        context.document(&record(&alert, context), COLUMNS)?;
    }
    Ok(Outcome::Fine)
}

fn find(id: &str, context: &Context, sink: &dyn AlertSink) -> Result<StoredAlert, CliError> {
    match context.block_on(sink.lookup(id))?.map_err(CliError::failed)? {
        Lookup::One(alert) => Ok(*alert),
        Lookup::Nothing => Err(CliError::usage(format!("there is no alert `{id}`"))
            .with_help("`tocsin alerts list --building-blocks` shows all alerts with how their ids begin")),
        Lookup::Several(ids) => Err(CliError::usage(format!("the ids of several alerts begin with `{id}`"))
            .with_help(format!("name one of them: {}", ids.join(", ")))),
    }
}

fn full_ids(ids: &Ids, context: &Context, sink: &dyn AlertSink) -> Result<Vec<Arc<str>>, CliError> {
    ids.ids.iter().map(|id| find(id, context, sink).map(|alert| alert.id)).collect()
}

fn report(changed: usize, what: &str, context: &Context) -> Result<Outcome, CliError> {
    if context.human() {
        let plural = if changed == 1 { "" } else { "s" };
        context.say(format!("{changed} alert{plural} {what}"));
    } else {
        context.document(&json!({"changed": changed}), &["changed"])?;
    }
    Ok(Outcome::Fine)
}
