//! Why a document matches or does not: a verdict for every part of a filter.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::matcher::{Matcher, object_document, values_of};
use super::nested::objects;
use super::target::targets;
use super::words;
use crate::base::span::Span;
use crate::ecs::flat::FlatDoc;
use crate::ecs::mapping::{Mapping, sorted_paths};
use crate::ecs::types::FieldType;
use crate::query::plan::values::ValueSet;
use crate::query::plan::{Bounds, FieldPattern, Filter, Node, Pattern, Piece};

/// Most values of a field that are shown.
const VALUES: usize = 10;

/// The verdict on one part of a filter.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// The part in words: `and`, `or`, `not`, or the leaf.
    pub part: String,
    /// Where it stands in the query.
    pub span: Option<Span>,
    /// Whether it holds.
    pub holds: bool,
    /// The fields looked at, for a leaf.
    pub seen: Vec<Seen>,
    /// What stands against the leaf as such: an unknown field, a value of another type.
    pub notes: Vec<String>,
    /// Verdicts on its parts; below a nested part, on each object in turn.
    pub parts: Vec<Verdict>,
}

/// A field that a leaf looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Seen {
    /// Path of the values.
    pub field: Arc<str>,
    /// Type they were read with.
    pub kind: FieldType,
    /// The values, at most ten.
    pub values: Vec<String>,
    /// Number of further values.
    pub more: usize,
}

/// Judges every part of `filter` on a document; the verdict at the top is that of
/// [`Matcher::matches`].
pub fn explain(
    filter: &Filter,
    mapping: &Mapping,
    now: DateTime<Utc>,
    doc: &FlatDoc,
    source: Option<&Value>,
) -> Verdict {
    within(filter, mapping, now, doc, source, None)
}

fn within(
    filter: &Filter,
    mapping: &Mapping,
    now: DateTime<Utc>,
    doc: &FlatDoc,
    source: Option<&Value>,
    scope: Option<&Arc<str>>,
) -> Verdict {
    let each = |children: &[Filter]| {
        children.iter().map(|child| within(child, mapping, now, doc, source, scope)).collect::<Vec<_>>()
    };
    let branch = |part: &str, holds: bool, parts: Vec<Verdict>| Verdict {
        part: part.to_owned(),
        span: filter.span,
        holds,
        seen: Vec::new(),
        notes: Vec::new(),
        parts,
    };
    match &filter.node {
        Node::All => branch("everything", true, Vec::new()),
        Node::Nothing => branch("nothing", false, Vec::new()),
        Node::And(children) => {
            let parts = each(children);
            branch("and", parts.iter().all(|part| part.holds), parts)
        }
        Node::Or(children) => {
            let parts = each(children);
            branch("or", parts.iter().any(|part| part.holds), parts)
        }
        Node::AtLeast { least, of } => {
            let parts = each(of);
            let enough = parts.iter().filter(|part| part.holds).count() >= *least as usize;
            branch(&format!("at least {least} of"), enough, parts)
        }
        Node::Words { field, text, least } => {
            let words = words::expand(field, text, *least, mapping);
            within(&words, mapping, now, doc, source, scope)
        }
        Node::Foreign { what, .. } => {
            let mut verdict = branch(what, false, Vec::new());
            verdict.notes = vec!["only a cluster can answer this".to_owned()];
            verdict
        }
        Node::Not(child) => {
            let part = within(child, mapping, now, doc, source, scope);
            branch("not", !part.holds, vec![part])
        }
        Node::Nested { path, inner } => {
            let relative = match scope {
                Some(scope) => path.strip_prefix(&**scope).and_then(|rest| rest.strip_prefix('.')),
                None => Some(&**path),
            };
            let mut found = Vec::new();
            if let (Some(source), Some(relative)) = (source, relative) {
                objects(source, relative, 0, &mut found);
            }
            let mut parts = Vec::new();
            for object in found.into_iter().take(VALUES) {
                let doc = object_document(object, path);
                parts.push(within(inner, mapping, now, &doc, Some(object), Some(path)));
            }
            let matcher = Matcher::within(filter, mapping, now, scope.cloned());
            let mut verdict = branch(&format!("{path}: {{ … }}"), matcher.matches(doc, source), parts);
            verdict.notes = matcher.diagnostics().into_iter().map(|d| d.message).collect();
            verdict
        }
        leaf => {
            let matcher = Matcher::within(filter, mapping, now, scope.cloned());
            let mut verdict = branch(&describe(leaf), matcher.matches(doc, source), Vec::new());
            verdict.notes = matcher.diagnostics().into_iter().map(|d| d.message).collect();
            let paths = sorted_paths(doc);
            for field in targets(leaf, mapping, &paths, scope.map(|scope| &**scope)) {
                let all: Vec<&str> = values_of(doc, &field).collect();
                verdict.seen.push(Seen {
                    field: field.leaf_path(),
                    kind: field.kind,
                    more: all.len().saturating_sub(VALUES),
                    values: all.into_iter().take(VALUES).map(str::to_owned).collect(),
                });
            }
            verdict
        }
    }
}

