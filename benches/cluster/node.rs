//! The node: its events, its CPU time, searches sent as they are.

use std::io::Write;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use serde_json::{Value, json};
use tocsin::base::clock::SystemClock;
use tocsin::elastic::{Client, Method, Options, Request};

use crate::generate::Events;
use crate::runner::Cycle;
use crate::{END, STEP, since};

/// Events of the newest part, which is the same whatever is stored before it.
const RECENT: usize = 20_000;
const BULK: usize = 2_000;
/// Searches in one `_msearch`.
const TOGETHER: usize = 250;

pub(crate) struct Node {
    client: Client,
    url: String,
    pid: u64,
    pub(crate) version: String,
}

pub(crate) fn client(url: &str) -> Client {
    let mut options = Options::new("b4", vec![url.to_owned()]);
    options.request_timeout = Duration::from_mins(5);
    options.compress = false;
    Client::new(options, std::sync::Arc::new(SystemClock)).expect("a client")
}

/// CPU time of a process of this machine until now.
pub(crate) fn process_cpu(pid: u64) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process of this machine");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("ticks")).sum();
    // Linux counts in hundredths of a second for every program.
    Duration::from_millis(ticks * 10)
}

impl Node {
    pub(crate) async fn at(url: &str) -> Self {
        let client = client(url);
        let info = client.json(&Request::get("/")).await.expect("an answer");
        let process = client.json(&Request::get("/_nodes/_local/process")).await.expect("an answer");
        let nodes = process["nodes"].as_object().expect("nodes");
        let pid = nodes.values().next().expect("a node")["process"]["id"].as_u64().expect("a process");
        let version = format!("OpenSearch {}", info["version"]["number"].as_str().unwrap_or("?"));
        Self { client, url: url.to_owned(), pid, version }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// CPU time of the node until now.
    pub(crate) fn cpu(&self) -> Duration {
        process_cpu(self.pid)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.client.json(&Request::get(path)).await.expect("an answer")
    }

    async fn call(&self, method: Method, path: &str, body: Value) {
        self.client.send(&Request::write(method, path).accept(404).json(&body)).await.expect("an answer");
    }

    pub(crate) async fn delete(&self, index: &str) {
        self.call(Method::Delete, &format!("/{index}"), json!({})).await;
    }

    /// Stores `count` events in an index of their own, the newest of which are the same whatever
    /// the number. An index that an earlier run left is used again when it holds as many.
    pub(crate) async fn store(&self, count: usize) {
        let name = index(count);
        let begun = Instant::now();
        if self.counted(&name).await != count as u64 {
            self.delete(&name).await;
            self.call(Method::Put, &format!("/{name}"), mapped()).await;
            let (from, until) = (count as i64 * STEP, RECENT as i64 * STEP);
            let recent = count.min(RECENT);
            self.fill(&name, Events::new(1, END - until, until, RECENT), recent).await;
            if from > until {
                let more = ((from - until) / STEP) as usize;
                self.fill(&name, Events::new(count as u64, END - from, from - until, more), more).await;
            }
        }
        self.rest().await;
        assert_eq!(self.counted(&name).await, count as u64, "the node holds other events");
        eprintln!("B4: {count} events are stored ({:.0} s)", begun.elapsed().as_secs_f64());
    }

    async fn fill(&self, name: &str, mut events: Events, count: usize) {
        let mut left = count;
        while left > 0 {
            let part = left.min(BULK);
            left -= part;
            let mut body = Vec::with_capacity(part * 1_600);
            for _ in 0..part {
                let (id, value) = events.next();
                writeln!(body, "{{\"create\":{{\"_id\":\"{id}\"}}}}\n{value}").expect("memory");
            }
            let request = Request::write(Method::Post, format!("/{name}/_bulk"))
                .query("filter_path", "errors")
                .ndjson(body);
            let answer: Value = self.client.json(&request).await.expect("an answer");
            assert_eq!(answer["errors"], json!(false), "events were refused");
        }
    }

    /// Waits until the node has nothing to do.
    async fn rest(&self) {
        for _ in 0..120 {
            let before = self.cpu();
            tokio::time::sleep(Duration::from_secs(2)).await;
            if self.cpu().saturating_sub(before) < Duration::from_millis(100) {
                return;
            }
        }
    }

    /// Searches as they are, in as many requests as they need.
    pub(crate) async fn msearch(&self, name: &str, searches: &[Value]) -> Cycle {
        let (begun, cpu) = (Instant::now(), ProcessTime::now());
        let mut requests = 0;
        for part in searches.chunks(TOGETHER) {
            let lines = part.iter().flat_map(|search| [json!({"index": name}), search.clone()]);
            let request = Request::read("/_msearch").lines(lines).expect("JSON");
            let answer = self.client.json(&request).await.expect("an answer");
            let answers = answer["responses"].as_array().expect("answers");
            assert!(answers.iter().all(|one| one["_shards"]["failed"] == 0), "a search failed");
            requests += 1;
        }
        since(begun, cpu.elapsed(), requests)
    }

    /// How many documents an index holds; none when there is no such index.
    pub(crate) async fn counted(&self, index: &str) -> u64 {
        self.call(Method::Post, &format!("/{index}/_refresh"), json!({})).await;
        let count = Request::get(format!("/{index}/_count")).accept(404);
        self.client.json(&count).await.expect("an answer")["count"].as_u64().unwrap_or(0)
    }
}

/// The index of so many events.
pub(crate) fn index(count: usize) -> String {
    format!("logs-aws.cloudtrail-b4.{count}")
}

/// The fields that rules look at and some more, as Elastic's integration maps them.
fn mapped() -> Value {
    let keyword = json!({"type": "keyword", "ignore_above": 1024});
    json!({
        "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "30s",
            "index.translog.durability": "async"},
        "mappings": {"dynamic": false, "properties": {
            "@timestamp": {"type": "date"},
            "data_stream": {"properties": {"dataset": keyword}},
            "event": {"properties": {
                "provider": keyword, "action": keyword, "outcome": keyword, "ingested": {"type": "date"}}},
            "user": {"properties": {"name": keyword}},
            "source": {"properties": {"ip": {"type": "ip"}}},
            "user_agent": {"properties": {"original": keyword}},
            "aws": {"properties": {"cloudtrail": {"properties": {
                "request_parameters": keyword,
                "user_identity": {"properties": {"type": keyword, "arn": keyword}}}}}},
        }},
    })
}
