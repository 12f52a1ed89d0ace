//! Syntax tree to the shared plan.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ast::{Body, Clause, Conjunction, End, Expr, Field, Modifier};
use super::literal::pattern;
use crate::base::diagnostic::Diagnostic;
use crate::base::span::Span;
use crate::query::plan::regexp::{RegexpError, translate};
use crate::query::plan::{Bounds, Case, FieldPattern, Filter, Least, Node, Pattern, Piece};

/// How a query string is meant: the parameters of a `query_string` query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Where clauses without a field look; empty: in every field.
    pub fields: Vec<FieldPattern>,
    /// Clauses without a word between them are joined by AND instead of OR.
    pub all: bool,
    /// How many of the optional clauses on the outermost level must match.
    pub least: Option<Least>,
    /// Time zone of dates in ranges that name none.
    pub zone: Option<Arc<str>>,
    /// An empty text matches nothing, as in a `query_string` query; else it matches everything, as
    /// in Kibana.
    pub empty_is_nothing: bool,
}

/// Lowers a parsed query string.
///
/// What only a cluster can answer (fuzzy words, words at a distance, some regular expressions)
/// becomes [`Node::Foreign`].
///
/// # Errors
/// `LUC005` for a regular expression that is none.
pub fn lower(expr: &Expr, text: &str, options: &Options) -> Result<Filter, Diagnostic> {
    let lowering = Lowering { text, options };
    if expr.clauses.is_empty() {
        return Ok(Filter::new(if options.empty_is_nothing { Node::Nothing } else { Node::All }));
    }
    let node = lowering.clauses(expr, &Scope::Default, options.least)?;
    Ok(Filter::at(node, Span::new(0, text.len())))
}

/// Where clauses without a field of their own look.
enum Scope<'a> {
    /// In the default fields.
    Default,
    /// In this one.
    Field(&'a Field),
}

/// Whether a clause must, may or must not match.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occur {
    Must,
    Should,
    MustNot,
}

struct Lowering<'t> {
    text: &'t str,
    options: &'t Options,
}

