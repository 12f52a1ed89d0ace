//! Three runners on a cluster of three nodes, both killed at random: `kill -9` of a node, its restart,
//! and the next once the cluster is whole again; the test `runners` kills the runners meanwhile and
//! holds that each rule has alerted once on each event.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::node::{Node, Product, Starting, free_port, prepare, reaches};
use crate::run::step_with;

/// Nodes of the cluster.
const NODES: usize = 3;
/// How long the cluster may take to be whole again.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long it is left alone between two kills.
const CALM: Duration = Duration::from_secs(5);

struct Cluster {
    product: &'static Product,
    folder: PathBuf,
    ports: Vec<u16>,
    nodes: Vec<Option<Starting>>,
}

impl Cluster {
    fn start(product: &'static Product) -> Result<Self> {
        prepare(product)?;
        let mut ports: Vec<u16> = Vec::new();
        let folder = product.folder().join(format!("kill-{}", std::process::id()));
        let mut cluster = Self { product, folder, ports: Vec::new(), nodes: Vec::new() };
        let first = free_port()?;
        for port in (first..).take(NODES) {
            ports.push(port);
        }
        cluster.ports = ports;
        for place in 0..NODES {
            cluster.nodes.push(Some(cluster.spawn(place)?));
        }
        for node in cluster.nodes.iter_mut().flatten() {
            node.answers()?;
        }
        Ok(cluster)
    }

    fn spawn(&self, place: usize) -> Result<Starting> {
        let all = |shown: fn(u16) -> String| {
            self.ports.iter().map(|port| shown(*port)).collect::<Vec<_>>().join(",")
        };
        let settings = [
            "discovery.type=zen".to_owned(),
            format!("discovery.seed_hosts={}", all(|port| format!("127.0.0.1:{}", port + 1_000))),
            format!("cluster.initial_cluster_manager_nodes={}", all(|port| format!("node-{port}"))),
            format!("cluster.name=tocsin-kill-{}", std::process::id()),
        ];
        let port = *self.ports.get(place).context("no such node")?;
        Node::spawn(self.product, port, &self.folder.join(port.to_string()), &settings)
    }

    fn whole(&self, stop: &AtomicBool) -> Result<()> {
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE && !stop.load(Ordering::Relaxed) {
            if self.ports.iter().all(|port| reaches(*port, "green")) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        bail!(
            "the cluster was not whole again within {} s, see {}",
            PATIENCE.as_secs(),
            self.folder.display()
        )
    }

    /// Kills and restarts nodes until it is to stop; how many were killed.
    fn torment(&mut self, stop: &AtomicBool, kills: &AtomicU32) -> Result<()> {
        let mut drawn = u64::from(std::process::id());
        while !stop.load(Ordering::Relaxed) {
            self.whole(stop)?;
            std::thread::sleep(CALM);
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = usize::try_from(drawn >> 33)? % NODES;
            if let Some(mut node) = self.nodes.get_mut(place).and_then(Option::take) {
                node.kill()?;
            }
            kills.fetch_add(1, Ordering::Relaxed);
            println!("node {place} was killed");
            let mut node = self.spawn(place)?;
            let answered = node.answers();
            if let Some(slot) = self.nodes.get_mut(place) {
                *slot = Some(node);
            }
            answered?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for mut node in self.nodes.iter_mut().filter_map(Option::take) {
            drop(node.kill());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// `cargo xtask kill [SECONDS]`.
pub fn run(seconds: &str) -> Result<()> {
    let product = Product::named("opensearch").context("no such product")?;
    step_with("build tests", "cargo", &["test", "--locked", "--test", "it", "--no-run"], &[])?;
    let mut cluster = Cluster::start(product)?;
    let urls: Vec<String> = cluster.ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
    println!("three nodes answer at {}", urls.join(", "));
    let (stop, kills) = (AtomicBool::new(false), AtomicU32::new(0));
    let (tested, tormented) = std::thread::scope(|scope| {
        let tormentor = scope.spawn(|| cluster.torment(&stop, &kills));
        let tested = step_with(
            "runners and nodes killed",
            "cargo",
            &["test", "--locked", "--test", "it", "runners::killed", "--", "--nocapture"],
            &[
                ("TOCSIN_NODES", &format!("opensearch={}", urls.join("+"))),
                ("TOCSIN_REQUIRE_NODES", "1"),
                ("TOCSIN_RUNNERS_SECONDS", seconds),
            ],
        );
        stop.store(true, Ordering::Relaxed);
        (tested, tormentor.join())
    });
    tested?;
    match tormented {
        Ok(done) => done?,
        Err(_) => bail!("the thread that kills nodes broke off"),
    }
    let kills = kills.load(Ordering::Relaxed);
    println!("{kills} nodes were killed");
    if kills == 0 {
        bail!("no node was killed: ask for more seconds");
    }
    Ok(())
}
