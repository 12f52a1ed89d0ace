//! `tocsin rules`: checking, listing, showing and switching rules.

mod snooze;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::output::unsupported;
use super::table::Cell;
use super::{CliError, Context, Format, Outcome, Table, markdown};
use crate::base::diagnostic::{Diagnostic, Level};
use crate::engine::ruletest::RuleTest;
use crate::rule::check;
use crate::rule::codes;
use crate::rule::docs;
use crate::rule::load::RuleHead;
use crate::rule::load::files::{load_sources, text_of};
use crate::rule::model::{Rule, Schedule};
use crate::rule::set::{FileReport, RuleSet};
use crate::rule::testfile;

/// Check, list and show rules
#[derive(Debug, clap::Args)]
pub struct RulesArgs {
    #[command(subcommand)]
    command: RulesCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RulesCommand {
    /// Check rule files: what is wrong with them, where, and what to do
    Check {
        /// Rule files, or folders of them
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<PathBuf>,
        /// Warnings count as errors
        #[arg(long)]
        strict: bool,
    },
    /// List the rules that would be loaded
    List {
        /// Rule files or folders instead of the configured ones
        #[arg(long = "rules", value_name = "PATH")]
        rules: Vec<PathBuf>,
        /// Print a catalogue in Markdown instead
        #[arg(long)]
        markdown: bool,
    },
    /// Switch rules on in this installation, whatever their files say
    Enable {
        /// As for `rules show`
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
        /// Rule files or folders instead of the configured ones
        #[arg(long = "rules", value_name = "PATH")]
        rules: Vec<PathBuf>,
    },
    /// Switch rules off in this installation, whatever their files say
    Disable {
        /// As for `rules show`
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
        /// Rule files or folders instead of the configured ones
        #[arg(long = "rules", value_name = "PATH")]
        rules: Vec<PathBuf>,
    },
    /// Tell nobody about the alerts of rules for a while; they are written all the same
    Snooze(snooze::SnoozeArgs),
    /// Forget that rules were switched on or off
    Reset {
        /// As for `rules show`
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
        /// Rule files or folders instead of the configured ones
        #[arg(long = "rules", value_name = "PATH")]
        rules: Vec<PathBuf>,
    },
    /// Show one rule with its guide
    Show {
        /// `rule_id`, saved-object id, or a part of the name that only one rule has
        #[arg(value_name = "ID")]
        id: String,
        /// Rule files or folders instead of the configured ones
        #[arg(long = "rules", value_name = "PATH")]
        rules: Vec<PathBuf>,
    },
}

/// Runs the command.
///
/// # Errors
/// Paths and rules that are not there, results that cannot be written.
pub fn run(args: RulesArgs, context: &Context) -> Result<Outcome, CliError> {
    match args.command {
        RulesCommand::Check { paths, strict } => check_paths(&paths, strict, context),
        RulesCommand::List { rules, markdown } => list(&load(&rules, context), markdown, context),
        RulesCommand::Show { id, rules } => show(&load(&rules, context), &id, context),
        RulesCommand::Enable { ids, rules } => switch(&load(&rules, context), &ids, Some(true), context),
        RulesCommand::Disable { ids, rules } => switch(&load(&rules, context), &ids, Some(false), context),
        RulesCommand::Snooze(args) => snooze::run(&load(&args.rules, context), &args, context),
        RulesCommand::Reset { ids, rules } => switch(&load(&rules, context), &ids, None, context),
    }
}

/// The rules a command works on: those of `paths`, else the configured, else the shipped ones.
fn load(paths: &[PathBuf], context: &Context) -> RuleSet {
    let set = context.app().rules(paths);
    let broken: Vec<Diagnostic> = set.errors().cloned().collect();
    context.diagnostics(&broken, None);
    set
}

/// Which rules this installation has switched on or off.
fn switched(context: &Context) -> Result<HashMap<String, bool>, CliError> {
    // Looking makes no data folder.
    if !context.data_dir().is_dir() {
        return Ok(HashMap::new());
    }
    let state = context.app().state().map_err(CliError::failed)?;
    state.enabled_overrides().map_err(CliError::failed)
}

fn switch(
    set: &RuleSet,
    ids: &[String],
    enabled: Option<bool>,
    context: &Context,
) -> Result<Outcome, CliError> {
    let rules = ids.iter().map(|id| find(set, id)).collect::<Result<Vec<_>, _>>()?;
    let state = context.app().state().map_err(CliError::failed)?;
    let rule_ids = rules.iter().map(|rule| rule.rule_id.to_string()).collect();
    state.set_enabled(rule_ids, enabled).map_err(CliError::failed)?;
    for rule in rules {
        let state = match enabled {
            Some(true) => "enabled",
            Some(false) => "disabled",
            None => "as its file says",
        };
        context.say(format_args!("{state}: {}", super::style::visible(&rule.name)));
    }
    Ok(Outcome::Fine)
}

/// What is said about one file.
#[derive(Debug, Serialize)]
struct FileCheck<'s> {
    path: String,
    rule_id: Option<&'s str>,
    name: Option<&'s str>,
    #[serde(rename = "type")]
    rule_type: Option<&'s str>,
    language: Option<&'s str>,
    ok: bool,
    diagnostics: Vec<Said<'s>>,
    /// The rules of a file that holds several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<Head<'s>>,
}

