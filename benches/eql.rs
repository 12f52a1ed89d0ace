//! `cargo bench --bench eql -- [events] [peer] [cycle] [memory]`: EQL against the public Python engine,
//! a cycle of EQL rules against one of KQL rules, and a sequence over ten million events.
//!
//! CPU time of the process (of the child for the peer). Times count only when the hits are equal.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "a benchmark prints what it measured and ends at the first surprise"
)]

use std::io::Write as _;
use std::ops::ControlFlow;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cpu_time::ProcessTime;
use serde_json::{Value, json};
use tocsin::backend::join::{JoinRequest, join};
use tocsin::backend::memory::{MemoryBackend, MemoryBatch};
use tocsin::backend::{
    AggregateRequest, Backend, BackendError, BucketPage, Capabilities, DocumentRef, Each, Hit, HitPage,
    ScanEnd, ScanRequest, Scope, SearchRequest, SortKey, TimeField,
};
use tocsin::ecs::document::Document;
use tocsin::ecs::flat::FlatDoc;
use tocsin::ecs::mapping::Mapping;
use tocsin::query::eval::eql::{JoinKeys, Key, SequenceMatcher};
use tocsin::query::kernel::Kernel;
use tocsin::query::lang::eql::parse_plan;
use tocsin::query::lang::kql;
use tocsin::query::plan::{EqlPlan, EqlQuery, Filter};
use tocsin::store::batch::Batch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Ten single events and ten sequences, in the dialect that both engines read alike.
const QUERIES: [&str; 20] = [
    "any where action == \"startlogging\"",
    "process where user == \"user7\" and action in (\"getobject\", \"putobject\")",
    "any where action : \"delete*\" and not user == \"user3\"",
    "file where length(path) > 24 and bytes >= 900",
    "any where path : \"*secret*\"",
    "any where startsWith(path, \"/data/1\") and endsWith(path, \"9\")",
    "process where bytes % 97 == 5 and action != \"listbuckets\"",
    "any where stringContains(path, \"/77/\") or (action == \"stoplogging\" and user : \"user1*\")",
    "any where path regex \".*/s[a-f]cret/.*\"",
    "network where bytes + 10 > 1005 and (user == \"user1\" or user == \"user2\" or user == \"user9\")",
    "sequence by user with maxspan=1m [any where action == \"stoplogging\"] [any where action : \"delete*\"]",
    "sequence by user with maxspan=5m [process where action == \"createuser\"] [any where action == \"createaccesskey\"] [any where action == \"getobject\"]",
    "sequence by user, host with maxspan=10m [file where bytes > 990] [network where bytes > 990]",
    "sequence by host [any where action == \"consolelogin\"] with runs=3 [any where action == \"stoplogging\"]",
    "sequence by path with maxspan=1h [any where action == \"putobject\"] [any where action == \"deleteobject\"]",
    "sequence by user [any where action == \"createuser\"] [any where action == \"deleteuser\"] until [any where action == \"consolelogin\"]",
    "sequence with maxspan=2s [any where action == \"stoplogging\"] [any where action == \"deletetrail\"]",
    "sequence by host with maxspan=30s [process where bytes < 5] [file where bytes < 5] [network where bytes < 5]",
    "sequence by user with maxspan=1h [any where path : \"*secret*\"] [any where action == \"putobject\" and bytes > 500]",
    "sequence by host, user with maxspan=1d [process where action == \"assumerole\"] with runs=4 [any where action == \"stoplogging\"]",
];

const ACTIONS: [&str; 16] = [
    "getobject",
    "getobject",
    "getobject",
    "putobject",
    "putobject",
    "listbuckets",
    "assumerole",
    "assumerole",
    "describeinstances",
    "consolelogin",
    "deleteobject",
    "createuser",
    "createaccesskey",
    "deleteuser",
    "stoplogging",
    "deletetrail",
];

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