/// A leaf in KQL's manner.
fn describe(node: &Node) -> String {
    match node {
        Node::Exists { field } => format!("{}: *", name(field)),
        Node::Is { field, value, phrase, .. } => {
            let value = if *phrase { format!("{value:?}") } else { value.to_string() };
            field.as_ref().map_or_else(|| value.clone(), |field| format!("{}: {value}", name(field)))
        }
        Node::Wildcard { field, pattern, .. } => {
            let pattern = spell(pattern);
            field.as_ref().map_or_else(|| pattern.clone(), |field| format!("{}: {pattern}", name(field)))
        }
        Node::Regexp { field, pattern, .. } => {
            let name = field.as_ref().map(|field| format!("{}: ", name(field))).unwrap_or_default();
            format!("{name}/{pattern}/")
        }
        Node::OneOf { field, values } => one_of(&name(field), values),
        Node::Range { field, bounds } => {
            let Bounds { gt, gte, lt, lte, .. } = bounds;
            let ends = [(">", gt), (">=", gte), ("<", lt), ("<=", lte)];
            let ends = ends
                .iter()
                .filter_map(|(sign, end)| Some(format!("{} {sign} {}", name(field), end.as_ref()?)));
            ends.collect::<Vec<_>>().join(" and ")
        }
        _ => String::new(),
    }
}

/// The first values of a set, and how many more there are.
fn one_of(field: &str, values: &ValueSet) -> String {
    let Some(texts) = values.as_texts().or(values.as_words()) else {
        return format!("{field}: one of {} address ranges", values.len());
    };
    let shown: Vec<String> = texts.iter().take(VALUES).map(|text| format!("{text:?}")).collect();
    let more = match texts.len().saturating_sub(VALUES) {
        0 => String::new(),
        more => format!(" or {more} more"),
    };
    format!("{field}: ({}{more})", shown.join(" or "))
}

fn name(field: &FieldPattern) -> String {
    match field {
        FieldPattern::Name(name) | FieldPattern::Exact { name, .. } => name.to_string(),
        FieldPattern::Pattern(pattern) => spell(pattern),
    }
}

fn spell(pattern: &Pattern) -> String {
    let pieces = pattern.0.iter().map(|piece| match piece {
        Piece::Literal(text) => text.to_string(),
        Piece::Any => "*".to_owned(),
        Piece::One => "?".to_owned(),
    });
    pieces.collect()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl Verdict {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let indent = "  ".repeat(depth);
        writeln!(f, "{indent}{} {}", if self.holds { "yes" } else { "no " }, self.part)?;
        for note in &self.notes {
            writeln!(f, "{indent}      ! {note}")?;
        }
        for seen in &self.seen {
            let values =
                if seen.values.is_empty() { "(no value)".to_owned() } else { seen.values.join(", ") };
            let more = if seen.more > 0 { format!(" and {} more", seen.more) } else { String::new() };
            writeln!(f, "{indent}      {} ({}) = {values}{more}", seen.field, seen.kind.name())?;
        }
        self.parts.iter().try_for_each(|part| part.write(f, depth + 1))
    }
}
