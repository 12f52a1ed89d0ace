//! Which shape a file has: CloudTrail files, ECS lines, search hits or bulk bodies.

pub mod records;

use super::tape::{Kind, Value};

/// What an input is said, or found, to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Told by the records: what stands in `{"Records":[…]}` is CloudTrail; else the first record
    /// that shows what it is decides for its file, and those before it are ECS documents.
    #[default]
    Auto,
    /// CloudTrail: files of `{"Records":[…]}`, one record a line, or one record.
    CloudTrail,
    /// ECS documents, one a line, with `_id` and `_index` as metadata when they carry them.
    Ecs,
    /// `{"_index","_id","_source"}`, one a line.
    Hits,
    /// A body of Elasticsearch's bulk API: an action line, then its document.
    Bulk,
}

/// Members that only CloudTrail records (events, Insight events, digests) have.
const CLOUDTRAIL_MARKS: &[&str] = &["eventVersion", "eventSource", "insightDetails", "digestEndTime"];

/// Actions of the bulk API.
const BULK_ACTIONS: &[&str] = &["index", "create", "update", "delete"];

impl Format {
    /// The format that a record shows; [`Format::Auto`] when it shows none, as ECS documents do.
    pub fn of(record: Value<'_>) -> Self {
        let mut members = 0;
        let mut action = false;
        let mut source = false;
        for member in record.children() {
            members += 1;
            let key = member.key();
            if CLOUDTRAIL_MARKS.contains(&&*key) {
                return Self::CloudTrail;
            }
            source |= key == "_source" && member.kind() == Kind::Object;
            action |= BULK_ACTIONS.contains(&&*key) && member.kind() == Kind::Object;
        }
        if source {
            Self::Hits
        } else if action && members == 1 {
            Self::Bulk
        } else {
            Self::Auto
        }
    }
}
