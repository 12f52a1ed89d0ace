//! Several backends behind one: each index pattern is served where the configuration says.
//!
//! A search goes whole to the first backend that serves one of its patterns; where none does, to
//! the embedded store. What tocsin keeps itself (`.alerts-security*`) is searched where alerts are
//! kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::join::{NativePage, NativeRequest};
use super::local::LocalBackend;
use super::{
    ANOMALIES, AggregateRequest, Backend, BackendError, BucketPage, Capabilities, DocumentRef, Each, HitPage,
    PlacePage, ScanEnd, ScanRequest, SearchRequest,
};
use crate::ecs::document::Document;
use crate::ecs::mapping::Mapping;

/// What the names of alert indices begin with.
const ALERTS: &str = ".alerts-security";

/// A backend and what it serves.
pub struct Route {
    /// Its name in messages.
    pub name: String,
    /// Index patterns.
    pub patterns: Vec<String>,
    /// It.
    pub backend: Arc<dyn Backend>,
}

/// Where tocsin's own alerts are searched.
pub struct Alerts {
    /// The backend.
    pub backend: Arc<dyn Backend>,
    /// What their index is called there; `None`: as the rules call it.
    pub index: Option<String>,
}

/// Sends every request to the backend that serves its index patterns.
pub struct Router {
    routes: Vec<Route>,
    otherwise: Arc<dyn Backend>,
    alerts: Alerts,
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.routes.iter().map(|route| route.name.as_str()).collect();
        f.debug_struct("Router").field("routes", &names).finish_non_exhaustive()
    }
}

impl Router {
    /// A router over `routes`, the first of which wins; `otherwise` serves what none of them does,
    /// and `alerts` what tocsin keeps itself.
    pub fn new(routes: Vec<Route>, otherwise: Arc<dyn Backend>, alerts: Alerts) -> Self {
        Self { routes, otherwise, alerts }
    }

    /// The backend for these patterns.
    fn serving(&self, patterns: &[String]) -> &Arc<dyn Backend> {
        self.route(patterns).0
    }

    /// The backend for these patterns, and what they are called there.
    fn routed(&self, patterns: &Arc<[String]>) -> (&Arc<dyn Backend>, Arc<[String]>) {
        let (backend, alerts) = self.route(patterns);
        let patterns = match self.alerts.index.as_ref().filter(|_| alerts) {
            Some(index) => Arc::from([index.clone()]),
            None => Arc::clone(patterns),
        };
        (backend, patterns)
    }

    /// The backend for these patterns, and whether they name alerts.
    fn route(&self, patterns: &[String]) -> (&Arc<dyn Backend>, bool) {
        let included: Vec<&str> = patterns
            .iter()
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .filter(|pattern| !pattern.is_empty() && !pattern.starts_with('-'))
            .collect();
        if !included.is_empty() && included.iter().all(|pattern| pattern.starts_with(ALERTS)) {
            return (&self.alerts.backend, true);
        }
        // Nobody lists the indices of jobs; where one cluster serves all events, its jobs are meant.
        if let ([route], [ANOMALIES]) = (self.routes.as_slice(), included.as_slice()) {
            return (&route.backend, false);
        }
        let serves = |route: &&Route| {
            route.patterns.iter().any(|served| included.iter().any(|asked| meet(served, &bare(asked))))
        };
        (self.routes.iter().find(serves).map_or(&self.otherwise, |route| &route.backend), false)
    }

    /// Numbers of requests by the backend that serves them, in the order of the first of each.
    fn split<'p>(&self, patterns: impl Iterator<Item = &'p [String]>) -> Vec<(Arc<dyn Backend>, Vec<usize>)> {
        let mut places: BTreeMap<usize, usize> = BTreeMap::new();
        let mut groups: Vec<(Arc<dyn Backend>, Vec<usize>)> = Vec::new();
        for (number, patterns) in patterns.enumerate() {
            let backend = self.serving(patterns);
            let identity = Arc::as_ptr(backend).cast::<()>().addr();
            let place = *places.entry(identity).or_insert_with(|| {
                groups.push((Arc::clone(backend), Vec::new()));
                groups.len() - 1
            });
            if let Some((_, numbers)) = groups.get_mut(place) {
                numbers.push(number);
            }
        }
        groups
    }
}

