//! The field list a query is compiled with: what Kibana calls a data view's fields.

use std::sync::Arc;

use serde_json::Value;

use crate::base::limits;
use crate::query::plan::{Pattern, Piece};

/// A field of the indices that are searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedField {
    /// Full dotted name.
    pub name: Arc<str>,
    /// Its type over all indices, as Kibana groups them: `string`, `number`, `date`, `boolean`, `ip` …
    pub kind: Arc<str>,
    /// Its Elasticsearch types; several when indices disagree.
    pub es_types: Vec<Arc<str>>,
    /// The nested field it lies in.
    pub nested: Option<Arc<str>>,
    /// Set for a scripted field, which has no values of its own.
    pub script: Option<Script>,
}

/// The script behind a scripted field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Source.
    pub source: Arc<str>,
    /// `painless` or `expression`.
    pub lang: Arc<str>,
}

/// All fields of the indices that are searched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldList {
    /// In no particular order.
    pub fields: Vec<ListedField>,
}

impl ListedField {
    /// A field of one Elasticsearch type.
    pub fn of_type(name: &str, es_type: &str) -> Self {
        Self {
            name: Arc::from(name),
            kind: Arc::from(kind_of(es_type)),
            es_types: vec![Arc::from(es_type)],
            nested: None,
            script: None,
        }
    }

    /// A name of which nothing is known.
    pub(super) fn unknown(name: &str) -> Self {
        Self { name: Arc::from(name), kind: Arc::from(""), es_types: Vec::new(), nested: None, script: None }
    }

    /// Whether every index has it as `keyword`.
    pub fn is_keyword(&self) -> bool {
        matches!(self.es_types.as_slice(), [only] if &**only == "keyword")
    }

    /// Whether it is a date everywhere.
    pub fn is_date(&self) -> bool {
        &*self.kind == "date"
    }
}

impl FieldList {
    /// The fields of a mapping as Elasticsearch has it: `{"properties": …}`, alone or below
    /// `mappings`, with multi-fields and nested objects.
    ///
    /// Objects nested deeper than [`limits::JSON_NESTING`] are left out, as they are from documents.
    pub fn from_mapping(mapping: &Value) -> Self {
        let root = mapping.get("mappings").unwrap_or(mapping);
        let mut list = Self::default();
        if let Some(properties) = root.get("properties") {
            list.properties(properties, "", None, 0);
        }
        list
    }

    /// The fields that `_field_caps` tells of: `{"name": {"type": {…}, …}, …}`. A field whose types
    /// are of different groups is in the group `conflict`, as Kibana has it.
    pub fn from_capabilities(fields: &Value) -> Self {
        let empty = serde_json::Map::new();
        let fields = fields.as_object().unwrap_or(&empty);
        let types = |name: &str| {
            let types = fields.get(name).and_then(Value::as_object).unwrap_or(&empty);
            types.keys().map(String::as_str).filter(|kind| *kind != "unmapped").collect::<Vec<_>>()
        };
        let mut list = Self::default();
        for (name, of) in fields {
            let metadata = of.as_object().is_some_and(|types| {
                types.values().any(|of| of.get("metadata_field").and_then(Value::as_bool) == Some(true))
            });
            let types = types(name);
            if metadata
                || name.starts_with('_')
                || types.iter().all(|kind| matches!(*kind, "object" | "nested"))
            {
                continue;
            }
            let nested = name.match_indices('.').rev().find_map(|(at, _)| {
                let above = name.get(..at)?;
                let own = fields.get(above)?.as_object()?;
                own.contains_key("nested").then(|| Arc::from(above))
            });
            let mut kinds: Vec<&str> = types.iter().map(|kind| kind_of(kind)).collect();
            kinds.dedup();
            let kind = match kinds.as_slice() {
                [one] => one,
                _ => "conflict",
            };
            list.fields.push(ListedField {
                name: Arc::from(name.as_str()),
                kind: Arc::from(kind),
                es_types: types.iter().map(|kind| Arc::from(*kind)).collect(),
                nested,
                script: None,
            });
        }
        list
    }

    fn properties(&mut self, properties: &Value, prefix: &str, nested: Option<&Arc<str>>, depth: usize) {
        let Some(properties) = properties.as_object().filter(|_| depth < limits::JSON_NESTING) else {
            return;
        };
        for (key, definition) in properties {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            let below = definition.get("properties");
            let es_type = definition.get("type").and_then(Value::as_str);
            let own_nested = (es_type == Some("nested")).then(|| Arc::from(name.as_str()));
            let inner = own_nested.as_ref().or(nested);
            if let Some(below) = below {
                self.properties(below, &name, inner, depth + 1);
            }
            if let Some(es_type) = es_type.filter(|kind| !matches!(*kind, "object" | "nested")) {
                self.fields
                    .push(ListedField { nested: nested.cloned(), ..ListedField::of_type(&name, es_type) });
            }
            if let Some(multi) = definition.get("fields") {
                self.properties(multi, &name, inner, depth + 1);
            }
        }
    }

    pub(super) fn named(&self, name: &str) -> Vec<&ListedField> {
        self.fields.iter().filter(|field| &*field.name == name).collect()
    }

    pub(super) fn matching(&self, pattern: &Pattern) -> Vec<&ListedField> {
        self.fields.iter().filter(|field| covers(pattern, &field.name)).collect()
    }
}

/// Kibana's group of an Elasticsearch type.
fn kind_of(es_type: &str) -> &str {
    match es_type {
        "keyword" | "text" | "match_only_text" | "wildcard" | "constant_keyword" | "version" => "string",
        "long" | "integer" | "short" | "byte" | "unsigned_long" | "double" | "float" | "half_float"
        | "scaled_float" | "token_count" => "number",
        "date" | "date_nanos" => "date",
        other => other,
    }
}

/// Whether `pattern` covers the whole of `name`. Linear in practice: it never goes back further
/// than the last `*`.
fn covers(pattern: &Pattern, name: &str) -> bool {
    let mut rest = name;
    let mut floating = false;
    let mut pieces = pattern.0.iter().peekable();
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Any => floating = true,
            Piece::One => {
                let mut chars = rest.chars();
                if chars.next().is_none() {
                    return false;
                }
                rest = chars.as_str();
            }
            Piece::Literal(text) if floating && pieces.peek().is_none() => return rest.ends_with(&**text),
            Piece::Literal(text) if floating => {
                let Some((_, after)) = rest.split_once(&**text) else { return false };
                rest = after;
                floating = false;
            }
            Piece::Literal(text) => {
                let Some(after) = rest.strip_prefix(&**text) else { return false };
                rest = after;
            }
        }
    }
    floating || rest.is_empty()
}
