//! An alert that the index refuses is written again without the source fields that broke it.
//!
//! Which field it was is read from the reason: whatever it names in brackets or quotes and the
//! alert carries. Where that does not help, fields outside ECS go first, then all of the event's.
//! What makes the alert an alert is never removed.

use serde_json::{Map, Value};

use crate::ecs::catalog;

/// Fields removed one by one before whole groups go.
const ROUNDS: usize = 8;
/// Names of removed fields that the alert lists.
const LISTED: usize = 50;

/// An alert on its way through an index that refuses it.
#[derive(Debug, Clone)]
pub struct Reduction {
    alert: Map<String, Value>,
    removed: Vec<String>,
    rounds: usize,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Named,
    Unmapped,
    Everything,
}

impl Reduction {
    /// Starts from the whole alert.
    pub fn new(alert: Map<String, Value>) -> Self {
        Self { alert, removed: Vec::new(), rounds: 0, stage: Stage::Named }
    }

    /// The alert as it is now.
    pub fn alert(&self) -> &Map<String, Value> {
        &self.alert
    }

    /// The alert without what `reason` says is wrong with it; `None` when nothing is left to
    /// remove.
    pub fn without(&mut self, reason: &str) -> Option<Map<String, Value>> {
        loop {
            match self.stage {
                Stage::Named => match blamed(reason, &self.alert).filter(|_| self.rounds < ROUNDS) {
                    Some(field) => {
                        self.rounds += 1;
                        remove(&mut self.alert, &field);
                        self.removed.push(field);
                        return Some(self.noted(reason));
                    }
                    None => self.stage = Stage::Unmapped,
                },
                Stage::Unmapped => {
                    self.stage = Stage::Everything;
                    if self.drop_where(|path| !known(path)) {
                        return Some(self.noted(reason));
                    }
                }
                Stage::Everything => {
                    if self.drop_where(|_| true) {
                        return Some(self.noted(reason));
                    }
                    return None;
                }
            }
        }
    }

    /// Names of what was removed, for a warning.
    pub fn removed(&self) -> String {
        let mut names: Vec<&str> = self.removed.iter().map(String::as_str).take(5).collect();
        let more = self.removed.len().saturating_sub(names.len());
        let more = format!("{more} more");
        if self.removed.len() > 5 {
            names.push(&more);
        }
        names.join(", ")
    }

    fn drop_where(&mut self, gone: impl Fn(&str) -> bool) -> bool {
        let before = self.removed.len();
        let removed = &mut self.removed;
        self.alert.retain(|key, value| {
            if own(key) {
                return true;
            }
            prune(key, value, &gone, removed)
        });
        self.removed.len() > before
    }

    fn noted(&self, reason: &str) -> Map<String, Value> {
        let mut alert = self.alert.clone();
        let listed: Vec<Value> = self.removed.iter().take(LISTED).map(|name| name.as_str().into()).collect();
        alert.insert("tocsin.removed_fields".to_owned(), Value::Array(listed));
        let reason: String = reason.chars().take(300).collect();
        alert.insert("tocsin.removed_reason".to_owned(), reason.into());
        alert
    }
}

/// Removes the leaves below `path` for which `gone` holds; whether anything is left.
fn prune(path: &str, value: &mut Value, gone: &impl Fn(&str) -> bool, removed: &mut Vec<String>) -> bool {
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.retain(|key, value| prune(&format!("{path}.{key}"), value, gone, removed));
            !map.is_empty()
        }
        _ => {
            let goes = gone(path);
            if goes {
                removed.push(path.to_owned());
            }
            !goes
        }
    }
}

/// Whether ECS has a field of this path.
fn known(path: &str) -> bool {
    !path.starts_with("aws.") && catalog::get(path).is_some()
}

