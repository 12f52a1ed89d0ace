//! Which indices there are, and how their fields are typed.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::BackendError;
use super::{failed, joined};
use crate::base::limits::JSON_NESTING;
use crate::ecs::mapping::{Entry, Mapping};
use crate::ecs::types::FieldType;
use crate::elastic::{Client, ElasticError, Request, segment};

/// How long what was read holds. A field that is new in the meantime is asked for as one of which
/// nothing is known, which is what Kibana does as well.
const HOLDS: Duration = Duration::from_mins(1);
/// Most lists of patterns of which the indices are remembered.
const KEPT: usize = 1_024;

/// What a list of patterns names.
#[derive(Debug, Clone)]
pub(super) struct Indices {
    /// How many concrete indices.
    pub(super) count: usize,
    /// Their fields.
    pub(super) mapping: Arc<Mapping>,
    /// Names of fields whose values lie in no source: constants, aliases, computed at search time.
    pub(super) unsourced: Arc<[String]>,
    /// Fields that the cluster reads in a way that is its own: analysers and normalizers that are
    /// not the standard ones, values computed at search time.
    pub(super) opaque: Arc<HashSet<String>>,
}

/// What was read lately, by list of patterns.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: Mutex<FxHashMap<String, (Instant, Indices)>>,
}

impl Known {
    /// The indices that `patterns` names.
    pub(super) async fn indices(
        &self,
        client: &Client,
        patterns: &[String],
    ) -> Result<Indices, BackendError> {
        let key = joined(patterns);
        {
            let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, indices)) = entries.get(&key)
                && at.elapsed() < HOLDS
            {
                return Ok(indices.clone());
            }
        }
        self.fresh(client, patterns).await
    }

    /// The same, read now.
    pub(super) async fn fresh(&self, client: &Client, patterns: &[String]) -> Result<Indices, BackendError> {
        let key = joined(patterns);
        let indices = read(client, patterns).await?;
        // That there is no index is not remembered: the first event may come any moment.
        if indices.count > 0 {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            if entries.len() >= KEPT {
                entries.clear();
            }
            entries.insert(key, (Instant::now(), indices.clone()));
        }
        Ok(indices)
    }
}

/// Reads the mapping of the cluster's own indices, and what remote ones tell of their fields.
///
/// `_mapping` says everything, but not of remote clusters and not to everyone; `_field_caps` tells
/// all who may read which field has which type.
async fn read(client: &Client, patterns: &[String]) -> Result<Indices, BackendError> {
    // A colon within `<…>` belongs to date math.
    let remote = |pattern: &str| pattern.split('<').next().is_some_and(|name| name.contains(':'));
    let names: Vec<String> = joined(patterns).split(',').map(str::to_owned).collect();
    if !names.iter().any(|name| remote(name)) {
        match own(client, patterns).await {
            Ok(indices) => return Ok(indices),
            Err(error) if error.status() == Some(403) => {
                tracing::debug!(%error, "mappings may not be read: field capabilities are asked instead");
            }
            Err(error) => return Err(failed(&error)),
        }
    }
    capabilities(client, patterns).await.map_err(|error| failed(&error))
}

async fn own(client: &Client, patterns: &[String]) -> Result<Indices, ElasticError> {
    let request = Request::get(format!("/{}/_mapping", segment(&joined(patterns))))
        .query("ignore_unavailable", "true")
        .query("allow_no_indices", "true")
        .accept(404);
    let answer = client.send(&request).await?;
    if answer.status == 404 {
        return Ok(nothing());
    }
    let by_index: std::collections::BTreeMap<String, Box<RawValue>> = answer.json()?;
    // The indices behind a data stream mostly have one mapping between them.
    let mut distinct: HashSet<u64> = HashSet::new();
    let mut mappings = Vec::new();
    let mut opaque = HashSet::new();
    for raw in by_index.values() {
        let mut hasher = DefaultHasher::new();
        raw.get().hash(&mut hasher);
        if distinct.insert(hasher.finish()) {
            let value: Value =
                serde_json::from_str(raw.get()).map_err(|error| answer.unexpected(error.to_string()))?;
            let mut findings = Vec::new();
            mappings.push(Mapping::read(&value, &mut findings));
            let mapping = value.get("mappings").unwrap_or(&Value::Null);
            own_ways(mapping.get("properties"), "", 0, &mut opaque);
            opaque.extend(
                mapping
                    .get("runtime")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.clone()),
            );
            for finding in findings {
                tracing::debug!("{}: {}", client.name(), finding.message);
            }
        }
    }
    let mapping = if mappings.is_empty() { Mapping::empty() } else { Mapping::merged(&mappings) };
    Ok(indices(by_index.len(), mapping, opaque))
}

