//! Syntax tree to the shared plan.

use std::sync::Arc;

use super::ast::{Expr, Kind, RangeOperator, Term, TermKind};
use crate::base::diagnostic::Diagnostic;
use crate::base::span::Span;
use crate::query::plan::{Bounds, Case, FieldPattern, Filter, Node, Pattern, Piece};

/// Lowers a parsed expression. Field names inside nested groups become full paths; `field: *`
/// becomes `Exists`, `*: *` and a bare `*` everything.
///
/// # Errors
/// `KQL006` for `field: null`: the `match`, `term` or `multi_match` that Kibana makes of it is refused
/// by Elasticsearch and OpenSearch, so such a rule fails there at every execution.
pub fn lower(expr: &Expr, text: &str) -> Result<Filter, Diagnostic> {
    Lowering { text }.expr(expr, None)
}

struct Lowering<'t> {
    text: &'t str,
}

impl Lowering<'_> {
    fn expr(&self, expr: &Expr, path: Option<&str>) -> Result<Filter, Diagnostic> {
        let all =
            |children: &[Expr]| children.iter().map(|child| self.expr(child, path)).collect::<Result<_, _>>();
        let node = match &expr.kind {
            Kind::And(children) => Node::And(all(children)?),
            Kind::Or(children) => Node::Or(all(children)?),
            Kind::Not(inner) => Node::Not(Box::new(self.expr(inner, path)?)),
            Kind::Nested { path: name, inner } => {
                let full = full_name(&name.text(), path);
                let inner = self.expr(inner, Some(&full))?;
                Node::Nested { path: full, inner: Box::new(inner) }
            }
            Kind::Is { field, value } => self.is(field.as_ref(), value, path)?,
            Kind::Range { field, bounds } => {
                let mut ends = Bounds::default();
                for (operator, value) in bounds {
                    let end = match operator {
                        RangeOperator::Gt => &mut ends.gt,
                        RangeOperator::Gte => &mut ends.gte,
                        RangeOperator::Lt => &mut ends.lt,
                        RangeOperator::Lte => &mut ends.lte,
                    };
                    // Elasticsearch takes the end `null` for none.
                    *end = match value.kind {
                        TermKind::Null => None,
                        _ => Some(self.value(value)?),
                    };
                }
                let field = field_pattern(field, path);
                if ends == Bounds::default() {
                    Node::Exists { field }
                } else {
                    Node::Range { field, bounds: ends }
                }
            }
            Kind::Exists { field } => Node::Exists { field: field_pattern(field, path) },
        };
        Ok(Filter::at(node, expr.span))
    }

    fn is(&self, field: Option<&Term>, value: &Term, path: Option<&str>) -> Result<Node, Diagnostic> {
        if value.is_lone_wildcard() {
            return Ok(match field {
                None => Node::All,
                Some(field) if field.is_lone_wildcard() && path.is_none() => Node::All,
                Some(field) => Node::Exists { field: field_pattern(field, path) },
            });
        }
        let field = field.map(|field| field_pattern(field, path));
        if let TermKind::Wildcard(pattern) = &value.kind {
            return Ok(Node::Wildcard { field, pattern: pattern.clone(), case: Case::Field });
        }
        let phrase = matches!(value.kind, TermKind::Text { quoted: true, .. });
        Ok(Node::Is { field, value: self.value(value)?, phrase, case: Case::Field })
    }

    fn value(&self, value: &Term) -> Result<Arc<str>, Diagnostic> {
        if value.kind == TermKind::Null {
            let span: Span = value.span;
            return Err(Diagnostic::error("KQL006", "nothing compares to `null`")
                .with_help("write `not field: *` for a missing field, `\"null\"` for the text")
                .at(self.text, span));
        }
        Ok(value.text())
    }
}

fn full_name(name: &str, path: Option<&str>) -> Arc<str> {
    match path {
        Some(path) => format!("{path}.{name}").into(),
        None => Arc::from(name),
    }
}

fn field_pattern(field: &Term, path: Option<&str>) -> FieldPattern {
    let TermKind::Wildcard(Pattern(pieces)) = &field.kind else {
        return FieldPattern::Name(full_name(&field.text(), path));
    };
    let Some(path) = path else {
        return FieldPattern::Pattern(Pattern(pieces.clone()));
    };
    // Neighbouring literals are one, so that equal patterns are equal.
    let mut prefix = format!("{path}.");
    let mut rest = pieces.as_slice();
    if let [Piece::Literal(first), tail @ ..] = rest {
        prefix.push_str(first);
        rest = tail;
    }
    FieldPattern::Pattern(Pattern(
        std::iter::once(Piece::Literal(prefix.into())).chain(rest.iter().cloned()).collect(),
    ))
}
