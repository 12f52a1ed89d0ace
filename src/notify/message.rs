//! [`Message`]: what is told, made from a notification of the outbox.

mod facts;
mod guide;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::escape::{Escape, cut, line};
use super::template::{Template, context};
use crate::alert::lookup::{lookup, texts};
use crate::store::state::{Kind, Undelivered};

/// Longest title, bytes.
const TITLE: usize = 200;

/// A message for people, in parts that each connector writes in its target's own form.
#[derive(Debug, Clone)]
pub struct Message {
    /// Idempotency key: the same for the same news to the same target.
    pub key: String,
    /// The conversation it belongs to.
    pub thread: String,
    /// What it tells.
    pub kind: Kind,
    /// `low`, `medium`, `high`, `critical`; the highest of a digest's.
    pub severity: String,
    /// One line, plain text.
    pub title: String,
    /// What happened, plain text.
    pub summary: String,
    /// What the connector's template made of it, escaped for the target; `None`: it has no template,
    /// or that failed.
    pub text: Option<String>,
    /// What a person needs to act: name and value, plain text.
    pub facts: Vec<(String, String)>,
    /// Next steps of the rule's investigation guide, plain text.
    pub steps: Vec<String>,
    /// Where the alert can be seen in a browser.
    pub link: Option<String>,
    /// The command that shows it.
    pub command: Option<String>,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// Id of the alert; empty for a digest.
    pub alert: String,
    /// Name of the rule; of a digest, of its first.
    pub rule: String,
    /// How many alerts it tells of.
    pub count: u64,
    /// What it tells of: `{"alerts": […], "count": n, …}`.
    pub document: Value,
    /// How the target named the first message of the conversation.
    pub receipt: Option<String>,
    /// What is to be said about it.
    pub note: Option<String>,
}

/// What a connector's configuration says about its messages.
#[derive(Debug, Clone)]
pub struct Wording {
    /// Template of the text.
    pub text: Option<Template>,
    /// Template of the title.
    pub title: Option<Template>,
    /// Address of Kibana.
    pub kibana_url: Option<String>,
    /// What the target's texts are written in.
    pub escape: Escape,
}

impl Message {
    /// The message of a notification.
    ///
    /// # Errors
    /// When its document cannot be read.
    pub fn compose(pending: &Undelivered, wording: &Wording) -> Result<Self, serde_json::Error> {
        let document: Value = serde_json::from_str(&pending.document)?;
        Ok(Self::of(pending, document, wording))
    }

    fn of(pending: &Undelivered, document: Value, wording: &Wording) -> Self {
        let null = Value::Null;
        let first = document.get("alerts").and_then(|alerts| alerts.get(0)).unwrap_or(&null);
        let count = document.get("count").and_then(Value::as_u64).unwrap_or(1);
        let text = |field: &str| texts(first, field).into_iter().next().unwrap_or_default();
        let digest = pending.kind == Kind::Digest;
        let alert = if digest { String::new() } else { text("kibana.alert.uuid") };
        let at = DateTime::from_timestamp_millis(pending.created).unwrap_or_default();
        let change = document.get("change");
        let mut message = Self {
            key: pending.key.clone(),
            thread: pending.thread.clone(),
            kind: pending.kind,
            severity: if digest { highest(&document) } else { text("kibana.alert.severity") },
            title: String::new(),
            summary: line(&text("kibana.alert.reason")),
            text: None,
            facts: Vec::new(),
            steps: Vec::new(),
            link: link(&text("kibana.alert.url"), wording.kibana_url.as_deref(), &alert, first),
            command: (!alert.is_empty()).then(|| format!("tocsin alerts show {}", cut_id(&alert))),
            at,
            alert,
            rule: line(&text("kibana.alert.rule.name")),
            count,
            receipt: pending.receipt.clone(),
            note: None,
            document: Value::Null,
        };
        match pending.kind {
            Kind::Digest => {
                message.summary = facts::digest_summary(&document);
                message.facts = facts::digest(&document);
            }
            Kind::Alert | Kind::Test => {
                message.facts = facts::alert(first);
                message.steps = guide::steps(&text("kibana.alert.rule.note"));
            }
            kind => {
                message.summary = facts::change_summary(kind, change);
                message.facts = facts::change(first, change);
            }
        }
        message.title = message.own_title();
        message.document = document;
        message.word(wording);
        message
    }

