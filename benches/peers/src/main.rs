//! tocsin's match kernel and rsigma-eval on the same rules and the same events, in one process.
//! Hits are compared first, each rule's events one by one; times count only when they are equal.

#[path = "../../generate/mod.rs"]
mod generate;

use std::collections::HashSet;
use std::time::Duration;

use cpu_time::ProcessTime;
use rsigma_eval::event::JsonEvent;
use rsigma_eval::Engine;
use serde_json::Value;
use tocsin::backend::memory::MemoryBatch;
use tocsin::ecs::document::Document;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::kernel::{EventScratch, Kernel};
use tocsin::query::lang::kql::parse_filter;
use tocsin::store::batch::Batch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The condition that all rules and all events have.
const KQL_DATASET: &str = "data_stream.dataset: \"aws.cloudtrail\" and ";
/// The same in Sigma.
const SIGMA_DATASET: &str = "        data_stream.dataset: 'aws.cloudtrail'\n";

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = ProcessTime::now();
    let value = std::hint::black_box(work());
    (start.elapsed(), value)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let rounds: usize = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(5);
    let mut generator = generate::Events::new(1, 1_793_491_200_000, 86_400_000, count);
    let values: Vec<Value> = (0..count).map(|_| generator.next().1).collect();
    let documents: Vec<Document> =
        values.iter().enumerate().map(|(n, v)| Document::new("logs-a", n.to_string(), v.clone())).collect();
    let mapping = Mapping::ecs();
    let flat: Vec<FlatDoc> = values.iter().map(FlatDoc::from_value).collect();
    let batch = MemoryBatch::new(documents, &mapping);
    let events: Vec<JsonEvent> = values.iter().map(JsonEvent::borrow).collect();
    for number in [100, 1_000, 5_000] {
        let rules = generate::rules(number, 1);
        // Every event is of the one dataset. rsigma hangs a rule on its first exact condition, so that
        // one is left out on both sides: with it, rsigma would try every rule on every event.
        let kql = |rule: &generate::Rule| rule.kql().replace(KQL_DATASET, "");
        let sigma = |rule: &generate::Rule| rule.sigma().replace(SIGMA_DATASET, "");
        assert!(rules.iter().all(|r| r.kql().contains(KQL_DATASET) && r.sigma().contains(SIGMA_DATASET)));
        let filters: Vec<_> = rules.iter().map(|r| parse_filter(&kql(r)).expect("KQL")).collect();
        let kernel = Kernel::compile(&filters, &mapping, &[], chrono::DateTime::UNIX_EPOCH);
        let columns = batch.columns(&kernel.fields()).expect("columns");
        let mut engine = Engine::new();
        for rule in &rules {
            let collection = rsigma_parser::parse_sigma_yaml(&sigma(rule)).expect("Sigma");
            assert!(collection.errors.is_empty(), "{:?}", collection.errors);
            engine.add_collection(&collection).expect("a rule");
        }
        assert_eq!(engine.rule_count(), number);

        let mut theirs: HashSet<(usize, u32)> = HashSet::new();
        for (row, event) in events.iter().enumerate() {
            for result in engine.evaluate(event) {
                let title = &result.header.rule_title;
                let rule = title.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a number");
                theirs.insert((rule, row as u32));
            }
        }
        let mut ours: HashSet<(usize, u32)> = HashSet::new();
        for (rule, rows) in kernel.evaluate(&columns).rows.into_iter().enumerate() {
            ours.extend(rows.into_iter().map(|row| (rule, row)));
        }
        let mut scratch = EventScratch::default();
        let mut one_by_one: HashSet<(usize, u32)> = HashSet::new();
        for (row, event) in flat.iter().enumerate() {
            one_by_one.extend(
                kernel.evaluate_event(event, &mut scratch).iter().map(|rule| (*rule as usize, row as u32)),
            );
        }
        for (rule, row) in ours.symmetric_difference(&theirs).take(5) {
            println!("differs: rule {rule} on event {row}: {}", rules[*rule].kql());
        }
        assert_eq!(ours, theirs, "hits differ: times are void");
        assert_eq!(ours, one_by_one, "hits differ: times are void");

        let (mut a, mut b, mut c) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            a.push(timed(|| kernel.evaluate(&columns).rows.len()).0);
            b.push(timed(|| events.iter().map(|event| engine.evaluate(event).len()).sum::<usize>()).0);
            c.push(
                timed(|| {
                    flat.iter().map(|e| kernel.evaluate_event(e, &mut scratch).len()).sum::<usize>()
                })
                .0,
            );
        }
        let events = count as f64;
        let (a, b, c) = (median(a) / events, median(b) / events, median(c) / events);
        println!(
            "{number} rules, {count} events, {} hits, equal: tocsin over columns {a:.3} us, event by event {c:.3} us, rsigma-eval {b:.3} us an event; ratios {:.4} and {:.4}",
            ours.len(),
            a / b,
            c / b
        );
    }
}
