//! `tocsin run --once`.

use std::sync::Arc;

use super::super::executions::{COLUMNS, remarks, table};
use super::super::{CliError, Context, Outcome};
use super::RunArgs;
use crate::engine::{Due, Trigger};
use crate::rule::model::Rule;
use crate::rule::set::RuleSet;
use crate::store::state::{ExecutionRecord, Status};

pub(super) fn run(args: &RunArgs, context: &Context) -> Result<Outcome, CliError> {
    let set = super::load(args, context)?;
    super::say_findings(&set, context);
    super::check_names(&set, &args.only)?;
    let overrides = context.app().enabled_overrides().map_err(CliError::failed)?;
    let rules = super::select(&set, &args.only, args.include_disabled, context.config(), &overrides);
    if rules.is_empty() {
        context.warn("no rule is enabled: `--include-disabled` runs those that are switched off too");
    }
    // The past has been told already, or is being tried out.
    let tell = context.at().is_none() || args.notify;
    let worker = if tell { super::super::notify::worker(context)? } else { None };
    let records = execute(&set, &rules, context)?;
    super::forward::once(context)?;
    if let Some(worker) = worker {
        super::super::notify::deliver(worker, context)?;
    }
    if context.human() {
        draw(&records, context)?;
    } else {
        let mut writer = context.records(COLUMNS);
        for record in &records {
            writer.write(record)?;
        }
        writer.finish()?;
    }
    let broken = set.errors().next().is_some();
    let failed = records.iter().any(|record| record.status == Status::Failed);
    Ok(if broken || failed { Outcome::Findings } else { Outcome::Fine })
}

/// Runs `rules` of `set` once, as if due now.
pub(in super::super) fn execute(
    set: &RuleSet,
    rules: &[Arc<Rule>],
    context: &Context,
) -> Result<Vec<ExecutionRecord>, CliError> {
    let slot = context.now();
    let due = rules.iter().map(|rule| match set.plan(&rule.rule_id) {
        Some(compiled) => Due::compiled(compiled, slot),
        None => Due::not_run(rule, slot),
    });
    let engine = super::engine(context, Trigger::Manual)?;
    context.block_on(engine.run(due.collect()))
}

/// What a person sees: rules that found something or deserve a look, and the sums of the rest.
pub(in super::super) fn draw(records: &[ExecutionRecord], context: &Context) -> Result<(), CliError> {
    let quiet = |record: &&ExecutionRecord| matches!(record.status, Status::NoDataSource | Status::NotRun);
    let shown: Vec<_> = records
        .iter()
        .filter(|record| !quiet(record) && (record.status != Status::Succeeded || record.candidates > 0))
        .collect();
    if !shown.is_empty() {
        context.table(&table(context, shown.iter().copied()))?;
    }
    let of = |status: Status| records.iter().filter(|record| record.status == status).count();
    let alerts: u64 = records.iter().map(|record| record.alerts).sum();
    let ran = records.len() - of(Status::NotRun) - of(Status::NoDataSource);
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    let ran = u64::try_from(ran).unwrap_or(u64::MAX);
    context.say(format!("{ran} rule{} ran, {alerts} alert{} written", plural(ran), plural(alerts)));
    for (status, what) in [
        (Status::Failed, "failed"),
        (Status::NoDataSource, "found no index that their patterns name"),
        (Status::NotRun, "are of a kind that this version does not run"),
    ] {
        if of(status) > 0 {
            context.say(format!("{} {what}", of(status)));
        }
    }
    for record in shown.iter().filter(|record| record.status == Status::Failed) {
        context.warn(format!("{}: {}", record.rule_name, remarks(record)));
    }
    Ok(())
}
