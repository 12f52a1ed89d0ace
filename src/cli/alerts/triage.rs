//! What people do about alerts, with why and by whom, and the history of it.

use std::sync::Arc;

use super::super::table::Cell;
use super::super::{CliError, Context, Outcome, Table};
use super::{Ids, full_ids, report};
use crate::store::state::{AlertSink, StateDb, Triage, WorkflowStatus};

/// Columns of CSV.
const COLUMNS: &[&str] = &["at", "who", "what", "detail"];

#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) ids: Ids,
    /// Why (`false positive`, `ticket 4711`)
    #[arg(long)]
    reason: Option<String>,
    /// Who says so [default: you]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct NoteArgs {
    #[command(flatten)]
    pub(super) ids: Ids,
    /// What is to be remembered
    #[arg(long, value_name = "TEXT")]
    text: String,
    /// Who says so [default: you]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct AssignArgs {
    #[command(flatten)]
    pub(super) ids: Ids,
    /// Who looks at them from now on; may be repeated
    #[arg(long, value_name = "NAME", required_unless_present = "remove")]
    to: Vec<String>,
    /// Who no longer does; may be repeated
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
}

fn by(name: Option<String>) -> String {
    name.unwrap_or_else(super::super::silence::whoami)
}

/// The state database, where the alerts are.
fn local(context: &Context) -> Result<Arc<StateDb>, CliError> {
    if !context.app().alerts_local() {
        return Err(CliError::usage(
            "history, notes, assignees and reasons are kept with alerts of the data folder only",
        )
        .with_help("name `local` in `alerts.to`; what people do there is forwarded to clusters"));
    }
    context.app().state().map_err(CliError::failed)
}

/// Sets the workflow status of alerts.
pub(super) fn status(
    args: StatusArgs,
    status: WorkflowStatus,
    context: &Context,
    alerts: &dyn AlertSink,
) -> Result<Outcome, CliError> {
    let ids = full_ids(&args.ids, context, alerts)?;
    let changed = if context.app().alerts_local() {
        // What becomes of an alert is told to those who were told of it.
        super::super::notify::worker(context)?;
        let triage = Triage {
            status: Some(status),
            reason: args.reason,
            by: by(args.by),
            at: context.now(),
            ..Triage::default()
        };
        local(context)?.triage(ids, triage).map_err(CliError::failed)?
    } else if args.reason.is_some() {
        return local(context).map(|_| Outcome::Fine);
    } else {
        let set = alerts.set_workflow_status(ids, status, context.now());
        context.block_on(set)?.map_err(CliError::failed)?
    };
    super::super::run::forward::once(context)?;
    report(changed, status.as_str(), context)
}

/// Writes a note about alerts.
pub(super) fn note(args: NoteArgs, context: &Context, alerts: &dyn AlertSink) -> Result<Outcome, CliError> {
    let state = local(context)?;
    let ids = full_ids(&args.ids, context, alerts)?;
    let triage = Triage { note: Some(args.text), by: by(args.by), at: context.now(), ..Triage::default() };
    let changed = state.triage(ids, triage).map_err(CliError::failed)?;
    report(changed, "noted", context)
}

/// Changes who looks at alerts.
pub(super) fn assign(
    args: AssignArgs,
    context: &Context,
    alerts: &dyn AlertSink,
) -> Result<Outcome, CliError> {
    let state = local(context)?;
    let ids = full_ids(&args.ids, context, alerts)?;
    let triage = Triage {
        assign: args.to,
        unassign: args.remove,
        by: by(None),
        at: context.now(),
        ..Triage::default()
    };
    let changed = state.triage(ids, triage).map_err(CliError::failed)?;
    super::super::run::forward::once(context)?;
    report(changed, "assigned", context)
}

/// Shows what was done about an alert, and what went wrong telling of it.
pub(super) fn history(id: &str, context: &Context, alerts: &dyn AlertSink) -> Result<Outcome, CliError> {
    let state = local(context)?;
    let ids = full_ids(&Ids { ids: vec![id.to_owned()] }, context, alerts)?;
    let entries = match ids.first() {
        Some(id) => state.history(id).map_err(CliError::failed)?,
        None => Vec::new(),
    };
    if !context.human() {
        let mut writer = context.records(COLUMNS);
        for entry in &entries {
            writer.write(entry)?;
        }
        writer.finish()?;
        return Ok(Outcome::Fine);
    }
    if entries.is_empty() {
        context.say("nothing was done about it");
        return Ok(Outcome::Fine);
    }
    let mut table = Table::new(&["when", "who", "what", "detail"]);
    for entry in entries {
        let time = chrono::DateTime::parse_from_rfc3339(&entry.at).map(|at| context.time(at.to_utc()));
        table.row([
            Cell::from(time.unwrap_or_else(|_| entry.at.clone())),
            Cell::from(entry.who),
            Cell::from(entry.what),
            Cell::from(entry.detail),
        ]);
    }
    context.table(&table)?;
    Ok(Outcome::Fine)
}
