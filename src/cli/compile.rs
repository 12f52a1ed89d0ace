//! `tocsin compile`: what a rule or a query becomes where events are.

mod eql;
mod types;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use self::types::Types;
use super::error::Finding;
use super::{CliError, Context, Format, Outcome};
use crate::base::datemath::{Rounding, resolve};
use crate::base::diagnostic::Diagnostic;
use crate::base::limits;
use crate::base::span::Span;
use crate::query::compile::elastic::{self, FieldList, Options, TimeRange};
use crate::query::lang::{kql, lucene};
use crate::query::plan::{FieldPattern, Filter, Node};
use crate::rule::load::files::load_paths;
use crate::rule::model::{Language as RuleLanguage, Rule, RuleKind};

/// Show what a rule or a query is compiled to
///
/// Prints the query DSL of the query, the requests that would be sent, how much of the query they
/// decide (`pushdown`), and what is left to be decided here (`residue`). With `--backend URL` the types
/// of fields are those of that cluster's indices.
#[derive(Debug, clap::Args)]
pub struct CompileArgs {
    /// Rule file: Elastic's TOML, or NDJSON exported by Kibana
    #[arg(value_name = "RULE", required_unless_present = "query", conflicts_with = "query")]
    rule: Option<PathBuf>,
    /// Query text
    #[arg(long = "query", value_name = "Q")]
    query: Option<String>,
    /// Language of --query
    #[arg(long, value_enum, value_name = "LANGUAGE", default_value_t = Language::Kuery, conflicts_with = "rule")]
    language: Language,
    /// Where the query would run
    #[arg(long, value_enum, value_name = "TARGET", default_value_t = Target::Elasticsearch)]
    target: Target,
    /// Elasticsearch mapping (`{"properties": …}`) of the indices; without it field types are unknown
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Index patterns whose fields a cluster (`--backend URL`) is asked for with --query
    #[arg(
        long,
        value_name = "PATTERNS",
        default_value = "*",
        conflicts_with = "rule",
        allow_hyphen_values = true
    )]
    index: Vec<String>,
}

/// Query languages, those of issues to come among them so that scripts get a clear answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    /// KQL
    Kuery,
    /// Lucene query string
    Lucene,
    /// EQL
    Eql,
    /// ES|QL
    Esql,
}

/// Where a query runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    /// Elasticsearch
    Elasticsearch,
    /// OpenSearch
    Opensearch,
    /// The embedded store
    Embedded,
}

/// What is printed for one query.
#[derive(Debug, Serialize)]
struct Compiled {
    query: Value,
    requests: Vec<Request>,
    pushdown: &'static str,
    residue: Option<String>,
}

#[derive(Debug, Serialize)]
struct Request {
    method: &'static str,
    path: String,
    body: Value,
}

/// Runs the command.
///
/// # Errors
/// A file that cannot be read, and everything that is wrong with the rule or the query.
pub fn run(args: CompileArgs, context: &Context) -> Result<Outcome, CliError> {
    let given = args.mapping.as_deref().map(read_mapping).transpose()?.map(Arc::new);
    let mut types = Types::default();
    let mut compiler = |patterns: &[String]| -> Result<Compiler<'_>, CliError> {
        let fields = match &given {
            Some(given) => Some(Arc::clone(given)),
            None => types.of(patterns, context)?,
        };
        Ok(Compiler { fields, target: args.target, context })
    };
    match (args.rule, args.query) {
        (Some(path), _) => {
            for rule in &read_rules(&path, context)? {
                show(&compiler(&rule.index_patterns())?.rule(rule)?, context)?;
            }
        }
        (None, Some(text)) => {
            let compiler = compiler(&args.index)?;
            let compiled = match args.language {
                Language::Kuery => compiler.text(&text, RuleLanguage::Kuery)?,
                Language::Lucene => compiler.text(&text, RuleLanguage::Lucene)?,
                Language::Eql => compiler.eql_text(&text)?,
                Language::Esql => {
                    return Err(CliError::usage(
                        "only `--language kuery`, `lucene` and `eql` are compiled in this version",
                    ));
                }
            };
            show(&compiled, context)?;
        }
        (None, None) => return Err(CliError::usage("name a rule file, or a query with --query")),
    }
    Ok(Outcome::Fine)
}

