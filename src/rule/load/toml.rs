//! Rules in the TOML of Elastic's detection-rules repository: `[metadata]`, `[rule]`,
//! `[transform]`.

use serde_json::{Map, Value};
use toml::de::{DeArray, DeTable, DeValue};

use crate::base::diagnostic::Diagnostic;
use crate::base::span::{Span, line_column};
use crate::rule::codes;
use crate::rule::parameters::Parameters;

use super::build::{self, Source};
use super::place::{Places, Step, Syntax};
use super::{ExportKind, ExportObject, LoadedFile};

/// Reads the rule in a TOML text. Pure: `hash` is the text's, the path is set by the caller.
pub fn read(text: &str, hash: &str) -> LoadedFile {
    let mut loaded = LoadedFile::default();
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let mut found = Diagnostic::error(codes::SYNTAX, error.message().trim().replace('\n', "; "));
        if let Some(range) = error.span() {
            found = found.at(text, Span::new(range.start, range.end));
        }
        loaded.diagnostics.push(found);
    }
    if !errors.is_empty() {
        return loaded;
    }
    let document = document.into_inner();
    let mut rule = None;
    let mut tables = Map::new();
    for (key, value) in &document {
        let name: &str = key.get_ref();
        if name == "rule" {
            rule = Some(value);
            continue;
        }
        if name == "exceptions"
            && let DeValue::Array(lists) = value.get_ref()
        {
            exceptions(text, lists, &mut loaded);
            continue;
        }
        if !matches!(name, "metadata" | "transform") {
            let place = Span::new(key.span().start, key.span().end);
            loaded.diagnostics.push(
                Diagnostic::warning(
                    codes::UNKNOWN_FIELD,
                    format!("unknown table `[{name}]`: kept, without effect"),
                )
                .at(text, place),
            );
        }
        tables.insert(name.to_owned(), json(value.get_ref()));
    }
    let Some(rule) = rule else {
        if !loaded.objects.is_empty() {
            return loaded;
        }
        loaded.diagnostics.push(
            Diagnostic::error(codes::NO_RULE, "no `[rule]` table")
                .at(text, Span::new(0, 0))
                .with_help("a rule file has a `[rule]` table with `name`, `type`, `query` …"),
        );
        return loaded;
    };
    let places = TomlPlaces { text, rule: (Span::new(rule.span().start, rule.span().end), rule.get_ref()) };
    let Value::Object(mut object) = json(rule.get_ref()) else {
        loaded
            .diagnostics
            .push(places.at(Diagnostic::error(codes::WRONG_TYPE, "`rule` is not a table"), places.rule.0));
        return loaded;
    };
    kibana_form(&mut object, tables.get("transform"));
    let source = Source { places: &places, hash, line: 1, tables: Parameters::new(&tables) };
    build::rule(object, &source, &mut loaded);
    loaded
}

/// The exception lists of a file: each a `container` and its `items`.
fn exceptions(text: &str, lists: &DeArray<'_>, loaded: &mut LoadedFile) {
    let line = |start: usize| line_column(text, start).0;
    for list in lists {
        let DeValue::Table(list) = list.get_ref() else { continue };
        let get = |name: &str| list.iter().find(|(key, _)| *key.get_ref() == name).map(|(_, value)| value);
        let container = get("container").map(|value| (value.span().start, json(value.get_ref())));
        let list_id = container.as_ref().and_then(|(_, container)| container.get("list_id").cloned());
        if let Some((start, Value::Object(container))) = container {
            let (line, object) = (line(start), Parameters::new(&container));
            loaded.objects.push(ExportObject { kind: ExportKind::ExceptionList, line, object });
        }
        let Some(DeValue::Array(items)) = get("items").map(toml::Spanned::get_ref) else { continue };
        for item in items {
            let Value::Object(mut object) = json(item.get_ref()) else { continue };
            if let Some(list_id) = &list_id {
                object.entry("list_id").or_insert_with(|| list_id.clone());
            }
            let (line, object) = (line(item.span().start), Parameters::new(&object));
            loaded.objects.push(ExportObject { kind: ExportKind::ExceptionItem, line, object });
        }
    }
}

