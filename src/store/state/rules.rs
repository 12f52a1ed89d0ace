//! What the engine remembers of each rule.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::{StateDb, StateError, Status};
use crate::base::ledger::Ledger;

/// What the engine remembers of a rule between executions.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RuleState {
    /// The rule's object id.
    pub rule: String,
    /// Its signature id.
    pub rule_id: String,
    /// The last slot it ran for, ms since the epoch.
    pub last_slot: Option<i64>,
    /// End of the last window searched without failure, ms since the epoch.
    pub last_to: Option<i64>,
    /// Failed executions since the last that did not fail.
    pub failures: u32,
    /// How the last execution ended.
    pub status: Status,
    /// Which time has been searched.
    pub ledger: Ledger,
    /// Token of the runner that wrote this: what a runner with a lower one writes is refused. 0
    /// where only one runner can be.
    pub fence: i64,
}

impl RuleState {
    /// The state of a rule (object id, signature id) that has never run.
    pub fn new(rule: &str, rule_id: &str) -> Self {
        Self {
            rule: rule.to_owned(),
            rule_id: rule_id.to_owned(),
            last_slot: None,
            last_to: None,
            failures: 0,
            status: Status::Succeeded,
            ledger: Ledger::default(),
            fence: 0,
        }
    }

    /// Takes back what lies after `now`, ms, or was proven while the clock may have been ahead.
    pub fn rewind(&mut self, now: i64) {
        let to_come = self.last_slot.is_some_and(|last| last > now);
        let cut = match (self.ledger.ahead.take(), to_come) {
            (Some(ahead), _) => ahead.min(now),
            (None, true) => now,
            (None, false) => return,
        };
        self.last_slot = self.last_slot.map(|last| last.min(cut));
        self.ledger.rewind(cut);
    }
}

pub(super) fn put(c: &Connection, state: &RuleState) -> Result<(), StateError> {
    let ledger = serde_json::to_string(&state.ledger).map_err(|e| StateError::Undone(e.to_string()))?;
    let written = c
        .prepare_cached(
            "INSERT INTO rule_state (rule, rule_id, last_slot, last_to, failures, status, ledger, fence)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (rule) DO UPDATE SET rule_id = ?2, last_slot = ?3, last_to = ?4, failures = ?5,
                                              status = ?6, ledger = ?7, fence = ?8
             WHERE fence <= ?8",
        )?
        .execute(params![
            state.rule,
            state.rule_id,
            state.last_slot,
            state.last_to,
            state.failures,
            state.status.as_str(),
            ledger,
            state.fence
        ])?;
    if written == 0 { Err(StateError::Fenced { rule: state.rule_id.clone() }) } else { Ok(()) }
}

impl StateDb {
    /// What is remembered of every rule, by object id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn rule_states(&self) -> Result<HashMap<String, RuleState>, StateError> {
        self.read(|c| {
            let mut statement = c.prepare_cached(
                "SELECT rule, rule_id, last_slot, last_to, failures, status, ledger, fence FROM rule_state",
            )?;
            let mut rows = statement.query([])?;
            let mut states = HashMap::new();
            while let Some(row) = rows.next()? {
                let rule: String = row.get(0)?;
                let status: String = row.get(5)?;
                let status = serde_json::from_value(status.into()).map_err(|e| StateError::Damaged {
                    what: format!("state of rule {rule}"),
                    reason: e.to_string(),
                })?;
                let ledger: String = row.get(6)?;
                let ledger = serde_json::from_str(&ledger).map_err(|e| StateError::Damaged {
                    what: format!("coverage of rule {rule}"),
                    reason: e.to_string(),
                })?;
                let state = RuleState {
                    rule: rule.clone(),
                    rule_id: row.get(1)?,
                    last_slot: row.get(2)?,
                    last_to: row.get(3)?,
                    failures: row.get(4)?,
                    status,
                    ledger,
                    fence: row.get(7)?,
                };
                states.insert(rule, state);
            }
            Ok(states)
        })
    }

    /// Raises the token of rules (object id, signature id) and returns what is remembered of them.
    ///
    /// # Errors
    /// When the database cannot be written, or a token is higher already.
    pub fn claim(
        &self,
        rules: Vec<(Arc<str>, Arc<str>)>,
        fence: i64,
    ) -> Result<HashMap<String, RuleState>, StateError> {
        let claimed = rules.clone();
        self.write(move |c| {
            for (rule, rule_id) in &claimed {
                let fresh = RuleState { fence, ..RuleState::new(rule, rule_id) };
                let known = c.query_row("SELECT 1 FROM rule_state WHERE rule = ?1", [&**rule], |_| Ok(()));
                if matches!(known, Err(rusqlite::Error::QueryReturnedNoRows)) {
                    put(c, &fresh)?;
                    continue;
                }
                let raised = c.execute(
                    "UPDATE rule_state SET fence = ?2 WHERE rule = ?1 AND fence <= ?2",
                    params![&**rule, fence],
                )?;
                if raised == 0 {
                    return Err(StateError::Fenced { rule: rule_id.to_string() });
                }
            }
            Ok(())
        })?;
        let mut states = self.rule_states()?;
        states.retain(|uuid, _| rules.iter().any(|(rule, _)| **rule == **uuid));
        Ok(states)
    }

    /// Which rules (signature ids) this installation has switched on or off, whatever their files
    /// say.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn enabled_overrides(&self) -> Result<HashMap<String, bool>, StateError> {
        self.read(|c| {
            let mut statement = c.prepare_cached("SELECT rule_id, enabled FROM rule_override")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Switches rules on or off for this installation; `None`: as their files say.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_enabled(&self, rule_ids: Vec<String>, enabled: Option<bool>) -> Result<(), StateError> {
        self.write(move |c| {
            for rule_id in &rule_ids {
                match enabled {
                    Some(enabled) => c.execute(
                        "INSERT OR REPLACE INTO rule_override (rule_id, enabled) VALUES (?1, ?2)",
                        params![rule_id, enabled],
                    )?,
                    None => c.execute("DELETE FROM rule_override WHERE rule_id = ?1", [rule_id])?,
                };
            }
            Ok(())
        })
    }
}
