//! Computed leaves.

use std::sync::Arc;

use super::Lowerer;
use super::condition::{constant, pattern};
use crate::base::diagnostic::Diagnostic;
use crate::query::lang::eql::ast::{self, Kind, Literal, Operator};
use crate::query::lang::eql::error::error;
use crate::query::plan::{
    Arithmetic, Comparison, Constant, Expr, FieldPattern, Filter, Float, Function, Node, regexp,
};

impl Lowerer<'_> {
    /// A value that is computed.
    pub(super) fn scalar(self, expr: &ast::Expr) -> Result<Expr, Diagnostic> {
        if let Some(literal) = constant(expr) {
            return Ok(Expr::Constant(value(&literal)));
        }
        let all = |children: &[ast::Expr]| -> Result<Vec<Expr>, Diagnostic> {
            children.iter().map(|child| self.scalar(child)).collect()
        };
        Ok(match &expr.kind {
            Kind::And(children) => Expr::And(all(children)?),
            Kind::Or(children) => Expr::Or(all(children)?),
            Kind::Not(inner) => Expr::Not(Box::new(self.scalar(inner)?)),
            Kind::Compare(comparison, left, right) => self.compare_scalars(*comparison, left, right)?,
            Kind::Arithmetic(operation, left, right) => {
                self.check_numbers(operation.symbol(), [&**left, &**right])?;
                Expr::Arithmetic(*operation, Box::new(self.scalar(left)?), Box::new(self.scalar(right)?))
            }
            Kind::Negate(inner) => {
                self.check_numbers("-", [&**inner])?;
                Expr::Negate(Box::new(self.scalar(inner)?))
            }
            Kind::Test { value, operator, list } => self.test_scalar(value, *operator, list)?,
            Kind::Call(call, arguments) => {
                let operation = match call.function {
                    Function::Add => Some(Arithmetic::Add),
                    Function::Subtract => Some(Arithmetic::Subtract),
                    Function::Multiply => Some(Arithmetic::Multiply),
                    Function::Divide => Some(Arithmetic::Divide),
                    Function::Modulo => Some(Arithmetic::Modulo),
                    _ => None,
                };
                if let (Some(operation), [left, right]) = (operation, arguments.as_slice()) {
                    self.check_numbers(call.function.name(), [left, right])?;
                    return Ok(Expr::Arithmetic(
                        operation,
                        Box::new(self.scalar(left)?),
                        Box::new(self.scalar(right)?),
                    ));
                }
                self.check_arguments(call.function, arguments)?;
                Expr::Call(*call, all(arguments)?)
            }
            Kind::Field(field) => Expr::Field { name: Arc::clone(&field.name), optional: field.optional },
            Kind::Literal(literal) => Expr::Constant(value(literal)),
        })
    }

    /// `left == right`; a comparison with the constant `null` asks whether there is a value.
    pub(super) fn compare_scalars(
        self,
        comparison: Comparison,
        left: &ast::Expr,
        right: &ast::Expr,
    ) -> Result<Expr, Diagnostic> {
        let is_null = |expr: &ast::Expr| constant(expr) == Some(Literal::Null);
        let other = match (is_null(left), is_null(right)) {
            (_, true) => Some(left),
            (true, false) => Some(right),
            (false, false) => None,
        };
        if let Some(other) = other
            && matches!(comparison, Comparison::Equal | Comparison::NotEqual)
        {
            let missing = Expr::IsNull(Box::new(self.scalar(other)?));
            let negated = comparison == Comparison::NotEqual;
            return Ok(if negated { Expr::Not(Box::new(missing)) } else { missing });
        }
        Ok(Expr::Compare(comparison, Box::new(self.scalar(left)?), Box::new(self.scalar(right)?)))
    }

    fn test_scalar(
        self,
        value: &ast::Expr,
        operator: Operator,
        list: &[ast::Expr],
    ) -> Result<Expr, Diagnostic> {
        let value = Box::new(self.scalar(value)?);
        let insensitive = operator.insensitive();
        let texts = || {
            list.iter().filter_map(|item| match &item.kind {
                Kind::Literal(Literal::Text(text)) => Some(text),
                _ => None,
            })
        };
        Ok(match operator {
            Operator::In | Operator::InInsensitive => {
                let list = list.iter().map(|item| self.scalar(item)).collect::<Result<_, _>>()?;
                Expr::In { value, list, insensitive }
            }
            Operator::Regex | Operator::RegexInsensitive => {
                for (text, item) in texts().zip(list) {
                    self.check_regexp(text, item)?;
                }
                Expr::Regexp { value, patterns: texts().cloned().collect(), insensitive }
            }
            _ => Expr::Like { value, patterns: texts().map(|text| pattern(text)).collect(), insensitive },
        })
    }

    /// A regular expression that can be run.
    pub(super) fn check_regexp(self, pattern: &str, item: &ast::Expr) -> Result<(), Diagnostic> {
        regexp::translate(pattern).map(drop).map_err(|wrong| {
            let message = format!("`{pattern}` is no regular expression that can be run: {wrong}");
            error("EQL012", message, self.text, item.span, wrong.help)
        })
    }

    /// Constants that are computed with are numbers.
    fn check_numbers<const N: usize>(self, what: &str, operands: [&ast::Expr; N]) -> Result<(), Diagnostic> {
        for operand in operands {
            if let Some(literal @ (Literal::Text(_) | Literal::Bool(_))) = constant(operand) {
                let message = format!("`{what}` computes with numbers, and `{literal}` is none");
                let help = "`number(…)` reads a number from a text";
                return Err(error("EQL012", message, self.text, operand.span, Some(help)));
            }
        }
        Ok(())
    }

    /// Constants that a function gets are of the type that it takes.
    fn check_arguments(self, function: Function, arguments: &[ast::Expr]) -> Result<(), Diagnostic> {
        for (at, argument) in arguments.iter().enumerate() {
            let Some(literal) = constant(argument) else { continue };
            let text = matches!(literal, Literal::Text(_) | Literal::Null);
            let whole = matches!(literal, Literal::Whole(_) | Literal::Null);
            let (fits, wanted) = match (function, at) {
                (Function::Concat | Function::String, _) => (true, ""),
                (Function::Between, 3) => {
                    (matches!(literal, Literal::Bool(_) | Literal::Null), "`true` or `false`")
                }
                (Function::IndexOf, 2) | (Function::Substring, 1 | 2) | (Function::Number, 1) => {
                    (whole, "a whole number")
                }
                _ => (text, "a text"),
            };
            if !fits {
                let message = format!(
                    "argument {} of `{}` is {wanted}, and `{literal}` is none",
                    at + 1,
                    function.name()
                );
                return Err(error("EQL012", message, self.text, argument.span, None));
            }
        }
        Ok(())
    }
}

