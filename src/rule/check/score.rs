//! RULE023: severity and risk score that disagree.

use crate::base::diagnostic::Diagnostic;
use crate::rule::codes;
use crate::rule::load::Step;
use crate::rule::model::Severity;

use super::Subject;

pub(super) fn check(subject: &mut Subject<'_>) {
    let band = match subject.rule.risk_score {
        score if score <= 21.0 => Severity::Low,
        score if score <= 47.0 => Severity::Medium,
        score if score <= 73.0 => Severity::High,
        _ => Severity::Critical,
    };
    if band != subject.rule.severity {
        let (score, severity) = (subject.rule.risk_score, subject.rule.severity.as_str());
        let finding = Diagnostic::warning(
            codes::SCORE_BAND,
            format!("a risk score of {score} is `{}`, not `{severity}`", band.as_str()),
        )
        .with_help("low 0 to 21, medium 22 to 47, high 48 to 73, critical 74 to 100");
        subject.report(finding, &[Step::Key("risk_score")]);
    }
}
