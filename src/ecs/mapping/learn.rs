//! Learning the type of an unknown leaf, by a user's templates and then by the rules of
//! `ecs@mappings`.

use std::sync::Arc;

use super::pattern::matches;
use super::{Entry, Mapping, ancestors};
use crate::base::limits::MAPPING_FIELDS;
use crate::ecs::document::{ID, INDEX};
use crate::ecs::flat::{FlatDoc, LeafKind};
use crate::ecs::types::FieldType;

/// What happens to unknown leaves below an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dynamic {
    /// They get a type.
    True,
    /// They are kept in the source and match nothing.
    False,
    /// Elasticsearch refuses the document; here as `False`, and the leaf counts as refused.
    Strict,
}

/// What became of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// The path was known.
    Known,
    /// The path is known from now on.
    Added,
    /// The mapping says that unknown leaves stay unknown here.
    NotDynamic,
    /// A path above it holds values, so that nothing can lie below it (Elasticsearch refuses such
    /// a document).
    BelowValue,
    /// There are already [`MAPPING_FIELDS`] fields.
    Full,
}

/// A dynamic template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Template {
    /// Patterns of the last name of the path; empty: any.
    pub names: Vec<String>,
    pub not_names: Vec<String>,
    /// Patterns of the whole path; empty: any.
    pub paths: Vec<String>,
    pub not_paths: Vec<String>,
    /// JSON types (`string`, `long`, `double`, `boolean`, `object`, `*`); empty: any.
    pub kinds: Vec<String>,
    /// The field it makes, and its multi-fields by name.
    pub field: Option<(Entry, Vec<(String, Entry)>)>,
    /// The mapping as written, to print it back.
    pub source: String,
}

impl Template {
    fn applies(&self, path: &str, kind: &str) -> bool {
        let name = path.rsplit('.').next().unwrap_or(path);
        let any = |patterns: &[String], text: &str| patterns.iter().any(|p| matches(p, text));
        (self.names.is_empty() || any(&self.names, name))
            && !any(&self.not_names, name)
            && (self.paths.is_empty() || any(&self.paths, path))
            && !any(&self.not_paths, path)
            && (self.kinds.is_empty() || self.kinds.iter().any(|k| k == "*" || k == kind))
    }
}

/// Longest keyword that `ecs@mappings` makes searchable.
const IGNORE_ABOVE: u32 = 1_024;

impl Mapping {
    /// Gives the leaf `path` a type if it has none.
    ///
    /// The rules are those of `ecs@mappings`, in their order: timestamps, messages, addresses,
    /// wildcards, analysed names, dates, scores, usages, flattened tables; then strings are
    /// keywords, whole numbers longs, other numbers floats, and booleans booleans. Strings that
    /// look like dates stay keywords (`date_detection` is off there).
    pub fn learn(&mut self, path: &str, kind: LeafKind, value: &str) -> Learned {
        if path.is_empty() {
            return Learned::NotDynamic;
        }
        if let Some(known) = self.known(path) {
            return known;
        }
        if self.len() >= MAPPING_FIELDS {
            return Learned::Full;
        }
        // An object that is to be flattened takes everything below it; outermost first.
        let above: Vec<&str> = ancestors(path).map(|(above, _)| above).collect();
        for object in above.iter().rev() {
            if let Some(entry) = self.object(object) {
                self.set(object, entry);
                return Learned::Added;
            }
        }
        let json = match kind {
            LeafKind::String => "string",
            LeafKind::Boolean => "boolean",
            LeafKind::Number if value.parse::<i64>().is_ok() => "long",
            LeafKind::Number => "double",
        };
        let made = self.inner.templates.iter().find(|t| t.field.is_some() && t.applies(path, json));
        let (entry, multi) = match made.and_then(|t| t.field.clone()) {
            Some(field) => field,
            None => by_name(path, json).unwrap_or_else(|| (by_kind(json), Vec::new())),
        };
        for (name, entry) in multi {
            self.set(&format!("{path}.{name}"), entry.multi());
        }
        self.set(path, entry);
        Learned::Added
    }

    /// Learns every leaf of a document; returns what was refused, by path.
    pub fn learn_document(&mut self, document: &FlatDoc) -> Vec<(String, Learned)> {
        let mut refused = Vec::new();
        for leaf in document.iter() {
            match self.learn(leaf.path, leaf.kind, leaf.value) {
                Learned::Known | Learned::Added => {}
                learned => refused.push((leaf.path.to_owned(), learned)),
            }
        }
        refused
    }

