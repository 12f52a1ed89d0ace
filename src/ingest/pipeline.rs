//! Many inputs read at once, one writer: bounded memory, and a report of what became of every
//! record.

use std::fs::File;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use super::decode::Decoder;
use super::reader::{DocumentSink, ReadOptions, Reader, Reject};
use super::sources::Source;
use crate::base::limits::REJECTS_LISTED;
use crate::ecs::document::NewDocument;

/// Where documents go: the store's bulk writer, or a list in tests.
pub trait Target {
    /// What can go wrong.
    type Error;
    /// Takes documents.
    ///
    /// # Errors
    /// When they cannot be written; nothing further is handed over.
    fn push(&mut self, documents: Vec<NewDocument>) -> Result<(), Self::Error>;
}

/// What became of the inputs. `indexed` and `duplicates` are the target's to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Inputs read.
    pub files: u64,
    /// Records in them, good and bad.
    pub read: u64,
    /// Documents that are new.
    pub indexed: u64,
    /// Documents that were there already.
    pub duplicates: u64,
    /// Documents without `@timestamp`, known ones included: no rule's window ever holds them.
    #[serde(skip_serializing_if = "is_zero")]
    pub without_timestamp: u64,
    /// Records that did not become documents, and inputs that could not be read to their end.
    pub rejected: u64,
    /// The first [`REJECTS_LISTED`] of them, by input and line.
    pub rejects: Vec<Reject>,
    /// How many more there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub rejects_not_listed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How far reading is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Compressed bytes of inputs that are read to their end.
    pub bytes: AtomicU64,
    /// Documents made.
    pub documents: AtomicU64,
    /// Set it to end reading early; what was handed over stays.
    pub stop: AtomicBool,
}

/// Documents that travel together.
const BATCH_DOCUMENTS: usize = 1_024;
/// A batch is handed over when it holds this many bytes of JSON.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// Batches that may wait for the writer.
const BATCHES_WAITING: usize = 4;

/// What a worker has to say about one input.
struct Read1 {
    input: usize,
    read: u64,
    without_timestamp: u64,
    rejected: u64,
    rejects: Vec<Reject>,
}

/// Reads `inputs` with `workers` threads and hands their documents to `target`.
///
/// # Errors
/// The first error of `target`; reading stops then.
pub fn run<T: Target>(
    inputs: &[Source],
    options: &ReadOptions,
    workers: usize,
    progress: &Progress,
    target: &mut T,
) -> Result<Report, T::Error> {
    let (sender, receiver) = sync_channel::<Vec<NewDocument>>(BATCHES_WAITING);
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Read1>> = Mutex::new(Vec::new());
    let result = std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, inputs.len().max(1)) {
            let sender = sender.clone();
            let (next, done) = (&next, &done);
            scope.spawn(move || {
                let mut reader = Reader::new(options.clone());
                let mut batch = Batch {
                    sender,
                    documents: Vec::new(),
                    bytes: 0,
                    without_timestamp: 0,
                    rejected: 0,
                    rejects: Vec::new(),
                    progress,
                };
                while !progress.stop.load(Ordering::Relaxed) {
                    let input = next.fetch_add(1, Ordering::Relaxed);
                    let Some(source) = inputs.get(input) else { break };
                    let read = one(&mut reader, source, &mut batch);
                    let (rejected, rejects) =
                        (std::mem::take(&mut batch.rejected), std::mem::take(&mut batch.rejects));
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(Read1 {
                        input,
                        read,
                        without_timestamp: std::mem::take(&mut batch.without_timestamp),
                        rejected,
                        rejects,
                    });
                    if let Source::File { size, .. } = source {
                        progress.bytes.fetch_add(*size, Ordering::Relaxed);
                    }
                }
                batch.flush();
            });
        }
        // The workers hold the only senders left, so the loop ends with them.
        drop(sender);
        let mut result = Ok(());
        while let Ok(documents) = receiver.recv() {
            if let Err(error) = target.push(documents) {
                progress.stop.store(true, Ordering::Relaxed);
                result = Err(error);
                break;
            }
        }
        // Workers that wait for room learn that nobody takes their documents.
        drop(receiver);
        result
    });
    result?;

    let mut report = Report::default();
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|read| read.input);
    for read in done {
        report.files += 1;
        report.read += read.read;
        report.without_timestamp += read.without_timestamp;
        report.rejected += read.rejected;
        let room = REJECTS_LISTED.saturating_sub(report.rejects.len());
        report.rejects.extend(read.rejects.into_iter().take(room));
    }
    report.rejects_not_listed = report.rejected.saturating_sub(report.rejects.len() as u64);
    Ok(report)
}

/// Reads one input; an input that cannot be opened is a reject of its own.
fn one(reader: &mut Reader, source: &Source, batch: &mut Batch<'_>) -> u64 {
    let name = source.name();
    let input: std::io::Result<Box<dyn Read + Send>> = match source {
        Source::File { path, .. } => File::open(path).map(|file| Box::new(file) as _),
        Source::Stdin => Ok(Box::new(std::io::stdin())),
    };
    let decoder = input.map_err(Into::into).and_then(Decoder::new);
    match decoder {
        Ok(decoder) => reader.read(&name, decoder, batch),
        Err(error) => {
            batch.reject(Reject { path: name, line: 0, reason: error.to_string() });
            0
        }
    }
}

/// Documents and rejects on their way out of a worker.
struct Batch<'a> {
    sender: SyncSender<Vec<NewDocument>>,
    documents: Vec<NewDocument>,
    bytes: usize,
    without_timestamp: u64,
    rejected: u64,
    rejects: Vec<Reject>,
    progress: &'a Progress,
}

impl Batch<'_> {
    /// Hands the batch over, waiting for room; `false` when nobody takes it.
    fn flush(&mut self) -> bool {
        self.bytes = 0;
        if self.documents.is_empty() {
            return true;
        }
        let documents = std::mem::replace(&mut self.documents, Vec::with_capacity(BATCH_DOCUMENTS));
        self.progress.documents.fetch_add(documents.len() as u64, Ordering::Relaxed);
        self.sender.send(documents).is_ok()
    }
}

impl DocumentSink for Batch<'_> {
    fn document(&mut self, document: NewDocument) -> bool {
        if !document.flat.iter().any(|leaf| leaf.path == "@timestamp") {
            self.without_timestamp += 1;
        }
        self.bytes += document.source.len() + document.original.as_ref().map_or(0, String::len);
        self.documents.push(document);
        if self.documents.len() >= BATCH_DOCUMENTS || self.bytes >= BATCH_BYTES {
            return self.flush() && !self.progress.stop.load(Ordering::Relaxed);
        }
        true
    }

    fn reject(&mut self, reject: Reject) {
        self.rejected += 1;
        if self.rejects.len() < REJECTS_LISTED {
            self.rejects.push(reject);
        }
    }
}
