//! Which fields a leaf looks at.

use std::sync::Arc;

use crate::ecs::mapping::{Field, Mapping};
use crate::query::plan::{FieldPattern, Node, Pattern, Piece};

/// The fields that a leaf's name or pattern stands for, given the paths that exist (sorted).
pub(crate) fn resolve(node: &Node, mapping: &Mapping, existing: &[Arc<str>]) -> Vec<Field> {
    let field = match node {
        Node::Exists { field } | Node::Range { field, .. } => Some(field),
        Node::Is { field, .. } | Node::Wildcard { field, .. } => field.as_ref(),
        _ => return Vec::new(),
    };
    match field {
        None => mapping.expand(|_| true, existing),
        Some(FieldPattern::Pattern(pattern)) => mapping.expand(|name| matches(pattern, name), existing),
        Some(FieldPattern::Name(name)) => match mapping.resolve(name) {
            Some(field) if field.kind.is_object() => match node {
                Node::Exists { .. } => mapping.leaves_below(name, existing),
                _ => Vec::new(),
            },
            field => field.into_iter().collect(),
        },
    }
}

/// Whether what [`resolve`] returns depends on the paths that exist.
pub(crate) fn depends_on_existing(node: &Node, mapping: &Mapping) -> bool {
    match node {
        Node::Is { field: None, .. } | Node::Wildcard { field: None, .. } => true,
        Node::Exists { field } => match field {
            FieldPattern::Pattern(_) => true,
            FieldPattern::Name(name) => mapping.resolve(name).is_some_and(|field| field.kind.is_object()),
        },
        Node::Is { field: Some(field), .. }
        | Node::Wildcard { field: Some(field), .. }
        | Node::Range { field, .. } => matches!(field, FieldPattern::Pattern(_)),
        _ => false,
    }
}

/// Whether a pattern is the whole of a name. Linear in the name for every piece.
fn matches(pattern: &Pattern, name: &str) -> bool {
    // Positions of `name` that the pieces so far can end at.
    let mut ends = vec![false; name.len() + 1];
    if let Some(start) = ends.first_mut() {
        *start = true;
    }
    for piece in &pattern.0 {
        let mut next = vec![false; name.len() + 1];
        for (at, _) in ends.iter().enumerate().filter(|(_, reached)| **reached) {
            let Some(rest) = name.get(at..) else { continue };
            let length = match piece {
                Piece::Literal(text) if rest.starts_with(&**text) => text.len(),
                Piece::Literal(_) => continue,
                Piece::One => match rest.chars().next() {
                    Some(one) => one.len_utf8(),
                    None => continue,
                },
                Piece::Any => {
                    for reached in next.iter_mut().skip(at) {
                        *reached = true;
                    }
                    break;
                }
            };
            if let Some(reached) = next.get_mut(at + length) {
                *reached = true;
            }
        }
        ends = next;
    }
    ends.last().copied().unwrap_or(false)
}
