//! Who matches whom, and what an alert says of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::pairs::{Group, any_of};
use crate::alert::lookup::lookup;
use crate::backend::Hit;
use crate::base::limits::INDICATORS_PER_ALERT;
use crate::ecs::document::Document;
use crate::ecs::flat::FlatDoc;
use crate::ecs::value::ip;
use crate::query::eval::values_of;
use crate::query::plan::values::range_of;
use crate::query::plan::{Filter, Node};

/// What is compared, and the indicators that are networks.
pub(super) struct Enricher {
    groups: Vec<Group>,
    networks: Vec<Document>,
    /// By number of leading bits: numbers of networks by their first address, for each group.
    prefixes: Vec<BTreeMap<u32, HashMap<u128, Vec<usize>>>>,
    indicator_path: String,
}

/// A page of events while their indicators are looked up.
pub(super) struct Sheet {
    events: Vec<Sheeted>,
    /// For each group: events by the values of its first entry, as text.
    by_value: Vec<HashMap<Box<str>, Vec<usize>>>,
}

struct Sheeted {
    hit: Hit,
    flat: FlatDoc,
    /// Enrichments by indicator and field: each is said once.
    found: Vec<Value>,
    seen: HashSet<(Arc<str>, Arc<str>, Arc<str>)>,
}

/// The number of leading bits that all addresses of a range share, when it is a network.
fn prefix_of(first: u128, last: u128) -> Option<u32> {
    let prefix = (first ^ last).leading_zeros();
    let hosts = u128::MAX.checked_shr(prefix).unwrap_or(0);
    (first & hosts == 0 && last & hosts == hosts).then_some(prefix)
}

impl Enricher {
    pub(super) fn new(groups: Vec<Group>, networks: Vec<Document>, indicator_path: &str) -> Self {
        let mut prefixes = Vec::with_capacity(groups.len());
        for group in &groups {
            let mut of_group: BTreeMap<u32, HashMap<u128, Vec<usize>>> = BTreeMap::new();
            let first = group.positive().next();
            let indicator =
                first.filter(|pair| pair.networks().is_some()).and_then(|pair| pair.indicator.as_ref());
            if let Some(field) = indicator {
                for (number, document) in networks.iter().enumerate() {
                    let flat = document.flat();
                    for (first, last) in values_of(&flat, field).filter_map(range_of) {
                        if let Some(prefix) = prefix_of(first, last) {
                            of_group.entry(prefix).or_default().entry(first).or_default().push(number);
                        }
                    }
                }
            }
            prefixes.push(of_group);
        }
        Self { groups, networks, prefixes, indicator_path: indicator_path.to_owned() }
    }

    /// Takes a page of events; those in networks have them already.
    pub(super) fn sheet(&self, hits: Vec<Hit>) -> Sheet {
        let events: Vec<Sheeted> = hits
            .into_iter()
            .map(|hit| {
                let flat = hit.document.flat();
                Sheeted { hit, flat, found: Vec::new(), seen: HashSet::new() }
            })
            .collect();
        let mut sheet = Sheet { events, by_value: Vec::with_capacity(self.groups.len()) };
        for (group, prefixes) in self.groups.iter().zip(&self.prefixes) {
            let mut by_value: HashMap<Box<str>, Vec<usize>> = HashMap::new();
            let field = group.positive().next().and_then(|pair| pair.event.as_ref());
            for (number, event) in sheet.events.iter_mut().enumerate() {
                let Some(field) = field else { continue };
                let values: Vec<String> = values_of(&event.flat, field).map(str::to_owned).collect();
                for text in values {
                    if let Some(address) = ip::parse(&text) {
                        for (prefix, networks) in prefixes {
                            let hosts = u128::MAX.checked_shr(*prefix).unwrap_or(0);
                            for network in networks.get(&(address & !hosts)).into_iter().flatten() {
                                if let Some(indicator) = self.networks.get(*network) {
                                    let flat = indicator.flat();
                                    event.compare(group, indicator, &flat, &self.indicator_path);
                                }
                            }
                        }
                    }
                    by_value.entry(text.into()).or_default().push(number);
                }
            }
            sheet.by_value.push(by_value);
        }
        sheet
    }
}

