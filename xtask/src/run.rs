//! Running cargo: tests, benchmarks, fuzzing.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::node::Nodes;
use crate::{check, root};

/// Seeds of the simulation that CI runs.
const CI_SEEDS: &str = "8";

/// Runs one step, its output going to the terminal; says how long it took.
fn step(name: &str, program: &str, arguments: &[&str]) -> Result<()> {
    step_with(name, program, arguments, &[])
}

/// The same with variables in its environment.
pub fn step_with(name: &str, program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    println!("\n── {name}: {program} {}", arguments.join(" "));
    let start = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .envs(variables.iter().copied())
        .status()
        .with_context(|| format!("cannot start `{program}`"))?;
    println!(
        "── {name}: {} after {:.0} s",
        if status.success() { "ok" } else { "FAILED" },
        start.elapsed().as_secs_f64()
    );
    if !status.success() {
        bail!("step `{name}` failed");
    }
    Ok(())
}

/// Everything a change must pass. `quick` leaves out format, checks and clippy. Tests that need a
/// cluster run on OpenSearch 2, and on every product in CI or with `all_nodes`. CI runs the simulation
/// over many seeds besides.
pub fn test(quick: bool, all_nodes: bool) -> Result<()> {
    let start = Instant::now();
    let in_ci = std::env::var_os("TOCSIN_REQUIRE_SHARED").is_some();
    if !quick {
        step("format", "cargo", &["fmt", "--all", "--check"])?;
        println!("\n── checks");
        check::run(&root())?;
        step(
            "clippy",
            "cargo",
            &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        )?;
    }
    let names: &[&str] = if in_ci || all_nodes {
        &["opensearch", "opensearch3", "es7", "es8", "es9"]
    } else {
        &["opensearch"]
    };
    let python = python_with_duckdb()?;
    // Building while nodes idle would only take their memory: they start when tests are built.
    step("build tests", "cargo", &["test", "--workspace", "--locked", "--no-run"])?;
    {
        let nodes = Nodes::start(names, in_ci || all_nodes)?;
        let named = nodes.variable();
        let mut variables = vec![("TOCSIN_NODES", named.as_str()), ("TOCSIN_PYTHON", &python)];
        if in_ci || all_nodes {
            variables.push(("TOCSIN_REQUIRE_NODES", "1"));
        }
        step_with("tests", "cargo", &["test", "--workspace", "--locked", "--no-fail-fast"], &variables)?;
    }
    if in_ci {
        simulate(CI_SEEDS)?;
    }
    step("shipped rules", "cargo", &["run", "--quiet", "--locked", "--", "rules", "check", "rules"])?;
    step("rule tests", "cargo", &["run", "--quiet", "--locked", "--", "test", "rules"])?;
    println!("\nall steps passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// A Python that has DuckDB, which opens a store's files in one test.
fn python_with_duckdb() -> Result<String> {
    python_with("duckdb", "duckdb", "python")
}

/// A Python that has a module of a package: the machine's, else one in a folder of `target`, which
/// is made once.
fn python_with(module: &str, package: &str, folder: &str) -> Result<String> {
    let import = format!("import {module}");
    let has = |python: &str| {
        Command::new(python).args(["-c", &import]).output().is_ok_and(|seen| seen.status.success())
    };
    if has("python3") {
        return Ok("python3".to_owned());
    }
    let folder = root().join("target").join(folder);
    let own = folder.join("bin/python3").display().to_string();
    if !has(&own) {
        step("python", "python3", &["-m", "venv", &folder.display().to_string()])?;
        step(package, &own, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package])?;
    }
    Ok(own)
}

/// The scenario suite on memory, store and these nodes; its table goes to the terminal.
pub fn scenarios(products: &[String]) -> Result<()> {
    let known = ["opensearch", "opensearch3", "es7", "es8", "es9"];
    if let Some(other) = products.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("no product `{other}`: {}", known.join(", "));
    }
    let wanted = |name: &&str| products.iter().any(|product| product == name);
    let mut names: Vec<&'static str> = known.into_iter().filter(wanted).collect();
    if names.is_empty() {
        names.push("opensearch");
    }
    let nodes = Nodes::start(&names, true)?;
    let named = nodes.variable();
    step_with(
        "scenarios",
        "cargo",
        &["test", "--locked", "--test", "it", "--", "scenarios::every_scenario_holds_on", "--nocapture"],
        &[("TOCSIN_NODES", named.as_str())],
    )
}

