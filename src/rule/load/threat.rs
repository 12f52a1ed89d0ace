//! The `threat` field: ATT&CK tactics, techniques, sub-techniques.

use crate::base::diagnostic::Diagnostic;
use crate::rule::codes;
use crate::rule::model::{Technique, Threat, ThreatRef};

use super::fields::{Reader, Table};
use super::place::Step;

/// Reads all threats of a rule.
pub(super) fn threats(reader: &mut Reader<'_>, rule: Table<'_>) -> Vec<Threat> {
    let mut threats = Vec::new();
    for (fields, path) in reader.tables(rule, "threat") {
        let table = Table { fields, path: &path };
        let framework = reader.required_text(table, "framework").unwrap_or("").to_owned();
        let tactic = match table.get("tactic") {
            Some(serde_json::Value::Object(tactic)) => {
                let path = table.path_to("tactic");
                entry(reader, Table { fields: tactic, path: &path })
            }
            Some(other) => {
                reader.wrong_type(&table.path_to("tactic"), "a table", other);
                None
            }
            None => {
                reader.report_key(
                    Diagnostic::error(codes::BAD_THREAT, "this `threat` names no `tactic`")
                        .with_help("give `tactic` an `id`, a `name` and a `reference`"),
                    &path,
                );
                None
            }
        };
        let technique = techniques(reader, table);
        if let Some(tactic) = tactic {
            threats.push(Threat { framework, tactic, technique });
        }
    }
    threats
}

fn techniques(reader: &mut Reader<'_>, threat: Table<'_>) -> Vec<Technique> {
    let mut techniques = Vec::new();
    for (fields, path) in reader.tables(threat, "technique") {
        let table = Table { fields, path: &path };
        let subtechnique = reader
            .tables(table, "subtechnique")
            .iter()
            .filter_map(|(fields, path)| entry(reader, Table { fields, path }))
            .collect();
        if let Some(entry) = entry(reader, table) {
            techniques.push(Technique { entry, subtechnique });
        }
    }
    techniques
}

/// The id, name and link of an entry; Kibana refuses one without.
fn entry(reader: &mut Reader<'_>, table: Table<'_>) -> Option<ThreatRef> {
    let mut part = |key| match reader.text(table, key) {
        Some(text) => Some(text.to_owned()),
        None if table.get(key).is_some() => None,
        None => {
            let what = match table.path.iter().rev().find(|step| matches!(step, Step::Key(_))) {
                Some(Step::Key(name)) => name,
                _ => "threat",
            };
            let finding = Diagnostic::error(codes::BAD_THREAT, format!("this `{what}` has no `{key}`"));
            reader.report_key(finding, table.path);
            None
        }
    };
    let (id, name, reference) = (part("id"), part("name"), part("reference"));
    Some(ThreatRef { id: id?, name: name?, reference: reference? })
}
