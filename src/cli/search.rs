//! `tocsin search`: events that match a query.

mod eql;
mod shown;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::error::Finding;
use super::{CliError, Context, Outcome};
use crate::backend::{Backend, FieldOrder, Hit, HitPage, SearchRequest, TimeField, stream_hits};
use crate::base::datemath::Rounding;
use crate::base::diagnostic::{Diagnostic, Level};
use crate::base::window::Window;
use crate::query::eval::Matcher;
use crate::query::lang::{dsl, kql, lucene};
use crate::query::plan::{Filter, Node};
use shown::{Record, Shown, text};

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

/// How hits are ordered.
struct Sort {
    field: Arc<str>,
    descending: bool,
}

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
    if args.size == 0 {
        let page = search(context, &*backend, request)?;
        warn_of_no_index(&args, page.indices, context);
        show(context, &page, 0)?;
        return Ok(Outcome::Fine);
    }
    // The backend orders by the time that it searches on.
    let order =
        (*sort.field != *time).then_some(FieldOrder { field: sort.field, descending: sort.descending });
    let request = SearchRequest { descending: request.descending && order.is_none(), ..request };
    let indices = stream(context, &*backend, &request, order.as_ref())?;
    warn_of_no_index(&args, indices, context);
    Ok(Outcome::Fine)
}

/// Shows hits as they come; how many indices there were.
fn stream(
    context: &Context,
    backend: &dyn Backend,
    request: &SearchRequest,
    order: Option<&FieldOrder>,
) -> Result<usize, CliError> {
    let mut shown = Shown::new(context);
    let streamed = context.block_on(stream_hits(backend, request, order, &mut |hit| shown.take(&hit)))?;
    let end = streamed.map_err(CliError::failed)?;
    shown.finish(end.total)?;
    Ok(end.indices)
}

fn warn_of_no_index(args: &SearchArgs, indices: usize, context: &Context) {
    if indices == 0 {
        context.warn(format!("no index is called `{}`", args.index.join(",")));
    }
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

/// Shows a page of hits.
fn show(context: &Context, page: &HitPage, size: usize) -> Result<(), CliError> {
    let mut shown = Shown::new(context);
    for Hit { document, sort } in &page.hits {
        shown.document(&document.index, &document.id, sort.timestamp, &document.source)?;
    }
    if size == 0 { shown.count(page.total) } else { shown.finish(page.total) }
}