/// The predicate that `expr` is true.
pub(super) fn truth(expr: Expr) -> Node {
    let mut fields = Vec::new();
    needed(&expr, &mut fields);
    let mut parts: Vec<Filter> = fields
        .into_iter()
        .map(|name| Filter::new(Node::Exists { field: FieldPattern::Exact { name, optional: false } }))
        .collect();
    let necessary = match parts.len() {
        0 => Filter::new(Node::All),
        1 => parts.pop().unwrap_or_else(|| Filter::new(Node::All)),
        _ => Filter::new(Node::And(parts)),
    };
    Node::Scalar { expr: Arc::new(expr), necessary: Box::new(necessary) }
}

fn value(literal: &Literal) -> Constant {
    match literal {
        Literal::Null => Constant::Null,
        Literal::Bool(value) => Constant::Bool(*value),
        Literal::Whole(value) => Constant::Whole(*value),
        Literal::Float(value) => Constant::Float(Float::from(*value)),
        Literal::Text(text) => Constant::Text(Arc::clone(text)),
    }
}

/// The fields without which `expr` is `null`, and so not true.
fn needed(expr: &Expr, fields: &mut Vec<Arc<str>>) {
    match expr {
        // An optional field that nobody knows is the constant `null`, which equals itself.
        Expr::Field { name, optional: false } => {
            if !fields.contains(name) {
                fields.push(Arc::clone(name));
            }
        }
        Expr::Not(inner) | Expr::Negate(inner) => needed(inner, fields),
        Expr::Compare(_, left, right) | Expr::Arithmetic(_, left, right) => {
            needed(left, fields);
            needed(right, fields);
        }
        Expr::In { value, .. } | Expr::Like { value, .. } | Expr::Regexp { value, .. } => {
            needed(value, fields);
        }
        Expr::Call(call, arguments) => {
            // Further arguments of `number` may be `null`.
            let needed_arguments = if call.function == Function::Number { 1 } else { arguments.len() };
            for argument in arguments.iter().take(needed_arguments) {
                needed(argument, fields);
            }
        }
        Expr::Field { optional: true, .. }
        | Expr::Constant(_)
        | Expr::And(_)
        | Expr::Or(_)
        | Expr::IsNull(_) => {}
    }
}
