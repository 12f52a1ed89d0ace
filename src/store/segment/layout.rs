//! Names and types of a segment's columns.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};

use crate::store::instant::Form;
use crate::store::options::{GROUP_ROWS, SEGMENT_COLUMNS};
use crate::store::rows::{Group, INGESTED, TIMESTAMP};

pub(crate) const ID: &str = "_id";
pub(crate) const SOURCE: &str = "_source";
pub(crate) const ORIGINAL: &str = "event.original";
pub(crate) const OTHER: &str = "_other";
/// Before the name of a time column whose texts are kept.
pub(crate) const TEXT: &str = "_text.";
/// Before the name of a flattened object.
pub(crate) const FLATTENED: &str = "_flattened.";
/// Metadata of the file, with the name of a time column after it: the name of the [`Form`] by which
/// its texts are rebuilt. In files of version 1, metadata of the column.
pub(crate) const FORM: &str = "tocsin.form";
/// Metadata of the file.
pub(crate) const FORMAT: &str = "tocsin.format";
/// Version of the layout.
pub(crate) const VERSION: &str = "2";

/// How a field path lies in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnPlan {
    pub(crate) path: Arc<str>,
    /// Flattened: `{key, value}` entries.
    pub(crate) keyed: bool,
    /// Nearly every value is different: a dictionary would cost and save nothing.
    pub(crate) plain: bool,
    /// Distinct values, for the bloom filter's size.
    pub(crate) distinct: u64,
    /// Values in all, to choose which columns share [`OTHER`].
    pub(crate) values: u64,
}

/// How one time column lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimePlan {
    /// No event has it.
    Absent,
    /// Rebuilt from milliseconds.
    Form(Form),
    /// Kept as text beside the milliseconds.
    Text,
}

/// The columns of one file.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) timestamp: TimePlan,
    pub(crate) ingested: TimePlan,
    /// Paths with a column of their own, sorted; time columns are among them when kept as text.
    pub(crate) columns: Vec<ColumnPlan>,
    /// Paths that share [`OTHER`], sorted.
    pub(crate) other: Vec<Arc<str>>,
    pub(crate) originals: bool,
}

fn reserved(path: &str) -> bool {
    matches!(path, ID | SOURCE | ORIGINAL | OTHER) || path.starts_with(TEXT) || path.starts_with(FLATTENED)
}

impl Plan {
    /// The plan for a file with just these rows.
    pub(crate) fn of(group: &Group) -> Self {
        let mut plans = Vec::new();
        for (path, coded) in &group.columns {
            let values = coded.codes.len() as u64;
            let distinct = coded.values.len() as u64;
            plans.push(ColumnPlan {
                path: Arc::clone(path),
                keyed: coded.keyed,
                plain: distinct > 4096 && distinct.saturating_mul(2) > values,
                distinct,
                values,
            });
        }
        let form = |path: &str, times: &[i64]| match group.columns.iter().find(|(p, _)| &**p == path) {
            None => TimePlan::Absent,
            Some((_, coded)) => {
                let form = Form::ALL.into_iter().find(|form| coded.rebuilt(*form, times));
                form.map_or(TimePlan::Text, TimePlan::Form)
            }
        };
        Self::new(
            plans,
            form(TIMESTAMP, &group.timestamps),
            form(INGESTED, &group.ingested),
            group.has_original.iter().any(|has| *has),
        )
    }

    /// Chooses which columns share [`OTHER`].
    pub(crate) fn new(
        mut plans: Vec<ColumnPlan>,
        timestamp: TimePlan,
        ingested: TimePlan,
        originals: bool,
    ) -> Self {
        plans.retain(|plan| match &*plan.path {
            TIMESTAMP => timestamp == TimePlan::Text,
            INGESTED => ingested == TimePlan::Text,
            _ => true,
        });
        // Text columns of times come first, so that they are never among the others.
        plans.sort_by_key(|plan| {
            (
                reserved(&plan.path),
                !is_time(&plan.path),
                std::cmp::Reverse(plan.values),
                Arc::clone(&plan.path),
            )
        });
        let own = plans.iter().take(SEGMENT_COLUMNS).take_while(|plan| !reserved(&plan.path)).count();
        let mut other: Vec<Arc<str>> = plans.split_off(own).into_iter().map(|plan| plan.path).collect();
        other.sort();
        plans.sort_by(|a, b| a.path.cmp(&b.path));
        Self { timestamp, ingested, columns: plans, other, originals }
    }

