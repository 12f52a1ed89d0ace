//! `cargo bench --bench spine -- [B2] [B3] [B8]`: the match kernel, a cycle of rules over the
//! embedded store, and what stored days cost. CPU time of the process; data by `generate`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a benchmark prints what it measured and ends at the first surprise"
)]

#[expect(
    dead_code,
    unreachable_pub,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shared with the peers' package, which uses the rest; indices are taken modulo"
)]
mod generate;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use cpu_time::ProcessTime;
use serde_json::Value;
use tocsin::backend::local::LocalBackend;
use tocsin::backend::memory::MemoryBatch;
use tocsin::backend::{HitPage, SearchRequest, TimeField};
use tocsin::base::window::Window;
use tocsin::ecs::document::{Document, NewDocument};
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::kernel::{EventScratch, Kernel};
use tocsin::query::lang::kql::parse_filter;
use tocsin::query::plan::Filter;
use tocsin::store::batch::Batch;
use tocsin::store::{Store, StoreOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const INDEX: &str = "logs-aws.cloudtrail-default";
/// 2026-11-01T00:00:00Z, ms.
const START: i64 = 1_793_491_200_000;
const DAY: i64 = 86_400_000;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| a.starts_with('B')).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    if runs("B2") {
        b2();
    }
    if runs("B3") {
        b3();
    }
    if runs("B8") {
        b8();
    }
}

fn filters(count: usize) -> Vec<Arc<Filter>> {
    let parse =
        |rule: &generate::Rule| parse_filter(&rule.kql()).unwrap_or_else(|e| panic!("{}: {e}", rule.kql()));
    generate::rules(count, 1).iter().map(|rule| Arc::new(parse(rule))).collect()
}

/// The least of `times` runs, and what the last returned.
fn least<T>(times: usize, mut work: impl FnMut() -> T) -> (Duration, T) {
    let mut best = Duration::MAX;
    let mut result = None;
    for _ in 0..times {
        let start = ProcessTime::now();
        let value = std::hint::black_box(work());
        best = best.min(start.elapsed());
        result = Some(value);
    }
    (best, result.expect("at least one run"))
}

fn micros(time: Duration, events: usize) -> f64 {
    time.as_secs_f64() * 1e6 / events as f64
}

/// The match kernel on events already parsed.
fn b2() {
    const EVENTS: usize = 200_000;
    let mut events = generate::Events::new(1, START, DAY, EVENTS);
    let documents: Vec<Document> = (0..EVENTS)
        .map(|_| {
            let (id, value) = events.next();
            Document::new(INDEX, id, value)
        })
        .collect();
    let mapping = Mapping::ecs();
    let flat: Vec<FlatDoc> = documents.iter().map(|d| FlatDoc::from_value(&d.source)).collect();
    let (build, batch) = least(1, || MemoryBatch::new(documents.clone(), &mapping));
    println!(
        "B2: {EVENTS} events of {} leaves; columns built in {:.2} us an event",
        flat[0].len(),
        micros(build, EVENTS)
    );
    let mut costs: Vec<(f64, f64, f64)> = Vec::new();
    for count in [100, 1_000, 5_000] {
        let filters = filters(count);
        let (compile, kernel) =
            least(3, || Kernel::compile(&filters, &mapping, &[], DateTime::<Utc>::UNIX_EPOCH));
        let columns = batch.columns(&kernel.fields()).expect("columns");
        let (by_columns, found) = least(5, || kernel.evaluate(&columns));
        let hits: usize = found.rows.iter().map(Vec::len).sum();
        let mut scratch = EventScratch::default();
        let (by_event, event_hits) = least(3, || {
            flat.iter().map(|event| kernel.evaluate_event(event, &mut scratch).len()).sum::<usize>()
        });
        assert_eq!(hits, event_hits, "columns and events disagree");
        println!(
            "B2: {count} rules, {} predicates, compiled in {:.2} ms: columns {:.3} us, event by event {:.3} us an event; {hits} hits",
            kernel.predicates(),
            compile.as_secs_f64() * 1e3,
            micros(by_columns, EVENTS),
            micros(by_event, EVENTS),
        );
        costs.push((count as f64, micros(by_columns, EVENTS), micros(by_event, EVENTS)));
    }
    let (first, last) = (costs[0], costs[costs.len() - 1]);
    let exponent = |a: f64, b: f64| (b / a).ln() / (last.0 / first.0).ln();
    println!(
        "B2: exponent of cost over rules, 100 to 5,000: columns {:.2}, event by event {:.2}",
        exponent(first.1, last.1),
        exponent(first.2, last.2)
    );
}

fn new_document(id: String, value: &Value) -> NewDocument {
    NewDocument {
        index: INDEX.into(),
        id,
        source: value.to_string(),
        original: None,
        flat: FlatDoc::from_value(value),
    }
}

fn store(dir: &std::path::Path, events: &mut generate::Events, count: usize) -> Arc<Store> {
    let options = StoreOptions { background: false, ..StoreOptions::default() };
    let store = Store::open(dir, options).expect("a store");
    let mut bulk = store.bulk();
    for _ in 0..count {
        let (id, value) = events.next();
        bulk.push(&new_document(id, &value)).expect("stored");
    }
    bulk.finish().expect("stored");
    Arc::new(store)
}

