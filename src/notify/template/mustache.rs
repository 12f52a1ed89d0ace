//! The part of mustache that Kibana's actions use: variables, sections, inverted sections,
//! comments. What is missing is left out, as Kibana does.

use serde_json::Value;

use super::{TemplateError, scalar};
use crate::base::limits::{TEMPLATE_OUTPUT_BYTES, TEMPLATE_STEPS};
use crate::notify::escape::Escape;

/// Deepest nesting of sections.
const DEPTH: usize = 16;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    Variable { name: String, raw: bool },
    Section { name: String, inverted: bool, parts: Vec<Part> },
}

pub(super) fn parse(text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut open: Vec<(String, bool, Vec<Part>)> = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        let (end, after) =
            if let Some(inner) = after.strip_prefix('{') { ("}}}", inner) } else { ("}}", after) };
        let (tag, next) = after
            .split_once(end)
            .ok_or_else(|| TemplateError::new(format!("`{{{{` without `{end}`: {}", excerpt(after))))?;
        rest = next;
        let raw = end == "}}}";
        let tag = tag.trim();
        let name = |mark: char| tag.strip_prefix(mark).map(|name| name.trim().to_owned());
        if let Some(name) = name('#').map(|n| (n, false)).or_else(|| name('^').map(|n| (n, true))) {
            if open.len() >= DEPTH {
                return Err(TemplateError::new(format!("sections are nested deeper than {DEPTH}")));
            }
            open.push((name.0, name.1, std::mem::take(&mut parts)));
        } else if let Some(name) = name('/') {
            match open.pop() {
                Some((opened, inverted, before)) if opened == name => {
                    let inner = std::mem::replace(&mut parts, before);
                    parts.push(Part::Section { name, inverted, parts: inner });
                }
                _ => return Err(TemplateError::new(format!("`{{{{/{name}}}}}` closes nothing"))),
            }
        } else if tag.starts_with('!') {
        } else if tag.starts_with(['>', '=']) {
            return Err(TemplateError::new(format!("`{{{{{tag}}}}}` is not understood")));
        } else {
            let (name, raw) = name('&').map_or_else(|| (tag.to_owned(), raw), |name| (name, true));
            parts.push(Part::Variable { name, raw });
        }
    }
    if let Some((name, ..)) = open.pop() {
        return Err(TemplateError::new(format!("`{{{{#{name}}}}}` is not closed")));
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn excerpt(text: &str) -> String {
    text.chars().take(20).collect()
}

pub(super) fn render(parts: &[Part], context: &Value, escape: Escape) -> Result<String, TemplateError> {
    let mut writer = Writer { out: String::new(), steps: 0, escape };
    writer.write(parts, &mut vec![context])?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    steps: u64,
    escape: Escape,
}

impl Writer {
    fn write(&mut self, parts: &[Part], scopes: &mut Vec<&Value>) -> Result<(), TemplateError> {
        for part in parts {
            self.steps += 1;
            if self.steps > TEMPLATE_STEPS || self.out.len() > TEMPLATE_OUTPUT_BYTES {
                return Err(TemplateError::new("the text is too long"));
            }
            match part {
                Part::Text(text) => self.out.push_str(text),
                Part::Variable { name, raw } => {
                    let text = find(scopes, name).map(scalar).unwrap_or_default();
                    // Three braces ask Kibana not to escape; in JSON that would be an injection.
                    if *raw && self.escape == Escape::Html {
                        self.out.push_str(&Escape::Plain.apply(&text));
                    } else {
                        self.out.push_str(&self.escape.apply(&text));
                    }
                }
                Part::Section { name, inverted, parts } => {
                    let value = find(scopes, name);
                    let shown = value.is_some_and(truthy);
                    match value {
                        _ if *inverted && !shown => self.write(parts, scopes)?,
                        _ if *inverted => {}
                        Some(Value::Array(items)) => {
                            for item in items {
                                scopes.push(item);
                                self.write(parts, scopes)?;
                                scopes.pop();
                            }
                        }
                        Some(value) if shown => {
                            scopes.push(value);
                            self.write(parts, scopes)?;
                            scopes.pop();
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => true,
    }
}

/// The value of a dotted name, looked for from the innermost scope outwards.
fn find<'v>(scopes: &[&'v Value], name: &str) -> Option<&'v Value> {
    if name == "." {
        return scopes.last().copied();
    }
    let first = name.split('.').next().unwrap_or(name);
    scopes.iter().rev().find_map(|scope| {
        let fields = scope.as_object()?;
        if let Some(value) = fields.get(name) {
            return Some(value);
        }
        fields.contains_key(first).then(|| walk(scope, name)).flatten()
    })
}

fn walk<'v>(scope: &'v Value, name: &str) -> Option<&'v Value> {
    name.split('.').try_fold(scope, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        value => value.get(part),
    })
}
