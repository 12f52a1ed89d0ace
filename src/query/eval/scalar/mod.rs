//! Scalar expressions on a document: EQL's computed conditions.
//!
//! A document may have several values of a field. An expression is true for the document when it
//! is for some choice of one value of each field; a field without values is `null`.

mod function;
mod value;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::leaf::LeafTest;
use super::target::exact_field;
use super::values_of;
use super::wildcard::{Wildcard, fold};
use crate::ecs::flat::FlatDoc;
use crate::ecs::mapping::{Field, Mapping};
use crate::ecs::types::FieldType;
use crate::query::plan::{
    Arithmetic, Case, Comparison, Constant, Expr, FieldPattern, FunctionCall, Node, Pattern,
};
pub use value::Value;

/// Most choices of values that are tried for one document.
const CHOICES: usize = 1 << 20;

/// An expression compiled for a mapping.
#[derive(Debug, Clone)]
pub struct Scalar {
    op: Op,
    fields: Vec<Source>,
}

/// Where the values of a field come from.
#[derive(Debug, Clone)]
struct Source {
    name: Arc<str>,
    /// `None`: nothing is known of it, so it has none.
    field: Option<Field>,
    /// Whether a value is one its type can hold.
    readable: LeafTest,
}

#[derive(Debug, Clone)]
enum Op {
    Constant(Value<'static>),
    Field(usize),
    And(Vec<Op>),
    Or(Vec<Op>),
    Not(Box<Op>),
    IsNull(Box<Op>),
    Compare(Comparison, Box<Op>, Box<Op>),
    Arithmetic(Arithmetic, Box<Op>, Box<Op>),
    Negate(Box<Op>),
    In(Box<Op>, Vec<Op>, bool),
    Like(Box<Op>, Vec<Wildcard>),
    Regexp(Box<Op>, Vec<LeafTest>),
    Call(FunctionCall, Vec<Op>),
}

impl Scalar {
    /// Compiles `expr`. Never fails: a field that nothing is known of has no values, a regular
    /// expression that cannot be run matches nothing.
    pub fn compile(expr: &Expr, mapping: &Mapping, now: DateTime<Utc>) -> Self {
        let mut compiler = Compiler { mapping, now, fields: Vec::new() };
        let op = compiler.op(expr);
        Self { op, fields: compiler.fields }
    }

    /// Names of the fields, with what the mapping knows of them.
    pub fn fields(&self) -> impl Iterator<Item = (&Arc<str>, Option<&Field>)> {
        self.fields.iter().map(|source| (&source.name, source.field.as_ref()))
    }

    /// Whether the expression is true for some choice of values. Choices beyond a million are not
    /// tried.
    pub fn holds(&self, doc: &FlatDoc) -> bool {
        let values: Vec<Vec<Value<'_>>> = self.fields.iter().map(|source| source.values(doc)).collect();
        let mut choice = vec![0_usize; values.len()];
        for _ in 0..CHOICES {
            if self.op.eval(&View { values: &values, choice: &choice }) == Value::Bool(true) {
                return true;
            }
            // The next choice, counting like a clock.
            let mut at = 0;
            loop {
                let (Some(place), Some(all)) = (choice.get_mut(at), values.get(at)) else { return false };
                *place += 1;
                if *place < all.len() {
                    break;
                }
                *place = 0;
                at += 1;
            }
        }
        false
    }

    /// Its values for all choices of values, in order.
    pub fn choices<'d>(&'d self, doc: &'d FlatDoc) -> Vec<Value<'static>> {
        match &self.op {
            Op::Field(0) => self
                .fields
                .first()
                .map(|source| source.values(doc).into_iter().map(Value::into_owned).collect())
                .unwrap_or_default(),
            _ => vec![self.first(doc).into_owned()],
        }
    }

