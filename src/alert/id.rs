//! Ids of alerts: the same event and rule always give the same id, whoever runs the rule and
//! however often, and the id is the one Kibana gives.

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::object_hash::{Hashable, object_hash};
use crate::base::window::iso_millis;

/// Namespace of the inner ids of threshold alerts, as Kibana has it.
const THRESHOLD_NAMESPACE: Uuid = Uuid::from_u128(0x0684_ec03_7201_4ee0_8ee0_3a3f_6b24_79b2);

/// What stands for the version of an event when the search did not ask for it: JavaScript's
/// `String(undefined)`. Kibana's searches never ask.
const NO_VERSION: &str = "undefined";

/// The rule's part of an id: `space:object id`.
pub fn rule_part(space: &str, object_id: &str) -> String {
    format!("{space}:{object_id}")
}

/// Id of the alert that one event gives (query, saved query, indicator match and EQL event
/// rules).
pub fn event_alert(index: &str, id: &str, version: Option<i64>, rule_part: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(index);
    hash.update(id);
    match version {
        Some(version) => hash.update(version.to_string()),
        None => hash.update(NO_VERSION),
    }
    hash.update(rule_part);
    hex(&hash.finalize())
}

/// Id of the `position`th building block of an EQL sequence; `ancestors` are (id, index) of the
/// ancestors of all its blocks, in order.
pub fn building_block(ancestors: &[(&str, &str)], rule_uuid: &str, position: usize) -> String {
    let mut hash = Sha256::new();
    hash.update(sequence_base(ancestors, rule_uuid));
    hash.update(position.to_string());
    hex(&hash.finalize())
}

/// Id of the shell alert of an EQL sequence.
pub fn sequence_shell(ancestors: &[(&str, &str)], rule_uuid: &str) -> String {
    hex(&Sha256::digest(sequence_base(ancestors, rule_uuid)))
}

fn sequence_base(ancestors: &[(&str, &str)], rule_uuid: &str) -> String {
    let mut base = String::new();
    for (id, index) in ancestors {
        base.push_str(id);
        base.push_str(index);
    }
    base.push_str(rule_uuid);
    base
}

/// Inner id of a threshold bucket: a version 5 UUID of rule, scheduled start, fields and sorted values.
pub fn threshold_bucket(rule_id: &str, started: DateTime<Utc>, fields: &[&str], values: &[&str]) -> String {
    let mut values = values.to_vec();
    values.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
    let name = format!("{rule_id}{}{}{}", iso_millis(started), fields.join(","), values.join(","));
    Uuid::new_v5(&THRESHOLD_NAMESPACE, name.as_bytes()).to_string()
}

/// Id of a new-terms alert; `terms` are the new values in field order.
pub fn new_terms(
    index: &str,
    id: &str,
    version: Option<i64>,
    rule_part: &str,
    terms: Vec<Hashable>,
) -> String {
    object_hash(&Hashable::Array(vec![
        index.into(),
        id.into(),
        version.map_or_else(|| Hashable::from(NO_VERSION), |v| Hashable::String(v.to_string())),
        rule_part.into(),
        Hashable::Array(terms),
    ]))
}

/// Id that alerts of one suppression group share; `terms` are the fields with their values in
/// the order of the rule.
pub fn suppression_instance(terms: Vec<(String, Hashable)>, rule_uuid: &str, space: &str) -> String {
    let terms = terms
        .into_iter()
        .map(|(field, value)| {
            Hashable::Object(vec![("field".to_owned(), Hashable::String(field)), ("value".to_owned(), value)])
        })
        .collect();
    object_hash(&Hashable::Array(vec![Hashable::Array(terms), rule_uuid.into(), space.into()]))
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |d| char::from(*d));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_gives_the_sha_256_of_its_parts_as_one_text() {
        let id = event_alert("logs-x", "1", None, &rule_part("default", "r"));
        assert_eq!(id, hex(&Sha256::digest("logs-x1undefineddefault:r")));
        let versioned = event_alert("logs-x", "1", Some(7), &rule_part("default", "r"));
        assert_eq!(versioned, hex(&Sha256::digest("logs-x17default:r")));
    }

    #[test]
    fn a_shell_and_its_blocks_share_their_base() {
        let ancestors = [("a", "i"), ("b", "i")];
        assert_eq!(sequence_shell(&ancestors, "rule"), hex(&Sha256::digest("aibirule")));
        assert_eq!(building_block(&ancestors, "rule", 1), hex(&Sha256::digest("aibirule1")));
    }

    #[test]
    fn threshold_values_are_sorted_before_they_are_hashed() {
        let at = DateTime::UNIX_EPOCH;
        assert_eq!(
            threshold_bucket("r", at, &["f"], &["b", "a"]),
            threshold_bucket("r", at, &["f"], &["a", "b"])
        );
        assert_ne!(threshold_bucket("r", at, &["f"], &["a"]), threshold_bucket("q", at, &["f"], &["a"]));
    }
}
