//! The fields that only some rule types have.

use serde_json::Value;

use crate::base::datemath::{self, Rounding};
use crate::base::diagnostic::Diagnostic;
use crate::base::nearest::nearest;
use crate::rule::codes;
use crate::rule::kind::{
    Cardinality, EqlParams, EsqlParams, Language, MachineLearningParams, MissingFields, NewTermsParams,
    QueryParams, RuleKind, SavedQueryParams, Suppression, ThreatMapping, ThreatMatchParams, ThresholdParams,
};

use super::fields::{Reader, Table};
use super::known;
use super::place::Step;

/// Most fields of a threshold or of suppression.
const GROUP_FIELDS: usize = 5;
/// Most fields of a new term.
const TERM_FIELDS: usize = 3;

/// Reads what the rule's type needs; `None` when the type is none, or lacks something.
pub(super) fn kind(reader: &mut Reader<'_>, table: Table<'_>, rule_type: &str) -> Option<RuleKind> {
    if !known::TYPES.contains(&rule_type) {
        let mut found = Diagnostic::error(codes::BAD_VALUE, format!("there is no rule type `{rule_type}`"));
        found.help = Some(match nearest(rule_type, known::TYPES.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("types: {}", known::TYPES.join(", ")),
        });
        reader.report(found, &[Step::Key("type")]);
        return None;
    }
    let allowed: &[&str] = match rule_type {
        "eql" => &["eql"],
        "esql" => &["esql"],
        _ => &["kuery", "lucene"],
    };
    let language = reader.word(table, "language", allowed);
    let language = if language == Some("lucene") { Language::Lucene } else { Language::Kuery };
    let text = reader.text(table, "query").unwrap_or_default().to_owned();
    for key in known::needed(rule_type) {
        reader.required(table, key);
    }
    let query = QueryParams { query: text, language };
    Some(match rule_type {
        "query" => {
            matches_all(reader, table, &query);
            RuleKind::Query(query)
        }
        "saved_query" => {
            let saved_id = reader.text(table, "saved_id")?.to_owned();
            RuleKind::SavedQuery(SavedQueryParams { saved_id, query })
        }
        "eql" => RuleKind::Eql(EqlParams {
            query: query.query,
            event_category_override: filled(reader.text(table, "event_category_override")),
            tiebreaker_field: filled(reader.text(table, "tiebreaker_field")),
            timestamp_field: filled(reader.text(table, "timestamp_field")),
        }),
        "esql" => RuleKind::Esql(EsqlParams { query: query.query }),
        "threshold" => RuleKind::Threshold(threshold(reader, table, query)?),
        "new_terms" => RuleKind::NewTerms(new_terms(reader, table, query)?),
        "threat_match" => RuleKind::ThreatMatch(threat_match(reader, table, query)),
        _ => RuleKind::MachineLearning(machine_learning(reader, table)?),
    })
}

fn matches_all(reader: &mut Reader<'_>, table: Table<'_>, query: &QueryParams) {
    let unfiltered = table.get("filters").is_none_or(|filters| filters.as_array().is_some_and(Vec::is_empty));
    if query.query.trim().is_empty() && unfiltered {
        reader.report_key(
            Diagnostic::warning(codes::MATCHES_ALL, "this rule has no query: every event matches"),
            &[Step::Key("query")],
        );
    }
}

