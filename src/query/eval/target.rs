//! Which fields a name, a pattern of names, or no name at all stands for.

use std::sync::Arc;

use super::wildcard::Wildcard;
use crate::ecs::mapping::{Field, Mapping};
use crate::ecs::types::FieldType;
use crate::query::plan::{FieldPattern, Node};

/// The field or pattern a leaf is about; `None` for other nodes and for bare values.
pub fn field_of(node: &Node) -> Option<&FieldPattern> {
    match node {
        Node::Exists { field } | Node::Range { field, .. } => Some(field),
        Node::Is { field, .. } | Node::Wildcard { field, .. } => field.as_ref(),
        _ => None,
    }
}

/// Whether a node judges values (`Exists`, `Is`, `Wildcard`, `Range`).
pub fn is_leaf(node: &Node) -> bool {
    matches!(node, Node::Exists { .. } | Node::Is { .. } | Node::Wildcard { .. } | Node::Range { .. })
}

/// The fields whose values decide a leaf, given the paths that exist (sorted): the leaf holds
/// when it holds on one of them.
///
/// - A name is that field; `Exists` of an object is every field below it; an unknown name is none.
/// - A pattern is every existing field, multi-field and alias whose whole name matches, nested
///   ones included (Kibana wraps them).
/// - No field (a bare value) is every existing field that does not lie in a nested object.
///
/// `scope` is the nested object whose fields are looked at: fields outside it cannot be seen, and
/// without one fields in nested objects cannot.
pub fn targets(node: &Node, mapping: &Mapping, paths: &[Arc<str>], scope: Option<&str>) -> Vec<Field> {
    let visible = |field: &Field| field.nested.as_deref() == scope;
    let mut fields = match field_of(node) {
        Some(FieldPattern::Name(name)) => match mapping.resolve(name) {
            None => Vec::new(),
            Some(field) if holds_below(&field) && matches!(node, Node::Exists { .. }) => {
                mapping.leaves_below(name, paths)
            }
            Some(field) if field.kind == FieldType::GeoPoint && matches!(node, Node::Exists { .. }) => {
                // A point may be written as an object of latitude and longitude.
                let mut fields = vec![field.clone()];
                for part in ["lat", "lon"] {
                    fields.push(Field { path: format!("{}.{part}", field.path).into(), ..field.clone() });
                }
                fields
            }
            Some(field) => vec![field],
        },
        Some(FieldPattern::Pattern(pattern)) => {
            let pattern = Wildcard::new(pattern, false);
            let mut fields = mapping.expand(|name| pattern.matches(name), paths);
            if scope.is_some() {
                fields.retain(visible);
            }
            return fields;
        }
        None if is_leaf(node) => mapping.expand(|_| true, paths),
        None => Vec::new(),
    };
    fields.retain(visible);
    fields
}

/// Whether a field is an object, whose existence is that of the fields below it.
pub fn holds_below(field: &Field) -> bool {
    field.kind.is_object()
}

/// Whether the fields of a leaf depend on which paths exist, so that they must be found anew for
/// every batch of documents.
pub fn depends_on_paths(node: &Node, mapping: &Mapping) -> bool {
    match field_of(node) {
        Some(FieldPattern::Name(name)) => {
            matches!(node, Node::Exists { .. })
                && mapping.resolve(name).is_some_and(|field| holds_below(&field))
        }
        Some(FieldPattern::Pattern(_)) => true,
        None => is_leaf(node),
    }
}
