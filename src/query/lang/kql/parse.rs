//! Text to syntax tree.

use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};
use pest::iterators::{Pair, Pairs};

use super::ast::{Expr, Kind, RangeOperator, Term, TermKind};
use super::error::SyntaxError;
use super::literal::term;
use crate::base::limits;
use crate::base::span::Span;
use crate::query::plan::{Pattern, Piece};

mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "grammar/kql.pest"]
    pub(super) struct KqlParser;
}

use grammar::{KqlParser, Rule};

/// How KQL is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether a value may begin with `*`. Detection rules always allow it.
    pub allow_leading_wildcards: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { allow_leading_wildcards: true }
    }
}

/// Parses KQL. An empty text is `*: *`.
///
/// # Errors
/// Kibana's message with the place of the furthest failure, or the limit that the text exceeds
/// ([`limits::QUERY_BYTES`], [`limits::QUERY_NESTING`]).
pub fn parse(text: &str, options: &Options) -> Result<Expr, SyntaxError> {
    check_limits(text)?;
    crate::query::lang::limit_calls();
    let pairs = KqlParser::parse(Rule::query, text).map_err(|error| syntax_error(text, &error))?;
    let expr = disjunction(pairs, &operand).unwrap_or_else(|| {
        Expr::new(Kind::Is { field: Some(star()), value: star() }, Span::new(0, text.len()))
    });
    if !options.allow_leading_wildcards
        && let Some(value) = leading_wildcard(&expr)
    {
        return Err(SyntaxError::leading_wildcard(text, value.span.start));
    }
    Ok(expr)
}

/// Refuses, in one pass over the text, what is too long or too deeply nested for the parser.
fn check_limits(text: &str) -> Result<(), SyntaxError> {
    if text.len() > limits::QUERY_BYTES {
        return Err(SyntaxError::too_long(text));
    }
    let mut depth = 0_usize;
    let mut chars = text.char_indices();
    let mut quoted = false;
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '"' => quoted = !quoted,
            '(' | '{' if !quoted => {
                depth += 1;
                if depth > limits::QUERY_NESTING {
                    return Err(SyntaxError::too_deep(text, at));
                }
            }
            ')' | '}' if !quoted => depth = depth.saturating_sub(1),
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
            let mut expected: Vec<&str> =
                positives.iter().flat_map(|rule| expectation(*rule)).copied().collect();
            expected.sort_unstable();
            expected.dedup();
            SyntaxError::unexpected(text, at, &expected)
        }
        ErrorVariant::CustomError { .. } => SyntaxError::too_complex(text, at),
    }
}

/// What Kibana calls the token.
fn expectation(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::term => &["field name", "value"],
        Rule::value => &["value"],
        Rule::literal => &["literal"],
        Rule::whitespace => &["whitespace"],
        Rule::or => &["OR"],
        Rule::and => &["AND"],
        Rule::not => &["NOT"],
        Rule::EOI => &["end of input"],
        Rule::open | Rule::group | Rule::values => &["\"(\""],
        Rule::close => &["\")\""],
        Rule::open_brace | Rule::nested => &["\"{\""],
        Rule::close_brace => &["\"}\""],
        Rule::colon => &["\":\""],
        Rule::lt => &["\"<\""],
        Rule::lte => &["\"<=\""],
        Rule::gt => &["\">\""],
        Rule::gte => &["\">=\""],
        _ => &[],
    }
}

fn star() -> Term {
    Term::new(TermKind::Wildcard(Pattern(vec![Piece::Any])), Span::default())
}

fn place(pair: &Pair<'_, Rule>) -> Span {
    let span = pair.as_span();
    Span::new(span.start(), span.end())
}

fn literal(pair: &Pair<'_, Rule>) -> Term {
    term(pair.as_str(), pair.as_span().start())
}

