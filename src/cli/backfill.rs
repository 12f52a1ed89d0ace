//! `tocsin backfill`: windows of the past.

mod part;

use std::collections::HashSet;
use std::path::PathBuf;

use super::args::WindowClock;
use super::coverage::{Subjects, range};
use super::executions::COLUMNS;
use super::{CliError, Context, Outcome};
use crate::app::EngineMode;
use crate::app::coverage::{filling, holes};
use crate::base::intervals::Interval;
use crate::engine::{Due, Trigger};
use crate::schedule::lock::ServiceLock;
use crate::store::state::{ExecutionRecord, Status};
use part::Part;

/// Most executions that are searched together.
const TOGETHER: usize = 64;

/// Run rules over a stretch of the past, or fill every hole in their coverage
///
/// Each rule runs at the slots it would have had, oldest first, through the same executions as the
/// service. What was alerted before is not alerted again. Where runners share the rules of a cluster
/// it takes the rules over as a runner does, which those at work do not give up: stop them first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin backfill                                      every hole that `tocsin coverage` lists
  tocsin backfill --from now-7d --to now               all enabled rules over the last week
  tocsin backfill --rule RULE_ID --from 2026-11-01 --to 2026-11-02")]
pub struct BackfillArgs {
    /// Only these rules
    #[arg(long, value_name = "RULE_ID", num_args = 1..)]
    rule: Vec<String>,
    /// Rule files and folders [default: `rules.paths` of the configuration, else the shipped rules]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    rules: Vec<PathBuf>,
    /// Start of the stretch; without `--from` and `--to`, what was missed
    #[arg(long, value_name = "TIME", requires = "to")]
    from: Option<String>,
    /// End of the stretch
    #[arg(long, value_name = "TIME", requires = "from")]
    to: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When rules, events or state cannot be read, a service works on the same state, or the
/// arguments make no sense.
pub fn run(args: BackfillArgs, context: &Context) -> Result<Outcome, CliError> {
    let range = range(args.from.as_deref(), args.to.as_deref(), context)?;
    // Two that write one rule's ledger would undo each other's entries; on a cluster leases see to that.
    let _lock = ServiceLock::take(context.data_dir()).map_err(|error| {
        CliError::usage(error.to_string())
            .with_help("the running service fills holes by itself; stop it to backfill by hand")
    })?;
    let set = context.app().rules(&args.rules);
    super::run::check_names(&set, &args.rule)?;
    let (policy, now) = (context.app().policy(), context.now());
    let mut dues: Vec<Due> = Vec::new();
    for subject in Subjects::read(context, &set, &args.rule)?.iter() {
        if !subject.enabled && args.rule.is_empty() {
            continue;
        }
        let Some(compiled) = set.plan(&subject.rule.rule_id) else { continue };
        let stretches: Vec<Interval> = match (range.from, range.to) {
            (Some(from), Some(to)) => {
                vec![Interval::new(from.timestamp_millis(), to.min(now).timestamp_millis() + 1)]
            }
            _ => holes(subject, range, policy, now),
        };
        dues.extend(filling(&compiled.rule, &stretches, policy).into_iter().map(|owed| match owed.errand {
            Some(errand) => Due::on_errand(compiled, owed.slot, errand),
            None => Due::compiled(compiled, owed.slot),
        }));
    }
    dues.sort_by_key(|due| due.slot);
    execute(dues, context)
}

fn execute(dues: Vec<Due>, context: &Context) -> Result<Outcome, CliError> {
    let clock = context.window_clock().unwrap_or(WindowClock::Event);
    let mode = EngineMode { event_clock: clock == WindowClock::Event, trigger: Trigger::Backfill };
    let engine = context.block_on(context.app().engine(mode))??;
    let signals = context.signals()?.clone();
    let mut part = Part::join(context, &engine, &dues)?;
    let mut writer = (!context.human()).then(|| context.records(COLUMNS));
    let (mut executions, mut alerts, mut failed) = (0u64, 0u64, 0u64);
    let progress = context.progress("backfill", Some(dues.len() as u64));
    for group in groups(dues) {
        if signals.stop().is_cancelled() {
            part.leave();
            return Ok(Outcome::Interrupted);
        }
        part.keep(&engine, &group)?;
        let records: Vec<ExecutionRecord> = context.block_on(engine.run(group))?;
        for record in &records {
            executions += 1;
            alerts += record.alerts;
            failed += u64::from(record.status == Status::Failed);
            if let Some(writer) = &mut writer {
                writer.write(record)?;
            }
            if record.status == Status::Failed {
                let why = record.error.as_deref().unwrap_or("no reason given");
                context.warn(format!("{} at {}: {why}", record.rule_name, record.slot));
            }
        }
        progress.advance(records.len() as u64);
    }
    drop(progress);
    part.leave();
    match writer {
        Some(writer) => {
            writer.finish()?;
        }
        None => {
            context.say(format!("{executions} windows searched, {alerts} alerts written, {failed} failed"));
        }
    }
    Ok(if failed > 0 { Outcome::Findings } else { Outcome::Fine })
}

/// Executions that are searched together: in time order, no rule twice.
fn groups(dues: Vec<Due>) -> Vec<Vec<Due>> {
    let mut groups: Vec<Vec<Due>> = Vec::new();
    let mut inside = HashSet::new();
    for due in dues {
        let full = groups.last().is_none_or(|group| group.len() >= TOGETHER);
        if full || inside.contains(&due.rule.rule_id) {
            groups.push(Vec::new());
            inside.clear();
        }
        inside.insert(due.rule.rule_id.clone());
        if let Some(group) = groups.last_mut() {
            group.push(due);
        }
    }
    groups
}
