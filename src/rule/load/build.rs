//! From the fields of a rule, in Kibana's form, to a [`Rule`].

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::base::diagnostic::{Diagnostic, Level};
use crate::base::limits::MAX_SIGNALS_DEFAULT;
use crate::base::nearest::nearest;
use crate::rule::codes;
use crate::rule::compiled::{self, CompileError, CompiledPlan};
use crate::rule::model::{Origin, RiskScoreMapping, Rule, RuleKind, Severity, SeverityMapping};
use crate::rule::parameters::Parameters;

use super::fields::{Reader, Table};
use super::place::{Places, Step};
use super::{LoadedFile, LoadedRule, RuleHead, kind, known, schedule, threat};

/// The text a rule is read from.
pub(super) struct Source<'a> {
    /// Where things stand in it.
    pub places: &'a dyn Places,
    /// SHA-256 of it, hex.
    pub hash: &'a str,
    /// Line it starts at.
    pub line: usize,
    /// What stands beside the rule.
    pub tables: Parameters,
}

/// Reads one rule and adds it, or what is wrong with it, to `loaded`.
pub(super) fn rule(mut fields: Map<String, Value>, source: &Source<'_>, loaded: &mut LoadedFile) {
    loaded.heads.push(head(&fields, source));
    let mut reader = Reader { places: source.places, diagnostics: &mut loaded.diagnostics, failed: false };
    let Some(mut rule) = read(&fields, source, &mut reader) else { return };
    let broken = reader.failed;
    // The query is looked at in any case, so that all that is wrong is said at once. A query that
    // cannot be read breaks the rule; a filter that cannot be evaluated keeps it from running, but
    // it stays listed.
    let plan = match plan(&rule, &mut reader) {
        Plan::Runs(plan) if !broken => Some(plan),
        Plan::DoesNotRun if !broken => None,
        _ => return,
    };
    fields.entry("rule_id").or_insert_with(|| Value::from(&*rule.rule_id));
    rule.parameters = Parameters::new(&fields);
    loaded.rules.push(LoadedRule { rule: Arc::new(rule), plan });
}

fn head(fields: &Map<String, Value>, source: &Source<'_>) -> RuleHead {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    let span = source.places.value(&[Step::Key("rule_id")]);
    let place = source.places.at(Diagnostic::error("", ""), span);
    RuleHead {
        rule_id: text("rule_id"),
        name: text("name"),
        rule_type: text("type"),
        language: text("language"),
        line: source.line,
        id_line: place.line.unwrap_or(source.line),
        id_column: place.column.unwrap_or(1),
    }
}

/// What became of a rule's query.
enum Plan {
    Runs(CompiledPlan),
    DoesNotRun,
    Broken,
}

fn plan(rule: &Rule, reader: &mut Reader<'_>) -> Plan {
    match compiled::plan(rule) {
        Ok(plan) => {
            if plan.needs_job() {
                let found = Diagnostic::new(
                    Level::Info,
                    codes::NOT_RUN_YET,
                    "this rule reads what a machine learning job records: it runs on Elasticsearch alone",
                );
                reader.report(found, &[Step::Key("machine_learning_job_id")]);
            }
            if let Some((what, part)) = plan.filter().and_then(|filter| filter.foreign()) {
                let path = [Step::Key("query")];
                let found = Diagnostic::warning(
                    codes::ONLY_CLUSTER,
                    format!("only a cluster can answer this: {what}"),
                )
                .with_help("on the embedded store this rule fails; write it without, if it is to run there");
                let span = match part {
                    Some(part) => reader.places.inside(&path, part),
                    // Parts of filter objects have no place of their own.
                    None => reader.places.value(&[Step::Key("filters")]),
                };
                let found = reader.places.at(found, span);
                reader.push(found);
            }
            Plan::Runs(plan)
        }
        Err(CompileError::Query(key, mut found)) => {
            let path = [Step::Key(key)];
            let span = match found.span {
                Some(part) => reader.places.inside(&path, part),
                None => reader.places.value(&path),
            };
            found.level = Level::Error;
            let found = reader.places.at(found, span);
            reader.push(found);
            Plan::Broken
        }
        Err(CompileError::Filter(key, position, error)) => {
            let found =
                Diagnostic::error(codes::UNSUPPORTED_FILTER, format!("filter not supported: {error}"))
                    .with_help("the rule does not run, because without this filter it would alert on more");
            reader.report(found, &[Step::Key(key), Step::Index(position)]);
            Plan::DoesNotRun
        }
        Err(error @ CompileError::NotRunYet(_)) => {
            let key = if matches!(rule.kind, RuleKind::Query(_)) { "language" } else { "type" };
            reader.report(
                Diagnostic::new(Level::Info, codes::NOT_RUN_YET, error.to_string()),
                &[Step::Key(key)],
            );
            Plan::DoesNotRun
        }
    }
}

