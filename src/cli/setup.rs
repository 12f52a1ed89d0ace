//! `tocsin setup`: installs on a cluster what tocsin needs there.

use serde_json::json;

use super::table::Cell;
use super::{CliError, Context, Outcome, Table};
use crate::app::LOG_DAYS;
use crate::cluster::{Setup, Step, StepOutcome};

/// Columns of CSV.
const COLUMNS: &[&str] = &["cluster", "what", "name", "outcome", "reason"];

/// Install on clusters what alerts and state need there: templates, lifecycles, indices
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Installs on every cluster that `alerts.to` names (with --backend URL: on that one) the templates,
lifecycle policies and indices of alerts, executions and state. What stands already is left as it
is; running it again changes nothing. With `alerts.mode = \"kibana\"` it makes no alert index, but
checks that Kibana's can be written.

Examples:
  tocsin setup --backend https://es1:9200              on this cluster
  tocsin setup                                         on the clusters of the configuration")]
pub struct SetupArgs {}

/// Runs the command.
///
/// # Errors
/// When no cluster is named, or one cannot be reached.
pub fn run(_args: &SetupArgs, context: &Context) -> Result<Outcome, CliError> {
    let app = context.app();
    let targets = app.alert_clusters();
    if targets.is_empty() {
        return Err(CliError::usage("no cluster to set up")
            .with_help("name one with --backend URL, or a `[[backend]]` in `alerts.to`"));
    }
    let names = app.names()?;
    let days = context.config().alerts.retention.map(|age| age.duration().as_secs().div_ceil(86_400));
    let executions = u64::try_from(LOG_DAYS).unwrap_or(90);
    let mut rows: Vec<(&str, Step)> = Vec::new();
    for target in targets {
        let client = app.cluster(target)?;
        let steps = context.block_on(Setup::new(&client, &names, days, executions).run())?;
        rows.extend(steps.map_err(CliError::failed)?.into_iter().map(|step| (target, step)));
    }
    if context.human() {
        let mut table = Table::new(&["what", "name", "outcome", "remark"]);
        for (_, step) in &rows {
            table.row([
                Cell::from(step.what),
                Cell::from(step.name.as_str()),
                Cell::from(step.outcome.as_str()),
                Cell::from(step.outcome.reason().unwrap_or_default()),
            ]);
        }
        context.table(&table)?;
    } else {
        let mut writer = context.records(COLUMNS);
        for (target, step) in &rows {
            writer.write(&json!({
                "cluster": target,
                "what": step.what,
                "name": step.name,
                "outcome": step.outcome.as_str(),
                "reason": step.outcome.reason(),
            }))?;
        }
        writer.finish()?;
    }
    let failed = rows.iter().any(|(_, step)| matches!(step.outcome, StepOutcome::Failed(_)));
    Ok(if failed { Outcome::Findings } else { Outcome::Fine })
}
