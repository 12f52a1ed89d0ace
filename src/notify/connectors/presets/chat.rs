//! Chats: Teams, Mattermost, Discord.

use serde_json::{Value, json};

use super::{Call, Own};
use crate::notify::escape::{Escape, cut};
use crate::notify::message::Message;

fn md(text: &str) -> String {
    Escape::Markdown.apply(text).into_owned()
}

/// The address of the alert, as it may stand in a link.
fn link(message: &Message) -> Option<String> {
    let link = message.link.as_ref().filter(|link| link.starts_with("http"))?;
    Some(link.replace(['(', ')', '<', '>', ' ', '"', '\\', '[', ']'], ""))
}

/// An adaptive card, as Teams' workflows take it.
pub(super) fn teams(message: &Message, _: &Own) -> Call {
    let block = |text: String, more: Value| {
        let mut block = json!({"type": "TextBlock", "text": text, "wrap": true});
        if let (Value::Object(block), Value::Object(more)) = (&mut block, more) {
            block.extend(more);
        }
        block
    };
    let mut body = vec![block(md(&message.title), json!({"size": "Large", "weight": "Bolder"}))];
    match &message.text {
        Some(text) => body.push(block(cut(text, 20_000), json!({}))),
        None => {
            body.push(block(cut(&md(&message.summary), 10_000), json!({})));
            let facts: Vec<Value> = message
                .facts
                .iter()
                .map(|(name, value)| json!({"title": md(name), "value": md(value)}))
                .collect();
            body.push(json!({"type": "FactSet", "facts": facts}));
            for (number, step) in message.steps.iter().enumerate() {
                body.push(block(format!("{}\\. {}", number + 1, md(step)), json!({})));
            }
        }
    }
    if let Some(command) = &message.command {
        body.push(block(md(command), json!({"isSubtle": true})));
    }
    let actions: Vec<Value> = link(message)
        .into_iter()
        .map(|url| json!({"type": "Action.OpenUrl", "title": "Open in Kibana", "url": url}))
        .collect();
    Call::post(
        "",
        json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard", "version": "1.4", "body": body, "actions": actions,
                },
            }],
        }),
    )
}

fn text(message: &Message, longest: usize) -> String {
    let mut out = format!("**{}**\n", md(&message.title));
    match &message.text {
        Some(text) => out.push_str(text),
        None => {
            out.push_str(&md(&message.summary));
            for (name, value) in &message.facts {
                out.push_str(&format!("\n**{}**: {}", md(name), md(value)));
            }
            for (number, step) in message.steps.iter().enumerate() {
                out.push_str(&format!("\n{}\\. {}", number + 1, md(step)));
            }
        }
    }
    let mut out = cut(&out, longest.saturating_sub(700));
    if let Some(link) = link(message).filter(|link| link.len() < 500) {
        out.push_str(&format!("\n[Open in Kibana]({link})"));
    }
    if let Some(command) = &message.command {
        out.push_str(&format!("\n`{}`", command.replace('`', "")));
    }
    out
}

/// An incoming webhook of Mattermost.
pub(super) fn mattermost(message: &Message, _: &Own) -> Call {
    Call::post("", json!({"text": text(message, 16_000), "props": {"disable_group_highlight": true}}))
}

/// A webhook of Discord; it may mention nobody.
pub(super) fn discord(message: &Message, _: &Own) -> Call {
    Call::post("", json!({"content": text(message, 2_000), "allowed_mentions": {"parse": []}}))
}
