//! A filter compiled against a mapping and a "now".

use std::cell::OnceCell;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustc_hash::FxHashMap;
use serde_json::Value;

use super::leaf::LeafTest;
use super::nested::objects;
use super::scalar::Scalar;
use super::target::{depends_on_paths, field_of, targets};
use super::words;
use crate::base::diagnostic::{Diagnostic, Level};
use crate::base::span::Span;
use crate::ecs::catalog;
use crate::ecs::flat::{FlatDoc, flatten};
use crate::ecs::mapping::{Field, Mapping, sorted_paths};
use crate::ecs::types::FieldType;
use crate::query::plan::{FieldPattern, Filter, Node};

/// A filter compiled against a mapping and a "now".
#[derive(Debug, Clone)]
pub struct Matcher {
    program: Program,
    diagnostics: Vec<Diagnostic>,
    unknown: Vec<(Arc<str>, Option<Span>)>,
    mapping: Mapping,
    now: DateTime<Utc>,
    nested: bool,
}

/// A compiled filter and the places its values are gathered in.
#[derive(Debug, Clone)]
struct Program {
    op: Op,
    scope: Option<Arc<str>>,
    /// Leaf path to slot.
    slots: FxHashMap<Box<str>, usize>,
    /// Prefixes (`root.`) of flattened objects whose every leaf counts, and their slots.
    roots: Vec<(Box<str>, usize)>,
    count: usize,
}

#[derive(Debug, Clone)]
enum Op {
    Constant(bool),
    And(Vec<Op>),
    Or(Vec<Op>),
    Not(Box<Op>),
    /// At least so many hold.
    AtLeast(usize, Vec<Op>),
    /// Some value of the slots satisfies its test.
    Leaf(Vec<(usize, LeafTest)>),
    /// Fields depend on which paths the document has.
    Spread(Arc<Filter>),
    Nested(Arc<str>, Box<Program>),
    Scalar(Box<Scalar>),
}

impl Matcher {
    /// Compiles `filter`: field names are resolved, values coerced, date math evaluated at `now`.
    ///
    /// It never fails: what Elasticsearch would refuse matches nothing and is told by
    /// [`Matcher::diagnostics`].
    pub fn compile(filter: &Filter, mapping: &Mapping, now: DateTime<Utc>) -> Self {
        Self::within(filter, mapping, now, None)
    }

    /// As [`Matcher::compile`], for the objects of the nested field `scope`: documents given to it
    /// hold one such object, with full paths.
    pub(super) fn within(
        filter: &Filter,
        mapping: &Mapping,
        now: DateTime<Utc>,
        scope: Option<Arc<str>>,
    ) -> Self {
        let mut compiler =
            Compiler { mapping, now, diagnostics: Vec::new(), unknown: Vec::new(), nested: false };
        let program = compiler.program(filter, scope);
        let Compiler { diagnostics, unknown, nested, .. } = compiler;
        Self { program, diagnostics, unknown, mapping: mapping.clone(), now, nested }
    }

    /// Whether the document with these leaves matches. `source` is needed only by nested filters
    /// ([`Matcher::needs_source`]), which match nothing without it.
    pub fn matches(&self, doc: &FlatDoc, source: Option<&Value>) -> bool {
        self.run(&self.program, doc, source)
    }

