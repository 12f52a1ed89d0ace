//! ElastAlert 2 over the same events with the same compiled queries, as a process of its own.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tocsin::base::window::iso_millis;

use crate::node::{Node, index, process_cpu};
use crate::runner::{Cycle, Runner, at};
use crate::{END, RULES, WINDOW, since};

/// Index in which ElastAlert keeps what it did.
const WRITEBACK: &str = "b4-elastalert";
/// How long a pass may take.
const PATIENCE: Duration = Duration::from_mins(5);

pub(crate) struct ElastAlert {
    python: String,
    folder: tempfile::TempDir,
    index: String,
}

impl ElastAlert {
    /// Its rules and its configuration; `None`, and why, where it is not installed.
    pub(crate) async fn new(node: &Node, events: usize, runner: &Runner) -> Option<Self> {
        let Ok(python) = std::env::var("TOCSIN_ELASTALERT") else {
            println!("B4: TOCSIN_ELASTALERT names no Python with ElastAlert 2: it is left out");
            return None;
        };
        let index = index(events);
        let folder = tempfile::tempdir().expect("a folder");
        let rules = folder.path().join("rules");
        std::fs::create_dir(&rules).expect("a folder");
        for (number, query) in runner.queries().await.iter().enumerate() {
            // What is JSON is YAML.
            let text = format!(
                "name: rule-{number}\ntype: any\nindex: {index}\ntimestamp_field: \"@timestamp\"\n\
                 filter:\n- {query}\nalert: debug\nrealert: {{minutes: 0}}\n"
            );
            std::fs::write(rules.join(format!("rule-{number}.yaml")), text).expect("written");
        }
        let (host, port) = node.url().trim_start_matches("http://").split_once(':').expect("a port");
        let mut config = String::new();
        write!(
            config,
            "rules_folder: {}\nrun_every: {{minutes: 5}}\nbuffer_time: {{minutes: {}}}\nes_host: {host}\nes_port: {port}\n\
             writeback_index: {WRITEBACK}\nalert_time_limit: {{days: 2}}\nmax_threads: 10\n",
            rules.display(),
            WINDOW / 60_000
        )
        .expect("memory");
        std::fs::write(folder.path().join("config.yaml"), config).expect("written");
        Some(Self { python, folder, index })
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    fn python(&self, module: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-m", module, "--config"]).arg(self.config()).current_dir(self.folder.path());
        command
    }

    fn module(&self, name: &str, arguments: &[&str]) {
        let output = self.python(name).args(arguments).output().expect("started");
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        assert!(output.status.success(), "{name}: {}", last.join("\n"));
    }

    /// One pass over all rules with indices of its own made anew; also how many matches it noted.
    pub(crate) async fn cycle(&self, node: &Node) -> (Cycle, u64) {
        node.delete(&format!("{WRITEBACK}*")).await;
        self.module("elastalert.create_index", &["--index", WRITEBACK, "--old-index", ""]);
        let stats = format!("/{}/_stats/search", self.index);
        let searched = node.get(&stats).await;
        let begun = Instant::now();
        let (start, end) = (iso_millis(at(END - WINDOW)), iso_millis(at(END)));
        let mut child = self
            .python("elastalert.elastalert")
            .args(["--start", &start, "--end", &end])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        // It goes on after its pass: each rule says when it is through.
        let status = format!("{WRITEBACK}_status");
        while node.counted(&status).await < RULES as u64 {
            assert!(begun.elapsed() < PATIENCE, "ElastAlert 2 is not through");
            assert!(child.try_wait().expect("a child").is_none(), "ElastAlert 2 ended early");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let cpu = process_cpu(u64::from(child.id()));
        child.kill().expect("ended");
        child.wait().expect("ended");
        let after = node.get(&stats).await;
        let searches =
            |stats: &serde_json::Value| stats["_all"]["total"]["search"]["query_total"].as_u64().unwrap_or(0);
        let written = node.counted(&status).await;
        let matches = node.counted(WRITEBACK).await;
        let cycle = since(begun, cpu, searches(&after) - searches(&searched) + written + matches);
        (cycle, matches)
    }
}
