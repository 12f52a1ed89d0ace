//! The backend as a model: what has arrived by now and was refreshed, and nothing else. What
//! matches is judged by the production search over the events that can.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tocsin::backend::memory::MemoryBackend;
use tocsin::backend::{
    AggregateRequest, Backend, BackendError, BucketPage, Capabilities, DocumentRef, Hit, HitPage,
    SearchRequest, SortKey,
};
use tocsin::base::intervals::Interval;
use tocsin::ecs::document::Document;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::plan::{Bounds, Filter, Node};

use super::corpus::{Corpus, Event, HOUR, INDEX, Kind, Random, START};
use super::world::{Bug, Port};

/// A search sees what arrived so long before it, ms.
pub(super) const REFRESH: i64 = 30_000;

/// The events of a run in the order of arrival.
pub(super) struct Arrivals {
    /// When each event (by its number) arrived.
    pub arrived: Vec<i64>,
    /// Numbers of events by kind, in the order of their time.
    by_kind: HashMap<Kind, Vec<u32>>,
    /// Numbers of all events, in the order of arrival.
    by_arrival: Vec<u32>,
}

impl Arrivals {
    /// When events arrive in the run of a seed: most at once, some late, some before their time.
    pub(super) fn draw(corpus: &Corpus, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0xa441);
        let mut arrived = Vec::with_capacity(corpus.events.len());
        let mut by_kind: HashMap<Kind, Vec<u32>> = HashMap::new();
        for event in &corpus.events {
            // What was seen first cannot be unsaid when something older arrives; by-arrival rules
            // are not late by definition.
            let in_time = matches!(event.kind.as_bytes()[0], b'n' | b'r' | b'p');
            // Every late event opens windows again, whatever it is: of noise one in a while does.
            let in_time = in_time || event.kind == "noise" && !random.chance(1);
            let delay = match random.below(100) {
                0..80 => random.below(60_000),
                80..97 => random.below(10 * 60_000),
                97 if !in_time => random.below(20 * HOUR),
                98 if !in_time => -random.below(48 * HOUR),
                _ => random.below(60_000),
            };
            arrived.push((event.at + delay).max(START));
            by_kind.entry(event.kind).or_default().push(event.number);
        }
        let mut by_arrival: Vec<u32> = (0..arrived.len() as u32).collect();
        by_arrival.sort_by_key(|number| arrived[*number as usize]);
        Self { arrived, by_kind, by_arrival }
    }
}

/// Which kinds of events a filter matches.
type Kinds = Arc<[Kind]>;

#[derive(Default)]
pub(super) struct KindsOf(std::sync::Mutex<HashMap<Filter, Kinds>>);

impl KindsOf {
    fn of(&self, corpus: &Corpus, filter: &Arc<Filter>) -> Kinds {
        let mut known = self.0.lock().unwrap();
        if let Some(kinds) = known.get(&**filter) {
            return Arc::clone(kinds);
        }
        let mut samples: HashMap<Kind, Event> = HashMap::new();
        for event in &corpus.events {
            samples.entry(event.kind).or_insert(*event);
        }
        let documents = samples.values().map(|event| event.document(event.at)).collect();
        let backend = MemoryBackend::new(documents, Mapping::ecs());
        let request = SearchRequest {
            indices: Arc::from([INDEX.to_owned()]),
            filter: Arc::clone(filter),
            now: super::corpus::at(START),
            window: None,
            time: tocsin::backend::TimeField::timestamp(),
            event_clock: false,
            size: 1_000,
            after: None,
            descending: false,
        };
        let page = backend.search_now(&request).unwrap();
        let matched = |kind: &Kind| {
            page.hits.iter().any(|hit| hit.document.source["event"]["action"].as_str() == Some(kind))
        };
        let mut kinds: Vec<Kind> = samples.keys().copied().filter(matched).collect();
        kinds.sort_unstable();
        let kinds: Kinds = kinds.into();
        known.insert((**filter).clone(), Arc::clone(&kinds));
        kinds
    }
}

impl Port {
    async fn before_search(&self) -> Result<(), BackendError> {
        self.pass().await;
        self.latency().await;
        self.pass().await;
        if self.world.storms() {
            return Err(BackendError::Failed("429 too many requests".to_owned()));
        }
        if self.world.take_broken() {
            return Err(BackendError::Failed("connection reset".to_owned()));
        }
        Ok(())
    }

