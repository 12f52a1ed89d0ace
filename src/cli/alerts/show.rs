//! One alert as a person reads it.

use std::collections::HashSet;
use std::io::Write as _;

use chrono::DateTime;
use serde_json::Value;

use super::super::style::{Style, visible};
use super::super::{CliError, Context, markdown};
use crate::alert::lookup::{lookup, texts};
use crate::ecs::flat::FlatDoc;
use crate::store::state::{StoredAlert, alerts_index};

/// Fields of an event that are worth showing for any rule, in this order.
const IMPORTANT: &[&str] = &[
    "event.action",
    "event.provider",
    "event.outcome",
    "event.reason",
    "user.name",
    "user.id",
    "user.target.name",
    "aws.cloudtrail.user_identity.type",
    "aws.cloudtrail.user_identity.arn",
    "source.ip",
    "source.geo.country_name",
    "user_agent.original",
    "cloud.account.id",
    "cloud.region",
    "aws.cloudtrail.error_code",
    "aws.cloudtrail.error_message",
    "aws.cloudtrail.request_parameters",
    "host.name",
    "process.name",
    "process.command_line",
    "process.parent.name",
    "file.path",
    "destination.ip",
    "destination.port",
    "dns.question.name",
    "url.full",
];
/// Longest value shown; the whole of it is in the machine formats.
const VALUE: usize = 300;

/// A time of a document for people.
pub(in super::super) fn time(context: &Context, value: Option<&Value>) -> Option<String> {
    let at = DateTime::parse_from_rfc3339(value?.as_str()?).ok()?;
    Some(context.time(at.to_utc()))
}

/// Draws the alert to stdout.
///
/// # Errors
/// When stdout cannot be written.
pub(in super::super) fn draw(alert: &StoredAlert, context: &Context) -> Result<(), CliError> {
    let text = View { alert, source: &alert.source, context, style: context.style() }.text();
    context.out().write_all(text.as_bytes())?;
    Ok(())
}

struct View<'a> {
    alert: &'a StoredAlert,
    source: &'a Value,
    context: &'a Context,
    style: Style,
}