impl Sheet {
    /// The indicators that may match an event of the sheet; `None`: there are none.
    pub(super) fn wanted(&self, enricher: &Enricher) -> Option<Filter> {
        let mut choices = Vec::new();
        for group in &enricher.groups {
            let mut all = Vec::new();
            for pair in group.positive() {
                let mut values = pair.indicator_values();
                for event in &self.events {
                    for text in pair.event.iter().flat_map(|field| values_of(&event.flat, field)) {
                        for spelled in pair.spellings(text) {
                            values.insert(&spelled);
                        }
                    }
                }
                all.push(pair.indicator_one_of(values.finish()));
            }
            choices.push(Filter::new(Node::And(all)));
        }
        (!self.events.is_empty() && !choices.is_empty()).then(|| any_of(choices))
    }

    /// Compares an indicator with the events that have its value.
    pub(super) fn look(&mut self, enricher: &Enricher, indicator: &Document) {
        let flat = indicator.flat();
        let Self { events, by_value } = self;
        for (group, by_value) in enricher.groups.iter().zip(by_value) {
            let Some(first) = group.positive().next() else { continue };
            let Some(field) = &first.indicator else { continue };
            for value in values_of(&flat, field) {
                // Equal values may be spelled differently (`::1`, numbers): then all are compared.
                let same: Vec<usize> = match by_value.get(value) {
                    Some(numbers) => numbers.clone(),
                    None => {
                        let spelled = by_value.iter().filter(|(text, _)| first.equal(text, value));
                        spelled.flat_map(|(_, numbers)| numbers.iter().copied()).collect()
                    }
                };
                for number in same {
                    if let Some(event) = events.get_mut(number) {
                        event.compare(group, indicator, &flat, &enricher.indicator_path);
                    }
                }
            }
        }
    }

    /// Whether no event has room for another indicator.
    pub(super) fn is_full(&self) -> bool {
        self.events.iter().all(|event| event.found.len() >= INDICATORS_PER_ALERT)
    }

    /// The events that match, in order, enriched.
    pub(super) fn finish(self) -> Vec<Hit> {
        let matching = self.events.into_iter().filter(|event| !event.found.is_empty());
        matching.map(|event| enriched(event.hit, event.found)).collect()
    }
}

impl Sheeted {
    /// Adds what the indicator says, when all entries of the group hold.
    fn compare(&mut self, group: &Group, indicator: &Document, flat: &FlatDoc, path: &str) {
        let mut atoms = Vec::new();
        for pair in &group.pairs {
            let events = pair.event.iter().flat_map(|field| values_of(&self.flat, field));
            let same = events
                .filter(|event| {
                    let mut values = pair.indicator.iter().flat_map(|field| values_of(flat, field));
                    values.any(|value| pair.equal(event, value))
                })
                .map(str::to_owned)
                .next();
            match (same, pair.negate) {
                (Some(atom), false) => atoms.push((Arc::clone(&pair.field), atom)),
                (None, true) => {}
                _ => return,
            }
        }
        for (field, atom) in atoms {
            let key = (Arc::clone(&indicator.index), Arc::clone(&indicator.id), Arc::clone(&field));
            if self.found.len() < INDICATORS_PER_ALERT && self.seen.insert(key) {
                self.found.push(enrichment(indicator, path, &field, &atom));
            }
        }
    }
}

/// What an alert says of an indicator that its event matches.
fn enrichment(indicator: &Document, path: &str, field: &str, atom: &str) -> Value {
    let object = match lookup(&indicator.source, path) {
        Some(Value::Array(several)) => several.first().cloned().unwrap_or_else(|| json!({})),
        Some(other) => other.clone(),
        None => json!({}),
    };
    let mut out = Map::new();
    out.insert("indicator".to_owned(), object);
    if let Some(name) = lookup(&indicator.source, "threat.feed.name") {
        out.insert("feed".to_owned(), json!({"name": name}));
    }
    out.insert(
        "matched".to_owned(),
        json!({
            "atomic": atom,
            "field": field,
            "id": &*indicator.id,
            "index": &*indicator.index,
            "type": "indicator_match_rule",
        }),
    );
    Value::Object(out)
}

/// The event with `threat.enrichments`, after those it had.
fn enriched(mut hit: Hit, found: Vec<Value>) -> Hit {
    let mut all = match lookup(&hit.document.source, "threat.enrichments") {
        Some(Value::Array(before)) => before.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    all.extend(found);
    let mut source = Value::clone(&hit.document.source);
    if let Value::Object(fields) = &mut source {
        fields.remove("threat.enrichments");
        match fields.get_mut("threat") {
            Some(Value::Object(threat)) => {
                threat.insert("enrichments".to_owned(), Value::Array(all));
            }
            _ => {
                fields.insert("threat".to_owned(), json!({"enrichments": all}));
            }
        }
    }
    hit.document.source = Arc::new(source);
    hit
}