#[async_trait]
impl Backend for Router {
    fn capabilities(&self) -> Capabilities {
        self.otherwise.capabilities()
    }

    fn embedded(&self, indices: &[String]) -> Option<&LocalBackend> {
        self.serving(indices).embedded(indices)
    }

    fn rest(&self) {
        let all = self.routes.iter().map(|route| &route.backend);
        all.chain([&self.otherwise, &self.alerts.backend]).for_each(|backend| backend.rest());
    }

    async fn places(&self, request: SearchRequest) -> Result<PlacePage, BackendError> {
        let (backend, indices) = self.routed(&request.indices);
        backend.places(SearchRequest { indices, ..request }).await
    }

    async fn anomalies(&self) -> Result<bool, BackendError> {
        self.serving(&[ANOMALIES.to_owned()]).anomalies().await
    }

    async fn mapping(&self, indices: &[String]) -> Result<Arc<Mapping>, BackendError> {
        let (backend, indices) = self.routed(&Arc::from(indices));
        backend.mapping(&indices).await
    }

    async fn search(&self, request: SearchRequest) -> Result<HitPage, BackendError> {
        let (backend, indices) = self.routed(&request.indices);
        backend.search(SearchRequest { indices, ..request }).await
    }

    async fn search_many(&self, requests: Vec<SearchRequest>) -> Vec<Result<HitPage, BackendError>> {
        let groups = self.split(requests.iter().map(|request| &*request.indices));
        let requests: Vec<SearchRequest> = requests
            .into_iter()
            .map(|request| SearchRequest { indices: self.routed(&request.indices).1, ..request })
            .collect();
        if let [(backend, _)] = groups.as_slice() {
            return backend.search_many(requests).await;
        }
        let mut answers: Vec<Option<Result<HitPage, BackendError>>> = Vec::new();
        answers.resize_with(requests.len(), || None);
        for (backend, numbers) in groups {
            let part = numbers.iter().filter_map(|number| requests.get(*number).cloned()).collect();
            for (number, answer) in numbers.iter().zip(backend.search_many(part).await) {
                if let Some(slot) = answers.get_mut(*number) {
                    *slot = Some(answer);
                }
            }
        }
        let missing = || Err(BackendError::Failed("the search was not answered".to_owned()));
        answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect()
    }

    async fn aggregate(&self, mut request: AggregateRequest) -> Result<BucketPage, BackendError> {
        let (backend, indices) = self.routed(&request.scope.indices);
        request.scope.indices = indices;
        backend.aggregate(request).await
    }

    async fn scan(&self, mut request: ScanRequest, each: &mut Each<'_>) -> Result<ScanEnd, BackendError> {
        let (backend, indices) = self.routed(&request.scope.indices);
        request.scope.indices = indices;
        backend.scan(request, each).await
    }

    async fn eql(&self, request: &NativeRequest) -> Result<Option<NativePage>, BackendError> {
        let (backend, indices) = self.routed(&request.scope.indices);
        let mut request = request.clone();
        request.scope.indices = indices;
        backend.eql(&request).await
    }

    async fn get(&self, names: &[DocumentRef]) -> Result<Vec<Option<Document>>, BackendError> {
        let patterns: Vec<[String; 1]> = names.iter().map(|name| [stream(&name.index).to_owned()]).collect();
        let mut documents = vec![None; names.len()];
        for (backend, numbers) in self.split(patterns.iter().map(<[String; 1]>::as_slice)) {
            let part: Vec<DocumentRef> =
                numbers.iter().filter_map(|number| names.get(*number).cloned()).collect();
            for (number, document) in numbers.iter().zip(backend.get(&part).await?) {
                if let Some(slot) = documents.get_mut(*number) {
                    *slot = document;
                }
            }
        }
        Ok(documents)
    }
}

/// The data stream that a backing index (`.ds-NAME-2026.01.01-000001`) belongs to, as far as its
/// name's beginning goes; any other index itself.
fn stream(index: &str) -> &str {
    index.strip_prefix(".ds-").unwrap_or(index)
}

