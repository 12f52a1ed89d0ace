//! `tocsin rules snooze`: a rule that goes on to write alerts, and tells nobody for a while.

use chrono::Duration;

use crate::base::datemath::Rounding;
use crate::base::window::iso_millis;
use crate::config::{TimeSpan, WhenConfig};
use crate::rule::set::RuleSet;
use crate::store::state::Silence;

use super::super::silence::whoami;
use super::super::{CliError, Context, Outcome};

/// What `rules snooze` is told.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("length_of_it").required(true))]
pub(super) struct SnoozeArgs {
    /// As for `rules show`
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// For so long from now on (`2h`)
    #[arg(long = "for", value_name = "TIME SPAN", group = "length_of_it")]
    length: Option<TimeSpan>,
    /// Until then
    #[arg(long, value_name = "TIME", group = "length_of_it")]
    until: Option<String>,
    /// Tell their alerts again
    #[arg(long, group = "length_of_it")]
    end: bool,
    /// Why
    #[arg(long, default_value = "snoozed")]
    reason: String,
    /// Rule files or folders instead of the configured ones
    #[arg(long = "rules", value_name = "PATH")]
    pub(super) rules: Vec<std::path::PathBuf>,
}

/// Snoozes rules of `set`, or ends that. A snooze is a silence (`tocsin silence list` shows it) of
/// one rule; snoozing again replaces it.
pub(super) fn run(set: &RuleSet, args: &SnoozeArgs, context: &Context) -> Result<Outcome, CliError> {
    let rules = args.ids.iter().map(|id| super::find(set, id)).collect::<Result<Vec<_>, _>>()?;
    let now = context.now();
    let ends = match (&args.until, args.length) {
        (Some(text), _) => context.resolve_time("--until", text, Rounding::Down)?,
        (None, Some(length)) => Duration::from_std(length.duration())
            .ok()
            .and_then(|length| now.checked_add_signed(length))
            .ok_or_else(|| CliError::usage("--for: too long"))?,
        (None, None) => now,
    };
    if !args.end && ends <= now {
        return Err(CliError::usage("the snooze would be over before it begins"));
    }
    let state = context.app().state().map_err(CliError::failed)?;
    for rule in rules {
        let id = format!("snooze-{}", rule.rule_id);
        let name = super::super::style::visible(&rule.name);
        if args.end {
            let ended = state.end_silence(&id, now).map_err(CliError::failed)?;
            context.say(format_args!("{}: {name}", if ended { "told again" } else { "was not snoozed" }));
            continue;
        }
        let when = WhenConfig { rule: vec![rule.rule_id.to_string()], ..WhenConfig::default() };
        let silence = Silence {
            id,
            owner: whoami(),
            reason: args.reason.clone(),
            matcher: serde_json::to_string(&when)?,
            starts: now,
            ends,
        };
        state.put_silence(silence).map_err(CliError::failed)?;
        if context.human() {
            context.say(format_args!("snoozed until {}: {name}", context.time(ends)));
        } else {
            let document = serde_json::json!({"rule_id": &*rule.rule_id, "snoozed_until": iso_millis(ends)});
            context.document(&document, &["rule_id", "snoozed_until"])?;
        }
    }
    Ok(Outcome::Fine)
}
