//! `PagerDuty`, Events API v2: incidents are opened, acknowledged and resolved under one key.

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::webhook::reachable;
use super::{address, http, put, read, resolve, text_at};
use crate::base::window::iso_millis;
use crate::config::{Secret, SecretRef};
use crate::notify::connector::{Connector, Receipt, SendError};
use crate::notify::escape::cut;
use crate::notify::http::{Http, Outgoing};
use crate::notify::lane::LaneSettings;
use crate::notify::message::{Message, Phase};

const API: &str = "https://events.pagerduty.com/v2/enqueue";

#[derive(Deserialize)]
struct Own {
    routing_key: SecretRef,
    #[serde(default)]
    url: Option<SecretRef>,
}

#[derive(Debug)]
pub(super) struct PagerDuty {
    http: Http,
    url: Url,
    routing_key: Secret,
}

impl PagerDuty {
    pub(super) fn new(settings: &LaneSettings) -> Result<Self, String> {
        let own: Own = read(settings)?;
        let url = own.url.as_ref().map(address).transpose()?;
        Ok(Self {
            http: http(settings)?,
            url: url.map_or_else(|| Url::parse(API).map_err(|error| error.to_string()), Ok)?,
            routing_key: resolve(&own.routing_key)?,
        })
    }
}

/// A message as an event; the key is the conversation's, so that what follows finds the incident.
pub(super) fn event(message: &Message, routing_key: &str) -> Value {
    let action = match message.phase() {
        Phase::Trigger => "trigger",
        Phase::Acknowledge => "acknowledge",
        Phase::Resolve => "resolve",
    };
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": cut(&message.thread, 255),
    });
    if message.phase() == Phase::Trigger {
        let severity = match message.severity.as_str() {
            "critical" => "critical",
            "high" => "error",
            "medium" => "warning",
            _ => "info",
        };
        let mut details: Map<String, Value> =
            message.facts.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        details.insert("summary".to_owned(), message.summary.as_str().into());
        if let Some(text) = &message.text {
            details.insert("text".to_owned(), cut(text, 100_000).into());
        }
        if !message.steps.is_empty() {
            details.insert("next steps".to_owned(), json!(message.steps));
        }
        put(
            &mut event,
            "payload",
            json!({
                "summary": cut(&message.title, 1_024),
                "source": "tocsin",
                "severity": severity,
                "timestamp": iso_millis(message.at),
                "class": message.rule,
                "custom_details": details,
            }),
        );
        put(&mut event, "client", "tocsin");
        if let Some(link) = &message.link {
            put(&mut event, "links", json!([{"href": link, "text": "Kibana"}]));
        }
    }
    event
}

#[async_trait]
impl Connector for PagerDuty {
    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let outgoing = Outgoing {
            method: Method::POST,
            url: self.url.clone(),
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            body: event(message, self.routing_key.expose()).to_string().into_bytes(),
        };
        let answer = self.http.send(outgoing).await?;
        match answer.json() {
            Some(body) if text_at(&body, "/status").as_deref() == Some("success") => {
                Ok(Receipt { reference: text_at(&body, "/dedup_key"), note: None })
            }
            _ => Err(SendError::refused(format!("pagerduty says {}", cut(&answer.body, 200)))),
        }
    }

    async fn check(&self) -> Result<String, SendError> {
        reachable(&self.http, &self.url).await
    }
}