    /// A plan that holds what both hold.
    pub(crate) fn join(self, other: Self) -> Self {
        let time = |a: TimePlan, b: TimePlan| match (a, b) {
            (TimePlan::Absent, other) | (other, TimePlan::Absent) => other,
            (a, b) if a == b => a,
            _ => TimePlan::Text,
        };
        let timestamp = time(self.timestamp, other.timestamp);
        let ingested = time(self.ingested, other.ingested);
        let originals = self.originals || other.originals;
        let mut columns: BTreeMap<Arc<str>, ColumnPlan> = BTreeMap::new();
        for plan in self.every().chain(other.every()) {
            match columns.entry(Arc::clone(&plan.path)) {
                Entry::Vacant(free) => {
                    free.insert(plan);
                }
                Entry::Occupied(mut found) => {
                    let found = found.get_mut();
                    found.keyed |= plan.keyed;
                    found.plain |= plan.plain;
                    found.distinct = found.distinct.max(plan.distinct);
                    found.values += plan.values;
                }
            }
        }
        Self::new(columns.into_values().collect(), timestamp, ingested, originals)
    }

    /// All columns, those of the others and of rebuilt times too.
    fn every(self) -> impl Iterator<Item = ColumnPlan> {
        let rare = |path: Arc<str>| ColumnPlan {
            path,
            keyed: false,
            plain: false,
            distinct: GROUP_ROWS as u64,
            values: 0,
        };
        let times = [(TIMESTAMP, self.timestamp), (INGESTED, self.ingested)];
        let times = times.into_iter().filter(|(_, plan)| matches!(plan, TimePlan::Form(_)));
        self.columns
            .into_iter()
            .chain(self.other.into_iter().map(rare))
            .chain(times.map(move |(path, _)| rare(Arc::from(path))))
    }

    /// All field paths in the file, sorted.
    pub(crate) fn paths(&self) -> Vec<Arc<str>> {
        let mut paths: Vec<Arc<str>> = self
            .columns
            .iter()
            .map(|plan| Arc::clone(&plan.path))
            .chain(self.other.iter().cloned())
            .collect();
        for (path, plan) in [(TIMESTAMP, self.timestamp), (INGESTED, self.ingested)] {
            if matches!(plan, TimePlan::Form(_)) {
                paths.push(Arc::from(path));
            }
        }
        paths.sort();
        paths.dedup();
        paths
    }

    pub(crate) fn fields(&self) -> Fields {
        let time = |path: &str| {
            Field::new(path, DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true)
        };
        let mut fields = vec![time(TIMESTAMP)];
        if self.ingested != TimePlan::Absent {
            fields.push(time(INGESTED));
        }
        fields.push(Field::new(ID, DataType::Utf8, false));
        for plan in &self.columns {
            fields.push(plan.field());
        }
        if !self.other.is_empty() {
            fields.push(Field::new(OTHER, list_of(entries("path")), true));
        }
        fields.push(Field::new(SOURCE, DataType::Utf8, false));
        if self.originals {
            fields.push(Field::new(ORIGINAL, DataType::Utf8, true));
        }
        fields.into()
    }

    /// Metadata of the file: its version, and how times are rebuilt.
    pub(crate) fn metadata(&self) -> Vec<(String, String)> {
        let times = [(TIMESTAMP, self.timestamp), (INGESTED, self.ingested)];
        let forms = times.into_iter().filter_map(|(path, plan)| match plan {
            TimePlan::Form(form) => Some((form_key(path), form.name().to_owned())),
            _ => None,
        });
        std::iter::once((FORMAT.to_owned(), VERSION.to_owned())).chain(forms).collect()
    }
}

/// The key of a file's metadata under which it says how the texts of a time column are rebuilt.
pub(crate) fn form_key(path: &str) -> String {
    format!("{FORM}.{path}")
}

fn is_time(path: &str) -> bool {
    matches!(path, TIMESTAMP | INGESTED)
}

impl ColumnPlan {
    /// The column's name in the file.
    pub(crate) fn name(&self) -> String {
        if self.keyed { flattened_name(&self.path) } else { column_name(&self.path) }
    }

    pub(crate) fn item(&self) -> DataType {
        if self.plain { DataType::Utf8 } else { dictionary() }
    }

    fn field(&self) -> Field {
        let item = if self.keyed { entries("key") } else { self.item() };
        Field::new(self.name(), list_of(item), true)
    }
}

/// The name of the column that holds the texts of `path`.
pub(crate) fn column_name(path: &str) -> String {
    if is_time(path) { format!("{TEXT}{path}") } else { path.to_owned() }
}

/// The name of the column that holds the entries of the flattened object at `path`.
pub(crate) fn flattened_name(path: &str) -> String {
    format!("{FLATTENED}{path}")
}

pub(crate) fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

pub(crate) fn element(kind: DataType) -> FieldRef {
    Arc::new(Field::new("element", kind, true))
}

fn list_of(kind: DataType) -> DataType {
    DataType::List(element(kind))
}

/// `{key, value}` or `{path, value}`.
pub(crate) fn entries(key: &str) -> DataType {
    DataType::Struct(entry_fields(key))
}

pub(crate) fn entry_fields(key: &str) -> Fields {
    vec![Field::new(key, dictionary(), true), Field::new("value", dictionary(), true)].into()
}
