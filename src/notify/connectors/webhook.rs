//! Any HTTP endpoint.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{address, content_type, http, read, resolve};
use crate::base::clock::{Clock, SystemClock};
use crate::config::{Secret, SecretRef};
use crate::notify::connector::{Connector, Receipt, SendError};
use crate::notify::escape::Escape;
use crate::notify::http::{Http, Outgoing, header};
use crate::notify::lane::LaneSettings;
use crate::notify::message::Message;
use crate::notify::template::{Template, TemplateError};

#[derive(Deserialize)]
struct Own {
    url: SecretRef,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    hmac_secret: Option<SecretRef>,
}

/// Headers and log-in that several connectors have alike.
#[derive(Deserialize)]
struct Access {
    #[serde(default)]
    headers: BTreeMap<String, SecretRef>,
    #[serde(default)]
    token: Option<SecretRef>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<SecretRef>,
}

/// The headers that a connector's configuration asks for; `scheme` precedes a token.
pub(super) fn headers(
    settings: &LaneSettings,
    scheme: &str,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let access: Access = read(settings)?;
    let mut headers = Vec::new();
    for (name, value) in &access.headers {
        headers.push(header(name, resolve(value)?.expose())?);
    }
    if let Some(token) = &access.token {
        let value = format!("{scheme} {}", resolve(token)?.expose());
        headers.push(header(AUTHORIZATION.as_str(), value.trim())?);
    } else if let Some(user) = &access.username {
        let password = access.password.as_ref().map(resolve).transpose()?;
        let pair = format!("{user}:{}", password.as_ref().map_or("", Secret::expose));
        headers.push(header(AUTHORIZATION.as_str(), &format!("Basic {}", base64(pair.as_bytes())))?);
    }
    Ok(headers)
}

/// RFC 4648 base64 with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The template of a body: in JSON, values are escaped as the inside of strings.
pub(super) fn body_template(text: &str, content_type: &str) -> Result<Template, TemplateError> {
    let escape = match content_type.split(';').next().unwrap_or_default().trim() {
        kind if kind.ends_with("json") => Escape::Json,
        kind if kind.ends_with("html") || kind.ends_with("xml") => Escape::Html,
        _ => Escape::Plain,
    };
    Template::parse(text, escape)
}

/// What is sent where there is no template.
pub(super) fn document(message: &Message) -> Value {
    json!({
        "key": message.key,
        "kind": message.kind,
        "thread": message.thread,
        "title": message.title,
        "text": message.plain(),
        "severity": message.severity,
        "rule": message.rule,
        "alert": message.alert,
        "count": message.count,
        "at": crate::base::window::iso_millis(message.at),
        "link": message.link,
        "facts": message.facts.iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>(),
        "steps": message.steps,
        "change": message.document.get("change"),
        "alerts": message.document.get("alerts"),
    })
}

/// A webhook. The request carries `Idempotency-Key`; with a secret, `X-Tocsin-Signature` signs
/// `X-Tocsin-Timestamp`, a dot and the body.
#[derive(Debug)]
pub(super) struct Webhook {
    http: Http,
    url: Url,
    method: Method,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<Template>,
    content_type: HeaderValue,
    secret: Option<Secret>,
}

impl Webhook {
    pub(super) fn new(settings: &LaneSettings) -> Result<Self, String> {
        let own: Own = read(settings)?;
        let content_type = content_type(&settings.config);
        let body = own.body.as_deref().map(|body| body_template(body, content_type)).transpose();
        Ok(Self {
            http: http(settings)?,
            url: address(&own.url)?,
            method: own
                .method
                .as_deref()
                .unwrap_or("POST")
                .parse()
                .map_err(|_| "no HTTP method".to_owned())?,
            headers: headers(settings, "Bearer")?,
            body: body.map_err(|error| error.to_string())?,
            content_type: HeaderValue::from_str(content_type)
                .map_err(|_| "`content_type` is none".to_owned())?,
            secret: own.hmac_secret.as_ref().map(resolve).transpose()?,
        })
    }

    fn outgoing(&self, message: &Message) -> Result<(Outgoing, Option<String>), String> {
        let mut note = None;
        let body = match self.body.as_ref().map(|body| body.render(&message.context())) {
            Some(Ok(body)) => body,
            Some(Err(error)) => {
                note = Some(format!("body template failed, the default was sent: {error}"));
                document(message).to_string()
            }
            None => document(message).to_string(),
        };
        let mut headers = self.headers.clone();
        headers.push((CONTENT_TYPE, self.content_type.clone()));
        headers.push(header("idempotency-key", &message.key)?);
        if let Some(secret) = &self.secret {
            let time = SystemClock.now().timestamp().to_string();
            headers.push(header("x-tocsin-timestamp", &time)?);
            let signature = format!("sha256={}", signature(secret.expose(), &time, body.as_bytes()));
            headers.push(header("x-tocsin-signature", &signature)?);
        }
        let outgoing =
            Outgoing { method: self.method.clone(), url: self.url.clone(), headers, body: body.into_bytes() };
        Ok((outgoing, note))
    }
}

/// HMAC-SHA256 of time, a dot and the body, hex.
pub(super) fn signature(secret: &str, time: &str, body: &[u8]) -> String {
    // A key of any length is taken, so there is no error to meet.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Whether a host answers at all; what it says to `GET` means nothing.
pub(super) async fn reachable(http: &Http, url: &Url) -> Result<String, SendError> {
    let outgoing = Outgoing { method: Method::HEAD, url: url.clone(), headers: Vec::new(), body: Vec::new() };
    let host = url.host_str().unwrap_or_default().to_owned();
    match http.send(outgoing).await {
        Ok(_) => Ok(format!("{host} answers")),
        Err(SendError::Unavailable { reason, .. } | SendError::Refused { reason })
            if reason.starts_with("HTTP ") =>
        {
            Ok(format!("{host} answers; `tocsin notify test` shows whether it takes messages"))
        }
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Connector for Webhook {
    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let (outgoing, note) = self.outgoing(message).map_err(SendError::refused)?;
        self.http.send(outgoing).await?;
        Ok(Receipt { reference: None, note })
    }

    async fn check(&self) -> Result<String, SendError> {
        reachable(&self.http, &self.url).await
    }

    fn concurrency(&self) -> u32 {
        32
    }
}
