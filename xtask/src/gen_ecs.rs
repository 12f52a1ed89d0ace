//! Writes `src/ecs/catalog/fields.tsv`: the names and types of ECS fields, of the CloudTrail data
//! stream and of alerts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

/// Where the table is written, below the package's root.
const TARGET: &str = "src/ecs/catalog/fields.tsv";

/// `ignore_above` that Fleet and `ecs@mappings` give every keyword.
const IGNORE_ABOVE: &str = "1024";

/// Fields whose multi-field `caseless` (a keyword with a lowercase normalizer) rules rely on: the
/// names and paths of processes, files, libraries and operating systems.
const CASELESS: &[&str] = &["process.", "file.", "dll.", "host.os.", "host.name", "registry.", "user.name"];

/// CloudTrail fields of newer versions of the integration.
const CLOUDTRAIL: &[(&str, &str)] = &[
    ("aws.cloudtrail.insight_details.state", "keyword"),
    ("aws.cloudtrail.insight_details.event_source", "keyword"),
    ("aws.cloudtrail.insight_details.event_name", "keyword"),
    ("aws.cloudtrail.insight_details.insight_type", "keyword"),
    ("aws.cloudtrail.insight_details.error_code", "keyword"),
    ("aws.cloudtrail.insight_details.insight_context", "flattened"),
    ("aws.cloudtrail.digest.end_time", "date"),
    ("aws.cloudtrail.digest.start_time", "date"),
    ("aws.cloudtrail.digest.newest_event_time", "date"),
    ("aws.cloudtrail.digest.oldest_event_time", "date"),
    ("aws.cloudtrail.session_credential_from_console", "keyword"),
];

/// Fields of alert documents (`kibana.alert.*`), type first.
const ALERT: &[(&str, &[&str])] = &[
    (
        "date",
        &[
            "start",
            "end",
            "last_detected",
            "original_time",
            "intended_timestamp",
            "updated_at",
            "workflow_status_updated_at",
            "suppression.start",
            "suppression.end",
            "rule.created_at",
            "rule.updated_at",
            "rule.execution.timestamp",
            "original_event.created",
            "original_event.end",
            "original_event.ingested",
            "original_event.start",
            "threshold_result.from",
        ],
    ),
    (
        "long",
        &[
            "depth",
            "suppression.docs_count",
            "threshold_result.count",
            "threshold_result.cardinality.value",
            "rule.max_signals",
            "rule.revision",
            "original_event.duration",
            "original_event.sequence",
            "original_event.severity",
            "ancestors.depth",
        ],
    ),
    ("integer", &["group.index"]),
    (
        "float",
        &["risk_score", "rule.risk_score", "original_event.risk_score", "original_event.risk_score_norm"],
    ),
    ("boolean", &["rule.enabled", "rule.immutable"]),
    ("flattened", &["rule.parameters", "rule.meta", "rule.threat_filters"]),
    ("match_only_text", &["reason>text"]),
    (
        "keyword",
        &[
            "uuid",
            "status",
            "reason",
            "severity",
            "workflow_status",
            "workflow_tags",
            "workflow_reason",
            "workflow_user",
            "workflow_assignee_ids",
            "building_block_type",
            "case_ids",
            "attack_ids",
            "maintenance_window_ids",
            "url",
            "system_status",
            "group.id",
            "instance.id",
            "new_terms",
            "ancestors.id",
            "ancestors.index",
            "ancestors.rule",
            "ancestors.type",
            "suppression.terms.field",
            "suppression.terms.value",
            "threshold_result.cardinality.field",
            "threshold_result.terms.field",
            "threshold_result.terms.value",
            "original_data_stream.dataset",
            "original_data_stream.namespace",
            "original_data_stream.type",
            "original_event.action",
            "original_event.agent_id_status",
            "original_event.category",
            "original_event.code",
            "original_event.dataset",
            "original_event.hash",
            "original_event.id",
            "original_event.kind",
            "original_event.module",
            "original_event.original",
            "original_event.outcome",
            "original_event.provider",
            "original_event.reason",
            "original_event.reference",
            "original_event.timezone",
            "original_event.type",
            "original_event.url",
            "rule.author",
            "rule.building_block_type",
            "rule.category",
            "rule.consumer",
            "rule.created_by",
            "rule.description",
            "rule.exceptions_list.id",
            "rule.exceptions_list.list_id",
            "rule.exceptions_list.namespace_type",
            "rule.exceptions_list.type",
            "rule.execution.type",
            "rule.execution.uuid",
            "rule.false_positives",
            "rule.from",
            "rule.indices",
            "rule.interval",
            "rule.license",
            "rule.name",
            "rule.namespace",
            "rule.note",
            "rule.producer",
            "rule.references",
            "rule.rule_id",
            "rule.rule_name_override",
            "rule.rule_type_id",
            "rule.severity",
            "rule.tags",
            "rule.threat.framework",
            "rule.threat.tactic.id",
            "rule.threat.tactic.name",
            "rule.threat.tactic.reference",
            "rule.threat.technique.id",
            "rule.threat.technique.name",
            "rule.threat.technique.reference",
            "rule.threat.technique.subtechnique.id",
            "rule.threat.technique.subtechnique.name",
            "rule.threat.technique.subtechnique.reference",
            "rule.throttle",
            "rule.timeline_id",
            "rule.timeline_title",
            "rule.timestamp_override",
            "rule.to",
            "rule.type",
            "rule.updated_by",
            "rule.uuid",
            "rule.version",
            "host.criticality_level",
            "user.criticality_level",
            "service.criticality_level",
        ],
    ),
];