    /// What is to be said about the query: values that are none of a field's type (errors, since
    /// Elasticsearch refuses the query), nested fields used outside a nested group, unknown fields
    /// (information, with the catalogued name that is near). Each has the span of its part of the
    /// query, when that is known.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        // Near names are looked for only when someone asks: thousands of rules are compiled.
        let unknown = self.unknown.iter().map(|(name, span)| {
            let message = format!("field `{name}` is not known; it matches nothing until an event has it");
            let mut unknown = Diagnostic::new(Level::Info, "TYPE006", message);
            unknown.help = catalog::nearest(name).map(|near| format!("did you mean `{near}`?"));
            unknown.span = *span;
            unknown
        });
        self.diagnostics.iter().cloned().chain(unknown).collect()
    }

    /// Names of fields that nothing is known of.
    pub fn unknown_fields(&self) -> impl Iterator<Item = &str> {
        self.unknown.iter().map(|(name, _)| &**name)
    }

    /// Whether the filter has a nested part, which is judged on the source.
    pub fn needs_source(&self) -> bool {
        self.nested
    }

    fn run(&self, program: &Program, doc: &FlatDoc, source: Option<&Value>) -> bool {
        let mut values: Vec<Vec<&str>> = vec![Vec::new(); program.count];
        for leaf in doc.iter() {
            let slot = program.slots.get(leaf.path).copied();
            let roots =
                program.roots.iter().filter(|(root, _)| leaf.path.starts_with(&**root)).map(|(_, s)| *s);
            for slot in slot.into_iter().chain(roots) {
                if let Some(values) = values.get_mut(slot) {
                    values.push(leaf.value);
                }
            }
        }
        let view = View { doc, source, values, paths: OnceCell::new(), scope: program.scope.as_deref() };
        self.eval(&program.op, &view)
    }

    fn eval(&self, op: &Op, view: &View<'_>) -> bool {
        match op {
            Op::Constant(verdict) => *verdict,
            Op::And(children) => children.iter().all(|child| self.eval(child, view)),
            Op::Or(children) => children.iter().any(|child| self.eval(child, view)),
            Op::Not(child) => !self.eval(child, view),
            Op::AtLeast(least, children) => {
                children.iter().filter(|child| self.eval(child, view)).take(*least).count() >= *least
            }
            Op::Leaf(tests) => tests.iter().any(|(slot, test)| {
                view.values.get(*slot).is_some_and(|values| values.iter().any(|value| test.test(value)))
            }),
            Op::Spread(filter) => {
                let paths = view.paths.get_or_init(|| sorted_paths(view.doc));
                targets(&filter.node, &self.mapping, paths, view.scope).iter().any(|field| {
                    let test = LeafTest::compile(&filter.node, field, self.now);
                    test.constant()
                        .unwrap_or_else(|| values_of(view.doc, field).any(|value| test.test(value)))
                })
            }
            Op::Scalar(scalar) => scalar.holds(view.doc),
            Op::Nested(path, program) => {
                let Some(source) = view.source else { return false };
                let relative = match view.scope {
                    Some(scope) => path.strip_prefix(scope).and_then(|rest| rest.strip_prefix('.')),
                    None => Some(&**path),
                };
                let Some(relative) = relative else { return false };
                let mut found = Vec::new();
                objects(source, relative, 0, &mut found);
                found.into_iter().any(|object| {
                    let doc = object_document(object, path);
                    self.run(program, &doc, Some(object))
                })
            }
        }
    }
}

/// One object of a nested field as a document of its own, with full paths.
pub(super) fn object_document(object: &Value, path: &str) -> FlatDoc {
    let mut doc = FlatDoc::default();
    flatten(object, &mut path.to_owned(), 0, &mut doc);
    doc
}

/// The values of a field in a document.
pub fn values_of<'d>(doc: &'d FlatDoc, field: &Field) -> impl Iterator<Item = &'d str> {
    let path = field.leaf_path();
    let root = (field.kind == FieldType::Flattened && field.key.is_none()).then(|| format!("{path}."));
    doc.iter()
        .filter(move |leaf| match &root {
            Some(root) => leaf.path.starts_with(root.as_str()),
            None => *leaf.path == *path,
        })
        .map(|leaf| leaf.value)
}

/// A document as a program sees it.
struct View<'d> {
    doc: &'d FlatDoc,
    source: Option<&'d Value>,
    values: Vec<Vec<&'d str>>,
    paths: OnceCell<Vec<Arc<str>>>,
    scope: Option<&'d str>,
}

struct Compiler<'m> {
    mapping: &'m Mapping,
    now: DateTime<Utc>,
    diagnostics: Vec<Diagnostic>,
    unknown: Vec<(Arc<str>, Option<Span>)>,
    nested: bool,
}

