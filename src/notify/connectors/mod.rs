//! The connectors, one file a kind. `presets` are templates over a webhook.

mod alertmanager;
mod aws;
mod email;
mod file;
mod pagerduty;
mod presets;
mod slack;
mod syslog;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::connector::{Connector, Receipt, SendError};
use super::escape::Escape;
use super::http::{Http, HttpOptions, allowed};
use super::lane::LaneSettings;
use super::message::Message;
use crate::config::{ConnectorConfig, Rate, Secret, SecretRef, TimeSpan};

/// Sets a connector up: resolves its secrets, opens nothing.
///
/// # Errors
/// Why it cannot be set up.
pub fn build(settings: &LaneSettings) -> Result<Arc<dyn Connector>, String> {
    Ok(match settings.config.connector_type.as_str() {
        "webhook" => Arc::new(webhook::Webhook::new(settings)?),
        "slack" => Arc::new(slack::Slack::new(settings)?),
        "email" => Arc::new(email::Email::new(settings)?),
        "pagerduty" => Arc::new(pagerduty::PagerDuty::new(settings)?),
        "sns" | "sqs" | "eventbridge" => Arc::new(aws::Aws::new(settings)?),
        "alertmanager" => Arc::new(alertmanager::Alertmanager::new(settings)?),
        "syslog" => Arc::new(syslog::Syslog::new(settings)?),
        "file" => Arc::new(file::File::new(settings)?),
        "stdout" => Arc::new(file::Stdout),
        other => Arc::new(presets::Preset::new(other, settings)?),
    })
}

/// What texts for a type of connector are written in.
pub(super) fn escape_of(connector_type: &str) -> Escape {
    match connector_type {
        "slack" => Escape::Mrkdwn,
        "teams" | "mattermost" | "discord" => Escape::Markdown,
        _ => Escape::Plain,
    }
}

/// Most messages that a type of target takes.
pub(super) fn rate_of(connector_type: &str) -> Option<Rate> {
    let second = "1s".parse::<TimeSpan>().ok()?;
    match connector_type {
        // What Slack allows to a channel.
        "slack" => Some(Rate { most: 1, within: second }),
        "discord" | "teams" | "mattermost" => Some(Rate { most: 2, within: second }),
        _ => None,
    }
}

/// Checks what can be checked without secrets; an error names the key and says what is wrong.
pub(super) fn check_settings(config: &ConnectorConfig, allow: &[String]) -> Result<(), (String, String)> {
    let has = |key: &str| config.settings.contains_key(key);
    let need = |keys: &[&str]| {
        let (first, all) = (keys.first().copied().unwrap_or_default(), keys.join("` or `"));
        if keys.iter().any(|key| has(key)) {
            Ok(())
        } else {
            Err((first.to_owned(), format!("a connector of type `{}` needs `{all}`", config.connector_type)))
        }
    };
    match config.connector_type.as_str() {
        "webhook" | "alertmanager" | "jira" | "servicenow" | "thehive" | "iris" | "otlp" => need(&["url"])?,
        "teams" | "mattermost" | "discord" => need(&["webhook_url"])?,
        "slack" => {
            need(&["webhook_url", "token"])?;
            if has("token") {
                need(&["channel"])?;
            }
        }
        "opsgenie" => need(&["token"])?,
        _ => {}
    }
    for key in ["url", "webhook_url", "queue_url"] {
        let Some(url) = config.settings.get(key).and_then(Value::as_str) else { continue };
        let wrong = |message: String| (key.to_owned(), message);
        let url = Url::parse(url).map_err(|_| wrong("is no URL".to_owned()))?;
        allowed(allow, &url).map_err(wrong)?;
    }
    if let Some(body) = config.settings.get("body").and_then(Value::as_str) {
        webhook::body_template(body, content_type(config))
            .map_err(|error| ("body".to_owned(), error.to_string()))?;
    }
    if config.connector_type == "email" {
        email::check_addresses(config)?;
    }
    Ok(())
}

fn content_type(config: &ConnectorConfig) -> &str {
    config.settings.get("content_type").and_then(Value::as_str).unwrap_or("application/json")
}

/// A connector that cannot be set up: everything for it waits.
#[derive(Debug)]
pub(super) struct Broken(pub(super) String);

#[async_trait]
impl Connector for Broken {
    async fn send(&self, _: &Message) -> Result<Receipt, SendError> {
        Err(SendError::unavailable(self.0.clone()))
    }

    async fn check(&self) -> Result<String, SendError> {
        Err(SendError::unavailable(self.0.clone()))
    }
}

/// A type's own settings.
fn read<T: DeserializeOwned>(settings: &LaneSettings) -> Result<T, String> {
    serde_json::from_value(Value::Object(settings.config.settings.clone()))
        .map_err(|error| format!("settings: {error}"))
}

fn resolve(secret: &SecretRef) -> Result<Secret, String> {
    secret.resolve().map_err(|error| error.to_string())
}

/// An address that may be a secret.
fn address(secret: &SecretRef) -> Result<Url, String> {
    let text = resolve(secret)?;
    match Url::parse(text.expose()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("the secret is no http or https URL".to_owned()),
    }
}

/// Sets a field of an object.
fn put(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Value::Object(fields) = object {
        fields.insert(name.to_owned(), value.into());
    }
}

/// The text at a JSON pointer.
fn text_at(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

/// Client and certificate authority of a connector that speaks HTTP.
fn http(settings: &LaneSettings) -> Result<Http, String> {
    #[derive(Deserialize)]
    struct Own {
        #[serde(default)]
        ca_file: Option<PathBuf>,
    }
    let own: Own = read(settings)?;
    Http::new(&HttpOptions {
        timeout: settings.timeout,
        ca_file: own.ca_file,
        allow: Arc::clone(&settings.allow),
    })
}
