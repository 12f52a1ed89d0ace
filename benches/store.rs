//! `cargo bench --bench store -- FOLDER`: what storing costs. `FOLDER` holds CloudTrail
//! files (`gen_cloudtrail.py --events 150000 --span 2d --layout s3`). CPU time of the process;
//! sizes against the uncompressed records.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark prints what it measured and ends when its data are not there"
)]

use std::path::PathBuf;
use std::time::Duration;

use cpu_time::ProcessTime;
use tocsin::ecs::document::NewDocument;
use tocsin::ingest::formats::Format;
use tocsin::ingest::pipeline::{self, Progress, Target};
use tocsin::ingest::reader::ReadOptions;
use tocsin::ingest::sources;
use tocsin::store::{Store, StoreOptions, TimeBounds};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Takes documents and remembers what taking them cost.
struct Timed<F> {
    take: F,
    cost: Cost,
}

#[derive(Default)]
struct Cost {
    spent: Duration,
    events: u64,
    raw: u64,
}

impl<F: FnMut(Vec<NewDocument>)> Target for Timed<F> {
    type Error = std::convert::Infallible;

    fn push(&mut self, documents: Vec<NewDocument>) -> Result<(), Self::Error> {
        self.cost.events += documents.len() as u64;
        self.cost.raw +=
            documents.iter().map(|d| d.original.as_ref().map_or(0, |o| o.len() as u64 + 1)).sum::<u64>();
        (self.take)(documents);
        Ok(())
    }
}

fn read<F: FnMut(Vec<NewDocument>)>(folder: &PathBuf, take: F) -> Cost {
    let found = sources::find(std::slice::from_ref(folder)).expect("sources");
    let options =
        ReadOptions { format: Format::Auto, index: None, ingested: "2026-11-22T00:00:00.000Z".to_owned() };
    let mut timed = Timed { take, cost: Cost::default() };
    let start = ProcessTime::now();
    let report = pipeline::run(&found.list, &options, 1, &Progress::default(), &mut timed).expect("read");
    timed.cost.spent = start.elapsed();
    assert_eq!(report.rejected, 0, "{:?}", report.rejects);
    timed.cost
}

fn micros(spent: Duration, events: u64) -> f64 {
    spent.as_secs_f64() * 1e6 / events.max(1) as f64
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let Some(folder) = args.next().map(PathBuf::from) else {
        println!("skipped: name a folder of CloudTrail files");
        return;
    };
    let floor = read(&folder, drop);
    println!("{} events, {} MB of records", floor.events, floor.raw / 1_000_000);
    println!("read and normalise          {:6.2} µs an event", micros(floor.spent, floor.events));
    for originals in [true, false] {
        let dir = tempfile::TempDir::new().expect("folder");
        let options = || StoreOptions { originals, ..StoreOptions::default() };
        let store = Store::open(dir.path(), options()).expect("store");
        let mut bulk = store.bulk();
        let all = read(&folder, |documents| bulk.push_many(documents).expect("push"));
        let start = ProcessTime::now();
        let appended = bulk.finish().expect("finish");
        let total = all.spent + start.elapsed();
        assert_eq!(appended.indexed + appended.duplicates, all.events);
        let stats = store.stats().expect("stats");
        println!(
            "--- originals {originals}: {} segments, {:.1} MB",
            stats.indices[0].segments,
            stats.bytes as f64 / 1e6
        );
        println!("with storing                {:6.2} µs an event", micros(total, all.events));
        println!("size / records              {:6.3}", stats.bytes as f64 / all.raw as f64);
        let mut bulk = store.bulk();
        let again = read(&folder, |documents| bulk.push_many(documents).expect("push"));
        assert_eq!(bulk.finish().expect("finish").indexed, 0);
        println!("reading the same again      {:6.2} µs an event", micros(again.spent, again.events));
        let start = ProcessTime::now();
        let done = store.compact().expect("compact");
        println!(
            "merging {:3} into {:2}         {:6.2} µs an event",
            done.merged,
            done.into,
            micros(start.elapsed(), all.events)
        );
        let stats = store.stats().expect("stats");
        println!("size / records, merged      {:6.3}", stats.bytes as f64 / all.raw as f64);
        drop(store);
        let start = std::time::Instant::now();
        let store = Store::open(dir.path(), options()).expect("store");
        let snapshot = store.snapshot().expect("snapshot");
        println!("open and first snapshot     {:6.2} ms", start.elapsed().as_secs_f64() * 1e3);
        let batches = snapshot.batches(&snapshot.indices(), TimeBounds::default());
        let start = ProcessTime::now();
        let mut rows = 0;
        for batch in &batches {
            rows += batch.columns(&batch.paths()).expect("columns").rows as u64;
        }
        println!("decoding all columns        {:6.2} µs an event", micros(start.elapsed(), rows));
        let start = ProcessTime::now();
        let mut read = 0;
        for batch in &batches {
            let rows: Vec<u32> = (0..u32::try_from(batch.rows()).expect("rows")).step_by(500).collect();
            read += batch.documents(&rows).expect("documents").len() as u64;
        }
        println!("one document in 500         {:6.2} µs a document", micros(start.elapsed(), read));
    }
}
