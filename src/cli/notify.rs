//! `tocsin notify`: the outbox, and trying connectors and templates out.

mod message;

use std::sync::Arc;

use serde_json::json;

use super::signals::Signals;
use super::table::Cell;
use super::{CliError, Context, Outcome, Table};
use crate::base::datemath::Rounding;
use crate::notify::{Problem, Setup, Worker};
use crate::schedule::lock::{LockError, ServiceLock};
use crate::store::state::{Delivery, DeliveryQuery, DeliveryState, StateDb};

/// Notifications shown to a person who names no number.
const HUMAN_SIZE: usize = 50;
/// Columns of CSV.
const COLUMNS: &[&str] = &[
    "number",
    "key",
    "connector",
    "route",
    "kind",
    "alert",
    "state",
    "created",
    "due",
    "attempts",
    "finished",
    "note",
    "receipt",
];

/// See what was told to whom, send again what failed, try connectors and templates out
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin notify test soc                               a marked test message through one connector
  tocsin notify preview soc --alert 93949a57           what it would say about an alert, without sending
  tocsin notify list --state dead                      what was given up, and why
  tocsin notify resend --connector soc                 send that again
  tocsin notify deliver                                deliver what is due now, without a service")]
pub struct NotifyArgs {
    #[command(subcommand)]
    command: NotifyCommand,
}

#[derive(Debug, clap::Subcommand)]
enum NotifyCommand {
    /// List notifications, newest first
    List(ListArgs),
    /// Send again what was given up
    Resend(PickArgs),
    /// Delete what was given up
    Discard(PickArgs),
    /// Send a marked test message through one connector
    Test(message::TestArgs),
    /// Show what a connector would say about an alert, without sending it
    Preview(message::PreviewArgs),
    /// Deliver what is due now, and end
    Deliver,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those in this state: waiting, held, folded, delivered, dead or silenced
    #[arg(long, value_name = "STATE")]
    state: Vec<DeliveryState>,
    /// Only those of this connector
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// Only those about this alert; the start of its id is enough
    #[arg(long, value_name = "ID")]
    alert: Option<String>,
    /// Only those decided at this time or later
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// At most so many [default: 50 for people, all of them elsewhere]
    #[arg(long, value_name = "N")]
    size: Option<usize>,
}

#[derive(Debug, clap::Args)]
#[group(id = "which", required = true, multiple = true)]
struct PickArgs {
    /// Numbers of notifications, as `list` shows them
    #[arg(value_name = "NUMBER", group = "which")]
    numbers: Vec<i64>,
    /// Those of this connector
    #[arg(long, value_name = "NAME", group = "which")]
    connector: Option<String>,
    /// Those about this alert; the start of its id is enough
    #[arg(long, value_name = "ID", group = "which")]
    alert: Option<String>,
    /// All of them
    #[arg(long, group = "which")]
    all: bool,
}

