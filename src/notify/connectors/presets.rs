//! Templates over a webhook: each says method, address and body of a product's own API, and how its
//! answer names what was made.

mod chat;
mod incident;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::Value;

use super::webhook::{headers, reachable};
use super::{address, http, put, read, text_at};
use crate::config::SecretRef;
use crate::notify::connector::{Connector, Receipt, SendError};
use crate::notify::escape::cut;
use crate::notify::http::{Http, Outgoing};
use crate::notify::lane::LaneSettings;
use crate::notify::message::Message;

#[derive(Debug, Deserialize)]
pub(super) struct Own {
    #[serde(default)]
    url: Option<SecretRef>,
    #[serde(default)]
    webhook_url: Option<SecretRef>,
    #[serde(default)]
    project: Option<String>,
    #[serde(default)]
    issue_type: Option<String>,
    #[serde(default)]
    customer: Option<u64>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    token: Option<SecretRef>,
}

/// One request of a preset.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    method: Method,
    /// Below the connector's address; empty: the address itself.
    path: String,
    body: Value,
}

impl Call {
    fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), body }
    }
}

/// What is particular about a product.
pub(super) struct Kind {
    name: &'static str,
    /// Its address where everybody has the same.
    url: Option<&'static str>,
    /// What precedes a token in `Authorization`.
    scheme: &'static str,
    /// The request for a message.
    call: fn(&Message, &Own) -> Call,
    /// Why an answer is a failure although its status is a success.
    failed: fn(&Value) -> bool,
    /// Where the answer names what was made.
    reference: Option<&'static str>,
}

const fn kind(name: &'static str, call: fn(&Message, &Own) -> Call) -> Kind {
    Kind { name, url: None, scheme: "Bearer", call, failed: |_| false, reference: None }
}

const KINDS: &[Kind] = &[
    kind("teams", chat::teams),
    kind("mattermost", chat::mattermost),
    kind("discord", chat::discord),
    Kind {
        url: Some("https://api.opsgenie.com/"),
        scheme: "GenieKey",
        ..kind("opsgenie", incident::opsgenie)
    },
    Kind { reference: Some("/key"), ..kind("jira", incident::jira) },
    Kind { reference: Some("/result/sys_id"), ..kind("servicenow", incident::servicenow) },
    Kind { reference: Some("/_id"), ..kind("thehive", incident::thehive) },
    Kind {
        failed: |answer| text_at(answer, "/status").as_deref() != Some("success"),
        reference: Some("/data/alert_id"),
        ..kind("iris", incident::iris)
    },
    Kind {
        failed: |answer| {
            let rejected = answer.pointer("/partialSuccess/rejectedLogRecords");
            rejected.is_some_and(|rejected| {
                !matches!(rejected.as_str(), Some("0")) && rejected.as_u64() != Some(0)
            })
        },
        ..kind("otlp", incident::otlp)
    },
];

pub(super) struct Preset {
    http: Http,
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    own: Own,
    kind: &'static Kind,
}

impl std::fmt::Debug for Preset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preset").field("kind", &self.kind.name).finish_non_exhaustive()
    }
}

impl Preset {
    pub(super) fn new(name: &str, settings: &LaneSettings) -> Result<Self, String> {
        let kind = KINDS
            .iter()
            .find(|kind| kind.name == name)
            .ok_or_else(|| format!("no connector is called `{name}`"))?;
        let own: Own = read(settings)?;
        let mut url = match (own.webhook_url.as_ref().or(own.url.as_ref()), kind.url) {
            (Some(url), _) => address(url)?,
            (None, Some(url)) => Url::parse(url).map_err(|error| error.to_string())?,
            (None, None) => return Err("needs `url`".to_owned()),
        };
        if own.webhook_url.is_none() && !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let mut headers = match (&own.username, &own.token) {
            // Jira's cloud takes mail address and token as user and password.
            (Some(user), Some(token)) => {
                let pair = format!("{user}:{}", super::resolve(token)?.expose());
                let value = format!("Basic {}", super::webhook::base64(pair.as_bytes()));
                vec![crate::notify::http::header("authorization", &value)?]
            }
            _ => headers(settings, kind.scheme)?,
        };
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        Ok(Self { http: http(settings)?, url, headers, own, kind })
    }
}

/// A reference of the target's as part of a path: nothing that leads elsewhere.
fn segment(reference: &str) -> Option<&str> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~');
    (!reference.is_empty() && reference.chars().all(harmless)).then_some(reference)
}

#[async_trait]
impl Connector for Preset {
    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let call = (self.kind.call)(message, &self.own);
        let url = if call.path.is_empty() { Ok(self.url.clone()) } else { self.url.join(&call.path) };
        let url = url.map_err(|error| SendError::unavailable(error.to_string()))?;
        let outgoing = Outgoing {
            method: call.method,
            url,
            headers: self.headers.clone(),
            body: call.body.to_string().into_bytes(),
        };
        let answer = self.http.send(outgoing).await?;
        let body = answer.json().unwrap_or_default();
        if (self.kind.failed)(&body) {
            return Err(SendError::refused(format!("{} says {}", self.kind.name, cut(&answer.body, 200))));
        }
        let reference = self.kind.reference.and_then(|path| body.pointer(path)).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        Ok(Receipt { reference, note: None })
    }

    async fn check(&self) -> Result<String, SendError> {
        reachable(&self.http, &self.url).await
    }

    fn concurrency(&self) -> u32 {
        // Chats count messages; a few at once are enough for the others.
        if self.own.webhook_url.is_some() { 1 } else { 4 }
    }
}
