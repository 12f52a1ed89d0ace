//! Processes that write the same folder, and what is left when one is killed.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;
use tocsin::store::{Appended, Store, StoreOptions};

use crate::store::{documents, event, quiet};

const DIR: &str = "TOCSIN_TEST_STORE";
const WAY: &str = "TOCSIN_TEST_WAY";
const FROM: &str = "TOCSIN_TEST_FROM";
const TO: &str = "TOCSIN_TEST_TO";

/// This test binary once more, as a process that writes.
fn writer(dir: &Path, way: &str, from: u32, to: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["store_crash::child", "--exact", "--nocapture", "--test-threads", "1"])
        .env(DIR, dir)
        .env(WAY, way)
        .env(FROM, from.to_string())
        .env(TO, to.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn time(n: u32) -> String {
    format!("2026-11-{:02}T{:02}:{:02}:00Z", 1 + n % 3, n / 60 % 24, n % 60)
}

/// Does nothing unless another test runs it as a process of its own.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u32>().unwrap();
    let (from, to) = (number(FROM), number(TO));
    let way = std::env::var(WAY).unwrap();
    let store = Store::open(Path::new(&dir), StoreOptions::default()).unwrap();
    let mut total = Appended::default();
    for (step, start) in (from..to).step_by(40).enumerate() {
        let docs = (start..to.min(start + 40)).map(|n| event(n, &time(n))).collect();
        total += if way == "bulk" || (way == "both" && step % 3 == 0) {
            let mut bulk = store.bulk();
            bulk.push_many(docs).unwrap();
            bulk.finish().unwrap()
        } else {
            let appended = store.append(docs).unwrap();
            if step % 5 == 4 {
                store.seal().unwrap();
            }
            if step % 11 == 10 {
                store.compact().unwrap();
            }
            appended
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nack {start} {}", to.min(start + 40)).unwrap();
        out.flush().unwrap();
    }
    println!("\ntotal {} {}", total.indexed, total.duplicates);
}

/// The next line of a child that starts with `word`, as numbers.
fn next(
    lines: &mut impl Iterator<Item = std::io::Result<String>>,
    words: &[&str],
) -> Option<(String, u32, u32)> {
    lines.map_while(Result::ok).find_map(|line| {
        let mut parts = line.split(' ');
        let word = parts.next().filter(|word| words.contains(word))?.to_owned();
        Some((word, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

fn lines(child: &mut Child) -> std::io::Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().unwrap()).lines()
}

#[test]
fn what_was_acknowledged_survives_being_killed() {
    let dir = TempDir::new().unwrap();
    let mut acknowledged = BTreeSet::new();
    for (round, way) in ["append", "bulk", "both", "append", "both", "bulk"].into_iter().enumerate() {
        let from = u32::try_from(round).unwrap() * 100_000;
        let mut child = writer(dir.path(), way, from, from + 100_000);
        let mut lines = lines(&mut child);
        for _ in 0..3 + round * 5 {
            let (_, a, b) = next(&mut lines, &["ack"]).unwrap();
            acknowledged.extend((a..b).map(|n| format!("id-{n}")));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it still managed to say before it died was acknowledged too.
        while let Some((_, a, b)) = next(&mut lines, &["ack"]) {
            acknowledged.extend((a..b).map(|n| format!("id-{n}")));
        }

        let store = Store::open(dir.path(), quiet()).unwrap();
        let stored = documents(&store);
        let lost: Vec<_> = acknowledged.iter().filter(|id| !stored.contains_key(*id)).collect();
        assert!(lost.is_empty(), "round {round}, {way}: lost {lost:?}");
        let checked = store.check(|_, _| {}).unwrap();
        assert_eq!(checked.problems, []);
        assert_eq!(checked.leftovers, Vec::<std::path::PathBuf>::new(), "the start deleted what was left");
        // Reading the same again adds only what was not there.
        let again = store.append((from..from + 80).map(|n| event(n, &time(n))).collect()).unwrap();
        assert_eq!(again.duplicates, 80, "the first two batches were acknowledged");
    }
}

#[test]
fn processes_that_ingest_the_same_at_once_store_it_once() {
    let dir = TempDir::new().unwrap();
    let mut children: Vec<Child> = [("append", 0, 1600), ("bulk", 200, 1800), ("both", 0, 1800)]
        .map(|(way, a, b)| writer(dir.path(), way, a, b))
        .into();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let mut seen = 0;
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        // `documents` fails when an id is there twice.
        let now = documents(&store).len();
        assert!(now >= seen, "a later snapshot has what an earlier one had");
        seen = now;
    }
    let mut indexed = 0;
    let mut duplicates = 0;
    for child in &mut children {
        let (_, new, known) = next(&mut lines(child), &["total"]).unwrap();
        indexed += new;
        duplicates += known;
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(documents(&store).len(), 1800);
    assert_eq!((indexed, duplicates), (1800, 1600 + 1600 + 1800 - 1800));
    assert_eq!(store.check(|_, _| {}).unwrap().problems, []);
}

#[test]
fn appends_of_many_threads_share_commits() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    let total: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u32)
            .map(|thread| {
                let store = store.clone();
                scope.spawn(move || {
                    (0..10)
                        // Every second event is the neighbour's too.
                        .map(|n| {
                            store
                                .append(vec![event(n * 2 + thread.div_ceil(2) * 100, &time(n))])
                                .unwrap()
                                .indexed
                        })
                        .sum::<u64>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(total, 50);
    assert_eq!(documents(&store).len(), 50);
}

/// A shell limits the size of files the child may write; the signal that would end it is ignored,
/// so that writes fail as they do on a full disk.
#[test]
fn a_full_disk_says_so_and_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), quiet()).unwrap();
    store.append((0..40).map(|n| event(n, &time(n))).collect()).unwrap();
    store.seal().unwrap();
    for way in ["bulk", "append"] {
        let output = Command::new("bash")
            .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["store_crash::child", "--exact", "--nocapture", "--test-threads", "1"])
            .env(DIR, dir.path())
            .env(WAY, way)
            .env(FROM, "1000")
            .env(TO, "9000")
            .env("RUST_BACKTRACE", "0")
            .output()
            .unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("Full") && text.contains("events"), "{way}: {text}");
    }
    let checked = store.check(|_, _| {}).unwrap();
    assert_eq!(checked.problems, []);
    assert!(documents(&store).len() >= 40);
    assert_eq!(store.append(vec![event(7, &time(7))]).unwrap().duplicates, 1);
}
