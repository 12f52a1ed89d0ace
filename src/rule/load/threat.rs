//! The `threat` field: ATT&CK tactics, techniques, sub-techniques.

use crate::base::diagnostic::Diagnostic;
use crate::rule::codes;

use super::fields::{Reader, Table};
use super::place::Step;

/// Looks over all threats of a rule.
pub(super) fn threats(reader: &mut Reader<'_>, rule: Table<'_>) {
    for (fields, path) in reader.tables(rule, "threat") {
        let table = Table { fields, path: &path };
        reader.required_text(table, "framework");
        match table.get("tactic") {
            Some(serde_json::Value::Object(tactic)) => {
                let path = table.path_to("tactic");
                entry(reader, Table { fields: tactic, path: &path });
            }
            Some(other) => reader.wrong_type(&table.path_to("tactic"), "a table", other),
            None => reader.report_key(
                Diagnostic::error(codes::BAD_THREAT, "this `threat` names no `tactic`")
                    .with_help("give `tactic` an `id`, a `name` and a `reference`"),
                &path,
            ),
        }
        for (fields, path) in reader.tables(table, "technique") {
            let technique = Table { fields, path: &path };
            for (fields, path) in reader.tables(technique, "subtechnique") {
                entry(reader, Table { fields, path: &path });
            }
            entry(reader, technique);
        }
    }
}

/// The id, name and link of an entry; Kibana refuses one without.
fn entry(reader: &mut Reader<'_>, table: Table<'_>) {
    for key in ["id", "name", "reference"] {
        if reader.text(table, key).is_none() && table.get(key).is_none() {
            let what = match table.path.iter().rev().find(|step| matches!(step, Step::Key(_))) {
                Some(Step::Key(name)) => name,
                _ => "threat",
            };
            let finding = Diagnostic::error(codes::BAD_THREAT, format!("this `{what}` has no `{key}`"));
            reader.report_key(finding, table.path);
        }
    }
}