#[derive(Debug, Serialize)]
struct Head<'s> {
    line: usize,
    rule_id: Option<&'s str>,
    name: Option<&'s str>,
    #[serde(rename = "type")]
    rule_type: Option<&'s str>,
    language: Option<&'s str>,
}

/// A diagnostic as scripts get it.
#[derive(Debug, Serialize)]
struct Said<'s> {
    code: &'s str,
    severity: Level,
    message: &'s str,
    line: Option<usize>,
    column: Option<usize>,
    help: Option<&'s str>,
}

impl<'s> From<&'s Diagnostic> for Said<'s> {
    fn from(found: &'s Diagnostic) -> Self {
        Self {
            code: &found.code,
            severity: found.level,
            message: &found.message,
            line: found.line,
            column: found.column,
            help: found.help.as_deref(),
        }
    }
}

impl<'s> From<&'s RuleHead> for Head<'s> {
    fn from(head: &'s RuleHead) -> Self {
        Self {
            line: head.line,
            rule_id: head.rule_id.as_deref(),
            name: head.name.as_deref(),
            rule_type: head.rule_type.as_deref(),
            language: language(head),
        }
    }
}

/// A rule's language, said or implied.
fn language(head: &RuleHead) -> Option<&str> {
    head.language.as_deref().or(match head.rule_type.as_deref()? {
        "eql" => Some("eql"),
        "esql" => Some("esql"),
        "machine_learning" => None,
        _ => Some("kuery"),
    })
}

fn check_paths(paths: &[PathBuf], strict: bool, context: &Context) -> Result<Outcome, CliError> {
    if let Some(missing) = paths.iter().find(|path| !path.exists()) {
        return Err(CliError::usage(format!("`{}` is not there", missing.display())));
    }
    let progress = context.progress("checking rules", None);
    let mut set = load_sources(&context.app().rule_sources(paths), None);
    set.say(silencing(&set, context));
    let lints = check::run(&set, text_of);
    drop(progress);
    let least = if strict { Level::Warning } else { Level::Error };
    let files = set.files.iter().zip(&lints).map(|(file, lints)| {
        let loaded = set.diagnostics.get(file.diagnostics.clone()).unwrap_or_default();
        let mut said: Vec<&Diagnostic> = loaded.iter().chain(lints).collect();
        said.sort_by_key(|found| (found.line, found.column));
        (file, said)
    });
    let files: Vec<(&FileReport, Vec<&Diagnostic>)> = files.collect();
    let all = || files.iter().flat_map(|(_, said)| said.iter().copied()).chain(elsewhere(&set));
    let failed = all().any(|found| found.level >= least);
    match context.format() {
        Format::Human => {
            let shown: Vec<Diagnostic> =
                all().filter(|found| found.level > Level::Info || context.verbose()).cloned().collect();
            context.diagnostics(&shown, None);
            summary(&set, &files, least, context)?;
        }
        Format::Sarif => sarif(&all().collect::<Vec<_>>(), context)?,
        Format::Junit => return Err(unsupported(Format::Junit)),
        _ => {
            // What concerns no file still has to be seen.
            context.diagnostics(&elsewhere(&set).cloned().collect::<Vec<_>>(), None);
            let mut records = context.records(&["path", "rule_id", "name", "type", "language", "ok"]);
            for (file, said) in &files {
                records.write(&file_check(file, said, least))?;
            }
            records.finish()?;
        }
    }
    Ok(context.finish(if failed { Outcome::Findings } else { Outcome::Fine }))
}

