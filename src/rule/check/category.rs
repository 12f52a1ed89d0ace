//! RULE035: categories of events that ECS does not have.

use crate::base::diagnostic::{Diagnostic, Level};
use crate::query::lang::eql::unknown_categories;
use crate::rule::codes;
use crate::rule::eql::syntax;
use crate::rule::model::RuleKind;

use super::Subject;

pub(super) fn check(subject: &mut Subject<'_>) {
    let RuleKind::Eql(params) = &subject.rule.kind else { return };
    // Another field has values of its own.
    if params.event_category_override.as_deref().is_some_and(|field| !field.is_empty()) {
        return;
    }
    let Some(query) = syntax(params) else { return };
    for unknown in unknown_categories(&query, &params.query) {
        let message = format!("`{}` is no `event.category` of ECS", unknown.name);
        let mut found = Diagnostic::new(Level::Info, codes::UNKNOWN_CATEGORY, message);
        if let Some(near) = unknown.near {
            found.level = Level::Warning;
            found.help = Some(format!("did you mean `{near}`?"));
        }
        subject.report_in_query(found, unknown.span);
    }
}