/// Parses `text` again for its places and hands them to `f`; `None` when it has no `[rule]`.
pub(super) fn with_places<R>(text: &str, f: impl FnOnce(&dyn Places) -> R) -> Option<R> {
    let (document, _) = DeTable::parse_recoverable(text);
    let document = document.into_inner();
    let (_, rule) = document.iter().find(|(key, _)| *key.get_ref() == "rule")?;
    let places = TomlPlaces { text, rule: (Span::new(rule.span().start, rule.span().end), rule.get_ref()) };
    Some(f(&places))
}

/// Rewrites what the TOML writes differently from Kibana: the nested `new_terms` table, and the
/// `$osquery_N` and `$investigate_N` marks in the guide, which stand for the entries of
/// `[transform]`.
fn kibana_form(rule: &mut Map<String, Value>, transform: Option<&Value>) {
    let nested = rule.get("new_terms").is_some_and(|terms| terms.get("value").is_some());
    if nested && let Some(Value::Object(mut terms)) = rule.remove("new_terms") {
        if let Some(fields) = terms.remove("value") {
            rule.insert(String::from("new_terms_fields"), fields);
        }
        let start = terms.get("history_window_start").and_then(|starts| starts.pointer("/0/value")).cloned();
        if let Some(start) = start {
            rule.insert(String::from("history_window_start"), start);
        }
    }
    let (Some(Value::Object(transform)), Some(Value::String(note))) = (transform, rule.get_mut("note"))
    else {
        return;
    };
    for (kind, entries) in transform {
        let Value::Array(entries) = entries else { continue };
        // From the last to the first, so that `$osquery_1` does not eat the start of `$osquery_12`.
        for (number, entry) in entries.iter().enumerate().rev() {
            let mark = format!("${kind}_{number}");
            if note.contains(&mark) {
                *note = note.replace(&mark, &format!("!{{{kind}{entry}}}"));
            }
        }
    }
}

/// A TOML value as JSON; dates become their text.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::String(number.as_str().to_owned()), Value::from),
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map_or_else(|| Value::String(number.as_str().to_owned()), Value::Number),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(at) => Value::String(at.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| json(item.get_ref())).collect()),
        DeValue::Table(table) => Value::Object(
            table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect(),
        ),
    }
}

/// Where the values of the `[rule]` table stand.
struct TomlPlaces<'t, 'd> {
    text: &'t str,
    rule: (Span, &'d DeValue<'t>),
}

impl Places for TomlPlaces<'_, '_> {
    fn text(&self) -> &str {
        self.text
    }

    fn syntax(&self) -> Syntax {
        Syntax::Toml
    }

    fn value(&self, path: &[Step<'_>]) -> Span {
        self.find(path).1
    }

    fn key(&self, path: &[Step<'_>]) -> Span {
        self.find(path).0
    }
}

impl TomlPlaces<'_, '_> {
    /// Spans of the key and of the value at `path`, or of the deepest value above it.
    fn find(&self, path: &[Step<'_>]) -> (Span, Span) {
        let (mut place, mut value) = self.rule;
        let mut key = place;
        for step in path {
            let next = match (step, value) {
                (Step::Key(name), DeValue::Table(table)) => table
                    .iter()
                    .find(|(key, _)| *key.get_ref() == *name)
                    .map(|(key, value)| (Span::new(key.span().start, key.span().end), value)),
                (Step::Index(index), DeValue::Array(items)) => {
                    items.get(*index).map(|item| (Span::new(item.span().start, item.span().end), item))
                }
                _ => None,
            };
            let Some((at, found)) = next else { break };
            key = at;
            place = Span::new(found.span().start, found.span().end);
            value = found.get_ref();
        }
        (key, place)
    }
}
