//! Expressions: from a flat run of operands and operators to a tree, by precedence.
//!
//! Lowest first: `or`, `and`, `not`, comparisons, `+ -`, `* / %`, a sign; what tests an operand
//! (`in`, `:`, `like`, `regex`) binds tighter than any of them.

use std::iter::Peekable;

use pest::iterators::{Pair, Pairs};

use super::ast::{Arithmetic, Comparison, Expr, Field, Kind, Literal, Operator};
use super::error::{error, too_deep};
use super::literal;
use super::parse::{Rule, place};
use crate::base::diagnostic::Diagnostic;
use crate::base::limits::QUERY_NESTING;
use crate::base::nearest::nearest;
use crate::base::span::Span;
use crate::query::plan::{Function, FunctionCall};

/// Reads expressions of `text`.
#[derive(Clone, Copy)]
pub(super) struct Reader<'t> {
    pub text: &'t str,
}

type Tokens<'p> = Peekable<Pairs<'p, Rule>>;
type Read = Result<Expr, Diagnostic>;

/// From the start of one expression to the end of another.
fn span(first: &Expr, last: &Expr) -> Span {
    Span::new(first.span.start, last.span.end)
}

impl Reader<'_> {
    /// An `expr` token.
    pub(super) fn expr(self, token: Pair<'_, Rule>) -> Read {
        let mut tokens = token.into_inner().peekable();
        self.any(&mut tokens)
    }

    /// The expressions of an `exprs` token.
    pub(super) fn exprs(self, token: Pair<'_, Rule>) -> Result<Vec<Expr>, Diagnostic> {
        token.into_inner().filter(|t| t.as_rule() == Rule::expr).map(|t| self.expr(t)).collect()
    }

    fn any(self, tokens: &mut Tokens<'_>) -> Read {
        self.flat(tokens, Rule::kw_or, Kind::Or, Self::all)
    }

    fn all(self, tokens: &mut Tokens<'_>) -> Read {
        self.flat(tokens, Rule::kw_and, Kind::And, Self::negation)
    }

    /// Operands joined by one word; a single one stays as it is.
    fn flat(
        self,
        tokens: &mut Tokens<'_>,
        joint: Rule,
        kind: fn(Vec<Expr>) -> Kind,
        operand: fn(Self, &mut Tokens<'_>) -> Read,
    ) -> Read {
        let first = operand(self, tokens)?;
        if tokens.peek().map(Pair::as_rule) != Some(joint) {
            return Ok(first);
        }
        let mut all = vec![first];
        while tokens.next_if(|token| token.as_rule() == joint).is_some() {
            all.push(operand(self, tokens)?);
        }
        let whole = match (all.first(), all.last()) {
            (Some(first), Some(last)) => span(first, last),
            _ => Span::default(),
        };
        Ok(Expr::new(kind(all), whole))
    }

    fn negation(self, tokens: &mut Tokens<'_>) -> Read {
        let mut starts = Vec::new();
        while let Some(not) = tokens.next_if(|token| token.as_rule() == Rule::kw_not) {
            starts.push(not.as_span().start());
        }
        self.shallow(starts.len(), starts.last().copied())?;
        let inner = self.comparison(tokens)?;
        Ok(starts.into_iter().rev().fold(inner, |inner, start| {
            let span = Span::new(start, inner.span.end);
            Expr::new(Kind::Not(Box::new(inner)), span)
        }))
    }

    /// Refuses more operators in a row than brackets may be nested: each is a level of the tree.
    fn shallow(self, levels: usize, at: Option<usize>) -> Result<(), Diagnostic> {
        if levels > QUERY_NESTING { Err(too_deep(self.text, at.unwrap_or(0))) } else { Ok(()) }
    }

    fn comparison(self, tokens: &mut Tokens<'_>) -> Read {
        let left = self.sum(tokens)?;
        let Some(comparison) = tokens.peek().and_then(|token| comparison(token.as_rule())) else {
            return Ok(left);
        };
        let operator = tokens.next();
        if let Some(not) = tokens.peek().filter(|token| token.as_rule() == Rule::kw_not) {
            return Err(self.bare_not(not));
        }
        let right = self.sum(tokens)?;
        if let Some(again) = tokens.peek().filter(|token| self::comparison(token.as_rule()).is_some()) {
            let help = format!(
                "write both comparisons and join them with `and`, or put one of them in brackets ({} is the first)",
                operator.map_or("it", |operator| operator.as_str())
            );
            return Err(error(
                "EQL001",
                "comparisons cannot be chained",
                self.text,
                place(again),
                Some(&help),
            ));
        }
        let whole = span(&left, &right);
        Ok(Expr::new(Kind::Compare(comparison, Box::new(left), Box::new(right)), whole))
    }

    fn bare_not(self, not: &Pair<'_, Rule>) -> Diagnostic {
        error("EQL001", "`not` cannot follow an operator", self.text, place(not), Some("put it in brackets"))
    }

    fn sum(self, tokens: &mut Tokens<'_>) -> Read {
        self.chain(tokens, Self::product, |rule| match rule {
            Rule::plus => Some(Arithmetic::Add),
            Rule::minus => Some(Arithmetic::Subtract),
            _ => None,
        })
    }

    fn product(self, tokens: &mut Tokens<'_>) -> Read {
        self.chain(tokens, Self::operand, |rule| match rule {
            Rule::times => Some(Arithmetic::Multiply),
            Rule::divide => Some(Arithmetic::Divide),
            Rule::modulo => Some(Arithmetic::Modulo),
            _ => None,
        })
    }

    fn chain(
        self,
        tokens: &mut Tokens<'_>,
        operand: fn(Self, &mut Tokens<'_>) -> Read,
        operation: fn(Rule) -> Option<Arithmetic>,
    ) -> Read {
        let mut left = operand(self, tokens)?;
        let mut length = 0;
        while let Some(operation) = tokens.peek().and_then(|token| operation(token.as_rule())) {
            tokens.next();
            length += 1;
            self.shallow(length, Some(left.span.start))?;
            let right = operand(self, tokens)?;
            let whole = span(&left, &right);
            left = Expr::new(Kind::Arithmetic(operation, Box::new(left), Box::new(right)), whole);
        }
        Ok(left)
    }

    fn operand(self, tokens: &mut Tokens<'_>) -> Read {
        match tokens.next() {
            Some(token) if token.as_rule() == Rule::value => self.value(token),
            Some(token) if token.as_rule() == Rule::kw_not => Err(self.bare_not(&token)),
            other => {
                let span = other.map_or(Span::new(self.text.len(), self.text.len()), |token| place(&token));
                Err(error("EQL001", "expected an expression", self.text, span, None))
            }
        }
    }

    fn value(self, token: Pair<'_, Rule>) -> Read {
        let mut signs = Vec::new();
        let mut value: Option<Expr> = None;
        for part in token.into_inner() {
            match part.as_rule() {
                Rule::plus => {}
                Rule::minus => signs.push(place(&part).start),
                Rule::test => {
                    if let Some(tested) = value.take() {
                        value = Some(self.test(tested, part)?);
                    }
                }
                _ => value = Some(self.primary(part)?),
            }
        }
        self.shallow(signs.len(), signs.last().copied())?;
        let Some(value) = value else {
            return Err(error("EQL001", "expected an expression", self.text, Span::default(), None));
        };
        Ok(signs.into_iter().rev().fold(value, |inner, start| {
            let span = Span::new(start, inner.span.end);
            Expr::new(Kind::Negate(Box::new(inner)), span)
        }))
    }

    fn primary(self, token: Pair<'_, Rule>) -> Read {
        let span = place(&token);
        match token.as_rule() {
            Rule::group => {
                let inner = token.into_inner().find(|t| t.as_rule() == Rule::expr);
                match inner {
                    Some(inner) => Ok(Expr { span, ..self.expr(inner)? }),
                    None => Err(error("EQL001", "expected an expression", self.text, span, None)),
                }
            }
            Rule::named => self.named(token),
            Rule::optional => Ok(Expr::new(Kind::Field(field(&token)), span)),
            _ => Ok(Expr::new(Kind::Literal(self.constant(&token)?), span)),
        }
    }

    /// A constant token.
    pub(super) fn constant(self, token: &Pair<'_, Rule>) -> Result<Literal, Diagnostic> {
        let span = place(token);
        Ok(match token.as_rule() {
            Rule::kw_true => Literal::Bool(true),
            Rule::kw_false => Literal::Bool(false),
            Rule::raw => Literal::Text(literal::raw(token.as_str())),
            Rule::text => Literal::Text(literal::text(token.as_str(), self.text, span.start)?),
            Rule::number => literal::number(token.as_str())
                .ok_or_else(|| error("EQL005", "the number is too large", self.text, span, None))?,
            _ => Literal::Null,
        })
    }

    fn named(self, token: Pair<'_, Rule>) -> Read {
        let span = place(&token);
        let mut parts = token.into_inner();
        let Some(name) = parts.next() else {
            return Err(error("EQL001", "expected a field", self.text, span, None));
        };
        let mut called = false;
        let mut insensitive = None;
        let mut arguments = Vec::new();
        for part in parts {
            match part.as_rule() {
                Rule::tilde => insensitive = Some(place(&part)),
                Rule::open => called = true,
                Rule::exprs => arguments = self.exprs(part)?,
                _ => {}
            }
        }
        if !called {
            return Ok(Expr::new(Kind::Field(field(&name)), place(&name)));
        }
        let call = self.call(&name, insensitive, arguments.len())?;
        Ok(Expr::new(Kind::Call(call, arguments), span))
    }

    fn call(
        self,
        name: &Pair<'_, Rule>,
        insensitive: Option<Span>,
        count: usize,
    ) -> Result<FunctionCall, Diagnostic> {
        let place = place(name);
        let Some(function) = Function::named(name.as_str()) else {
            let help = match name.as_str().to_ascii_lowercase().as_str() {
                "wildcard" | "matchlite" | "match" => Some("use `like`, `:` or `regex`".to_owned()),
                other => nearest(other, Function::names()).map(|near| format!("did you mean `{near}`?")),
            };
            let message = format!("function `{}` is not known", name.as_str());
            return Err(error("EQL006", message, self.text, place, help.as_deref()));
        };
        if let Some(tilde) = insensitive.filter(|_| !function.has_caseless_form()) {
            let message = format!("`{}` has no form without case", function.name());
            return Err(error("EQL006", message, self.text, tilde, Some("leave out `~`")));
        }
        let (least, most) = function.arity();
        if count < least || count > most {
            let wanted = match (least, most) {
                (1, 1) => "one argument".to_owned(),
                (least, most) if least == most => format!("{least} arguments"),
                (1, usize::MAX) => "at least one argument".to_owned(),
                (least, usize::MAX) => format!("at least {least} arguments"),
                (least, most) => format!("{least} or {most} arguments"),
            };
            let message = format!("`{}` takes {wanted}, not {count}", function.name());
            return Err(error("EQL007", message, self.text, place, None));
        }
        Ok(FunctionCall { function, insensitive: insensitive.is_some() })
    }

    fn test(self, value: Expr, token: Pair<'_, Rule>) -> Read {
        let whole = Span::new(value.span.start, place(&token).end);
        let mut negated = false;
        let mut operator = Operator::In;
        let mut list = Vec::new();
        for part in token.into_inner() {
            match part.as_rule() {
                Rule::kw_not => negated = true,
                Rule::kw_in => operator = Operator::In,
                Rule::in_tilde => operator = Operator::InInsensitive,
                Rule::colon => operator = Operator::Colon,
                Rule::kw_like => operator = Operator::Like,
                Rule::like_tilde => operator = Operator::LikeInsensitive,
                Rule::kw_regex => operator = Operator::Regex,
                Rule::regex_tilde => operator = Operator::RegexInsensitive,
                Rule::list => {
                    for exprs in part.into_inner().filter(|t| t.as_rule() == Rule::exprs) {
                        list = self.exprs(exprs)?;
                    }
                }
                _ => list.push(Expr::new(Kind::Literal(self.constant(&part)?), place(&part))),
            }
        }
        self.check_list(operator, &list)?;
        let test = Expr::new(Kind::Test { value: Box::new(value), operator, list }, whole);
        Ok(if negated { Expr::new(Kind::Not(Box::new(test)), whole) } else { test })
    }

    /// Patterns and regular expressions are texts.
    fn check_list(self, operator: Operator, list: &[Expr]) -> Result<(), Diagnostic> {
        if matches!(operator, Operator::In | Operator::InInsensitive) {
            return Ok(());
        }
        let wrong = list.iter().find(|item| !matches!(&item.kind, Kind::Literal(Literal::Text(_))));
        match wrong {
            None => Ok(()),
            Some(item) => {
                let message = format!("`{}` compares with texts", operator.symbol());
                let help = "write the value in double quotes, or use `==` or `in`";
                Err(error("EQL008", message, self.text, item.span, Some(help)))
            }
        }
    }
}

/// A field token, optional or not.
pub(super) fn field(token: &Pair<'_, Rule>) -> Field {
    let text = token.as_str();
    let (name, optional) = match text.strip_prefix('?') {
        Some(name) => (name, true),
        None => (text, false),
    };
    Field { name: literal::name(name), optional, span: place(token) }
}

fn comparison(rule: Rule) -> Option<Comparison> {
    Some(match rule {
        Rule::eq => Comparison::Equal,
        Rule::ne => Comparison::NotEqual,
        Rule::lt => Comparison::Less,
        Rule::le => Comparison::LessOrEqual,
        Rule::gt => Comparison::Greater,
        Rule::ge => Comparison::GreaterOrEqual,
        _ => return None,
    })
}
