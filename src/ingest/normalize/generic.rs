//! ECS documents as they come: nothing is renamed, `event.original` is set apart.

use std::borrow::Cow;
use std::sync::Arc;

use super::Refusal;
use super::cloudtrail::content_id;
use super::writer::EcsWriter;
use crate::ecs::document::NewDocument;
use crate::ecs::value::date;
use crate::ingest::tape::{Kind, Value};

/// What is known of a document beside its source.
#[derive(Debug, Clone, Default)]
pub struct Envelope<'a> {
    /// Index it goes to, when one was named.
    pub index: Option<&'a str>,
    /// Its `_id`, when it has one.
    pub id: Option<String>,
    /// Time of reading it (RFC 3339), which becomes `event.ingested` where the document goes to a
    /// data stream and brings none; `None` leaves it alone.
    pub ingested: Option<&'a str>,
}

/// The index of documents that do not say where they belong.
pub const INDEX: &str = "logs-generic-default";

/// How much of a value that cannot be read is shown, characters.
const VALUE_SHOWN: usize = 60;

/// Members of an ECS line that are about the document and not part of it.
pub const METADATA: &[&str] = &["_id", "_index"];

/// The document of one ECS object.
///
/// # Errors
/// When `source` is no object, an empty one, a CloudTrail file without a list of records, or has an
/// `@timestamp` that is no time: no window would ever hold it.
pub fn document(source: Value<'_>, envelope: &Envelope<'_>) -> Result<NewDocument, Refusal> {
    if source.kind() != Kind::Object {
        return Err(Refusal::NotAnObject("the document"));
    }
    check(source)?;
    let index = match envelope.index {
        Some(index) => index.to_owned(),
        None => data_stream(source).unwrap_or_else(|| INDEX.to_owned()),
    };
    let ingested = envelope
        .ingested
        .filter(|_| index.starts_with("logs-") && find(source, "event", "ingested").is_none());

    let raw = source.raw();
    let mut out = EcsWriter::new(raw.len() + 64);
    let mut path = String::new();
    let skip = |path: &str| path == "event.original" || METADATA.contains(&path);
    let event = source.member("event").filter(|event| event.kind() == Kind::Object);
    match (ingested, event) {
        (None, _) => out.members(&mut path, source, &skip),
        (Some(at), event) => {
            out.members(&mut path, source, &|path| skip(path) || (event.is_some() && path == "event"));
            out.begin("event");
            if let Some(event) = event {
                path.push_str("event");
                out.members(&mut path, event, &skip);
            }
            out.text("ingested", "event.ingested", at);
            out.end();
        }
    }
    let original = find(source, "event", "original").and_then(|value| value.as_str()).map(Cow::into_owned);
    let (source, flat) = out.finish();
    let id = envelope.id.clone().unwrap_or_else(|| content_id(raw));
    Ok(NewDocument { index: Arc::from(index), id, source, original, flat })
}

fn check(source: Value<'_>) -> Result<(), Refusal> {
    if source.children().all(|member| METADATA.contains(&&*member.key())) {
        return Err(Refusal::Empty("the document"));
    }
    let Some(time) = source.member("@timestamp") else {
        return match source.member("Records").map(|records| records.kind()) {
            None | Some(Kind::Array) => Ok(()),
            Some(kind) => Err(Refusal::WrongType {
                field: "Records".to_owned(),
                found: kind.words(),
                expected: "a list of CloudTrail records",
            }),
        };
    };
    let readable = |value: Value<'_>| match value.kind() {
        Kind::Null => true,
        Kind::String | Kind::Number => value.scalar().is_some_and(|text| date::parse(&text, None).is_some()),
        _ => false,
    };
    let bad = match time.kind() {
        Kind::Array => time.children().find(|value| !readable(*value)),
        _ => Some(time).filter(|value| !readable(*value)),
    };
    bad.map_or(Ok(()), |value| {
        Err(Refusal::BadTime { field: "@timestamp", value: value.raw().chars().take(VALUE_SHOWN).collect() })
    })
}

/// `object.key`, nested or dotted.
fn find<'a>(source: Value<'a>, object: &str, key: &str) -> Option<Value<'a>> {
    source
        .member(object)
        .and_then(|inner| inner.member(key))
        .or_else(|| source.member(&format!("{object}.{key}")))
        .filter(|value| value.kind() != Kind::Null)
}

