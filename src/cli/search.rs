//! `tocsin search`: events that match a query.

mod eql;

use std::cmp::Ordering;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::error::Finding;
use super::output::lookup;
use super::table::Cell;
use super::{CliError, Context, Outcome, Table};
use crate::backend::{Backend, Hit, HitPage, SearchRequest, TimeField};
use crate::base::datemath::Rounding;
use crate::base::diagnostic::{Diagnostic, Level};
use crate::base::window::Window;
use crate::ecs::types::FieldType;
use crate::query::eval::Matcher;
use crate::query::lang::{dsl, kql, lucene};
use crate::query::plan::{Filter, Node};

/// Search stored events
///
/// Prints the events that match, the newest first; for scripts one object a line with `_index`,
/// `_id` and `_source`.
#[derive(Debug, clap::Args)]
pub struct SearchArgs {
    /// Query text; empty matches everything
    #[arg(value_name = "QUERY")]
    query: String,
    /// Language of the query
    #[arg(long, value_enum, value_name = "LANGUAGE", default_value_t = Language::Kuery)]
    language: Language,
    /// Index patterns: names, commas, `*`, `-exclusions`, date math
    #[arg(long, value_name = "PATTERNS", default_value = "*", allow_hyphen_values = true)]
    index: Vec<String>,
    /// Start of the time searched (RFC 3339 or date math, included); without it all time
    #[arg(long, value_name = "T")]
    from: Option<String>,
    /// End of the time searched (included) [default: now when --from is given]
    #[arg(long, value_name = "T")]
    to: Option<String>,
    /// Most events shown; 0 only counts
    #[arg(long, value_name = "N", default_value_t = 100)]
    size: usize,
    /// Field to sort by, ascending unless `:desc` follows [default: @timestamp:desc]
    #[arg(long, value_name = "FIELD[:asc|desc]")]
    sort: Option<String>,
    /// Field of the event's category (EQL)
    #[arg(long, value_name = "F")]
    event_category_field: Option<String>,
    /// Field whose time --from and --to are about [default: @timestamp]
    #[arg(long, value_name = "F")]
    timestamp_field: Option<String>,
    /// Field that orders events of equal time (EQL)
    #[arg(long, value_name = "F")]
    tiebreaker_field: Option<String>,
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
    /// Elasticsearch query DSL
    Dsl,
}

/// A hit as scripts read it.
#[derive(Debug, Serialize)]
struct Record<'a> {
    #[serde(rename = "_index")]
    index: &'a str,
    #[serde(rename = "_id")]
    id: &'a str,
    #[serde(rename = "_source")]
    source: &'a Value,
}

/// How hits are ordered.
struct Sort {
    field: Arc<str>,
    descending: bool,
}

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
/// Hits read at once when all of them are needed.
const PAGE: usize = 1_000;

/// Runs the command.
///
/// # Errors
/// When an argument or the query is wrong, or the store cannot be read.
pub fn run(args: SearchArgs, context: &Context) -> Result<Outcome, CliError> {
    refuse_what_is_not_there(&args)?;
    let eql = if args.language == Language::Eql { Some(eql::query(&args)?) } else { None };
    let filter = if eql.is_some() { Filter::new(Node::All) } else { parse(&args.query, args.language)? };
    let window = window(&args, context)?;
    let sort = sort(args.sort.as_deref())?;
    if !context.config().backend.iter().any(|backend| !backend.patterns.is_empty()) {
        context.require_data_dir()?;
    }
    let backend = context.app().backend().map_err(CliError::failed)?;
    let indices: Arc<[String]> = args.index.clone().into();
    let mapping = context.block_on(backend.mapping(&indices))?.map_err(CliError::failed)?;
    if eql.is_none() {
        check(&args.query, &Matcher::compile(&filter, &mapping, context.now()), context)?;
    }

    let time = args.timestamp_field.as_deref().unwrap_or("@timestamp");
    let request = SearchRequest {
        indices: indices.clone(),
        filter: Arc::new(filter),
        now: context.now(),
        window,
        time: TimeField { primary: Arc::from(time), fallback: None },
        event_clock: false,
        size: args.size,
        after: None,
        descending: sort.descending,
    };
    if let Some(query) = &eql {
        return eql::run(&args, query, request, &mapping, &*backend, context);
    }
    // The backend orders by the time that it searches on; any other order needs all hits.
    let by_time = *sort.field == *time;
    let page = if by_time || args.size == 0 {
        search(context, &*backend, request)?
    } else {
        let date = mapping.resolve(&sort.field).is_some_and(|field| field.kind == FieldType::Date);
        sorted(context, &*backend, request, &sort, args.size, date)?
    };
    if page.indices == 0 {
        context.warn(format!("no index is called `{}`", args.index.join(",")));
    }
    show(context, &page, args.size)?;
    Ok(Outcome::Fine)
}

