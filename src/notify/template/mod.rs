//! Templates: Jinja, Kibana's mustache, and Falco's `%field`.
//!
//! What it is: parsing, the values templates see ([`context`]), and rendering with every value
//! escaped for the target.
//! What it is not: aware of connectors.
//! Invariant: a Jinja template that names a value which is not there fails, and its message is sent
//! without it; mustache and Falco templates leave it out, as Kibana and Falco do. Rendering is
//! bounded in steps and output.

pub mod context;
mod falco;
mod mustache;

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::Value;

use super::escape::Escape;
use crate::base::limits::{TEMPLATE_BYTES, TEMPLATE_OUTPUT_BYTES, TEMPLATE_STEPS};

/// Why a template cannot be read or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong, with the line where that is known.
    pub message: String,
}

impl TemplateError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// A template, ready to render for one target.
#[derive(Clone)]
pub struct Template {
    parsed: Parsed,
    escape: Escape,
}

#[derive(Clone)]
enum Parsed {
    Jinja(Arc<Environment<'static>>),
    Mustache(Arc<[mustache::Part]>),
    Falco(Arc<[falco::Part]>),
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("escape", &self.escape).finish_non_exhaustive()
    }
}

/// Name of the one template of an environment.
const NAME: &str = "template";

impl Template {
    /// Reads a template whose values are escaped by `escape`. Its dialect is told by its marks:
    /// `{{#`, `{{^` and `{{{` are mustache's, other braces Jinja's, `%name` without braces Falco's.
    ///
    /// # Errors
    /// When it is too long or cannot be read.
    pub fn parse(text: &str, escape: Escape) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_BYTES {
            return Err(TemplateError::new(format!("longer than {TEMPLATE_BYTES} bytes")));
        }
        let mustaches = ["{{#", "{{^", "{{/", "{{{", "{{&", "{{!"];
        let parsed = if mustaches.iter().any(|mark| text.contains(mark)) {
            return Self::mustache(text, escape);
        } else if text.contains("{{") || text.contains("{%") || !falco::has_fields(text) {
            Parsed::Jinja(Arc::new(environment(text, escape)?))
        } else {
            Parsed::Falco(falco::parse(text).into())
        };
        Ok(Self { parsed, escape })
    }

    /// Reads a template of a rule's action, which is always mustache.
    ///
    /// # Errors
    /// When it is too long or cannot be read.
    pub fn mustache(text: &str, escape: Escape) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_BYTES {
            return Err(TemplateError::new(format!("longer than {TEMPLATE_BYTES} bytes")));
        }
        Ok(Self { parsed: Parsed::Mustache(mustache::parse(text)?.into()), escape })
    }

    /// Its text with the values of `context` ([`context::of`]).
    ///
    /// # Errors
    /// When a value is missing (Jinja), or a bound is reached.
    pub fn render(&self, context: &Value) -> Result<String, TemplateError> {
        match &self.parsed {
            Parsed::Jinja(environment) => {
                let mut out = Bounded(Vec::new());
                let template = environment.get_template(NAME).map_err(words)?;
                let values = minijinja::Value::from(minijinja::value::Serde(context));
                template.render_captured_to(values, &mut out).map_err(words)?;
                String::from_utf8(out.0).map_err(|_| TemplateError::new("not UTF-8"))
            }
            Parsed::Mustache(parts) => mustache::render(parts, context, self.escape),
            Parsed::Falco(parts) => Ok(falco::render(parts, context, self.escape)),
        }
    }
}

fn environment(text: &str, escape: Escape) -> Result<Environment<'static>, TemplateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(TEMPLATE_STEPS));
    environment.set_recursion_limit(64);
    environment.set_auto_escape_callback(move |_| match escape {
        Escape::Plain => AutoEscape::None,
        _ => AutoEscape::Custom("target".into()),
    });
    environment.set_formatter(move |out, _, value| {
        let text = match value.as_str() {
            Some(text) => text.to_owned(),
            None if value.is_none() => return Ok(()),
            None => scalar(&serde_json::to_value(value).unwrap_or_default()),
        };
        let written = if value.is_safe() { text } else { escape.apply(&text).into_owned() };
        out.write_str(&written).map_err(minijinja::Error::from)
    });
    environment.add_filter("line", |text: String| super::escape::line(&text));
    environment
        .add_template_owned(NAME, text.to_owned())
        .map_err(|error| TemplateError::new(one_line(&error)))?;
    Ok(environment)
}

/// A value's text: lists joined by commas, as Kibana shows them; objects as JSON.
fn scalar(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(scalar).collect::<Vec<_>>().join(","),
        Value::Object(_) => value.to_string(),
        other => crate::alert::lookup::text(other).unwrap_or_default(),
    }
}

fn words(error: minijinja::Error) -> TemplateError {
    TemplateError::new(one_line(&error))
}

fn one_line(error: &minijinja::Error) -> String {
    let detail =
        error.detail().map_or_else(|| error.kind().to_string(), |d| format!("{}: {d}", error.kind()));
    match error.line() {
        Some(line) => format!("{detail} (line {line})"),
        None => detail,
    }
}

/// Takes a bounded number of bytes.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > TEMPLATE_OUTPUT_BYTES {
            return Err(std::io::Error::other("the text is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
