//! RULE030: values that a field cannot have.

use chrono::DateTime;

use crate::base::diagnostic::Diagnostic;
use crate::query::eval::Matcher;
use crate::rule::codes;

use super::Subject;

pub(super) fn check(subject: &mut Subject<'_>) {
    let Some(filter) = subject.filter else { return };
    // Which day it is decides nothing about types.
    let matcher = Matcher::compile(filter, subject.mapping, DateTime::UNIX_EPOCH);
    for clash in matcher.diagnostics().into_iter().filter(Diagnostic::is_error) {
        let mut found = Diagnostic::warning(codes::TYPE_CLASH, clash.message);
        let matches_nothing = "this part of the query matches nothing, and a cluster may refuse the query";
        found.help = Some(clash.help.unwrap_or_else(|| matches_nothing.to_owned()));
        subject.report_in_query(found, clash.span);
    }
}
