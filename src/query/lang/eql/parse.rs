//! Text to syntax tree.

use std::num::NonZeroUsize;
use std::sync::Once;

use pest::Parser;
use pest::iterators::Pair;

use super::ast::{Category, EventQuery, Field, Pipe, Query, Sample, Sequence, Shape, Stage};
use super::check;
use super::error::{error, syntax, too_deep, too_long};
use super::expr::{Reader, field};
use super::literal;
use crate::base::diagnostic::Diagnostic;
use crate::base::limits;
use crate::base::span::Span;

mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "grammar/eql.pest"]
    pub(in super::super) struct EqlParser;
}

use grammar::EqlParser;
pub(super) use grammar::Rule;

/// Parses EQL.
///
/// # Errors
/// `EQL001` a syntax error, `EQL002` to `EQL004` a text beyond the limits ([`limits::QUERY_BYTES`],
/// [`limits::QUERY_NESTING`]), `EQL005` a constant that is none, `EQL006` and `EQL007` a function
/// that is not known or has other arguments, `EQL008` a pattern that is no text, `EQL009` a
/// sequence or sample of an impossible shape, `EQL010` a pipe that is not known or has other
/// arguments. All with their place.
pub fn parse(text: &str) -> Result<Query, Diagnostic> {
    check_limits(text)?;
    limit_calls();
    let pairs = EqlParser::parse(Rule::query, text).map_err(|error| syntax(text, &error))?;
    let reader = Reader { text };
    let mut shape = None;
    let mut pipes = Vec::new();
    for token in pairs {
        match token.as_rule() {
            Rule::event => shape = Some(Shape::Event(reader.event(token)?)),
            Rule::sequence => shape = Some(Shape::Sequence(reader.sequence(token)?)),
            Rule::sample => shape = Some(Shape::Sample(reader.sample(token)?)),
            Rule::pipe => pipes.push(reader.pipe(token)?),
            _ => {}
        }
    }
    let shape = shape.ok_or_else(|| error("EQL001", "expected a query", text, Span::default(), None))?;
    Ok(Query { shape, pipes })
}

/// Refuses, in one pass over the text, what is too long or too deeply nested for the parser.
fn check_limits(text: &str) -> Result<(), Diagnostic> {
    if text.len() > limits::QUERY_BYTES {
        return Err(too_long(text));
    }
    let bytes = text.as_bytes();
    let starts = |at: usize, what: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(what));
    let find = |at: usize, what: &str| {
        text.get(at..).and_then(|rest| rest.find(what)).map_or(bytes.len(), |found| at + found + what.len())
    };
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let next = match byte {
            b'"' if starts(at, b"\"\"\"") => {
                let end = find(at + 3, "\"\"\"");
                end + (0..2).take_while(|more| starts(end + more, b"\"")).count()
            }
            b'"' => {
                let mut end = at + 1;
                while let Some(byte) = bytes.get(end) {
                    end += match byte {
                        b'\\' => 2,
                        b'"' | b'\n' => break,
                        _ => 1,
                    };
                }
                end + 1
            }
            b'`' => find(at + 1, "`"),
            b'/' if starts(at, b"/*") => find(at + 2, "*/"),
            b'/' if starts(at, b"//") => find(at + 2, "\n"),
            b'(' | b'[' => {
                depth += 1;
                if depth > limits::QUERY_NESTING {
                    return Err(too_deep(text, at));
                }
                at + 1
            }
            b')' | b']' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            _ => at + 1,
        };
        at = next;
    }
    Ok(())
}

/// pest's own guard, behind ours: work is linear in the text, so a budget of calls per byte holds
/// for every text that [`check_limits`] lets through. It is one setting for the whole process, the
/// same for every language.
fn limit_calls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| pest::set_call_limit(NonZeroUsize::new(limits::QUERY_BYTES * 64)));
}