fn show(compiled: &Compiled, context: &Context) -> Result<(), CliError> {
    if context.format() == Format::Human {
        let mut out = context.out();
        serde_json::to_writer_pretty(&mut out, compiled)?;
        std::io::Write::write_all(&mut out, b"\n")?;
        return Ok(());
    }
    context.document(compiled, &["query", "pushdown", "residue"])
}

struct Compiler<'c> {
    fields: Option<Arc<FieldList>>,
    target: Target,
    context: &'c Context,
}

impl Compiler<'_> {
    fn text(&self, text: &str, language: RuleLanguage) -> Result<Compiled, CliError> {
        let (printed, query, whole) = self.parse(text, language)?;
        let request =
            || Request { method: "POST", path: "/_search".to_owned(), body: json!({"query": query}) };
        let requests = if self.target == Target::Embedded { Vec::new() } else { vec![request()] };
        Ok(self.compiled(query, requests, printed, whole))
    }

    fn rule(&self, rule: &Rule) -> Result<Compiled, CliError> {
        if let RuleKind::Eql(params) = &rule.kind {
            return self.eql_rule(rule, params);
        }
        let Some(events) = rule.kind.events() else {
            return Err(not_yet(rule, &format!("`{}` rules are", rule.rule_type())));
        };
        let runs = matches!(rule.kind, RuleKind::Query(_));
        let (printed, query, whole) = self.parse(&events.query, events.language)?;
        if !runs {
            self.context.warn(format!(
                "`{}` rules do not run yet: only the query of `{}` is compiled",
                rule.rule_type(),
                rule.rule_id
            ));
            let residue = Some(format!("{}: {printed}", rule.rule_type()));
            return Ok(Compiled { query, requests: Vec::new(), pushdown: "none", residue });
        }
        let requests =
            if self.target == Target::Embedded { Vec::new() } else { vec![self.search(rule, &query)?] };
        Ok(self.compiled(query, requests, printed, whole))
    }

    /// The query as it prints, as it is sent, and whether a cluster finds by it what it says.
    fn parse(&self, text: &str, language: RuleLanguage) -> Result<(String, Value, bool), CliError> {
        let in_text = |diagnostic: Diagnostic| CliError::text(diagnostic, text);
        if language == RuleLanguage::Lucene {
            let expr = lucene::parse(text).map_err(|error| in_text(error.diagnostic(text)))?;
            lucene::lower(&expr, text, &lucene::Options::default()).map_err(in_text)?;
            // A cluster reads the text itself, as it would from Kibana.
            let query = match text.trim() {
                "" => json!({"match_all": {}}),
                text => json!({"query_string": {
                    "query": text, "analyze_wildcard": true, "time_zone": "Zulu",
                }}),
            };
            return Ok((expr.to_string(), query, true));
        }
        let expr =
            kql::parse(text, &kql::Options::default()).map_err(|error| in_text(error.diagnostic(text)))?;
        let filter = kql::lower(&expr, text).map_err(in_text)?;
        // What detection rules use; it says nothing where no field is known to be a date.
        let options = Options { time_zone: Some("Zulu".to_owned()), ..Options::default() };
        let query = elastic::query(&expr, self.fields.as_deref(), &options)
            .map_err(|error| in_text(error.diagnostic(text)))?;
        // Kibana sends a pattern of fields that it does not know as if it were a name.
        let whole = self.fields.is_some() || !names_pattern(&filter);
        if !whole && self.target != Target::Embedded {
            self.context.warn(
                "the query names fields by a pattern: without their names (`--mapping`, `--backend`) a cluster takes it for a name that no field has",
            );
        }
        Ok((expr.to_string(), query, whole))
    }

    /// The store skips what cannot match and every event left is judged here; a cluster decides by
    /// itself.
    fn compiled(&self, query: Value, requests: Vec<Request>, printed: String, whole: bool) -> Compiled {
        match self.target {
            Target::Embedded => Compiled { query, requests, pushdown: "superset", residue: Some(printed) },
            Target::Elasticsearch | Target::Opensearch if !whole => {
                Compiled { query, requests, pushdown: "none", residue: Some(printed) }
            }
            Target::Elasticsearch | Target::Opensearch => {
                Compiled { query, requests, pushdown: "exact", residue: None }
            }
        }
    }

    /// The time that an execution that is due now searches.
    fn range<'r>(&self, rule: &'r Rule) -> Result<TimeRange<'r>, CliError> {
        let at = |text: &str| {
            resolve(text, self.context.now(), Rounding::Down)
                .map_err(|found| CliError::Text(vec![Finding::in_text(found, text)]))
        };
        let primary = rule.timestamp_override.as_deref().unwrap_or("@timestamp");
        let falls_back = primary != "@timestamp" && !rule.timestamp_override_fallback_disabled;
        Ok(TimeRange {
            primary,
            secondary: falls_back.then_some("@timestamp"),
            from: at(&rule.from)?,
            to: at(&rule.to)?,
        })
    }

    /// The first request of an execution that is due now.
    fn search(&self, rule: &Rule, query: &Value) -> Result<Request, CliError> {
        let range = self.range(rule)?;
        let filter = elastic::bool_query(Some(query.clone()), &rule.filters);
        Ok(Request {
            method: "POST",
            path: format!(
                "/{}/_search?allow_no_indices=true&ignore_unavailable=true",
                encoded(&rule.index_patterns().join(","))
            ),
            body: elastic::search_body(
                &filter,
                &range,
                rule.max_signals.min(limits::MAX_SIGNALS_DEFAULT),
                None,
            ),
        })
    }
}

