//! Slack: an incoming webhook, or a bot that answers in threads.

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::webhook::reachable;
use super::{address, http, put, read, resolve, text_at};
use crate::config::SecretRef;
use crate::notify::connector::{Connector, Receipt, SendError};
use crate::notify::escape::{Escape, cut};
use crate::notify::http::{Http, Outgoing, header};
use crate::notify::lane::LaneSettings;
use crate::notify::message::Message;
use crate::store::state::Kind;

const API: &str = "https://slack.com/api/";
/// What Slack takes: characters of a header, of a section, fields a section.
const HEADER: usize = 150;
const SECTION: usize = 2_900;
const FIELDS: usize = 10;

#[derive(Deserialize)]
struct Own {
    #[serde(default)]
    webhook_url: Option<SecretRef>,
    #[serde(default)]
    token: Option<SecretRef>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    url: Option<SecretRef>,
}

#[derive(Debug)]
enum Way {
    Webhook(Url),
    Bot { api: Url, authorization: (HeaderName, HeaderValue), channel: String },
}

#[derive(Debug)]
pub(super) struct Slack {
    http: Http,
    way: Way,
}

impl Slack {
    pub(super) fn new(settings: &LaneSettings) -> Result<Self, String> {
        let own: Own = read(settings)?;
        let way = match (&own.token, &own.webhook_url) {
            (Some(token), _) => {
                let api = own.url.as_ref().map(address).transpose()?;
                let api = api.map_or_else(|| Url::parse(API).map_err(|error| error.to_string()), Ok)?;
                let authorization =
                    header(AUTHORIZATION.as_str(), &format!("Bearer {}", resolve(token)?.expose()))?;
                Way::Bot { api, authorization, channel: own.channel.unwrap_or_default() }
            }
            (None, Some(url)) => Way::Webhook(address(url)?),
            (None, None) => return Err("needs `webhook_url` or `token`".to_owned()),
        };
        Ok(Self { http: http(settings)?, way })
    }

    async fn post(&self, body: &Value) -> Result<Receipt, SendError> {
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        match &self.way {
            Way::Webhook(url) => {
                let outgoing = Outgoing {
                    method: Method::POST,
                    url: url.clone(),
                    headers: vec![json],
                    body: body.to_string().into_bytes(),
                };
                let answer = self.http.send(outgoing).await?;
                if answer.body.trim() == "ok" || answer.json().is_some_and(|body| is_ok(&body)) {
                    return Ok(Receipt::default());
                }
                let said = answer.json().and_then(|body| text_at(&body, "/error"));
                Err(judged(&said.unwrap_or_else(|| cut(&answer.body, 200))))
            }
            Way::Bot { api, authorization, .. } => {
                let answer = self.call(api, authorization, "chat.postMessage", body, json).await?;
                Ok(Receipt { reference: text_at(&answer, "/ts"), note: None })
            }
        }
    }

    async fn call(
        &self,
        api: &Url,
        authorization: &(HeaderName, HeaderValue),
        method: &str,
        body: &Value,
        json: (HeaderName, HeaderValue),
    ) -> Result<Value, SendError> {
        let url = api.join(method).map_err(|error| SendError::unavailable(error.to_string()))?;
        let outgoing = Outgoing {
            method: Method::POST,
            url,
            headers: vec![authorization.clone(), json],
            body: body.to_string().into_bytes(),
        };
        let answer = self.http.send(outgoing).await?;
        let answer = answer.json().ok_or_else(|| SendError::unavailable("the answer is no JSON"))?;
        // Slack answers 200 to what it did not do.
        if is_ok(&answer) {
            Ok(answer)
        } else {
            Err(judged(&text_at(&answer, "/error").unwrap_or_else(|| "no reason given".to_owned())))
        }
    }
}

fn is_ok(answer: &Value) -> bool {
    answer.get("ok") == Some(&Value::Bool(true))
}

/// What an error of Slack's means: only what is wrong with the message itself is final.
fn judged(error: &str) -> SendError {
    let reason = format!("slack says `{error}`");
    match error {
        "invalid_blocks"
        | "invalid_blocks_format"
        | "msg_too_long"
        | "no_text"
        | "invalid_payload"
        | "invalid_arguments"
        | "invalid_json"
        | "too_many_attachments" => SendError::refused(reason),
        _ => SendError::unavailable(reason),
    }
}

