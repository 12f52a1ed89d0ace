//! `cargo xtask bench B4`: a cycle of 1,000 KQL rules over a real OpenSearch node, asked in groups,
//! one by one, as a bare `_msearch`, and by ElastAlert 2, side by side in one run.
//!
//! The node is the one that `TOCSIN_NODES` names `opensearch`; it must run on this machine, since
//! its CPU time is read from `/proc`. `TOCSIN_ELASTALERT` is a Python that has ElastAlert 2.
//! `TOCSIN_B4_EVENTS` chooses how many events are stored (`20000,200000,2000000`), `TOCSIN_B4_ROUNDS`
//! how often each side is measured (5).

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::disallowed_methods,
    reason = "a benchmark prints what it measured and ends at the first surprise"
)]

mod elastalert;
#[expect(
    dead_code,
    unreachable_pub,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shared with the peers' package, which uses the rest; indices are taken modulo"
)]
#[path = "../generate/mod.rs"]
mod generate;
mod node;
mod runner;

use std::time::{Duration, Instant};

use node::Node;
use runner::{Cycle, Runner};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2026-11-11T00:00:00Z, ms: the slot of the measured cycles, after the newest event.
const END: i64 = 1_794_355_200_000;
/// 200,000 events a day.
const STEP: i64 = 432;
const WINDOW: i64 = 6 * 60_000;
const RULES: usize = 1_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let Some(url) = node_url() else {
        println!("B4: TOCSIN_NODES names no `opensearch`; `cargo xtask bench B4` starts one");
        return;
    };
    if arguments.iter().any(|argument| argument == "--runner") {
        return runtime.block_on(runner::alone(&url, wanted().into_iter().max().unwrap_or_default()));
    }
    runtime.block_on(async {
        let node = Node::at(&url).await;
        println!("B4: {} at {url}, {RULES} rules, window of {} min", node.version, WINDOW / 60_000);
        let mut last = Vec::new();
        for events in wanted() {
            node.store(events).await;
            last.push(sides(&node, events).await);
        }
        if let [first, .., most] = last.as_slice() {
            println!(
                "B4: the last size over the first, node CPU: grouped {:.2}, each {:.2}, bare _msearch {:.2}",
                most[0] / first[0],
                most[1] / first[1],
                most[2] / first[2]
            );
        }
        let most = wanted().into_iter().max().unwrap_or_default();
        alone(&url);
        runner::difference(&node, most).await;
    });
}

fn node_url() -> Option<String> {
    let named = std::env::var("TOCSIN_NODES").unwrap_or_default();
    named.split(',').find_map(|one| one.strip_prefix("opensearch=").map(str::to_owned))
}

fn wanted() -> Vec<usize> {
    let text = std::env::var("TOCSIN_B4_EVENTS").unwrap_or_else(|_| "20000,200000,2000000".to_owned());
    text.split(',').map(|number| number.trim().parse().expect("numbers of events")).collect()
}

fn rounds() -> usize {
    std::env::var("TOCSIN_B4_ROUNDS").map_or(5, |text| text.parse().expect("a number of rounds"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One side of the comparison: what a cycle cost, once per round.
struct Side {
    name: &'static str,
    node: Vec<f64>,
    runner: Vec<f64>,
    wall: Vec<f64>,
    requests: u64,
}

impl Side {
    fn new(name: &'static str) -> Self {
        Self { name, node: Vec::new(), runner: Vec::new(), wall: Vec::new(), requests: 0 }
    }

    fn add(&mut self, node: Duration, cycle: &Cycle) {
        self.node.push(node.as_secs_f64());
        self.runner.push(cycle.cpu.as_secs_f64());
        self.wall.push(cycle.wall.as_secs_f64());
        self.requests = cycle.requests;
    }

    fn print(&self, events: usize, found: &str) -> f64 {
        let node = median(self.node.clone());
        println!(
            "B4: {events} stored, {}: {} requests, node CPU {:.0} ms, runner CPU {:.0} ms, wall {:.0} ms{found}",
            self.name,
            self.requests,
            node * 1e3,
            median(self.runner.clone()) * 1e3,
            median(self.wall.clone()) * 1e3,
        );
        node
    }
}

/// All sides over what is stored now, taking turns. Node CPU of each.
async fn sides(node: &Node, events: usize) -> [f64; 3] {
    let grouped = Runner::new(node.url(), events, true);
    let each = Runner::new(node.url(), events, false);
    let bare = grouped.bare_searches().await;
    let mut sides = [Side::new("grouped"), Side::new("one by one"), Side::new("bare _msearch")];
    // Everything is warm before anything counts.
    let expected = each.cycle(END).await.alerts;
    for _ in 0..2 {
        grouped.cycle(END).await;
        node.msearch(&node::index(events), &bare).await;
    }
    for _ in 0..rounds() {
        for (number, side) in sides.iter_mut().enumerate() {
            let before = node.cpu();
            let cycle = match number {
                0 => grouped.cycle(END).await,
                1 => each.cycle(END).await,
                _ => node.msearch(&node::index(events), &bare).await,
            };
            side.add(node.cpu().saturating_sub(before), &cycle);
            if number < 2 {
                assert_eq!(cycle.alerts, expected, "{}: other alerts", side.name);
            }
        }
    }
    let alerts = format!(", {} alerts, ids equal", expected.len());
    let costs =
        [sides[0].print(events, &alerts), sides[1].print(events, &alerts), sides[2].print(events, "")];
    println!("B4: {events} stored, grouped over bare _msearch, node CPU: {:.3}", costs[0] / costs[2]);
    if let Some(elastalert) = elastalert::ElastAlert::new(node, events, &grouped).await {
        let mut side = Side::new("ElastAlert 2");
        let mut matches = 0;
        for _ in 0..2 {
            let before = node.cpu();
            let (cycle, found) = elastalert.cycle(node).await;
            side.add(node.cpu().saturating_sub(before), &cycle);
            matches = found;
        }
        let cost = side.print(events, &format!(", {matches} matches ({} expected)", expected.len()));
        println!("B4: {events} stored, grouped over ElastAlert 2, node CPU: {:.3}", costs[0] / cost);
    }
    costs
}

/// A runner in a process of its own, for its memory.
fn alone(url: &str) {
    let program = std::env::current_exe().expect("this program");
    let status = std::process::Command::new(program)
        .arg("--runner")
        .env("TOCSIN_NODES", format!("opensearch={url}"))
        .status()
        .expect("started");
    assert!(status.success(), "the runner failed");
}

fn since(begun: Instant, cpu: Duration, requests: u64) -> Cycle {
    Cycle { requests, cpu, wall: begun.elapsed(), alerts: Vec::new() }
}