/// Reads `a and not b or c` from tokens; operands are read by `leaf`. `None` when there is no
/// operand.
fn disjunction(tokens: Pairs<'_, Rule>, leaf: &dyn Fn(Pair<'_, Rule>) -> Option<Expr>) -> Option<Expr> {
    let mut alternatives: Vec<Vec<Expr>> = vec![Vec::new()];
    let mut negated: Option<usize> = None;
    for token in tokens {
        match token.as_rule() {
            Rule::or => alternatives.push(Vec::new()),
            Rule::not => negated = Some(token.as_span().start()),
            _ => {
                let Some(mut expr) = leaf(token) else { continue };
                if let Some(start) = negated.take() {
                    let span = Span::new(start, expr.span.end);
                    expr = Expr::new(Kind::Not(Box::new(expr)), span);
                }
                if let Some(last) = alternatives.last_mut() {
                    last.push(expr);
                }
            }
        }
    }
    join(alternatives.into_iter().filter_map(|all| join(all, Kind::And)).collect(), Kind::Or)
}

/// The expressions under one node; a single one stays as it is.
fn join(mut all: Vec<Expr>, kind: fn(Vec<Expr>) -> Kind) -> Option<Expr> {
    if all.len() <= 1 {
        return all.pop();
    }
    let span = Span::new(all.first()?.span.start, all.last()?.span.end);
    Some(Expr::new(kind(all), span))
}

fn operand(token: Pair<'_, Rule>) -> Option<Expr> {
    match token.as_rule() {
        Rule::group => {
            let span = place(&token);
            disjunction(token.into_inner(), &operand).map(|expr| Expr { span, ..expr })
        }
        Rule::clause => clause(token),
        _ => None,
    }
}

fn clause(token: Pair<'_, Rule>) -> Option<Expr> {
    let mut parts =
        token.into_inner().filter(|part| !matches!(part.as_rule(), Rule::whitespace | Rule::colon));
    let first = literal(&parts.next()?);
    let start = first.span.start;
    let Some(second) = parts.next() else {
        let span = first.span;
        return Some(Expr::new(Kind::Is { field: None, value: first }, span));
    };
    let operator = match second.as_rule() {
        Rule::value => {
            let value = literal(&second);
            let span = Span::new(start, value.span.end);
            return Some(is(&first, value, span));
        }
        Rule::values => {
            let span = Span::new(start, place(&second).end);
            return values(second, &first).map(|expr| Expr { span, ..expr });
        }
        Rule::nested => {
            let span = Span::new(start, place(&second).end);
            let inner = Box::new(disjunction(second.into_inner(), &operand)?);
            return Some(Expr::new(Kind::Nested { path: first, inner }, span));
        }
        Rule::gt => RangeOperator::Gt,
        Rule::gte => RangeOperator::Gte,
        Rule::lt => RangeOperator::Lt,
        Rule::lte => RangeOperator::Lte,
        _ => return None,
    };
    let value = literal(&parts.next()?);
    let span = Span::new(start, value.span.end);
    Some(Expr::new(Kind::Range { field: first, bounds: vec![(operator, value)] }, span))
}

fn values(token: Pair<'_, Rule>, field: &Term) -> Option<Expr> {
    disjunction(token.into_inner(), &|token| match token.as_rule() {
        Rule::values => values(token, field),
        Rule::value => {
            let value = literal(&token);
            let span = value.span;
            Some(is(field, value, span))
        }
        _ => None,
    })
}

/// `null: value` has no field: Kibana reads the name as the typed literal and the clause as a bare
/// value.
fn is(field: &Term, value: Term, span: Span) -> Expr {
    let field = if field.kind == TermKind::Null { None } else { Some(field.clone()) };
    Expr::new(Kind::Is { field, value }, span)
}

/// The first value that begins with `*` and is more than that.
fn leading_wildcard(expr: &Expr) -> Option<&Term> {
    match &expr.kind {
        Kind::And(all) | Kind::Or(all) => all.iter().find_map(leading_wildcard),
        Kind::Not(inner) | Kind::Nested { inner, .. } => leading_wildcard(inner),
        Kind::Is { value, .. } => match &value.kind {
            TermKind::Wildcard(Pattern(pieces))
                if pieces.first() == Some(&Piece::Any) && pieces.len() > 1 =>
            {
                Some(value)
            }
            _ => None,
        },
        Kind::Range { .. } | Kind::Exists { .. } => None,
    }
}
