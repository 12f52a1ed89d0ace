//! Reading and writing mappings as Elasticsearch has them.

use serde_json::{Map, Value, json};

use super::learn::{Dynamic, Template};
use super::{Entry, Mapping, parent};
use crate::base::diagnostic::Diagnostic;
use crate::base::limits::JSON_NESTING;
use crate::ecs::types::FieldType;

impl Mapping {
    /// Reads a mapping: `{"properties": …}`, `{"mappings": …}`, an index template, or the reply of
    /// `GET index/_mapping` (several indices are merged). The catalogue does not lie beneath it;
    /// see [`Mapping::overlay`].
    ///
    /// # Errors
    /// The first thing that is no mapping (`MAP001`). Types that are not known are no error: their
    /// fields are kept and never matched; see [`Mapping::read`].
    pub fn from_elasticsearch(value: &Value) -> Result<Self, Diagnostic> {
        let mut findings = Vec::new();
        let mapping = Self::read(value, &mut findings);
        match findings.into_iter().find(Diagnostic::is_error) {
            Some(error) => Err(error),
            None => Ok(mapping),
        }
    }

    /// As [`Mapping::from_elasticsearch`], with everything that was found wrong: errors, and a
    /// warning (`MAP002`) for every type that is not known.
    pub fn read(value: &Value, findings: &mut Vec<Diagnostic>) -> Self {
        let Some(object) = value.as_object() else {
            findings.push(Diagnostic::error("MAP001", "a mapping must be a JSON object"));
            return Self::empty();
        };
        if let Some(inner) = object.get("mappings").or_else(|| object.get("template")) {
            return Self::read(inner, findings);
        }
        const OWN_KEYS: &[&str] =
            &["properties", "runtime", "dynamic", "dynamic_templates", "date_detection"];
        let by_index = !object.is_empty()
            && !OWN_KEYS.iter().any(|key| object.contains_key(*key))
            && object.values().all(|v| v.get("mappings").is_some());
        if by_index {
            let mappings: Vec<Self> = object.values().map(|v| Self::read(v, findings)).collect();
            return Self::merged(&mappings);
        }
        let mut mapping = Self::empty();
        mapping.read_object(object, "", 0, findings);
        if let Some(runtime) = object.get("runtime").and_then(Value::as_object) {
            for (name, definition) in runtime {
                mapping.read_runtime(name, definition, findings);
            }
        }
        if let Some(templates) = object.get("dynamic_templates").and_then(Value::as_array) {
            for template in templates.iter().filter_map(Value::as_object).flat_map(Map::values) {
                let template = read_template(template, findings);
                mapping.change().templates.push(template);
            }
        }
        mapping
    }

    fn read_object(
        &mut self,
        object: &Map<String, Value>,
        path: &str,
        depth: usize,
        findings: &mut Vec<Diagnostic>,
    ) {
        if depth > JSON_NESTING {
            findings.push(Diagnostic::error("MAP001", format!("mapping of `{path}` is nested too deeply")));
            return;
        }
        if let Some(dynamic) = object.get("dynamic") {
            let dynamic = match dynamic {
                Value::Bool(false) => Dynamic::False,
                Value::String(text) if text == "false" => Dynamic::False,
                Value::String(text) if text == "strict" => Dynamic::Strict,
                _ => Dynamic::True,
            };
            self.change().dynamic.insert(path.into(), dynamic);
        }
        let properties = match object.get("properties") {
            None => return,
            Some(Value::Object(properties)) => properties,
            Some(_) => {
                findings
                    .push(Diagnostic::error("MAP001", format!("`properties` of `{path}` must be an object")));
                return;
            }
        };
        for (name, definition) in properties {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let Some(definition) = definition.as_object() else {
                findings.push(Diagnostic::error("MAP001", format!("mapping of `{path}` must be an object")));
                continue;
            };
            let entry = read_entry(&path, definition, findings);
            if let Some(fields) = definition.get("fields").and_then(Value::as_object) {
                for (name, definition) in fields {
                    let path = format!("{path}.{name}");
                    if let Some(definition) = definition.as_object() {
                        let entry = read_entry(&path, definition, findings);
                        self.set(&path, entry.multi());
                    }
                }
            }
            self.set(&path, entry);
            self.read_object(definition, &path, depth + 1, findings);
        }
    }

