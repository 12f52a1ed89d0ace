//! Text to syntax tree.

use std::sync::Arc;

use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};
use pest::iterators::Pair;

use super::ast::{Body, Clause, Conjunction, End, Expr, Field, Modifier};
use super::error::SyntaxError;
use super::literal::{pattern, quoted, text};
use crate::base::limits;
use crate::base::span::Span;

mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "grammar/lucene.pest"]
    pub(super) struct LuceneParser;
}

use grammar::{LuceneParser, Rule};

/// Parses a query string. An empty text has no clauses.
///
/// # Errors
/// What was expected at the place of the furthest failure, or the limit that the text exceeds
/// ([`limits::QUERY_BYTES`], [`limits::QUERY_NESTING`]).
pub fn parse(text: &str) -> Result<Expr, SyntaxError> {
    check_limits(text)?;
    crate::query::lang::limit_calls();
    let mut pairs = LuceneParser::parse(Rule::query, text).map_err(|error| syntax_error(text, &error))?;
    match pairs.next() {
        Some(pair) if pair.as_rule() == Rule::clauses => Ok(clauses(pair)),
        _ => Ok(Expr { clauses: Vec::new() }),
    }
}

/// Refuses, in one pass over the text, what is too long or too deeply nested for the parser.
fn check_limits(text: &str) -> Result<(), SyntaxError> {
    if text.len() > limits::QUERY_BYTES {
        return Err(SyntaxError::too_long(text));
    }
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '"' => quoted = !quoted,
            '(' if !quoted => {
                depth += 1;
                if depth > limits::QUERY_NESTING {
                    return Err(SyntaxError::too_deep(at));
                }
            }
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn syntax_error(text: &str, error: &pest::error::Error<Rule>) -> SyntaxError {
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => {
            let mut expected: Vec<&str> = positives.iter().filter_map(|rule| expectation(*rule)).collect();
            expected.sort_unstable();
            expected.dedup();
            SyntaxError::unexpected(text, at, &expected)
        }
        ErrorVariant::CustomError { .. } => SyntaxError::too_complex(at),
    }
}

/// What people call the token; the rest goes without saying.
fn expectation(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::clauses | Rule::clause | Rule::first | Rule::literal | Rule::term => "a value",
        Rule::close => "`)`",
        Rule::to => "`TO`",
        Rule::end => "an end of the range",
        Rule::to_included | Rule::to_excluded => "`]` or `}`",
        Rule::number => "a number",
        _ => return None,
    })
}

fn place(pair: &Pair<'_, Rule>) -> Span {
    let span = pair.as_span();
    Span::new(span.start(), span.end())
}

/// Depth is bounded by [`check_limits`].
fn clauses(pair: Pair<'_, Rule>) -> Expr {
    Expr { clauses: pair.into_inner().filter_map(clause).collect() }
}

fn clause(pair: Pair<'_, Rule>) -> Option<Clause> {
    let span = place(&pair);
    let mut conjunction = None;
    let mut modifier = Modifier::None;
    let mut field = None;
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::and => conjunction = Some(Conjunction::And),
            Rule::or => conjunction = Some(Conjunction::Or),
            Rule::plus => modifier = Modifier::Required,
            Rule::minus | Rule::not => modifier = Modifier::Prohibited,
            Rule::field => field = part.into_inner().next().map(|name| named(name.as_str())),
            _ => return Some(Clause { conjunction, modifier, field, body: body(part)?, span }),
        }
    }
    None
}

fn named(raw: &str) -> Field {
    if raw == "*" {
        return Field::Any;
    }
    let name = text(raw);
    if &*name == "_exists_" { Field::Exists } else { Field::Named(name) }
}

fn body(pair: Pair<'_, Rule>) -> Option<Body> {
    let rule = pair.as_rule();
    let mut parts = pair.into_inner();
    if rule == Rule::group {
        return Some(Body::Group(clauses(parts.find(|part| part.as_rule() == Rule::clauses)?)));
    }
    if rule == Rule::range {
        return range(parts);
    }
    let raw = parts.next()?.as_str();
    let tilde: Option<Option<Arc<str>>> = parts.find(|part| part.as_rule() == Rule::tilde).map(|part| {
        Some(part.as_str().trim_start_matches('~')).filter(|digits| !digits.is_empty()).map(Arc::from)
    });
    Some(match rule {
        // `"words"~` without a number asks for no distance.
        Rule::phrase => Body::Phrase { text: quoted(raw)?, slop: tilde.flatten() },
        Rule::regexp => {
            let inner = raw.strip_prefix('/')?.strip_suffix('/')?;
            Body::Regexp(inner.replace("\\/", "/").into())
        }
        _ => match tilde {
            Some(edits) => Body::Fuzzy { text: text(raw), edits },
            None => Body::Term(pattern(raw)),
        },
    })
}

fn range<'t>(parts: impl Iterator<Item = Pair<'t, Rule>>) -> Option<Body> {
    let (mut included, mut ends) = (Vec::new(), Vec::new());
    for part in parts {
        match part.as_rule() {
            Rule::from_included | Rule::to_included => included.push(true),
            Rule::from_excluded | Rule::to_excluded => included.push(false),
            Rule::end => ends.push(match part.as_str() {
                "*" => None,
                raw => Some(quoted(raw).unwrap_or_else(|| text(raw))),
            }),
            _ => {}
        }
    }
    match (included.as_slice(), <[_; 2]>::try_from(ends)) {
        ([first, last], Ok([low, high])) => Some(Body::Range {
            low: End { value: low, included: *first },
            high: End { value: high, included: *last },
        }),
        _ => None,
    }
}
