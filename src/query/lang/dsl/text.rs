//! Queries on words: `match` and its kin, `query_string`.

use std::sync::Arc;

use serde_json::Value;

use super::parse::{
    DslError, Options, field_pattern, foreign, member, name, on_field, refuse, scalar, text_of,
};
use crate::query::lang::lucene;
use crate::query::plan::{Case, FieldPattern, Filter, Least, Node};

/// Parameters of `match` that are looked at, and those that matter only beside them.
const MATCH: [&str; 14] = [
    "operator",
    "minimum_should_match",
    "type",
    "lenient",
    "fuzziness",
    "prefix_length",
    "max_expansions",
    "fuzzy_transpositions",
    "fuzzy_rewrite",
    "zero_terms_query",
    "cutoff_frequency",
    "auto_generate_synonyms_phrase_query",
    "analyzer",
    "slop",
];

/// What in the parameters only a cluster knows to do.
fn beyond(options: Options<'_>) -> Option<&'static str> {
    if options.differs("fuzziness", &["0"]) {
        return Some("a fuzzy search");
    }
    if options.differs("slop", &["0"]) || options.differs("phrase_slop", &["0"]) {
        return Some("words at a distance");
    }
    if options.differs("analyzer", &["standard"]) || options.get("quote_analyzer").is_some() {
        return Some("an analyser of its own");
    }
    options.differs("zero_terms_query", &["none"]).then_some("`zero_terms_query`")
}

/// How many of the words must be there; `None`: any.
fn least(options: Options<'_>) -> Result<Option<Least>, DslError> {
    if let Some(value) = options.get("minimum_should_match") {
        let text = scalar(value)?;
        return match Least::parse(&text) {
            Some(least) => Ok(Some(least)),
            None => refuse(format!("`minimum_should_match` of `{text}` is not supported")),
        };
    }
    match options.text("operator").unwrap_or("or") {
        word if word.eq_ignore_ascii_case("or") => Ok(None),
        word if word.eq_ignore_ascii_case("and") => Ok(Some(Least::ALL)),
        other => refuse(format!("there is no operator `{other}`")),
    }
}

/// Words on one field, or on all of them.
fn words(field: Option<FieldPattern>, value: &str, phrase: bool, least: Option<Least>) -> Option<Node> {
    match (field, least) {
        (Some(FieldPattern::Name(field)), Some(least)) if !phrase => {
            Some(Node::Words { field, text: Arc::from(value), least })
        }
        // Of a single word there is nothing to choose from.
        (field, least) if phrase || least.is_none() || value.chars().all(char::is_alphanumeric) => {
            Some(Node::Is { field, value: Arc::from(value), phrase, case: Case::Field })
        }
        _ => None,
    }
}

pub(super) fn match_query(body: &Value) -> Result<Node, DslError> {
    let leaf = on_field(body, &["query"], &MATCH)?;
    if let Some(what) = beyond(leaf.options) {
        return Ok(foreign(what, "match", body));
    }
    let phrase = match leaf.options.text("type") {
        None | Some("boolean") => false,
        Some("phrase") => true,
        Some(_) => return Ok(foreign("the beginning of a phrase", "match", body)),
    };
    let least = least(leaf.options).map_err(|error| error.below(leaf.field))?;
    words(Some(name(leaf.field)), &leaf.value, phrase, least).map_or_else(|| refuse("no such words"), Ok)
}

pub(super) fn match_phrase(body: &Value) -> Result<Node, DslError> {
    let leaf = on_field(body, &["query"], &["slop", "analyzer", "zero_terms_query"])?;
    if let Some(what) = beyond(leaf.options) {
        return Ok(foreign(what, "match_phrase", body));
    }
    let value = Arc::from(leaf.value);
    Ok(Node::Is { field: Some(name(leaf.field)), value, phrase: true, case: Case::Field })
}

pub(super) fn multi_match(body: &Value) -> Result<Node, DslError> {
    let known: Vec<&str> = MATCH.iter().chain(&["query", "fields", "tie_breaker"]).copied().collect();
    let options = Options::of(body, &known)?;
    let value = scalar(member(body, "query")?)?;
    let phrase = match options.text("type").unwrap_or("best_fields") {
        "best_fields" | "most_fields" => false,
        "phrase" => true,
        // Across fields the words may stand in different ones, which matters when all must be there.
        "cross_fields" if least(options)?.is_none() => false,
        _ => return Ok(foreign("words across fields", "multi_match", body)),
    };
    if let Some(what) = beyond(options) {
        return Ok(foreign(what, "multi_match", body));
    }
    let least = least(options)?;
    let fields = fields(options)?;
    let fields = if fields.is_empty() { vec![None] } else { fields.into_iter().map(Some).collect() };
    let mut choices = Vec::with_capacity(fields.len());
    for field in fields {
        match words(field, &value, phrase, least) {
            Some(node) => choices.push(Filter::new(node)),
            None => return Ok(foreign("words in a pattern of fields", "multi_match", body)),
        }
    }
    Ok(Filter::at_least(1, choices).node)
}

/// The names in `fields` (or `default_field`), without their boosts. `*` is every field, and none.
fn fields(options: Options<'_>) -> Result<Vec<FieldPattern>, DslError> {
    let named = match (options.get("fields"), options.get("default_field")) {
        (Some(Value::Array(fields)), _) => fields.iter().map(scalar).collect::<Result<Vec<_>, _>>()?,
        (Some(one), _) | (None, Some(one)) => vec![scalar(one)?],
        (None, None) => Vec::new(),
    };
    let plain = |field: &str| field.split_once('^').map_or(field, |(name, _)| name).to_owned();
    let named: Vec<String> = named.iter().map(|field| plain(field)).collect();
    if named.iter().any(|field| field == "*") {
        return Ok(Vec::new());
    }
    Ok(named.iter().map(|field| field_pattern(field)).collect())
}

pub(super) fn query_string(body: &Value) -> Result<Node, DslError> {
    let known = [
        "query",
        "fields",
        "default_field",
        "default_operator",
        "minimum_should_match",
        "time_zone",
        "type",
        "lenient",
        "analyze_wildcard",
        "allow_leading_wildcard",
        "phrase_slop",
        "fuzziness",
        "fuzzy_prefix_length",
        "fuzzy_max_expansions",
        "fuzzy_transpositions",
        "fuzzy_rewrite",
        "analyzer",
        "quote_analyzer",
        "quote_field_suffix",
        "enable_position_increments",
        "auto_generate_synonyms_phrase_query",
        "max_determinized_states",
        "escape",
        "tie_breaker",
    ];
    let options = Options::of(body, &known)?;
    let query = text_of(body, "query")?;
    // How fuzzy words are is asked only where the text has some, which is for a cluster anyway.
    let alone = ["phrase_slop", "analyzer", "quote_analyzer", "quote_field_suffix"];
    if alone.iter().any(|key| options.differs(key, &["0", "standard"]))
        || options.differs("type", &["best_fields", "most_fields"])
        || options.flag("escape")
    {
        return Ok(foreign("a query string with parameters of its own", "query_string", body));
    }
    let all = options.text("default_operator").is_some_and(|word| word.eq_ignore_ascii_case("and"));
    let least = match options.get("minimum_should_match") {
        None => None,
        Some(value) => {
            let text = scalar(value)?;
            let least = Least::parse(&text);
            let unknown = || DslError::new(format!("`minimum_should_match` of `{text}` is not supported"));
            Some(least.ok_or_else(unknown)?)
        }
    };
    let options = lucene::Options {
        fields: fields(options)?,
        all,
        least,
        zone: options.text("time_zone").map(Arc::from),
        empty_is_nothing: true,
    };
    let wrong = |found: crate::base::diagnostic::Diagnostic| {
        let column = found.column.unwrap_or(1);
        DslError::new(format!("`{query}`, column {column}: {}", found.message))
    };
    let expression = lucene::parse(query).map_err(|error| wrong(error.diagnostic(query)))?;
    lucene::lower(&expression, query, &options).map(without_places).map_err(wrong)
}

/// Places lie in the query string, not in the text around it.
fn without_places(mut filter: Filter) -> Node {
    fn strip(filter: &mut Filter) {
        filter.span = None;
        match &mut filter.node {
            Node::And(children) | Node::Or(children) | Node::AtLeast { of: children, .. } => {
                children.iter_mut().for_each(strip);
            }
            Node::Not(child) | Node::Nested { inner: child, .. } => strip(child),
            _ => {}
        }
    }
    strip(&mut filter);
    filter.node
}
