//! `cargo bench --bench types -- [new_terms] [threat_match] [EVENTS]`: rule types over a store of many
//! small events (10,000,000 unless said otherwise), in a temporary folder. CPU time of the process.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_possible_wrap,
    clippy::indexing_slicing,
    reason = "a benchmark prints what it measured and ends at the first surprise"
)]

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use cpu_time::ProcessTime;
use tocsin::backend::local::LocalBackend;
use tocsin::base::clock::ManualClock;
use tocsin::base::window::iso_millis;
use tocsin::ecs::document::NewDocument;
use tocsin::ecs::flat::FlatDoc;
use tocsin::engine::{Due, Engine, Settings, Trigger};
use tocsin::rule::load::{LoadedRule, toml};
use tocsin::store::state::{EphemeralState, ExecutionRecord};
use tocsin::store::{Store, StoreOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn noon() -> DateTime<Utc> {
    "2026-11-11T12:00:00Z".parse().expect("a time")
}

/// `{"@timestamp": …, "FIELD": …}`.
fn event(index: &str, id: String, at: DateTime<Utc>, field: &str, value: &str) -> NewDocument {
    let source = serde_json::json!({"@timestamp": iso_millis(at), field: value});
    let flat = FlatDoc::from_value(&source);
    let source = source.to_string();
    NewDocument { index: index.into(), id, source, original: None, flat }
}

fn store(dir: &std::path::Path, events: impl Iterator<Item = NewDocument>) -> Arc<Store> {
    let store =
        Store::open(dir, StoreOptions { originals: false, ..StoreOptions::default() }).expect("store");
    let begun = ProcessTime::now();
    let mut count = 0_u64;
    let mut bulk = store.bulk();
    for event in events {
        bulk.push(&event).expect("push");
        count += 1;
    }
    bulk.finish().expect("finish");
    let bytes = store.stats().expect("stats").bytes;
    println!(
        "stored {count} events: {:.0} s of CPU, {} MB on disk",
        begun.elapsed().as_secs_f64(),
        bytes / 1_000_000
    );
    Arc::new(store)
}

fn rule(more: &str) -> LoadedRule {
    let text = format!(
        "[rule]\nrule_id = \"r\"\nname = \"R\"\ndescription = \"d\"\nrisk_score = 1\nseverity = \"low\"\n\
         index = [\"logs-a\"]\ninterval = \"5m\"\nfrom = \"now-10m\"\n{more}"
    );
    let file = toml::read(&text, "hash");
    let said = format!("{:?}", file.diagnostics);
    file.rules.into_iter().next().expect(&said)
}

/// Runs the rule at successive slots, five minutes apart, in one process.
fn cycles(store: &Arc<Store>, rule: &LoadedRule, before: impl Fn(usize)) -> Vec<ExecutionRecord> {
    let backend = Arc::new(LocalBackend::new(Arc::clone(store), None));
    let state = Arc::new(EphemeralState::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let settings = Settings { trigger: Trigger::Manual, ..Settings::default() };
    let alerts = Arc::<EphemeralState>::clone(&state);
    let clock = Arc::new(ManualClock::new(noon()));
    let engine = runtime.block_on(Engine::open(backend, state, alerts, clock, settings)).expect("an engine");
    let mut records = Vec::new();
    for cycle in 0..4 {
        before(cycle);
        let slot = noon() + Duration::minutes(5 * cycle as i64);
        let due = Due { plan: rule.plan.clone(), ..Due::not_run(&rule.rule, slot) };
        let begun = ProcessTime::now();
        let record = runtime.block_on(engine.run(vec![due])).remove(0);
        println!(
            "cycle {cycle}: {:.3} s of CPU, {} candidates, {:?}, {:?} {:?}, peak {:.0} MB",
            begun.elapsed().as_secs_f64(),
            record.candidates,
            record.status,
            record.error,
            record.warnings,
            peak()
        );
        records.push(record);
    }
    records
}

/// The most memory that the process had, MB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1_024.0
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let count: u64 = arguments.iter().find_map(|a| a.parse().ok()).unwrap_or(10_000_000);
    let runs = |name: &str| {
        let named = arguments.iter().any(|a| a == name);
        named || arguments.iter().all(|a| a.parse::<u64>().is_ok())
    };
    if runs("new_terms") {
        new_terms(count);
    }
    if runs("threat_match") {
        threat_match(count);
    }
}

/// One field, 20,000 values, 10 days of history; every cycle brings one value that is new.
fn new_terms(count: u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let step = Duration::days(10).num_milliseconds() / count as i64;
    let start = noon() - Duration::milliseconds(step * count as i64);
    let events = (0..count).map(|n| {
        let at = start + Duration::milliseconds(step * n as i64);
        let user = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        event("logs-a", n.to_string(), at, "user.name", &format!("user{}", user % 20_000))
    });
    let store = store(dir.path(), events);
    let rule = rule(
        "type = \"new_terms\"\nlanguage = \"kuery\"\nquery = \"*:*\"\nnew_terms_fields = [\"user.name\"]\nhistory_window_start = \"now-10d\"\n",
    );
    let records = cycles(&store, &rule, |cycle| {
        let at = noon() + Duration::minutes(5 * cycle as i64) - Duration::minutes(1);
        let new = event("logs-a", format!("new-{cycle}"), at, "user.name", &format!("stranger{cycle}"));
        store.append(vec![new]).expect("append");
    });
    for (cycle, record) in records.iter().enumerate() {
        // The window is twice the interval, so each stranger is seen in two cycles.
        assert_eq!(record.candidates, if cycle == 0 { 1 } else { 2 }, "{record:?}");
    }
}

/// So many addresses as indicators, and 100,000 events, 100 of which have one of them.
fn threat_match(count: u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let address = |n: u64| format!("{}.{}.{}.{}", 11 + (n >> 24), (n >> 16) & 255, (n >> 8) & 255, n & 255);
    let indicators = (0..count).map(|n| {
        let at = noon() - Duration::days(1);
        event("ti-a", n.to_string(), at, "threat.indicator.ip", &address(n))
    });
    let events = (0..100_000_u64).map(|n| {
        let at = noon() - Duration::minutes(9) + Duration::milliseconds(n as i64 * 5);
        let ip = if n % 1_000 == 0 { address(n * 97 % count) } else { format!("9.{}.{}.1", n >> 8, n & 255) };
        event("logs-a", n.to_string(), at, "source.ip", &ip)
    });
    let store = store(dir.path(), indicators.chain(events));
    let rule = rule(
        "type = \"threat_match\"\nlanguage = \"kuery\"\nquery = \"*:*\"\nthreat_index = [\"ti-*\"]\nthreat_query = \"*:*\"\n\
         [[rule.threat_mapping]]\n[[rule.threat_mapping.entries]]\nfield = \"source.ip\"\ntype = \"mapping\"\n\
         value = \"threat.indicator.ip\"\n",
    );
    let records = cycles(&store, &rule, |_| {});
    assert_eq!(records[0].candidates, 100, "{:?}", records[0]);
}