fn event(random: &mut Random, id: u64, at: i64) -> Value {
    let category = ["process", "process", "file", "network"][random.below(4) as usize];
    // Rare actions stay rare: the last ones need two strokes of luck.
    let mut action = random.below(16);
    if action >= 9 && random.below(8) > 0 {
        action = random.below(9);
    }
    let word = if random.below(500) == 0 { "secret" } else { "public" };
    json!({
        "id": id,
        "@timestamp": at,
        "event_type": category,
        "event": {"category": category},
        "action": ACTIONS[action as usize],
        "user": format!("user{}", random.below(40)),
        "host": format!("host{}", random.below(200)),
        "path": format!("/data/{}/{word}/{}", random.below(100), random.below(2_000)),
        "bytes": random.below(1_000),
    })
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = ProcessTime::now();
    let value = std::hint::black_box(work());
    (start.elapsed(), value)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let count = arguments.iter().find_map(|a| a.parse().ok()).unwrap_or(200_000);
    let named: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|a| ["peer", "cycle", "memory"].contains(a)).collect();
    let runs = |name: &str| named.is_empty() || named.contains(&name);
    if runs("peer") {
        peer(count);
    }
    if runs("cycle") {
        cycle(count);
    }
    if runs("memory") {
        memory();
    }
}

/// Ids by result: the rows that a kernel matched, joined where the query joins.
fn matched(
    query: &EqlQuery,
    kernel: &Kernel,
    first: usize,
    rows: &[Vec<u32>],
    docs: &[FlatDoc],
    mapping: &Mapping,
) -> Vec<Vec<u64>> {
    let now = chrono::DateTime::UNIX_EPOCH;
    let rows = &rows[first..];
    let plan = match &query.plan {
        EqlPlan::Event(filter) => {
            let verified = verify(filter, &rows[0], kernel.needs_document(first), docs, mapping);
            return verified.into_iter().map(|row| vec![u64::from(row)]).collect();
        }
        EqlPlan::Sequence(plan) => plan,
        EqlPlan::Sample(_) => panic!("no sample"),
    };
    let rows: Vec<Vec<u32>> = plan
        .searches
        .iter()
        .zip(rows)
        .enumerate()
        .map(|(n, (filter, rows))| verify(filter, rows, kernel.needs_document(first + n), docs, mapping))
        .collect();
    let mut matcher = SequenceMatcher::new(plan);
    let asked = matcher.asked().to_vec();
    let keys: Vec<JoinKeys> = asked.iter().map(|a| JoinKeys::compile(&a.keys, mapping, now)).collect();
    let mut all: Vec<u32> = rows.iter().flatten().copied().collect();
    all.sort_unstable();
    all.dedup();
    let mut next = vec![0_usize; rows.len()];
    let mut given: Vec<Vec<Key>> = vec![Vec::new(); asked.len()];
    for row in all {
        let doc = &docs[row as usize];
        let mut hit = vec![false; rows.len()];
        for (search, rows) in rows.iter().enumerate() {
            if rows.get(next[search]) == Some(&row) {
                next[search] += 1;
                hit[search] = true;
            }
        }
        for ((slot, asked), keys) in given.iter_mut().zip(&asked).zip(&keys) {
            *slot = if hit[asked.search] { keys.of(doc, &mut 0) } else { Vec::new() };
        }
        matcher.event(time(row), &u64::from(row), &given);
    }
    matcher.finish().found.into_iter().map(|joined| joined.events.into_iter().flatten().collect()).collect()
}

/// Rows of which the document itself must be looked at.
fn verify(filter: &Filter, rows: &[u32], needs: bool, docs: &[FlatDoc], mapping: &Mapping) -> Vec<u32> {
    if !needs {
        return rows.to_vec();
    }
    let matcher = tocsin::query::eval::Matcher::compile(filter, mapping, chrono::DateTime::UNIX_EPOCH);
    rows.iter().copied().filter(|row| matcher.matches(&docs[*row as usize], None)).collect()
}

/// An event every 100 ms.
fn time(row: u32) -> i64 {
    1_700_000_000_000 + i64::from(row) * 100
}

fn mapping() -> Mapping {
    Mapping::from_elasticsearch(&json!({"properties": {
        "@timestamp": {"type": "date"},
        "event": {"properties": {"category": {"type": "keyword"}}},
        "event_type": {"type": "keyword"}, "action": {"type": "keyword"}, "user": {"type": "keyword"},
        "host": {"type": "keyword"}, "path": {"type": "keyword"}, "bytes": {"type": "long"}, "id": {"type": "long"},
    }}))
    .expect("a mapping")
}

