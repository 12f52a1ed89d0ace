//! From filters to numbered predicates and expressions over them.

use std::borrow::Borrow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustc_hash::FxHashMap;

use super::event::Hooks;
use super::expr::Expr;
use super::values::{ColumnIndex, Need, ValueIndexBuilder};
use super::{CompiledFilter, Kernel, PredicateId};
use crate::ecs::mapping::{Field, Mapping};
use crate::ecs::types::FieldType;
use crate::query::eval::leaf::LeafTest;
use crate::query::eval::target::{depends_on_paths, targets};
use crate::query::eval::words;
use crate::query::plan::{FieldPattern, Filter, Node};

/// What makes two predicates the same: how the field is read, and the leaf without its field.
type PredicateKey = (Field, Node);

#[derive(Default)]
struct ColumnBuilder {
    plain: ValueIndexBuilder,
    keyed: FxHashMap<Arc<str>, ValueIndexBuilder>,
    flattened: bool,
}

struct Compiler<'a> {
    mapping: &'a Mapping,
    existing: &'a [Arc<str>],
    now: DateTime<Utc>,
    by_path: FxHashMap<Arc<str>, u32>,
    paths: Vec<Arc<str>>,
    columns: Vec<ColumnBuilder>,
    predicates: FxHashMap<PredicateKey, PredicateId>,
    home: Vec<u32>,
    /// By predicate: how often it may hold compared with others on its column, 0 to 1.
    weight: Vec<f64>,
    /// By column: number of exact texts asked for.
    terms: Vec<u32>,
}

/// An expression and whether it is the filter exactly; otherwise it is implied by the filter.
struct Upper {
    expr: Expr,
    exact: bool,
}

pub(super) fn compile<F: Borrow<Filter>>(
    filters: &[F],
    mapping: &Mapping,
    existing: &[Arc<str>],
    now: DateTime<Utc>,
) -> Kernel {
    let mut compiler = Compiler {
        mapping,
        existing,
        now,
        by_path: FxHashMap::default(),
        paths: Vec::new(),
        columns: Vec::new(),
        predicates: FxHashMap::default(),
        home: Vec::new(),
        weight: Vec::new(),
        terms: Vec::new(),
    };
    let uppers: Vec<Upper> = filters.iter().map(|f| compiler.upper(f.borrow(), None)).collect();
    compiler.finish(uppers)
}

