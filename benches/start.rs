//! B7: CPU and memory of starting with 2,000 rules.
//!
//! `cargo bench --bench start -- RULES…` takes rule folders (default: the shared 530 rules of
//! Elastic's), writes them four times with ids of their own into a temporary folder, and starts a
//! process for each measurement, so that nothing is warm but the system's file cache: reading the
//! TOML alone, loading without a cache, loading and writing the cache, loading with the cache.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark prints what it measured and ends when its data are not there"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use tocsin::rule::cache::CacheDir;
use tocsin::rule::load::files::load_paths;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs of each measurement; the median counts.
const RUNS: usize = 7;
/// Copies of each rule.
const COPIES: usize = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [mode, rules, cache] = arguments.as_slice()
        && mode.starts_with("child-")
    {
        child(mode, Path::new(rules), Path::new(cache));
        return;
    }
    let sources: Vec<PathBuf> = if arguments.is_empty() {
        let shared =
            std::env::var_os("TOCSIN_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
        let rules = shared.join("data/elastic-rules");
        vec![rules.join("rules"), rules.join("rules_building_block")]
    } else {
        arguments.iter().map(PathBuf::from).collect()
    };
    let files = toml_files(&sources);
    if files.is_empty() {
        println!("skipped: no rules at {sources:?}");
        return;
    }
    let dir = std::env::temp_dir().join(format!("tocsin-bench-start-{}", std::process::id()));
    let rules = dir.join("rules");
    std::fs::create_dir_all(&rules).expect("a folder");
    for (number, file) in files.iter().enumerate() {
        let text = std::fs::read_to_string(file).expect("readable");
        for copy in 0..COPIES {
            let text = text.replace("rule_id = \"", &format!("rule_id = \"{copy}-"));
            std::fs::write(rules.join(format!("{number}-{copy}.toml")), text).expect("writable");
        }
    }
    println!(
        "B7: start with {} rules ({RUNS} runs each, median; CPU of the process)\n",
        files.len() * COPIES
    );
    println!("| what | CPU ms | idle memory MB | rules | set |\n|---|---|---|---|---|");
    let cache = dir.join("cache");
    for (mode, what) in [
        ("child-nothing", "an empty process"),
        ("child-toml", "reading the TOML alone"),
        ("child-fresh", "loading, no cache"),
        ("child-cold", "loading and writing the cache"),
        ("child-warm", "loading with the cache"),
    ] {
        let mut runs: Vec<(f64, f64, String)> = (0..RUNS)
            .map(|_| {
                if mode == "child-cold" {
                    std::fs::remove_dir_all(&cache).ok();
                }
                measure(mode, &rules, &cache)
            })
            .collect();
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (cpu, memory, set) = &runs[RUNS / 2];
        println!("| {what} | {cpu:.0} | {memory:.0} | {set} |");
    }
    std::fs::remove_dir_all(&dir).ok();
}

/// One process: its CPU in ms, its memory in MB, and what it says.
fn measure(mode: &str, rules: &Path, cache: &Path) -> (f64, f64, String) {
    let program = std::env::current_exe().expect("this program");
    let run = Command::new(program).arg(mode).arg(rules).arg(cache).output().expect("a process");
    let text = String::from_utf8(run.stdout).expect("text");
    let mut words = text.split_whitespace();
    let mut number = || words.next().and_then(|word| word.parse::<f64>().ok()).expect("a number");
    let (cpu, memory) = (number(), number());
    (cpu, memory, words.collect::<Vec<_>>().join(" | "))
}

fn child(mode: &str, rules: &Path, cache: &Path) {
    let paths = [rules.to_owned()];
    let cache = CacheDir::new(cache, std::env::current_exe().ok());
    let set = match mode {
        "child-toml" => {
            for file in toml_files(&paths) {
                let text = std::fs::read_to_string(file).expect("readable");
                let (table, _) = toml::de::DeTable::parse_recoverable(&text);
                std::hint::black_box(&table);
            }
            None
        }
        "child-fresh" => Some(load_paths(&paths, None)),
        "child-cold" | "child-warm" => Some(load_paths(&paths, Some(&cache))),
        _ => None,
    };
    let (cpu, memory) = (cpu_ms(), resident_mb());
    match &set {
        Some(set) => println!("{cpu} {memory} {} {:.12}", set.rules.len(), set.hash),
        None => println!("{cpu} {memory} - -"),
    }
}

/// CPU of all threads of this process so far, from the scheduler's nanoseconds.
fn cpu_ms() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let nanoseconds: f64 = tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        .sum();
    nanoseconds / 1e6
}

fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("a size");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).expect("a number") / 1024.0
}

fn toml_files(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        let walk = walkdir::WalkDir::new(path).sort_by_file_name().into_iter().filter_map(Result::ok);
        files.extend(
            walk.map(walkdir::DirEntry::into_path)
                .filter(|path| path.extension().is_some_and(|end| end == "toml")),
        );
    }
    files
}