fn peer(count: usize) {
    let mut random = Random(7);
    let sources: Vec<Value> =
        (0..count as u32).map(|row| event(&mut random, row.into(), time(row))).collect();
    let mapping = mapping();
    let docs: Vec<FlatDoc> = sources.iter().map(FlatDoc::from_value).collect();
    let documents = sources
        .iter()
        .map(|source| Document::new("logs-a", source["id"].to_string(), source.clone()))
        .collect();
    let batch = MemoryBatch::new(documents, &mapping);
    let (compiling, (queries, kernel, firsts)) = timed(|| {
        let queries: Vec<EqlQuery> = QUERIES.iter().map(|text| parse_plan(text).expect("a query")).collect();
        let mut filters: Vec<Arc<Filter>> = Vec::new();
        let mut firsts = Vec::new();
        for query in &queries {
            firsts.push(filters.len());
            match &query.plan {
                EqlPlan::Event(filter) => filters.push(Arc::clone(filter)),
                joined => filters.extend(joined.searches().iter().cloned()),
            }
        }
        let kernel = Kernel::compile(&filters, &mapping, &[], chrono::DateTime::UNIX_EPOCH);
        (queries, kernel, firsts)
    });
    let mut times: Vec<Duration> = Vec::new();
    let mut found = Vec::new();
    for _ in 0..3 {
        let (spent, results) = timed(|| {
            let rows = kernel.evaluate(&batch.columns(&kernel.fields()).expect("columns")).rows;
            queries
                .iter()
                .zip(&firsts)
                .map(|(query, first)| matched(query, &kernel, *first, &rows, &docs, &mapping))
                .collect::<Vec<_>>()
        });
        times.push(spent);
        found = results;
    }
    times.sort();
    let ours = times[1];
    println!(
        "here: {} events, 20 queries: {:.3} s of CPU, {:.0} events/s; compiled in {:.1} ms; {} results",
        count,
        ours.as_secs_f64(),
        count as f64 / ours.as_secs_f64(),
        compiling.as_secs_f64() * 1e3,
        found.iter().map(Vec::len).sum::<usize>()
    );
    let mut child = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/python_engine.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let asked = json!({"queries": QUERIES, "events": sources});
    let mut stdin = child.stdin.take().expect("stdin");
    let writer = std::thread::spawn(move || stdin.write_all(asked.to_string().as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("a thread").expect("it listens");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("its answer");
    for ((text, ours), theirs) in
        QUERIES.iter().zip(&mut found).zip(answer["found"].as_array().expect("results"))
    {
        let mut theirs: Vec<Vec<u64>> = serde_json::from_value(theirs.clone()).expect("ids");
        ours.sort();
        theirs.sort();
        assert_eq!(ours.len(), theirs.len(), "{text}");
        assert!(*ours == theirs, "{text}: other results");
    }
    let seconds = answer["seconds"].as_f64().expect("a time");
    println!(
        "the Python engine: {seconds:.1} s of CPU, {:.0} events/s; results equal; {:.0} times as many events here",
        count as f64 / seconds,
        seconds / ours.as_secs_f64()
    );
}

/// 1,000 EQL rules and the same 1,000 rules in KQL, one cycle each over the same events.
fn cycle(count: usize) {
    let mut random = Random(11);
    let documents: Vec<Document> = (0..count as u32)
        .map(|row| Document::new("logs-a", row.to_string(), event(&mut random, row.into(), time(row))))
        .collect();
    let pairs: Vec<(Filter, Filter)> = (0..1_000_u32)
        .map(|n| {
            let (action, user, part) = (ACTIONS[n as usize % 16], n % 40, n % 100);
            let (eql, kql) = match n % 4 {
                0 => (
                    format!("any where action == \"{action}\" and user == \"user{user}\" and path : \"/data/{part}/*\""),
                    format!("action:\"{action}\" and user:\"user{user}\" and path:/data/{part}/*"),
                ),
                1 => (
                    format!("process where action in (\"{action}\", \"none{n}\") and not host == \"host{part}\""),
                    format!("event.category:process and action:({action} or none{n}) and not host:host{part}"),
                ),
                2 => (
                    format!("any where path : \"*/secret/{n}*\" and bytes >= {part}"),
                    format!("path:*/secret/{n}* and bytes >= {part}"),
                ),
                _ => (format!("any where action == \"none{n}\""), format!("action:\"none{n}\"")),
            };
            let EqlPlan::Event(filter) = parse_plan(&eql).expect("EQL").plan else { panic!("an event") };
            ((*filter).clone(), kql::parse_filter(&kql).expect("KQL"))
        })
        .collect();
    let (eql, kql): (Vec<Filter>, Vec<Filter>) = pairs.into_iter().unzip();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut seen = Vec::new();
    for (name, filters) in [("KQL", kql), ("EQL", eql)] {
        let mut spent = Vec::new();
        let mut totals = Vec::new();
        for _ in 0..3 {
            // A new backend each time: nothing is remembered.
            let backend = MemoryBackend::new(documents.clone(), mapping());
            let requests: Vec<SearchRequest> = filters.iter().map(|filter| request(filter.clone())).collect();
            let (time, pages) = timed(|| runtime.block_on(backend.search_many(requests)));
            spent.push(time);
            totals = pages.into_iter().map(|page| page.expect("a page").total).collect();
        }
        spent.sort();
        println!("a cycle of 1,000 {name} rules over {count} events: {:.3} s of CPU", spent[1].as_secs_f64());
        seen.push(totals);
    }
    assert_eq!(seen[0], seen[1], "the same rules find the same");
}

fn request(filter: Filter) -> SearchRequest {
    SearchRequest {
        indices: Arc::from(["logs-a".to_owned()]),
        filter: Arc::new(filter),
        now: chrono::DateTime::UNIX_EPOCH,
        window: None,
        time: TimeField::timestamp(),
        event_clock: false,
        size: 1,
        after: None,
        descending: false,
    }
}

/// Makes events as they are asked for: what a scan of ten million costs without keeping them.
struct Endless(u64);

#[async_trait]
impl Backend for Endless {
    fn capabilities(&self) -> Capabilities {
        Capabilities { name: "generated", eql: false, esql: false, lenient: false }
    }
    async fn mapping(&self, _: &[String]) -> Result<Arc<Mapping>, BackendError> {
        Ok(Arc::new(mapping()))
    }
    async fn search(&self, _: SearchRequest) -> Result<HitPage, BackendError> {
        Err(BackendError::Unsupported("search".to_owned()))
    }
    async fn search_many(&self, _: Vec<SearchRequest>) -> Vec<Result<HitPage, BackendError>> {
        Vec::new()
    }
    async fn aggregate(&self, _: AggregateRequest) -> Result<BucketPage, BackendError> {
        Err(BackendError::Unsupported("aggregate".to_owned()))
    }
    async fn scan(&self, request: ScanRequest, each: &mut Each<'_>) -> Result<ScanEnd, BackendError> {
        let mut random = Random(3);
        let index: Arc<str> = Arc::from("logs-a");
        let mut id = 0;
        while id < self.0 {
            let hits: Vec<Hit> = (0..request.page)
                .map(|_| {
                    id += 1;
                    let at = 1_700_000_000_000 + id as i64 * 10;
                    // Nearly every event begins a sequence of its own that nothing ends.
                    let action = if random.below(1_000) == 0 { "end" } else { "begin" };
                    let source = json!({"@timestamp": at, "action": action, "user": format!("user{}", random.below(5_000_000))});
                    let name: Arc<str> = Arc::from(id.to_string());
                    let sort = SortKey { primary: at, timestamp: at, index: Arc::clone(&index), id: Arc::clone(&name) };
                    Hit { document: Document { index: Arc::clone(&index), id: name, source: Arc::new(source) }, sort }
                })
                .collect();
            if each(hits) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(ScanEnd { events: id, indices: 1, stopped: false })
    }
    async fn get(&self, _: &[DocumentRef]) -> Result<Vec<Option<Document>>, BackendError> {
        Ok(Vec::new())
    }
}

/// The most memory that the process had, MB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1_024.0
}

fn memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for maxspan in [" with maxspan=1h", ""] {
        let text = format!(
            "sequence by user{maxspan} [any where action == \"begin\"] [any where action == \"end\"]"
        );
        let plan = parse_plan(&text).expect("a query").plan;
        let scope = Scope::of(&request(plan.filter()));
        let request =
            JoinRequest { scope, plan: Arc::new(plan), timestamp: "@timestamp".into(), tiebreaker: None };
        let (spent, page) = timed(|| runtime.block_on(join(&Endless(10_000_000), &request)).expect("a page"));
        println!(
            "two stages over 10,000,000 events{maxspan}: {:.1} s of CPU with making them, {} found, peak {:.0} MB, {:?}",
            spent.as_secs_f64(),
            page.found.len(),
            peak(),
            page.warnings
        );
    }
}