impl Compiler<'_> {
    fn upper(&mut self, filter: &Filter, nested: Option<&str>) -> Upper {
        match &filter.node {
            Node::All | Node::AtLeast { least: 0, .. } => Upper { expr: Expr::True, exact: true },
            // What only a cluster answers is refused before anything is searched.
            Node::Nothing | Node::Foreign { .. } => Upper { expr: Expr::False, exact: true },
            Node::And(children) => {
                let (exprs, exact) = self.uppers(children, nested);
                Upper { expr: Expr::and(exprs), exact }
            }
            Node::Or(children) => {
                let (exprs, exact) = self.uppers(children, nested);
                Upper { expr: Expr::or(exprs), exact }
            }
            Node::Not(child) => {
                let child = self.upper(child, nested);
                if child.exact {
                    Upper { expr: Expr::negate(child.expr), exact: true }
                } else {
                    // What implies the child says nothing about where the child is false.
                    Upper { expr: Expr::True, exact: false }
                }
            }
            Node::AtLeast { of, .. } => {
                // Some of them hold wherever enough of them do; how many is for the document.
                let (exprs, _) = self.uppers(of, nested);
                Upper { expr: Expr::or(exprs), exact: false }
            }
            Node::Words { field, text, least } => {
                let words = words::expand(field, text, *least, self.mapping);
                self.upper(&words, nested)
            }
            Node::Nested { path, inner } => {
                // A row whose values satisfy the inner filter may have them in different objects.
                let inner = self.upper(inner, Some(path));
                Upper { expr: inner.expr, exact: false }
            }
            // It is judged on the document, where the necessary part holds.
            Node::Scalar { necessary, .. } => {
                Upper { expr: self.upper(necessary, nested).expr, exact: false }
            }
            leaf @ (Node::Exists { .. }
            | Node::Is { .. }
            | Node::Wildcard { .. }
            | Node::Regexp { .. }
            | Node::OneOf { .. }
            | Node::Range { .. }) => self.leaf(leaf, nested),
        }
    }

    fn uppers(&mut self, children: &[Filter], nested: Option<&str>) -> (Vec<Expr>, bool) {
        let mut exact = true;
        let exprs = children
            .iter()
            .map(|child| {
                let upper = self.upper(child, nested);
                exact &= upper.exact;
                upper.expr
            })
            .collect();
        (exprs, exact)
    }

    fn leaf(&mut self, node: &Node, nested: Option<&str>) -> Upper {
        let open = depends_on_paths(node, self.mapping);
        let mut exprs = Vec::new();
        for field in targets(node, self.mapping, self.existing, nested) {
            let test = LeafTest::compile(node, &field, self.now);
            exprs.push(match test.constant() {
                // A pattern of names stands for the paths a document has, so the constant counts
                // for the documents that spell it out.
                Some(true) if open => {
                    let field = Field::new(&field.path, FieldType::Keyword);
                    let node = Node::Exists { field: FieldPattern::Name(field.path.clone()) };
                    let test = LeafTest::compile(&node, &field, self.now);
                    Expr::Is(self.predicate(&node, field, test))
                }
                Some(true) => Expr::True,
                Some(false) => Expr::False,
                None if test.is_never() => Expr::False,
                None => Expr::Is(self.predicate(node, field, test)),
            });
        }
        // Values of different objects of a nested field lie side by side in the columns.
        Upper { expr: Expr::or(exprs), exact: nested.is_none() }
    }

    fn predicate(&mut self, node: &Node, field: Field, test: LeafTest) -> PredicateId {
        let key = (field, anonymous(node));
        if let Some(id) = self.predicates.get(&key) {
            return *id;
        }
        let field = &key.0;
        let id = PredicateId::try_from(self.home.len()).unwrap_or(PredicateId::MAX);
        let need = need(&test);
        let number = self.column(&field.path);
        let asked = match &need {
            Need::Exactly(texts) => texts.len(),
            Need::Literal(_) | Need::Folded(_) => 1,
            Need::Nothing => 0,
        };
        if let Some(terms) = self.terms.get_mut(number as usize) {
            *terms = terms.saturating_add(u32::try_from(asked).unwrap_or(u32::MAX));
        }
        // A text inside a value says less than a whole value; a test without any may always hold.
        let weight = match &need {
            Need::Exactly(_) => 1.0,
            Need::Literal(_) | Need::Folded(_) => 1.5,
            Need::Nothing => 100.0,
        };
        if let Some(column) = self.columns.get_mut(number as usize) {
            column.flattened |= field.kind == FieldType::Flattened;
            let values = match &field.key {
                None => &mut column.plain,
                Some(key) => column.keyed.entry(key.clone()).or_default(),
            };
            values.add(id, need, test);
        }
        self.home.push(number);
        self.weight.push(weight);
        self.predicates.insert(key, id);
        id
    }

    fn column(&mut self, path: &Arc<str>) -> u32 {
        if let Some(number) = self.by_path.get(path) {
            return *number;
        }
        let number = u32::try_from(self.columns.len()).unwrap_or(u32::MAX);
        self.by_path.insert(path.clone(), number);
        self.paths.push(path.clone());
        self.columns.push(ColumnBuilder::default());
        self.terms.push(0);
        number
    }

    fn finish(self, uppers: Vec<Upper>) -> Kernel {
        let Self { paths, columns, home, weight, terms, .. } = self;
        let cost = |id: PredicateId| {
            let column = home.get(id as usize).copied().unwrap_or(0);
            let terms = terms.get(column as usize).copied().unwrap_or(0);
            // The more texts of a column are asked for, the less one of them says about it.
            weight.get(id as usize).copied().unwrap_or(1.0) / f64::from(terms.max(1))
        };
        let exprs: Vec<&Expr> = uppers.iter().map(|upper| &upper.expr).collect();
        let mut hooks = Hooks::new(&exprs, home.len(), &cost);
        let mut indexes = Vec::with_capacity(columns.len());
        for ((number, column), path) in (0u32..).zip(columns).zip(paths) {
            if column.flattened {
                let mut keys: Vec<&Arc<str>> = column.keyed.keys().collect();
                keys.sort();
                for key in keys {
                    hooks.add_path(format!("{path}.{key}").into(), number, Some(key.clone()));
                }
                hooks.add_root(&path, number);
            } else {
                hooks.add_path(path.clone(), number, None);
            }
            indexes.push(ColumnIndex {
                path,
                plain: column.plain.build(),
                keyed: column.keyed.into_iter().map(|(key, values)| (key, values.build())).collect(),
                flattened: column.flattened,
            });
        }
        let filters = uppers
            .into_iter()
            .map(|upper| {
                let mut columns = Vec::new();
                upper.expr.for_each(&mut |id| columns.extend(home.get(id as usize).copied()));
                columns.sort_unstable();
                columns.dedup();
                CompiledFilter { expr: upper.expr, needs_document: !upper.exact, columns: columns.into() }
            })
            .collect();
        Kernel { columns: indexes, home, filters, hooks }
    }
}

/// The leaf without its field, which the resolved field replaces.
fn anonymous(node: &Node) -> Node {
    let name = || FieldPattern::Name(Arc::from(""));
    match node {
        Node::Exists { .. } => Node::Exists { field: name() },
        Node::Is { value, phrase, case, .. } => {
            Node::Is { field: None, value: value.clone(), phrase: *phrase, case: *case }
        }
        Node::Wildcard { pattern, case, .. } => {
            Node::Wildcard { field: None, pattern: pattern.clone(), case: *case }
        }
        Node::Regexp { pattern, case, .. } => {
            Node::Regexp { field: None, pattern: pattern.clone(), case: *case }
        }
        Node::OneOf { values, .. } => Node::OneOf { field: name(), values: values.clone() },
        Node::Range { bounds, .. } => Node::Range { field: name(), bounds: bounds.clone() },
        other => other.clone(),
    }
}

/// What a value must have for `test` to be worth asking.
fn need(test: &LeafTest) -> Need {
    if let Some(texts) = test.exact() {
        return Need::Exactly(texts.to_vec());
    }
    let folded = test.folded();
    let literals = test.literals().iter().filter(|text| !text.is_empty() && (!folded || text.is_ascii()));
    match literals.max_by_key(|text| text.len()) {
        None => Need::Nothing,
        Some(text) if folded => Need::Folded(text.clone()),
        Some(text) => Need::Literal(text.clone()),
    }
}