/// The mark of a severity.
fn mark(message: &Message) -> &'static str {
    match (message.kind, message.severity.as_str()) {
        (Kind::Recovered | Kind::Closed, _) => ":white_check_mark:",
        (_, "critical") => ":red_circle:",
        (_, "high") => ":large_orange_circle:",
        (_, "medium") => ":large_yellow_circle:",
        _ => ":large_blue_circle:",
    }
}

/// A message as Slack's blocks; `text` is what notifications on a phone show.
pub(super) fn payload(message: &Message) -> Value {
    let esc = |text: &str| Escape::Mrkdwn.apply(text).into_owned();
    let title = esc(&message.title);
    let plain_title = cut(&message.title, HEADER);
    let mut blocks =
        vec![json!({"type": "header", "text": {"type": "plain_text", "text": plain_title, "emoji": false}})];
    let section =
        |text: String| json!({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}});
    match &message.text {
        Some(text) => blocks.push(section(cut(text, SECTION))),
        None => {
            if !message.summary.is_empty() {
                blocks.push(section(cut(&format!("{} {}", mark(message), esc(&message.summary)), SECTION)));
            }
            for facts in message.facts.chunks(FIELDS).take(4) {
                let fields: Vec<Value> = facts
                    .iter()
                    .map(|(name, value)| {
                        json!({"type": "mrkdwn", "verbatim": true, "text": cut(&format!("*{}*\n{}", esc(name), esc(value)), 1_900)})
                    })
                    .collect();
                blocks.push(json!({"type": "section", "fields": fields}));
            }
            if !message.steps.is_empty() {
                let steps: Vec<String> = message
                    .steps
                    .iter()
                    .enumerate()
                    .map(|(n, step)| format!("{}. {}", n + 1, esc(step)))
                    .collect();
                blocks.push(section(cut(&format!("*Next steps*\n{}", steps.join("\n")), SECTION)));
            }
        }
    }
    let mut foot: Vec<String> = Vec::new();
    if let Some(link) = &message.link {
        let link = link.replace(['<', '>', '|', ' '], "");
        foot.push(format!("<{}|Open in Kibana>", link.replace('&', "&amp;")));
    }
    foot.extend(message.command.iter().map(|command| format!("`{command}`")));
    if !foot.is_empty() {
        blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": foot.join("  ·  ")}]}));
    }
    json!({"text": title, "blocks": blocks, "unfurl_links": false, "unfurl_media": false})
}

#[async_trait]
impl Connector for Slack {
    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let mut body = payload(message);
        if let Way::Bot { channel, .. } = &self.way {
            put(&mut body, "channel", channel.as_str());
            if let Some(first) = &message.receipt {
                put(&mut body, "thread_ts", first.as_str());
                // The end of a story is for the channel too.
                put(&mut body, "reply_broadcast", message.kind == Kind::Recovered);
            }
        }
        match self.post(&body).await {
            Err(SendError::Refused { reason }) => {
                // Rather a plain text than nothing.
                if let Value::Object(body) = &mut body {
                    body.shift_remove("blocks");
                }
                let text = format!("{}\n{}", message.title, message.plain());
                put(&mut body, "text", cut(&Escape::Mrkdwn.apply(&text), 30_000));
                let mut receipt = self.post(&body).await?;
                receipt.note = Some(format!("sent as plain text: {reason}"));
                Ok(receipt)
            }
            other => other,
        }
    }

    async fn check(&self) -> Result<String, SendError> {
        match &self.way {
            Way::Webhook(url) => reachable(&self.http, url).await,
            Way::Bot { api, authorization, channel } => {
                let json = (CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
                let answer = self.call(api, authorization, "auth.test", &json!({}), json).await?;
                let who = text_at(&answer, "/user").unwrap_or_else(|| "a bot".to_owned());
                Ok(format!("logged in as {who}, writes to {channel}"))
            }
        }
    }

    fn concurrency(&self) -> u32 {
        1
    }
}