fn read(fields: &Map<String, Value>, source: &Source<'_>, reader: &mut Reader<'_>) -> Option<Rule> {
    let table = Table { fields, path: &[] };
    let name = reader.required_text(table, "name").map(str::to_owned);
    let description = reader.required_text(table, "description").map(|text| text.trim().to_owned());
    reader.required(table, "risk_score");
    let risk_score = reader.integer(table, "risk_score", 0, 100);
    reader.required(table, "severity");
    let severity = severity(reader, table, "severity");
    let rule_type = reader.required_text(table, "type");
    let id = reader.text(table, "id").map(Arc::from);
    let rule_id = rule_id(reader, table, name.as_deref(), id.as_ref());
    let kind = rule_type.and_then(|rule_type| kind::kind(reader, table, rule_type));
    let index = index(reader, table);
    let schedule = schedule::schedule(reader, table);
    let (from, to) = schedule::window(reader, table, &schedule);
    let max_signals = reader.integer(table, "max_signals", 1, i64::from(u32::MAX));
    let version = reader.integer(table, "version", 1, i64::from(u32::MAX));
    let building_block = reader.word(table, "building_block_type", &["default"]).is_some();
    pair(reader, table, "timeline_id", "timeline_title");
    report_unknown(reader, table);
    // Read from the parameters when they are asked for: here they are only looked over.
    threat::threats(reader, table);
    for name in ["references", "false_positives", "author"] {
        reader.texts(table, name);
    }
    for name in ["note", "setup"] {
        reader.text(table, name);
    }
    let rule = Rule {
        id,
        rule_id: rule_id.unwrap_or_else(|| Arc::from("")),
        name: name.unwrap_or_default(),
        description: description.unwrap_or_default(),
        enabled: reader.flag(table, "enabled").unwrap_or(true),
        severity: severity.unwrap_or(Severity::Low),
        #[expect(clippy::cast_precision_loss, reason = "0 to 100")]
        risk_score: risk_score.unwrap_or(0) as f64,
        index,
        data_view_id: reader.text(table, "data_view_id").map(str::to_owned),
        schedule,
        from,
        to,
        max_signals: max_signals.and_then(|n| u32::try_from(n).ok()).unwrap_or(MAX_SIGNALS_DEFAULT),
        timestamp_override: filled(reader.text(table, "timestamp_override")),
        timestamp_override_fallback_disabled: reader
            .flag(table, "timestamp_override_fallback_disabled")
            .unwrap_or(false),
        rule_name_override: filled(reader.text(table, "rule_name_override")),
        severity_mapping: severity_mapping(reader, table),
        risk_score_mapping: risk_score_mapping(reader, table),
        building_block,
        tags: reader.texts(table, "tags"),
        license: reader.text(table, "license").map(str::to_owned),
        version: version.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        investigation_fields: investigation_fields(reader, table),
        filters: objects(reader, table, "filters"),
        exceptions_list: objects(reader, table, "exceptions_list"),
        alert_suppression: kind::suppression(reader, table, kind.as_ref()),
        parameters: Parameters::default(),
        tables: source.tables.clone(),
        origin: Origin { path: PathBuf::new(), line: source.line, hash: source.hash.to_owned() },
        kind: kind?,
    };
    Some(rule)
}

/// `Some` unless the text is empty: Kibana writes an empty string for "none".
fn filled(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn severity<'v>(reader: &mut Reader<'_>, table: Table<'v>, key: &'v str) -> Option<Severity> {
    match reader.word(table, key, &["low", "medium", "high", "critical"])? {
        "low" => Some(Severity::Low),
        "medium" => Some(Severity::Medium),
        "high" => Some(Severity::High),
        _ => Some(Severity::Critical),
    }
}

/// The rule's id; one that is missing is derived, never random, so that alerts keep their ids.
fn rule_id(
    reader: &mut Reader<'_>,
    table: Table<'_>,
    name: Option<&str>,
    id: Option<&Arc<str>>,
) -> Option<Arc<str>> {
    if table.get("rule_id").is_some() {
        return reader.required_text(table, "rule_id").map(Arc::from);
    }
    let derived = match id {
        Some(id) => Arc::clone(id),
        None => {
            let bytes = name?.as_bytes();
            Arc::from(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, bytes).to_string())
        }
    };
    reader.report_key(
        Diagnostic::warning(codes::MISSING_FIELD, "`rule_id` is missing").with_help(format!(
            "`{derived}` is used; without it in the file it changes with the rule's name"
        )),
        table.path,
    );
    Some(derived)
}

