//! How hits are shown: a table for people, records for scripts, written as they come.

use std::ops::ControlFlow;

use chrono::DateTime;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::output::{RecordWriter, lookup};
use super::super::table::Cell;
use super::super::{CliError, Context, Table};
use crate::backend::TextHit;

/// Columns people see.
const COLUMNS: [(&str, &str); 5] = [
    ("action", "event.action"),
    ("outcome", "event.outcome"),
    ("user", "user.name"),
    ("source", "source.ip"),
    ("region", "cloud.region"),
];
/// Columns of `--format csv`.
const CSV: [&str; 9] = [
    "_index",
    "_id",
    "_source.@timestamp",
    "_source.event.dataset",
    "_source.event.action",
    "_source.event.outcome",
    "_source.user.name",
    "_source.source.ip",
    "_source.cloud.region",
];

/// A hit as scripts read it.
#[derive(Debug, Serialize)]
pub(super) struct Record<'a, S: ?Sized = Value> {
    #[serde(rename = "_index")]
    pub(super) index: &'a str,
    #[serde(rename = "_id")]
    pub(super) id: &'a str,
    #[serde(rename = "_source")]
    pub(super) source: &'a S,
}

/// A row of the table: time, the values of [`COLUMNS`], `_id`.
struct Row {
    time: String,
    values: [Option<String>; COLUMNS.len()],
    id: String,
}

/// Hits on their way to the reader.
pub(super) struct Shown<'c> {
    context: &'c Context,
    /// For scripts.
    records: Option<RecordWriter<'c>>,
    /// For people, who get one table: its widths are those of all rows.
    rows: Vec<Row>,
    shown: u64,
    failed: Option<CliError>,
}

impl<'c> Shown<'c> {
    pub(super) fn new(context: &'c Context) -> Self {
        let records = (!context.human()).then(|| context.records(&CSV));
        Self { context, records, rows: Vec::new(), shown: 0, failed: None }
    }

    /// Takes a hit; stops the stream once it cannot be written.
    pub(super) fn take(&mut self, hit: &TextHit) -> ControlFlow<()> {
        match self.text(hit) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn text(&mut self, hit: &TextHit) -> Result<(), CliError> {
        let TextHit { sort, source } = hit;
        match &mut self.records {
            Some(records) => {
                let source: &RawValue = serde_json::from_str(source)?;
                records.write(&Record { index: &sort.index, id: &sort.id, source })?;
                self.shown += 1;
            }
            None => {
                let source: Value = serde_json::from_str(source)?;
                self.document(&sort.index, &sort.id, sort.timestamp, &source)?;
            }
        }
        Ok(())
    }

    /// Takes a hit whose source was read; `timestamp` in ms.
    pub(super) fn document(
        &mut self,
        index: &str,
        id: &str,
        timestamp: i64,
        source: &Value,
    ) -> Result<(), CliError> {
        self.shown += 1;
        if let Some(records) = &mut self.records {
            return records.write(&Record { index, id, source });
        }
        let time = DateTime::from_timestamp_millis(timestamp)
            .map_or_else(|| "-".to_owned(), |at| self.context.time(at));
        let values = COLUMNS.map(|(_, path)| lookup(source, path).map(|value| text(Some(value))));
        self.rows.push(Row { time, values, id: id.to_owned() });
        Ok(())
    }

    /// Ends, when only the number was wanted.
    pub(super) fn count(mut self, total: u64) -> Result<(), CliError> {
        self.shown = total;
        self.finish(total)
    }

    /// Ends; `total` events matched.
    pub(super) fn finish(self, total: u64) -> Result<(), CliError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let Self { context, shown, .. } = self;
        let more = format!("{shown} of {total} {}; --size N for more", events(total));
        if let Some(records) = self.records {
            let written = records.finish()?;
            if written < total {
                context.warn(format!("{written} of {total} events; --size N for more"));
            }
            return Ok(());
        }
        let used: Vec<usize> = (0..COLUMNS.len())
            .filter(|at| self.rows.iter().any(|row| row.values.get(*at).is_some_and(Option::is_some)))
            .collect();
        let mut headers = vec!["time"];
        headers.extend(used.iter().filter_map(|at| COLUMNS.get(*at)).map(|(name, _)| *name));
        headers.push("_id");
        let mut table = Table::new(&headers);
        for row in self.rows {
            let mut values = row.values;
            let mut cells = vec![Cell::from(row.time)];
            cells.extend(
                used.iter()
                    .map(|at| Cell::from(values.get_mut(*at).and_then(Option::take).unwrap_or_default())),
            );
            cells.push(Cell::text(row.id));
            table.row(cells);
        }
        if !table.is_empty() {
            context.table(&table)?;
        }
        if shown < total {
            context.say(more);
        } else {
            context.say(format!("{total} {}", events(total)));
        }
        Ok(())
    }
}

fn events(count: u64) -> &'static str {
    if count == 1 { "event" } else { "events" }
}

/// A value as a cell shows it.
pub(super) fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => {
            values.iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}
