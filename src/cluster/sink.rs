//! Alerts in an index of a cluster.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::bulk::{Bulk, Item, Place, Written};
use super::names::{AlertIndex, Mode};
use super::reduce::Reduction;
use crate::alert::lookup::lookup;
use crate::base::window::iso_millis;
use crate::elastic::{Client, ElasticError, Request, segment};
use crate::store::state::{
    AlertQuery, AlertRow, AlertSink, AlertUpdate, Created, Lookup, StateError, StoredAlert, WorkflowStatus,
};

/// Ids asked for in one search.
const IDS: usize = 5_000;
/// Alerts of one page.
const PAGE: usize = 1_000;
/// How often an alert that someone else changes at the same time is changed again.
const CONFLICTS: usize = 5;

/// Fields that are changed: how an alert spells them decides how a change does.
const CHANGED: [&str; 4] =
    ["kibana.alert.workflow_*", "signal.status", "kibana.alert.suppression.*", "kibana.alert.last_detected"];

/// The alert index of a cluster.
#[derive(Debug, Clone)]
pub struct ClusterAlerts {
    client: Arc<Client>,
    index: AlertIndex,
}

/// An alert as a search returned it, with its version.
struct Found {
    index: String,
    id: Arc<str>,
    source: Value,
    place: Place,
    sort: Value,
}

impl ClusterAlerts {
    /// The alert index `index` of the cluster behind `client`.
    pub fn new(client: Arc<Client>, index: AlertIndex) -> Self {
        Self { client, index }
    }

    /// The index.
    pub fn index(&self) -> &AlertIndex {
        &self.index
    }