    /// What is already decided about a leaf at `path`.
    fn known(&self, path: &str) -> Option<Learned> {
        if self.entry(path).is_some() {
            return Some(Learned::Known);
        }
        for (above, _) in ancestors(path) {
            if let Some(entry) = self.entry(above) {
                match entry.kind {
                    FieldType::Flattened | FieldType::GeoPoint => return Some(Learned::Known),
                    FieldType::Object | FieldType::Nested if entry.alias.is_none() => {}
                    _ => return Some(Learned::BelowValue),
                }
            }
        }
        let dynamic = ancestors(path).find_map(|(above, _)| self.inner.dynamic.get(above));
        match dynamic.or_else(|| self.inner.dynamic.get("")) {
            None | Some(Dynamic::True) => None,
            Some(Dynamic::False | Dynamic::Strict) => Some(Learned::NotDynamic),
        }
    }

    /// The entry an unknown object gets when it is more than an object.
    fn object(&self, path: &str) -> Option<Entry> {
        if self.entry(path).is_some() || self.is_object(path) {
            return None;
        }
        if let Some(template) = self.inner.templates.iter().find(|t| t.applies(path, "object")) {
            let made = template.field.as_ref().map(|(entry, _)| entry.clone());
            // A template that makes a plain value cannot apply to an object.
            return made.filter(|e| e.kind.is_object() || e.kind == FieldType::Flattened);
        }
        if any(&["*structured_data", "*exports", "*imports"], path) {
            return Some(Entry::new(FieldType::Flattened).ignore_above(IGNORE_ABOVE));
        }
        matches("*.geo.location", path).then(|| Entry::new(FieldType::GeoPoint))
    }
}

fn any(patterns: &[&str], path: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, path))
}

/// The rules of `ecs@mappings` that go by name; facts about the template, in its order.
fn by_name(path: &str, json: &str) -> Option<(Entry, Vec<(String, Entry)>)> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let plain = |entry: Entry| Some((entry, Vec::new()));
    let with_text =
        |entry: Entry| Some((entry, vec![("text".to_owned(), Entry::new(FieldType::MatchOnlyText).multi())]));
    if path == "@timestamp" {
        return plain(Entry::new(FieldType::Date));
    }
    if any(&["message", "*.message"], path) {
        return plain(Entry::new(FieldType::MatchOnlyText));
    }
    if any(&["*event.original", "*gen_ai.agent.description"], path) {
        return plain(Entry::new(FieldType::Keyword).unsearchable());
    }
    if matches("*.x509.public_key_exponent", path) {
        return plain(Entry::new(FieldType::Long).unsearchable());
    }
    if json == "string" && any(&["ip", "*.ip", "*_ip"], path) {
        return plain(Entry::new(FieldType::Ip));
    }
    if any(&["*.io.text", "*.message_id", "*registry.data.strings", "*url.path"], path) {
        return plain(Entry::new(FieldType::Wildcard));
    }
    if any(&["*.body.content", "*url.full", "*url.original"], path)
        || any(&["*command_line", "*stack_trace"], name)
    {
        return with_text(Entry::new(FieldType::Wildcard));
    }
    const NAMED: &[&str] = &[
        "*.title",
        "*.executable",
        "*.name",
        "*.working_directory",
        "*.full_name",
        "*file.path",
        "*file.target_path",
        "*os.full",
        "*email.subject",
        "*vulnerability.description",
        "*user_agent.original",
    ];
    if any(NAMED, path) {
        return with_text(Entry::new(FieldType::Keyword).ignore_above(IGNORE_ABOVE));
    }
    const DATES: &[&str] = &[
        "*.timestamp",
        "*_timestamp",
        "*.not_after",
        "*.not_before",
        "*.accessed",
        "created",
        "*.created",
        "*.installed",
        "*.creation_date",
        "*.ctime",
        "*.mtime",
        "ingested",
        "*.ingested",
        "*.start",
        "*.end",
        "*.indicator.first_seen",
        "*.indicator.last_seen",
        "*.indicator.modified_at",
        "*threat.enrichments.matched.occurred",
    ];
    if any(DATES, path) {
        return plain(Entry::new(FieldType::Date));
    }
    if any(&["*.score.*", "*_score*"], path) && !matches("*.version", path) {
        return plain(Entry::new(FieldType::Float));
    }
    if json != "boolean" && matches("*.usage", path) {
        return plain(Entry { scaling_factor: Some(1_000), ..Entry::new(FieldType::ScaledFloat) });
    }
    if matches("*.geo.location", path) {
        return plain(Entry::new(FieldType::GeoPoint));
    }
    None
}

fn by_kind(json: &str) -> Entry {
    match json {
        "boolean" => Entry::new(FieldType::Boolean),
        "long" => Entry::new(FieldType::Long),
        "double" => Entry::new(FieldType::Float),
        _ => Entry::new(FieldType::Keyword).ignore_above(IGNORE_ABOVE),
    }
}

/// The paths of a document, sorted, each once; its `_id` and `_index` are asked for by name only.
pub fn sorted_paths(document: &FlatDoc) -> Vec<Arc<str>> {
    let named = |path: &&str| !matches!(*path, ID | INDEX);
    let mut paths: Vec<&str> = document.iter().map(|leaf| leaf.path).filter(named).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().map(Arc::from).collect()
}