/// Where a token stands.
pub(super) fn place(token: &Pair<'_, Rule>) -> Span {
    let span = token.as_span();
    Span::new(span.start(), span.end())
}

impl Reader<'_> {
    fn event(self, token: Pair<'_, Rule>) -> Result<EventQuery, Diagnostic> {
        let mut category = Category::Any;
        let mut condition = None;
        for part in token.into_inner() {
            match part.as_rule() {
                Rule::word => category = Category::Name(part.as_str().into()),
                Rule::raw => category = Category::Name(literal::raw(part.as_str())),
                Rule::text => {
                    category = Category::Name(literal::text(part.as_str(), self.text, place(&part).start)?);
                }
                Rule::expr => condition = Some(self.expr(part)?),
                _ => {}
            }
        }
        let condition = condition
            .ok_or_else(|| error("EQL001", "expected a condition", self.text, Span::default(), None))?;
        Ok(EventQuery { category, condition })
    }

    fn keys(token: Pair<'_, Rule>) -> Vec<Field> {
        token
            .into_inner()
            .filter(|part| matches!(part.as_rule(), Rule::field_name | Rule::optional))
            .map(|part| field(&part))
            .collect()
    }

    fn stage(self, token: Pair<'_, Rule>) -> Result<Stage, Diagnostic> {
        let span = place(&token);
        let mut missing = false;
        let mut event = None;
        let mut by = Vec::new();
        let mut runs = 1;
        for part in token.into_inner() {
            match part.as_rule() {
                Rule::missing => missing = true,
                Rule::event => event = Some(self.event(part)?),
                Rule::by => by = Self::keys(part),
                Rule::runs => runs = check::runs(self.text, part)?,
                _ => {}
            }
        }
        let event = event.ok_or_else(|| error("EQL001", "expected an event", self.text, span, None))?;
        Ok(Stage { missing, event, by, runs, span })
    }

    fn sequence(self, token: Pair<'_, Rule>) -> Result<Sequence, Diagnostic> {
        let whole = place(&token);
        let mut sequence = Sequence { by: Vec::new(), maxspan: None, stages: Vec::new(), until: None };
        let mut until = false;
        for part in token.into_inner() {
            match part.as_rule() {
                Rule::by => {
                    check::once(self.text, place(&part), sequence.by.is_empty(), "`by`")?;
                    sequence.by = Self::keys(part);
                }
                Rule::maxspan => {
                    check::once(self.text, place(&part), sequence.maxspan.is_none(), "`with maxspan`")?;
                    sequence.maxspan = Some(check::maxspan(self.text, part)?);
                }
                Rule::kw_until => until = true,
                Rule::stage if until => sequence.until = Some(Box::new(self.stage(part)?)),
                Rule::stage => sequence.stages.push(self.stage(part)?),
                _ => {}
            }
        }
        check::sequence(self.text, &sequence, whole)?;
        Ok(sequence)
    }

    fn sample(self, token: Pair<'_, Rule>) -> Result<Sample, Diagnostic> {
        let whole = place(&token);
        let mut sample = Sample { by: Vec::new(), stages: Vec::new() };
        for part in token.into_inner() {
            match part.as_rule() {
                Rule::by => sample.by = Self::keys(part),
                Rule::stage => sample.stages.push(self.stage(part)?),
                _ => {}
            }
        }
        check::sample(self.text, &sample, whole)?;
        Ok(sample)
    }

    fn pipe(self, token: Pair<'_, Rule>) -> Result<Pipe, Diagnostic> {
        let mut pipe = Pipe { name: "".into(), arguments: Vec::new(), span: place(&token) };
        for part in token.into_inner() {
            match part.as_rule() {
                Rule::word => {
                    pipe.span = place(&part);
                    pipe.name = part.as_str().into();
                }
                Rule::exprs => pipe.arguments = self.exprs(part)?,
                _ => {}
            }
        }
        check::pipe(self.text, &pipe)?;
        Ok(pipe)
    }
}
