//! Conditions.

use std::sync::Arc;

use super::scalar::truth;
use super::{Lowerer, exact};
use crate::base::diagnostic::Diagnostic;
use crate::base::span::Span;
use crate::query::lang::eql::ast::{Expr, Field, Kind, Literal, Operator};
use crate::query::lang::eql::error::error;
use crate::query::plan::{
    Bounds, Case, Comparison, FieldPattern, Filter, Function, FunctionCall, Node, Pattern, Piece,
};

/// A constant, signs included.
pub(super) fn constant(expr: &Expr) -> Option<Literal> {
    match &expr.kind {
        Kind::Literal(literal) => Some(literal.clone()),
        Kind::Negate(inner) => match constant(inner)? {
            Literal::Whole(value) => value.checked_neg().map(Literal::Whole),
            Literal::Float(value) => Some(Literal::Float(-value)),
            Literal::Null => Some(Literal::Null),
            _ => None,
        },
        _ => None,
    }
}

/// The text that a value of any type is compared with; `None` for `null`.
fn typed(literal: &Literal) -> Option<Arc<str>> {
    Some(match literal {
        Literal::Null => return None,
        Literal::Text(text) => Arc::clone(text),
        other => Arc::from(other.to_string()),
    })
}

/// A pattern with `*` and `?`.
pub(super) fn pattern(text: &str) -> Pattern {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let flush = |literal: &mut String, pieces: &mut Vec<Piece>| {
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(literal).into()));
        }
    };
    for c in text.chars() {
        let piece = match c {
            '*' => Piece::Any,
            '?' => Piece::One,
            c => {
                literal.push(c);
                continue;
            }
        };
        flush(&mut literal, &mut pieces);
        pieces.push(piece);
    }
    flush(&mut literal, &mut pieces);
    Pattern(pieces)
}

fn case(insensitive: bool) -> Case {
    if insensitive { Case::Insensitive } else { Case::Field }
}

fn any(mut nodes: Vec<Filter>) -> Node {
    match nodes.len() {
        0 => Node::Nothing,
        1 => nodes.pop().map_or(Node::Nothing, |only| only.node),
        _ => Node::Or(nodes),
    }
}

fn verdict(value: bool) -> Node {
    if value { Node::All } else { Node::Nothing }
}