    /// The cluster.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    async fn search(&self, body: &Value) -> Result<Vec<Found>, ElasticError> {
        let request = Request::read(format!("/{}/_search", segment(&self.index.name)))
            .query("ignore_unavailable", "true")
            .query("allow_no_indices", "true")
            .query("allow_partial_search_results", "false")
            .json(body);
        let answer = self.client.json(&request).await?;
        let hits = answer.pointer("/hits/hits").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(hits
            .into_iter()
            .map(|mut hit| {
                let text = |key: &str| hit.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                let number = |key: &str| hit.get(key).and_then(Value::as_i64).unwrap_or_default();
                Found {
                    index: text("_index"),
                    id: text("_id").into(),
                    place: Place { seq_no: number("_seq_no"), primary_term: number("_primary_term") },
                    sort: hit.get("sort").cloned().unwrap_or_default(),
                    source: hit.get_mut("_source").map(Value::take).unwrap_or_default(),
                }
            })
            .collect())
    }

    /// The alerts of these ids that there are, with the named source fields.
    async fn get(&self, ids: &[Arc<str>], source: Value) -> Result<Vec<Found>, ElasticError> {
        let mut found = Vec::new();
        for chunk in ids.chunks(IDS) {
            let ids: Vec<&str> = chunk.iter().map(AsRef::as_ref).collect();
            let body = json!({
                "size": ids.len(),
                "query": {"ids": {"values": ids}},
                "_source": source,
                "seq_no_primary_term": true,
                "track_total_hits": false,
            });
            found.extend(self.search(&body).await?);
        }
        Ok(found)
    }

    fn bulk(&self) -> Bulk<'_> {
        Bulk {
            client: &self.client,
            index: &self.index.name,
            // A data stream is no alias.
            require_alias: self.index.mode != Mode::External,
            repeatable: true,
        }
    }

    fn item(id: &str, document: &Map<String, Value>) -> Item {
        let body = serde_json::to_string(document).ok();
        Item { action: json!({"create": {"_id": id}}), body }
    }

    /// Which of these alerts, which were there already, the same execution wrote: a request whose
    /// answer got lost was sent again.
    async fn own(&self, alerts: &[(usize, &AlertRow)]) -> Result<Vec<usize>, ElasticError> {
        let ids: Vec<Arc<str>> = alerts.iter().map(|(_, alert)| Arc::clone(&alert.id)).collect();
        let field = "kibana.alert.rule.execution.uuid";
        let executions: HashMap<Arc<str>, String> = self
            .get(&ids, json!([field]))
            .await?
            .into_iter()
            .filter_map(|found| Some((found.id, lookup(&found.source, field)?.as_str()?.to_owned())))
            .collect();
        Ok(alerts
            .iter()
            .filter(|(_, alert)| {
                let ours = parsed(&alert.document);
                let ours = ours.get(field).and_then(Value::as_str);
                ours.is_some() && executions.get(&alert.id).map(String::as_str) == ours
            })
            .map(|(place, _)| *place)
            .collect())
    }

    /// Writes an edit of each alert under the version that was read; where someone else was
    /// faster, reads again. Returns how many there were.
    async fn change(
        &self,
        ids: Vec<Arc<str>>,
        edit: impl Fn(&str, &Value) -> Map<String, Value>,
    ) -> Result<usize, StateError> {
        let mut waiting = ids;
        let mut changed = 0;
        for _ in 0..CONFLICTS {
            let found = self.get(&waiting, json!(CHANGED)).await?;
            let items: Vec<Item> = found
                .iter()
                .map(|alert| Item {
                    action: json!({"update": {
                        "_index": alert.index,
                        "_id": &*alert.id,
                        "if_seq_no": alert.place.seq_no,
                        "if_primary_term": alert.place.primary_term,
                    }}),
                    body: Some(
                        json!({"doc": respelled(&alert.source, edit(&alert.id, &alert.source))}).to_string(),
                    ),
                })
                .collect();
            if items.is_empty() {
                return Ok(changed);
            }
            // An update names the index behind the alias, because only that holds the version.
            let bulk = Bulk { require_alias: false, repeatable: false, ..self.bulk() };
            let mut again = Vec::new();
            for (alert, written) in found.into_iter().zip(bulk.write(&items).await?) {
                match written {
                    Written::Done(_) => changed += 1,
                    Written::Conflict => again.push(alert.id),
                    Written::Refused(refusal) => return Err(StateError::Remote(refusal.to_string())),
                }
            }
            if again.is_empty() {
                return Ok(changed);
            }
            waiting = again;
        }
        Err(StateError::Remote(format!(
            "cluster `{}`: {} alerts are being changed by someone else all the time: try again",
            self.client.name(),
            waiting.len()
        )))
    }

    /// Alerts whose workflow status was set at `seen` (RFC 3339) or later, each with when, oldest
    /// change first; `None`: since ever. What changed at `seen` itself comes again: more may have
    /// changed in that millisecond.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn changed_since(&self, seen: Option<&str>) -> Result<Vec<(String, StoredAlert)>, StateError> {
        const CHANGED: &str = "kibana.alert.workflow_status_updated_at";
        let since = match seen {
            Some(seen) => json!({"range": {CHANGED: {"gte": seen}}}),
            None => json!({"exists": {"field": CHANGED}}),
        };
        let mut changed: Vec<(String, StoredAlert)> = Vec::new();
        let mut after: Option<Value> = None;
        loop {
            let mut body = json!({
                "size": PAGE,
                "query": {"bool": {"filter": [since]}},
                "_source": ["kibana.alert.workflow_*"],
                "track_total_hits": false,
                "sort": [
                    {CHANGED: {"order": "asc", "unmapped_type": "date"}},
                    {"kibana.alert.uuid": {"order": "asc", "unmapped_type": "keyword"}},
                ],
            });
            if let (Some(after), Some(body)) = (after.take(), body.as_object_mut()) {
                body.insert("search_after".to_owned(), after);
            }
            let page = self.search(&body).await?;
            let full = page.len() >= PAGE;
            after = page.last().map(|last| last.sort.clone());
            for found in page {
                let at =
                    lookup(&found.source, CHANGED).and_then(Value::as_str).unwrap_or_default().to_owned();
                changed.push((at, self.stored(found)));
            }
            if !full {
                return Ok(changed);
            }
        }
    }

    fn query(query: &AlertQuery) -> Value {
        let mut filter = Vec::new();
        let mut must_not = Vec::new();
        if let Some(rule) = &query.rule {
            filter.push(json!({"bool": {"minimum_should_match": 1, "should": [
                {"term": {"kibana.alert.rule.rule_id": rule}},
                {"term": {"kibana.alert.rule.uuid": rule}},
            ]}}));
        }
        if let Some(status) = query.status {
            filter.push(json!({"term": {"kibana.alert.workflow_status": status.as_str()}}));
        }
        if let Some(space) = &query.space {
            filter.push(json!({"term": {"kibana.space_ids": space}}));
        }
        let mut range = Map::new();
        for (bound, time) in [("gte", query.from), ("lte", query.to)] {
            if let Some(time) = time {
                range.insert(bound.to_owned(), iso_millis(time).into());
            }
        }
        if !range.is_empty() {
            filter.push(json!({"range": {"@timestamp": range}}));
        }
        if !query.building_blocks {
            must_not.push(json!({"exists": {"field": "kibana.alert.building_block_type"}}));
        }
        json!({"bool": {"filter": filter, "must_not": must_not}})
    }

    fn stored(&self, found: Found) -> StoredAlert {
        let status = lookup(&found.source, "kibana.alert.workflow_status").and_then(Value::as_str);
        StoredAlert {
            id: found.id,
            space: self.index.space.as_str().into(),
            status: status.unwrap_or("open").to_owned(),
            source: found.source,
        }
    }

    /// What became of each of `alerts`, some of which the index may refuse as they are.
    async fn write(&self, alerts: &[AlertRow]) -> Result<Vec<Created>, ElasticError> {
        let mut reductions: Vec<Reduction> =
            alerts.iter().map(|alert| Reduction::new(self.index.shaped(parsed(&alert.document)))).collect();
        let mut created: Vec<Option<Created>> = vec![None; alerts.len()];
        let mut first: HashMap<usize, String> = HashMap::new();
        let mut waiting: Vec<(usize, Item)> = alerts
            .iter()
            .zip(&reductions)
            .map(|(alert, reduction)| Self::item(&alert.id, reduction.alert()))
            .enumerate()
            .collect();
        let mut there = Vec::new();
        while !waiting.is_empty() {
            let (places, items): (Vec<usize>, Vec<Item>) = waiting.into_iter().unzip();
            waiting = Vec::new();
            for (place, written) in places.into_iter().zip(self.bulk().write(&items).await?) {
                let (Some(alert), Some(reduction)) = (alerts.get(place), reductions.get_mut(place)) else {
                    continue;
                };
                let result = match written {
                    Written::Done(_) => first.remove(&place).map_or(Created::New, |reason| {
                        Created::Reduced(format!(
                            "alert {} was written without {}: {reason}",
                            alert.id,
                            reduction.removed()
                        ))
                    }),
                    Written::Conflict => {
                        there.push((place, alert));
                        Created::Duplicate
                    }
                    Written::Refused(refusal) if refusal.status == 400 => {
                        match reduction.without(&refusal.reason) {
                            Some(less) => {
                                first.entry(place).or_insert_with(|| refusal.reason.clone());
                                waiting.push((place, Self::item(&alert.id, &less)));
                                continue;
                            }
                            None => Created::Failed(refusal.to_string()),
                        }
                    }
                    Written::Refused(refusal) => {
                        Created::Failed(self.advise(refusal.status, &refusal.to_string()))
                    }
                };
                if let Some(slot) = created.get_mut(place) {
                    *slot = Some(result);
                }
            }
        }
        if !there.is_empty() {
            for place in self.own(&there).await? {
                if let Some(slot) = created.get_mut(place) {
                    *slot = Some(Created::New);
                }
            }
        }
        let unknown = || Created::Failed("the cluster did not say what became of it".to_owned());
        Ok(created.into_iter().map(|result| result.unwrap_or_else(unknown)).collect())
    }

    fn advise(&self, status: u16, reason: &str) -> String {
        match status {
            404 => format!("{reason}; `tocsin setup` makes `{}`", self.index.name),
            403 => format!(
                "{reason}; the user needs the privileges `create_doc` and `write` on `{}`",
                self.index.name
            ),
            _ => reason.to_owned(),
        }
    }
}

