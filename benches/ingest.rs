//! `cargo bench --bench ingest -- [B1] [DIR]`: gzipped CloudTrail to durable, searchable,
//! de-duplicated ECS, stage by stage. CPU time of the process, the least of three runs; the bundled
//! sample day over and over with fresh ids, or the files of `DIR`.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a benchmark prints what it measured and ends when its data are not there"
)]

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cpu_time::ProcessTime;
use tocsin::ecs::document::NewDocument;
use tocsin::ingest::decode::Decoder;
use tocsin::ingest::formats::Format;
use tocsin::ingest::formats::records::{Place, RecordSink, Records};
use tocsin::ingest::pipeline::{self, Progress, Target};
use tocsin::ingest::reader::ReadOptions;
use tocsin::ingest::sources::{self, Source};
use tocsin::ingest::tape::Value;
use tocsin::store::{BulkWriter, Store, StoreError, StoreOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often the sample day is repeated: 99,526 events.
const DAYS: usize = 14;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let (names, dirs): (Vec<_>, Vec<_>) =
        arguments.into_iter().partition(|a| a.len() == 2 && a.starts_with('B'));
    if names.is_empty() || names.iter().any(|name| name == "B1") {
        let made = tempfile::tempdir().expect("a folder for the data");
        let dir = dirs.first().map_or_else(|| made.path().to_owned(), PathBuf::from);
        if dirs.is_empty() {
            repeat_sample(&dir);
        }
        b1(&dir);
    }
}

/// Writes the sample day [`DAYS`] times, each with its own event and request ids.
fn repeat_sample(dir: &Path) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sample-day");
    for entry in std::fs::read_dir(sample).expect("the sample day") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|e| e != "gz") {
            continue;
        }
        let mut text = String::new();
        let file = std::fs::File::open(&path).expect("a file of the sample day");
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
        for day in 0..DAYS {
            let mut fresh = text.clone();
            for key in ["\"eventID\":\"", "\"requestID\":\""] {
                fresh = fresh
                    .split(key)
                    .enumerate()
                    .map(|(n, part)| if n == 0 { part.to_owned() } else { scramble(part, day) })
                    .collect::<Vec<_>>()
                    .join(key);
            }
            let name = format!("{day}-{}", path.file_name().expect("a name").to_string_lossy());
            let out = std::fs::File::create(dir.join(name)).expect("a file");
            let mut gzip = flate2::write::GzEncoder::new(out, flate2::Compression::new(6));
            gzip.write_all(fresh.as_bytes()).and_then(|()| gzip.finish().map(drop)).expect("written");
        }
    }
}

/// Another id for another day: the first 36 characters, each hexadecimal digit turned by the day.
fn scramble(part: &str, day: usize) -> String {
    part.char_indices()
        .map(|(at, c)| match c.to_digit(16) {
            Some(digit) if at < 36 => {
                let turned = (digit as usize + day * (at % 5 + 1)) % 16;
                char::from_digit(turned as u32, 16).unwrap_or('0')
            }
            _ => c,
        })
        .collect()
}

#[derive(Default)]
struct Counted {
    events: u64,
    bytes: u64,
}

impl RecordSink for Counted {
    fn record(&mut self, value: Value<'_>, text: &str, _: Place) -> bool {
        black_box(value.index());
        self.events += 1;
        self.bytes += text.len() as u64 + 1;
        true
    }
    fn reject(&mut self, place: Place, reason: String) -> bool {
        panic!("line {}: {reason}", place.line)
    }
}

struct Dropped(u64);

impl Target for Dropped {
    type Error = StoreError;
    fn push(&mut self, documents: Vec<NewDocument>) -> Result<(), StoreError> {
        self.0 += documents.len() as u64;
        Ok(())
    }
}

struct Stored(BulkWriter);

impl Target for Stored {
    type Error = StoreError;
    fn push(&mut self, documents: Vec<NewDocument>) -> Result<(), StoreError> {
        self.0.push_many(documents)
    }
}

fn open(source: &Source) -> Decoder {
    let Source::File { path, .. } = source else { panic!("only files") };
    Decoder::new(Box::new(std::fs::File::open(path).expect("a file"))).expect("readable")
}

fn least<T>(times: usize, mut work: impl FnMut() -> T) -> (Duration, T) {
    let mut best: Option<(Duration, T)> = None;
    for _ in 0..times {
        let start = ProcessTime::now();
        let value = work();
        let took = start.elapsed();
        if best.as_ref().is_none_or(|(least, _)| took < *least) {
            best = Some((took, value));
        }
    }
    best.expect("at least one run")
}

fn size(dir: &Path) -> u64 {
    walk(dir).iter().map(|path| path.metadata().map_or(0, |m| m.len())).sum()
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        if entry.path().is_dir() { out.extend(walk(&entry.path())) } else { out.push(entry.path()) }
    }
    out
}

fn b1(dir: &Path) {
    let inputs = sources::find(&[dir.to_owned()]).expect("the data").list;
    let options = ReadOptions {
        format: Format::CloudTrail,
        index: None,
        ingested: "2026-11-22T00:00:00.000Z".to_owned(),
    };

    let (inflate, ()) = least(3, || {
        let mut buffer = vec![0; 512 * 1024];
        for source in &inputs {
            let mut decoder = open(source);
            while decoder.read(&mut buffer).expect("whole") > 0 {}
        }
    });
    let (parse, counted) = least(3, || {
        let mut counted = Counted::default();
        for source in &inputs {
            Records::new(open(source)).read(&mut counted);
        }
        counted
    });
    let events = counted.events;
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / events as f64;
    let (normalise, _) = least(3, || {
        pipeline::run(&inputs, &options, 1, &Progress::default(), &mut Dropped(0)).expect("read")
    });
    println!("B1 {events} events, {} bytes of records each", counted.bytes / events);
    println!(
        "   inflate {:.2} µs an event, with cutting and parsing {:.2}, with ECS documents {:.2}",
        micros(inflate),
        micros(parse),
        micros(normalise)
    );

    for originals in [true, false] {
        let (whole, (stored, appended)) = least(3, || {
            let folder = tempfile::tempdir().expect("a data folder");
            let store_options = StoreOptions { originals, ..StoreOptions::default() };
            let store = Arc::new(Store::open(folder.path(), store_options).expect("a store"));
            let mut target = Stored(store.bulk());
            pipeline::run(&inputs, &options, 1, &Progress::default(), &mut target).expect("read");
            let appended = target.0.finish().expect("durable");
            drop(store);
            (size(folder.path()), appended)
        });
        assert_eq!((appended.indexed, appended.duplicates), (events, 0));
        println!(
            "   to the store {} event.original: {:.2} µs an event, {:.0} events per CPU second; size {:.3} of the records",
            if originals { "with" } else { "without" },
            micros(whole),
            events as f64 / whole.as_secs_f64(),
            stored as f64 / counted.bytes as f64,
        );
    }
}
