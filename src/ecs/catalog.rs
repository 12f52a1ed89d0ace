//! The ECS field catalogue: names and types of ECS, of the CloudTrail data stream and of alerts.
//!
//! The table is generated (`cargo xtask gen-ecs`) and read once, on first use, in well under a
//! millisecond; nothing is copied but a slot for each line.

use std::sync::LazyLock;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::mapping::Entry;
use super::types::FieldType;
use crate::base;

/// `path TAB type TAB note`, sorted by path; the note is `ignore_above`, `-` for a field that is
/// not indexed, `^` for a multi-field.
const TABLE: &str = include_str!("catalog/fields.tsv");

struct Catalog {
    /// Sorted by path.
    fields: Vec<(&'static str, Entry)>,
    by_path: FxHashMap<&'static str, u32>,
}

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let mut fields = Vec::with_capacity(3_200);
    let mut by_path = FxHashMap::with_capacity_and_hasher(3_200, FxBuildHasher);
    for line in TABLE.lines() {
        let mut columns = line.split('\t');
        if let (Some(path), Some(kind), Some(note)) = (columns.next(), columns.next(), columns.next()) {
            by_path.insert(path, u32::try_from(fields.len()).unwrap_or(u32::MAX));
            fields.push((path, entry(kind, note)));
        }
    }
    Catalog { fields, by_path }
});

fn entry(kind: &str, note: &str) -> Entry {
    let mut entry = match kind {
        // A keyword with a `lowercase` normalizer, as the endpoint's mappings have it.
        "caseless" => Entry { lowercase: true, ignore_above: Some(1024), ..Entry::new(FieldType::Keyword) },
        kind => Entry::new(FieldType::from_name(kind).unwrap_or(FieldType::Other)),
    };
    if entry.kind == FieldType::ScaledFloat {
        entry.scaling_factor = Some(1_000);
    }
    match note {
        "" => {}
        "-" => entry.searchable = false,
        "^" => entry.multi = true,
        number => entry.ignore_above = number.parse().ok(),
    }
    entry
}

/// The catalogue's entry for `path`.
pub fn get(path: &str) -> Option<&'static Entry> {
    let at = CATALOG.by_path.get(path)?;
    CATALOG.fields.get(*at as usize).map(|(_, entry)| entry)
}

/// The entries whose path starts with `prefix`, sorted by path.
pub fn below(prefix: &str) -> impl Iterator<Item = (&'static str, &'static Entry)> + use<> {
    let start = CATALOG.fields.partition_point(|(name, _)| *name < prefix);
    let tail = CATALOG.fields.get(start..).unwrap_or_default();
    let count = tail.partition_point(|(name, _)| name.starts_with(prefix));
    tail.iter().take(count).map(|(name, entry)| (*name, entry))
}

/// The catalogued name most like `path`, for a "did you mean"; `None` when nothing is close.
pub fn nearest(path: &str) -> Option<&'static str> {
    base::nearest::nearest(
        path,
        CATALOG.fields.iter().filter(|(_, entry)| !entry.multi).map(|(name, _)| *name),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_type_is_known() {
        assert!(CATALOG.fields.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(CATALOG.fields.len() > 2_900);
        let unknown: Vec<_> = CATALOG.fields.iter().filter(|(_, e)| e.kind == FieldType::Other).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn finds_fields_prefixes_and_near_misses() {
        assert_eq!(get("source.ip").map(|e| e.kind), Some(FieldType::Ip));
        assert_eq!(get("source.ips"), None);
        assert!(below("source.geo.").any(|(name, _)| name == "source.geo.country_name"));
        assert_eq!(nearest("proces.nmae"), Some("process.name"));
        assert_eq!(nearest("event.acton"), Some("event.action"));
        assert_eq!(nearest("completely.different"), None);
    }
}