    /// The events that a filter and a window can find now.
    fn visible(
        &self,
        filter: &Arc<Filter>,
        window: Option<tocsin::base::window::Window>,
        arrival: bool,
    ) -> Vec<Document> {
        let world = &self.world;
        let seen = world.now() - REFRESH;
        let window = window.map_or(Interval::new(i64::MIN, i64::MAX), Interval::from);
        let mut found = Vec::new();
        for kind in world.kinds.of(&world.corpus, filter).iter() {
            let Some(numbers) = world.arrivals.by_kind.get(kind) else { continue };
            let event = |number: &u32| &world.corpus.events[*number as usize];
            let start = if arrival { 0 } else { numbers.partition_point(|n| event(n).at < window.from) };
            for number in &numbers[start..] {
                let (event, arrived) = (event(number), world.arrivals.arrived[*number as usize]);
                if !arrival && event.at >= window.until {
                    break;
                }
                let inside = !arrival || (window.from..window.until).contains(&arrived);
                if inside && arrived <= seen {
                    found.push(event.document(arrived));
                }
            }
        }
        found
    }

    /// A look for what arrived: a range of the events' own time, over everything.
    fn arrived(&self, request: &SearchRequest, bounds: &Bounds) -> HitPage {
        let world = &self.world;
        let time = |text: &Option<Arc<str>>| {
            text.as_ref().map(|t| chrono::DateTime::parse_from_rfc3339(t).unwrap().timestamp_millis())
        };
        let (from, until) = (time(&bounds.gte).unwrap_or(i64::MIN), time(&bounds.lt).unwrap_or(i64::MAX));
        let window = Interval::from(request.window.expect("a window of arrival"));
        let until_seen = window.until.min(world.now() - REFRESH + 1);
        let arrived = |number: &u32| world.arrivals.arrived[*number as usize];
        let all = &world.arrivals.by_arrival;
        let index: Arc<str> = Arc::from(INDEX);
        let start = all.partition_point(|number| arrived(number) < window.from);
        let (mut hits, nothing) = (Vec::new(), Arc::new(serde_json::Value::Null));
        for number in all[start..].iter().take_while(|number| arrived(number) < until_seen) {
            let event = &world.corpus.events[*number as usize];
            if event.at < from || event.at >= until {
                continue;
            }
            let sort = SortKey {
                primary: arrived(number),
                timestamp: event.at,
                index: Arc::clone(&index),
                id: Arc::from(event.id()),
            };
            if request.after.as_ref().is_none_or(|after| sort > *after) {
                // Its times are all that is looked at.
                let document = Document {
                    index: Arc::clone(&sort.index),
                    id: Arc::clone(&sort.id),
                    source: Arc::clone(&nothing),
                };
                hits.push(Hit { document, sort });
            }
        }
        hits.sort_by(|a, b| a.sort.cmp(&b.sort));
        let total = hits.len() as u64;
        hits.truncate(request.size);
        HitPage { hits, total, indices: 1 }
    }

    async fn answer(&self, request: SearchRequest) -> Result<HitPage, BackendError> {
        self.before_search().await?;
        if let Node::Range { bounds, .. } = &request.filter.node {
            return Ok(self.arrived(&request, bounds));
        }
        let by_arrival = &*request.time.primary == "event.ingested";
        let fallback = request.time.fallback.is_some();
        let window = request.window.filter(|_| !(by_arrival && fallback));
        let documents = self.visible(&request.filter, window, by_arrival);
        let mut page = over(documents).search_now(&request)?;
        if self.world.bug == Bug::PagesLost && page.hits.len() > 1 && self.world.draw(10) {
            page.hits.truncate(1);
        }
        page.indices = 1;
        Ok(page)
    }
}

/// The production search; the index exists even when nothing is in it.
fn over(documents: Vec<Document>) -> MemoryBackend {
    MemoryBackend::new(documents, Mapping::ecs())
}

#[async_trait]
impl Backend for Port {
    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "model", eql: false, esql: false, lenient: false }
    }

    async fn mapping(&self, _indices: &[String]) -> Result<Arc<Mapping>, BackendError> {
        self.before_search().await?;
        Ok(Arc::new(Mapping::ecs()))
    }

    async fn search(&self, request: SearchRequest) -> Result<HitPage, BackendError> {
        self.answer(request).await
    }

    async fn search_many(&self, requests: Vec<SearchRequest>) -> Vec<Result<HitPage, BackendError>> {
        let mut pages = Vec::new();
        for request in requests {
            pages.push(self.answer(request).await);
        }
        pages
    }

    async fn aggregate(&self, request: AggregateRequest) -> Result<BucketPage, BackendError> {
        self.before_search().await?;
        let documents = self.visible(&request.scope.filter, request.scope.window, false);
        let mut page = over(documents).aggregate(request).await?;
        page.indices = 1;
        Ok(page)
    }

    async fn get(&self, names: &[DocumentRef]) -> Result<Vec<Option<Document>>, BackendError> {
        self.before_search().await?;
        let seen = self.world.now() - REFRESH;
        let read = |name: &DocumentRef| {
            let number: usize = name.id.strip_prefix('e')?.parse().ok()?;
            let arrived = self.world.arrivals.arrived[number];
            (arrived <= seen).then(|| self.world.corpus.events[number].document(arrived))
        };
        Ok(names.iter().map(read).collect())
    }
}
