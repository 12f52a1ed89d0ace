//! `tocsin run`: rules on their schedules, or all of them once.

pub(super) mod forward;
mod life;
mod once;
mod service;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::args::WindowClock;
use super::{CliError, Context, Outcome};
use crate::app::EngineMode;
use crate::config::Config;
use crate::engine::{Engine, Trigger};
use crate::rule::model::Rule;
use crate::rule::set::RuleSet;

/// Run rules: as a service on their schedules, or all of them once
///
/// As a service it keeps every rule on its interval or cron slots, reloads rule files that change
/// (all or nothing; SIGHUP asks for it) and ends cleanly at SIGTERM or Ctrl-C.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin run                                           the configured or shipped rules, as a service
  tocsin run --rules ./my-rules/                       rules of your own
  tocsin run --once --at 2026-11-01T12:00:00Z          every rule once, as if it were then
  tocsin run --once --only 1a2b3c4d-…  --format json   one rule, for scripts")]
pub struct RunArgs {
    /// Rule files and folders [default: `rules.paths` of the configuration, else the shipped rules]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    rules: Vec<PathBuf>,
    /// Run every enabled rule once, as if it were due now (or at --at), and end
    #[arg(long)]
    once: bool,
    /// Only these rules
    #[arg(long, value_name = "RULE_ID", num_args = 1..)]
    only: Vec<String>,
    /// Rules that are switched off too
    #[arg(long)]
    include_disabled: bool,
    /// With --at: tell people of the alerts all the same
    #[arg(long, requires = "once")]
    notify: bool,
}

/// Run rules as a service, with HTTP endpoints for health and metrics
///
/// What `tocsin run` does, and `/healthz`, `/readyz` and `/metrics` on `server.bind`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin serve                                         endpoints on 127.0.0.1:8787
  TOCSIN_SERVER__BIND=127.0.0.1:9000 tocsin serve      on another port")]
pub struct ServeArgs {
    /// Rule files and folders [default: `rules.paths` of the configuration, else the shipped rules]
    #[arg(long, value_name = "PATH", num_args = 1..)]
    rules: Vec<PathBuf>,
    /// Only these rules
    #[arg(long, value_name = "RULE_ID", num_args = 1..)]
    only: Vec<String>,
    /// Rules that are switched off too
    #[arg(long)]
    include_disabled: bool,
}

/// Runs `tocsin serve`.
///
/// # Errors
/// As [`run`]; when the endpoints cannot be served.
pub fn serve(args: ServeArgs, context: &Context) -> Result<Outcome, CliError> {
    if context.at().is_some() {
        return Err(CliError::usage("`--at` has no meaning here: the service runs on the machine's clock"));
    }
    let ServeArgs { rules, only, include_disabled } = args;
    service::run(&RunArgs { rules, once: false, only, include_disabled, notify: false }, context, true)
}

/// Runs the command.
///
/// # Errors
/// When rules, events or state cannot be read, or the arguments make no sense.
pub fn run(args: RunArgs, context: &Context) -> Result<Outcome, CliError> {
    if args.once {
        return once::run(&args, context);
    }
    if context.at().is_some() {
        return Err(CliError::usage("`--at` needs `--once`: the service runs on the machine's clock")
            .with_help("`tocsin run --once --at TIME` runs every rule once, as if it were then"));
    }
    service::run(&args, context, false)
}

/// Which rules of `set` run: those enabled here and by their files (or all with
/// `--include-disabled`), of those that `--only` names.
pub(super) fn select(
    set: &RuleSet,
    only: &[String],
    include_disabled: bool,
    config: &Config,
    overrides: &std::collections::HashMap<String, bool>,
) -> Vec<Arc<Rule>> {
    let only: HashSet<&str> = only.iter().map(String::as_str).collect();
    let named = |rule: &Rule| {
        only.is_empty()
            || only.contains(&*rule.rule_id)
            || rule.id.as_deref().is_some_and(|id| only.contains(id))
    };
    let enabled = |rule: &Rule| {
        let here = overrides.get(&*rule.rule_id).copied();
        include_disabled || here.unwrap_or_else(|| config.rules.enabled(rule))
    };
    set.rules.iter().filter(|rule| named(rule) && enabled(rule)).cloned().collect()
}

/// Refuses names that no rule has.
pub(super) fn check_names(set: &RuleSet, only: &[String]) -> Result<(), CliError> {
    let unknown: Vec<&str> = only.iter().map(String::as_str).filter(|id| set.find(id).is_none()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(CliError::usage(format!("no rule has the id `{}`", unknown.join("`, `")))
        .with_help("`tocsin rules list` shows all rules with their ids"))
}

/// The rules asked for. A folder that is not there is an error at the start: a runner without rules
/// looks healthy and sees nothing.
fn load(args: &RunArgs, context: &Context) -> Result<RuleSet, CliError> {
    let paths = if args.rules.is_empty() { context.rule_paths() } else { &args.rules };
    for path in paths {
        std::fs::metadata(path).map_err(|error| CliError::io("read rules at", path, error))?;
    }
    let set = context.app().rules(&args.rules);
    if set.rules.is_empty() && set.errors().next().is_none() {
        let named: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
        return Err(CliError::usage(format!("no rule in {}", named.join(", ")))
            .with_help("rules are .toml files with a [rule] table, or Kibana's .ndjson exports"));
    }
    Ok(set)
}

/// An engine with the clock that was asked for: `event` for the past, `ingest` in the service.
pub(super) fn engine(context: &Context, trigger: Trigger) -> Result<Engine, CliError> {
    let default_clock = if context.at().is_some() { WindowClock::Event } else { WindowClock::Ingest };
    let clock = context.window_clock().unwrap_or(default_clock);
    Ok(context
        .block_on(context.app().engine(EngineMode { event_clock: clock == WindowClock::Event, trigger }))??)
}

/// Says on stderr what is wrong with rule files, errors and warnings.
fn say_findings(set: &RuleSet, context: &Context) {
    let findings: Vec<_> = set
        .diagnostics
        .iter()
        .filter(|found| found.level >= crate::base::diagnostic::Level::Error)
        .cloned()
        .collect();
    context.diagnostics(&findings, None);
}
