//! `_eql/search`, where the cluster has it.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::BackendError;
use super::super::join::{NativePage, NativeRequest};
use super::query::{in_time, push};
use super::{ClusterBackend, failed, joined};
use crate::ecs::document::Document;
use crate::elastic::{ElasticError, Product, Request, Version, segment};
use crate::query::compile::elastic::{EqlSearch, eql_body};
use crate::query::plan::{Filter, Node};

/// From here on a search says whether part of an answer will do; before, part of one never did.
const SAYS_PARTIAL: Version = Version::new(8, 18, 0);

/// Runs EQL on the cluster; `None` where it has none, or cannot decide what else restricts events.
pub(super) async fn eql(
    backend: &ClusterBackend,
    request: &NativeRequest,
) -> Result<Option<NativePage>, BackendError> {
    let client = backend.client();
    if backend.inner.without_eql.load(std::sync::atomic::Ordering::Relaxed) {
        return Ok(None);
    }
    let flavour = client.flavour().await.map_err(|error| failed(&error))?;
    // Without the endpoint, older versions take the path for that of a document to be written.
    if flavour.product != Product::Elasticsearch || flavour.plain {
        return Ok(None);
    }
    let search = request.scope.search(0);
    let indices = backend.indices(&search.indices).await?;
    if indices.count == 0 {
        return Ok(Some(NativePage::default()));
    }
    // What is computed is in the query's text as well; everything else must be decided there.
    let pushed = push(&without_scalars(&search.filter), &indices.mapping, search.now);
    if !pushed.exact {
        return Ok(None);
    }
    let body = eql_body(
        &EqlSearch {
            query: &request.text,
            category_field: request.category_field.as_deref(),
            timestamp_field: request.timestamp_field.as_deref(),
            tiebreaker_field: request.tiebreaker_field.as_deref(),
            size: request.size,
            partial: (flavour.version >= SAYS_PARTIAL).then_some(false),
        },
        Some(&in_time(pushed.query, &search)),
        None,
    );
    let asked = Request::read(format!("/{}/_eql/search", segment(&joined(&search.indices))))
        .query("ignore_unavailable", "true")
        .query("allow_no_indices", "true");
    let answer: Answer = match client.send(&asked.json(&body)).await {
        Ok(answer) => answer.json().map_err(|error| failed(&error))?,
        Err(error) if no_handler(&error) => {
            backend.inner.without_eql.store(true, std::sync::atomic::Ordering::Relaxed);
            return Ok(None);
        }
        Err(error) => return Err(failed(&error)),
    };
    if answer.is_partial || answer.timed_out {
        let name = client.name();
        return Err(BackendError::Failed(format!("cluster `{name}`: the EQL search was not finished there")));
    }
    let found = answer.hits.sequences.into_iter().map(|sequence| {
        let events = sequence.events.into_iter().filter(|event| !event.missing);
        let document =
            |event: RawEvent| Document::new(event.index, event.id, event.source.unwrap_or_else(|| json!({})));
        events.map(document).collect()
    });
    Ok(Some(NativePage { found: found.collect(), indices: indices.count }))
}

/// Whether the cluster has no such endpoint: a distribution without it, or one that may not.
fn no_handler(error: &ElasticError) -> bool {
    error.refusal().is_some_and(|refusal| {
        let reason = refusal.reason.to_ascii_lowercase();
        matches!(refusal.status, 400 | 404 | 405)
            && (reason.contains("no handler found")
                || reason.contains("incorrect http method")
                || reason.contains("invalid index name [_eql]")
                || (reason.contains("_eql/search]") && reason.contains("unrecognized parameter")))
    })
}

/// The filter where everything that is computed holds.
fn without_scalars(filter: &Filter) -> Filter {
    let each = |children: &[Filter]| children.iter().map(without_scalars).collect();
    let node = match &filter.node {
        Node::Scalar { .. } => Node::All,
        Node::And(children) => Node::And(each(children)),
        Node::Or(children) => Node::Or(each(children)),
        other => other.clone(),
    };
    Filter { node, span: filter.span }
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    is_partial: bool,
    #[serde(default)]
    timed_out: bool,
    #[serde(default)]
    hits: RawHits,
}

#[derive(Debug, Default, Deserialize)]
struct RawHits {
    #[serde(default)]
    sequences: Vec<RawSequence>,
}

#[derive(Debug, Deserialize)]
struct RawSequence {
    events: Vec<RawEvent>,
}

#[derive(Debug, Deserialize)]
struct RawEvent {
    #[serde(default, rename = "_index")]
    index: Arc<str>,
    #[serde(default, rename = "_id")]
    id: Arc<str>,
    #[serde(default, rename = "_source")]
    source: Option<Value>,
    #[serde(default)]
    missing: bool,
}