async fn capabilities(client: &Client, patterns: &[String]) -> Result<Indices, ElasticError> {
    let request = Request::read(format!("/{}/_field_caps", segment(&joined(patterns))))
        .query("fields", "*")
        .query("ignore_unavailable", "true")
        .query("allow_no_indices", "true")
        .accept(404);
    let answer = client.send(&request).await?;
    if answer.status == 404 {
        return Ok(nothing());
    }
    let value: Value = answer.json()?;
    let count = value.get("indices").and_then(Value::as_array).map_or(0, Vec::len);
    let empty = Map::new();
    let fields = value.get("fields").and_then(Value::as_object).unwrap_or(&empty);
    // Nothing is told of how texts are analysed.
    let mapping = from_capabilities(fields);
    let opaque = mapping.below("").filter(|(_, entry)| entry.kind.is_text()).map(|(name, _)| name.to_owned());
    let opaque = opaque.collect();
    Ok(indices(count, mapping, opaque))
}

/// A mapping with the types that `_field_caps` tells; where indices disagree, every type is kept.
fn from_capabilities(fields: &Map<String, Value>) -> Mapping {
    let mut first = Mapping::empty();
    let mut others: Vec<Mapping> = Vec::new();
    for (name, types) in fields {
        let Some(types) = types.as_object() else { continue };
        let own = |kind: &&String| kind.as_str() != "unmapped";
        let metadata =
            types.values().any(|of| of.get("metadata_field").and_then(Value::as_bool) == Some(true));
        if metadata || name.starts_with('_') {
            continue;
        }
        for (place, kind) in types.keys().filter(own).enumerate() {
            let mut entry = Entry::new(FieldType::from_name(kind).unwrap_or(FieldType::Other));
            // The one sign of a multi-field: its parent holds values of its own.
            let above = name.rsplit_once('.').and_then(|(above, _)| fields.get(above));
            let holds = above.and_then(Value::as_object).is_some_and(|types| {
                types.keys().any(|kind| !matches!(kind.as_str(), "object" | "nested" | "unmapped"))
            });
            if holds {
                entry = entry.multi();
            }
            match place {
                0 => first.set(name, entry),
                place => {
                    while others.len() < place {
                        others.push(Mapping::empty());
                    }
                    if let Some(other) = others.get_mut(place - 1) {
                        other.set(name, entry);
                    }
                }
            }
        }
    }
    if others.is_empty() { first } else { Mapping::merged(std::iter::once(&first).chain(&others)) }
}

/// Fields below `properties` that are not read in the standard way.
fn own_ways(properties: Option<&Value>, prefix: &str, depth: usize, out: &mut HashSet<String>) {
    let Some(properties) = properties.and_then(Value::as_object).filter(|_| depth < JSON_NESTING) else {
        return;
    };
    for (name, definition) in properties {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let text = |key: &str| definition.get(key).and_then(Value::as_str);
        let analysed = ["analyzer", "search_analyzer", "search_quote_analyzer"];
        let own = analysed.iter().any(|key| text(key).is_some_and(|name| name != "standard"))
            || text("normalizer").is_some_and(|name| name != "lowercase")
            || ["null_value", "split_queries_on_whitespace", "copy_to"]
                .iter()
                .any(|key| definition.get(key).is_some())
            || text("type").is_some_and(|kind| FieldType::from_name(kind).is_none() && kind != "alias");
        own_ways(definition.get("properties"), &path, depth + 1, out);
        own_ways(definition.get("fields"), &path, depth + 1, out);
        if let Some(targets) = definition.get("copy_to") {
            let targets = targets.as_array().map_or(std::slice::from_ref(targets), Vec::as_slice);
            out.extend(targets.iter().filter_map(Value::as_str).map(str::to_owned));
        }
        if own {
            out.insert(path);
        }
    }
}

fn nothing() -> Indices {
    Indices { count: 0, mapping: Arc::new(Mapping::ecs()), unsourced: Arc::from([]), opaque: Arc::default() }
}

fn indices(count: usize, mapping: Mapping, opaque: HashSet<String>) -> Indices {
    if count == 0 {
        return nothing();
    }
    let constants = mapping.constants().map(|(name, _)| name.to_owned());
    let aliases = mapping.aliases().map(|(name, _)| name.to_owned());
    let unsourced = constants.chain(aliases).collect::<Vec<_>>().into();
    Indices { count, mapping: Arc::new(mapping), unsourced, opaque: Arc::new(opaque) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn field_capabilities_tell_types_conflicts_and_multi_fields() {
        let caps = json!({
            "host": {"object": {"type": "object"}},
            "host.name": {"keyword": {"type": "keyword"}},
            "message": {"text": {"type": "text"}},
            "message.raw": {"keyword": {"type": "keyword"}},
            "port": {"long": {"indices": ["a"]}, "keyword": {"indices": ["b"]}, "unmapped": {}},
            "_id": {"_id": {"metadata_field": true}},
        });
        let mapping = from_capabilities(caps.as_object().unwrap());
        assert_eq!(mapping.resolve("host.name").unwrap().kind, FieldType::Keyword);
        assert_eq!(&*mapping.resolve("message.raw").unwrap().path, "message");
        assert!(mapping.resolve("port").unwrap().conflicting());
        assert!(mapping.resolve("absent").is_none());
    }
}
