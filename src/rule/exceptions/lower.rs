//! What an exception item means.

use std::sync::Arc;

use super::item::{Entry, Item, Test};
use super::values::{ListType, ends};
use crate::query::plan::values::{TextSet, ValueSet};
use crate::query::plan::{Bounds, Case, FieldPattern, Filter, Node, Pattern, Piece};

/// Gives a value list.
type Lists<'l> = dyn FnMut(&str, ListType) -> Result<Arc<ValueSet>, String> + 'l;

/// The events an item is about.
///
/// # Errors
/// Why a value list that it names cannot be used.
pub(super) fn filter(item: &Item, lists: &mut Lists<'_>) -> Result<Filter, String> {
    let mut all = each(&item.entries, None, lists)?;
    if !item.os_types.is_empty() {
        // Agents say in two fields what they run on.
        let systems = item.os_types.iter().flat_map(|system| {
            ["host.os.type", "host.os.name.caseless"].map(|field| Filter::new(is(field, system)))
        });
        all.push(Filter::new(Node::Or(systems.collect())));
    }
    Ok(if all.len() == 1 {
        all.pop().unwrap_or_else(|| Filter::new(Node::Nothing))
    } else {
        Filter::new(Node::And(all))
    })
}

fn each(entries: &[Entry], path: Option<&str>, lists: &mut Lists<'_>) -> Result<Vec<Filter>, String> {
    entries.iter().map(|entry| one(entry, path, lists)).collect()
}

fn one(entry: &Entry, path: Option<&str>, lists: &mut Lists<'_>) -> Result<Filter, String> {
    let field = match path {
        Some(path) => format!("{path}.{}", entry.field),
        None => entry.field.clone(),
    };
    let node = match &entry.test {
        Test::Match(value) => is(&field, value),
        Test::MatchAny(values) => match values.as_slice() {
            [only] => is(&field, only),
            values => {
                let set = ValueSet::of(values).map_err(|error| error.to_string())?;
                Node::OneOf { field: name(&field), values: Arc::new(set) }
            }
        },
        Test::Wildcard(pattern) => {
            Node::Wildcard { field: Some(name(&field)), pattern: wildcards(pattern), case: Case::Field }
        }
        Test::Exists => Node::Exists { field: name(&field) },
        Test::Nested(entries) => {
            let inner = Filter::new(Node::And(each(entries, Some(&field), lists)?));
            Node::Nested { path: Arc::from(field), inner: Box::new(inner) }
        }
        Test::List { id, kind: kind @ ListType::NumberRange } => ranges(&field, &*lists(id, *kind)?),
        Test::List { id, kind } => Node::OneOf { field: name(&field), values: lists(id, *kind)? },
    };
    let filter = Filter::new(node);
    Ok(if entry.included { filter } else { Filter::new(Node::Not(Box::new(filter))) })
}

/// A number in one of some ranges.
fn ranges(field: &str, values: &ValueSet) -> Node {
    let texts = values.as_texts().into_iter().flat_map(TextSet::iter);
    let range = |(low, high): (&str, &str)| {
        let bounds = Bounds { gte: Some(Arc::from(low)), lte: Some(Arc::from(high)), ..Bounds::default() };
        Filter::new(Node::Range { field: name(field), bounds })
    };
    Node::Or(texts.filter_map(ends).map(range).collect())
}

fn name(field: &str) -> FieldPattern {
    FieldPattern::Name(Arc::from(field))
}

fn is(field: &str, value: &str) -> Node {
    Node::Is { field: Some(name(field)), value: Arc::from(value), phrase: true, case: Case::Field }
}

/// A pattern in which a backslash is itself.
fn wildcards(text: &str) -> Pattern {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    for c in text.chars().map(Some).chain([None]) {
        let wildcard = match c {
            Some('*') => Some(Piece::Any),
            Some('?') => Some(Piece::One),
            Some(other) => {
                literal.push(other);
                continue;
            }
            None => None,
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
        }
        pieces.extend(wildcard);
    }
    Pattern(pieces)
}
