//! `tocsin search --language eql`.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::{PAGE, Record, SearchArgs, check, search, show, stream, text};
use crate::backend::join::{EventRef, JoinRequest, documents, join};
use crate::backend::{Backend, Hit, HitPage, Scope, SearchRequest};
use crate::base::limits::PIPED_EVENTS;
use crate::cli::output::lookup;
use crate::cli::table::Cell;
use crate::cli::{CliError, Context, Outcome, Table};
use crate::ecs::document::Document;
use crate::ecs::flat::FlatDoc;
use crate::ecs::mapping::Mapping;
use crate::query::eval::Matcher;
use crate::query::eval::eql::{Counted, Joined, KeyValue, Piped, pipes};
use crate::query::lang::eql::{Lowering, lower, parse, unknown_categories};
use crate::query::plan::{EqlPlan, EqlQuery, Filter, PipeStep};

/// Columns of `--format csv` for sequences and samples.
const JOINED_CSV: [&str; 2] = ["join_keys", "events"];
/// Columns of `--format csv` for counts.
const COUNTS_CSV: [&str; 3] = ["count", "percent", "key"];

/// A sequence or sample as scripts read it.
#[derive(Debug, Serialize)]
struct JoinedRecord<'a> {
    join_keys: Vec<Value>,
    events: Vec<EventRecord<'a>>,
}

/// An event of a sequence as scripts read it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum EventRecord<'a> {
    Hit(Record<'a>),
    Missing {
        #[serde(rename = "_index")]
        index: &'static str,
        #[serde(rename = "_id")]
        id: &'static str,
        missing: bool,
    },
}

/// A count as scripts read it.
#[derive(Debug, Serialize)]
struct CountRecord {
    count: usize,
    percent: f64,
    key: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Value>,
}

/// The query, lowered.
pub(super) fn query(args: &SearchArgs) -> Result<EqlQuery, CliError> {
    let wrong = |found| CliError::text(found, args.query.as_str());
    let lowering = match &args.event_category_field {
        Some(field) => Lowering { category_field: Arc::from(field.as_str()) },
        None => Lowering::default(),
    };
    lower(&parse(&args.query).map_err(wrong)?, &args.query, &lowering).map_err(wrong)
}

/// Says which categories of the query are probably misspelled.
fn check_categories(args: &SearchArgs, context: &Context) {
    let Ok(parsed) = parse(&args.query) else { return };
    if args.event_category_field.is_some() {
        return;
    }
    for unknown in unknown_categories(&parsed, &args.query) {
        if let Some(near) = unknown.near {
            context.warn(format!("`{}` is no `event.category` of ECS: did you mean `{near}`?", unknown.name));
        }
    }
}

/// Searches and shows what was found, the oldest first. `request` says where and when; its filter
/// is not looked at.
pub(super) fn run(
    args: &SearchArgs,
    query: &EqlQuery,
    request: SearchRequest,
    mapping: &Mapping,
    backend: &dyn Backend,
    context: &Context,
) -> Result<Outcome, CliError> {
    let whole = Arc::new(query.plan.filter());
    let searches: Vec<Arc<Filter>> = match query.plan.searches() {
        [] => vec![Arc::clone(&whole)],
        searches => searches.to_vec(),
    };
    check_categories(args, context);
    for filter in &searches {
        check(&args.query, &Matcher::compile(filter, mapping, context.now()), context)?;
    }
    let request = SearchRequest { filter: whole, descending: false, ..request };
    let indices = if matches!(query.plan, EqlPlan::Event(_)) {
        events(args, query, request, mapping, backend, context)?
    } else {
        joined(args, query, &request, mapping, backend, context)?
    };
    if indices == 0 {
        context.warn(format!("no index is called `{}`", args.index.join(",")));
    }
    Ok(Outcome::Fine)
}

fn events(
    args: &SearchArgs,
    query: &EqlQuery,
    request: SearchRequest,
    mapping: &Mapping,
    backend: &dyn Backend,
    context: &Context,
) -> Result<usize, CliError> {
    if query.pipes.is_empty() {
        if args.size > 0 {
            return stream(context, backend, &request, None);
        }
        let page = search(context, backend, request)?;
        show(context, &page, 0)?;
        return Ok(page.indices);
    }
    let (hits, indices) = all(query, request, backend, context)?;
    let piped = pipes(hits, &query.pipes, mapping, context.now(), |hit: &Hit| {
        FlatDoc::from_value(&hit.document.source)
    });
    match piped {
        Piped::Results(mut hits) => {
            let total = hits.len() as u64;
            hits.truncate(args.size);
            show(context, &HitPage { hits, total, indices }, args.size)?;
        }
        Piped::Counts(rows) => counts(rows, args.size, context, |hit| record(&hit.document))?,
    }
    Ok(indices)
}

/// What the pipes need: the first or the last hits where that is what they take, else all of them.
fn all(
    query: &EqlQuery,
    mut request: SearchRequest,
    backend: &dyn Backend,
    context: &Context,
) -> Result<(Vec<Hit>, usize), CliError> {
    let most = match query.pipes.first() {
        Some(PipeStep::Head(count)) => *count,
        Some(PipeStep::Tail(count)) => {
            request.descending = true;
            *count
        }
        _ => usize::MAX,
    };
    request.size = PAGE;
    let mut hits: Vec<Hit> = Vec::new();
    let mut indices;
    loop {
        let page = search(context, backend, request.clone())?;
        indices = page.indices;
        let full = page.hits.len() >= PAGE;
        request.after = page.hits.last().map(|hit| hit.sort.clone());
        hits.extend(page.hits);
        if hits.len() >= most || !full {
            break;
        }
        if hits.len() > PIPED_EVENTS {
            return Err(CliError::failed(format!("the pipes need more than {PIPED_EVENTS} events"))
                .with_help("take fewer with `| head N` first, or search less time with --from"));
        }
    }
    hits.truncate(most);
    if request.descending {
        hits.reverse();
    }
    Ok((hits, indices))
}

