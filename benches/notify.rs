//! B10: how fast alerts reach a webhook.
//!
//! `cargo bench --bench notify`: 10,000 alerts to a webhook that answers in 20 ms, delivered by a
//! process of its own whose memory is read; then single alerts, from durable to arrived; then the
//! same beside a connector that takes connections and never answers.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a benchmark prints what it measured and ends when its data are not there"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tocsin::app::App;
use tocsin::base::clock::{Clock, SystemClock};
use tocsin::config::{LoadRequest, load};
use tocsin::store::state::AlertRow;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

const ALERTS: usize = 10_000;
const SINGLE: usize = 50;
const ANSWER: Duration = Duration::from_millis(20);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [mode, dir] = arguments.as_slice()
        && mode == "child"
    {
        deliver(Path::new(dir));
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

/// Delivers what is in the outbox; says how long it took and how much memory it had at most.
fn deliver(dir: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let app = open(dir);
    let begun = Instant::now();
    let setup = app.notifications().expect("a configuration");
    runtime.block_on(app.notify(setup).expect("a state database").drain());
    let took = begun.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    println!("{took:.2} {}", peak.split_whitespace().next().unwrap_or("0"));
}

fn open(dir: &Path) -> App {
    let request = LoadRequest { file: Some(dir.join("tocsin.toml")), data_dir: Some(dir.join("data")) };
    App::new(load(&request).expect("a configuration").config, Arc::new(SystemClock))
}

/// A server that answers each request of a connection after [`ANSWER`] and counts them.
async fn server() -> (u16, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let served = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&served);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                let mut held: Vec<u8> = Vec::new();
                let mut chunk = vec![0; 64 * 1024];
                loop {
                    if let Some(head) = held.windows(4).position(|window| window == b"\r\n\r\n") {
                        let text = String::from_utf8_lossy(&held[..head]).to_lowercase();
                        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
                        let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
                        if held.len() >= head + 4 + length {
                            held.drain(..head + 4 + length);
                            tokio::time::sleep(ANSWER).await;
                            counter.fetch_add(1, Ordering::Relaxed);
                            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                            if stream.write_all(answer).await.is_err() {
                                return;
                            }
                            continue;
                        }
                    }
                    match stream.read(&mut chunk).await {
                        Ok(0) | Err(_) => return,
                        Ok(count) => held.extend_from_slice(&chunk[..count]),
                    }
                }
            });
        }
    });
    (port, served)
}

fn alert(number: usize) -> AlertRow {
    // About as long as an alert on CloudTrail.
    let parameters = "x".repeat(3_000);
    let document = json!({
        "@timestamp": "2026-11-02T12:00:00.000Z", "user": {"name": "root"}, "source": {"ip": "203.0.113.9"},
        "kibana.alert.uuid": format!("{number:064}"), "kibana.alert.reason": "event by root created high alert X.",
        "kibana.alert.severity": "high", "kibana.alert.rule.name": "X", "kibana.alert.rule.rule_id": "x",
        "kibana.alert.rule.parameters": {"description": parameters},
    });
    AlertRow {
        id: format!("{number:064}").into(),
        space: "default".into(),
        rule_uuid: "u".into(),
        rule_id: "x".into(),
        timestamp: SystemClock.now(),
        original_time: None,
        severity: "high".into(),
        building_block: false,
        counted: true,
        document: document.to_string(),
    }
}

async fn measure() {
    let (port, served) = server().await;
    let dir = tempfile::tempdir().expect("a folder");
    let hook = format!(
        "[[connector]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/\"\n[[route]]\nto = [\"hook\"]\n"
    );
    let text = format!("{hook}[notify]\ndrain = \"5m\"\n");
    std::fs::write(dir.path().join("tocsin.toml"), &text).expect("writable");
    let app = open(dir.path());
    drop(app.notify(app.notifications().expect("a configuration")).expect("a state database"));
    let state = app.state().expect("a state database");
    let begun = Instant::now();
    for thousand in 0..ALERTS / 1_000 {
        state.create_alerts((0..1_000).map(|n| alert(thousand * 1_000 + n)).collect()).expect("written");
    }
    println!("B10: notifications to a webhook that answers in {} ms\n", ANSWER.as_millis());
    println!("{ALERTS} alerts written with their notifications in {:.2} s", begun.elapsed().as_secs_f64());
    drop(state);
    drop(app);
    let child = std::env::current_exe().expect("a program");
    let path = dir.path().to_path_buf();
    let output = tokio::task::spawn_blocking(move || {
        std::process::Command::new(child).arg("child").arg(path).output().expect("a child")
    })
    .await
    .expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (took, peak) = text.trim().split_once(' ').expect("two numbers");
    let peak: f64 = peak.parse().expect("a number");
    let arrived = served.load(Ordering::Relaxed);
    println!(
        "{arrived} delivered in {took} s (bar: 10 s), peak memory {:.0} MB (bar: 100 MB)",
        peak / 1024.0
    );

    single(&hook, &served, "alone").await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead = silent.local_addr().expect("an address").port();
    let beside = format!(
        "{hook}[[connector]]\nname = \"dead\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{dead}/\"\n[[route]]\nto = [\"dead\"]\n"
    );
    single(&beside, &served, "beside a connector that never answers").await;
}

/// How long single alerts take from durable to arrived; the target's 20 ms are in it.
async fn single(text: &str, served: &AtomicUsize, what: &str) {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("tocsin.toml"), format!("{text}[notify]\ndrain = \"1s\"\n"))
        .expect("writable");
    let app = open(dir.path());
    let worker = app.notify(app.notifications().expect("a configuration")).expect("a state database");
    let state = app.state().expect("a state database");
    let stop = CancellationToken::new();
    let (_keep, reload) = tokio::sync::watch::channel(0);
    let running = tokio::spawn(worker.run(stop.clone(), reload));
    let mut times: Vec<f64> = Vec::new();
    for number in 0..SINGLE {
        let before = served.load(Ordering::Relaxed);
        state.create_alerts(vec![alert(number)]).expect("written");
        let durable = Instant::now();
        while served.load(Ordering::Relaxed) == before {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        times.push(durable.elapsed().as_secs_f64() * 1_000.0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    running.await.expect("an end");
    times.sort_by(f64::total_cmp);
    println!(
        "single alerts {what}: median {:.0} ms, slowest {:.0} ms (bar: 500 ms)",
        times[times.len() / 2],
        times[times.len() - 1]
    );
}
