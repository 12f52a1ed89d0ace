//! RULE029: sequences that cannot be found, or that everything is remembered for.

use chrono::{DateTime, Utc};

use crate::base::datemath::{self, Rounding};
use crate::base::diagnostic::Diagnostic;
use crate::base::span::Span;
use crate::query::lang::eql::Shape;
use crate::rule::codes;
use crate::rule::eql::syntax;
use crate::rule::model::{Rule, RuleKind};

use super::Subject;

pub(super) fn check(subject: &mut Subject<'_>) {
    let RuleKind::Eql(params) = &subject.rule.kind else { return };
    let Some(Shape::Sequence(sequence)) = syntax(params).map(|query| query.shape) else { return };
    let place = params.query.find("sequence").map(|at| Span::new(at, at + "sequence".len()));
    let found = match (sequence.maxspan, look_back(subject.rule)) {
        (Some(most), Some(look_back)) if i64::try_from(most).is_ok_and(|most| most > look_back) => {
            let message = format!(
                "`maxspan` is {} s, and a window only {} s: longer sequences are never seen whole",
                most / 1_000,
                look_back / 1_000
            );
            Diagnostic::warning(codes::SEQUENCE_SPAN, message)
                .with_help("let `from` look back at least as far as `maxspan`")
        }
        (None, _) => {
            let keyed = !sequence.by.is_empty() || sequence.stages.iter().any(|stage| !stage.by.is_empty());
            let what = if keyed { "for every value of its keys, " } else { "" };
            let message =
                format!("without `maxspan` unfinished sequences are remembered {what}for the whole window");
            Diagnostic::warning(codes::SEQUENCE_SPAN, message)
                .with_help("`with maxspan=…` says how long the events of one sequence may be apart")
        }
        _ => return,
    };
    subject.report_in_query(found, place);
}

/// How long the rule's window is, ms.
fn look_back(rule: &Rule) -> Option<i64> {
    let at = DateTime::<Utc>::UNIX_EPOCH + chrono::Duration::days(10_000);
    let end = |text: &str| datemath::resolve(text, at, Rounding::Down).ok();
    Some((end(&rule.to)? - end(&rule.from)?).num_milliseconds())
}