    /// Its value for the first value of each field.
    pub fn first<'d>(&'d self, doc: &'d FlatDoc) -> Value<'d> {
        let values: Vec<Vec<Value<'d>>> = self.fields.iter().map(|source| source.values(doc)).collect();
        let choice = vec![0; values.len()];
        self.op.eval(&View { values: &values, choice: &choice }).into_owned()
    }
}

impl Source {
    /// Its values in a document; `null` alone when it has none.
    fn values<'d>(&'d self, doc: &'d FlatDoc) -> Vec<Value<'d>> {
        let Some(field) = &self.field else { return vec![Value::Null] };
        let mut values: Vec<Value<'d>> = match &field.constant {
            Some(constant) if field.kind == FieldType::ConstantKeyword => vec![Value::read(constant, field)],
            _ => values_of(doc, field)
                .filter(|text| self.readable.test(text))
                .map(|text| Value::read(text, field))
                .collect(),
        };
        if values.is_empty() {
            values.push(Value::Null);
        }
        values
    }
}

struct Compiler<'m> {
    mapping: &'m Mapping,
    now: DateTime<Utc>,
    fields: Vec<Source>,
}

impl Compiler<'_> {
    fn op(&mut self, expr: &Expr) -> Op {
        match expr {
            Expr::Constant(constant) => Op::Constant(match constant {
                Constant::Null => Value::Null,
                Constant::Bool(value) => Value::Bool(*value),
                Constant::Whole(value) => Value::Whole(i128::from(*value)),
                Constant::Float(value) => Value::Float(f64::from(*value)),
                Constant::Text(text) => Value::Text(text.to_string().into()),
            }),
            Expr::Field { name, optional } => self.field(name, *optional),
            Expr::And(all) => Op::And(self.all(all)),
            Expr::Or(all) => Op::Or(self.all(all)),
            Expr::Not(inner) => Op::Not(self.boxed(inner)),
            Expr::IsNull(inner) => Op::IsNull(self.boxed(inner)),
            Expr::Compare(comparison, left, right) => {
                let (left, right) = (self.boxed(left), self.boxed(right));
                // An unknown optional field is the constant `null`, and so asks for values.
                let null = |op: &Op| matches!(op, Op::Constant(Value::Null));
                let other = if null(&right) {
                    left
                } else if null(&left) {
                    right
                } else {
                    return Op::Compare(*comparison, left, right);
                };
                match comparison {
                    Comparison::Equal => Op::IsNull(other),
                    Comparison::NotEqual => Op::Not(Box::new(Op::IsNull(other))),
                    _ => Op::Constant(Value::Null),
                }
            }
            Expr::Arithmetic(operation, left, right) => {
                Op::Arithmetic(*operation, self.boxed(left), self.boxed(right))
            }
            Expr::Negate(inner) => Op::Negate(self.boxed(inner)),
            Expr::In { value, list, insensitive } => Op::In(self.boxed(value), self.all(list), *insensitive),
            Expr::Like { value, patterns, insensitive } => {
                let patterns = patterns.iter().map(|pattern: &Pattern| Wildcard::new(pattern, *insensitive));
                Op::Like(self.boxed(value), patterns.collect())
            }
            Expr::Regexp { value, patterns, insensitive } => {
                let field = Field::new("", FieldType::Keyword);
                let case = if *insensitive { Case::Insensitive } else { Case::Field };
                let tests = patterns.iter().map(|pattern| {
                    let node = Node::Regexp { field: None, pattern: Arc::clone(pattern), case };
                    LeafTest::compile(&node, &field, self.now)
                });
                let tests = tests.collect();
                Op::Regexp(self.boxed(value), tests)
            }
            Expr::Call(call, arguments) => Op::Call(*call, self.all(arguments)),
        }
    }

    fn boxed(&mut self, expr: &Expr) -> Box<Op> {
        Box::new(self.op(expr))
    }

    fn all(&mut self, all: &[Expr]) -> Vec<Op> {
        all.iter().map(|expr| self.op(expr)).collect()
    }

    fn field(&mut self, name: &Arc<str>, optional: bool) -> Op {
        if let Some(known) = self.fields.iter().position(|source| source.name == *name) {
            return Op::Field(known);
        }
        let field = exact_field(name, self.mapping).filter(|field| !field.kind.is_object());
        if field.is_none() && optional {
            return Op::Constant(Value::Null);
        }
        let readable = match &field {
            None => LeafTest::never(),
            Some(field) => {
                let node = Node::Exists { field: FieldPattern::Name(Arc::clone(name)) };
                LeafTest::compile(&node, field, self.now)
            }
        };
        self.fields.push(Source { name: Arc::clone(name), field, readable });
        Op::Field(self.fields.len() - 1)
    }
}

