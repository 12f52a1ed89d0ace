//! Every KQL query among Elastic's rules reads, prints back and compiles.

use tocsin::query::compile::elastic::{self, FieldList};
use tocsin::query::lang::kql::{self, Options};

use crate::shared::shared_dir;

/// Path and text of every KQL query in the shared rules.
fn queries() -> Option<Vec<(String, String)>> {
    let root = shared_dir()?.join("data/elastic-rules");
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let entry = entry.unwrap();
        if entry.path().extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let file: toml::Table = toml::from_str(&std::fs::read_to_string(entry.path()).unwrap()).unwrap();
        let rule = &file["rule"];
        let name = entry.path().display().to_string();
        let text = |key: &str| rule.get(key).and_then(toml::Value::as_str);
        if text("language") == Some("kuery") {
            assert!(
                matches!(text("type"), Some("query" | "threshold" | "new_terms" | "threat_match")),
                "{name}"
            );
            found.push((name.clone(), text("query").unwrap().to_owned()));
        }
        if text("threat_language").unwrap_or("kuery") == "kuery"
            && let Some(query) = text("threat_query")
        {
            found.push((name, query.to_owned()));
        }
    }
    Some(found)
}

#[test]
fn elastics_queries_read_print_and_compile() {
    let Some(queries) = queries() else { return };
    assert!(queries.len() > 150, "only {} queries", queries.len());
    let fields = FieldList::from_mapping(&serde_json::json!({"properties": {
        "event": {"properties": {"category": {"type": "keyword"}, "dataset": {"type": "constant_keyword"}}},
        "@timestamp": {"type": "date"},
    }}));
    for (name, text) in &queries {
        let expr = kql::parse(text, &Options::default()).unwrap_or_else(|error| panic!("{name}\n{error}"));
        let printed = expr.to_string();
        assert_eq!(kql::parse(&printed, &Options::default()).as_ref(), Ok(&expr), "{name}: {printed}");
        kql::parse_filter(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        for fields in [None, Some(&fields)] {
            elastic::query(&expr, fields, &elastic::Options::default())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
    println!("{} queries", queries.len());
}
