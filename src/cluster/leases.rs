//! Several runners on one cluster: signs of life, leases and claims in the state index.
//!
//! Leases and claims are read by id, which a cluster answers from its newest writes; only signs of
//! life are searched for, and those may be a refresh old.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::bulk::{Bulk, Item, Place, Written};
use super::state::{ClusterState, rule_key};
use crate::elastic::{ElasticError, Request, segment};
use crate::store::state::{Lease, LeaseStore, Member, RuleState, StateError, Version};

/// Documents of one request by id.
const PAGE: usize = 500;
/// How often a rule's state that someone else writes at the same time is claimed again.
const CONFLICTS: usize = 5;

fn member_key(id: &str) -> String {
    format!("member:{id}")
}

fn lease_key(partition: u32) -> String {
    format!("lease:{partition}")
}

fn conditional(key: &str, place: Option<Place>) -> Value {
    match place {
        Some(place) => json!({"index": {
            "_id": key, "if_seq_no": place.seq_no, "if_primary_term": place.primary_term,
        }}),
        None => json!({"create": {"_id": key}}),
    }
}

impl ClusterState {
    /// Documents by id with their versions, by id; those that are missing are left out.
    async fn by_id<T: DeserializeOwned>(
        &self,
        ids: &[String],
    ) -> Result<HashMap<String, (T, Place)>, StateError> {
        let mut found = HashMap::new();
        for ids in ids.chunks(PAGE) {
            let request =
                Request::read(format!("/{}/_mget", segment(self.index()))).json(&json!({"ids": ids}));
            let answer = self.client().json(&request).await.map_err(|error| Self::advised(&error))?;
            for document in answer.get("docs").and_then(Value::as_array).into_iter().flatten() {
                let number = |key: &str| document.get(key).and_then(Value::as_i64).unwrap_or_default();
                let (Some(id), Some(payload)) =
                    (document.get("_id").and_then(Value::as_str), document.pointer("/_source/payload"))
                else {
                    continue;
                };
                let value =
                    serde_json::from_value(payload.clone()).map_err(|error| Self::damaged(id, &error))?;
                let place = Place { seq_no: number("_seq_no"), primary_term: number("_primary_term") };
                found.insert(id.to_owned(), (value, place));
            }
        }
        Ok(found)
    }

    async fn write(&self, items: &[Item]) -> Result<Vec<Written>, StateError> {
        // Sent twice a conditional write would conflict with itself.
        let bulk =
            Bulk { client: self.client(), index: self.index(), require_alias: false, repeatable: false };
        bulk.write(items).await.map_err(|error: ElasticError| Self::advised(&error))
    }

    /// Raises the token of rules; see [`crate::store::state::StateStore::claim`].
    pub(super) async fn claim_rules(
        &self,
        rules: &[(Arc<str>, Arc<str>)],
        fence: i64,
    ) -> Result<HashMap<String, RuleState>, StateError> {
        let mut claimed = HashMap::new();
        let mut waiting = rules.to_vec();
        for _ in 0..CONFLICTS {
            if waiting.is_empty() {
                return Ok(claimed);
            }
            let ids: Vec<String> = waiting.iter().map(|(uuid, _)| rule_key(uuid)).collect();
            let mut there: HashMap<String, (RuleState, Place)> = self.by_id(&ids).await?;
            let mut states = Vec::with_capacity(waiting.len());
            let mut items = Vec::with_capacity(waiting.len());
            for ((uuid, rule_id), key) in waiting.iter().zip(&ids) {
                let (mut state, place) = match there.remove(key) {
                    Some((state, place)) => (state, Some(place)),
                    None => (RuleState::new(uuid, rule_id), None),
                };
                if state.fence > fence {
                    return Err(StateError::Fenced { rule: rule_id.to_string() });
                }
                state.fence = fence;
                let body = Some(Self::document("rule", uuid, key, 0, &state));
                items.push(Item { action: conditional(key, place), body });
                states.push(state);
            }
            let mut again = Vec::new();
            for ((rule, state), written) in waiting.into_iter().zip(states).zip(self.write(&items).await?) {
                match written {
                    Written::Done(place) => {
                        self.remember(&state, place);
                        claimed.insert(state.rule.clone(), state);
                    }
                    // Its runner wrote in between: what it wrote is to be known.
                    Written::Conflict => again.push(rule),
                    Written::Refused(refusal) => return Err(StateError::Remote(refusal.to_string())),
                }
            }
            waiting = again;
        }
        match waiting.first() {
            None => Ok(claimed),
            Some((_, rule_id)) => Err(StateError::Remote(format!(
                "another runner writes the state of rule `{rule_id}` all the time"
            ))),
        }
    }
}

#[async_trait]
impl LeaseStore for ClusterState {
    async fn members(&self) -> Result<Vec<Member>, StateError> {
        let found = self.all(json!([{"term": {"type": "member"}}]), None).await;
        let found = found.map_err(|error| Self::advised(&error))?;
        let read = |(payload, _): (Value, Place)| {
            serde_json::from_value(payload).map_err(|error| Self::damaged("a runner's sign of life", &error))
        };
        found.into_iter().map(read).collect()
    }

    async fn beat(&self, member: Member) -> Result<(), StateError> {
        let key = member_key(&member.id);
        let body = Some(Self::document("member", "", &key, 0, &member));
        let item = Item { action: json!({"index": {"_id": key}}), body };
        match self.write(&[item]).await?.pop() {
            Some(Written::Done(_)) => Ok(()),
            other => Err(StateError::Remote(format!("the sign of life was not written: {other:?}"))),
        }
    }

    async fn remove(&self, id: Arc<str>) -> Result<(), StateError> {
        let item = Item { action: json!({"delete": {"_id": member_key(&id)}}), body: None };
        self.write(&[item]).await.map(drop)
    }

    async fn leases(&self, partitions: u32) -> Result<Vec<(Lease, Version)>, StateError> {
        let ids: Vec<String> = (0..partitions).map(lease_key).collect();
        let mut found: Vec<(Lease, Version)> = self
            .by_id(&ids)
            .await?
            .into_values()
            .map(|(lease, place): (Lease, Place)| (lease, (place.seq_no, place.primary_term)))
            .collect();
        found.sort_by_key(|(lease, _)| lease.partition);
        Ok(found)
    }

    async fn swap(&self, leases: Vec<(Lease, Option<Version>)>) -> Result<Vec<bool>, StateError> {
        let items: Vec<Item> = leases
            .iter()
            .map(|(lease, read)| {
                let key = lease_key(lease.partition);
                let place = read.map(|(seq_no, primary_term)| Place { seq_no, primary_term });
                let body = Some(Self::document("lease", "", &key, i64::from(lease.partition), lease));
                Item { action: conditional(&key, place), body }
            })
            .collect();
        let written = self.write(&items).await?;
        let done = |written| match written {
            Written::Done(_) => Ok(true),
            Written::Conflict => Ok(false),
            Written::Refused(refusal) => Err(StateError::Remote(refusal.to_string())),
        };
        written.into_iter().map(done).collect()
    }
}
