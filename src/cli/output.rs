//! Formats of results and the writer of machine formats.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use super::context::Context;
use super::error::CliError;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables and prose for people.
    Human,
    /// One JSON document.
    Json,
    /// A JSON object a line, streamed.
    Ndjson,
    /// Comma-separated values with a header.
    Csv,
    /// `JUnit` XML (tests).
    Junit,
    /// SARIF (checks).
    Sarif,
}

impl Format {
    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Junit => "junit",
            Self::Sarif => "sarif",
        }
    }
}

/// Writes records in a machine format: `json` as one array, `ndjson` as lines, `csv` as rows.
///
/// Nothing is collected: what is written leaves at once, through a buffer.
pub struct RecordWriter<'c> {
    context: &'c Context,
    format: Format,
    columns: &'c [&'c str],
    written: u64,
}

impl<'c> RecordWriter<'c> {
    /// A writer of the context's format. `columns` are the dotted paths of the CSV columns.
    pub(super) fn new(context: &'c Context, columns: &'c [&'c str]) -> Self {
        Self { context, format: context.format(), columns, written: 0 }
    }

    /// Writes one record.
    ///
    /// # Errors
    /// When stdout cannot be written, or the format is not one for records.
    pub fn write(&mut self, record: &impl Serialize) -> Result<(), CliError> {
        let mut out = self.context.out_buffered();
        match self.format {
            Format::Json => {
                out.write_all(if self.written == 0 { b"[\n  " } else { b",\n  " })?;
                serde_json::to_writer(&mut *out, record)?;
            }
            // Records for people are the command's to draw; whatever still comes here is a line.
            Format::Ndjson | Format::Human => {
                serde_json::to_writer(&mut *out, record)?;
                out.write_all(b"\n")?;
            }
            Format::Csv => {
                let record = serde_json::to_value(record)?;
                if self.written == 0 {
                    csv_row(&mut *out, self.columns.iter().map(|column| (*column).to_owned()))?;
                }
                csv_row(&mut *out, self.columns.iter().map(|column| csv_cell(&record, column)))?;
            }
            Format::Junit | Format::Sarif => return Err(unsupported(self.format)),
        }
        self.written += 1;
        Ok(())
    }

    /// How many records were written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Hands what was written to the reader now; for services whose next record may be minutes
    /// away.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.context.out_buffered().flush()?;
        Ok(())
    }

    /// Ends the document. Returns the number of records.
    ///
    /// # Errors
    /// When stdout cannot be written, or the format is not one for records.
    pub fn finish(self) -> Result<u64, CliError> {
        let mut out = self.context.out_buffered();
        match self.format {
            Format::Json if self.written == 0 => out.write_all(b"[]\n")?,
            Format::Json => out.write_all(b"\n]\n")?,
            Format::Csv if self.written == 0 => {
                csv_row(&mut *out, self.columns.iter().map(|column| (*column).to_owned()))?;
            }
            Format::Junit | Format::Sarif => return Err(unsupported(self.format)),
            _ => {}
        }
        out.flush()?;
        Ok(self.written)
    }
}

/// The error for a format that a command does not write.
pub fn unsupported(format: Format) -> CliError {
    CliError::usage(format!("this command does not write `--format {}`", format.as_str()))
        .with_help("use human, json, ndjson or csv")
}

/// Writes one document: indented for `json`, one line for `ndjson`, a single row for `csv`.
pub(super) fn document(
    context: &Context,
    document: &impl Serialize,
    columns: &[&str],
) -> Result<(), CliError> {
    let mut out = context.out_buffered();
    match context.format() {
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, document)?;
            out.write_all(b"\n")?;
        }
        Format::Ndjson | Format::Human => {
            serde_json::to_writer(&mut *out, document)?;
            out.write_all(b"\n")?;
        }
        Format::Csv => {
            let value = serde_json::to_value(document)?;
            csv_row(&mut *out, columns.iter().map(|column| (*column).to_owned()))?;
            csv_row(&mut *out, columns.iter().map(|column| csv_cell(&value, column)))?;
        }
        format @ (Format::Junit | Format::Sarif) => return Err(unsupported(format)),
    }
    out.flush()?;
    Ok(())
}

/// One row, quoted as RFC 4180 says.
fn csv_row(out: &mut impl Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        if cell.contains([',', '"', '\n', '\r']) || cell.starts_with(' ') || cell.ends_with(' ') {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\r\n")
}

/// The value at a dotted path, keys with dots in them included: text as it is, nothing for null,
/// JSON for lists and objects.
fn csv_cell(record: &Value, path: &str) -> String {
    match lookup(record, path) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The value at a dotted path, whether it is written nested or with dots in its keys.
pub fn lookup<'v>(record: &'v Value, path: &str) -> Option<&'v Value> {
    let object = record.as_object()?;
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let (head, tail) = path.split_at_checked(dot)?;
        lookup(object.get(head)?, tail.strip_prefix('.')?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lookup_reads_nested_and_dotted_spelling() {
        let record = json!({"a": {"b.c": 1, "d": {"e": null}}, "x.y": "z", "x": {"w": 2}});
        assert_eq!(lookup(&record, "a.b.c"), Some(&json!(1)));
        assert_eq!(lookup(&record, "x.y"), Some(&json!("z")));
        assert_eq!(lookup(&record, "x.w"), Some(&json!(2)));
        assert_eq!(lookup(&record, "a.d.e"), Some(&Value::Null));
        assert_eq!(lookup(&record, "a.q"), None);
    }
}
