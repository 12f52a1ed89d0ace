//! RULE021: a rule without an investigation guide.

use crate::rule::codes;
use crate::rule::load::Step;

use super::Subject;

pub(super) fn check(subject: &mut Subject<'_>) {
    if subject.rule.note().is_none() {
        subject.note(
            codes::NO_GUIDE,
            "this rule has no investigation guide",
            "say in `note` what to look at when it alerts",
            &[Step::Key("name")],
        );
    }
}