    /// A runtime field reads the source at its own path, or at the path its script emits.
    fn read_runtime(&mut self, name: &str, definition: &Value, findings: &mut Vec<Diagnostic>) {
        let Some(object) = definition.as_object() else {
            findings.push(Diagnostic::error("MAP001", format!("runtime field `{name}` must be an object")));
            return;
        };
        let mut entry = read_entry(name, object, findings);
        if let Some(script) = object.get("script") {
            let source =
                script.get("source").and_then(Value::as_str).or_else(|| script.as_str()).unwrap_or("");
            match emitted(source) {
                Some(target) => entry.alias = Some(target.into()),
                None => {
                    entry.searchable = false;
                    let message =
                        format!("the script of runtime field `{name}` cannot be run; it matches nothing");
                    findings.push(Diagnostic::warning("MAP003", message));
                }
            }
        }
        self.set(name, entry);
    }

    /// The mapping as Elasticsearch reads it, without the catalogue: full paths as property names.
    pub fn elasticsearch(&self) -> Value {
        let mut properties = Map::new();
        for (path, entry) in self.inner.own.iter().filter(|(_, entry)| !entry.multi) {
            properties.insert(path.to_string(), write_entry(entry));
        }
        for (path, entry) in self.inner.own.iter().filter(|(_, entry)| entry.multi) {
            let Some(above) = parent(path) else { continue };
            let name = path.get(above.len() + 1..).unwrap_or_default().to_owned();
            let base = properties
                .entry(above)
                .or_insert_with(|| self.entry(above).map_or_else(|| json!({}), write_entry));
            if let Some(base) = base.as_object_mut()
                && let Some(fields) = base.entry("fields").or_insert_with(|| json!({})).as_object_mut()
            {
                fields.insert(name, write_entry(entry));
            }
        }
        let mut out = Map::new();
        for (path, dynamic) in &self.inner.dynamic {
            let dynamic = match dynamic {
                Dynamic::True => "true",
                Dynamic::False => "false",
                Dynamic::Strict => "strict",
            };
            if path.is_empty() {
                out.insert("dynamic".to_owned(), json!(dynamic));
            } else if let Some(object) =
                properties.entry(&**path).or_insert_with(|| json!({ "type": "object" })).as_object_mut()
            {
                object.insert("dynamic".to_owned(), json!(dynamic));
            }
        }
        if !self.inner.templates.is_empty() {
            let templates = self.inner.templates.iter().enumerate().map(|(number, template)| {
                let source: Value = serde_json::from_str(&template.source).unwrap_or_default();
                json!({ format!("template_{number}"): source })
            });
            out.insert("dynamic_templates".to_owned(), templates.collect());
        }
        out.insert("properties".to_owned(), Value::Object(properties));
        Value::Object(out)
    }

    /// The mapping as the store keeps it: everything but the catalogue itself.
    pub fn to_json(&self) -> Value {
        let conflicts: Map<String, Value> = self
            .inner
            .conflicts
            .iter()
            .map(|(path, kinds)| (path.to_string(), kinds.iter().map(|kind| json!(kind.name())).collect()))
            .collect();
        json!({
            "ecs": self.inner.ecs,
            "revision": self.inner.revision,
            "mappings": self.elasticsearch(),
            "conflicts": conflicts,
        })
    }

    /// Reads what [`Mapping::to_json`] wrote.
    ///
    /// # Errors
    /// `MAP001` when it is something else.
    pub fn from_json(value: &Value) -> Result<Self, Diagnostic> {
        let damaged = || Diagnostic::error("MAP001", "not a stored mapping");
        let mappings = value.get("mappings").ok_or_else(damaged)?;
        let mut mapping = Self::from_elasticsearch(mappings)?;
        let inner = mapping.change();
        inner.ecs = value.get("ecs").and_then(Value::as_bool).ok_or_else(damaged)?;
        inner.revision = value.get("revision").and_then(Value::as_u64).ok_or_else(damaged)?;
        for (path, kinds) in value.get("conflicts").and_then(Value::as_object).ok_or_else(damaged)? {
            let kinds = kinds.as_array().ok_or_else(damaged)?.iter();
            let kinds = kinds.filter_map(|kind| FieldType::from_name(kind.as_str()?)).collect();
            inner.conflicts.insert(path.as_str().into(), kinds);
        }
        Ok(mapping)
    }
}