impl Compiler<'_> {
    fn program(&mut self, filter: &Filter, scope: Option<Arc<str>>) -> Program {
        let mut program = Program {
            op: Op::Constant(false),
            scope,
            slots: FxHashMap::default(),
            roots: Vec::new(),
            count: 0,
        };
        program.op = self.op(filter, &mut program);
        program
    }

    fn op(&mut self, filter: &Filter, program: &mut Program) -> Op {
        match &filter.node {
            Node::All => Op::Constant(true),
            Node::Nothing => Op::Constant(false),
            Node::And(children) => Op::And(children.iter().map(|child| self.op(child, program)).collect()),
            Node::Or(children) => Op::Or(children.iter().map(|child| self.op(child, program)).collect()),
            Node::Not(child) => Op::Not(Box::new(self.op(child, program))),
            Node::AtLeast { least, of } => {
                Op::AtLeast(*least as usize, of.iter().map(|child| self.op(child, program)).collect())
            }
            Node::Words { field, text, least } => {
                let mut words = words::expand(field, text, *least, self.mapping);
                words.span = filter.span;
                self.op(&words, program)
            }
            Node::Foreign { what, .. } => {
                let error = Diagnostic::error("TYPE008", format!("only a cluster can answer this: {what}"))
                    .with_help("search a cluster, or ask without it");
                self.say(error, filter.span);
                Op::Constant(false)
            }
            Node::Nested { path, inner } => {
                self.nested = true;
                if !self.mapping.entry(path).is_some_and(|entry| entry.kind == FieldType::Nested) {
                    let error = Diagnostic::error("TYPE005", format!("`{path}` is not a nested field"))
                        .with_help("only a field that the mapping declares `nested` has objects of its own");
                    self.say(error, filter.span);
                    return Op::Constant(false);
                }
                Op::Nested(Arc::clone(path), Box::new(self.program(inner, Some(Arc::clone(path)))))
            }
            Node::Scalar { expr, .. } => {
                let scalar = Scalar::compile(expr, self.mapping, self.now);
                for (name, field) in scalar.fields() {
                    if field.is_none() {
                        self.unknown(name, filter.span);
                    }
                }
                Op::Scalar(Box::new(scalar))
            }
            node if depends_on_paths(node, self.mapping) => Op::Spread(Arc::new(filter.clone())),
            node => self.leaf(node, filter.span, program),
        }
    }

    /// A leaf on a named field.
    fn leaf(&mut self, node: &Node, span: Option<Span>, program: &mut Program) -> Op {
        let (name, optional) = match field_of(node) {
            Some(FieldPattern::Name(name)) => (name, false),
            Some(FieldPattern::Exact { name, optional }) => (name, *optional),
            _ => return Op::Constant(false),
        };
        let Some(field) = self.mapping.resolve(name) else {
            if !optional {
                self.unknown(name, span);
            }
            return Op::Constant(false);
        };
        if field.nested.as_deref() != program.scope.as_deref() {
            let (code, message) = match (&field.nested, &program.scope) {
                (Some(nested), None) => (
                    "TYPE004",
                    format!("`{name}` lies in the nested field `{nested}` and needs `{nested}:{{ … }}`"),
                ),
                (_, Some(scope)) => {
                    ("TYPE004", format!("`{name}` does not lie in the nested field `{scope}`"))
                }
                (None, None) => return Op::Constant(false),
            };
            self.say(Diagnostic::error(code, message), span);
            return Op::Constant(false);
        }
        let mut tests = Vec::new();
        for field in targets(node, self.mapping, &[], program.scope.as_deref()) {
            match LeafTest::try_compile(node, &field, self.now) {
                Ok(test) => match test.constant() {
                    Some(verdict) => return Op::Constant(verdict),
                    None => tests.push((program.slot(&field), test)),
                },
                Err(error) => {
                    self.say(error, span);
                    return Op::Constant(false);
                }
            }
        }
        Op::Leaf(tests)
    }

    fn unknown(&mut self, name: &Arc<str>, span: Option<Span>) {
        if !self.unknown.iter().any(|(known, _)| known == name) {
            self.unknown.push((Arc::clone(name), span));
        }
    }

    fn say(&mut self, mut diagnostic: Diagnostic, span: Option<Span>) {
        diagnostic.span = span;
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }
}

impl Program {
    fn slot(&mut self, field: &Field) -> usize {
        let path = field.leaf_path();
        if field.kind == FieldType::Flattened && field.key.is_none() {
            let root = format!("{path}.");
            if let Some((_, slot)) = self.roots.iter().find(|(known, _)| **known == *root) {
                return *slot;
            }
            self.roots.push((root.into(), self.count));
            self.count += 1;
            return self.count - 1;
        }
        let next = self.count;
        let slot = *self.slots.entry(Box::from(&*path)).or_insert(next);
        if slot == next {
            self.count += 1;
        }
        slot
    }
}