/// Reads the CSVs below `shared` and writes the table of the repository at `root`.
///
/// # Errors
/// A file that cannot be read or written, or a line without its columns.
pub fn run(shared: &Path, root: &Path) -> Result<()> {
    let target = root.join(TARGET);
    std::fs::write(&target, table(shared)?).with_context(|| format!("writing {}", target.display()))
}

/// The table's text: `path TAB type TAB note`, sorted by path; the note is `ignore_above`, `-` for
/// a field that is not indexed, `^` for a multi-field.
///
/// # Errors
/// A file that cannot be read, or a line without its columns.
pub fn table(shared: &Path) -> Result<String> {
    let mut fields: BTreeMap<String, (String, String)> = BTreeMap::new();
    let ecs = shared.join("data/ecs/fields.csv");
    let text = std::fs::read_to_string(&ecs).with_context(|| format!("reading {}", ecs.display()))?;
    for line in text.lines().skip(1).filter(|l| !l.is_empty()) {
        let columns: Vec<&str> = line.split(',').collect();
        let [field, kind, above, _array, multi, indexed, _level] = columns.as_slice() else {
            anyhow::bail!("{}: unexpected line `{line}`", ecs.display());
        };
        let note = if *indexed == "no" { "-" } else { above };
        fields.insert((*field).to_owned(), ((*kind).to_owned(), note.to_owned()));
        for part in multi.split(';').filter(|m| !m.is_empty()) {
            let (name, kind) = part.split_once(':').context("multi-field without a type")?;
            fields.insert(format!("{field}.{name}"), (kind.to_owned(), "^".to_owned()));
        }
        let named = multi.starts_with("text") || *field == "host.name" || *field == "process.name";
        if named && CASELESS.iter().any(|prefix| field.starts_with(prefix)) {
            fields.insert(format!("{field}.caseless"), ("caseless".to_owned(), "^".to_owned()));
        }
    }
    let cloudtrail = shared.join("data/ecs/aws-cloudtrail-fields.csv");
    let text =
        std::fs::read_to_string(&cloudtrail).with_context(|| format!("reading {}", cloudtrail.display()))?;
    let named = text.lines().skip(1).filter_map(|line| line.split_once(','));
    for (field, kind) in named.chain(CLOUDTRAIL.iter().copied()) {
        // Fleet gives keywords without a limit of their own this one.
        let note = if kind == "keyword" { IGNORE_ABOVE } else { "" };
        fields.insert(field.to_owned(), (kind.to_owned(), note.to_owned()));
    }
    for (kind, names) in ALERT {
        for name in *names {
            let (path, note) = match name.split_once('>') {
                Some((parent, multi)) => (format!("kibana.alert.{parent}.{multi}"), "^"),
                None => (format!("kibana.alert.{name}"), if *kind == "flattened" { "4096" } else { "" }),
            };
            fields.insert(path, ((*kind).to_owned(), note.to_owned()));
        }
    }
    fields.insert("kibana.space_ids".to_owned(), ("keyword".to_owned(), String::new()));
    fields.insert("kibana.version".to_owned(), ("version".to_owned(), String::new()));
    let mut out = String::new();
    for (path, (kind, note)) in fields {
        writeln!(out, "{path}\t{kind}\t{note}")?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_the_shared_data_say() {
        let root = crate::root();
        let shared = std::env::var_os("TOCSIN_SHARED")
            .map_or_else(|| root.join("../shared"), std::path::PathBuf::from);
        if !shared.join("data/ecs").is_dir() {
            eprintln!("skipped: no shared data at {}", shared.display());
            return;
        }
        let written = std::fs::read_to_string(root.join(TARGET)).unwrap();
        assert_eq!(written, table(&shared).unwrap(), "run `cargo xtask gen-ecs`");
    }
}
