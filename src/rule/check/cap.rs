//! RULE026: more alerts than an execution may write.

use crate::base::diagnostic::Diagnostic;
use crate::base::limits::MAX_SIGNALS_CLUSTER;
use crate::rule::codes;
use crate::rule::load::Step;

use super::Subject;

pub(super) fn check(subject: &mut Subject<'_>) {
    let wanted = subject.rule.max_signals;
    if wanted > MAX_SIGNALS_CLUSTER {
        let finding = Diagnostic::warning(
            codes::PAST_CAP,
            format!(
                "`max_signals` of {wanted} is cut to {MAX_SIGNALS_CLUSTER} unless `limits.max_signals` is raised"
            ),
        );
        subject.report(finding, &[Step::Key("max_signals")]);
    }
}
