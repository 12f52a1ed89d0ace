//! Real Elasticsearch and OpenSearch nodes on loopback, from jars that Maven fetches.
//!
//! `prepare` makes `target/nodes/<product>/run PORT FOLDER [key=value …]`, which runs a node in the
//! foreground; the rest of this module starts it, waits for it and stops it. Tests find running
//! nodes in the environment variable `TOCSIN_NODES`.

mod java;
mod product;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use product::PRODUCTS;
pub use product::Product;

use crate::root;

const USAGE: &str = "\
cargo xtask node <product> [start [--port N] | stop | url]
cargo xtask node list

products: opensearch, opensearch3, es7, es8, es9
start runs the node in the background until `stop`; its data lie in target/nodes/<product>/data.
Environment: NODE_HEAP (default 512m), NODE_JAVA_HOME (a JDK that fits)";

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(180);

/// `cargo xtask node …`.
pub fn command(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let find = |name: &str| Product::named(name).with_context(|| format!("no product `{name}`\n\n{USAGE}"));
    match words.as_slice() {
        ["list"] => {
            for product in PRODUCTS {
                let state = running(product).map_or("not running".to_owned(), |node| node.url());
                println!("{:12} {} {}: {state}", product.name, product.title, product.version);
            }
            Ok(())
        }
        [name] | [name, "start"] => start_by_hand(find(name)?, None),
        [name, "start", "--port", port] => {
            start_by_hand(find(name)?, Some(port.parse().context("the port is no number")?))
        }
        [name, "url"] => {
            let product = find(name)?;
            let node = running(product).with_context(|| format!("{name} is not running"))?;
            println!("{}", node.url());
            Ok(())
        }
        [name, "stop"] => {
            let product = find(name)?;
            let node = running(product).with_context(|| format!("{name} is not running"))?;
            node.stop()?;
            fs::remove_file(product.folder().join("node"))?;
            Ok(())
        }
        _ => bail!("{USAGE}"),
    }
}

fn start_by_hand(product: &Product, port: Option<u16>) -> Result<()> {
    if let Some(node) = running(product) {
        bail!("{} already runs at {}", product.name, node.url());
    }
    prepare(product)?;
    let node = Node::start(product, port.map_or_else(free_port, Ok)?, &product.folder().join("data"))?;
    fs::write(product.folder().join("node"), format!("{} {}", node.pid, node.port))?;
    println!("{} {} at {}", product.title, product.version, node.url());
    Ok(())
}

/// The node that `start` left running.
fn running(product: &Product) -> Option<Node> {
    let text = fs::read_to_string(product.folder().join("node")).ok()?;
    let (pid, port) = text.split_once(' ')?;
    let node = Node { pid: pid.parse().ok()?, port: port.parse().ok()? };
    node.alive().then_some(node)
}

/// Fetches the jars and compiles the launcher, unless that is done.
pub fn prepare(product: &Product) -> Result<PathBuf> {
    java::prepare(product)
}

/// A node in a process of its own.
pub struct Node {
    pid: u32,
    port: u16,
}

impl Node {
    /// Starts a node with its data in `folder`, and waits until it answers.
    pub fn start(product: &Product, port: u16, folder: &Path) -> Result<Self> {
        let mut starting = Self::spawn(product, port, folder, &[])?;
        starting.answers()?;
        Ok(starting.node)
    }

