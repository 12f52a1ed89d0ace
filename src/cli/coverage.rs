//! `tocsin coverage`: what was searched, and the holes.

use std::path::PathBuf;

use super::table::Cell;
use super::{CliError, Context, Outcome, Table};
use crate::app::coverage::{Range, RuleCoverage, Subject, coverage};
use crate::base::datemath::Rounding;
use crate::rule::set::RuleSet;

/// Columns of CSV.
const COLUMNS: &[&str] = &["rule_id", "rule_name", "complete", "from", "to", "searched", "holes"];

/// Show which time each rule has searched, and every hole
///
/// A hole is time that a rule on its schedule should have searched and did not: tocsin was down,
/// an execution failed, or events arrived late. The running service fills holes by itself, the
/// oldest first; `tocsin backfill` fills them at once. Exit code 1: there is a hole.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin coverage                                      is anything missing?
  tocsin coverage --rule RULE_ID --from now-7d         what this rule searched in the last week")]
pub struct CoverageArgs {
    /// Only these rules
    #[arg(long, value_name = "RULE_ID", num_args = 1..)]
    rule: Vec<String>,
    /// Rule files and folders [default: `rules.paths` of the configuration, else the shipped rules]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    rules: Vec<PathBuf>,
    /// From this time on [default: the rule's first window]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Up to this time [default: what should have been searched by now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When rules or state cannot be read, or the arguments make no sense.
pub fn run(args: CoverageArgs, context: &Context) -> Result<Outcome, CliError> {
    let range = range(args.from.as_deref(), args.to.as_deref(), context)?;
    let set = context.app().rules(&args.rules);
    super::run::check_names(&set, &args.rule)?;
    let (policy, now) = (context.app().policy(), context.now());
    let asked = range.from.is_some() || range.to.is_some() || !args.rule.is_empty();
    let found: Vec<RuleCoverage> = Subjects::read(context, &set, &args.rule)?
        .iter()
        // Rules that never ran on a schedule owe nothing unless they are asked for.
        .filter(|subject| asked || subject.state.is_some_and(|state| state.ledger.since.is_some()))
        .map(|subject| coverage(subject, range, policy, now))
        .collect();
    if context.human() {
        draw(&found, context)?;
    } else {
        let mut writer = context.records(COLUMNS);
        for coverage in &found {
            writer.write(coverage)?;
        }
        writer.finish()?;
    }
    let complete = found.iter().all(|coverage| coverage.complete);
    Ok(if complete { Outcome::Fine } else { Outcome::Findings })
}

/// Reads `--from` and `--to`.
pub(super) fn range(from: Option<&str>, to: Option<&str>, context: &Context) -> Result<Range, CliError> {
    let range = Range {
        from: from.map(|text| context.resolve_time("--from", text, Rounding::Down)).transpose()?,
        to: to.map(|text| context.resolve_time("--to", text, Rounding::Up)).transpose()?,
    };
    if let (Some(from), Some(to)) = (range.from, range.to)
        && to < from
    {
        return Err(CliError::usage("`--to` is before `--from`"));
    }
    Ok(range)
}

/// The rules asked for, with what is remembered of each.
pub(super) struct Subjects<'a> {
    set: &'a RuleSet,
    states: std::collections::HashMap<String, crate::store::state::RuleState>,
    overrides: std::collections::HashMap<String, bool>,
    only: &'a [String],
    context: &'a Context,
}

impl<'a> Subjects<'a> {
    pub(super) fn read(context: &'a Context, set: &'a RuleSet, only: &'a [String]) -> Result<Self, CliError> {
        let state = context.app().state().map_err(CliError::failed)?;
        let states = match context.app().kept_on_cluster()? {
            Some((kept, _)) => context.block_on(kept.rule_states())?.map_err(CliError::failed)?,
            None => state.rule_states().map_err(CliError::failed)?,
        };
        let overrides = state.enabled_overrides().map_err(CliError::failed)?;
        Ok(Self { set, states, overrides, only, context })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Subject<'_>> {
        let space = self.context.config().alerts.space.as_str();
        let enabled = super::run::select(self.set, self.only, false, self.context.config(), &self.overrides);
        let runs: std::collections::HashSet<_> = enabled.iter().map(|rule| rule.rule_id.clone()).collect();
        super::run::select(self.set, self.only, true, self.context.config(), &self.overrides)
            .into_iter()
            .filter_map(|rule| self.set.find(&rule.rule_id))
            .map(move |rule| Subject {
                rule,
                state: self.states.get(&*rule.object_id(space)),
                enabled: runs.contains(&rule.rule_id),
            })
    }
}

fn draw(found: &[RuleCoverage], context: &Context) -> Result<(), CliError> {
    let holed: Vec<_> = found.iter().filter(|coverage| !coverage.complete).collect();
    if holed.is_empty() {
        let rules = found.len();
        context.say(match rules {
            0 => "no rule has run on its schedule yet".to_owned(),
            1 => "complete: 1 rule, no hole".to_owned(),
            _ => format!("complete: {rules} rules, no hole"),
        });
        return Ok(());
    }
    let mut table = Table::new(&["rule", "from", "to", ">seconds", "why"]);
    for coverage in &holed {
        for hole in &coverage.holes {
            table.row([
                Cell::from(coverage.rule_name.as_str()),
                Cell::from(hole.from.clone()),
                Cell::from(hole.to.clone()),
                Cell::from(hole.seconds),
                Cell::from(hole.reason),
            ]);
        }
    }
    context.table(&table)?;
    context.say(format!(
        "{} of {} rules have holes; `tocsin backfill` fills them, the running service does so by itself",
        holed.len(),
        found.len()
    ));
    Ok(())
}