/// The chosen value of each field.
struct View<'v, 'd> {
    values: &'v [Vec<Value<'d>>],
    choice: &'v [usize],
}

impl Op {
    fn eval<'v>(&'v self, view: &View<'v, 'v>) -> Value<'v> {
        match self {
            Self::Constant(value) => value.borrowed(),
            Self::Field(number) => {
                let place = view.choice.get(*number).copied().unwrap_or(0);
                let value = view.values.get(*number).and_then(|values| values.get(place));
                value.map_or(Value::Null, Value::borrowed)
            }
            Self::And(all) => junction(all, view, false),
            Self::Or(all) => junction(all, view, true),
            Self::Not(inner) => match inner.eval(view) {
                Value::Bool(value) => Value::Bool(!value),
                _ => Value::Null,
            },
            Self::IsNull(inner) => Value::Bool(inner.eval(view) == Value::Null),
            Self::Compare(comparison, left, right) => {
                value::compare(*comparison, &left.eval(view), &right.eval(view))
            }
            Self::Arithmetic(operation, left, right) => {
                value::arithmetic(*operation, &left.eval(view), &right.eval(view))
            }
            Self::Negate(inner) => {
                value::arithmetic(Arithmetic::Subtract, &Value::Whole(0), &inner.eval(view))
            }
            Self::In(value, list, insensitive) => contained(&value.eval(view), list, *insensitive, view),
            Self::Like(value, patterns) => match value.eval(view).text() {
                Some(text) => Value::Bool(patterns.iter().any(|pattern| pattern.matches(text))),
                None => Value::Null,
            },
            Self::Regexp(value, tests) => match value.eval(view).text() {
                Some(text) => Value::Bool(tests.iter().any(|test| test.test(text))),
                None => Value::Null,
            },
            Self::Call(call, arguments) => {
                let arguments: Vec<Value<'v>> = arguments.iter().map(|op| op.eval(view)).collect();
                function::call(*call, &arguments)
            }
        }
    }
}

/// `and` (`decides` false) or `or` (true): a value that decides, else `null` if there is one.
fn junction<'v>(all: &'v [Op], view: &View<'v, 'v>, decides: bool) -> Value<'v> {
    let mut unknown = false;
    for op in all {
        match op.eval(view) {
            Value::Bool(value) if value == decides => return Value::Bool(decides),
            Value::Bool(_) => {}
            _ => unknown = true,
        }
    }
    if unknown { Value::Null } else { Value::Bool(!decides) }
}

/// Whether a value is one of a list: `null` when it is `null`, or when it may be a `null` in it.
fn contained<'v>(value: &Value<'_>, list: &'v [Op], insensitive: bool, view: &View<'v, 'v>) -> Value<'v> {
    let mut unknown = *value == Value::Null;
    for op in list {
        let item = op.eval(view);
        let equal = match (insensitive, value.text(), item.text()) {
            (true, Some(a), Some(b)) => Value::Bool(fold(a) == fold(b)),
            _ => value::compare(Comparison::Equal, value, &item),
        };
        match equal {
            Value::Bool(true) => return equal,
            Value::Bool(false) => {}
            _ => unknown = true,
        }
    }
    if unknown { Value::Null } else { Value::Bool(false) }
}