    /// Starts a node with further settings (`key=value`) and does not wait for it.
    pub fn spawn(product: &Product, port: u16, folder: &Path, settings: &[String]) -> Result<Starting> {
        fs::create_dir_all(folder)?;
        let log = folder.join("log");
        let output = fs::File::options().create(true).append(true).open(&log)?;
        let child = Command::new(product.folder().join("run"))
            .arg(port.to_string())
            .arg(folder)
            .args(settings)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // A process group of its own: what interrupts this program leaves it running.
            .process_group(0)
            .spawn()
            .context("cannot start the node")?;
        Ok(Starting { node: Self { pid: child.id(), port }, name: product.name, child, log })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn alive(&self) -> bool {
        // A process that ended but was not waited for is a zombie.
        fs::read_to_string(format!("/proc/{}/stat", self.pid))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
    }

    /// Asks it to end, and ends it when it does not.
    pub fn stop(&self) -> Result<()> {
        for (signal, patience) in [("-TERM", 30), ("-KILL", 5)] {
            Command::new("kill").args([signal, &self.pid.to_string()]).status()?;
            let asked = Instant::now();
            while asked.elapsed() < Duration::from_secs(patience) {
                if !self.alive() {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        bail!("process {} does not end", self.pid)
    }
}

/// A port that is free for HTTP, as is the one that nodes talk among themselves on.
pub fn free_port() -> Result<u16> {
    // Below the range from which the system takes ports for connections.
    let first = match std::env::var_os("TOCSIN_NODE_PORT") {
        Some(port) => port.to_string_lossy().parse().context("`TOCSIN_NODE_PORT` is no number")?,
        None => 19_200,
    };
    for port in first..19_400 {
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 1_000) {
            return Ok(port);
        }
    }
    bail!("no free port")
}

/// A node that was started a moment ago.
pub struct Starting {
    /// The node.
    pub node: Node,
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Starting {
    /// Waits until it answers.
    pub fn answers(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(20).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                bail!("{} ended with {status}:\n{}", self.name, last.join("\n"));
            }
            if healthy(self.node.port) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        self.node.stop()?;
        let (name, seconds) = (self.name, PATIENCE.as_secs());
        bail!("{name} did not answer within {seconds} s, see {}", self.log.display())
    }

    /// Ends it as a crash would (`kill -9`).
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// Whether the node says that it can be searched.
fn healthy(port: u16) -> bool {
    reaches(port, "yellow")
}

/// Whether a node says that its cluster has this status.
pub fn reaches(port: u16, status: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let path = format!("/_cluster/health?wait_for_status={status}&timeout=1s");
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.split_whitespace().nth(1) == Some("200"))
}

/// Nodes for a run of the tests; they end when this is dropped.
pub struct Nodes {
    nodes: Vec<(&'static str, Node, PathBuf)>,
}

impl Nodes {
    /// Starts a fresh node of each of `names`. Where `required`, one that cannot be had is an
    /// error; else it is said, and its tests say that they were left out.
    pub fn start(names: &[&'static str], required: bool) -> Result<Self> {
        let mut started = Self { nodes: Vec::new() };
        for name in names {
            let one = || -> Result<(Node, PathBuf)> {
                let product = Product::named(name).context("no such product")?;
                prepare(product)?;
                let port = free_port()?;
                let data = product.folder().join(format!("test-{port}"));
                if data.exists() {
                    fs::remove_dir_all(&data)?;
                }
                Ok((Node::start(product, port, &data)?, data))
            };
            match one() {
                Ok((node, data)) => {
                    println!("{name} answers at {}", node.url());
                    started.nodes.push((name, node, data));
                }
                Err(error) if required => return Err(error.context(format!("node `{name}`"))),
                Err(error) => eprintln!("no node `{name}`, its tests are left out: {error:#}"),
            }
        }
        Ok(started)
    }

    /// The value of `TOCSIN_NODES`: `name=url` for each, separated by commas.
    pub fn variable(&self) -> String {
        let named: Vec<String> =
            self.nodes.iter().map(|(name, node, _)| format!("{name}={}", node.url())).collect();
        named.join(",")
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for (name, node, data) in &self.nodes {
            if let Err(error) = node.stop() {
                eprintln!("{name}: {error:#}");
            }
            if let Err(error) = fs::remove_dir_all(data) {
                eprintln!("{}: {error}", data.display());
            }
        }
    }
}

/// Folder below which everything of nodes lies.
fn nodes_folder() -> PathBuf {
    root().join("target/nodes")
}
