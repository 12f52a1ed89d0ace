//! The tables, version by version.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StateError;

/// One entry a version; entry `n` leads from format `n` to `n + 1`. Entries never change once
/// released.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE alerts (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    space TEXT NOT NULL,
    rule_uuid TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    original_time INTEGER,
    severity TEXT NOT NULL,
    building_block INTEGER NOT NULL,
    status TEXT NOT NULL,
    document TEXT NOT NULL
) STRICT;
CREATE INDEX alerts_by_time ON alerts (space, timestamp);
CREATE INDEX alerts_by_rule ON alerts (rule_id, timestamp);
CREATE INDEX alerts_by_status ON alerts (status, timestamp);
CREATE TABLE executions (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    slot INTEGER NOT NULL,
    started INTEGER NOT NULL,
    status TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX executions_by_rule ON executions (rule_id, number);
CREATE INDEX executions_by_start ON executions (started);
CREATE TABLE rule_state (
    rule TEXT PRIMARY KEY,
    rule_id TEXT NOT NULL,
    last_slot INTEGER,
    last_to INTEGER,
    failures INTEGER NOT NULL,
    status TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE rule_override (
    rule_id TEXT PRIMARY KEY,
    enabled INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE backlog (
    rule TEXT NOT NULL,
    alert TEXT NOT NULL,
    since INTEGER NOT NULL,
    position INTEGER NOT NULL,
    event_index TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_time INTEGER NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (rule, alert)
) STRICT, WITHOUT ROWID;
CREATE INDEX backlog_by_time ON backlog (rule, position, alert);
CREATE TABLE key_value (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE rule_memory (
    rule TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (rule, key)
) STRICT, WITHOUT ROWID;
",
    "
ALTER TABLE rule_state ADD COLUMN ledger TEXT NOT NULL DEFAULT '{}';
ALTER TABLE rule_state ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;
",
    "
CREATE TABLE forward (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    target TEXT NOT NULL,
    alert TEXT NOT NULL,
    what TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next INTEGER NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX forward_by_target ON forward (target, number);
CREATE INDEX forward_by_alert ON forward (alert, target, number);
",
    super::outbox::SCHEMA,
    super::triage::SCHEMA,
    "
ALTER TABLE executions ADD COLUMN written INTEGER;
",
];

/// Brings the database to the newest format.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StateError> {
    // Immediate, so that of two processes that start together one migrates and the other waits.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StateError::Newer { path: path.to_path_buf(), found, known });
    }
    if found < known {
        for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", known)?;
    }
    transaction.commit()?;
    Ok(())
}
