//! RULE025: rules that read everything.

use crate::base::diagnostic::Diagnostic;
use crate::rule::codes;
use crate::rule::load::Step;

use super::Subject;

pub(super) fn check(subject: &mut Subject<'_>) {
    for (position, pattern) in subject.rule.index.iter().flatten().enumerate() {
        if matches!(pattern.trim(), "*" | "*:*" | "_all" | "**") {
            let finding =
                Diagnostic::warning(codes::UNBOUNDED_INDEX, format!("`{pattern}` reads every index"))
                    .with_help("name the data streams that hold the events, such as `logs-aws.cloudtrail-*`");
            subject.report(finding, &[Step::Key("index"), Step::Index(position)]);
        }
    }
}
