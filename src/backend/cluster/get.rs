//! Documents by name.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{BackendError, DocumentRef};
use super::{ClusterBackend, failed};
use crate::ecs::document::Document;
use crate::elastic::{ElasticError, Request};

/// Documents asked for at once.
const TOGETHER: usize = 500;

#[derive(Deserialize)]
struct Answer {
    docs: Vec<Got>,
}

#[derive(Deserialize)]
struct Got {
    #[serde(default)]
    found: bool,
    #[serde(default, rename = "_source")]
    source: Option<Value>,
    error: Option<Value>,
}

/// The documents of these names, in the order asked.
pub(super) async fn get(
    backend: &ClusterBackend,
    names: &[DocumentRef],
) -> Result<Vec<Option<Document>>, BackendError> {
    let mut documents = vec![None; names.len()];
    // From the back, so that parts come off the stack in order.
    let mut parts: Vec<(usize, &[DocumentRef])> =
        names.chunks(TOGETHER).enumerate().map(|(place, part)| (place * TOGETHER, part)).collect();
    while let Some((first, part)) = parts.pop() {
        let docs: Vec<Value> =
            part.iter().map(|name| json!({"_index": &*name.index, "_id": &*name.id})).collect();
        let request = Request::read("/_mget").json(&json!({ "docs": docs }));
        let answer = match backend.client().send(&request).await {
            Ok(answer) => answer,
            Err(ElasticError::TooLarge { .. }) if part.len() > 1 => {
                let middle = part.len() / 2;
                let (left, right) = part.split_at(middle);
                parts.extend([(first, left), (first + middle, right)]);
                continue;
            }
            Err(error) => return Err(failed(&error)),
        };
        let Answer { docs } = answer.json().map_err(|error| failed(&error))?;
        if docs.len() != part.len() {
            let error = answer.unexpected(format!("{} documents asked, {} answered", part.len(), docs.len()));
            return Err(failed(&error));
        }
        for (place, (name, got)) in part.iter().zip(docs).enumerate() {
            // An index that is gone has none of its documents.
            if got.error.is_some() {
                continue;
            }
            if let (true, Some(source), Some(slot)) =
                (got.found, got.source, documents.get_mut(first + place))
            {
                *slot = Some(Document::new(name.index.clone(), name.id.clone(), source));
            }
        }
    }
    Ok(documents)
}
