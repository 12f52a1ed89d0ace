//! RULE020: fields of the query that nothing maps.

use crate::base::diagnostic::{Diagnostic, Level};
use crate::base::span::Span;
use crate::ecs::catalog;
use crate::query::plan::{FieldPattern, Filter, Node};
use crate::rule::codes;

use super::Subject;

pub(super) fn check(subject: &mut Subject<'_>) {
    let Some(filter) = subject.filter else { return };
    let mut fields = Vec::new();
    collect(filter, &mut fields);
    let mut seen: Vec<&str> = Vec::new();
    for (name, span) in fields {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        if subject.mapping.resolve(name).is_some() || subject.mapping.is_object(name) {
            continue;
        }
        let mut found = Diagnostic::new(
            Level::Info,
            codes::UNKNOWN_QUERY_FIELD,
            format!("`{name}` is neither in ECS nor in the CloudTrail integration"),
        );
        if let Some(near) = catalog::nearest(name) {
            found.level = Level::Warning;
            found.help = Some(format!("did you mean `{near}`?"));
        } else if name.starts_with("aws.cloudtrail.") || !name.contains('.') {
            found.level = Level::Warning;
        }
        subject.report_in_query(found, span);
    }
}

/// The fields a filter names, with the place of the leaf that does.
fn collect<'f>(filter: &'f Filter, fields: &mut Vec<(&'f str, Option<Span>)>) {
    match &filter.node {
        Node::And(_) | Node::Or(_) | Node::Not(_) | Node::AtLeast { .. } | Node::Nested { .. } => {
            for child in filter.children() {
                collect(child, fields);
            }
        }
        Node::Words { field, .. } => fields.push((field, filter.span)),
        Node::Exists { field } | Node::OneOf { field, .. } | Node::Range { field, .. } => {
            fields.extend(named(field, filter.span));
        }
        Node::Is { field, .. } | Node::Wildcard { field, .. } | Node::Regexp { field, .. } => {
            fields.extend(field.as_ref().and_then(|field| named(field, filter.span)));
        }
        Node::All | Node::Nothing | Node::Foreign { .. } => {}
        Node::Scalar { necessary, .. } => collect(necessary, fields),
    }
}

fn named(field: &FieldPattern, span: Option<Span>) -> Option<(&str, Option<Span>)> {
    match field {
        FieldPattern::Name(name) | FieldPattern::Exact { name, optional: false } => Some((name, span)),
        FieldPattern::Exact { optional: true, .. } | FieldPattern::Pattern(_) => None,
    }
}
