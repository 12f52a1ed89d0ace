//! The mapping of the alert index, field by field: ECS and `kibana.alert.*`, from the catalogue.
//!
//! Field types differ between products and builds. What is asked for first is the richest; a type
//! that a cluster says it does not have is replaced by the nearest that it may have, so no table of
//! versions can be wrong.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::ecs::catalog;
use crate::ecs::mapping::Entry;
use crate::ecs::types::FieldType;

/// Parts of the older alert schema that are kept as aliases of the newer: `signal.rule.name`.
const LEGACY: [&str; 7] =
    ["ancestors.", "depth", "group.", "original_event.", "original_time", "reason", "rule."];

/// Which part of the alert mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The Elastic Common Schema.
    Ecs,
    /// What an alert adds: `kibana.*`, `tocsin.*` and the aliases `signal.*`.
    Alert,
}

/// Types that a cluster has said it does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing(BTreeSet<String>);

impl Missing {
    /// Takes note of the type that an error speaks of; `false` when it speaks of none, or of one
    /// that was noted before.
    pub fn learn(&mut self, reason: &str) -> bool {
        // "no handler for type [x]", "the mapper type [x] declared on field [y] does not exist".
        let named = reason.split("type [").skip(1).filter_map(|rest| Some(rest.split_once(']')?.0));
        let mut replaceable = named.filter(|kind| nearest(kind).is_some());
        replaceable.next().is_some_and(|kind| self.0.insert(kind.to_owned()))
    }

    /// The types, with what stands for each.
    pub fn replaced(&self) -> Vec<(String, String)> {
        self.0
            .iter()
            .map(|kind| (kind.clone(), self.usable(kind).unwrap_or("kept unsearched").to_owned()))
            .collect()
    }

    /// The type that stands for `kind`; `None`: the field is kept and not searched.
    fn usable<'k>(&self, kind: &'k str) -> Option<&'k str> {
        let mut kind = kind;
        while self.0.contains(kind) {
            kind = nearest(kind).filter(|next| !next.is_empty())?;
        }
        Some(kind)
    }

    /// A mapping with the missing types replaced.
    pub fn apply(&self, mapping: &mut Value) {
        let Value::Object(object) = mapping else { return };
        if let Some(kind) = object.get("type").and_then(Value::as_str).map(str::to_owned)
            && self.0.contains(&kind)
        {
            match self.usable(&kind) {
                None => {
                    *mapping = json!({"type": "object", "enabled": false});
                    return;
                }
                Some(usable) => {
                    object.insert("type".to_owned(), usable.into());
                    object.remove("scaling_factor");
                    if usable != "keyword" {
                        object.remove("ignore_above");
                    }
                }
            }
        }
        for value in object.values_mut() {
            self.apply(value);
        }
    }
}

/// What comes next after a type that is missing; empty: nothing, the field is kept unsearched.
fn nearest(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "flattened" => "flat_object",
        "flat_object" => "",
        "match_only_text" => "text",
        "wildcard" | "constant_keyword" | "version" => "keyword",
        "scaled_float" | "unsigned_long" => "double",
        _ => return None,
    })
}

/// A part of the mapping: `{"dynamic": false, "properties": …}`.
pub fn mapping(part: Part) -> Value {
    let mut properties = Map::new();
    let mut multi = Vec::new();
    for (path, entry) in catalog::below("") {
        if path.starts_with("aws.") || path.starts_with("kibana.") != (part == Part::Alert) {
            continue;
        }
        if path == "@timestamp" && part == Part::Ecs {
            continue;
        }
        if entry.multi {
            multi.push((path, entry));
        } else {
            put(&mut properties, path, definition(path, entry));
        }
    }
    for (path, entry) in multi {
        if let Some((above, name)) = path.rsplit_once('.')
            && let Some(parent) = find(&mut properties, above)
            && let Some(fields) = parent.entry("fields").or_insert_with(|| json!({})).as_object_mut()
        {
            fields.insert(name.to_owned(), definition(path, entry));
        }
    }
    if part == Part::Alert {
        put(&mut properties, "@timestamp", json!({"type": "date"}));
        put(&mut properties, "tocsin.removed_fields", json!({"type": "keyword", "ignore_above": 1024}));
        put(&mut properties, "tocsin.removed_reason", json!({"type": "keyword", "ignore_above": 4096}));
        for (path, target) in aliases() {
            put(&mut properties, &path, json!({"type": "alias", "path": target}));
        }
    }
    json!({"dynamic": false, "properties": properties})
}

/// `signal.*` with what each stands for.
fn aliases() -> Vec<(String, String)> {
    let mut aliases = vec![("signal.status".to_owned(), "kibana.alert.workflow_status".to_owned())];
    for (path, entry) in catalog::below("kibana.alert.") {
        let Some(rest) = path.strip_prefix("kibana.alert.") else { continue };
        // An alias of a field that a cluster may have to keep unsearched is refused.
        if !entry.multi
            && entry.kind != FieldType::Flattened
            && LEGACY.iter().any(|part| rest.starts_with(part))
        {
            aliases.push((format!("signal.{rest}"), path.to_owned()));
        }
    }
    aliases
}

