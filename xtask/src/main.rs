//! The project's chores. `cargo xtask` without arguments lists them.

mod check;
mod compat;
mod gen_ecs;
mod gen_recording;
mod gen_sample;
mod kill;
mod licenses;
mod node;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask <command>

  test [--quick] [--all-nodes]
                     format, checks, clippy, all tests, the shipped rules' own tests
                     (--quick: the tests alone; --all-nodes: on every product, as CI does)
  node PRODUCT …     a real OpenSearch or Elasticsearch node on loopback: start, stop, url, list
  scenarios [PRODUCT …]
                     the scenario suite and its table, on memory, store and these nodes (default: opensearch)
  sim [SEEDS]        the simulation of runners, faults drawn from so many seeds (default 500)
  kill [SECONDS]     three runners on three real OpenSearch nodes, both killed at random (default 600)
  check              licences of dependencies, hygiene of the tree
  compat FOLDER      what becomes of each rule in a folder: compiled, ran, pushed down
  bench [B1 B2 …]    benchmarks, release build; results to the terminal
  gen-ecs [FOLDER]   the table of fields, from the shared data (default: ../shared)
  gen-recording      docs/demo.svg, from what `tocsin demo` prints
  gen-sample         the sample day that `tocsin demo` reads, into assets/sample-day
  fuzz [SECONDS]     every fuzz target for so many seconds (default 30; needs nightly, cargo-fuzz)
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match dispatch(&command, &rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &str, rest: &[String]) -> Result<()> {
    match command {
        "test" => run::test(rest.iter().any(|a| a == "--quick"), rest.iter().any(|a| a == "--all-nodes")),
        "node" => node::command(rest),
        "scenarios" => run::scenarios(rest),
        "sim" => run::simulate(rest.first().map_or("500", String::as_str)),
        "kill" => kill::run(rest.first().map_or("600", String::as_str)),
        "check" => check::run(&root()),
        "compat" => compat::run(rest),
        "bench" => run::bench(rest),
        "gen-ecs" => {
            let shared = rest.first().map_or_else(|| root().join("../shared"), PathBuf::from);
            gen_ecs::run(&shared, &root())
        }
        "gen-recording" => gen_recording::run(),
        "gen-sample" => gen_sample::run(&root().join("assets/sample-day")),
        "fuzz" => run::fuzz(rest.first().map_or("30", String::as_str)),
        "" | "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("unknown command `{other}`\n\n{USAGE}"),
    }
}

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}
