//! Mappings per index: the ECS one, what a user put over it, and what was learned from events.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::manifest::{self, Index};
use super::open::Store;
use crate::ecs::flat::{Leaf, LeafKind};
use crate::ecs::mapping::{Learned, Mapping};

/// A leaf that gave a mapping a new field.
#[derive(Debug, Clone)]
pub(crate) struct Learning {
    path: Box<str>,
    kind: LeafKind,
    value: Box<str>,
}

impl Learning {
    pub(crate) fn of(leaf: Leaf<'_>) -> Self {
        Self { path: leaf.path.into(), kind: leaf.kind, value: leaf.value.into() }
    }
}

/// The mapping of an index as it was stored last.
pub(crate) fn load(c: &Connection, index: i64) -> Result<Mapping, rusqlite::Error> {
    let text: String =
        c.prepare_cached("SELECT mapping FROM idx WHERE id = ?1")?.query_row([index], |row| row.get(0))?;
    if text.is_empty() {
        return Ok(Mapping::ecs());
    }
    let damaged = |reason: String| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, reason.into())
    };
    let value = serde_json::from_str(&text).map_err(|e| damaged(format!("a mapping is damaged: {e}")))?;
    Mapping::from_json(&value).map_err(|e| damaged(format!("a mapping is damaged: {}", e.message)))
}

fn store(c: &Connection, index: i64, mapping: &Mapping) -> Result<(), rusqlite::Error> {
    c.execute(
        "UPDATE idx SET mapping = ?2, mapping_version = mapping_version + 1 WHERE id = ?1",
        params![index, mapping.to_json().to_string()],
    )?;
    manifest::next_version(c)?;
    Ok(())
}

/// Teaches the mapping of an index, in the transaction that stores the events. Others may have
/// taught it meanwhile, so what is new is decided by the stored mapping.
pub(crate) fn learn(c: &Connection, index: i64, learned: &[Learning]) -> Result<(), rusqlite::Error> {
    if learned.is_empty() {
        return Ok(());
    }
    let mut mapping = load(c, index)?;
    let mut changed = false;
    for leaf in learned {
        changed |= mapping.learn(&leaf.path, leaf.kind, &leaf.value) == Learned::Added;
    }
    if changed {
        store(c, index, &mapping)?;
    }
    Ok(())
}

impl Store {
    /// Lays `mapping` over the one of `index`, which is created when it is new. Events stored
    /// before are typed by it from now on; a field that becomes `flattened` only for events stored
    /// later.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn put_mapping(&self, index: &str, mapping: &Mapping) -> Result<(), StoreError> {
        let database = self.inner.writer();
        let failed = |e| StoreError::sqlite(&database.path, &e);
        let tx = database.write()?;
        let id = manifest::index_id(&tx, index).map_err(failed)?;
        let before = load(&tx, id).map_err(failed)?;
        let after = before.clone().overlay(mapping);
        if after != before {
            store(&tx, id, &after).map_err(failed)?;
        }
        tx.commit().map_err(failed)
    }
}

/// Mappings of several indices together, remembered by their versions.
#[derive(Default)]
pub(crate) struct Merged {
    known: Mutex<Vec<(Vec<(i64, i64)>, Arc<Mapping>)>>,
}

/// Combinations remembered: as many as rules have different lists of index patterns, nearly.
const REMEMBERED: usize = 64;

impl Merged {
    pub(crate) fn of(&self, indices: &[&Index]) -> Arc<Mapping> {
        match indices {
            [] => return Arc::new(Mapping::ecs()),
            [one] => return Arc::clone(&one.mapping),
            _ => {}
        }
        let key: Vec<(i64, i64)> = indices.iter().map(|index| (index.id, index.mapping_version)).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, mapping)) = known.iter().find(|(found, _)| *found == key) {
            return Arc::clone(mapping);
        }
        let mapping = Arc::new(Mapping::merged(indices.iter().map(|index| &*index.mapping)));
        if known.len() >= REMEMBERED {
            known.remove(0);
        }
        known.push((key, Arc::clone(&mapping)));
        mapping
    }
}
