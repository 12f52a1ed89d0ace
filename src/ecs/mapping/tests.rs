use serde_json::json;

use super::*;
use crate::ecs::flat::LeafKind;

#[test]
fn ecs_resolves_fields_multi_fields_and_flattened_keys() {
    let mapping = Mapping::ecs();
    let name = mapping.resolve("process.name").unwrap();
    assert_eq!((&*name.path, name.kind, name.ignore_above), ("process.name", FieldType::Keyword, Some(1024)));
    let text = mapping.resolve("process.name.text").unwrap();
    assert_eq!((&*text.path, text.kind), ("process.name", FieldType::MatchOnlyText));
    assert!(mapping.resolve("process.name.caseless").unwrap().lowercase);
    let key = mapping.resolve("aws.cloudtrail.flattened.request_parameters.a.b").unwrap();
    assert_eq!(&*key.path, "aws.cloudtrail.flattened.request_parameters");
    assert_eq!(key.key.as_deref(), Some("a.b"));
    assert_eq!(mapping.resolve("process").unwrap().kind, FieldType::Object);
    assert_eq!(
        mapping.resolve("email.attachments.file.name").unwrap().nested.as_deref(),
        Some("email.attachments")
    );
    assert_eq!(mapping.resolve("event.original").unwrap().kind, FieldType::Other);
    assert_eq!(mapping.resolve("no.such.field"), None);
    assert_eq!(mapping.resolve("process.name.other"), None);
}

#[test]
fn a_users_mapping_hides_what_it_replaces() {
    let user = Mapping::from_elasticsearch(&json!({"mappings": {"properties": {
        "process": {"properties": {"name": {"properties": {"caseless": {"type": "keyword"}}}}},
        "source": {"type": "flattened"},
        "host": {"properties": {"hostname": {"type": "alias", "path": "host.name"}}},
        "n": {"type": "nested", "properties": {"a": {"type": "long"}}},
        "msg": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}
    }}}))
    .unwrap();
    let mapping = Mapping::ecs().overlay(&user);
    assert_eq!(mapping.resolve("process.name").unwrap().kind, FieldType::Object);
    assert_eq!(&*mapping.resolve("process.name.caseless").unwrap().path, "process.name.caseless");
    assert_eq!(mapping.resolve("process.name.text"), None);
    assert_eq!(mapping.resolve("source.ip").unwrap().key.as_deref(), Some("ip"));
    assert_eq!(&*mapping.resolve("host.hostname").unwrap().path, "host.name");
    assert_eq!(mapping.resolve("n.a").unwrap().nested.as_deref(), Some("n"));
    assert_eq!(mapping.resolve("msg.keyword").unwrap().ignore_above, Some(256));
    assert_eq!(mapping.resolve("event.action").unwrap().kind, FieldType::Keyword);
}

#[test]
fn stored_mappings_read_back_equal() {
    let mut mapping = Mapping::ecs().overlay(
        &Mapping::from_elasticsearch(&json!({
            "dynamic": "strict",
            "dynamic_templates": [{"x": {"match": "n_*", "mapping": {"type": "double"}}}],
            "properties": {
                "a": {"type": "nested", "dynamic": "true", "properties": {"b.c": {"type": "date", "format": "epoch_second"}}},
                "k": {"type": "constant_keyword", "value": "v"},
                "s": {"type": "scaled_float", "scaling_factor": 100},
                "u": {"type": "keyword", "index": false, "doc_values": false},
                "l": {"type": "keyword", "normalizer": "lowercase", "fields": {"text": {"type": "text"}}}
            }
        }))
        .unwrap(),
    );
    mapping.learn("a.x.ip", LeafKind::String, "1.1.1.1");
    let back = Mapping::from_json(&mapping.to_json()).unwrap();
    assert_eq!(back, mapping);
    assert_eq!(back.fingerprint(), mapping.fingerprint());
    assert_eq!(back.revision(), mapping.revision());
    assert_ne!(back.fingerprint(), Mapping::ecs().fingerprint());
}

#[test]
fn unknown_leaves_learn_by_the_ecs_rules() {
    let mut mapping = Mapping::ecs();
    let mut kind = |path: &str, kind: LeafKind, value: &str| {
        mapping.learn(path, kind, value);
        mapping.resolve(path).map(|f| f.kind)
    };
    use LeafKind::{Boolean, Number, String};
    assert_eq!(kind("app.peer.ip", String, "x"), Some(FieldType::Ip));
    assert_eq!(kind("app.peer_ip", String, "x"), Some(FieldType::Ip));
    assert_eq!(kind("app.ip", Number, "7"), Some(FieldType::Long));
    assert_eq!(kind("app.message", String, "x"), Some(FieldType::MatchOnlyText));
    assert_eq!(kind("app.created", String, "x"), Some(FieldType::Date));
    assert_eq!(kind("app.risk_score", Number, "7"), Some(FieldType::Float));
    assert_eq!(kind("app.when", String, "2024-05-01T00:00:00Z"), Some(FieldType::Keyword));
    assert_eq!(kind("app.count", Number, "7"), Some(FieldType::Long));
    assert_eq!(kind("app.ratio", Number, "0.7"), Some(FieldType::Float));
    assert_eq!(kind("app.on", Boolean, "true"), Some(FieldType::Boolean));
    assert_eq!(kind("app.name", String, "x"), Some(FieldType::Keyword));
    assert_eq!(kind("app.imports.a.b", String, "x"), Some(FieldType::Flattened));
    assert_eq!(mapping.resolve("app.name.text").unwrap().kind, FieldType::MatchOnlyText);
    assert_eq!(mapping.learn("app.name", String, "y"), Learned::Known);
    assert_eq!(mapping.learn("app.name.first", String, "y"), Learned::BelowValue);
}

#[test]
fn a_closed_mapping_learns_nothing() {
    let mut mapping =
        Mapping::from_elasticsearch(&json!({"dynamic": false, "properties": {"a": {"type": "keyword"}}}))
            .unwrap();
    assert_eq!(mapping.learn("b", LeafKind::String, "x"), Learned::NotDynamic);
    assert_eq!(mapping.resolve("b"), None);
}

#[test]
fn merging_keeps_what_differs() {
    let a = Mapping::from_elasticsearch(
        &json!({"properties": {"x": {"type": "keyword"}, "y": {"type": "long"}}}),
    )
    .unwrap();
    let b = Mapping::from_elasticsearch(
        &json!({"properties": {"x": {"type": "wildcard"}, "y": {"type": "text"}, "z": {"type": "ip"}}}),
    )
    .unwrap();
    let both = Mapping::merged([&a, &b]);
    assert_eq!(both.resolve("x").unwrap().others, None);
    assert_eq!(both.resolve("y").unwrap().others.as_deref(), Some(&[FieldType::Text][..]));
    assert_eq!(both.resolve("z").unwrap().kind, FieldType::Ip);
    assert_eq!(both.conflicts().len(), 1);
}

#[test]
fn name_patterns_expand_over_what_exists() {
    let mapping = Mapping::ecs();
    let paths: Vec<Arc<str>> = ["event.action", "process.name", "process.pid"].map(Arc::from).to_vec();
    let found = mapping.expand(|name| name.starts_with("process.name"), &paths);
    assert_eq!(found.len(), 3);
    assert_eq!(mapping.leaves_below("process", &paths).len(), 2);
}
