//! Bulk requests: many writes at once, what became of each.

use std::time::Duration;

use serde_json::Value;

use crate::elastic::{Client, ElasticError, Method, Refusal, Request, segment};

/// Items of one request at most.
const ITEMS: usize = 1_000;
/// Bytes of one request at most, unless one item is larger.
const BYTES: usize = 8 * 1024 * 1024;
/// How often an item that the cluster is too busy for is sent again.
const RETRIES: u32 = 6;
/// Wait before the first of these; doubled each time.
const WAIT: Duration = Duration::from_millis(200);

/// One write: the line that says what to do, and the document where it has one.
#[derive(Debug, Clone)]
pub struct Item {
    /// `{"create": {"_id": …}}`
    pub action: Value,
    /// The document, or what an update takes, JSON.
    pub body: Option<String>,
}

impl Item {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.action.to_string().as_bytes());
        out.push(b'\n');
        if let Some(body) = &self.body {
            out.extend_from_slice(body.as_bytes());
            out.push(b'\n');
        }
    }
}

/// What became of an item.
#[derive(Debug, Clone)]
pub enum Written {
    /// Done; where it lies now.
    Done(Place),
    /// Not done: there was one of that id, or a newer version.
    Conflict,
    /// The cluster refused it.
    Refused(Refusal),
}

/// The version of a document that a write left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// `_seq_no`
    pub seq_no: i64,
    /// `_primary_term`
    pub primary_term: i64,
}

/// A bulk request to one index.
#[derive(Debug, Clone)]
pub struct Bulk<'c> {
    /// The cluster.
    pub client: &'c Client,
    /// Index, alias or data stream.
    pub index: &'c str,
    /// Whether `index` must be an alias: a missing one is then no reason to make an index of that
    /// name without a mapping.
    pub require_alias: bool,
    /// Whether all items may be sent twice: creates under explicit ids.
    pub repeatable: bool,
}

impl Bulk<'_> {
    /// Writes items in order; what became of each, in the same order. Items for which the cluster
    /// is too busy are sent again, with growing waits.
    ///
    /// # Errors
    /// When a whole request fails: then nothing is known of its items.
    pub async fn write(&self, items: &[Item]) -> Result<Vec<Written>, ElasticError> {
        let mut written: Vec<Option<Written>> = vec![None; items.len()];
        let mut waiting: Vec<usize> = (0..items.len()).collect();
        for attempt in 0..=RETRIES {
            let mut busy = Vec::new();
            for chunk in chunks(items, &waiting) {
                for (place, result) in chunk.iter().zip(self.send(items, &chunk).await?) {
                    let again = matches!(&result, Written::Refused(refusal)
                        if matches!(refusal.status, 429 | 502 | 503 | 504))
                        && attempt < RETRIES;
                    if again {
                        busy.push(*place);
                    } else if let Some(slot) = written.get_mut(*place) {
                        *slot = Some(result);
                    }
                }
            }
            if busy.is_empty() {
                break;
            }
            tracing::warn!(
                "cluster `{}` is too busy for {} writes: sent again",
                self.client.name(),
                busy.len()
            );
            tokio::time::sleep(WAIT * 2_u32.saturating_pow(attempt)).await;
            waiting = busy;
        }
        let unknown = || {
            Written::Refused(Refusal {
                cluster: self.client.name().to_owned(),
                status: 0,
                kind: None,
                reason: "the cluster did not say what became of it".to_owned(),
                index: None,
            })
        };
        Ok(written.into_iter().map(|result| result.unwrap_or_else(unknown)).collect())
    }

    async fn send(&self, items: &[Item], chunk: &[usize]) -> Result<Vec<Written>, ElasticError> {
        let mut text = Vec::new();
        for item in chunk.iter().filter_map(|place| items.get(*place)) {
            item.write(&mut text);
        }
        let mut request = Request::write(Method::Post, format!("/{}/_bulk", segment(self.index)))
            .query("refresh", "true")
            .ndjson(text);
        if self.require_alias {
            request = request.query("require_alias", "true");
        }
        if self.repeatable {
            request = request.repeatable();
        }
        let answer = self.client.send(&request).await?;
        let body: Value = answer.json()?;
        let results = body.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if results.len() != chunk.len() {
            return Err(answer.unexpected(format!("{} results for {} items", results.len(), chunk.len())));
        }
        Ok(results.iter().map(|item| self.read(item)).collect())
    }

    fn read(&self, item: &Value) -> Written {
        let Some(result) = item.as_object().and_then(|object| object.values().next()) else {
            return Written::Refused(Refusal::read(self.client.name(), 0, item));
        };
        let number = |key: &str| result.get(key).and_then(Value::as_i64).unwrap_or_default();
        let status = u16::try_from(number("status")).unwrap_or(0);
        match status {
            200..=299 => {
                Written::Done(Place { seq_no: number("_seq_no"), primary_term: number("_primary_term") })
            }
            409 => Written::Conflict,
            _ => Written::Refused(Refusal::read(self.client.name(), status, result)),
        }
    }
}

/// The places of the items of each request.
fn chunks(items: &[Item], places: &[usize]) -> Vec<Vec<usize>> {
    let mut chunks = Vec::new();
    let mut chunk = Vec::new();
    let mut bytes = 0;
    for place in places {
        let size = items.get(*place).and_then(|item| item.body.as_ref()).map_or(0, String::len) + 200;
        if !chunk.is_empty() && (chunk.len() >= ITEMS || bytes + size > BYTES) {
            chunks.push(std::mem::take(&mut chunk));
            bytes = 0;
        }
        bytes += size;
        chunk.push(*place);
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_bounded_in_items_and_bytes_and_nothing_is_left_out() {
        let item = |bytes: usize| Item { action: Value::Null, body: Some("x".repeat(bytes)) };
        let mut items: Vec<Item> = (0..2_500).map(|_| item(10)).collect();
        items.push(item(BYTES + 1));
        items.push(item(BYTES / 2 + 1));
        items.push(item(BYTES / 2));
        let places: Vec<usize> = (0..items.len()).collect();
        let chunks = chunks(&items, &places);
        assert_eq!(chunks.concat(), places);
        let sizes: Vec<usize> = chunks.iter().map(Vec::len).collect();
        assert_eq!(sizes, [1_000, 1_000, 500, 1, 1, 1]);
    }
}
