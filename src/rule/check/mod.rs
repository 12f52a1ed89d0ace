//! Checks of rules that load: what is probably not meant.
//!
//! What it is: a registry of lints, one file a lint, each with a stable code.
//! What it is not: a gate for loading; what makes a rule unusable is found by
//! [`crate::rule::load`].
//! Invariant: a lint looks at one rule and reports at a place of its file.

mod cap;
mod category;
mod guide;
mod index;
mod query_fields;
mod schedule;
mod score;
mod sequence;
mod threat;
mod types;

use std::path::Path;

use crate::base::diagnostic::{Diagnostic, Level};
use crate::ecs::mapping::Mapping;
use crate::query::plan::Filter;

use super::codes;
use super::load::{Places, Step, with_places};
use super::model::Rule;
use super::set::RuleSet;

/// A check.
#[derive(Debug, Clone, Copy)]
pub struct Lint {
    /// Its code.
    pub code: &'static str,
    check: fn(&mut Subject<'_>),
}

/// Every lint, in the order of codes.
pub const LINTS: &[Lint] = &[
    Lint { code: codes::UNKNOWN_QUERY_FIELD, check: query_fields::check },
    Lint { code: codes::NO_GUIDE, check: guide::check },
    Lint { code: codes::NO_THREAT, check: threat::check },
    Lint { code: codes::SCORE_BAND, check: score::check },
    Lint { code: codes::SHORT_INTERVAL, check: schedule::check },
    Lint { code: codes::UNBOUNDED_INDEX, check: index::check },
    Lint { code: codes::PAST_CAP, check: cap::check },
    Lint { code: codes::SEQUENCE_SPAN, check: sequence::check },
    Lint { code: codes::TYPE_CLASH, check: types::check },
    Lint { code: codes::UNKNOWN_CATEGORY, check: category::check },
];

/// A rule under examination.
pub(super) struct Subject<'a> {
    rule: &'a Rule,
    /// Its plan, when it runs.
    filter: Option<&'a Filter>,
    /// What fields are known.
    mapping: &'a Mapping,
    places: Option<&'a dyn Places>,
    found: Vec<Diagnostic>,
}

impl Subject<'_> {
    /// Reports something about the value at `path`.
    fn report(&mut self, finding: Diagnostic, path: &[Step<'_>]) {
        let finding = match self.places {
            Some(places) => places.at(finding, places.value(path)),
            None => finding,
        };
        self.found.push(finding.with_path(&self.rule.origin.path));
    }

    /// Reports something about a part of the query.
    fn report_in_query(&mut self, finding: Diagnostic, part: Option<crate::base::span::Span>) {
        let path = [Step::Key("query")];
        match (self.places, part) {
            (Some(places), Some(part)) => {
                let finding = places.at(finding, places.inside(&path, part));
                self.found.push(finding.with_path(&self.rule.origin.path));
            }
            _ => self.report(finding, &path),
        }
    }

    fn note(&mut self, code: &str, message: &str, help: &str, path: &[Step<'_>]) {
        self.report(Diagnostic::new(Level::Info, code, message).with_help(help), path);
    }
}

/// Checks all rules of a set: the findings of each of [`RuleSet::files`], in that order. `text`
/// gives a file's text, for the places.
pub fn run(set: &RuleSet, text: impl Fn(&Path) -> Option<String>) -> Vec<Vec<Diagnostic>> {
    let mapping = Mapping::ecs();
    let mut findings: Vec<Vec<Diagnostic>> = Vec::with_capacity(set.files.len());
    let mut rules = set.rules.iter().peekable();
    let mut compiled = set.compiled.iter().peekable();
    for file in &set.files {
        let mut found = Vec::new();
        let mut read = None;
        while let Some(rule) = rules.next_if(|rule| rule.origin.path == **file.path) {
            let plan = compiled.next_if(|plan| plan.rule.rule_id == rule.rule_id);
            let text = read.get_or_insert_with(|| text(&file.path).unwrap_or_default());
            let filter = plan.and_then(|plan| plan.plan.filter()).map(|filter| &**filter);
            let examine = |places: Option<&dyn Places>| {
                let mut subject = Subject { rule, filter, mapping: &mapping, places, found: Vec::new() };
                for lint in LINTS {
                    (lint.check)(&mut subject);
                }
                subject.found
            };
            let placed = with_places(&rule.origin, text, |places| examine(Some(places)));
            found.extend(placed.unwrap_or_else(|| examine(None)));
        }
        findings.push(found);
    }
    findings
}
