//! Fields below a flattened one, spelled in one word, go into an object under it.
//!
//! An alert spells `kibana.alert.rule.meta.x` in one word; a cluster takes that for a field of its
//! own and refuses the document, because `kibana.alert.rule.meta` is flattened.

use serde_json::{Map, Value};

use crate::ecs::catalog;
use crate::ecs::types::FieldType;

/// The alert with such fields gathered. Nothing else is spelled differently.
pub(super) fn gathered(alert: Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::with_capacity(alert.len());
    for (name, value) in alert {
        match flattened(&name) {
            Some((above, rest)) => {
                let object = out.entry(above).or_insert_with(|| Value::Object(Map::new()));
                match object {
                    Value::Object(object) => {
                        object.insert(rest.to_owned(), value);
                    }
                    // Someone has a value there: both cannot be kept under one name.
                    _ => {
                        out.insert(name, value);
                    }
                }
            }
            None => match (out.get_mut(&name), value) {
                (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
                (_, value) => {
                    out.insert(name, value);
                }
            },
        }
    }
    out
}

/// The flattened field that a name lies below, and the rest of the name.
fn flattened(name: &str) -> Option<(&str, &str)> {
    name.match_indices('.').find_map(|(at, _)| {
        let (above, rest) = (name.get(..at)?, name.get(at + 1..)?);
        catalog::get(above).filter(|entry| entry.kind == FieldType::Flattened).map(|_| (above, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_lies_below_a_flattened_field_is_one_object() {
        let alert = json!({
            "kibana.alert.rule.meta.ruleNameOverridden": true,
            "kibana.alert.rule.meta": {"from": "1m"},
            "kibana.alert.rule.name": "n",
            "host.name": "h",
            "kibana.alert.rule.meta.a.b": 1,
        });
        let gathered = Value::Object(gathered(alert.as_object().unwrap().clone()));
        assert_eq!(
            gathered,
            json!({
                "kibana.alert.rule.meta": {"ruleNameOverridden": true, "from": "1m", "a.b": 1},
                "kibana.alert.rule.name": "n",
                "host.name": "h",
            })
        );
    }
}