fn index(reader: &mut Reader<'_>, table: Table<'_>) -> Option<Vec<String>> {
    table.get("index")?;
    let patterns = reader.texts(table, "index");
    for (position, pattern) in patterns.iter().enumerate() {
        for part in pattern.split(',') {
            let name = part.trim().trim_start_matches('-');
            let wrong = if name.is_empty() {
                Some(String::from("an index pattern is empty"))
            } else if name.starts_with('<') {
                None
            } else {
                name.chars()
                    .find(|c| {
                        c.is_whitespace() || matches!(c, '\\' | '/' | '"' | '|' | '#' | '?' | '<' | '>')
                    })
                    .map(|c| format!("`{name}` is no index pattern: it holds `{}`", c.escape_debug()))
            };
            if let Some(reason) = wrong {
                reader.report(
                    Diagnostic::error(codes::BAD_INDEX, reason),
                    &[Step::Key("index"), Step::Index(position)],
                );
            } else if name.chars().any(char::is_uppercase) && !name.contains(':') {
                reader.report(
                    Diagnostic::warning(
                        codes::BAD_INDEX,
                        format!("`{name}` matches nothing: index names are lower case"),
                    ),
                    &[Step::Key("index"), Step::Index(position)],
                );
            }
        }
    }
    Some(patterns).filter(|patterns| !patterns.is_empty())
}

fn severity_mapping(reader: &mut Reader<'_>, table: Table<'_>) -> Vec<SeverityMapping> {
    let mut mappings = Vec::new();
    for (fields, path) in reader.tables(table, "severity_mapping") {
        let entry = Table { fields, path: &path };
        reader.word(entry, "operator", &["equals"]);
        let field = reader.required_text(entry, "field").map(str::to_owned);
        let value =
            reader.required(entry, "value").and_then(|_| reader.text(entry, "value")).map(str::to_owned);
        reader.required(entry, "severity");
        let severity = severity(reader, entry, "severity");
        if let (Some(field), Some(value), Some(severity)) = (field, value, severity) {
            mappings.push(SeverityMapping { field, value, severity });
        }
    }
    mappings
}

fn risk_score_mapping(reader: &mut Reader<'_>, table: Table<'_>) -> Vec<RiskScoreMapping> {
    let mut mappings = Vec::new();
    for (fields, path) in reader.tables(table, "risk_score_mapping") {
        let entry = Table { fields, path: &path };
        reader.word(entry, "operator", &["equals"]);
        let field = reader.required_text(entry, "field").map(str::to_owned);
        let value = reader.text(entry, "value").unwrap_or("").to_owned();
        #[expect(clippy::cast_precision_loss, reason = "0 to 100")]
        let risk_score = reader.integer(entry, "risk_score", 0, 100).map(|score| score as f64);
        if let Some(field) = field {
            mappings.push(RiskScoreMapping { field, value, risk_score });
        }
    }
    mappings
}

/// `investigation_fields = { field_names = […] }`, or the bare list that Kibana 8.11 wrote.
fn investigation_fields(reader: &mut Reader<'_>, table: Table<'_>) -> Vec<String> {
    match table.get("investigation_fields") {
        Some(Value::Object(fields)) => {
            let path = table.path_to("investigation_fields");
            let inner = Table { fields, path: &path };
            reader.required(inner, "field_names");
            reader.texts(inner, "field_names")
        }
        Some(Value::Array(_)) => reader.texts(table, "investigation_fields"),
        Some(other) => {
            reader.wrong_type(&table.path_to("investigation_fields"), "a table with `field_names`", other);
            Vec::new()
        }
        None => Vec::new(),
    }
}

fn objects<'v>(reader: &mut Reader<'_>, table: Table<'v>, key: &'v str) -> Vec<Value> {
    reader.tables(table, key).into_iter().map(|(fields, _)| Value::Object(fields.clone())).collect()
}

/// Two fields of which neither comes alone.
fn pair(reader: &mut Reader<'_>, table: Table<'_>, one: &str, other: &str) {
    for (there, missing) in [(one, other), (other, one)] {
        if table.get(there).is_some() && table.get(missing).is_none() {
            let found =
                Diagnostic::error(codes::PAIR, format!("`{there}` comes only together with `{missing}`"));
            reader.report_key(found, &table.path_to(there));
        }
    }
}

fn report_unknown(reader: &mut Reader<'_>, table: Table<'_>) {
    for key in table.fields.keys() {
        if known::FIELDS.contains(&key.as_str()) {
            continue;
        }
        let mut found = Diagnostic::new(
            Level::Info,
            codes::UNKNOWN_FIELD,
            format!("unknown field `{key}`: kept, without effect"),
        );
        if let Some(word) = nearest(key, known::FIELDS.iter().copied()) {
            found.level = Level::Warning;
            found.help = Some(format!("did you mean `{word}`?"));
        }
        reader.report_key(found, &table.path_to(key));
    }
}
