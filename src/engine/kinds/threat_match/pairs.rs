//! The fields that events and indicators are compared by.

use std::sync::Arc;

use serde_json::Value;

use crate::backend::aggregate::key_of;
use crate::ecs::mapping::{Field, Mapping};
use crate::ecs::types::FieldType;
use crate::ecs::value::ip;
use crate::query::eval::analysis::tokens;
use crate::query::plan::values::{AddressSetBuilder, TextSet, ValueSet, range_of};
use crate::query::plan::{Case, FieldPattern, Filter, Node, Pattern, Piece};
use crate::rule::kind::ThreatMapping;

/// Entries that must all hold.
#[derive(Debug)]
pub(super) struct Group {
    pub pairs: Vec<Pair>,
}

/// A field of events and the field of indicators it is compared with.
#[derive(Debug)]
pub(super) struct Pair {
    pub field: Arc<str>,
    pub value: Arc<str>,
    /// Whether they must not be equal.
    pub negate: bool,
    /// `None`: nothing is known of the field, so no event has it.
    pub event: Option<Field>,
    pub indicator: Option<Field>,
}

/// Some of `choices`.
pub(super) fn any_of(choices: impl IntoIterator<Item = Filter>) -> Filter {
    Filter::new(Node::Or(choices.into_iter().collect()))
}

/// Both filters.
pub(super) fn both(a: Filter, b: Filter) -> Arc<Filter> {
    Arc::new(Filter::new(Node::And(vec![a, b])))
}

fn exists(field: &Arc<str>) -> Filter {
    Filter::new(Node::Exists { field: FieldPattern::Name(Arc::clone(field)) })
}

impl Group {
    pub(super) fn new(entries: &[ThreatMapping], events: &Mapping, threats: &Mapping) -> Self {
        let pair = |entry: &ThreatMapping| Pair {
            field: Arc::from(entry.field.as_str()),
            value: Arc::from(entry.value.as_str()),
            negate: entry.negate,
            event: events.resolve(&entry.field),
            indicator: threats.resolve(&entry.value),
        };
        Self { pairs: entries.iter().map(pair).collect() }
    }

    /// The entries whose fields must be equal.
    pub(super) fn positive(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().filter(|pair| !pair.negate)
    }

    /// What an event must have to be compared at all.
    pub(super) fn event_exists(&self) -> Filter {
        Filter::new(Node::And(self.positive().map(|pair| exists(&pair.field)).collect()))
    }

    /// What an indicator must have.
    pub(super) fn indicator_exists(&self) -> Filter {
        Filter::new(Node::And(self.positive().map(|pair| exists(&pair.value)).collect()))
    }
}

impl Pair {
    /// Values of indicators, to be looked for in events.
    pub(super) fn event_values(&self) -> Values {
        Values::of(self.event.clone())
    }

    /// Values of events, to be looked for in indicators.
    pub(super) fn indicator_values(&self) -> Values {
        Values::of(self.indicator.clone())
    }

    /// Events with one of `values`.
    pub(super) fn event_one_of(&self, values: ValueSet) -> Filter {
        one_of(&self.field, values)
    }

    /// A value of an event as it may be spelled in indicators: as it is, and as its type writes it.
    pub(super) fn spellings(&self, text: &str) -> [String; 2] {
        let key = self.event.as_ref().and_then(|field| key_of(field, &Value::from(text)));
        [text.to_owned(), key.map_or_else(|| text.to_owned(), |key| key.text())]
    }

    /// Indicators with one of `values`.
    pub(super) fn indicator_one_of(&self, values: ValueSet) -> Filter {
        one_of(&self.value, values)
    }

    /// The indicators whose value is a network, where events have addresses and indicators texts.
    pub(super) fn networks(&self) -> Option<Filter> {
        let addresses = self.event.as_ref().is_some_and(|field| field.kind == FieldType::Ip);
        let texts = self.indicator.as_ref().is_some_and(|field| field.kind.is_keyword_like());
        (addresses && texts).then(|| {
            let pattern = Pattern(vec![Piece::Any, Piece::Literal(Arc::from("/")), Piece::Any]);
            let field = Some(FieldPattern::Name(Arc::clone(&self.value)));
            Filter::new(Node::Wildcard { field, pattern, case: Case::Field })
        })
    }

    /// Whether a value of the event equals one of the indicator, as the event's field reads both.
    pub(super) fn equal(&self, event: &str, indicator: &str) -> bool {
        let Some(field) = &self.event else { return false };
        if field.kind == FieldType::Ip {
            let address = ip::parse(event);
            return address
                .zip(range_of(indicator))
                .is_some_and(|(at, (first, last))| (first..=last).contains(&at));
        }
        if field.kind.is_text() {
            let (event, wanted) = (tokens(event), tokens(indicator));
            return !wanted.is_empty() && event.windows(wanted.len()).any(|run| run == wanted);
        }
        let key = |text: &str| key_of(field, &Value::from(text));
        key(event).is_some_and(|event| Some(event) == key(indicator))
    }
}

fn one_of(field: &Arc<str>, values: ValueSet) -> Filter {
    Filter::new(Node::OneOf { field: FieldPattern::Name(Arc::clone(field)), values: Arc::new(values) })
}

/// Values being collected for a field; those that its type cannot hold are left out, since no
/// document has them.
pub(super) struct Values {
    field: Option<Field>,
    texts: TextSet,
    addresses: Option<AddressSetBuilder>,
    count: usize,
}

impl Values {
    fn of(field: Option<Field>) -> Self {
        let addresses = field.as_ref().is_some_and(|field| field.kind == FieldType::Ip);
        let addresses = addresses.then(AddressSetBuilder::default);
        Self { field, texts: TextSet::default(), addresses, count: 0 }
    }

    /// Adds a value; `false`: there is no room for more.
    pub(super) fn insert(&mut self, text: &str) -> bool {
        let Some(field) = &self.field else { return true };
        if let Some(addresses) = &mut self.addresses {
            if let Some((first, last)) = range_of(text) {
                addresses.insert(first, last);
                self.count += 1;
            }
            return true;
        }
        if !field.kind.is_text() && key_of(field, &Value::from(text)).is_none() {
            return true;
        }
        self.texts.insert(text).is_ok()
    }

    /// Approximate size in memory, bytes.
    pub(super) fn size(&self) -> usize {
        self.texts.size() + self.count * 8
    }

    pub(super) fn finish(self) -> ValueSet {
        match self.addresses {
            Some(addresses) => ValueSet::addresses(addresses.finish()),
            None => ValueSet::texts(self.texts),
        }
    }
}