fn requests(filters: &[Arc<Filter>], from: i64, to: i64) -> Vec<SearchRequest> {
    let at = |ms: i64| DateTime::from_timestamp_millis(ms).expect("in range");
    let indices: Arc<[String]> = Arc::from(["logs-aws.cloudtrail-*".to_owned()]);
    filters
        .iter()
        .map(|filter| SearchRequest {
            indices: indices.clone(),
            filter: filter.clone(),
            now: at(to),
            window: Some(Window::new(at(from), at(to))),
            time: TimeField::timestamp(),
            event_clock: false,
            size: 100,
            after: None,
            descending: false,
        })
        .collect()
}

fn cycle(backend: &LocalBackend, requests: &[SearchRequest]) -> (Duration, u64) {
    let start = ProcessTime::now();
    let pages: Vec<HitPage> =
        backend.search_many_now(requests).into_iter().map(|page| page.expect("a page")).collect();
    (start.elapsed(), pages.iter().map(|page| page.total).sum())
}

/// One cycle of 1,000 rules through the backend.
fn b3() {
    let filters = filters(1_000);
    for (events, window, label) in
        [(200_000usize, 6 * 60_000i64, "6 min of a day"), (200_000, DAY, "the whole day")]
    {
        let dir = tempfile::tempdir().expect("a folder");
        let mut generator = generate::Events::new(1, START, DAY, events);
        let store = store(dir.path(), &mut generator, events);
        let end = START + DAY;
        let asked = requests(&filters, end - window, end);
        let in_window = (events as i64 * window / DAY) as usize;

        // A new backend each time: nothing compiled, nothing remembered.
        let mut best: Option<(Duration, u64)> = None;
        for _ in 0..3 {
            let backend = LocalBackend::new(store.clone(), None);
            let run = cycle(&backend, &asked);
            best = Some(best.map_or(run, |b| b.min(run)));
        }
        let (cold, hits) = best.expect("ran");
        let backend = LocalBackend::new(store.clone(), None);
        cycle(&backend, &asked);
        let (again, _) = cycle(&backend, &asked);

        // One event in fifty is new, and the window moves on by as much.
        let fresh = in_window / 50;
        let step = window / 50;
        let documents: Vec<NewDocument> = (0..fresh)
            .map(|_| {
                let (id, value) = generator.next();
                new_document(id, &value)
            })
            .collect();
        store.append(documents).expect("appended");
        let next = requests(&filters, end - window + step, end + step);
        // The new events become columns when they are first looked at.
        let (reading, _) = least(1, || store.snapshot().expect("a snapshot"));
        let (counting, _) = {
            let only_counts: Vec<SearchRequest> =
                next.iter().map(|request| SearchRequest { size: 0, ..request.clone() }).collect();
            cycle(&backend, &only_counts)
        };
        let (documents, moved_hits) = cycle(&backend, &next);
        let moved = reading + counting + documents;
        let afresh = LocalBackend::new(store.clone(), None);
        let (_, expected) = cycle(&afresh, &next);
        assert_eq!(moved_hits, expected, "what was remembered differs from what is matched afresh");
        println!(
            "B3: 1,000 rules, {in_window} events in the window ({label}): {:.1} ms CPU, {hits} hits; again {:.1} ms; next cycle with {fresh} new events {:.1} ms (new events to columns {:.1}, matching {:.1}, documents of hits {:.1}), {moved_hits} hits, equal to afresh",
            cold.as_secs_f64() * 1e3,
            again.as_secs_f64() * 1e3,
            moved.as_secs_f64() * 1e3,
            reading.as_secs_f64() * 1e3,
            counting.as_secs_f64() * 1e3,
            documents.as_secs_f64() * 1e3,
        );
    }
}

/// The cost of a fixed window with 1 and with 30 stored days.
fn b8() {
    const A_DAY: usize = 50_000;
    let filters = filters(1_000);
    let mut costs = Vec::new();
    for days in [1i64, 30] {
        let dir = tempfile::tempdir().expect("a folder");
        // The last day is the same events in both.
        let options = StoreOptions { background: false, ..StoreOptions::default() };
        let store = Arc::new(Store::open(dir.path(), options).expect("a store"));
        for day in (0..days).rev() {
            let mut generator = generate::Events::new(day as u64, START - day * DAY, DAY, A_DAY);
            let mut bulk = store.bulk();
            for _ in 0..A_DAY {
                let (id, value) = generator.next();
                bulk.push(&new_document(id, &value)).expect("stored");
            }
            bulk.finish().expect("stored");
        }
        let window = 30 * 60_000;
        let asked = requests(&filters, START + DAY - window, START + DAY);
        let mut best: Option<(Duration, u64)> = None;
        for _ in 0..9 {
            let backend = LocalBackend::new(store.clone(), None);
            let run = cycle(&backend, &asked);
            best = Some(best.map_or(run, |b| b.min(run)));
        }
        let (cost, hits) = best.expect("ran");
        println!(
            "B8: {days} days of {A_DAY} events, window 30 min: {:.2} ms CPU a cycle of 1,000 rules, {hits} hits",
            cost.as_secs_f64() * 1e3
        );
        costs.push(cost.as_secs_f64());
    }
    println!("B8: 30 days cost {:.2} times what 1 day costs", costs[1] / costs[0]);
}