fn refuse_what_is_not_there(args: &SearchArgs) -> Result<(), CliError> {
    let language = match args.language {
        Language::Kuery | Language::Lucene | Language::Dsl => {
            let eql = [
                ("--event-category-field", &args.event_category_field),
                ("--tiebreaker-field", &args.tiebreaker_field),
            ];
            return match eql.iter().find(|(_, value)| value.is_some()) {
                Some((name, _)) => Err(CliError::usage(format!("{name} belongs to `--language eql`"))),
                None => Ok(()),
            };
        }
        Language::Eql => {
            return match &args.sort {
                Some(_) => Err(CliError::usage("--sort does not go with `--language eql`")
                    .with_help("EQL has a pipe for it: `| sort FIELD`")),
                None => Ok(()),
            };
        }
        Language::Esql => "esql",
    };
    Err(CliError::usage(format!("`--language {language}` cannot be searched with yet"))
        .with_help("this version searches with `--language kuery`, `eql`, `lucene` and `dsl`"))
}

fn parse(query: &str, language: Language) -> Result<Filter, CliError> {
    let parsed = match language {
        Language::Lucene => lucene::parse_filter(query),
        Language::Dsl => dsl::parse_text(query),
        _ => kql::parse_filter(query),
    };
    parsed.map_err(|diagnostic| CliError::text(diagnostic, query))
}

fn window(args: &SearchArgs, context: &Context) -> Result<Option<Window>, CliError> {
    let time = |flag, text: &Option<String>, rounding| match text {
        Some(text) => context.resolve_time(flag, text, rounding).map(Some),
        None => Ok(None),
    };
    let from = time("--from", &args.from, Rounding::Down)?;
    let to = time("--to", &args.to, Rounding::Up)?;
    match (from, to) {
        (None, None) => Ok(None),
        (from, to) => {
            let window = Window::new(from.unwrap_or(DateTime::<Utc>::MIN_UTC), to.unwrap_or(context.now()));
            if window.from > window.to {
                return Err(CliError::usage("--from is later than --to"));
            }
            Ok(Some(window))
        }
    }
}

fn sort(text: Option<&str>) -> Result<Sort, CliError> {
    let Some(text) = text else { return Ok(Sort { field: Arc::from("@timestamp"), descending: true }) };
    let (field, descending) = match text.rsplit_once(':') {
        None => (text, false),
        Some((field, "asc")) => (field, false),
        Some((field, "desc")) => (field, true),
        Some((_, order)) => {
            return Err(CliError::usage(format!("--sort: `{order}` is no order"))
                .with_help("write FIELD:asc or FIELD:desc"));
        }
    };
    if field.is_empty() {
        return Err(CliError::usage("--sort: there is no field").with_help("write FIELD:asc or FIELD:desc"));
    }
    Ok(Sort { field: Arc::from(field), descending })
}

/// Says what there is to say about the query's fields and values; what Elasticsearch would refuse
/// is an error here as well.
fn check(query: &str, matcher: &Matcher, context: &Context) -> Result<(), CliError> {
    let placed = matcher.diagnostics().into_iter().map(|found| match found.span {
        Some(span) => found.at(query, span),
        None => found,
    });
    let (errors, others): (Vec<Diagnostic>, Vec<Diagnostic>) = placed.partition(Diagnostic::is_error);
    if !errors.is_empty() {
        let findings = errors.into_iter().map(|error| Finding::in_text(error, query));
        return Err(CliError::Text(findings.collect()));
    }
    let worth: Vec<Diagnostic> =
        others.into_iter().filter(|found| found.level == Level::Warning || context.human()).collect();
    context.diagnostics(&worth, Some(query));
    Ok(())
}

fn search(context: &Context, backend: &dyn Backend, request: SearchRequest) -> Result<HitPage, CliError> {
    context.block_on(backend.search(request))?.map_err(CliError::failed)
}

