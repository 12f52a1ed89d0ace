//! Exception items as they are written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Map, Value};

use crate::base::diagnostic::Diagnostic;
use crate::base::limits::QUERY_NESTING;
use crate::rule::codes;

use super::values::ListType;

/// An item of an exception list: an event is excepted when all entries hold for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The list it is in.
    pub list_id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its conditions, at least one.
    pub entries: Vec<Entry>,
    /// Operating systems it is for; none: all.
    pub os_types: Vec<String>,
    /// When it ends, ms since the epoch.
    pub expires: Option<i64>,
    /// The file it stands in.
    pub path: PathBuf,
    /// One-based line in it.
    pub line: usize,
}

/// A condition on a field.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The field; below a nested entry relative to that.
    pub field: String,
    /// Whether the test must hold (`included`) or must not (`excluded`).
    pub included: bool,
    /// What is asked of the field.
    pub test: Test,
}

/// What an entry asks of its field.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// `match`: this value.
    Match(String),
    /// `match_any`: one of these values.
    MatchAny(Vec<String>),
    /// `wildcard`: a pattern with `*` and `?`, in which a backslash is itself.
    Wildcard(String),
    /// `exists`: any value.
    Exists,
    /// `nested`: one object of the field holds all of these.
    Nested(Vec<Entry>),
    /// `list`: a value of a value list.
    List {
        /// Its id: the name of its file.
        id: String,
        /// How its lines are read.
        kind: ListType,
    },
}

impl Item {
    /// What is wrong with the item.
    pub(super) fn wrong(&self, why: impl std::fmt::Display) -> Diagnostic {
        wrong(&self.name, why, &self.path, self.line)
    }
}

fn wrong(name: &str, why: impl std::fmt::Display, path: &Path, line: usize) -> Diagnostic {
    let mut found =
        Diagnostic::error(codes::BAD_EXCEPTION, format!("exception `{name}` is not applied: {why}"))
            .with_path(path);
    found.line = Some(line);
    found
}

/// Reads an item of an export, or of a TOML file. `line` is where it stands in `path`.
///
/// # Errors
/// What is wrong with it, by the entry.
pub fn read(object: &Map<String, Value>, path: &Path, line: usize) -> Result<Item, Diagnostic> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let name = text("name").or_else(|| text("item_id")).unwrap_or("without a name");
    let read = || -> Result<Item, String> {
        let list_id = text("list_id").ok_or("it names no `list_id`")?;
        let entries = entries(object.get("entries"), 0)?;
        let expires = match object.get("expire_time").filter(|value| !value.is_null()) {
            None => None,
            Some(value) => {
                let at = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
                Some(at.ok_or_else(|| format!("`expire_time` {value} is no time"))?.timestamp_millis())
            }
        };
        let os_types = object.get("os_types").and_then(Value::as_array).into_iter().flatten();
        Ok(Item {
            list_id: Arc::from(list_id),
            name: Arc::from(name),
            entries,
            os_types: os_types.filter_map(Value::as_str).map(str::to_owned).collect(),
            expires,
            path: path.to_owned(),
            line,
        })
    };
    read().map_err(|why| wrong(name, why, path, line))
}

fn entries(value: Option<&Value>, depth: usize) -> Result<Vec<Entry>, String> {
    let Some(Value::Array(list)) = value else { return Err("it has no `entries`".to_owned()) };
    if list.is_empty() {
        return Err("its `entries` are empty: it would except every event".to_owned());
    }
    if depth > QUERY_NESTING {
        return Err(format!("its entries are nested more than {QUERY_NESTING} deep"));
    }
    let read = list
        .iter()
        .enumerate()
        .map(|(number, value)| entry(value, depth).map_err(|why| format!("entry {}: {why}", number + 1)));
    read.collect()
}

fn entry(value: &Value, depth: usize) -> Result<Entry, String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let field = text("field").filter(|field| !field.is_empty()).ok_or("it names no `field`")?;
    let kind = text("type").ok_or("it names no `type`")?;
    let included = match text("operator") {
        Some("included") => true,
        Some("excluded") => false,
        // Nested entries have none; elsewhere it is easily forgotten and changes everything.
        None if kind == "nested" => true,
        None => return Err("it names no `operator` (`included` or `excluded`)".to_owned()),
        Some(other) => return Err(format!("there is no operator `{other}`")),
    };
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err("its `value` is neither text, number nor boolean".to_owned()),
    };
    let given = value.get("value").ok_or("it has no `value`");
    let test = match kind {
        "match" => Test::Match(one(given?)?),
        "match_any" => match given? {
            Value::Array(values) if !values.is_empty() => {
                Test::MatchAny(values.iter().map(one).collect::<Result<_, _>>()?)
            }
            _ => return Err("its `value` is no list of values".to_owned()),
        },
        "wildcard" => Test::Wildcard(one(given?)?),
        "exists" => Test::Exists,
        "nested" => Test::Nested(entries(value.get("entries"), depth + 1)?),
        "list" => {
            let list = value.get("list").ok_or("it has no `list`")?;
            let part = |key: &str| list.get(key).and_then(Value::as_str);
            let id = part("id").ok_or("its `list` has no `id`")?;
            let kind = part("type").ok_or("its `list` has no `type`")?;
            let kind = ListType::of(kind)
                .ok_or_else(|| format!("value lists of type `{kind}` are not supported"))?;
            Test::List { id: id.to_owned(), kind }
        }
        other => return Err(format!("there is no type `{other}`")),
    };
    Ok(Entry { field: field.to_owned(), included, test })
}