/// What the alert itself writes.
fn own(path: &str) -> bool {
    path == "@timestamp"
        || path == "event.kind"
        || ["kibana", "tocsin"]
            .iter()
            .any(|name| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
            && !copied(path)
}

/// What the alert has only because its event had it.
fn copied(path: &str) -> bool {
    ["kibana.alert.original_event.", "kibana.alert.original_data_stream."]
        .iter()
        .any(|start| path.starts_with(start))
}

/// The field of the alert that a reason names.
fn blamed(reason: &str, alert: &Map<String, Value>) -> Option<String> {
    let mut names = Vec::new();
    for (open, close) in [('[', ']'), ('"', '"'), ('\'', '\'')] {
        let mut rest = reason;
        while let Some((_, after)) = rest.split_once(open) {
            let Some((name, after)) = after.split_once(close) else { break };
            names.push(name);
            rest = after;
        }
    }
    names.into_iter().find(|name| !name.is_empty() && !own(name) && has(alert, name)).map(str::to_owned)
}

/// Whether a document has something at `path`, in whatever spelling, looking into arrays.
fn has(map: &Map<String, Value>, path: &str) -> bool {
    if map.contains_key(path) {
        return true;
    }
    path.match_indices('.').any(|(at, _)| {
        let (Some(head), Some(rest)) = (path.get(..at), path.get(at + 1..)) else { return false };
        match map.get(head) {
            Some(Value::Object(below)) => has(below, rest),
            Some(Value::Array(items)) => {
                items.iter().filter_map(Value::as_object).any(|below| has(below, rest))
            }
            _ => false,
        }
    })
}

/// Removes what a document has at `path`, in every spelling, and what lies below it; objects that
/// this empties go too.
pub fn remove(map: &mut Map<String, Value>, path: &str) {
    let below = format!("{path}.");
    map.retain(|key, value| {
        if key == path || key.starts_with(&below) {
            return false;
        }
        let Some(rest) = path.strip_prefix(key.as_str()).and_then(|rest| rest.strip_prefix('.')) else {
            return true;
        };
        match value {
            Value::Object(inner) => {
                let before = inner.len();
                remove(inner, rest);
                before == 0 || !inner.is_empty()
            }
            Value::Array(items) => {
                for inner in items.iter_mut().filter_map(Value::as_object_mut) {
                    remove(inner, rest);
                }
                true
            }
            _ => true,
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn alert() -> Map<String, Value> {
        json!({
            "@timestamp": "2026-11-01T00:00:00.000Z", "event.kind": "signal",
            "kibana.alert.uuid": "u", "kibana.alert.original_event.id": "7",
            "host": "text", "user": {"name": "n", "odd": 1}, "vendor": {"a": 1, "b": {"c": 2}},
        })
        .as_object()
        .unwrap()
        .clone()
    }

    #[test]
    fn the_field_that_is_named_goes_and_is_noted() {
        let mut reduction = Reduction::new(alert());
        let reason =
            "object mapping for [host] tried to parse field [host] as object, but found a concrete value";
        let less = reduction.without(reason).unwrap();
        assert!(!less.contains_key("host") && less.contains_key("user") && less.contains_key("vendor"));
        assert_eq!(less["tocsin.removed_fields"], json!(["host"]));
        assert_eq!(reduction.removed(), "host");
    }

    #[test]
    fn without_a_name_unmapped_fields_go_first_and_the_alert_itself_stays() {
        let mut reduction = Reduction::new(alert());
        let reason = "Limit of total fields [1000] has been exceeded";
        let less = Value::Object(reduction.without(reason).unwrap());
        assert_eq!(less["user"], json!({"name": "n"}));
        assert!(less.get("vendor").is_none());
        let bare = Value::Object(reduction.without(reason).unwrap());
        assert!(bare.get("user").is_none() && bare.get("kibana.alert.original_event.id").is_none());
        assert_eq!(bare["kibana.alert.uuid"], "u");
        assert_eq!(bare["event.kind"], "signal");
        assert_eq!(reduction.without(reason), None, "nothing is left to remove");
    }

    #[test]
    fn what_an_alert_is_made_of_is_never_blamed() {
        let mut reduction = Reduction::new(alert());
        let less = reduction.without("failed to parse field [kibana.alert.uuid] of type [keyword]").unwrap();
        assert_eq!(less["kibana.alert.uuid"], "u");
    }

    #[test]
    fn removal_knows_every_spelling() {
        let mut map =
            json!({"a.b": 1, "a": {"b.c": 2, "d": 3}, "l": [{"a": 1, "x": 2}], "e": {"f": {"g": 1}}})
                .as_object()
                .unwrap()
                .clone();
        remove(&mut map, "a.b");
        remove(&mut map, "l.a");
        remove(&mut map, "e.f.g");
        assert_eq!(Value::Object(map), json!({"a": {"d": 3}, "l": [{"x": 2}]}));
    }
}
