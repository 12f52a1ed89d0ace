//! [`Reader`]: typed access to a rule's fields that collects what is wrong with them.

use serde_json::{Map, Value};

use crate::base::diagnostic::{Diagnostic, Level};
use crate::base::nearest::nearest;
use crate::rule::codes;

use super::place::{Places, Step};

/// Reads fields, and reports each wrong one at its place.
pub(super) struct Reader<'a> {
    /// Where things stand.
    pub places: &'a dyn Places,
    /// What was found so far.
    pub diagnostics: &'a mut Vec<Diagnostic>,
    /// Whether one of them is an error.
    pub failed: bool,
}

/// A table of the rule: its fields and the way to it.
#[derive(Clone, Copy)]
pub(super) struct Table<'v> {
    /// Its fields.
    pub fields: &'v Map<String, Value>,
    /// The way to it.
    pub path: &'v [Step<'v>],
}

impl<'v> Table<'v> {
    /// The way to a field of it.
    pub(super) fn path_to(&self, key: &'v str) -> Vec<Step<'v>> {
        let mut path = self.path.to_vec();
        path.push(Step::Key(key));
        path
    }

    /// The value of a field; `null` is absent.
    pub(super) fn get(&self, key: &str) -> Option<&'v Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }
}

/// What a JSON value is, for messages.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "a table",
    }
}

impl Reader<'_> {
    /// Reports something about the value at `path`.
    pub(super) fn report(&mut self, finding: Diagnostic, path: &[Step<'_>]) {
        let span = self.places.value(path);
        self.push(self.places.at(finding, span));
    }

    /// Reports something about the key at `path`.
    pub(super) fn report_key(&mut self, finding: Diagnostic, path: &[Step<'_>]) {
        let span = self.places.key(path);
        self.push(self.places.at(finding, span));
    }

    /// Reports something that has its place already.
    pub(super) fn push(&mut self, finding: Diagnostic) {
        self.failed |= finding.level == Level::Error;
        self.diagnostics.push(finding);
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong_type(&mut self, path: &[Step<'_>], expected: &str, found: &Value) {
        let name = name_of(path);
        let finding = Diagnostic::error(
            codes::WRONG_TYPE,
            format!("`{name}` is {expected}, but here it is {}", kind_of(found)),
        );
        self.report(finding, path);
    }

    /// A required field, of whatever type.
    pub(super) fn required<'v>(&mut self, table: Table<'v>, key: &'v str) -> Option<&'v Value> {
        let found = table.get(key);
        if found.is_none() {
            let finding = Diagnostic::error(codes::MISSING_FIELD, format!("`{key}` is missing"));
            self.report_key(finding, table.path);
        }
        found
    }

    /// A text field.
    pub(super) fn text<'v>(&mut self, table: Table<'v>, key: &'v str) -> Option<&'v str> {
        match table.get(key)? {
            Value::String(text) => Some(text),
            other => {
                self.wrong_type(&table.path_to(key), "a string", other);
                None
            }
        }
    }

    /// A required text field that is not empty.
    pub(super) fn required_text<'v>(&mut self, table: Table<'v>, key: &'v str) -> Option<&'v str> {
        self.required(table, key)?;
        let text = self.text(table, key)?;
        if text.trim().is_empty() {
            let finding = Diagnostic::error(codes::MISSING_FIELD, format!("`{key}` is empty"));
            self.report(finding, &table.path_to(key));
            return None;
        }
        Some(text)
    }

    /// A boolean field.
    pub(super) fn flag<'v>(&mut self, table: Table<'v>, key: &'v str) -> Option<bool> {
        match table.get(key)? {
            Value::Bool(flag) => Some(*flag),
            other => {
                self.wrong_type(&table.path_to(key), "`true` or `false`", other);
                None
            }
        }
    }

    /// An integer field between two ends.
    pub(super) fn integer<'v>(
        &mut self,
        table: Table<'v>,
        key: &'v str,
        least: i64,
        most: i64,
    ) -> Option<i64> {
        let value = table.get(key)?;
        let path = table.path_to(key);
        let Some(number) = whole(value) else {
            self.wrong_type(&path, "an integer", value);
            return None;
        };
        if (least..=most).contains(&number) {
            return Some(number);
        }
        let range = if most >= i64::from(u32::MAX) {
            format!("at least {least}")
        } else {
            format!("{least} to {most}")
        };
        self.report(
            Diagnostic::error(codes::BAD_VALUE, format!("`{key}` is {number}, allowed is {range}")),
            &path,
        );
        None
    }

    /// A field that is an array of text; absent is empty.
    pub(super) fn texts<'v>(&mut self, table: Table<'v>, key: &'v str) -> Vec<String> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let path = table.path_to(key);
        let Value::Array(items) = value else {
            self.wrong_type(&path, "an array of strings", value);
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            if let Value::String(text) = item {
                texts.push(text.clone());
            } else {
                let mut place = path.clone();
                place.push(Step::Index(number));
                self.wrong_type(&place, "a string", item);
            }
        }
        texts
    }

    /// A field that is an array of tables; absent is empty.
    pub(super) fn tables<'v>(
        &mut self,
        table: Table<'v>,
        key: &'v str,
    ) -> Vec<(&'v Map<String, Value>, Vec<Step<'v>>)> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let path = table.path_to(key);
        let Value::Array(items) = value else {
            self.wrong_type(&path, "an array of tables", value);
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let mut place = path.clone();
            place.push(Step::Index(number));
            if let Value::Object(fields) = item {
                tables.push((fields, place));
            } else {
                self.wrong_type(&place, "a table", item);
            }
        }
        tables
    }

    /// A text field that is one of a few words.
    pub(super) fn word<'v>(&mut self, table: Table<'v>, key: &'v str, words: &[&str]) -> Option<&'v str> {
        let text = self.text(table, key)?;
        if words.contains(&text) {
            return Some(text);
        }
        let mut finding = Diagnostic::error(codes::BAD_VALUE, format!("`{key}` cannot be `{text}`"));
        finding.help = Some(match nearest(text, words.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("allowed: {}", words.join(", ")),
        });
        self.report(finding, &table.path_to(key));
        None
    }
}

/// A number without a fraction.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        let fits = number.fract() == 0.0 && number.abs() < 9e15;
        #[expect(clippy::cast_possible_truncation, reason = "checked: whole and below 2^53")]
        fits.then_some(number as i64)
    })
}

/// The last key on the way, for messages.
fn name_of(path: &[Step<'_>]) -> String {
    let mut name = String::from("rule");
    let mut numbers = String::new();
    for step in path {
        match step {
            Step::Key(key) => {
                (*key).clone_into(&mut name);
                numbers.clear();
            }
            Step::Index(index) => numbers.push_str(&format!("[{index}]")),
        }
    }
    name + &numbers
}
