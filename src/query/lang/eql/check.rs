//! What a query may be made of, beyond its grammar.

use pest::iterators::Pair;

use super::ast::{Kind, Literal, Pipe, Sample, Sequence, Stage};
use super::error::error;
use super::literal;
use super::parse::{Rule, place};
use crate::base::diagnostic::Diagnostic;
use crate::base::nearest::nearest;
use crate::base::span::Span;

/// Most repetitions of a stage, as Elasticsearch has it.
const MOST_RUNS: u32 = 100;
/// Most stages, repetitions counted.
const MOST_STAGES: usize = 256;
/// Most keys that join a stage to the others.
const MOST_KEYS: usize = 16;

const PIPES: [&str; 7] = ["count", "filter", "head", "sort", "tail", "unique", "unique_count"];

/// Refuses what was said before.
pub(super) fn once(text: &str, span: Span, first: bool, what: &str) -> Result<(), Diagnostic> {
    if first { Ok(()) } else { Err(error("EQL009", format!("{what} is there twice"), text, span, None)) }
}

/// The number of a `with runs` token.
pub(super) fn runs(text: &str, token: Pair<'_, Rule>) -> Result<u32, Diagnostic> {
    let span = place(&token);
    let number = token.into_inner().find(|part| part.as_rule() == Rule::number);
    number
        .and_then(|number| number.as_str().parse().ok())
        .filter(|runs| (1..=MOST_RUNS).contains(runs))
        .ok_or_else(|| {
            error("EQL009", format!("`runs` is a whole number from 1 to {MOST_RUNS}"), text, span, None)
        })
}

/// The milliseconds of a `with maxspan` token.
pub(super) fn maxspan(text: &str, token: Pair<'_, Rule>) -> Result<u64, Diagnostic> {
    let span = place(&token);
    let mut number = "";
    let mut unit = "";
    for part in token.into_inner() {
        match part.as_rule() {
            Rule::number => number = part.as_str(),
            Rule::unit => unit = part.as_str(),
            _ => {}
        }
    }
    literal::duration(number, unit).filter(|ms| *ms > 0).ok_or_else(|| {
        let help = "a whole number and `ms`, `s`, `m`, `h` or `d`, as in `maxspan=5m`";
        error("EQL009", format!("`{number}{unit}` is no span of time"), text, span, Some(help))
    })
}

pub(super) fn sequence(text: &str, sequence: &Sequence, whole: Span) -> Result<(), Diagnostic> {
    let wrong = |span, message: &str, help: Option<&str>| Err(error("EQL009", message, text, span, help));
    let head = Span::new(whole.start, whole.start + "sequence".len());
    let count: usize = sequence.stages.iter().map(|stage| stage.runs as usize).sum();
    if count < 2 {
        return wrong(head, "a sequence has at least two stages", Some("add a stage, or `with runs=2`"));
    }
    if count > MOST_STAGES {
        return wrong(
            head,
            &format!("a sequence has at most {MOST_STAGES} stages, repetitions counted"),
            None,
        );
    }
    if sequence.stages.iter().all(|stage| stage.missing) {
        return wrong(head, "some stage of a sequence must occur", Some("only others may be missing (`!`)"));
    }
    for stage in &sequence.stages {
        if stage.missing && sequence.maxspan.is_none() {
            return wrong(stage.span, "a missing event needs `with maxspan`", None);
        }
        if stage.missing && stage.runs > 1 {
            return wrong(stage.span, "a missing event cannot be repeated", Some("leave out `with runs`"));
        }
    }
    if let Some(until) = &sequence.until
        && (until.missing || until.runs > 1)
    {
        return wrong(until.span, "`until` is one event that occurs", None);
    }
    keys(text, sequence.by.len(), sequence.stages.iter().chain(sequence.until.as_deref()))
}

pub(super) fn sample(text: &str, sample: &Sample, whole: Span) -> Result<(), Diagnostic> {
    let head = Span::new(whole.start, whole.start + "sample".len());
    if !(2..=16).contains(&sample.stages.len()) {
        return Err(error("EQL009", "a sample has two to sixteen stages", text, head, None));
    }
    if let Some(stage) = sample.stages.iter().find(|stage| stage.missing || stage.runs > 1) {
        let message = "stages of a sample are neither missing nor repeated";
        return Err(error("EQL009", message, text, stage.span, None));
    }
    if sample.by.is_empty() && sample.stages.iter().any(|stage| stage.by.is_empty()) {
        let help = "name what its events share with `by`";
        return Err(error("EQL009", "a sample needs a key", text, head, Some(help)));
    }
    keys(text, sample.by.len(), sample.stages.iter())
}

/// All stages have the same number of keys.
fn keys<'s>(text: &str, shared: usize, stages: impl Iterator<Item = &'s Stage>) -> Result<(), Diagnostic> {
    let mut first = None;
    for stage in stages {
        let wanted = *first.get_or_insert(stage.by.len());
        if stage.by.len() != wanted {
            let message = format!("{} keys here, {wanted} at the first stage", stage.by.len());
            let help = "every stage has as many keys as the first, in the same order";
            return Err(error("EQL009", message, text, stage.span, Some(help)));
        }
        if shared + wanted > MOST_KEYS {
            return Err(error("EQL009", format!("more than {MOST_KEYS} keys"), text, stage.span, None));
        }
    }
    Ok(())
}

pub(super) fn pipe(text: &str, pipe: &Pipe) -> Result<(), Diagnostic> {
    let wrong = |message: String, help: Option<&str>| Err(error("EQL010", message, text, pipe.span, help));
    let arguments = pipe.arguments.len();
    match &*pipe.name {
        "head" | "tail" => match pipe.arguments.as_slice() {
            [only] if matches!(only.kind, Kind::Literal(Literal::Whole(0..))) => Ok(()),
            _ => wrong(format!("`{}` takes a whole number", pipe.name), None),
        },
        "filter" if arguments == 1 => Ok(()),
        "filter" => wrong(format!("`filter` takes a condition, not {arguments}"), None),
        "sort" | "unique" | "unique_count" if arguments == 0 => {
            wrong(format!("`{}` needs something to go by", pipe.name), None)
        }
        "count" | "sort" | "unique" | "unique_count" => Ok(()),
        name => {
            let near = nearest(name, PIPES).map(|near| format!("did you mean `{near}`?"));
            let all = format!("known are `{}`", PIPES.join("`, `"));
            wrong(format!("pipe `{name}` is not known"), Some(near.as_deref().unwrap_or(&all)))
        }
    }
}
