//! What executions put down for later executions of their rule: the history of thresholds, the
//! groups of suppression.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::{StateDb, StateError};

/// A value that an execution puts down, or forgets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Its name within the rule.
    pub key: String,
    /// The value; `None` forgets it.
    pub value: Option<String>,
}

pub(super) fn put(c: &Connection, rule: &str, memory: &Memory) -> Result<(), StateError> {
    match &memory.value {
        Some(value) => c
            .prepare_cached("INSERT OR REPLACE INTO rule_memory (rule, key, value) VALUES (?1, ?2, ?3)")?
            .execute(params![rule, memory.key, value])?,
        None => c
            .prepare_cached("DELETE FROM rule_memory WHERE rule = ?1 AND key = ?2")?
            .execute(params![rule, memory.key])?,
    };
    Ok(())
}

impl StateDb {
    /// What executions of the rule with this object id have put down, by key.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn rule_memory(&self, rule: &str) -> Result<HashMap<String, String>, StateError> {
        self.read(|c| {
            let mut statement = c.prepare_cached("SELECT key, value FROM rule_memory WHERE rule = ?1")?;
            let rows = statement.query_map([rule], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