/// The first `size` hits in the order of a field: numbers and dates by their value, text by its
/// characters; events without the field last.
fn sorted(
    context: &Context,
    backend: &dyn Backend,
    mut request: SearchRequest,
    sort: &Sort,
    size: usize,
    date: bool,
) -> Result<HitPage, CliError> {
    request.size = PAGE;
    request.descending = false;
    let mut kept: Vec<(Option<Key>, Hit)> = Vec::new();
    let mut result = HitPage::default();
    loop {
        let page = search(context, backend, request.clone())?;
        (result.total, result.indices) = (page.total, page.indices);
        let Some(last) = page.hits.last() else { break };
        request.after = Some(last.sort.clone());
        kept.extend(page.hits.into_iter().map(|hit| (key(&hit.document.source, sort, date), hit)));
        // Stable, so that equal values stay in the order of time.
        kept.sort_by(|(a, _), (b, _)| compare(a.as_ref(), b.as_ref(), sort.descending));
        kept.truncate(size);
    }
    result.hits = kept.into_iter().map(|(_, hit)| hit).collect();
    Ok(result)
}

/// What a hit is sorted by.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Key {
    Number(f64),
    Text(String),
}

/// The smallest value of a hit, or the greatest when the order is descending, as Elasticsearch
/// takes it from an array.
fn key(source: &Value, sort: &Sort, date: bool) -> Option<Key> {
    let one = |value: &Value| match value {
        Value::Number(number) => number.as_f64().map(Key::Number),
        Value::Bool(value) => Some(Key::Text(value.to_string())),
        Value::String(text) if date => {
            let nanos = crate::ecs::value::date::parse(text, None)?;
            Some(Key::Number(crate::ecs::value::date::millis(nanos) as f64))
        }
        Value::String(text) => Some(Key::Text(text.clone())),
        _ => None,
    };
    match lookup(source, &sort.field)? {
        Value::Array(values) => {
            let keys = values.iter().filter_map(one);
            let order = |a: &Key, b: &Key| a.partial_cmp(b).unwrap_or(Ordering::Equal);
            if sort.descending { keys.max_by(order) } else { keys.min_by(order) }
        }
        value => one(value),
    }
}

fn compare(a: Option<&Key>, b: Option<&Key>, descending: bool) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => {
            let order = a.partial_cmp(b).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
    }
}

fn show(context: &Context, page: &HitPage, size: usize) -> Result<(), CliError> {
    if context.human() {
        people(context, page, size)
    } else {
        let mut records = context.records(&CSV);
        for hit in &page.hits {
            let document = &hit.document;
            let record = Record { index: &document.index, id: &document.id, source: &document.source };
            records.write(&record)?;
        }
        records.finish()?;
        if (page.hits.len() as u64) < page.total {
            context.warn(format!("{} of {} events; --size N for more", page.hits.len(), page.total));
        }
        Ok(())
    }
}

fn people(context: &Context, page: &HitPage, size: usize) -> Result<(), CliError> {
    let shown: Vec<&(&str, &str)> = COLUMNS
        .iter()
        .filter(|(_, path)| page.hits.iter().any(|hit| lookup(&hit.document.source, path).is_some()))
        .collect();
    let mut headers = vec!["time"];
    headers.extend(shown.iter().map(|(name, _)| *name));
    headers.push("_id");
    let mut table = Table::new(&headers);
    for hit in &page.hits {
        let source = &hit.document.source;
        let time = DateTime::from_timestamp_millis(hit.sort.timestamp)
            .map_or_else(|| "-".to_owned(), |at| context.time(at));
        let mut row: Vec<Cell> = vec![Cell::from(time)];
        row.extend(shown.iter().map(|(_, path)| Cell::from(text(lookup(source, path)))));
        row.push(Cell::text(&*hit.document.id));
        table.row(row);
    }
    if !table.is_empty() {
        context.table(&table)?;
    }
    let total = page.total;
    let events = if total == 1 { "event" } else { "events" };
    if size > 0 && (page.hits.len() as u64) < total {
        context.say(format!("{} of {total} {events}; --size N for more", page.hits.len()));
    } else {
        context.say(format!("{total} {events}"));
    }
    Ok(())
}

/// A value as a cell shows it.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => {
            values.iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}