/// The simulation of runners over so many seeds. This package alone is built with optimisation: its
/// dependencies are those of the other tests.
pub fn simulate(seeds: &str) -> Result<()> {
    step_with(
        "simulation",
        "cargo",
        &["test", "--locked", "--test", "it", "--", "sim::whatever", "--nocapture"],
        &[
            ("TOCSIN_SIM_SEEDS", seeds),
            ("CARGO_PROFILE_DEV_OPT_LEVEL", "2"),
            ("CARGO_PROFILE_DEV_DEBUG", "false"),
        ],
    )
}

/// The benchmark binary that measures what.
const BENCHES: &[(&str, &[&str])] = &[
    ("ingest", &["B1"]),
    ("spine", &["B2", "B3", "B8"]),
    ("cluster", &["B4"]),
    ("start", &["B7"]),
    ("schedule", &["B9"]),
    ("notify", &["B10"]),
];

/// Benchmarks named on the command line (`B1` …), or all.
pub fn bench(names: &[String]) -> Result<()> {
    let known = |name: &String| BENCHES.iter().any(|(_, measures)| measures.contains(&name.as_str()));
    if let Some(name) = names.iter().find(|name| !known(name)) {
        bail!("no benchmark `{name}`: B1 to B4, B7 to B10 are there");
    }
    for (binary, measures) in BENCHES {
        let wanted: Vec<&str> = measures
            .iter()
            .copied()
            .filter(|m| names.is_empty() || names.iter().any(|name| name == m))
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let mut arguments = vec!["bench", "--locked", "--bench", binary, "--"];
        // B7's binary takes rule folders, not names.
        if *binary != "start" {
            arguments.extend(&wanted);
        }
        if *binary == "cluster" {
            cluster(&arguments)?;
            continue;
        }
        step(&wanted.join(" "), "cargo", &arguments)?;
    }
    Ok(())
}

/// The benchmark of clusters, with a node of its own and ElastAlert 2 beside it.
fn cluster(arguments: &[&str]) -> Result<()> {
    let elastalert = python_with("elastalert", "elastalert2", "elastalert");
    if let Err(error) = &elastalert {
        eprintln!("no ElastAlert 2, it is left out: {error:#}");
    }
    step("build", "cargo", &["bench", "--locked", "--bench", "cluster", "--no-run"])?;
    let nodes = Nodes::start(&["opensearch"], true)?;
    let named = nodes.variable();
    let mut variables = vec![("TOCSIN_NODES", named.as_str())];
    if let Ok(python) = &elastalert {
        variables.push(("TOCSIN_ELASTALERT", python));
    }
    step_with("B4", "cargo", arguments, &variables)
}

/// Every fuzz target for `seconds` each.
pub fn fuzz(seconds: &str) -> Result<()> {
    let listed =
        Command::new("cargo").args(["+nightly", "fuzz", "list"]).current_dir(root()).output().context(
            "cannot start cargo-fuzz: `cargo install cargo-fuzz`, `rustup toolchain install nightly`",
        )?;
    if !listed.status.success() {
        bail!("cargo fuzz list: {}", String::from_utf8_lossy(&listed.stderr));
    }
    let limit = format!("-max_total_time={seconds}");
    for target in String::from_utf8_lossy(&listed.stdout).lines() {
        step(
            &format!("fuzz {target}"),
            "cargo",
            &["+nightly", "fuzz", "run", target, "--", &limit, "-timeout=5", "-rss_limit_mb=2048"],
        )?;
    }
    Ok(())
}