/// The data stream a document names: `type-dataset-namespace`.
fn data_stream(source: Value<'_>) -> Option<String> {
    let part = |key| find(source, "data_stream", key).and_then(|value| value.as_str());
    let dataset = part("dataset").filter(|dataset| !dataset.is_empty())?;
    let kind = part("type").unwrap_or_else(|| "logs".into());
    let namespace = part("namespace").unwrap_or_else(|| "default".into());
    Some(format!("{kind}-{dataset}-{namespace}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::flat::FlatDoc;
    use crate::ingest::tape::Tape;

    fn read(json: &str, envelope: &Envelope<'_>) -> NewDocument {
        let mut tape = Tape::new();
        tape.parse(json.as_bytes()).unwrap();
        let document = document(tape.root(json), envelope).unwrap();
        let source = serde_json::from_str(&document.source).unwrap();
        assert_eq!(document.flat, FlatDoc::from_value(&source));
        document
    }

    const NOW: &str = "2026-01-01T00:00:00.000Z";

    #[test]
    fn is_kept_as_it_is() {
        let json = r#"{"a":[1,null,"",{"b":[]}],"x.y":"\"é","n":1.5,"t":true,"o":{}}"#;
        assert_eq!(read(json, &Envelope { index: Some("mine"), ..Envelope::default() }).source, json);
    }

    #[test]
    fn original_is_set_apart() {
        for json in [
            r#"{"event":{"original":"<raw>","kind":"event"},"_id":"7"}"#,
            r#"{"event.original":"<raw>","event":{"kind":"event"},"_index":"i"}"#,
        ] {
            let document = read(json, &Envelope::default());
            assert_eq!(document.original.as_deref(), Some("<raw>"));
            assert_eq!(document.source, r#"{"event":{"kind":"event"}}"#);
        }
    }

    #[test]
    fn ingested_is_added_to_data_streams_only_and_never_replaced() {
        let with = Envelope { ingested: Some(NOW), ..Envelope::default() };
        let bare = format!(r#"{{"a":1,"event":{{"ingested":"{NOW}"}}}}"#);
        assert_eq!(read(r#"{"a":1}"#, &with).source, bare);
        assert_eq!(
            read(r#"{"event":{"kind":"x"},"a":1}"#, &with).source,
            format!(r#"{{"a":1,"event":{{"kind":"x","ingested":"{NOW}"}}}}"#)
        );
        for kept in [r#"{"event":{"ingested":"2020-01-01"}}"#, r#"{"event.ingested":"2020-01-01"}"#] {
            assert_eq!(read(kept, &with).source, kept);
        }
        let elsewhere = Envelope { index: Some("mine"), ..with };
        assert_eq!(read(r#"{"a":1}"#, &elsewhere).source, r#"{"a":1}"#);
    }

    #[test]
    fn what_no_window_could_hold_is_refused() {
        let refused = |json: &str| {
            let mut tape = Tape::new();
            tape.parse(json.as_bytes()).unwrap();
            document(tape.root(json), &Envelope::default()).err().map(|refusal| refusal.to_string())
        };
        for (json, reason) in [
            (r#"{"@timestamp":"nope","a":1}"#, "`@timestamp` is no time: `nope`"),
            (r#"{"@timestamp":["2026-01-01",true]}"#, "`@timestamp` is no time: `true`"),
            (r#"{"@timestamp":{"a":1}}"#, "`@timestamp` is no time: `{\"a\":1}`"),
            (r#"{"Records":5}"#, "`Records` is a number, expected a list of CloudTrail records"),
            ("{}", "the document has no fields"),
            (r#"{"_id":"1"}"#, "the document has no fields"),
        ] {
            assert_eq!(refused(json).as_deref(), Some(reason), "{json}");
        }
        for json in [
            r#"{"@timestamp":"2026-01-01T10:00:00.123456789+02:00"}"#,
            r#"{"@timestamp":1767225600000}"#,
            r#"{"@timestamp":null,"a":1}"#,
            r#"{"a":1}"#,
            r#"{"Records":5,"@timestamp":"2026"}"#,
        ] {
            assert_eq!(refused(json), None, "{json}");
        }
    }

    #[test]
    fn index_and_id() {
        let stream = r#"{"data_stream":{"type":"logs","dataset":"okta.system","namespace":"prod"}}"#;
        assert_eq!(&*read(stream, &Envelope::default()).index, "logs-okta.system-prod");
        assert_eq!(&*read(r#"{"data_stream.dataset":"x"}"#, &Envelope::default()).index, "logs-x-default");
        let (a, b) = (read(r#"{"a":1}"#, &Envelope::default()), read(r#"{"a":2}"#, &Envelope::default()));
        assert_eq!(&*a.index, INDEX);
        assert_ne!(a.id, b.id);
        assert_eq!(a.id, read(r#"{"a":1}"#, &Envelope::default()).id);
    }
}