/// Exceptions that would silence a test of the rule they belong to: with them the rule does not do
/// what it is tested to do.
fn silencing(set: &RuleSet, context: &Context) -> Vec<Diagnostic> {
    let ingested = crate::base::window::iso_millis(context.now());
    let mut said = Vec::new();
    for rule in set.compiled.iter().filter(|rule| !rule.exceptions.items.is_empty()) {
        // A test file that cannot be read is `tocsin test`'s to tell.
        let Some(text) = text_of(&testfile::beside(&rule.rule.origin.path)) else { continue };
        let cases = testfile::parse(&text);
        let mut normalize = |block: &str| super::test::normalize(block, &ingested);
        let test = RuleTest::new(rule, &rule.rule.index_patterns(), &cases, &mut normalize);
        for (item, case) in test.silenced() {
            let message = format!(
                "exception `{}` silences `{}`: its test `{case}` would not alert",
                item.name, rule.rule.name
            );
            let mut found = Diagnostic::error(codes::SILENCING, message)
                .with_help("narrow the exception, or take the case out of the rule's tests")
                .with_path(&item.path);
            found.line = Some(item.line);
            said.push(found);
        }
    }
    said
}

/// Diagnostics that belong to no file that was read.
fn elsewhere(set: &RuleSet) -> impl Iterator<Item = &Diagnostic> {
    let first = set.files.first().map_or(set.diagnostics.len(), |file| file.diagnostics.start);
    set.diagnostics.iter().take(first)
}

fn file_check<'s>(file: &'s FileReport, said: &[&'s Diagnostic], least: Level) -> FileCheck<'s> {
    let head = file.heads.first();
    FileCheck {
        path: file.path.display().to_string(),
        rule_id: head.and_then(|head| head.rule_id.as_deref()),
        name: head.and_then(|head| head.name.as_deref()),
        rule_type: head.and_then(|head| head.rule_type.as_deref()),
        language: head.and_then(language),
        ok: said.iter().all(|found| found.level < least),
        diagnostics: said.iter().map(|found| Said::from(*found)).collect(),
        rules: if file.heads.len() > 1 { file.heads.iter().map(Head::from).collect() } else { Vec::new() },
    }
}

fn summary(
    set: &RuleSet,
    files: &[(&FileReport, Vec<&Diagnostic>)],
    least: Level,
    context: &Context,
) -> Result<(), CliError> {
    let count = |level| files.iter().flat_map(|(_, said)| said).filter(|found| found.level == level).count();
    let bad = files.iter().filter(|(_, said)| said.iter().any(|found| found.level >= least)).count();
    let style = context.style();
    let verdict = if bad == 0 { style.green("ok") } else { style.red(format!("{bad} with errors")) };
    writeln!(
        context.out(),
        "{} files, {} rules ({} of types not run yet): {verdict}; {} errors, {} warnings, {} notes",
        files.len(),
        set.rules.len(),
        set.not_run(),
        count(Level::Error),
        count(Level::Warning),
        count(Level::Info),
    )?;
    if count(Level::Info) > 0 && !context.verbose() {
        writeln!(context.out(), "{}", style.dim("-v shows the notes"))?;
    }
    Ok(())
}

/// SARIF 2.1.0, for code scanning.
fn sarif(said: &[&Diagnostic], context: &Context) -> Result<(), CliError> {
    let rules: Vec<_> = crate::rule::codes::ALL
        .iter()
        .map(|code| serde_json::json!({"id": code.code, "shortDescription": {"text": code.summary}}))
        .collect();
    let results: Vec<_> = said
        .iter()
        .map(|found| {
            let level = match found.level {
                Level::Error => "error",
                Level::Warning => "warning",
                Level::Info => "note",
            };
            let help = found.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            let mut location = serde_json::json!({"artifactLocation": {
                "uri": found.path.as_ref().map(|path| path.display().to_string()),
            }});
            if let (Some(line), Some(object)) = (found.line, location.as_object_mut()) {
                let region = serde_json::json!({"startLine": line, "startColumn": found.column.unwrap_or(1)});
                object.insert(String::from("region"), region);
            }
            serde_json::json!({
                "ruleId": found.code,
                "level": level,
                "message": {"text": format!("{}{help}", found.message)},
                "locations": [{"physicalLocation": location}],
            })
        })
        .collect();
    let document = serde_json::json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "tocsin", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "results": results,
        }],
    });
    let mut out = context.out();
    serde_json::to_writer_pretty(&mut out, &document)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// A rule as scripts get it in a list.