impl Lowerer<'_> {
    /// What holds where `expr` is true, or with `negated` where it is false.
    pub(super) fn condition(self, expr: &Expr, negated: bool) -> Result<Filter, Diagnostic> {
        let all = |children: &[Expr]| -> Result<Vec<Filter>, Diagnostic> {
            children.iter().map(|child| self.condition(child, negated)).collect()
        };
        let node = match &expr.kind {
            Kind::And(children) if negated => Node::Or(all(children)?),
            Kind::Or(children) if negated => Node::And(all(children)?),
            Kind::And(children) => Node::And(all(children)?),
            Kind::Or(children) => Node::Or(all(children)?),
            Kind::Not(inner) => return self.condition(inner, !negated),
            Kind::Compare(comparison, left, right) => {
                return self.compare(*comparison, (left, right), expr, negated);
            }
            Kind::Test { value, operator, list } => self.test(value, *operator, list, expr, negated)?,
            Kind::Call(call, arguments) => self.call(*call, arguments, expr, negated)?,
            Kind::Field(field) => signed(equal(field, "true".into()), expr.span, negated),
            Kind::Literal(Literal::Bool(value)) => verdict(*value != negated),
            Kind::Literal(Literal::Null) => Node::Nothing,
            Kind::Literal(_) | Kind::Arithmetic(..) | Kind::Negate(_) => return Err(self.no_condition(expr)),
        };
        Ok(Filter::at(node, expr.span))
    }

    fn no_condition(self, expr: &Expr) -> Diagnostic {
        let help = "compare it with something";
        error("EQL011", format!("`{expr}` is neither true nor false"), self.text, expr.span, Some(help))
    }

    fn compare(
        self,
        comparison: Comparison,
        (left, right): (&Expr, &Expr),
        whole: &Expr,
        negated: bool,
    ) -> Result<Filter, Diagnostic> {
        let comparison = if negated { comparison.negated() } else { comparison };
        // The constant to the right.
        let (comparison, value, literal) = match (constant(left), constant(right)) {
            (_, Some(literal)) => (comparison, left, literal),
            (Some(literal), None) => (comparison.turned(), right, literal),
            (None, None) => return self.compare_values(comparison, left, right, whole),
        };
        let same = match comparison {
            Comparison::Equal => Some(true),
            Comparison::NotEqual => Some(false),
            _ => None,
        };
        let node = match (&value.kind, &literal, same) {
            (Kind::Field(field), Literal::Null, Some(same)) => {
                signed(Node::Exists { field: exact(field) }, whole.span, same)
            }
            (_, Literal::Null, None) => Node::Nothing,
            // `condition == true` is the condition.
            (kind, Literal::Bool(wanted), Some(same)) if is_boolean(kind) => {
                return self.condition(value, *wanted != same);
            }
            (Kind::Field(field), literal, same) => {
                let text = typed(literal).unwrap_or_default();
                match same {
                    Some(same) => signed(equal(field, text), whole.span, !same),
                    None => Node::Range { field: exact(field), bounds: bounds(comparison, text) },
                }
            }
            _ => {
                let constant = if std::ptr::eq(value, left) { right } else { left };
                return self.compare_values(comparison, value, constant, whole);
            }
        };
        Ok(Filter::at(node, whole.span))
    }

    fn compare_values(
        self,
        comparison: Comparison,
        left: &Expr,
        right: &Expr,
        whole: &Expr,
    ) -> Result<Filter, Diagnostic> {
        let expr = self.compare_scalars(comparison, left, right)?;
        Ok(Filter::at(truth(expr), whole.span))
    }

    fn test(
        self,
        value: &Expr,
        operator: Operator,
        list: &[Expr],
        whole: &Expr,
        negated: bool,
    ) -> Result<Node, Diagnostic> {
        let constants: Option<Vec<Literal>> = list.iter().map(constant).collect();
        let (Kind::Field(field), Some(constants)) = (&value.kind, constants) else {
            return self.computed(whole, negated);
        };
        let insensitive = operator.insensitive();
        let mut nodes = Vec::with_capacity(constants.len());
        for (literal, item) in constants.iter().zip(list) {
            let Some(text) = typed(literal) else { continue };
            let node = match operator {
                Operator::In | Operator::InInsensitive => {
                    Node::Is { field: Some(exact(field)), value: text, phrase: true, case: case(insensitive) }
                }
                Operator::Regex | Operator::RegexInsensitive => {
                    self.check_regexp(&text, item)?;
                    Node::Regexp { field: Some(exact(field)), pattern: text, case: case(insensitive) }
                }
                _ => like(field, &text, insensitive),
            };
            nodes.push(Filter::at(node, item.span));
        }
        Ok(signed(any(nodes), whole.span, negated))
    }

    fn call(
        self,
        call: FunctionCall,
        arguments: &[Expr],
        whole: &Expr,
        negated: bool,
    ) -> Result<Node, Diagnostic> {
        if !call.function.is_boolean() {
            return Err(self.no_condition(whole));
        }
        let [Expr { kind: Kind::Field(field), .. }, rest @ ..] = arguments else {
            return self.computed(whole, negated);
        };
        let texts: Option<Vec<Arc<str>>> = rest
            .iter()
            .map(|argument| match constant(argument)? {
                Literal::Text(text) => Some(text),
                _ => None,
            })
            .collect();
        let Some(texts) = texts else { return self.computed(whole, negated) };
        let [text, ..] = texts.as_slice() else { return self.computed(whole, negated) };
        let wildcard = |pieces: Vec<Piece>| Node::Wildcard {
            field: Some(exact(field)),
            pattern: Pattern(pieces),
            case: case(call.insensitive),
        };
        let literal = || Piece::Literal(Arc::clone(text));
        // Elasticsearch searches for prefixes and networks; the others it computes, so that their
        // negation, but not they themselves, is another thing for missing and for several values.
        let node = match call.function {
            Function::StartsWith if text.is_empty() => Node::Exists { field: exact(field) },
            Function::StartsWith => wildcard(vec![literal(), Piece::Any]),
            Function::CidrMatch => {
                for (network, argument) in texts.iter().zip(rest) {
                    self.check_network(network, argument)?;
                }
                let networks = texts.iter().zip(rest);
                any(networks
                    .map(|(text, argument)| Filter::at(equal(field, Arc::clone(text)), argument.span))
                    .collect())
            }
            _ if negated => return self.computed(whole, true),
            Function::EndsWith if text.is_empty() => Node::Exists { field: exact(field) },
            Function::EndsWith => wildcard(vec![Piece::Any, literal()]),
            Function::StringContains if text.is_empty() => Node::Nothing,
            _ => wildcard(vec![Piece::Any, literal(), Piece::Any]),
        };
        Ok(signed(node, whole.span, negated))
    }

    /// A leaf that is computed.
    fn computed(self, expr: &Expr, negated: bool) -> Result<Node, Diagnostic> {
        let scalar = self.scalar(expr)?;
        let scalar = if negated { crate::query::plan::Expr::Not(Box::new(scalar)) } else { scalar };
        Ok(truth(scalar))
    }

    fn check_network(self, network: &str, argument: &Expr) -> Result<(), Diagnostic> {
        use crate::ecs::value::ip;
        if ip::network(network).is_some() || ip::parse(network).is_some() {
            return Ok(());
        }
        let help = "write an address and the length of its prefix, `10.0.0.0/8`";
        let message = format!("`{network}` is no network");
        Err(error("EQL012", message, self.text, argument.span, Some(help)))
    }
}

