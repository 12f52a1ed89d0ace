//! [`Node::Words`]: what a text asks for depends on whether the field is analysed.

use std::sync::Arc;

use super::analysis::tokens;
use crate::ecs::mapping::Mapping;
use crate::query::plan::{Case, FieldPattern, Filter, Least, Node};

/// The words of `text` on the field `name`, as other nodes.
pub fn expand(name: &Arc<str>, text: &Arc<str>, least: Least, mapping: &Mapping) -> Filter {
    let is = |value: &str| {
        let field = Some(FieldPattern::Name(Arc::clone(name)));
        Filter::new(Node::Is { field, value: Arc::from(value), phrase: false, case: Case::Field })
    };
    let field = mapping.resolve(name);
    let kinds = field.iter().flat_map(|field| {
        std::iter::once(field.kind).chain(field.others.iter().flat_map(|others| others.iter().copied()))
    });
    let (mut analysed, mut whole) = (false, field.is_none());
    for kind in kinds {
        if kind.is_text() {
            analysed = true;
        } else {
            whole = true;
        }
    }
    let mut choices = Vec::new();
    if analysed {
        let mut words = tokens(text);
        words.dedup();
        let enough = least.of(words.len()).max(1);
        choices.push(Filter::at_least(enough, words.iter().map(|word| is(word)).collect()));
    }
    if whole {
        choices.push(is(text));
    }
    Filter::at_least(1, choices)
}