fn filled(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn threshold(reader: &mut Reader<'_>, rule: Table<'_>, query: QueryParams) -> Option<ThresholdParams> {
    let path = rule.path_to("threshold");
    let fields = match rule.get("threshold")? {
        Value::Object(fields) => fields,
        other => {
            reader.wrong_type(&path, "a table", other);
            return None;
        }
    };
    let table = Table { fields, path: &path };
    let names = one_or_many(reader, table, "field");
    at_most(reader, table, "field", names.len(), GROUP_FIELDS);
    reader.required(table, "value");
    let value = reader.integer(table, "value", 1, i64::MAX)?;
    let mut cardinality = None;
    for (number, (fields, path)) in reader.tables(table, "cardinality").into_iter().enumerate() {
        let entry = Table { fields, path: &path };
        let field = reader.required_text(entry, "field").map(str::to_owned);
        reader.required(entry, "value");
        let value = reader.integer(entry, "value", 0, i64::MAX);
        if number > 0 {
            reader.report(
                Diagnostic::warning(codes::BAD_VALUE, "only the first `cardinality` has an effect"),
                &path,
            );
        } else if let (Some(field), Some(value)) = (field, value) {
            cardinality = Some(Cardinality { field, value: u64::try_from(value).unwrap_or(0) });
        }
    }
    Some(ThresholdParams { query, fields: names, value: u64::try_from(value).ok()?, cardinality })
}

fn new_terms(reader: &mut Reader<'_>, rule: Table<'_>, query: QueryParams) -> Option<NewTermsParams> {
    let fields = reader.texts(rule, "new_terms_fields");
    if rule.get("new_terms_fields").is_some() && fields.is_empty() {
        reader.report(
            Diagnostic::error(codes::BAD_VALUE, "`new_terms_fields` names no field"),
            &rule.path_to("new_terms_fields"),
        );
    }
    at_most(reader, rule, "new_terms_fields", fields.len(), TERM_FIELDS);
    let history_start = reader.required_text(rule, "history_window_start")?.to_owned();
    check_history(reader, rule, &history_start);
    Some(NewTermsParams { query, fields, history_start })
}

/// The history has to start before the window.
fn check_history(reader: &mut Reader<'_>, rule: Table<'_>, start: &str) {
    // Any instant serves: only the syntax and the order of the two are looked at.
    let now = chrono::DateTime::from_timestamp_millis(1_800_000_000_000).unwrap_or_default();
    let path = rule.path_to("history_window_start");
    let from = rule.get("from").and_then(Value::as_str).unwrap_or("now-6m");
    match datemath::resolve(start, now, Rounding::Down) {
        Err(found) => {
            let mut placed =
                Diagnostic::error(codes::BAD_DATE_MATH, format!("`history_window_start`: {}", found.message));
            placed.help = found.help;
            let span = match found.span {
                Some(part) => reader.places.inside(&path, part),
                None => reader.places.value(&path),
            };
            let placed = reader.places.at(placed, span);
            reader.push(placed);
        }
        Ok(history) => {
            if datemath::resolve(from, now, Rounding::Down).is_ok_and(|from| history >= from) {
                reader.report(
                    Diagnostic::error(
                        codes::BAD_VALUE,
                        format!("the history starts (`{start}`) after the window (`{from}`): every term would be new"),
                    )
                    .with_help("let `history_window_start` lie days before `from`, as in `now-10d`"),
                    &path,
                );
            }
        }
    }
}

fn threat_match(reader: &mut Reader<'_>, rule: Table<'_>, query: QueryParams) -> ThreatMatchParams {
    let threat_index = reader.texts(rule, "threat_index");
    let language = reader.word(rule, "threat_language", &["kuery", "lucene"]);
    let language = if language == Some("lucene") { Language::Lucene } else { Language::Kuery };
    let threat_query =
        QueryParams { query: reader.text(rule, "threat_query").unwrap_or_default().to_owned(), language };
    let threat_filters = reader.tables(rule, "threat_filters");
    let threat_filters =
        threat_filters.into_iter().map(|(fields, _)| Value::Object(fields.clone())).collect();
    let mut mapping = Vec::new();
    for (fields, path) in reader.tables(rule, "threat_mapping") {
        let group = Table { fields, path: &path };
        reader.required(group, "entries");
        let mut entries = Vec::new();
        for (fields, path) in reader.tables(group, "entries") {
            let entry = Table { fields, path: &path };
            reader.word(entry, "type", &["mapping"]);
            let negate = reader.flag(entry, "negate").unwrap_or(false);
            let field = reader.required_text(entry, "field").map(str::to_owned);
            let value = reader.required_text(entry, "value").map(str::to_owned);
            if let (Some(field), Some(value)) = (field, value) {
                entries.push(ThreatMapping { field, value, negate });
            }
        }
        if !entries.is_empty() && entries.iter().all(|entry| entry.negate) {
            reader.report(
                Diagnostic::error(
                    codes::BAD_VALUE,
                    "every entry is negated: nothing says which indicator an event matches",
                )
                .with_help("give the group an entry without `negate`"),
                &path,
            );
        }
        mapping.push(entries);
    }
    if rule.get("threat_mapping").is_some() && mapping.iter().all(Vec::is_empty) {
        reader.report(
            Diagnostic::error(codes::BAD_VALUE, "`threat_mapping` has no entry"),
            &rule.path_to("threat_mapping"),
        );
    }
    let path = filled(reader.text(rule, "threat_indicator_path"));
    ThreatMatchParams {
        query,
        threat_index,
        threat_query,
        threat_filters,
        mapping,
        indicator_path: path.unwrap_or_else(|| "threat.indicator".to_owned()),
    }
}

fn machine_learning(reader: &mut Reader<'_>, rule: Table<'_>) -> Option<MachineLearningParams> {
    let jobs = one_or_many(reader, rule, "machine_learning_job_id");
    let threshold = reader.integer(rule, "anomaly_threshold", 0, 100)?;
    Some(MachineLearningParams { anomaly_threshold: u32::try_from(threshold).ok()?, jobs })
}

/// Reads `alert_suppression`.
pub(super) fn suppression(
    reader: &mut Reader<'_>,
    rule: Table<'_>,
    kind: Option<&RuleKind>,
) -> Option<Suppression> {
    let path = rule.path_to("alert_suppression");
    let fields = match rule.get("alert_suppression")? {
        Value::Object(fields) => fields,
        other => {
            reader.wrong_type(&path, "a table", other);
            return None;
        }
    };
    let table = Table { fields, path: &path };
    let group_by = reader.texts(table, "group_by");
    at_most(reader, table, "group_by", group_by.len(), GROUP_FIELDS);
    let by_threshold = matches!(kind, Some(RuleKind::Threshold(_)));
    if by_threshold && !group_by.is_empty() {
        reader.report(
            Diagnostic::error(codes::PAIR, "a threshold rule is suppressed by its own fields")
                .with_help("leave out `group_by`; `duration` alone is what a threshold rule takes"),
            &table.path_to("group_by"),
        );
    } else if !by_threshold && group_by.is_empty() {
        reader.report(
            Diagnostic::error(codes::MISSING_FIELD, "`alert_suppression` needs `group_by`: 1 to 5 fields"),
            &path,
        );
    }
    let missing = match reader.word(table, "missing_fields_strategy", &["suppress", "doNotSuppress"]) {
        Some("doNotSuppress") => MissingFields::DoNotSuppress,
        _ => MissingFields::Suppress,
    };
    let duration_ms = duration(reader, table);
    if by_threshold && duration_ms.is_none() {
        reader.report(
            Diagnostic::error(codes::MISSING_FIELD, "the suppression of a threshold rule needs `duration`"),
            &path,
        );
    }
    Some(Suppression { group_by, duration_ms, missing })
}

fn duration(reader: &mut Reader<'_>, suppression: Table<'_>) -> Option<i64> {
    let path = suppression.path_to("duration");
    let fields = match suppression.get("duration")? {
        Value::Object(fields) => fields,
        other => {
            reader.wrong_type(&path, "a table with `value` and `unit`", other);
            return None;
        }
    };
    let table = Table { fields, path: &path };
    reader.required(table, "value");
    reader.required(table, "unit");
    let value = reader.integer(table, "value", 1, 1_000_000)?;
    let unit = match reader.word(table, "unit", &["s", "m", "h", "d"])? {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 86_400_000,
    };
    Some(value * unit)
}

/// A field that is a text or an array of texts; absent or empty is none.
fn one_or_many<'v>(reader: &mut Reader<'_>, table: Table<'v>, key: &'v str) -> Vec<String> {
    match table.get(key) {
        Some(Value::String(one)) => filled(Some(one)).into_iter().collect(),
        _ => reader.texts(table, key),
    }
}

fn at_most<'v>(reader: &mut Reader<'_>, table: Table<'v>, key: &'v str, found: usize, most: usize) {
    if found > most {
        let finding = Diagnostic::error(
            codes::BAD_VALUE,
            format!("`{key}` has {found} fields, at most {most} are allowed"),
        );
        reader.report(finding, &table.path_to(key));
    }
}
