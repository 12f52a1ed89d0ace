//! A message made for trying out.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::{CliError, Context, Outcome};
use crate::notify::template::Template;
use crate::notify::{Message, connectors, settings};
use crate::store::state::{Kind, Lookup, Undelivered};

#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    /// Name of the connector
    #[arg(value_name = "NAME")]
    connector: String,
    /// About this alert, instead of an invented one; the start of its id is enough
    #[arg(long, value_name = "ID")]
    alert: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct PreviewArgs {
    /// Name of the connector
    #[arg(value_name = "NAME")]
    connector: String,
    /// About this alert, instead of an invented one; the start of its id is enough
    #[arg(long, value_name = "ID")]
    alert: Option<String>,
    /// With this template instead of the configured one
    #[arg(long, value_name = "TEMPLATE")]
    template: Option<String>,
}

/// Sends a marked test message.
pub(super) fn test(args: TestArgs, context: &Context) -> Result<Outcome, CliError> {
    let lane = lane(&args.connector, context)?;
    let mut message = compose(&lane, args.alert.as_deref(), Kind::Test, context)?;
    message.title = format!("[TEST] {}", message.title);
    let connector = connectors::build(&lane).map_err(|reason| refused(&args.connector, &reason))?;
    let sent = context.block_on(connector.send(&message))?;
    let receipt = sent.map_err(|error| refused(&args.connector, &error.to_string()))?;
    if context.human() {
        context.say(format!("`{}` took the test message", args.connector));
        for note in message.note.iter().chain(&receipt.note) {
            context.warn(note);
        }
    } else {
        let document = json!({
            "connector": args.connector, "delivered": true, "key": message.key, "receipt": receipt.reference,
            "note": receipt.note.or(message.note),
        });
        context.document(&document, &["connector", "delivered", "key", "receipt", "note"])?;
    }
    Ok(Outcome::Fine)
}

fn refused(connector: &str, reason: &str) -> CliError {
    CliError::failed(format!("`{connector}` did not take the message: {reason}"))
        .with_help("`tocsin doctor` checks every connector")
}

/// Shows what a connector would say.
pub(super) fn preview(args: PreviewArgs, context: &Context) -> Result<Outcome, CliError> {
    let mut lane = lane(&args.connector, context)?;
    if let Some(text) = &args.template {
        let parsed = Template::parse(text, lane.wording.escape);
        lane.wording.text = Some(parsed.map_err(|error| CliError::usage(format!("--template: {error}")))?);
    }
    let message = compose(&lane, args.alert.as_deref(), Kind::Alert, context)?;
    let text = message.written(lane.wording.escape);
    if context.human() {
        use std::io::Write;
        writeln!(
            context.out(),
            "{}\n\n{}",
            super::super::style::visible(&message.title),
            visible_lines(&text)
        )?;
        if let Some(note) = &message.note {
            context.warn(note);
        }
    } else {
        let document = json!({
            "connector": args.connector, "title": message.title, "text": text, "note": message.note,
            "facts": message.facts, "steps": message.steps, "link": message.link,
        });
        context.document(&document, &["connector", "title", "text", "note"])?;
    }
    Ok(if message.note.is_some() { Outcome::Findings } else { Outcome::Fine })
}

fn visible_lines(text: &str) -> String {
    text.lines().map(super::super::style::visible).collect::<Vec<_>>().join("\n")
}

fn lane(name: &str, context: &Context) -> Result<settings::LaneSettings, CliError> {
    let setup = super::setup(context)?;
    let names: Vec<String> = setup.lanes.iter().map(|lane| lane.config.name.clone()).collect();
    setup.lanes.into_iter().find(|lane| lane.config.name == name).ok_or_else(|| {
        let help = match names.as_slice() {
            [] => "none is configured: `tocsin config reference` shows [[connector]]".to_owned(),
            names => format!("there are `{}`", names.join("`, `")),
        };
        CliError::usage(format!("there is no connector `{name}`")).with_help(help)
    })
}

fn compose(
    lane: &settings::LaneSettings,
    alert: Option<&str>,
    kind: Kind,
    context: &Context,
) -> Result<Message, CliError> {
    let document = match alert {
        Some(id) => {
            let state = context.app().state().map_err(CliError::failed)?;
            match state.alert(id).map_err(CliError::failed)? {
                Lookup::One(alert) => alert.source,
                Lookup::Nothing => return Err(CliError::usage(format!("there is no alert `{id}`"))),
                Lookup::Several(_) => {
                    return Err(CliError::usage(format!("the ids of several alerts begin with `{id}`")));
                }
            }
        }
        None => invented(context),
    };
    let id: Arc<str> = Arc::from(uuid::Uuid::new_v4().simple().to_string());
    let pending = Undelivered {
        number: 0,
        key: id.to_string(),
        connector: lane.config.name.clone(),
        route: "test".to_owned(),
        kind,
        thread: format!("test {id}"),
        created: context.now().timestamp_millis(),
        attempts: 0,
        receipt: None,
        document: json!({"alerts": [document], "count": 1}).to_string(),
    };
    Message::compose(&pending, &lane.wording).map_err(CliError::failed)
}

/// An alert that nobody has to worry about.
fn invented(context: &Context) -> Value {
    let now = crate::base::window::iso_millis(context.now());
    json!({
        "@timestamp": now,
        "event": {"action": "ConsoleLogin", "outcome": "success", "category": ["authentication"]},
        "user": {"name": "nobody"},
        "source": {"ip": "192.0.2.1"},
        "cloud": {"account": {"id": "000000000000"}, "region": "eu-west-1"},
        "kibana.space_ids": [context.config().alerts.space],
        "kibana.alert.uuid": "0000000000000000000000000000000000000000000000000000000000000000",
        "kibana.alert.original_time": now,
        "kibana.alert.reason": "a test message of tocsin: no event is behind it",
        "kibana.alert.severity": "low",
        "kibana.alert.risk_score": 0,
        "kibana.alert.workflow_status": "open",
        "kibana.alert.rule.name": "tocsin notify test",
        "kibana.alert.rule.rule_id": "tocsin-notify-test",
        "kibana.alert.rule.uuid": "00000000-0000-0000-0000-000000000000",
        "kibana.alert.rule.description": "Shows that messages arrive.",
        "kibana.alert.rule.tags": ["test"],
        "kibana.alert.rule.note": "## Next steps\n\n- Nothing has to be done.\n",
        "kibana.alert.rule.parameters": {},
    })
}
