//! `kibana.alert.reason`: the alert in one sentence.

use serde_json::Value;

use super::lookup::{lookup, text};

/// The sentence; `severity` and `name` are those after overrides.
pub fn reason(event: &Value, severity: &str, name: &str) -> String {
    let field = |path: &str| present(lookup(event, path));
    let process = field("process.name");
    let parent = field("process.parent.name");
    let file = field("file.name");
    let source = field("source.ip");
    let source_port = field("source.port");
    let destination = field("destination.ip");
    let destination_port = field("destination.port");
    let mut out = String::new();
    if let Some(category) = field("event.category") {
        out.push_str(&category);
        out.push(' ');
    }
    out.push_str("event");
    let of_interest = [&process, &parent, &file, &source, &source_port, &destination, &destination_port];
    if of_interest.into_iter().any(Option::is_some) {
        out.push_str(" with");
    }
    let mut add = |before: &str, value: Option<String>, after: &str| {
        if let Some(value) = value {
            out.push_str(before);
            out.push_str(&value);
            out.push_str(after);
        }
    };
    add(" process ", process, ",");
    add(" parent process ", parent, ",");
    add(" file ", file, ",");
    add(" source ", source, "");
    add(":", source_port, ",");
    add(" destination ", destination, "");
    add(":", destination_port, ",");
    add(" by ", field("user.name"), "");
    add(" on ", field("host.name"), "");
    add(" created ", Some(severity.to_owned()), " alert ");
    add("", Some(name.to_owned()), ".");
    out
}

/// A value's text, if it is shown. A bare number is not: Kibana asks for its length, and numbers
/// have none.
fn present(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(value) if !value.is_empty() && value != "-" => Some(value.clone()),
        Value::Array(items) if !items.is_empty() => {
            // JavaScript joins null as nothing.
            Some(items.iter().map(|item| text(item).unwrap_or_default()).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::reason;
    use serde_json::json;

    #[test]
    fn says_what_is_known_and_skips_the_rest() {
        let cases = [
            (json!({}), "event created high alert Rule."),
            (
                json!({"event": {"category": ["iam", "configuration"]}, "user.name": "alice", "host": {"name": "-"}}),
                "iam, configuration event by alice created high alert Rule.",
            ),
            (
                json!({"process": {"name": "sh", "parent": {"name": "init"}}, "file": {"name": ""}, "host.name": "h"}),
                "event with process sh, parent process init, on h created high alert Rule.",
            ),
            (
                json!({"source": {"ip": "10.0.0.1", "port": 5}, "destination": {"ip": ["10.0.0.2"], "port": [443]}}),
                "event with source 10.0.0.1 destination 10.0.0.2:443, created high alert Rule.",
            ),
            (json!({"file.name": null, "source.port": "80"}), "event with:80, created high alert Rule."),
        ];
        for (event, expected) in cases {
            assert_eq!(reason(&event, "high", "Rule"), expected);
        }
    }
}
