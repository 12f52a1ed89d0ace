//! B9: 5,000 rules at one-minute intervals against a backend that answers in 5 ms: schedule lag,
//! memory, what the coverage ledger costs an execution.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a benchmark prints, and ends at the first surprise"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tocsin::backend::{
    AggregateRequest, Backend, BackendError, BucketPage, Capabilities, DocumentRef, HitPage, SearchRequest,
};
use tocsin::base::clock::SystemClock;
use tocsin::base::intervals::Interval;
use tocsin::base::ledger::Ledger;
use tocsin::ecs::document::Document;
use tocsin::ecs::mapping::Mapping;
use tocsin::engine::{Engine, Settings};
use tocsin::rule::load::toml;
use tocsin::rule::set::RuleSet;
use tocsin::schedule::blackout::Blackouts;
use tocsin::schedule::owed::Policy;
use tocsin::schedule::service::{Event, NAP, Rules, Service};
use tocsin::store::state::StateDb;
use tokio_util::sync::CancellationToken;

const RULES: usize = 5_000;
const ANSWER: Duration = Duration::from_millis(5);
/// Two slots of each rule: the first of all are due at once and are not counted.
const MEASURED: Duration = Duration::from_secs(130);
const WARM_UP: Duration = Duration::from_secs(65);

/// A cluster in which nothing matches.
struct Slow;

#[async_trait]
impl Backend for Slow {
    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "slow", eql: false, esql: false, lenient: false }
    }

    async fn mapping(&self, _indices: &[String]) -> Result<Arc<Mapping>, BackendError> {
        Ok(Arc::new(Mapping::ecs()))
    }

    async fn search(&self, _request: SearchRequest) -> Result<HitPage, BackendError> {
        tokio::time::sleep(ANSWER).await;
        Ok(HitPage { hits: Vec::new(), total: 0, indices: 1 })
    }

    async fn search_many(&self, requests: Vec<SearchRequest>) -> Vec<Result<HitPage, BackendError>> {
        let mut pages = Vec::new();
        for request in requests {
            pages.push(self.search(request).await);
        }
        pages
    }

    async fn aggregate(&self, _request: AggregateRequest) -> Result<BucketPage, BackendError> {
        Err(BackendError::Unsupported("not asked".to_owned()))
    }

    async fn get(&self, _names: &[DocumentRef]) -> Result<Vec<Option<Document>>, BackendError> {
        Ok(Vec::new())
    }
}

fn rules() -> RuleSet {
    let files = (0..RULES).map(|n| {
        let text = format!(
            "[rule]\nrule_id = \"rule-{n}\"\nname = \"Rule {n}\"\ndescription = \"d\"\nrisk_score = 47\n\
             severity = \"low\"\nindex = [\"logs-*\"]\ninterval = \"1m\"\nfrom = \"now-2m\"\ntype = \"query\"\n\
             language = \"kuery\"\nquery = 'event.action:a{n} and user.name:u{n}'\n"
        );
        (PathBuf::from(format!("{n}.toml")), toml::read(&text, &format!("hash-{n}")))
    });
    RuleSet::new(files.collect(), Vec::new())
}

/// Peak resident memory, MiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) / 1024
}

fn ledger() {
    let mut ledger = Ledger::default();
    ledger.begin(0);
    // A ledger with 50 holes, as a rule has after a bad year.
    for slot in (0..100_000).filter(|slot| slot % 2_000 != 0) {
        ledger.enter("0123456789abcdef", Interval::new(slot * 60_000, (slot + 1) * 60_000));
    }
    let rounds = 10_000;
    let begun = Instant::now();
    for slot in 100_000..100_000 + rounds {
        ledger.enter("0123456789abcdef", Interval::new(slot * 60_000, (slot + 1) * 60_000));
        let text = serde_json::to_string(&ledger).unwrap();
        let read: Ledger = serde_json::from_str(&text).unwrap();
        std::hint::black_box(read.holes(slot * 60_000));
    }
    let each = begun.elapsed() / rounds as u32;
    let bytes = serde_json::to_string(&ledger).unwrap().len();
    println!(
        "B9 ledger     entered, written, read, asked for its 50 holes: {each:?} an execution, {bytes} bytes"
    );
}

fn main() {
    ledger();
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let state = Arc::new(StateDb::open(dir.path()).unwrap());
    let clock = Arc::new(SystemClock);
    let engine = Engine::new(Arc::new(Slow), state, clock.clone(), Settings::default()).unwrap();
    let (begun, mut lags, mut executions, mut failed) = (Instant::now(), Vec::<i64>::new(), 0u64, 0u64);
    let set = rules();
    assert_eq!(set.compiled.len(), RULES);
    let service = Service {
        engine: Arc::new(engine),
        rules: Rules {
            paths: Vec::new(),
            load: Arc::new(rules),
            select: Arc::new(|set| set.compiled.iter().map(|compiled| Arc::clone(&compiled.rule)).collect()),
        },
        clock,
        concurrency: 8,
        together: 1,
        policy: Policy::default(),
        blackouts: Blackouts::default(),
        share: None,
        nap: NAP,
        watch: false,
        tell: Box::new(|event| {
            let Event::Executed(ended) = event else { return };
            for (record, ended) in ended {
                executions += 1;
                failed += u64::from(record.error.is_some());
                if begun.elapsed() > WARM_UP
                    && let Some(lag) = ended.and_then(|ended| ended.lag)
                {
                    lags.push(lag);
                }
            }
        }),
        sweep: None,
    };
    let stop = CancellationToken::new();
    let ending = stop.clone();
    let (_sender, reload) = tokio::sync::watch::channel(0);
    runtime.block_on(async {
        tokio::spawn(async move {
            tokio::time::sleep(WARM_UP + MEASURED).await;
            ending.cancel();
        });
        service.run(set, stop, reload).await;
    });
    lags.sort_unstable();
    let at = |share: f64| lags.get((lags.len() as f64 * share) as usize).copied().unwrap_or(-1);
    println!(
        "B9 schedule   {RULES} rules a minute, 5 ms a search: {} slots measured, lag p50 {} ms, p99 {} ms, most {} ms",
        lags.len(),
        at(0.5),
        at(0.99),
        lags.last().copied().unwrap_or(-1)
    );
    println!(
        "B9 memory     {} MiB at most; {executions} executions, {failed} failed; CPU {:.1} % of one core",
        peak_memory(),
        cpu_time::ProcessTime::now().as_duration().as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0
    );
}
