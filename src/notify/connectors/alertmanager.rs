//! Prometheus Alertmanager, API v2.

use async_trait::async_trait;
use chrono::Duration;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::webhook::headers;
use super::{address, http, put, read};
use crate::alert::lookup::texts;
use crate::base::window::iso_millis;
use crate::config::SecretRef;
use crate::notify::connector::{Connector, Receipt, SendError};
use crate::notify::http::{Http, Outgoing};
use crate::notify::lane::LaneSettings;
use crate::notify::message::{Message, Phase};

/// How long an alert stays firing there unless it is resolved: without an end, Alertmanager would
/// resolve it after minutes.
const FIRING: Duration = Duration::hours(24);

#[derive(Deserialize)]
struct Own {
    url: SecretRef,
}

#[derive(Debug)]
pub(super) struct Alertmanager {
    http: Http,
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Alertmanager {
    pub(super) fn new(settings: &LaneSettings) -> Result<Self, String> {
        let own: Own = read(settings)?;
        let mut url = address(&own.url)?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let mut headers = headers(settings, "Bearer")?;
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        Ok(Self { http: http(settings)?, url, headers })
    }

    async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<String, SendError> {
        let url = self.url.join(path).map_err(|error| SendError::unavailable(error.to_string()))?;
        let outgoing = Outgoing { method, url, headers: self.headers.clone(), body };
        self.http.send(outgoing).await.map(|answer| answer.body)
    }
}

/// A message as alerts. Labels are what the alert keeps for life: firing and resolved have the same.
pub(super) fn alerts(message: &Message) -> Value {
    let empty = Vec::new();
    let documents = message.document.get("alerts").and_then(Value::as_array).unwrap_or(&empty);
    let one = |alert: &Value| {
        let text = |field: &str| texts(alert, field).join(", ");
        let mut labels = serde_json::Map::new();
        for (name, field) in [
            ("alertname", "kibana.alert.rule.name"),
            ("severity", "kibana.alert.severity"),
            ("rule_id", "kibana.alert.rule.rule_id"),
            ("alert_id", "kibana.alert.uuid"),
            ("space", "kibana.space_ids"),
        ] {
            let value = text(field);
            if !value.is_empty() {
                labels.insert(name.to_owned(), value.into());
            }
        }
        labels.entry("alertname").or_insert_with(|| message.title.as_str().into());
        let begin = text("@timestamp");
        let begin = if begin.is_empty() { iso_millis(message.at) } else { begin };
        let end = match message.phase() {
            Phase::Resolve => message.at,
            _ => message.at + FIRING,
        };
        let mut alert = json!({
            "labels": labels,
            "annotations": {
                "summary": text("kibana.alert.reason"),
                "description": if documents.len() == 1 { message.plain() } else { String::new() },
            },
            "startsAt": begin,
            "endsAt": iso_millis(end),
        });
        if let Some(link) = &message.link {
            put(&mut alert, "generatorURL", link.as_str());
        }
        alert
    };
    documents.iter().map(one).collect()
}

#[async_trait]
impl Connector for Alertmanager {
    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        if message.phase() == Phase::Acknowledge {
            return Ok(Receipt {
                reference: None,
                note: Some("alertmanager knows no acknowledgement".to_owned()),
            });
        }
        self.call(Method::POST, "api/v2/alerts", alerts(message).to_string().into_bytes()).await?;
        Ok(Receipt::default())
    }

    async fn check(&self) -> Result<String, SendError> {
        let body = self.call(Method::GET, "api/v2/status", Vec::new()).await?;
        let status: Value = serde_json::from_str(&body).unwrap_or_default();
        match status.pointer("/versionInfo/version").and_then(Value::as_str) {
            Some(version) => Ok(format!("Alertmanager {version}")),
            None => Err(SendError::unavailable("answers, but is no Alertmanager")),
        }
    }
}
