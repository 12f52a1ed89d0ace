//! Which fields a name, a pattern of names, or no name at all stands for.

use std::sync::Arc;

use super::wildcard::Wildcard;
use crate::ecs::mapping::{Field, Mapping};
use crate::ecs::types::FieldType;
use crate::query::plan::{FieldPattern, Node};

/// The field or pattern a leaf is about; `None` for other nodes and for bare values.
pub fn field_of(node: &Node) -> Option<&FieldPattern> {
    match node {
        Node::Exists { field } | Node::OneOf { field, .. } | Node::Range { field, .. } => Some(field),
        Node::Is { field, .. } | Node::Wildcard { field, .. } | Node::Regexp { field, .. } => field.as_ref(),
        _ => None,
    }
}

/// Whether a node judges values one by one (`Exists`, `Is`, `Wildcard`, `Regexp`, `OneOf`, `Range`).
pub fn is_leaf(node: &Node) -> bool {
    matches!(
        node,
        Node::Exists { .. }
            | Node::Is { .. }
            | Node::Wildcard { .. }
            | Node::Regexp { .. }
            | Node::OneOf { .. }
            | Node::Range { .. }
    )
}

/// The fields whose values decide a leaf, given the paths that exist (sorted): the leaf holds
/// when it holds on one of them that can be seen ([`visible`]).
///
/// - A name is that field; `Exists` of an object is every field below it; an unknown name is none.
/// - A pattern is every existing field, multi-field and alias whose whole name matches.
/// - No field (a bare value) is every existing field.
pub fn fields(node: &Node, mapping: &Mapping, paths: &[Arc<str>]) -> Vec<Field> {
    match field_of(node) {
        Some(FieldPattern::Name(name)) => match mapping.resolve(name) {
            None => Vec::new(),
            Some(field) if field.kind.is_object() => match node {
                Node::Exists { .. } => mapping.leaves_below(name, paths),
                _ => Vec::new(),
            },
            Some(field) if field.kind == FieldType::GeoPoint && matches!(node, Node::Exists { .. }) => {
                // A point may be written as an object of latitude and longitude.
                let part = |part| Field { path: format!("{}.{part}", field.path).into(), ..field.clone() };
                vec![part("lat"), part("lon"), field]
            }
            Some(field) => vec![field],
        },
        Some(FieldPattern::Exact { name, .. }) => match exact_field(name, mapping) {
            Some(field) if field.kind.is_object() => match node {
                Node::Exists { .. } => mapping.leaves_below(name, paths),
                _ => Vec::new(),
            },
            field => field.into_iter().collect(),
        },
        Some(FieldPattern::Pattern(pattern)) => {
            let pattern = Wildcard::new(pattern, false);
            mapping.expand(|name| pattern.matches(name), paths)
        }
        None if is_leaf(node) => mapping.expand(|_| true, paths),
        None => Vec::new(),
    }
}

/// Whether a leaf sees the values of `field` when the objects of the nested field `scope` are
/// looked at (`None`: the document itself): fields of other objects cannot be seen, except that a
/// pattern of names outside a group takes in nested fields as well (Kibana wraps them).
pub fn visible(node: &Node, field: &Field, scope: Option<&str>) -> bool {
    let by_pattern = matches!(field_of(node), Some(FieldPattern::Pattern(_)));
    field.nested.as_deref() == scope || (scope.is_none() && by_pattern)
}

/// [`fields`] that are [`visible`].
pub fn targets(node: &Node, mapping: &Mapping, paths: &[Arc<str>], scope: Option<&str>) -> Vec<Field> {
    let mut fields = fields(node, mapping, paths);
    fields.retain(|field| visible(node, field, scope));
    fields
}

/// Whether the fields of a leaf depend on which paths exist, so that they must be found anew for
/// every batch of documents.
pub fn depends_on_paths(node: &Node, mapping: &Mapping) -> bool {
    match field_of(node) {
        Some(FieldPattern::Name(name) | FieldPattern::Exact { name, .. }) => {
            matches!(node, Node::Exists { .. })
                && mapping.resolve(name).is_some_and(|field| field.kind.is_object())
        }
        Some(FieldPattern::Pattern(_)) => true,
        None => is_leaf(node),
    }
}

/// The field `name` in its exact form: analysed text becomes the keyword that its multi-field is,
/// or one without a limit where it has none.
pub fn exact_field(name: &str, mapping: &Mapping) -> Option<Field> {
    let field = mapping.resolve(name)?;
    if !field.kind.is_text() {
        return Some(field);
    }
    let prefix = format!("{name}.");
    let keyword = mapping
        .below(&prefix)
        .find(|(_, entry)| entry.multi && entry.kind.is_keyword_like())
        .and_then(|(path, _)| mapping.resolve(path));
    Some(keyword.unwrap_or(Field { kind: FieldType::Keyword, others: None, ..field }))
}
