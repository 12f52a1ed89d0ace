//! The categories of events that a query asks for, and whether ECS has them.

use super::ast::{Category, EventQuery, Query, Shape, Stage};
use crate::base::nearest::nearest;
use crate::base::span::Span;

/// The values that ECS gives `event.category`.
const CATEGORIES: [&str; 20] = [
    "api",
    "authentication",
    "configuration",
    "database",
    "driver",
    "email",
    "file",
    "host",
    "iam",
    "intrusion_detection",
    "library",
    "malware",
    "network",
    "package",
    "process",
    "registry",
    "session",
    "threat",
    "vulnerability",
    "web",
];

/// A category that ECS does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCategory {
    /// Its name.
    pub name: String,
    /// The category that was probably meant.
    pub near: Option<&'static str>,
    /// Where it stands in the query's text.
    pub span: Option<Span>,
}

/// The categories in `query`, which was read from `text`, that ECS does not have; each once.
pub fn unknown_categories(query: &Query, text: &str) -> Vec<UnknownCategory> {
    let stages = |stages: &[Stage]| stages.iter().map(|stage| stage.event.category.clone()).collect();
    let asked: Vec<Category> = match &query.shape {
        Shape::Event(EventQuery { category, .. }) => vec![category.clone()],
        Shape::Sequence(sequence) => {
            let until = sequence.until.iter().map(|stage| stage.event.category.clone());
            let mut all: Vec<Category> = stages(&sequence.stages);
            all.extend(until);
            all
        }
        Shape::Sample(sample) => stages(&sample.stages),
    };
    let mut found: Vec<UnknownCategory> = Vec::new();
    for category in asked {
        let Category::Name(name) = category else { continue };
        if CATEGORIES.contains(&&*name) || found.iter().any(|known| known.name == *name) {
            continue;
        }
        let span = place(text, &name);
        found.push(UnknownCategory { name: name.to_string(), near: nearest(&name, CATEGORIES), span });
    }
    found
}

/// Where `name where` begins.
fn place(text: &str, name: &str) -> Option<Span> {
    text.match_indices(name).map(|(at, _)| Span::new(at, at + name.len())).find(|span| {
        let rest = text.get(span.end..).unwrap_or_default();
        rest.trim_start_matches(['"', '`']).trim_start().starts_with("where")
    })
}