impl Lowering<'_> {
    /// Lucene's reading of a list of clauses: AND makes both of its neighbours required and OR makes
    /// none of them optional again; what is neither required nor prohibited matters only when
    /// nothing is required.
    fn clauses(&self, expr: &Expr, scope: &Scope<'_>, least: Option<Least>) -> Result<Node, Diagnostic> {
        let mut found: Vec<(Occur, Filter)> = Vec::with_capacity(expr.clauses.len());
        for clause in &expr.clauses {
            if let Some((before, _)) = found.last_mut()
                && *before != Occur::MustNot
            {
                match clause.conjunction {
                    Some(Conjunction::And) => *before = Occur::Must,
                    Some(Conjunction::Or) if self.options.all => *before = Occur::Should,
                    _ => {}
                }
            }
            let joined = match clause.conjunction {
                Some(conjunction) => conjunction == Conjunction::And,
                None => self.options.all,
            };
            let occur = match clause.modifier {
                Modifier::Prohibited => Occur::MustNot,
                Modifier::Required => Occur::Must,
                // With AND between clauses by default a lone OR still leaves this one optional.
                Modifier::None if joined => Occur::Must,
                Modifier::None => Occur::Should,
            };
            found.push((occur, Filter::at(self.clause(clause, scope)?, clause.span)));
        }
        let required = found.iter().any(|(occur, _)| *occur == Occur::Must);
        let mut all = Vec::new();
        let mut some = Vec::new();
        for (occur, filter) in found {
            match occur {
                Occur::Must => all.push(filter),
                Occur::Should => some.push(filter),
                Occur::MustNot => {
                    let span = filter.span;
                    all.push(Filter { node: Node::Not(Box::new(filter)), span });
                }
            }
        }
        let enough = match least {
            Some(least) => least.of(some.len()),
            None => usize::from(!required && !some.is_empty()),
        };
        if enough > 0 {
            all.push(Filter::at_least(enough, some));
        }
        Ok(if all.len() == 1 { all.pop().map_or(Node::All, |only| only.node) } else { Node::And(all) })
    }

    fn clause(&self, clause: &Clause, scope: &Scope<'_>) -> Result<Node, Diagnostic> {
        let scope = match (&clause.field, scope) {
            (Some(field), _) => Scope::Field(field),
            (None, Scope::Field(field)) => Scope::Field(field),
            (None, Scope::Default) => Scope::Default,
        };
        if let Body::Group(inner) = &clause.body {
            return self.clauses(inner, &scope, None);
        }
        if let Scope::Field(Field::Exists) = scope {
            return Ok(match name_of(&clause.body) {
                Some(name) => Node::Exists { field: field_pattern(&name) },
                None => Node::Nothing,
            });
        }
        let fields: Vec<Option<FieldPattern>> = match scope {
            Scope::Field(Field::Named(name)) => vec![Some(field_pattern(name))],
            Scope::Default if !self.options.fields.is_empty() => {
                self.options.fields.iter().cloned().map(Some).collect()
            }
            _ => vec![None],
        };
        let mut choices = Vec::with_capacity(fields.len());
        for field in fields {
            choices.push(Filter::at(self.body(clause, field)?, clause.span));
        }
        Ok(Filter::at_least(1, choices).node)
    }

    fn body(&self, clause: &Clause, field: Option<FieldPattern>) -> Result<Node, Diagnostic> {
        Ok(match &clause.body {
            Body::Group(_) => Node::Nothing,
            Body::Term(Pattern(pieces)) => match (pieces.as_slice(), &field) {
                // Which words there are depends on how each field analyses it.
                ([Piece::Literal(text)], None | Some(FieldPattern::Pattern(_)))
                    if self.options.all && !text.chars().all(char::is_alphanumeric) =>
                {
                    self.foreign(clause, field.as_ref(), "all words of a text in any field")
                }
                (pieces, _) => self.term(pieces, field),
            },
            Body::Phrase { text, slop } if slop.as_deref().is_none_or(|slop| slop == "0") => {
                Node::Is { field, value: Arc::clone(text), phrase: true, case: Case::Field }
            }
            Body::Phrase { .. } => self.foreign(clause, field.as_ref(), "words at a distance"),
            Body::Fuzzy { edits, text } if edits.as_deref() == Some("0") => {
                Node::Is { field, value: Arc::clone(text), phrase: false, case: Case::Field }
            }
            Body::Fuzzy { .. } => self.foreign(clause, field.as_ref(), "a fuzzy search"),
            Body::Regexp(expression) => match translate(expression) {
                Ok(_) => Node::Regexp { field, pattern: Arc::clone(expression), case: Case::Field },
                Err(error) if error.only_cluster => self.foreign(clause, field.as_ref(), &error.message),
                Err(error) => return Err(self.not_an_expression(clause, &error)),
            },
            Body::Range { low, high } => {
                let any = || FieldPattern::Pattern(Pattern(vec![Piece::Any]));
                let field = field.unwrap_or_else(any);
                let bounds = self.bounds(low, high);
                if bounds.gt.is_none() && bounds.gte.is_none() && bounds.lt.is_none() && bounds.lte.is_none()
                {
                    Node::Exists { field }
                } else {
                    Node::Range { field, bounds }
                }
            }
        })
    }

    fn term(&self, pieces: &[Piece], field: Option<FieldPattern>) -> Node {
        match pieces {
            [Piece::Any] => field.map_or(Node::All, |field| Node::Exists { field }),
            [Piece::Literal(value)] => self.word(value, field),
            [] => Node::Nothing,
            pieces => Node::Wildcard { field, pattern: Pattern(pieces.to_vec()), case: Case::Field },
        }
    }

    /// A word; `>5` and its kin are comparisons.
    fn word(&self, value: &Arc<str>, field: Option<FieldPattern>) -> Node {
        if let Some(field) = &field {
            for (sign, closed) in [(">=", true), ("<=", true), (">", false), ("<", false)] {
                let Some(rest) = value.strip_prefix(sign).filter(|rest| !rest.is_empty()) else { continue };
                let end = Some(Arc::from(rest));
                let mut bounds = Bounds { zone: self.options.zone.clone(), ..Bounds::default() };
                match (sign.starts_with('>'), closed) {
                    (true, true) => bounds.gte = end,
                    (true, false) => bounds.gt = end,
                    (false, true) => bounds.lte = end,
                    (false, false) => bounds.lt = end,
                }
                return Node::Range { field: field.clone(), bounds };
            }
        }
        match field {
            Some(FieldPattern::Name(name)) if self.options.all => {
                Node::Words { field: name, text: Arc::clone(value), least: Least::ALL }
            }
            field => Node::Is { field, value: Arc::clone(value), phrase: false, case: Case::Field },
        }
    }

    fn bounds(&self, low: &End, high: &End) -> Bounds {
        let mut bounds = Bounds { zone: self.options.zone.clone(), ..Bounds::default() };
        (if low.included { &mut bounds.gte } else { &mut bounds.gt }).clone_from(&low.value);
        (if high.included { &mut bounds.lte } else { &mut bounds.lt }).clone_from(&high.value);
        bounds
    }

    /// The clause as a `query_string` of its own.
    fn foreign(&self, clause: &Clause, field: Option<&FieldPattern>, what: &str) -> Node {
        let mut body = json!({"query": clause.body.to_string(), "analyze_wildcard": true});
        let field = match field {
            None => None,
            Some(FieldPattern::Name(name) | FieldPattern::Exact { name, .. }) => Some(name.to_string()),
            Some(FieldPattern::Pattern(Pattern(pieces))) => {
                let pieces = pieces.iter().map(|piece| match piece {
                    Piece::Literal(text) => text.to_string(),
                    Piece::Any => "*".to_owned(),
                    Piece::One => "?".to_owned(),
                });
                Some(pieces.collect())
            }
        };
        if let (Some(field), Value::Object(body)) = (field, &mut body) {
            body.insert("fields".to_owned(), json!([field]));
        }
        let shown = self.text.get(clause.span.start..clause.span.end).unwrap_or_default();
        Node::Foreign {
            what: format!("{what}, `{shown}`").into(),
            dsl: json!({"query_string": body}).to_string().into(),
        }
    }

    fn not_an_expression(&self, clause: &Clause, error: &RegexpError) -> Diagnostic {
        let found = Diagnostic::error("LUC005", format!("not a regular expression: {error}"))
            .at(self.text, clause.span);
        match error.help {
            Some(help) => found.with_help(help),
            None => found,
        }
    }
}

/// The field that `_exists_:` asks for.
fn name_of(body: &Body) -> Option<Arc<str>> {
    match body {
        Body::Phrase { text, .. } | Body::Fuzzy { text, .. } => Some(Arc::clone(text)),
        Body::Term(Pattern(pieces)) => {
            let pieces = pieces.iter().map(|piece| match piece {
                Piece::Literal(text) => &**text,
                Piece::Any => "*",
                Piece::One => "?",
            });
            Some(pieces.collect::<String>().into())
        }
        _ => None,
    }
}

/// A name; a `*` in it is a wildcard.
fn field_pattern(name: &Arc<str>) -> FieldPattern {
    if name.contains('*') {
        FieldPattern::Pattern(pattern(&name.replace('\\', "\\\\")))
    } else {
        FieldPattern::Name(Arc::clone(name))
    }
}
