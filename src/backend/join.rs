//! Joining events: EQL's sequences and samples over any backend that can scan.
//!
//! One scan hands over the events that some stage asks for, in order of time; the state machines of
//! [`crate::query::eval::eql`] remember references to them, never the events themselves.

use std::ops::ControlFlow;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::aggregate::{ScanRequest, Scope};
use super::{Backend, BackendError, DocumentRef, Hit};
use crate::base::limits::{FOUND_BYTES, PAGE_HITS, SEQUENCE_BYTES};
use crate::ecs::document::Document;
use crate::ecs::flat::FlatDoc;
use crate::ecs::mapping::Mapping;
use crate::ecs::value::date;
use crate::query::eval::Matcher;
use crate::query::eval::eql::{
    Asked, JoinKeys, Joined, Key, KeyValue, Outcome, SampleMatcher, SequenceMatcher,
};
use crate::query::plan::{EqlPlan, Filter, JoinKey};

/// Asks for events that belong together.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// The events that may take part: the filter is that of all stages
    /// ([`EqlPlan::filter`]), with what else restricts them.
    pub scope: Scope,
    /// How they belong together; single events do not.
    pub plan: Arc<EqlPlan>,
    /// Field whose time orders events and counts for the longest time.
    pub timestamp: Arc<str>,
    /// Field that orders events of equal time; without it they are ordered as hits are.
    pub tiebreaker: Option<Arc<str>>,
}

/// Asks a backend for sequences or samples by their text.
#[derive(Debug, Clone)]
pub struct NativeRequest {
    /// The events that may take part: the filter is that of all stages, with what else restricts
    /// them.
    pub scope: Scope,
    /// The query's text.
    pub text: Arc<str>,
    /// Field that holds the event's category, where it is not `event.category`.
    pub category_field: Option<Arc<str>>,
    /// Field that orders events, where it is not `@timestamp`.
    pub timestamp_field: Option<Arc<str>>,
    /// Field that orders events of equal time.
    pub tiebreaker_field: Option<Arc<str>>,
    /// Most results.
    pub size: u32,
}

/// What a backend found by itself.
#[derive(Debug, Clone, Default)]
pub struct NativePage {
    /// The events of each result, in order, without missing ones.
    pub found: Vec<Vec<Document>>,
    /// How many concrete indices the patterns named.
    pub indices: usize,
}

/// An event that takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRef {
    /// Its name.
    pub name: DocumentRef,
    /// Its place in the order of hits, ms: the time that was searched on.
    pub primary: i64,
    /// Its `@timestamp`, ms.
    pub timestamp: i64,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct JoinPage {
    /// In the order in which they were complete; samples in the order of their keys.
    pub found: Vec<Joined<EventRef>>,
    /// How many concrete indices the patterns named.
    pub indices: usize,
    /// What limits left out, in words.
    pub warnings: Vec<String>,
}