impl View<'_> {
    fn text(&self) -> String {
        let mut out = String::new();
        let severity = self.string("kibana.alert.severity");
        let name = self.style.bold(visible(&self.string("kibana.alert.rule.name")));
        out.push_str(&format!("{}  {name}\n", self.style.severity(&visible(&severity))));
        out.push_str(&format!("{}\n\n", visible(&self.string("kibana.alert.reason"))));
        self.facts(&mut out);
        self.threat(&mut out);
        self.event(&mut out);
        self.guide(&mut out);
        self.list(&mut out, "Known false positives", "kibana.alert.rule.false_positives");
        self.list(&mut out, "References", "kibana.alert.rule.references");
        out
    }

    fn string(&self, path: &str) -> String {
        texts(self.source, path).join(", ")
    }

    fn heading(&self, out: &mut String, text: &str) {
        out.push_str(&format!("\n{}\n", self.style.bold(text)));
    }

    /// Lines of name and value, values in one column.
    fn pairs(&self, out: &mut String, pairs: &[(String, String)]) {
        let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in pairs {
            let space = " ".repeat(width.saturating_sub(name.chars().count()));
            out.push_str(&format!("  {}{space}  {value}\n", self.style.dim(visible(name))));
        }
    }

    fn facts(&self, out: &mut String) {
        let when = |path: &str| time(self.context, lookup(self.source, path)).unwrap_or_default();
        let mut facts = vec![
            ("Event", when("kibana.alert.original_time")),
            ("Alerted", when("@timestamp")),
            ("Risk score", self.string("kibana.alert.risk_score")),
            ("Status", self.alert.status.clone()),
            (
                "Rule",
                format!(
                    "{} (version {}, every {}, window from {})",
                    self.string("kibana.alert.rule.rule_id"),
                    self.string("kibana.alert.rule.version"),
                    self.string("kibana.alert.rule.interval"),
                    self.string("kibana.alert.rule.from"),
                ),
            ),
        ];
        let tags = self.string("kibana.alert.workflow_tags");
        if !tags.is_empty() {
            facts.push(("Tags", tags));
        }
        if lookup(self.source, "kibana.alert.building_block_type").is_some() {
            facts.push(("Kind", "building block".to_owned()));
        }
        facts.push(("Alert", format!("{}/{}", alerts_index(&self.alert.space), self.alert.id)));
        if let Some(Value::Array(ancestors)) = lookup(self.source, "kibana.alert.ancestors") {
            for ancestor in ancestors {
                let part = |name: &str| ancestor.get(name).and_then(Value::as_str).unwrap_or_default();
                facts.push(("From", format!("{} {}/{}", part("type"), part("index"), part("id"))));
            }
        }
        let facts: Vec<_> = facts
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), visible(&value)))
            .collect();
        self.pairs(out, &facts);
    }

    fn threat(&self, out: &mut String) {
        let Some(Value::Array(threats)) = lookup(self.source, "kibana.alert.rule.threat") else { return };
        let entry = |value: Option<&Value>| -> Option<String> {
            let value = value?;
            Some(format!("{} {}", value.get("id")?.as_str()?, value.get("name")?.as_str()?))
        };
        let mut lines = Vec::new();
        for threat in threats {
            let tactic = entry(threat.get("tactic")).unwrap_or_default();
            let techniques =
                threat.get("technique").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            if techniques.is_empty() {
                lines.push(tactic.clone());
            }
            for technique in techniques {
                let mut line = format!("{tactic} › {}", entry(Some(technique)).unwrap_or_default());
                let subs = technique.get("subtechnique").and_then(Value::as_array).into_iter().flatten();
                for sub in subs {
                    line.push_str(&format!(" › {}", entry(Some(sub)).unwrap_or_default()));
                }
                lines.push(line);
            }
        }
        if !lines.is_empty() {
            self.heading(out, "MITRE ATT&CK");
            for line in lines {
                out.push_str(&format!("  {}\n", self.style.cyan(visible(&line))));
            }
        }
    }

    /// The event: the rule's investigation fields first, then what matters for any event.
    fn event(&self, out: &mut String) {
        let chosen = texts(self.source, "kibana.alert.rule.parameters.investigation_fields.field_names");
        let mut seen = HashSet::new();
        let mut rows = Vec::new();
        for name in chosen.iter().map(String::as_str).chain(IMPORTANT.iter().copied()) {
            if seen.insert(name.to_owned()) {
                let value = self.value(name);
                if let Some(value) = value {
                    rows.push((name.to_owned(), visible(&shorten(&value))));
                }
            }
        }
        if !rows.is_empty() {
            self.heading(out, "Event");
            self.pairs(out, &rows);
        }
    }

    /// The values of a field as one text. The event's own `event.kind` and kin are those kept as
    /// `kibana.alert.original_event`, its time is `kibana.alert.original_time`.
    fn value(&self, path: &str) -> Option<String> {
        let original = match path {
            "@timestamp" => Some("kibana.alert.original_time".to_owned()),
            _ => path.strip_prefix("event.").map(|rest| format!("kibana.alert.original_event.{rest}")),
        };
        let values = original.map(|path| texts(self.source, &path)).filter(|values| !values.is_empty());
        let values = values.unwrap_or_else(|| texts(self.source, path));
        if !values.is_empty() {
            return Some(values.join(", "));
        }
        // Values inside arrays of objects.
        let flat = FlatDoc::from_value(self.source);
        let values: Vec<&str> = flat.values(path).map(|leaf| leaf.value).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    fn guide(&self, out: &mut String) {
        let value = |name: &str| self.value(name);
        for (heading, path) in [
            ("Investigation guide", "kibana.alert.rule.note"),
            ("Setup guide", "kibana.alert.rule.parameters.setup"),
        ] {
            let text = self.string(path);
            if text.trim().is_empty() {
                continue;
            }
            self.heading(out, heading);
            let width = self.context.width().map(|width| width.saturating_sub(2));
            for line in markdown::render(&text, self.style, width, &value).lines() {
                out.push_str(format!("  {line}").trim_end());
                out.push('\n');
            }
        }
    }

    fn list(&self, out: &mut String, heading: &str, path: &str) {
        let items = texts(self.source, path);
        if items.is_empty() {
            return;
        }
        self.heading(out, heading);
        for item in items {
            out.push_str(&format!("  • {}\n", visible(&item)));
        }
    }
}

fn shorten(value: &str) -> String {
    if value.chars().count() <= VALUE {
        return value.to_owned();
    }
    let mut short: String = value.chars().take(VALUE).collect();
    short.push_str(" … (all of it with --format json)");
    short
}
