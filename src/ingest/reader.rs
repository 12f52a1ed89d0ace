//! From the records of one input to documents: format, normaliser, what is refused and where.

use std::borrow::Cow;
use std::sync::Arc;

use super::decode::Decoder;
use super::formats::Format;
use super::formats::records::{Place, RecordSink, Records};
use super::normalize::cloudtrail::{self, Normalizer};
use super::normalize::{Refusal, generic};
use super::tape::{Kind, Value};
use crate::base::limits::REJECTS_BEFORE_GIVING_UP;
use crate::ecs::document::NewDocument;

/// A record that did not become a document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Reject {
    /// The file; `-` for standard input.
    pub path: String,
    /// One-based line on which the record starts.
    pub line: u64,
    /// Why, with the record's number and the byte it starts at.
    pub reason: String,
}

/// Takes what a [`Reader`] makes of an input.
pub trait DocumentSink {
    /// Takes a document; `false` ends the reading.
    fn document(&mut self, document: NewDocument) -> bool;
    /// Takes the news of a record that did not become one.
    fn reject(&mut self, reject: Reject);
}

/// How inputs are to be read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// What they are.
    pub format: Format,
    /// Index all documents go to; `None` lets each say.
    pub index: Option<String>,
    /// Time of reading, RFC 3339: becomes `event.ingested` where a document brings none.
    pub ingested: String,
}

/// Reads inputs one after the other; keeps its buffers between them.
pub struct Reader {
    options: ReadOptions,
    cloudtrail: Normalizer,
}

impl Reader {
    /// A reader.
    pub fn new(options: ReadOptions) -> Self {
        let index = options.index.as_deref().unwrap_or(cloudtrail::INDEX);
        let cloudtrail = Normalizer::new(Arc::from(index));
        Self { options, cloudtrail }
    }

    /// Reads one input to its end. Returns the number of records it had, good and bad.
    pub fn read(&mut self, path: &str, decoder: Decoder, sink: &mut impl DocumentSink) -> u64 {
        let mut input = InputSink {
            path,
            format: self.options.format,
            reader: self,
            sink,
            action: None,
            read: 0,
            accepted: 0,
            rejected: 0,
        };
        Records::new(decoder).read(&mut input);
        input.finish();
        input.read
    }
}

/// A bulk action that waits for its document.
struct Action {
    name: String,
    index: Option<String>,
    id: Option<String>,
    place: Place,
}

/// One input on its way to a [`DocumentSink`].
struct InputSink<'a, S> {
    path: &'a str,
    format: Format,
    reader: &'a mut Reader,
    sink: &'a mut S,
    action: Option<Action>,
    read: u64,
    accepted: u64,
    rejected: u64,
}

impl<S: DocumentSink> InputSink<'_, S> {
    fn refuse(&mut self, place: Place, reason: &str) -> bool {
        self.read += 1;
        self.rejected += 1;
        let reason = format!("record {} (byte {}): {reason}", place.number, place.offset);
        self.sink.reject(Reject { path: self.path.to_owned(), line: place.line, reason });
        if self.accepted == 0 && self.rejected >= REJECTS_BEFORE_GIVING_UP {
            let reason = format!("gave up: none of the first {} records can be read", self.rejected);
            self.sink.reject(Reject { path: self.path.to_owned(), line: place.line, reason });
            return false;
        }
        true
    }

    fn accept(&mut self, result: Result<NewDocument, Refusal>, place: Place) -> bool {
        match result {
            Ok(document) => {
                self.read += 1;
                self.accepted += 1;
                self.sink.document(document)
            }
            Err(refusal) => self.refuse(place, &refusal.to_string()),
        }
    }

    /// A document with the given index and id of its own.
    fn generic(
        &self,
        source: Value<'_>,
        index: Option<&str>,
        id: Option<String>,
        stamp: bool,
    ) -> Result<NewDocument, Refusal> {
        let options = &self.reader.options;
        generic::document(
            source,
            &generic::Envelope {
                index: options.index.as_deref().or(index),
                id,
                ingested: stamp.then_some(options.ingested.as_str()),
            },
        )
    }

    fn cloudtrail(&mut self, value: Value<'_>, text: &str, place: Place) -> bool {
        let ingested = std::mem::take(&mut self.reader.options.ingested);
        let result = self.reader.cloudtrail.normalize(value, text.trim(), &ingested);
        self.reader.options.ingested = ingested;
        self.accept(result, place)
    }

    fn bulk(&mut self, value: Value<'_>, place: Place) -> bool {
        if let Some(action) = self.action.take() {
            if action.name == "update" {
                return self.refuse(action.place, "`update` changes stored documents, which ingest does not");
            }
            let result = self.generic(value, action.index.as_deref(), action.id, false);
            return self.accept(result, place);
        }
        let mut members = value.children();
        let (Some(member), None) = (members.next(), members.next()) else {
            return self.refuse(place, "expected a bulk action like `{\"create\":{}}`");
        };
        let name = member.key().into_owned();
        let meta = |key| member.member(key).and_then(|value| value.scalar()).map(Cow::into_owned);
        match name.as_str() {
            "index" | "create" | "update" => {
                self.action = Some(Action { index: meta("_index"), id: meta("_id"), name, place });
                true
            }
            "delete" => self.refuse(place, "`delete` removes stored documents, which ingest does not"),
            _ => self.refuse(place, &format!("unknown bulk action `{name}`")),
        }
    }

    fn finish(&mut self) {
        if let Some(action) = self.action.take() {
            self.refuse(action.place, &format!("`{}` without a document after it", action.name));
        }
    }
}

impl<S: DocumentSink> RecordSink for InputSink<'_, S> {
    fn record(&mut self, value: Value<'_>, text: &str, place: Place) -> bool {
        let told = self.reader.options.format != Format::Auto;
        if self.format == Format::Auto && value.kind() == Kind::Object {
            self.format = Format::of(value);
        }
        // The list of a CloudTrail file may stand behind other members.
        if matches!(self.format, Format::Auto | Format::CloudTrail)
            && let Some(list) = value.member("Records").filter(|list| list.kind() == Kind::Array)
        {
            return list.children().all(|record| self.cloudtrail(record, record.raw(), place));
        }
        let format = if place.wrapped && !told { Format::CloudTrail } else { self.format };
        match format {
            Format::CloudTrail => self.cloudtrail(value, text, place),
            Format::Auto | Format::Ecs | Format::Hits => {
                let meta = |key| value.member(key).and_then(|value| value.scalar());
                let (index, id) = (meta("_index"), meta("_id").map(Cow::into_owned));
                // `_source` is metadata everywhere in Elasticsearch, never a field: a line that has
                // it is a hit, even among documents.
                let source = value.member("_source").filter(|source| source.kind() == Kind::Object);
                if source.is_none() && self.format == Format::Hits {
                    return self.refuse(place, "no `_source`");
                }
                let result = self.generic(source.unwrap_or(value), index.as_deref(), id, source.is_none());
                self.accept(result, place)
            }
            Format::Bulk => self.bulk(value, place),
        }
    }

    fn reject(&mut self, place: Place, reason: String) -> bool {
        self.refuse(place, &reason)
    }
}
