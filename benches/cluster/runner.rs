//! tocsin's side: cycles of the engine, a runner alone, and what both ways find over everything.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use cpu_time::ProcessTime;
use serde_json::{Value, json};
use tocsin::alert::build::alert_id;
use tocsin::alert::rule_fields::RuleFields;
use tocsin::backend::cluster::{ClusterBackend, ClusterOptions};
use tocsin::backend::{Backend, SearchRequest, TimeField};
use tocsin::base::clock::SystemClock;
use tocsin::base::window::Window;
use tocsin::elastic::Client;
use tocsin::engine::{Due, Engine, Settings};
use tocsin::rule::load::toml;
use tocsin::rule::set::RuleSet;
use tocsin::store::state::{AlertQuery, StateDb, Status};

use crate::node::{Node, client, index};
use crate::{END, RULES, STEP, WINDOW, generate};

/// The bar for the runner's memory, MiB.
const MEMORY: u64 = 150;

/// What a cycle cost, and the ids of its alerts in order.
pub(crate) struct Cycle {
    pub(crate) requests: u64,
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    pub(crate) alerts: Vec<String>,
}

/// Rules, and a cluster that is asked in one way.
pub(crate) struct Runner {
    client: Client,
    backend: ClusterBackend,
    set: RuleSet,
    pattern: String,
}

pub(crate) fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).expect("in range")
}

fn rule(pattern: &str, id: &str, from: &str, query: &str) -> String {
    format!(
        "[rule]\nrule_id = \"{id}\"\nname = \"{id}\"\ndescription = \"generated\"\nrisk_score = 47\nseverity = \"low\"\n\
         index = [\"{pattern}\"]\ninterval = \"5m\"\nfrom = \"{from}\"\ntype = \"query\"\nlanguage = \"kuery\"\n\
         query = '''{query}'''\n"
    )
}

fn set(rules: Vec<String>) -> RuleSet {
    let files = rules.into_iter().enumerate().map(|(number, text)| {
        (PathBuf::from(format!("{number}.toml")), toml::read(&text, &format!("hash-{number}")))
    });
    RuleSet::new(files.collect(), Vec::new())
}

fn generated(pattern: &str) -> Vec<String> {
    let minutes = WINDOW / 60_000;
    let rules = generate::rules(RULES, 1);
    rules
        .iter()
        .map(|one| rule(pattern, &format!("rule-{}", one.number), &format!("now-{minutes}m"), &one.kql()))
        .collect()
}

impl Runner {
    /// The generated rules on the index of so many events.
    pub(crate) fn new(url: &str, events: usize, grouped: bool) -> Self {
        let pattern = index(events);
        Self::with(url, pattern.clone(), grouped, generated(&pattern))
    }

    fn with(url: &str, pattern: String, grouped: bool, rules: Vec<String>) -> Self {
        let client = client(url);
        let options = ClusterOptions { grouped, ..ClusterOptions::default() };
        let backend = ClusterBackend::with_options(client.clone(), options);
        let count = rules.len();
        let set = set(rules);
        assert_eq!(set.compiled.len(), count, "rules do not compile");
        Self { client, backend, set, pattern }
    }

    /// One cycle of all rules at a slot, with a state of its own: every alert is new.
    pub(crate) async fn cycle(&self, slot: i64) -> Cycle {
        let dir = tempfile::tempdir().expect("a folder");
        let state = Arc::new(StateDb::open(dir.path()).expect("a state"));
        let backend: Arc<dyn Backend> = Arc::new(self.backend.clone());
        let engine = Engine::new(backend, Arc::clone(&state), Arc::new(SystemClock), Settings::default())
            .expect("an engine");
        let due: Vec<Due> = self.set.compiled.iter().map(|rule| Due::compiled(rule, at(slot))).collect();
        let (begun, cpu, before) = (Instant::now(), ProcessTime::now(), self.client.traffic().requests);
        let records = engine.run(due).await;
        let (cpu, wall) = (cpu.elapsed(), begun.elapsed());
        let requests = self.client.traffic().requests - before;
        for record in &records {
            assert!(
                !matches!(record.status, Status::Failed | Status::NotRun),
                "{}: {:?}",
                record.rule_id,
                record.error
            );
        }
        let rows =
            state.alerts(&AlertQuery { size: Some(1_000_000), ..AlertQuery::default() }).expect("alerts");
        let mut alerts: Vec<String> = rows.into_iter().map(|row| row.id.to_string()).collect();
        alerts.sort();
        Cycle { requests, cpu, wall, alerts }
    }

    /// A page of each rule, over a window of one's own.
    fn requests(&self, window: Window, size: usize) -> Vec<SearchRequest> {
        let indices: Arc<[String]> = Arc::from([self.pattern.clone()]);
        let filters = self.set.compiled.iter().map(|rule| rule.plan.filter().expect("a filter"));
        filters
            .map(|filter| SearchRequest {
                indices: Arc::clone(&indices),
                filter: Arc::clone(filter),
                now: window.to,
                window: Some(window),
                time: TimeField::timestamp(),
                event_clock: false,
                size,
                after: None,
                descending: false,
            })
            .collect()
    }

