//! `tocsin silence`: alerts that are not told for a while.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::table::Cell;
use super::{CliError, Context, Outcome, Table};
use crate::base::datemath::Rounding;
use crate::config::notify::OneOrMany;
use crate::config::{TimeSpan, WhenConfig};
use crate::notify::matcher::When;
use crate::store::state::Silence;

const COLUMNS: &[&str] = &["id", "owner", "reason", "when", "starts", "ends", "active"];

/// Keep alerts from being told for a while; they are written all the same
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin silence add --rule 'Root *' --for 2h --reason 'planned change, ticket 4711'
  tocsin silence add --field cloud.account.id=1111 --until 2026-11-02T06:00:00Z --reason migration
  tocsin silence list                                  what is silenced now, by whom and why
  tocsin silence expire 4f2a                           tell them again")]
pub struct SilenceArgs {
    #[command(subcommand)]
    command: SilenceCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SilenceCommand {
    /// Add a silence
    Add(Box<AddArgs>),
    /// List silences
    List {
        /// Those that are over too
        #[arg(long)]
        all: bool,
    },
    /// End a silence now
    Expire {
        /// Its id, or how its id begins
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("end").required(true), group = clap::ArgGroup::new("what").required(true).multiple(true))]
struct AddArgs {
    /// Why
    #[arg(long)]
    reason: String,
    /// Who wants it [default: you]
    #[arg(long)]
    owner: Option<String>,
    /// For so long from now on (`2h`)
    #[arg(long = "for", value_name = "TIME SPAN", group = "end")]
    length: Option<TimeSpan>,
    /// Until then
    #[arg(long, value_name = "TIME", group = "end")]
    until: Option<String>,
    /// From then on [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Alerts of this rule (id or name, `*` stands for anything); may be repeated
    #[arg(long, group = "what")]
    rule: Vec<String>,
    /// Alerts whose rule has this tag; may be repeated
    #[arg(long, group = "what")]
    tag: Vec<String>,
    /// Alerts of this severity; may be repeated
    #[arg(long, group = "what")]
    severity: Vec<String>,
    /// Alerts whose field has this value (`user.name=ann`); may be repeated
    #[arg(long, value_name = "FIELD=VALUE", group = "what")]
    field: Vec<String>,
    /// Alerts that satisfy this KQL
    #[arg(long, group = "what")]
    query: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When the arguments make no sense, or the state cannot be read or written.
pub fn run(args: SilenceArgs, context: &Context) -> Result<Outcome, CliError> {
    match args.command {
        SilenceCommand::Add(args) => add(*args, context),
        SilenceCommand::List { all } => list(all, context),
        SilenceCommand::Expire { id } => expire(&id, context),
    }
}

/// Who is at the keyboard.
pub(super) fn whoami() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var_os(name)?.into_string().ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned())
}

fn add(args: AddArgs, context: &Context) -> Result<Outcome, CliError> {
    let now = context.now();
    let time = |flag: &str, text: &str| context.resolve_time(flag, text, Rounding::Down);
    let starts = args.from.as_deref().map_or(Ok(now), |text| time("--from", text))?;
    let ends = match (&args.until, args.length) {
        (Some(text), _) => time("--until", text)?,
        (None, Some(length)) => chrono::Duration::from_std(length.duration())
            .ok()
            .and_then(|length| starts.checked_add_signed(length))
            .ok_or_else(|| CliError::usage("--for: too long"))?,
        (None, None) => return Err(CliError::usage("a silence ends: give `--for` or `--until`")),
    };
    if ends <= starts || ends <= now {
        return Err(CliError::usage("the silence would be over before it begins"));
    }
    let mut when = WhenConfig {
        severity: args.severity,
        rule: args.rule,
        tag: args.tag,
        query: args.query,
        ..WhenConfig::default()
    };
    for pair in &args.field {
        let (field, value) = pair
            .split_once('=')
            .ok_or_else(|| CliError::usage(format!("--field: `{pair}` is not `FIELD=VALUE`")))?;
        let values = when.field.entry(field.to_owned()).or_insert_with(|| OneOrMany::Many(Vec::new()));
        if let OneOrMany::Many(values) = values {
            values.push(value.to_owned());
        }
    }
    When::new(&when).map_err(|(key, error)| CliError::usage(format!("--{key}: {error}")))?;
    let id: String = uuid::Uuid::new_v4().simple().to_string().chars().take(12).collect();
    let silence = Silence {
        id: id.clone(),
        owner: args.owner.unwrap_or_else(whoami),
        reason: args.reason,
        matcher: serde_json::to_string(&when)?,
        starts,
        ends,
    };
    let state = context.app().state().map_err(CliError::failed)?;
    let document = record(&silence, now);
    state.put_silence(silence).map_err(CliError::failed)?;
    if context.human() {
        context.say(format!("silence {id} until {}", context.time(ends)));
    } else {
        context.document(&document, COLUMNS)?;
    }
    Ok(Outcome::Fine)
}

fn record(silence: &Silence, now: DateTime<Utc>) -> serde_json::Value {
    let when: serde_json::Value = serde_json::from_str(&silence.matcher).unwrap_or_default();
    json!({
        "id": silence.id, "owner": silence.owner, "reason": silence.reason, "when": when,
        "starts": crate::base::window::iso_millis(silence.starts),
        "ends": crate::base::window::iso_millis(silence.ends),
        "active": silence.covers(now),
    })
}

fn list(all: bool, context: &Context) -> Result<Outcome, CliError> {
    let state = context.app().state().map_err(CliError::failed)?;
    let now = context.now();
    let silences = state.silences((!all).then_some(now)).map_err(CliError::failed)?;
    if !context.human() {
        let mut writer = context.records(COLUMNS);
        for silence in &silences {
            writer.write(&record(silence, now))?;
        }
        writer.finish()?;
        return Ok(Outcome::Fine);
    }
    if silences.is_empty() {
        context.say("nothing is silenced");
        return Ok(Outcome::Fine);
    }
    let mut table = Table::new(&["id", "owner", "reason", "alerts", "from", "until"]);
    for silence in &silences {
        table.row([
            Cell::from(silence.id.as_str()),
            Cell::from(silence.owner.as_str()),
            Cell::from(silence.reason.as_str()),
            Cell::from(silence.matcher.as_str()),
            Cell::from(context.time(silence.starts)),
            Cell::from(context.time(silence.ends)),
        ]);
    }
    context.table(&table)?;
    Ok(Outcome::Fine)
}

fn expire(id: &str, context: &Context) -> Result<Outcome, CliError> {
    let state = context.app().state().map_err(CliError::failed)?;
    let now = context.now();
    let silences = state.silences(Some(now)).map_err(CliError::failed)?;
    let found: Vec<&Silence> = silences.iter().filter(|silence| silence.id.starts_with(id)).collect();
    let [silence] = found.as_slice() else {
        let message = if found.is_empty() { "no silence in force" } else { "several silences" };
        return Err(CliError::usage(format!("{message} begins with `{id}`"))
            .with_help("`tocsin silence list` shows those in force"));
    };
    state.end_silence(&silence.id, now).map_err(CliError::failed)?;
    if context.human() {
        context.say(format!("silence {} of {} is over", silence.id, silence.owner));
    } else {
        context.document(&json!({"expired": silence.id}), &["expired"])?;
    }
    Ok(Outcome::Fine)
}
