//! Falco's output format: `%proc.name`, `%proc.aname[2]`. What is missing is `<NA>`, as Falco
//! writes it.

use serde_json::Value;

use super::context::field;
use crate::notify::escape::Escape;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Field(String),
}

/// Falco's names that ECS calls otherwise.
const NAMES: &[(&str, &str)] = &[
    ("evt.time", "@timestamp"),
    ("evt.time.iso8601", "@timestamp"),
    ("evt.type", "event.action"),
    ("evt.res", "event.outcome"),
    ("proc.name", "process.name"),
    ("proc.pname", "process.parent.name"),
    ("proc.cmdline", "process.command_line"),
    ("proc.pcmdline", "process.parent.command_line"),
    ("proc.exepath", "process.executable"),
    ("proc.pid", "process.pid"),
    ("proc.ppid", "process.parent.pid"),
    ("proc.cwd", "process.working_directory"),
    ("proc.args", "process.args"),
    ("user.uid", "user.id"),
    ("fd.name", "file.path"),
    ("fd.sip", "destination.ip"),
    ("fd.cip", "source.ip"),
    ("fd.sport", "destination.port"),
    ("fd.cport", "source.port"),
    ("container.image.repository", "container.image.name"),
    ("k8s.ns.name", "orchestrator.namespace"),
    ("k8s.pod.name", "orchestrator.resource.name"),
    ("ct.name", "event.action"),
    ("ct.user", "user.name"),
    ("ct.srcip", "source.ip"),
    ("ct.region", "cloud.region"),
    ("ct.src", "event.provider"),
    ("ct.error", "aws.cloudtrail.error_code"),
    ("ct.user.arn", "aws.cloudtrail.user_identity.arn"),
];

/// The length of the field name that follows a `%`; 0 when none does.
fn name_length(text: &str) -> usize {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@')))
        .unwrap_or(text.len());
    let name = text.get(..end).unwrap_or_default().trim_end_matches('.');
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '@');
    if starts && (name.contains('.') || name.starts_with('@')) { name.len() } else { 0 }
}

/// Whether a text names a field in Falco's way.
pub(super) fn has_fields(text: &str) -> bool {
    text.split('%').skip(1).any(|rest| name_length(rest) > 0)
}

pub(super) fn parse(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let length = name_length(after);
        if length == 0 {
            plain.push('%');
            rest = after;
            continue;
        }
        let (name, mut tail) = after.split_at_checked(length).unwrap_or((after, ""));
        // An argument chooses among several values; an alert has the one.
        if let Some((argument, behind)) = tail.strip_prefix('[').and_then(|inner| inner.split_once(']'))
            && argument.len() < 64
        {
            tail = behind;
        }
        parts.push(Part::Text(std::mem::take(&mut plain)));
        parts.push(Part::Field(name.to_owned()));
        rest = tail;
    }
    plain.push_str(rest);
    parts.push(Part::Text(plain));
    parts
}

pub(super) fn render(parts: &[Part], context: &Value, escape: Escape) -> String {
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Field(name) => {
                let ecs = NAMES.iter().find(|(falco, _)| falco == name).map(|(_, ecs)| *ecs);
                let value = field(context, name).or_else(|| field(context, ecs?));
                out.push_str(&escape.apply(value.as_deref().unwrap_or("<NA>")));
            }
        }
    }
    out
}