/// Whether some part names its field by a pattern that stands for more than one name.
fn names_pattern(filter: &Filter) -> bool {
    match &filter.node {
        Node::And(of) | Node::Or(of) | Node::AtLeast { of, .. } => of.iter().any(names_pattern),
        Node::Not(inner) | Node::Nested { inner, .. } => names_pattern(inner),
        Node::Exists { field: FieldPattern::Pattern(_) }
        | Node::Range { field: FieldPattern::Pattern(_), .. }
        | Node::Is { field: Some(FieldPattern::Pattern(_)), .. }
        | Node::Wildcard { field: Some(FieldPattern::Pattern(_)), .. } => true,
        _ => false,
    }
}

fn not_yet(rule: &Rule, what: &str) -> CliError {
    CliError::usage(format!("{what} not compiled in this version (rule `{}`)", rule.rule_id))
}

fn read_rules(path: &Path, context: &Context) -> Result<Vec<std::sync::Arc<Rule>>, CliError> {
    let set = load_paths(&[path.to_owned()], None);
    let (errors, warnings): (Vec<_>, Vec<_>) = set.diagnostics.into_iter().partition(Diagnostic::is_error);
    context.diagnostics(&warnings, None);
    if !errors.is_empty() {
        return Err(CliError::Text(errors.into_iter().map(Finding::from).collect()));
    }
    if set.rules.is_empty() {
        return Err(CliError::usage(format!("no rule in `{}`", path.display())));
    }
    Ok(set.rules)
}

fn read_mapping(path: &Path) -> Result<FieldList, CliError> {
    let size = std::fs::metadata(path).map_err(|error| CliError::io("read", path, error))?.len();
    if size > limits::MAPPING_BYTES {
        return Err(CliError::usage(format!(
            "`{}` is larger than {} bytes",
            path.display(),
            limits::MAPPING_BYTES
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| CliError::io("read", path, error))?;
    let finding = |diagnostic: Diagnostic| {
        CliError::Text(vec![Finding::in_text(diagnostic.with_path(path), text.clone())])
    };
    let mapping: Value = serde_json::from_str(&text).map_err(|error| {
        let line: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let at = (line + error.column().saturating_sub(1)).min(text.len());
        finding(
            Diagnostic::error("MAP001", "not JSON").with_help(error.to_string()).at(&text, Span::new(at, at)),
        )
    })?;
    let list = FieldList::from_mapping(&mapping);
    if list.fields.is_empty() {
        return Err(finding(
            Diagnostic::error("MAP002", "no fields")
                .with_help("expected `{\"properties\": {\"field\": {\"type\": …}}}`"),
        ));
    }
    Ok(list)
}

/// An index expression in a URL's path.
fn encoded(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len());
    for byte in expression.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~*,:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
