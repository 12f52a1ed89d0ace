//! Rules as Kibana exports them: NDJSON, with exception lists and a summary between them.

use serde_json::{Map, Value};

use crate::base::diagnostic::{Diagnostic, Level};
use crate::base::span::Span;
use crate::rule::codes;
use crate::rule::parameters::Parameters;

use super::build::{self, Source};
use super::json_place::JsonPlaces;
use super::place::Places;
use super::{ExportKind, ExportObject, LoadedFile};

/// Reads an export. Pure: `hash` gives the hash of a line's text, the path is set by the caller.
pub fn read(text: &str, hash: impl Fn(&[u8]) -> String) -> LoadedFile {
    let mut loaded = LoadedFile::default();
    if is_one_document(text) {
        line(text, 0, &hash, &mut loaded);
        return loaded;
    }
    for (number, text) in text.lines().enumerate() {
        if !text.trim().is_empty() {
            line(text, number, &hash, &mut loaded);
        }
    }
    if loaded.rules.is_empty() && loaded.objects.is_empty() && loaded.diagnostics.is_empty() {
        loaded.diagnostics.push(Diagnostic::error(codes::NO_RULE, "the file is empty"));
    }
    loaded
}

/// Whether the text is one JSON value written over several lines.
fn is_one_document(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    serde_json::from_str::<serde::de::IgnoredAny>(first).is_err()
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Reads one JSON value: a rule, another object, or a list of them.
fn line(text: &str, lines_before: usize, hash: &impl Fn(&[u8]) -> String, loaded: &mut LoadedFile) {
    let places = JsonPlaces { text, lines_before };
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => {
            object_line(object, &places, hash, loaded);
        }
        Ok(_) => loaded.diagnostics.push(places.at(
            Diagnostic::error(codes::WRONG_TYPE, "a line of an export is a JSON object"),
            Span::new(0, 1),
        )),
        Err(error) => {
            let before =
                text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
            let offset = before + error.column().saturating_sub(1);
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or("not JSON").to_owned();
            loaded
                .diagnostics
                .push(places.at(Diagnostic::error(codes::SYNTAX, message), Span::new(offset, offset + 1)));
        }
    }
}

fn object_line(
    object: Map<String, Value>,
    places: &JsonPlaces<'_>,
    hash: &impl Fn(&[u8]) -> String,
    loaded: &mut LoadedFile,
) {
    let line = places.lines_before + 1;
    let Some(kind) = kind_of(&object) else {
        let hash = hash(places.text.as_bytes());
        let source = Source { places, hash: &hash, line, tables: Parameters::default() };
        build::rule(object, &source, loaded);
        return;
    };
    if kind == ExportKind::Connector {
        let name = object.get("name").and_then(Value::as_str).unwrap_or("");
        let said = format!("connector `{name}` is kept; connectors are not used yet");
        let found = Diagnostic::new(Level::Info, codes::KEPT_OBJECT, said);
        loaded.diagnostics.push(places.at(found, Span::new(0, 1)));
    }
    loaded.objects.push(ExportObject { kind, line, object: Parameters::new(&object) });
}

/// What an object of an export is; `None`: a rule.
fn kind_of(object: &Map<String, Value>) -> Option<ExportKind> {
    let has = |key: &str| object.contains_key(key);
    if has("exported_count") || has("exported_rules_count") {
        Some(ExportKind::Summary)
    } else if has("list_id") && has("entries") {
        Some(ExportKind::ExceptionItem)
    } else if has("list_id") && !has("rule_id") {
        Some(ExportKind::ExceptionList)
    } else if has("attributes") && has("type") && !has("rule_id") {
        Some(ExportKind::Connector)
    } else {
        None
    }
}