fn joined(
    args: &SearchArgs,
    query: &EqlQuery,
    request: &SearchRequest,
    mapping: &Mapping,
    backend: &dyn Backend,
    context: &Context,
) -> Result<usize, CliError> {
    let asked = JoinRequest {
        scope: Scope::of(request),
        plan: Arc::new(query.plan.clone()),
        timestamp: Arc::clone(&request.time.primary),
        tiebreaker: args.tiebreaker_field.as_deref().map(Arc::from),
    };
    let page = context.block_on(join(backend, &asked))?.map_err(CliError::failed)?;
    for warning in &page.warnings {
        context.warn(warning.clone());
    }
    let mut found = page.found;
    let total = found.len();
    if query.pipes.is_empty() {
        found.truncate(args.size);
    }
    let found = context.block_on(documents(backend, found))?.map_err(CliError::failed)?;
    let piped = pipes(found, &query.pipes, mapping, context.now(), |joined| {
        let first = joined.events.iter().flatten().next();
        first.map_or_else(FlatDoc::default, |(_, document)| FlatDoc::from_value(&document.source))
    });
    match piped {
        Piped::Results(mut found) => {
            let total = if query.pipes.is_empty() { total } else { found.len() };
            found.truncate(args.size);
            show_joined(&found, total, context)?;
        }
        Piped::Counts(rows) => counts(rows, args.size, context, |joined| json(&joined))?,
    }
    Ok(page.indices)
}

fn record(document: &Document) -> Value {
    let record = Record { index: &document.index, id: &document.id, source: &document.source };
    serde_json::to_value(record).unwrap_or_default()
}

fn joined_record(joined: &Joined<(EventRef, Document)>) -> JoinedRecord<'_> {
    let events = joined.events.iter().map(|event| match event {
        None => EventRecord::Missing { index: "", id: "", missing: true },
        Some((_, document)) => {
            EventRecord::Hit(Record { index: &document.index, id: &document.id, source: &document.source })
        }
    });
    JoinedRecord { join_keys: joined.key.iter().map(KeyValue::json).collect(), events: events.collect() }
}

fn json(joined: &Joined<(EventRef, Document)>) -> Value {
    serde_json::to_value(joined_record(joined)).unwrap_or_default()
}

fn show_joined(
    found: &[Joined<(EventRef, Document)>],
    total: usize,
    context: &Context,
) -> Result<(), CliError> {
    if !context.human() {
        let mut records = context.records(&JOINED_CSV);
        for joined in found {
            records.write(&joined_record(joined))?;
        }
        records.finish()?;
        if found.len() < total {
            context.warn(format!("{} of {total}; --size N for more", found.len()));
        }
        return Ok(());
    }
    let mut table = Table::new(&["#", "keys", "time", "action", "user", "_id"]);
    for (number, joined) in found.iter().enumerate() {
        let keys: Vec<String> = joined.key.iter().map(|value: &KeyValue| text(Some(&value.json()))).collect();
        for (position, event) in joined.events.iter().enumerate() {
            let first = position == 0;
            let mut row: Vec<Cell> = vec![
                Cell::from(if first { (number + 1).to_string() } else { String::new() }),
                Cell::from(if first { keys.join(", ") } else { String::new() }),
            ];
            match event {
                None => row.extend(["-", "(missing)", "", ""].map(|text| Cell::from(text.to_owned()))),
                Some((event, document)) => {
                    let time = chrono::DateTime::from_timestamp_millis(event.timestamp);
                    row.push(Cell::from(time.map_or_else(|| "-".to_owned(), |at| context.time(at))));
                    row.push(Cell::from(text(lookup(&document.source, "event.action"))));
                    row.push(Cell::from(text(lookup(&document.source, "user.name"))));
                    row.push(Cell::text(&*document.id));
                }
            }
            table.row(row);
        }
    }
    if !table.is_empty() {
        context.table(&table)?;
    }
    if found.len() < total {
        context.say(format!("{} of {total}; --size N for more", found.len()));
    } else {
        context.say(format!("{total} found"));
    }
    Ok(())
}

fn counts<T>(
    rows: Vec<Counted<T>>,
    size: usize,
    context: &Context,
    event: impl Fn(T) -> Value,
) -> Result<(), CliError> {
    let records: Vec<CountRecord> = rows
        .into_iter()
        .take(size)
        .map(|row| CountRecord {
            count: row.count,
            percent: row.share,
            key: row.key,
            event: row.first.map(&event),
        })
        .collect();
    if !context.human() {
        let mut out = context.records(&COUNTS_CSV);
        for record in &records {
            out.write(record)?;
        }
        out.finish()?;
        return Ok(());
    }
    let mut table = Table::new(&["count", "percent", "key"]);
    for record in &records {
        let key: Vec<String> = record.key.iter().map(|value| text(Some(value))).collect();
        table.row(vec![
            Cell::from(record.count.to_string()),
            Cell::from(format!("{:.1} %", record.percent * 100.0)),
            Cell::from(key.join(", ")),
        ]);
    }
    context.table(&table)
}
