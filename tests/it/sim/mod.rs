//! A deterministic simulation of runners, in the manner of FoundationDB.
//!
//! Three runners share more than twenty rules for two weeks of virtual time over 100,000 events.
//! The production service, scheduler, leases, engine, stores and client of clusters run as they are;
//! only the clock, the backend and the cluster that the client talks to are models. From a seed come some 200 faults: crashes at
//! any write, lost and doubled replies, partial writes, storms of refusals, runners that stand
//! still and wake, clocks that jump, events that arrive late or lie in the future, edits of rules,
//! restarts. In the end the alerts must be those of one evaluation over the final data, no rule may
//! have a hole in its coverage, and nothing may have been written under a stale token.
//!
//! `TOCSIN_SIM_SEEDS=500` runs more seeds, `TOCSIN_SIM_SEED=17` runs one alone and says what happened.

#![expect(clippy::pedantic, reason = "a model counts small numbers in many types")]

mod backend;
mod cluster;
mod corpus;
mod faults;
mod wire;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use corpus::Corpus;
use world::{Bug, Outcome, World};

/// Seeds of a test run that does not say how many.
const SEEDS: u64 = 1;
/// Days of virtual time of a whole run, and of those that are only to catch a bug.
const DAYS: (i64, i64) = (14, 6);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn simulate(corpus: &std::sync::Arc<Corpus>, seed: u64, bug: Bug, days: i64) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let local = tokio::task::LocalSet::new();
    let outcome = local.block_on(&runtime, World::run(std::sync::Arc::clone(corpus), seed, bug, days));
    drop(local);
    outcome
}

#[test]
fn whatever_happens_the_alerts_are_those_of_one_evaluation() {
    let corpus = Corpus::shared();
    assert!(corpus.rules.len() >= 20 && corpus.events.len() >= 100_000);
    let seeds: Vec<u64> = match number("TOCSIN_SIM_SEED") {
        Some(seed) => vec![seed],
        None => {
            let first = number("TOCSIN_SIM_FIRST").unwrap_or(0);
            (first..first + number("TOCSIN_SIM_SEEDS").unwrap_or(SEEDS)).collect()
        }
    };
    let (next, done) = (AtomicUsize::new(0), Mutex::new((0, 0, Vec::new())));
    let work = || {
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = simulate(&corpus, *seed, Bug::None, DAYS.0);
            let mut done = done.lock().unwrap();
            done.0 += outcome.faults;
            done.1 += outcome.executions;
            if seeds.len() == 1 {
                eprintln!("seed {seed}: {}\n{}", outcome.story(), outcome.executions_of_the_wrong());
            }
            if !outcome.wrong.is_empty() {
                let wrong = outcome.wrong.join("\n  ");
                eprintln!("seed {seed} failed; TOCSIN_SIM_SEED={seed} replays it\n  {wrong}");
                done.2.push(*seed);
            }
            if seeds.len() >= 100 && (next.load(Ordering::Relaxed)).is_multiple_of(50) {
                eprintln!("{} seeds begun", next.load(Ordering::Relaxed));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(seeds.len());
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (faults, executions, failed) = done.into_inner().unwrap();
    let runs = seeds.len() as u64;
    eprintln!("{runs} runs, {} faults and {} executions a run", faults / runs, executions / runs);
    assert!(faults / runs >= 200, "{faults} faults in {runs} runs");
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
}

/// The simulation is worth what it catches: each of these bugs has to be found by some seed.
#[test]
fn bugs_put_in_on_purpose_are_caught() {
    let corpus = Corpus::shared();
    // A run without a bug is right, or catching would mean nothing.
    let right = simulate(&corpus, 0, Bug::None, DAYS.1);
    assert!(right.wrong.is_empty(), "{:?}", right.wrong);
    for bug in [
        Bug::CoverageWithoutAlerts,
        Bug::TokensIgnored,
        Bug::MissedSlotsForgotten,
        Bug::LateEventsForgotten,
        Bug::WritesForgotten,
        Bug::PagesLost,
    ] {
        let caught = (0..4).find(|seed| !simulate(&corpus, *seed, bug, DAYS.1).wrong.is_empty());
        assert!(caught.is_some(), "{bug:?} was not caught");
        eprintln!("{bug:?} is caught by seed {caught:?}");
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let corpus = Corpus::shared();
    let (one, two) = (simulate(&corpus, 3, Bug::None, DAYS.1), simulate(&corpus, 3, Bug::None, DAYS.1));
    assert_eq!((one.faults, one.executions, one.alerts), (two.faults, two.executions, two.alerts));
}