/// How one field is mapped.
fn definition(path: &str, entry: &Entry) -> Value {
    let kind = match entry.kind {
        // Alerts of all data streams share the index.
        FieldType::ConstantKeyword => FieldType::Keyword,
        FieldType::Other => FieldType::Object,
        kind => kind,
    };
    let mut out = Map::new();
    out.insert("type".to_owned(), serde_json::to_value(kind).unwrap_or_default());
    match kind {
        FieldType::Keyword | FieldType::Wildcard | FieldType::Flattened => {
            let limit = match path {
                "event.original" | "kibana.alert.original_event.original" => 32_766,
                _ => entry.ignore_above.unwrap_or(1_024),
            };
            // A multi-field of the catalogue has no note of its own.
            out.insert("ignore_above".to_owned(), limit.into());
        }
        FieldType::ScaledFloat => {
            out.insert("scaling_factor".to_owned(), entry.scaling_factor.unwrap_or(1_000).into());
        }
        _ => {}
    }
    if entry.lowercase {
        out.insert("normalizer".to_owned(), "lowercase".into());
    }
    if !entry.searchable || path == "kibana.alert.url" {
        out.insert("index".to_owned(), false.into());
        out.insert("doc_values".to_owned(), false.into());
    }
    Value::Object(out)
}

/// Puts a definition at its place among nested `properties`.
fn put(properties: &mut Map<String, Value>, path: &str, definition: Value) {
    match path.split_once('.') {
        None => {
            // An object of the catalogue whose fields came first keeps them.
            let slot = properties.entry(path).or_insert_with(|| json!({}));
            if let (Some(slot), Value::Object(new)) = (slot.as_object_mut(), definition) {
                slot.extend(new);
            }
        }
        Some((head, rest)) => {
            let slot = properties.entry(head).or_insert_with(|| json!({}));
            if let Some(slot) = slot.as_object_mut()
                && let Some(below) = slot.entry("properties").or_insert_with(|| json!({})).as_object_mut()
            {
                put(below, rest, definition);
            }
        }
    }
}

fn find<'p>(properties: &'p mut Map<String, Value>, path: &str) -> Option<&'p mut Map<String, Value>> {
    match path.split_once('.') {
        None => properties.get_mut(path)?.as_object_mut(),
        Some((head, rest)) => find(properties.get_mut(head)?.get_mut("properties")?.as_object_mut()?, rest),
    }
}

/// Whether an alert may be searched by `path`: every field that a view shows must be.
pub fn mapped(path: &str) -> bool {
    let own = ["tocsin.removed_fields", "tocsin.removed_reason"].contains(&path);
    own || (!path.starts_with("aws.") && catalog::get(path).is_some_and(|entry| entry.searchable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::mapping::Mapping;

    #[test]
    fn every_field_of_the_catalogue_has_its_type_and_nothing_else_is_searched() {
        let mut read = Vec::new();
        for part in [Part::Ecs, Part::Alert] {
            let mapping = mapping(part);
            assert_eq!(mapping["dynamic"], false);
            read.push(Mapping::from_elasticsearch(&mapping).unwrap());
        }
        let mut count = 0;
        for (path, entry) in catalog::below("") {
            if path.starts_with("aws.") {
                assert!(read.iter().all(|mapping| mapping.resolve(path).is_none()), "{path}");
                continue;
            }
            let kinds: Vec<_> = read.iter().filter_map(|m| m.resolve(path)).map(|e| e.kind).collect();
            let want = if entry.kind == FieldType::ConstantKeyword { FieldType::Keyword } else { entry.kind };
            // What is kept unsearched has no type that could be seen.
            let unsearched = !entry.searchable || path == "kibana.alert.url";
            assert!(kinds == [want] || unsearched && kinds.len() == 1, "{path}: {kinds:?}");
            count += 1;
        }
        assert!(count > 2_800, "{count}");
    }

    #[test]
    fn the_alert_part_is_as_kibana_has_it() {
        let mapping = mapping(Part::Alert);
        let at = |path: &str| mapping.pointer(&format!("/properties/{path}")).cloned().unwrap_or_default();
        assert_eq!(at("kibana/properties/version"), json!({"type": "version"}));
        let alert = "kibana/properties/alert/properties";
        assert_eq!(
            at(&format!("{alert}/rule/properties/parameters")),
            json!({"type": "flattened", "ignore_above": 4096})
        );
        assert_eq!(at(&format!("{alert}/reason/fields/text/type")), "match_only_text");
        assert_eq!(at(&format!("{alert}/url/index")), false);
        assert_eq!(at("signal/properties/rule/properties/name/path"), "kibana.alert.rule.name");
        assert_eq!(at("signal/properties/status/path"), "kibana.alert.workflow_status");
    }

    #[test]
    fn missing_types_are_replaced_by_the_nearest_there_is() {
        let mut missing = Missing::default();
        assert!(missing.learn("x: No handler for type [flattened] declared on field [parameters]"));
        assert!(!missing.learn("No handler for type [flattened] declared on field [meta]"), "known");
        assert!(!missing.learn("No handler for type [long] declared on field [x]"), "nothing is nearer");
        let flattened = json!({"type": "flattened", "ignore_above": 4096});
        let mut mapping = json!({"properties": {"a": flattened, "b": {"type": "long"}}});
        missing.apply(&mut mapping);
        assert_eq!(mapping, json!({"properties": {"a": {"type": "flat_object"}, "b": {"type": "long"}}}));
        assert!(missing.learn("No handler for type [flat_object] declared on field [a]"));
        missing.apply(&mut mapping);
        assert_eq!(mapping["properties"]["a"], json!({"type": "object", "enabled": false}));
        let mut text = json!({"type": "match_only_text"});
        assert!(missing.learn("The mapper type [match_only_text] declared on field [text] does not exist"));
        missing.apply(&mut text);
        assert_eq!(text, json!({"type": "text"}));
    }
}