    /// The searches of a cycle as they would be sent, with the query and nothing else.
    pub(crate) async fn bare_searches(&self) -> Vec<Value> {
        let mut searches = Vec::new();
        for request in self.requests(Window::new(at(END - WINDOW), at(END)), 100) {
            let query = self.backend.query(&request).await.expect("a query");
            searches.push(json!({"size": 100, "query": query}));
        }
        searches
    }

    /// The queries of the rules without their window.
    pub(crate) async fn queries(&self) -> Vec<Value> {
        let mut queries = Vec::new();
        for request in self.requests(Window::new(at(END - WINDOW), at(END)), 100) {
            let request = SearchRequest { window: None, ..request };
            queries.push(self.backend.query(&request).await.expect("a query"));
        }
        queries
    }

    fn fields(&self) -> Vec<RuleFields> {
        let fields = |rule: &Arc<tocsin::rule::compiled::CompiledRule>| {
            RuleFields::new(&rule.rule, "default", "9.2.0", std::slice::from_ref(&self.pattern))
        };
        self.set.compiled.iter().map(fields).collect()
    }

    /// Ids of the alerts of everything in a window, cap or not.
    async fn ids(&self, window: Window, ids: &mut BTreeSet<Arc<str>>) {
        const SIZE: usize = 1_000;
        let fields = self.fields();
        let requests = self.requests(window, SIZE);
        let pages = self.backend.search_many(requests.clone()).await;
        for ((request, fields), page) in requests.into_iter().zip(&fields).zip(pages) {
            let mut page = page.expect("a page");
            let mut found = 0;
            loop {
                found += page.hits.len() as u64;
                let full = page.hits.len() >= SIZE;
                let after = page.hits.last().map(|hit| hit.sort.clone());
                ids.extend(
                    page.hits.iter().map(|hit| alert_id(fields, &hit.document.index, &hit.document.id)),
                );
                if !full {
                    break;
                }
                page = self.backend.search(SearchRequest { after, ..request.clone() }).await.expect("a page");
            }
            assert!(found >= page.total, "{found} hits of {}", page.total);
        }
    }
}

/// Peak resident memory of this process, MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) / 1_024
}

/// What a runner takes that does nothing else: cycles, and then one with a rule among the others
/// that matches a million events.
pub(crate) async fn alone(url: &str, events: usize) {
    let runner = Runner::new(url, events, true);
    let idle = peak();
    for round in 0..3 {
        let cycle = runner.cycle(END - round * WINDOW).await;
        println!(
            "B4 alone: {} requests, {} alerts, runner CPU {:.0} ms, wall {:.0} ms; peak memory {} MiB (rules loaded: {idle})",
            cycle.requests,
            cycle.alerts.len(),
            cycle.cpu.as_secs_f64() * 1e3,
            cycle.wall.as_secs_f64() * 1e3,
            peak()
        );
    }
    let pattern = runner.pattern.clone();
    let mut rules = generated(&pattern);
    let seconds = 1_000_000 * STEP / 1_000;
    rules.push(rule(
        &pattern,
        "everything",
        &format!("now-{seconds}s"),
        "data_stream.dataset: \"aws.cloudtrail\"",
    ));
    let runner = Runner::with(url, pattern, true, rules);
    let before = peak();
    let cycle = runner.cycle(END).await;
    println!(
        "B4 alone: with a rule that matches the last {seconds} s: {} requests, {} alerts, runner CPU {:.0} ms, wall {:.0} ms; peak memory {} MiB (before: {before}; bar: {MEMORY})",
        cycle.requests,
        cycle.alerts.len(),
        cycle.cpu.as_secs_f64() * 1e3,
        cycle.wall.as_secs_f64() * 1e3,
        peak()
    );
}

/// The alert ids of both ways over all events that are stored.
pub(crate) async fn difference(node: &Node, events: usize) {
    const SLICE: i64 = 3_600_000;
    let (first, last) = (END - events as i64 * STEP, END);
    let each = Runner::new(node.url(), events, false);
    let mut one_by_one = BTreeSet::new();
    each.ids(Window::new(at(first), at(last)), &mut one_by_one).await;
    let grouped = Runner::new(node.url(), events, true);
    let (mut together, mut from) = (BTreeSet::new(), first);
    while from < last {
        // Both ends belong to a window.
        let to = (from + SLICE - 1).min(last);
        grouped.ids(Window::new(at(from), at(to)), &mut together).await;
        from = to + 1;
    }
    let only = |a: &BTreeSet<Arc<str>>, b: &BTreeSet<Arc<str>>| a.difference(b).count();
    println!(
        "B4: alert ids over {events} events: {} one by one over everything at once, {} grouped hour by hour; only one by one {}, only grouped {}",
        one_by_one.len(),
        together.len(),
        only(&one_by_one, &together),
        only(&together, &one_by_one)
    );
    for id in one_by_one.iter().step_by((one_by_one.len() / 5).max(1)).take(5) {
        println!("B4: for example {id}: grouped {}", if together.contains(id) { "too" } else { "not" });
    }
    assert_eq!(one_by_one, together, "the two ways find different events");
}