impl PickArgs {
    fn query(self) -> DeliveryQuery {
        DeliveryQuery {
            numbers: self.numbers,
            connector: self.connector,
            alert: self.alert,
            ..DeliveryQuery::default()
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, or the state cannot be read or written.
pub fn run(args: NotifyArgs, context: &Context) -> Result<Outcome, CliError> {
    let state = || {
        context.require_data_dir()?;
        context.app().state().map_err(CliError::failed)
    };
    match args.command {
        NotifyCommand::List(args) => list(args, context, &*state()?),
        NotifyCommand::Resend(pick) => {
            let changed = state()?.resend(&pick.query(), context.now()).map_err(CliError::failed)?;
            report(changed, "is sent again", "are sent again", context)
        }
        NotifyCommand::Discard(pick) => {
            let changed = state()?.discard(&pick.query()).map_err(CliError::failed)?;
            report(changed, "deleted", "deleted", context)
        }
        NotifyCommand::Test(args) => message::test(args, context),
        NotifyCommand::Preview(args) => message::preview(args, context),
        NotifyCommand::Deliver => {
            let worker = worker(context)?.ok_or_else(|| {
                CliError::usage("no connector is configured")
                    .with_help("`tocsin config reference` shows [[connector]]")
            })?;
            deliver(worker, context)?;
            Ok(Outcome::Fine)
        }
    }
}

fn report(changed: usize, one: &str, several: &str, context: &Context) -> Result<Outcome, CliError> {
    if context.human() {
        match changed {
            1 => context.say(format!("1 notification {one}")),
            changed => context.say(format!("{changed} notifications {several}")),
        }
    } else {
        context.document(&json!({"changed": changed}), &["changed"])?;
    }
    Ok(Outcome::Fine)
}

fn list(args: ListArgs, context: &Context, state: &StateDb) -> Result<Outcome, CliError> {
    let from = args.from.map(|text| context.resolve_time("--from", &text, Rounding::Down)).transpose()?;
    let shown = args.size.or(context.human().then_some(HUMAN_SIZE));
    let query = DeliveryQuery {
        states: args.state,
        connector: args.connector,
        alert: args.alert,
        from,
        size: shown.map(|size| size.saturating_add(1)),
        ..DeliveryQuery::default()
    };
    let mut found = state.deliveries(&query).map_err(CliError::failed)?;
    let more = shown.is_some_and(|shown| found.len() > shown);
    found.truncate(shown.unwrap_or(usize::MAX));
    if !context.human() {
        let mut writer = context.records(COLUMNS);
        for delivery in &found {
            writer.write(delivery)?;
        }
        writer.finish()?;
        return Ok(Outcome::Fine);
    }
    if found.is_empty() {
        context.say("no notifications");
        return Ok(Outcome::Fine);
    }
    context.table(&table(context, &found))?;
    if more {
        context.say(format!("older ones are not shown: --size N shows more than {}", found.len()));
    }
    Ok(Outcome::Fine)
}

fn table(context: &Context, found: &[Delivery]) -> Table {
    let mut table =
        Table::new(&[">number", "decided", "connector", "kind", "state", ">attempts", "alert", "remarks"]);
    let style = context.style();
    for delivery in found {
        let time =
            chrono::DateTime::parse_from_rfc3339(&delivery.created).map(|at| context.time(at.to_utc()));
        let state = match delivery.state {
            DeliveryState::Delivered => style.green(delivery.state),
            DeliveryState::Dead => style.red(delivery.state),
            DeliveryState::Waiting => style.yellow(delivery.state),
            _ => style.dim(delivery.state),
        };
        table.row([
            Cell::from(delivery.number.to_string()),
            Cell::from(time.unwrap_or_else(|_| delivery.created.clone())),
            Cell::from(delivery.connector.as_str()),
            Cell::from(delivery.kind.as_str()),
            Cell::styled(state),
            Cell::from(delivery.attempts.to_string()),
            Cell::from(delivery.alert.chars().take(12).collect::<String>()),
            Cell::from(delivery.note.clone().unwrap_or_default()),
        ]);
    }
    table
}

/// What the configuration says about notifications; what is wrong with it is shown at its place.
pub(super) fn setup(context: &Context) -> Result<Setup, CliError> {
    context.app().notifications().map_err(|problems| {
        let loaded = context.loaded();
        let finding = |Problem { path, message }: Problem| super::error::Finding {
            diagnostic: loaded.finding(&path, message),
            text: loaded.text.clone(),
        };
        CliError::Text(problems.into_iter().map(finding).collect())
    })
}

/// The worker that tells people of alerts, with the routes in force from now on; `None`: nobody is
/// to be told anything.
pub(super) fn worker(context: &Context) -> Result<Option<Worker>, CliError> {
    let setup = setup(context)?;
    if setup.is_empty() {
        return Ok(None);
    }
    context.app().notify(setup).map(Some).map_err(CliError::failed)
}

/// Runs `main` with the worker beside it; when `main` ended, what is due is delivered.
pub(super) async fn beside<T>(worker: Option<Worker>, signals: &Signals, main: impl Future<Output = T>) -> T {
    let stop = tokio_util::sync::CancellationToken::new();
    let mut beside = tokio::task::JoinSet::new();
    if let Some(worker) = worker {
        beside.spawn(worker.run(stop.clone(), signals.reload()));
    }
    let ended = main.await;
    stop.cancel();
    while let Some(joined) = beside.join_next().await {
        if let Err(error) = joined {
            tracing::error!(%error, "the delivery of notifications broke off");
        }
    }
    ended
}

/// Delivers what is due, unless a service does that already.
pub(super) fn deliver(worker: Worker, context: &Context) -> Result<(), CliError> {
    let state = Arc::clone(&worker.state);
    match ServiceLock::take(context.data_dir()) {
        Ok(_lock) => context.block_on(worker.drain())?,
        Err(LockError::Held { .. }) => {
            context.say("a service works on this data folder: it delivers the notifications");
            return Ok(());
        }
        Err(error) => return Err(CliError::failed(error)),
    }
    let left =
        DeliveryQuery { states: vec![DeliveryState::Waiting], size: Some(1_000), ..DeliveryQuery::default() };
    let left = state.deliveries(&left).map_err(CliError::failed)?;
    if let Some(first) = left.first() {
        let why = first.note.as_deref().unwrap_or("not due yet");
        let plural = if left.len() == 1 { " waits" } else { "s wait" };
        context.warn(format!("{} notification{plural} for the next start: {why}", left.len()));
    }
    Ok(())
}