fn read_entry(path: &str, definition: &Map<String, Value>, findings: &mut Vec<Diagnostic>) -> Entry {
    let text = |key: &str| definition.get(key).and_then(Value::as_str);
    let name = text("type").unwrap_or("object");
    if name == "alias" {
        let mut entry = Entry::new(FieldType::Other);
        entry.alias = text("path").map(Into::into);
        if entry.alias.is_none() {
            findings.push(Diagnostic::error("MAP001", format!("alias `{path}` has no `path`")));
        }
        return entry;
    }
    let kind = FieldType::from_name(name).unwrap_or_else(|| {
        let message = format!("type `{name}` of `{path}` is not supported; it matches nothing");
        findings.push(Diagnostic::warning("MAP002", message));
        FieldType::Other
    });
    let number = |key: &str| match definition.get(key) {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as casts saturate")]
    let whole = |number: f64| number as u32;
    let no =
        |key: &str| matches!(definition.get(key), Some(Value::Bool(false))) || text(key) == Some("false");
    let mut entry = Entry::new(kind);
    // Both must be off: either an index or doc values make a field searchable.
    let has_doc_values = !kind.is_text() && !no("doc_values");
    entry.searchable = (!no("index") || has_doc_values) && !(kind.is_object() && no("enabled"));
    entry.ignore_above = number("ignore_above").map(whole).filter(|limit| *limit < i32::MAX as u32);
    entry.lowercase = text("normalizer").is_some_and(|normalizer| normalizer.contains("lowercase"));
    entry.format = text("format").map(Into::into);
    entry.scaling_factor = number("scaling_factor").map(whole);
    if definition.get("null_value").is_some_and(|value| !value.is_null()) {
        let message = format!(
            "`null_value` of `{path}` is not applied: an event in which it is null has no value there"
        );
        findings.push(Diagnostic::warning("MAP003", message));
    }
    if kind == FieldType::ConstantKeyword {
        entry.constant = definition.get("value").map(|value| match value {
            Value::String(text) => text.as_str().into(),
            other => other.to_string().into(),
        });
    }
    entry
}

fn write_entry(entry: &Entry) -> Value {
    if let Some(path) = &entry.alias {
        return json!({ "type": "alias", "path": path });
    }
    let mut out = Map::new();
    out.insert("type".to_owned(), json!(entry.kind.name()));
    if let Some(limit) = entry.ignore_above {
        out.insert("ignore_above".to_owned(), json!(limit));
    }
    if entry.lowercase {
        out.insert("normalizer".to_owned(), json!("lowercase"));
    }
    if let Some(format) = &entry.format {
        out.insert("format".to_owned(), json!(format));
    }
    if let Some(factor) = entry.scaling_factor {
        out.insert("scaling_factor".to_owned(), json!(factor));
    }
    if let Some(value) = &entry.constant {
        out.insert("value".to_owned(), json!(value));
    }
    if !entry.searchable {
        if entry.kind.is_object() {
            out.insert("enabled".to_owned(), json!(false));
        } else {
            out.insert("index".to_owned(), json!(false));
            out.insert("doc_values".to_owned(), json!(false));
        }
    }
    Value::Object(out)
}

fn read_template(template: &Value, findings: &mut Vec<Diagnostic>) -> Template {
    let list = |key: &str| match template.get(key) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let field = template.get("mapping").and_then(Value::as_object).map(|mapping| {
        let mut multi = Vec::new();
        if let Some(fields) = mapping.get("fields").and_then(Value::as_object) {
            for (name, definition) in fields {
                if let Some(definition) = definition.as_object() {
                    multi.push((name.clone(), read_entry(name, definition, findings).multi()));
                }
            }
        }
        (read_entry("dynamic template", mapping, findings), multi)
    });
    Template {
        names: list("match"),
        not_names: list("unmatch"),
        paths: list("path_match"),
        not_paths: list("path_unmatch"),
        kinds: list("match_mapping_type"),
        field,
        source: template.to_string(),
    }
}

/// The field that a script of the form `emit(doc['field'].value)` emits.
fn emitted(source: &str) -> Option<&str> {
    let inner = source.trim().trim_end_matches(';').strip_prefix("emit(doc[")?.strip_suffix("].value)")?;
    let quoted = inner.strip_prefix('\'').and_then(|s| s.strip_suffix('\''));
    quoted.or_else(|| inner.strip_prefix('"').and_then(|s| s.strip_suffix('"')))
}