/// A stored document; one that is no object cannot come from here.
fn parsed(document: &str) -> Map<String, Value> {
    serde_json::from_str(document).unwrap_or_default()
}

/// An edit in the spelling of the document: Kibana writes `kibana.alert.x` as one key, other
/// programs as nested objects; a second spelling would be a second value.
fn respelled(source: &Value, edit: Map<String, Value>) -> Value {
    let mut out = Map::new();
    for (name, value) in edit {
        let nested =
            source.get(&name).is_none() && lookup(source, &name).is_some() && source.get("kibana").is_some();
        if nested {
            let mut value = value;
            for part in name.rsplit('.') {
                value = json!({part: value});
            }
            merge(&mut out, value);
        } else {
            out.insert(name, value);
        }
    }
    Value::Object(out)
}

fn merge(out: &mut Map<String, Value>, value: Value) {
    let Value::Object(value) = value else { return };
    for (key, value) in value {
        match out.get_mut(&key).and_then(Value::as_object_mut) {
            Some(below) => merge(below, value),
            None => {
                out.insert(key, value);
            }
        }
    }
}

#[async_trait]
impl AlertSink for ClusterAlerts {
    async fn existing(&self, ids: Vec<Arc<str>>) -> Result<HashSet<Arc<str>>, StateError> {
        Ok(self.get(&ids, json!(false)).await?.into_iter().map(|found| found.id).collect())
    }

    async fn create(&self, alerts: Vec<AlertRow>) -> Result<Vec<Created>, StateError> {
        self.write(&alerts).await.map_err(|error| {
            StateError::Remote(self.advise(error.status().unwrap_or_default(), &error.to_string()))
        })
    }