    /// What is told in one line, without a template.
    fn own_title(&self) -> String {
        let severity = if self.severity.is_empty() { String::new() } else { format!("[{}] ", self.severity) };
        let title = match self.kind {
            Kind::Alert => format!("{severity}{}", self.rule),
            Kind::Digest if self.count == 1 => format!("{severity}{}", self.rule),
            Kind::Digest => format!("{severity}{} alerts", self.count),
            Kind::Acknowledged => format!("Acknowledged: {}", self.rule),
            Kind::Closed => format!("Closed: {}", self.rule),
            Kind::Reopened => format!("Open again: {}", self.rule),
            Kind::Recovered => format!("OK: {}", self.rule),
            Kind::InsufficientData => format!("Insufficient data: {}", self.rule),
            Kind::Test => format!("Test: {}", self.rule),
        };
        cut(&line(&title), TITLE)
    }

    /// Lets the templates speak, those of the rule's action before the connector's. Where one fails,
    /// the message says what it can without.
    fn word(&mut self, wording: &Wording) {
        let (mut title, mut text) = (wording.title.clone(), wording.text.clone());
        if let Some(params) = self.document.pointer("/action/params") {
            let read = |names: &[&str], escape: Escape| -> Option<Template> {
                let source = names.iter().find_map(|name| params.get(*name)?.as_str())?;
                Template::mustache(source, escape).ok()
            };
            title = read(&["subject", "summary"], Escape::Plain).or(title);
            text = read(&["message", "text", "body"], wording.escape).or(text);
        }
        if title.is_none() && text.is_none() {
            return;
        }
        let context = self.context();
        if let Some(template) = &title {
            match template.render(&context) {
                Ok(title) => self.title = cut(&line(&title), TITLE),
                Err(error) => self.remark(format!("title template failed: {error}")),
            }
        }
        if let Some(template) = &text {
            match template.render(&context) {
                Ok(text) => self.text = Some(text),
                Err(error) => self.remark(format!("template failed, plain text was sent: {error}")),
            }
        }
    }

    /// What templates see.
    pub fn context(&self) -> Value {
        context::of(self)
    }

    /// Adds something to be said about the message.
    pub fn remark(&mut self, text: String) {
        self.note = Some(match self.note.take() {
            Some(note) => format!("{note}; {text}"),
            None => text,
        });
    }

    /// The whole message as plain text; `text`, if it came from a template for plain text.
    pub fn plain(&self) -> String {
        self.written(Escape::Plain)
    }

    /// The whole message as lines of a target's dialect, without the title.
    pub fn written(&self, escape: Escape) -> String {
        let mut out = String::new();
        let mut push = |text: &str| {
            out.push_str(text);
            out.push('\n');
        };
        match &self.text {
            Some(text) => push(text),
            None => {
                push(&escape.apply(&self.summary));
                for (name, value) in &self.facts {
                    push(&format!("{}: {}", escape.apply(name), escape.apply(value)));
                }
                if !self.steps.is_empty() {
                    push(&escape.apply("Next steps:"));
                    for (number, step) in self.steps.iter().enumerate() {
                        push(&format!("{}{} {}", number + 1, escape.apply(")"), escape.apply(step)));
                    }
                }
            }
        }
        if let Some(link) = &self.link {
            push(link);
        }
        if let Some(command) = &self.command {
            push(&escape.apply(command));
        }
        out
    }

    /// Whether it opens a conversation, goes on with it or ends it, as incident managers have it.
    pub fn phase(&self) -> Phase {
        match self.kind {
            Kind::Acknowledged => Phase::Acknowledge,
            Kind::Closed | Kind::Recovered => Phase::Resolve,
            _ => Phase::Trigger,
        }
    }
}

/// What an incident manager does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Opens an incident, or adds to it.
    Trigger,
    /// Somebody is on it.
    Acknowledge,
    /// It is over.
    Resolve,
}

fn cut_id(id: &str) -> String {
    id.chars().take(16).collect()
}

/// The highest severity of a digest.
fn highest(document: &Value) -> String {
    let found = document.get("severities").and_then(Value::as_object);
    let has = |severity: &&str| found.is_some_and(|found| found.contains_key(*severity));
    ["critical", "high", "medium", "low"]
        .iter()
        .find(|s| has(s))
        .map_or_else(String::new, ToString::to_string)
}

/// Kibana's address of an alert.
fn link(own: &str, kibana: Option<&str>, alert: &str, document: &Value) -> Option<String> {
    if !own.is_empty() {
        return Some(own.to_owned());
    }
    let kibana = kibana?.trim_end_matches('/');
    let space =
        texts(document, "kibana.space_ids").into_iter().next().unwrap_or_else(|| "default".to_owned());
    let prefix = if space == "default" { String::new() } else { format!("/s/{space}") };
    if alert.is_empty() {
        return Some(format!("{kibana}{prefix}/app/security/alerts"));
    }
    let time = lookup(document, "@timestamp").and_then(Value::as_str).unwrap_or_default();
    let index = crate::store::state::alerts_index(&space);
    Some(format!("{kibana}{prefix}/app/security/alerts/redirect/{alert}?index={index}&timestamp={time}"))
}