/// A pattern as the routes see it: without its cluster, and with a `*` for what depends on the day.
fn bare(pattern: &str) -> String {
    if let Some(inner) = pattern.strip_prefix('<') {
        let start = inner.split('{').next().unwrap_or(inner);
        return format!("{start}*");
    }
    pattern.rsplit(':').next().unwrap_or(pattern).to_owned()
}

/// Whether some name matches both patterns.
fn meet(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // By position in `b`: whether the rest of `a` from here on meets the rest of `b`.
    let mut below = vec![false; b.len() + 1];
    for i in (0..=a.len()).rev() {
        let mut row = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            let (x, y) = (a.get(i), b.get(j));
            let at = |row: &[bool], place: usize| row.get(place).copied().unwrap_or(false);
            let met = match (x, y) {
                (None, None) => true,
                (Some('*'), _) if at(&below, j) => true,
                (_, Some('*')) if at(&row, j + 1) => true,
                (Some('*'), Some(_)) => at(&row, j + 1),
                (Some(_), Some('*')) => at(&below, j),
                (Some(x), Some(y)) => x == y && at(&below, j + 1),
                _ => false,
            };
            if let Some(slot) = row.get_mut(j) {
                *slot = met;
            }
        }
        below = row;
    }
    below.first().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::memory::MemoryBackend;
    use proptest::prelude::*;

    #[test]
    fn patterns_meet_when_a_name_matches_both() {
        for (a, b, expected) in [
            ("logs-*", "logs-aws*", true),
            ("logs-aws*", "logs-*", true),
            ("*", "anything", true),
            ("logs-*", "filebeat-*", false),
            ("*-a", "b-*", true),
            ("a*c", "ab", false),
            ("", "*", true),
            ("logs", "logs", true),
            ("logs", "log", false),
        ] {
            assert_eq!(meet(a, b), expected, "{a} {b}");
            assert_eq!(meet(b, a), expected, "{b} {a}");
        }
    }

    proptest! {
        #[test]
        fn patterns_that_match_one_name_meet(name in "[ab]{0,6}", cuts in prop::collection::vec(0usize..7, 4)) {
            let pattern = |from: usize, to: usize| {
                let (from, to) = (from.min(to).min(name.len()), from.max(to).min(name.len()));
                let (start, end) = (name.get(..from).unwrap(), name.get(to..).unwrap());
                format!("{start}*{end}")
            };
            prop_assert!(meet(&pattern(cuts[0], cuts[1]), &pattern(cuts[2], cuts[3])));
            prop_assert!(meet(&name, &pattern(cuts[0], cuts[1])));
        }
    }

    #[test]
    fn the_first_backend_that_serves_a_pattern_gets_the_search() {
        let backend = || -> Arc<dyn Backend> { Arc::new(MemoryBackend::new(Vec::new(), Mapping::ecs())) };
        let (prod, lab, store, alerts) = (backend(), backend(), backend(), backend());
        let route = |name: &str, patterns: &[&str], backend: &Arc<dyn Backend>| Route {
            name: name.to_owned(),
            patterns: patterns.iter().map(|p| (*p).to_owned()).collect(),
            backend: Arc::clone(backend),
        };
        let routes = vec![route("prod", &["logs-*"], &prod), route("lab", &["lab-*", "logs-lab*"], &lab)];
        let kept = Alerts { backend: Arc::clone(&alerts), index: Some("tocsin-alerts-default".to_owned()) };
        let router = Router::new(routes, Arc::clone(&store), kept);
        for (patterns, expected) in [
            ("logs-aws*", &prod),
            ("remote:logs-*", &prod),
            ("<lab-{now/d}>", &lab),
            ("other-*,-logs-*", &store),
            (".alerts-security*", &alerts),
            ("filebeat-*,logs-aws*", &prod),
        ] {
            let served = router.serving(&[patterns.to_owned()]);
            assert!(Arc::ptr_eq(served, expected), "{patterns}");
        }
        let (_, named) = router.routed(&Arc::from([".alerts-security*".to_owned()]));
        assert_eq!(&*named, ["tocsin-alerts-default".to_owned()]);
    }
}
