//! RULE022: a rule without ATT&CK.

use crate::rule::codes;
use crate::rule::load::Step;

use super::Subject;

pub(super) fn check(subject: &mut Subject<'_>) {
    if subject.rule.threat().is_empty() {
        subject.note(
            codes::NO_THREAT,
            "this rule names no ATT&CK tactic",
            "add a `[[rule.threat]]` with a tactic",
            &[Step::Key("name")],
        );
    }
}