#[derive(Debug, Serialize)]
struct Listed<'r> {
    rule_id: &'r str,
    name: &'r str,
    #[serde(rename = "type")]
    rule_type: &'r str,
    language: Option<&'r str>,
    enabled: bool,
    runs: bool,
    severity: &'r str,
    risk_score: serde_json::Number,
    schedule: &'r str,
    from: &'r str,
    to: &'r str,
    index: Option<&'r [String]>,
    tags: &'r [String],
    path: String,
    line: usize,
}

/// A whole number without a fraction, as rule files write it.
fn whole(value: f64) -> serde_json::Number {
    let text = format!("{value}");
    text.parse().unwrap_or_else(|_| 0.into())
}

fn list(set: &RuleSet, markdown: bool, context: &Context) -> Result<Outcome, CliError> {
    if markdown {
        context.out().write_all(docs::catalogue(set).as_bytes())?;
        return Ok(Outcome::Fine);
    }
    let switched = switched(context)?;
    let enabled =
        |rule: &Rule| switched.get(&*rule.rule_id).copied().unwrap_or_else(|| context.app().enabled(rule));
    if context.human() {
        let style = context.style();
        let mut table = Table::new(&["rule", "type", "severity", "every", "state", "rule id"]);
        for rule in &set.rules {
            let state = match (set.plan(&rule.rule_id), enabled(rule)) {
                (None, _) => Cell::styled(style.yellow("not run yet")),
                (Some(rule), _) if rule.plan.needs_job() => Cell::styled(style.yellow("needs a job")),
                (Some(_), true) => Cell::styled(style.green("enabled")),
                (Some(_), false) => Cell::styled(style.dim("disabled")),
            };
            let severity = Cell::styled(style.severity(rule.severity.as_str()));
            table.row([
                Cell::text(&rule.name),
                rule.rule_type().into(),
                severity,
                schedule(rule).into(),
                state,
                Cell::text(&rule.rule_id),
            ]);
        }
        context.table(&table)?;
        return Ok(Outcome::Fine);
    }
    let mut records =
        context.records(&["rule_id", "name", "type", "enabled", "severity", "risk_score", "path"]);
    for rule in &set.rules {
        records.write(&Listed {
            rule_id: &rule.rule_id,
            name: &rule.name,
            rule_type: rule.rule_type(),
            language: rule.kind.language(),
            enabled: enabled(rule),
            runs: set.plan(&rule.rule_id).is_some_and(|rule| !rule.plan.needs_job()),
            severity: rule.severity.as_str(),
            risk_score: whole(rule.risk_score),
            schedule: schedule(rule),
            from: &rule.from,
            to: &rule.to,
            index: rule.index.as_deref(),
            tags: &rule.tags,
            path: rule.origin.path.display().to_string(),
            line: rule.origin.line,
        })?;
    }
    records.finish()?;
    Ok(Outcome::Fine)
}

fn schedule(rule: &Rule) -> &str {
    match &rule.schedule {
        Schedule::Every { text, .. } => text,
        Schedule::Cron { expression, .. } => expression,
    }
}

fn show(set: &RuleSet, id: &str, context: &Context) -> Result<Outcome, CliError> {
    let rule = find(set, id)?;
    if context.human() {
        let page = markdown::render(&docs::rule(rule), context.style(), context.width(), &|_| None);
        writeln!(context.out(), "{page}")?;
        return Ok(Outcome::Fine);
    }
    let mut object = rule.parameters.object();
    if !rule.tables.is_empty() {
        object.insert(String::from("tables"), rule.tables.object().into());
    }
    object.insert(String::from("path"), rule.origin.path.display().to_string().into());
    context.document(&object, &["rule_id", "name", "type", "severity", "risk_score", "path"])?;
    Ok(Outcome::Fine)
}

/// The rule an argument names.
fn find<'s>(set: &'s RuleSet, id: &str) -> Result<&'s Rule, CliError> {
    if let Some(rule) = set.find(id) {
        return Ok(rule);
    }
    let part = id.to_lowercase();
    let mut named = set.rules.iter().filter(|rule| rule.name.to_lowercase().contains(&part));
    match (named.next(), named.next()) {
        (Some(rule), None) => Ok(rule),
        (Some(one), Some(other)) => Err(CliError::usage(format!("`{id}` names several rules"))
            .with_help(format!("for example `{}` and `{}`", one.name, other.name))),
        (None, _) => {
            let ids = set.rules.iter().flat_map(|rule| [&*rule.rule_id, rule.name.as_str()]);
            let mut error = CliError::usage(format!("there is no rule `{id}`"));
            if let Some(near) = crate::base::nearest::nearest(id, ids) {
                error = error.with_help(format!("did you mean `{near}`?"));
            }
            Err(error)
        }
    }
}
