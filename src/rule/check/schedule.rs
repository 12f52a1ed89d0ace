//! RULE024: rules that run very often.

use crate::rule::codes;
use crate::rule::load::Step;
use crate::rule::model::Schedule;

use super::Subject;

pub(super) fn check(subject: &mut Subject<'_>) {
    if let Schedule::Every { interval_ms, text } = &subject.rule.schedule
        && *interval_ms < 60_000
    {
        let message = format!("it runs every {text}; Kibana warns below a minute");
        subject.note(
            codes::SHORT_INTERVAL,
            &message,
            "a minute is enough for logs",
            &[Step::Key("interval")],
        );
    }
}
