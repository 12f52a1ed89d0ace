//! `tocsin config`: what is in force, the reference of keys, the JSON schema.

use std::io::Write;

use serde::Serialize;
use serde_json::Value;

use super::output::lookup;
use super::style::visible;
use super::{CliError, Context, Outcome, Table};
use crate::config::keys::{KEYS, Kind};
use crate::config::load::key_of;
use crate::config::{Origin, SecretRef, reference};

/// Show the configuration in force, its reference or its JSON schema
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tocsin config show                                  what is in force, and where it came from
  tocsin config reference > docs/configuration.md     every key, its default and meaning
  tocsin config schema > tocsin.schema.json           for editors that check TOML")]
pub struct ConfigArgs {
    /// What to show
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to show.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Effective values with their origins, secrets redacted
    Show,
    /// Every key with its default and meaning, Markdown
    Reference,
    /// JSON Schema of the configuration file
    Schema,
}

/// One value in force.
#[derive(Debug, Serialize)]
struct Setting {
    key: String,
    value: Value,
    origin: String,
}

/// Runs the command.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: ConfigArgs, context: &Context) -> Result<Outcome, CliError> {
    match args.command {
        ConfigCommand::Show => show(context)?,
        ConfigCommand::Reference => context.out().write_all(reference::markdown().as_bytes())?,
        ConfigCommand::Schema => {
            let schema = serde_json::to_string_pretty(&reference::schema())?;
            writeln!(context.out(), "{schema}")?;
        }
    }
    Ok(Outcome::Fine)
}

fn show(context: &Context) -> Result<(), CliError> {
    let settings = settings(context)?;
    if !context.human() {
        let mut records = context.records(&["key", "value", "origin"]);
        for setting in &settings {
            records.write(setting)?;
        }
        records.finish()?;
        return Ok(());
    }
    let loaded = context.loaded();
    match &loaded.file {
        Some(file) => writeln!(context.out(), "file: {}\n", file.display())?,
        None => {
            let places: Vec<String> = loaded.searched.iter().map(|path| path.display().to_string()).collect();
            writeln!(context.out(), "file: none (looked for {})\n", places.join(", "))?;
        }
    }
    let mut table = Table::new(&["key", "value", "origin"]);
    for setting in settings {
        table.row([setting.key.into(), shown(&setting.value).into(), setting.origin.into()]);
    }
    context.table(&table)
}

/// Every value in force: keys outside lists always, keys inside lists where they are given.
fn settings(context: &Context) -> Result<Vec<Setting>, CliError> {
    let loaded = context.loaded();
    let tree = serde_json::to_value(&loaded.config)?;
    let mut paths: Vec<String> = Vec::new();
    for key in KEYS {
        match key.path.split_once("[].") {
            None => paths.push(key.path.to_owned()),
            Some((list, _)) => {
                let list = format!("{list}[");
                for path in loaded.origins.keys().filter(|path| path.starts_with(&list)) {
                    if !paths.contains(path) {
                        paths.push(path.clone());
                    }
                }
            }
        }
    }
    let setting = |path: String| {
        let key = key_of(&path);
        let value = match key.map(|key| key.kind) {
            // Settings of connectors are kept as they were given: only references are shown.
            Some(Kind::Secret | Kind::Endpoint) if path.starts_with("connector") => {
                redacted(value_at(&tree, &path))
            }
            Some(Kind::Headers) => match value_at(&tree, &path) {
                Some(Value::Object(headers)) => {
                    headers.into_iter().map(|(name, value)| (name, redacted(Some(value)))).collect()
                }
                _ => Value::Null,
            },
            _ => value_at(&tree, &path).unwrap_or(Value::Null),
        };
        let origin = match loaded.origins.get(&path) {
            None | Some(Origin::Default) => "default".to_owned(),
            Some(Origin::File(line)) => {
                let file = loaded.file.as_ref().map_or_else(String::new, |file| file.display().to_string());
                format!("{file}:{line}")
            }
            Some(Origin::Env(name)) => format!("environment {name}"),
            Some(Origin::Flag(flag)) => format!("flag {flag}"),
        };
        Setting { key: path, value, origin }
    };
    Ok(paths.into_iter().map(setting).collect())
}

fn redacted(value: Option<Value>) -> Value {
    match value {
        None => Value::Null,
        Some(value) => match serde_json::from_value::<SecretRef>(value) {
            Ok(reference) => Value::String(reference.to_string()),
            Err(_) => Value::String("redacted".to_owned()),
        },
    }
}

/// The value at a full path (`backend[0].name`).
fn value_at(tree: &Value, path: &str) -> Option<Value> {
    let mut place = tree;
    for part in path.split('.') {
        let (name, index) = match part.split_once('[') {
            Some((name, index)) => {
                (name, index.strip_suffix(']').and_then(|index| index.parse::<usize>().ok()))
            }
            None => (part, None),
        };
        place = lookup(place, name)?;
        if let Some(index) = index {
            place = place.get(index)?;
        }
    }
    Some(place.clone())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "unset".to_owned(),
        Value::String(text) => visible(text),
        other => other.to_string(),
    }
}