    async fn update(&self, updates: Vec<AlertUpdate>) -> Result<(), StateError> {
        let ids = updates.iter().map(|update| Arc::clone(&update.id)).collect();
        let fields: HashMap<Arc<str>, Map<String, Value>> =
            updates.into_iter().map(|update| (update.id, update.fields)).collect();
        self.change(ids, |id, _| fields.get(id).cloned().unwrap_or_default()).await?;
        Ok(())
    }

    async fn find(&self, query: &AlertQuery) -> Result<Vec<StoredAlert>, StateError> {
        let wanted = query.size.unwrap_or(usize::MAX);
        let order = if query.ascending { "asc" } else { "desc" };
        let mut alerts: Vec<StoredAlert> = Vec::new();
        let mut after: Option<Value> = None;
        while alerts.len() < wanted {
            let size = PAGE.min(wanted - alerts.len());
            let mut body = json!({
                "size": size,
                "query": Self::query(query),
                "track_total_hits": false,
                "sort": [
                    {"@timestamp": {"order": order, "unmapped_type": "date"}},
                    {"kibana.alert.uuid": {"order": order, "unmapped_type": "keyword"}},
                ],
            });
            if let (Some(after), Some(body)) = (&after, body.as_object_mut()) {
                body.insert("search_after".to_owned(), after.clone());
            }
            let page = self.search(&body).await?;
            let full = page.len() >= size;
            after = page.last().map(|last| last.sort.clone());
            alerts.extend(page.into_iter().map(|found| self.stored(found)));
            if !full {
                break;
            }
        }
        Ok(alerts)
    }

    async fn count(&self, query: &AlertQuery) -> Result<usize, StateError> {
        let request = Request::read(format!("/{}/_count", segment(&self.index.name)))
            .query("ignore_unavailable", "true")
            .query("allow_no_indices", "true")
            .json(&json!({"query": Self::query(query)}));
        let answer = self.client.json(&request).await?;
        let count = answer.get("count").and_then(Value::as_u64).unwrap_or_default();
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    async fn lookup(&self, prefix: &str) -> Result<Lookup, StateError> {
        let body = json!({
            "size": 10,
            "query": {"prefix": {"kibana.alert.uuid": prefix}},
            "sort": [{"kibana.alert.uuid": {"order": "asc", "unmapped_type": "keyword"}}],
            "track_total_hits": false,
        });
        let mut found: Vec<StoredAlert> =
            self.search(&body).await?.into_iter().map(|found| self.stored(found)).collect();
        if found.len() > 1 {
            return Ok(match found.iter().position(|alert| &*alert.id == prefix) {
                Some(exact) => Lookup::One(Box::new(found.swap_remove(exact))),
                None => Lookup::Several(found.into_iter().map(|alert| alert.id).collect()),
            });
        }
        Ok(found.pop().map_or(Lookup::Nothing, |alert| Lookup::One(Box::new(alert))))
    }

    async fn set_workflow_status(
        &self,
        ids: Vec<Arc<str>>,
        status: WorkflowStatus,
        now: DateTime<Utc>,
    ) -> Result<usize, StateError> {
        self.change(ids, |_, _| {
            Map::from_iter([
                ("kibana.alert.workflow_status".to_owned(), status.as_str().into()),
                ("kibana.alert.workflow_status_updated_at".to_owned(), iso_millis(now).into()),
            ])
        })
        .await
    }

    async fn tag(
        &self,
        ids: Vec<Arc<str>>,
        add: Vec<String>,
        remove: Vec<String>,
    ) -> Result<usize, StateError> {
        self.change(ids, |_, source| {
            let mut tags = match lookup(source, "kibana.alert.workflow_tags") {
                Some(Value::Array(tags)) => tags.clone(),
                Some(Value::Null) | None => Vec::new(),
                Some(one) => vec![one.clone()],
            };
            tags.retain(|tag| !remove.iter().any(|gone| tag == gone));
            for tag in &add {
                if !tags.iter().any(|there| there == tag) {
                    tags.push(tag.as_str().into());
                }
            }
            Map::from_iter([("kibana.alert.workflow_tags".to_owned(), Value::Array(tags))])
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_spelled_as_the_document_is() {
        let edit = || Map::from_iter([("kibana.alert.workflow_status".to_owned(), json!("closed"))]);
        let dotted = json!({"kibana.alert.workflow_status": "open"});
        assert_eq!(respelled(&dotted, edit()), json!({"kibana.alert.workflow_status": "closed"}));
        let nested = json!({"kibana": {"alert": {"workflow_status": "open"}}});
        assert_eq!(respelled(&nested, edit()), json!({"kibana": {"alert": {"workflow_status": "closed"}}}));
        let neither = json!({"kibana": {"alert": {"workflow_tags": []}}});
        assert_eq!(respelled(&neither, edit()), json!({"kibana.alert.workflow_status": "closed"}));
    }
}