/// The predicate, or what holds where it does not: also where its field is missing.
fn signed(node: Node, span: Span, negated: bool) -> Node {
    match node {
        node if !negated => node,
        Node::All => Node::Nothing,
        Node::Nothing => Node::All,
        node => Node::Not(Box::new(Filter::at(node, span))),
    }
}

fn equal(field: &Field, value: Arc<str>) -> Node {
    Node::Is { field: Some(exact(field)), value, phrase: true, case: Case::Field }
}

/// Whether an expression is true or false by its kind. A field is whatever it is mapped as.
fn is_boolean(kind: &Kind) -> bool {
    match kind {
        Kind::And(_) | Kind::Or(_) | Kind::Not(_) | Kind::Compare(..) | Kind::Test { .. } => true,
        Kind::Call(call, _) => call.function.is_boolean(),
        _ => false,
    }
}

fn bounds(comparison: Comparison, end: Arc<str>) -> Bounds {
    let end = Some(end);
    match comparison {
        Comparison::Less => Bounds { lt: end, ..Bounds::default() },
        Comparison::LessOrEqual => Bounds { lte: end, ..Bounds::default() },
        Comparison::Greater => Bounds { gt: end, ..Bounds::default() },
        _ => Bounds { gte: end, ..Bounds::default() },
    }
}

/// `field : "pattern"`: a term where the pattern has no wildcard.
fn like(field: &Field, text: &Arc<str>, insensitive: bool) -> Node {
    let field: Option<FieldPattern> = Some(exact(field));
    if text.contains(['*', '?']) {
        Node::Wildcard { field, pattern: pattern(text), case: case(insensitive) }
    } else {
        Node::Is { field, value: Arc::clone(text), phrase: true, case: case(insensitive) }
    }
}
