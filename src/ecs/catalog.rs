//! The ECS field catalogue: names and types of ECS, of the CloudTrail data stream and of alerts.
//!
//! The table is generated (`cargo xtask gen-ecs`) and read once, on first use, in well under a
//! millisecond; nothing is copied but a slot for each line.

use std::sync::LazyLock;

use super::mapping::Entry;
use super::types::FieldType;

/// `path TAB type TAB note`, sorted by path; the note is `ignore_above`, `-` for a field that is
/// not indexed, `^` for a multi-field.
const TABLE: &str = include_str!("catalog/fields.tsv");

static FIELDS: LazyLock<Vec<(&'static str, Entry)>> = LazyLock::new(|| {
    let mut fields = Vec::with_capacity(3_200);
    for line in TABLE.lines() {
        let mut columns = line.split('\t');
        if let (Some(path), Some(kind), Some(note)) = (columns.next(), columns.next(), columns.next()) {
            fields.push((path, entry(kind, note)));
        }
    }
    fields
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
    let at = FIELDS.binary_search_by(|(name, _)| (*name).cmp(path)).ok()?;
    FIELDS.get(at).map(|(_, entry)| entry)
}

/// The entries whose path starts with `prefix`, sorted by path.
pub fn below(prefix: &str) -> impl Iterator<Item = (&'static str, &'static Entry)> + use<> {
    let start = FIELDS.partition_point(|(name, _)| *name < prefix);
    let tail = FIELDS.get(start..).unwrap_or_default();
    let count = tail.partition_point(|(name, _)| name.starts_with(prefix));
    tail.iter().take(count).map(|(name, entry)| (*name, entry))
}

/// The catalogued name most like `path`, for a "did you mean"; `None` when nothing is close.
pub fn nearest(path: &str) -> Option<&'static str> {
    let limit = (path.chars().count() / 4).clamp(1, 3);
    let mut best = None;
    for (name, entry) in FIELDS.iter() {
        if entry.multi || name.len().abs_diff(path.len()) > limit {
            continue;
        }
        let distance = edits(path, name);
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, *name));
        }
    }
    best.map(|(_, name)| name)
}

/// Edit distance (insert, delete, replace).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let cost = diagonal + usize::from(x != *y);
            diagonal = *cell;
            left = cost.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_type_is_known() {
        assert!(FIELDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(FIELDS.len() > 2_900);
        let unknown: Vec<_> = FIELDS.iter().filter(|(_, e)| e.kind == FieldType::Other).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn finds_fields_prefixes_and_near_misses() {
        assert_eq!(get("source.ip").map(|e| e.kind), Some(FieldType::Ip));
        assert_eq!(get("source.ips"), None);
        assert!(below("source.geo.").any(|(name, _)| name == "source.geo.country_name"));
        assert_eq!(nearest("proces.nmae"), None);
        assert_eq!(nearest("event.acton"), Some("event.action"));
        assert_eq!(nearest("completely.different"), None);
    }
}