/// Finds events that belong together.
///
/// # Errors
/// When the scan fails.
pub async fn join<B: Backend + ?Sized>(backend: &B, request: &JoinRequest) -> Result<JoinPage, BackendError> {
    let mapping = backend.mapping(&request.scope.indices).await?;
    let machine = match &*request.plan {
        EqlPlan::Event(_) => return Ok(JoinPage::default()),
        EqlPlan::Sequence(plan) => Machine::Sequence(SequenceMatcher::new(plan)),
        EqlPlan::Sample(plan) => Machine::Sample(SampleMatcher::new(plan)),
    };
    let mut joiner = Joiner::new(request, machine, &mapping);
    let scan = ScanRequest { scope: request.scope.clone(), fields: None, page: PAGE_HITS };
    let end = backend
        .scan(scan, &mut |hits| {
            for hit in &hits {
                joiner.hit(hit);
            }
            if joiner.full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await?;
    let mut page = joiner.finish();
    page.indices = end.indices;
    Ok(page)
}

/// The documents of what was found, in its order; something of which an event is gone meanwhile is
/// left out.
///
/// # Errors
/// When documents cannot be read.
pub async fn documents<B: Backend + ?Sized>(
    backend: &B,
    found: Vec<Joined<EventRef>>,
) -> Result<Vec<Joined<(EventRef, Document)>>, BackendError> {
    let names: Vec<DocumentRef> = found
        .iter()
        .flat_map(|joined| joined.events.iter().flatten())
        .map(|event| event.name.clone())
        .collect();
    let mut read = backend.get(&names).await?.into_iter();
    let mut out = Vec::with_capacity(found.len());
    for joined in found {
        let mut whole = true;
        let mut events = Vec::with_capacity(joined.events.len());
        for event in joined.events {
            events.push(match event {
                None => None,
                Some(event) => {
                    let document = read.next().flatten();
                    whole &= document.is_some();
                    document.map(|document| (event, document))
                }
            });
        }
        if whole {
            out.push(Joined { key: joined.key, events });
        }
    }
    Ok(out)
}

enum Machine {
    Sequence(SequenceMatcher<EventRef>),
    Sample(SampleMatcher<EventRef>),
}

impl Machine {
    fn asked(&self) -> &[Asked] {
        match self {
            Self::Sequence(matcher) => matcher.asked(),
            Self::Sample(matcher) => matcher.asked(),
        }
    }

    fn event(&mut self, event: &Waiting) {
        match self {
            Self::Sequence(matcher) => matcher.event(event.at, &event.event, &event.keys),
            Self::Sample(matcher) => matcher.event(&event.event, &event.keys),
        }
    }

    fn finish(self) -> Outcome<EventRef> {
        match self {
            Self::Sequence(matcher) => matcher.finish(),
            Self::Sample(matcher) => matcher.finish(),
        }
    }
}

/// An event that waits for those that may come before it.
struct Waiting {
    at: i64,
    tie: Option<KeyValue>,
    event: EventRef,
    keys: Vec<Vec<Key>>,
}

impl Waiting {
    /// Approximate size, bytes.
    fn size(&self) -> usize {
        let keys: usize = self.keys.iter().flatten().map(|key| 48 + key.len() * size_of::<KeyValue>()).sum();
        size_of::<Self>() + self.event.name.id.len() + 16 + keys
    }
}

struct Joiner<'r> {
    request: &'r JoinRequest,
    mapping: &'r Mapping,
    machine: Machine,
    asked: Vec<Asked>,
    searches: Vec<Matcher>,
    keys: Vec<JoinKeys>,
    tiebreaker: Option<JoinKeys>,
    /// Hits come in the order that events are joined in, so that only those of one time wait.
    in_order: bool,
    ordered: bool,
    waiting: Vec<Waiting>,
    waiting_size: usize,
    full: bool,
    without_time: u64,
    /// Combinations of key values beyond what one event is joined by.
    combinations: u64,
}

impl<'r> Joiner<'r> {
    fn new(request: &'r JoinRequest, machine: Machine, mapping: &'r Mapping) -> Self {
        let now: DateTime<Utc> = request.scope.now;
        let searches: &[Arc<Filter>] = request.plan.searches();
        let asked = machine.asked().to_vec();
        let tiebreaker = request.tiebreaker.as_ref().map(|name| {
            let key = JoinKey { name: Arc::clone(name), optional: true };
            JoinKeys::compile(&[key], mapping, now)
        });
        Self {
            request,
            mapping,
            searches: searches.iter().map(|filter| Matcher::compile(filter, mapping, now)).collect(),
            keys: asked.iter().map(|asked| JoinKeys::compile(&asked.keys, mapping, now)).collect(),
            ordered: matches!(machine, Machine::Sequence(_)),
            in_order: *request.timestamp == *request.scope.time.primary
                && request.scope.time.fallback.is_none(),
            machine,
            asked,
            tiebreaker,
            waiting: Vec::new(),
            waiting_size: 0,
            full: false,
            without_time: 0,
            combinations: 0,
        }
    }

    fn hit(&mut self, hit: &Hit) {
        if self.full {
            return;
        }
        let doc = FlatDoc::from_value(&hit.document.source);
        let answers: Vec<bool> =
            self.searches.iter().map(|search| search.matches(&doc, Some(&hit.document.source))).collect();
        let mut combinations = 0;
        let keys: Vec<Vec<Key>> = self
            .asked
            .iter()
            .zip(&self.keys)
            .map(|(asked, keys)| {
                if answers.get(asked.search) == Some(&true) {
                    keys.of(&doc, &mut combinations)
                } else {
                    Vec::new()
                }
            })
            .collect();
        self.combinations += combinations;
        if keys.iter().all(Vec::is_empty) {
            return;
        }
        let event = EventRef {
            name: DocumentRef { index: Arc::clone(&hit.document.index), id: Arc::clone(&hit.document.id) },
            primary: hit.sort.primary,
            timestamp: hit.sort.timestamp,
        };
        let Some(at) = self.time(hit, &doc) else {
            self.without_time += 1;
            return;
        };
        let tie = self.tiebreaker.as_ref().and_then(|keys| keys.of(&doc, &mut 0).into_iter().next());
        let tie = tie.and_then(|key| key.first().cloned()).filter(|value| *value != KeyValue::Null);
        let event = Waiting { at, tie, event, keys };
        if !self.ordered {
            self.machine.event(&event);
            return;
        }
        if self.in_order && self.waiting.first().is_some_and(|first| first.at != at) {
            self.release();
        }
        self.waiting_size += event.size();
        self.waiting.push(event);
        self.full = self.waiting_size > SEQUENCE_BYTES;
    }

    /// The time that orders the event; samples need none.
    fn time(&self, hit: &Hit, doc: &FlatDoc) -> Option<i64> {
        if !self.ordered {
            return Some(0);
        }
        let known = if *self.request.timestamp == *self.request.scope.time.primary {
            hit.sort.primary
        } else if &*self.request.timestamp == "@timestamp" {
            hit.sort.timestamp
        } else {
            let field = self.mapping.resolve(&self.request.timestamp)?;
            let leaf = doc.values(&field.path).next()?;
            return date::parse(leaf.value, field.format.as_deref()).map(date::millis);
        };
        (known != i64::MAX && known != i64::MIN).then_some(known)
    }

    /// Joins the events that wait, in their order.
    fn release(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        self.waiting_size = 0;
        // Stable: what has no tiebreaker stays in the order of hits, behind what has one.
        waiting.sort_by(|a, b| {
            let tie = match (&a.tie, &b.tie) {
                (Some(a), Some(b)) => a.cmp(b),
                (a, b) => b.is_some().cmp(&a.is_some()),
            };
            a.at.cmp(&b.at).then(tie)
        });
        for event in &waiting {
            self.machine.event(event);
        }
    }

    fn finish(mut self) -> JoinPage {
        self.release();
        let mut warnings = Vec::new();
        if self.full {
            warnings.push(format!(
                "more events wait to be put in order than fit into {} MiB: only the first were joined",
                SEQUENCE_BYTES >> 20
            ));
        }
        if self.without_time > 0 {
            warnings.push(format!(
                "{} events without `{}` were not joined",
                self.without_time, self.request.timestamp
            ));
        }
        if self.combinations > 0 {
            warnings.push(format!(
                "{} combinations of key values were not joined: an event takes part in the first 1,024 of its own",
                self.combinations
            ));
        }
        let Outcome { found, given_up, left_out } = self.machine.finish();
        if left_out > 0 {
            warnings.push(format!(
                "{left_out} sequences were left out, the latest: the {} before them take {} MiB; a narrower \
                 condition or a shorter window finds fewer",
                found.len(),
                FOUND_BYTES >> 20
            ));
        }
        if given_up > 0 {
            warnings.push(format!(
                "{given_up} unfinished sequences were given up, the oldest first: all of them need more than {} MiB; \
                 a shorter `maxspan` or fewer different keys need less",
                SEQUENCE_BYTES >> 20
            ));
        }
        JoinPage { found, indices: 0, warnings }
    }
}
